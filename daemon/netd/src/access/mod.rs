//! The ways into a network that netd keeps open: EAP over a carrier, again and again.
//!
//! ```text
//!   control --- Order ---> radius | wired <----> a server or an authenticator on the network
//!      ^                      |      \
//!      |                  conversation   port ----> the keeper of the interface
//!      |                      |
//!      +------ record         +-- one connection to keyd
//! ```
//!
//! Each access has a thread of its own, and a connection to keyd: an answer of keyd takes
//! microseconds, so the thread waits for it, and a packet of the network's is answered without a
//! change of threads.

pub mod attempt;
pub mod backoff;
pub mod conversation;
pub mod opened;
pub mod port;
pub mod radius;
pub mod record;
pub mod settings;
pub mod source;
pub mod thread;
pub mod wired;

use std::fmt;

use softsim_client::netd::{self, Failure};
use tokio::sync::{mpsc, oneshot, watch};

use crate::access::record::{Happenings, Told};
use crate::keyd::Lost;
use crate::progress::Fault;

/// Orders that wait for an access.
pub const QUEUE: usize = 8;

/// What an access is told to do.
#[derive(Debug)]
pub enum Order {
    /// Authenticate now; answered when it is decided.
    Connect(oneshot::Sender<()>),
    /// Log off, and stay so; answered when it is done.
    Disconnect(oneshot::Sender<()>),
    /// Leave in good order; netd ends.
    Stop(oneshot::Sender<()>),
}

/// Why netd can't go on with an access.
#[derive(Debug)]
pub enum Fatal {
    /// keyd is gone.
    Keyd(Lost),
    /// The controlled port is not ours any more.
    Port(String),
    /// A socket, or the runtime.
    Io(std::io::Error),
}

impl std::error::Error for Fatal {}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keyd(lost) => lost.fmt(f),
            Self::Port(reason) => write!(f, "the controlled port: {reason}"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl From<Lost> for Fatal {
    fn from(lost: Lost) -> Self {
        Self::Keyd(lost)
    }
}

impl From<std::io::Error> for Fatal {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// An access, for whoever commands it.
#[derive(Debug)]
pub struct Handle {
    /// Its name.
    pub name: String,
    orders: mpsc::Sender<Order>,
    told: watch::Receiver<Told>,
}

impl Handle {
    /// A handle, with the end of it that the access holds.
    pub fn new(name: String, told: watch::Receiver<Told>) -> (Self, mpsc::Receiver<Order>) {
        let (orders, queue) = mpsc::channel(QUEUE);
        let handle = Self { name, orders, told };
        (handle, queue)
    }

    /// Where the access stands.
    pub fn access(&self) -> netd::Access {
        self.told.borrow().now()
    }

    /// Waits until the access has said where it stands, or has ended.
    pub async fn begun(&self) {
        // An error is its end, which is told elsewhere.
        let _ = self.told.clone().wait_for(Told::has_begun).await;
    }

    /// Gives an order, and waits until it is carried out.
    pub async fn order(&self, order: fn(oneshot::Sender<()>) -> Order) -> Result<(), Fault> {
        let (done, carried_out) = oneshot::channel();
        let gone = || Fault::new(Failure::Internal, "softsim-netd is about to end");
        self.orders.send(order(done)).await.map_err(|_| gone())?;
        carried_out.await.map_err(|_| gone())
    }
}

/// All accesses.
#[derive(Debug)]
pub struct Accesses {
    /// In the order of the configuration.
    pub handles: Vec<Handle>,
    /// Where they tell what happens.
    pub happenings: Happenings,
}

impl Accesses {
    /// The one of this name, or all.
    pub fn named(&self, name: Option<&str>) -> Result<Vec<&Handle>, Fault> {
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
