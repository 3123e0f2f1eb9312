//! The accesses: connections to networks that netd keeps up, by EAP over a carrier.
//!
//! ```text
//!   control ---- Order ----> driver ----> status ----> control, softsimctl
//!                              |
//!                           exchange
//!                           |      |
//!    a server or an      carrier   conversation ----> keyd
//!    authenticator <---> radius,
//!    on the network      wired ----> port: the keeper of the interface
//! ```
//!
//! Arrows lead downwards only; [`carrier`] says what belongs where, and where another carrier is
//! written. [`prepare`] opens what an access needs before netd is confined, as [`settings`] have
//! it. [`single_authentication`] is an exchange without a driver.
//!
//! Each access runs on a thread of its own, with its own connection to keyd. keyd answers within
//! microseconds, so the thread waits for it, and netd answers a packet of the network's without
//! switching threads.

mod backoff;
mod carrier;
pub mod conversation;
mod driver;
mod exchange;
pub mod port;
pub(crate) mod prepare;
mod radius;
pub(crate) mod settings;
pub(crate) mod single_authentication;
pub(crate) mod status;
mod thread;
mod wired;

use softsim_client::netd::{self, Failure};
use tokio::sync::{mpsc, oneshot, watch};

use crate::access::status::{Events, Status};
use crate::keyd::Lost;
use crate::progress::Fault;

/// Orders that wait for an access.
const QUEUE: usize = 8;

/// An order to an access.
#[derive(Debug)]
pub(crate) enum Order {
    /// Authenticate now; answered when it is decided.
    Connect(oneshot::Sender<()>),
    /// Log off, and stay so; answered when it is done.
    Disconnect(oneshot::Sender<()>),
    /// Leave in good order; netd ends.
    Stop(oneshot::Sender<()>),
}

/// Why netd can't go on with an access.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// keyd is gone.
    #[error(transparent)]
    Keyd(#[from] Lost),
    /// The keeper of the interface is lost, and with it the controlled port.
    #[error("the controlled port: {0}")]
    Port(String),
    /// A socket, or the runtime.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What ends netd in an access fails the command in `softsimctl eap-test`.
impl From<Fatal> for Fault {
    fn from(fatal: Fatal) -> Self {
        Self::new(Failure::Unavailable, fatal)
    }
}

/// An access, for the tasks that give it orders.
#[derive(Debug)]
pub(crate) struct Handle {
    /// Its name.
    pub(crate) name: String,
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<Status>,
}

impl Handle {
    /// A handle, with the end of it that the access holds.
    fn new(name: String, status: watch::Receiver<Status>) -> (Self, mpsc::Receiver<Order>) {
        let (orders, queue) = mpsc::channel(QUEUE);
        let handle = Self {
            name,
            orders,
            status,
        };
        (handle, queue)
    }

    /// The state of the access.
    pub(crate) fn access(&self) -> netd::Access {
        self.status.borrow().now()
    }

    /// Waits until the access has reported its state, or has ended.
    pub(crate) async fn begun(&self) {
        // An error means that the access has ended, which `start` learns by itself.
        let _ = self.status.clone().wait_for(Status::is_reported).await;
    }

    /// Gives an order, and waits until it is carried out.
    pub(crate) async fn order(&self, order: fn(oneshot::Sender<()>) -> Order) -> Result<(), Fault> {
        let (done, carried_out) = oneshot::channel();
        let gone = || Fault::new(Failure::Internal, "softsim-netd is about to end");
        self.orders.send(order(done)).await.map_err(|_| gone())?;
        carried_out.await.map_err(|_| gone())
    }
}

/// All accesses.
#[derive(Debug)]
pub(crate) struct Accesses {
    /// In the order of the configuration.
    pub(crate) handles: Vec<Handle>,
    /// What happens in them.
    pub(crate) events: Events,
}

impl Accesses {
    /// The one of this name, or all.
    pub(crate) fn named(&self, name: Option<&str>) -> Result<Vec<&Handle>, Fault> {
        let wanted = |handle: &&Handle| name.is_none_or(|name| handle.name == name);
        let found: Vec<_> = self.handles.iter().filter(wanted).collect();
        let missing = match (found.is_empty(), name) {
            (false, _) => return Ok(found),
            (true, Some(name)) => format!("no [[access]] of the configuration is called {name}"),
            (true, None) => "the configuration has no [[access]]".into(),
        };
        Err(Fault::new(Failure::Command, missing))
    }
}
