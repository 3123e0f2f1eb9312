//! The accesses: connections to networks that netd keeps up by EAP over a carrier.
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
//! Arrows lead downwards only. `carrier` describes the layers, and where another carrier would be
//! written. `prepare` opens what the `settings` of an access need before netd confines itself.
//! `single_authentication` runs an exchange without a driver.
//!
//! Each access runs on its own thread, with its own connection to keyd. keyd answers within
//! microseconds, so the thread waits for it, and netd answers a packet of the network without
//! switching threads.

mod carrier;
pub mod conversation;
mod driver;
mod exchange;
pub mod port;
pub(crate) mod prepare;
mod radius;
#[cfg(test)]
mod scripted_keyd;
pub(crate) mod settings;
pub(crate) mod single_authentication;
pub(crate) mod status;
mod thread;
mod wired;

use softsim_client::netd::{self, Failure};
use tokio::sync::{mpsc, oneshot, watch};

use crate::access::status::{Events, Status};
use crate::progress::Fault;

/// The number of orders that wait for an access.
const QUEUE: usize = 8;

/// An order to an access.
#[derive(Debug)]
pub(crate) enum Order {
    /// Authenticate now. The access answers when the attempt has ended.
    Connect(oneshot::Sender<()>),
    /// Log off, and stay so. The access answers when it has logged off.
    Disconnect(oneshot::Sender<()>),
    /// Log off, because netd ends. The access answers when it has logged off.
    Stop(oneshot::Sender<()>),
}

/// Why netd can't go on with an access.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// netd has lost the keeper of the interface, and with it the controlled port.
    #[error("the controlled port: {0}")]
    Port(String),
    /// A socket or the runtime failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The error ends netd in an access, but fails only the command in `softsimctl eap-test`.
impl From<Fatal> for Fault {
    fn from(fatal: Fatal) -> Self {
        Self::new(Failure::Unavailable, fatal)
    }
}

/// An access, as seen by the tasks that give it orders.
#[derive(Debug)]
pub(crate) struct Handle {
    /// Its name.
    pub(crate) name: String,
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<Status>,
}

impl Handle {
    /// Creates a handle, and the end of it that the access holds.
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

    /// Gives an order, and waits until the access has carried it out.
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
    /// The accesses, in the order of the configuration.
    pub(crate) handles: Vec<Handle>,
    /// The events of all of them.
    pub(crate) events: Events,
}

impl Accesses {
    /// The access of this name, or all accesses.
    pub(crate) fn with_name(&self, name: Option<&str>) -> Result<Vec<&Handle>, Fault> {
        let wanted = |handle: &&Handle| name.is_none_or(|name| handle.name == name);
        let found: Vec<_> = self.handles.iter().filter(wanted).collect();
        Err(match (found.is_empty(), name) {
            (false, _) => return Ok(found),
            (true, Some(name)) => Fault::new(
                Failure::Command,
                format_args!("no [[access]] of the configuration is called {name}"),
            ),
            (true, None) => {
                let reason = "the configuration has no [[access]]";
                Fault::new(Failure::Configuration, reason)
            }
        })
    }
}
