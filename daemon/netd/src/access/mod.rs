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
//! switching threads. An access asks keyd nothing unless a packet needs it.

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

use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use softsim_client::netd::{self, Failure};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::access::prepare::PreparedAccess;
use crate::access::status::Status;
use crate::connector::Connector;
use crate::events::Events;
use crate::names::Names;
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
    /// None once it is to end.
    orders: Mutex<Option<mpsc::Sender<Order>>>,
    status: watch::Receiver<Status>,
}

impl Handle {
    /// Creates a handle, and the end of it that the access holds.
    fn new(name: String, status: watch::Receiver<Status>) -> (Self, mpsc::Receiver<Order>) {
        let (orders, queue) = mpsc::channel(QUEUE);
        let handle = Self {
            name,
            orders: Mutex::new(Some(orders)),
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
        let gone = || Fault::new(Failure::Internal, "the access is about to end");
        let orders = self.queue().clone().ok_or_else(gone)?;
        orders.send(order(done)).await.map_err(|_| gone())?;
        // Whoever waits must not keep the queue open.
        drop(orders);
        carried_out.await.map_err(|_| gone())
    }

    /// Takes no more orders. The access carries out those that it has, logs off and ends.
    fn close(&self) {
        self.queue().take();
    }

    /// Whether it is to end.
    fn is_closed(&self) -> bool {
        self.queue().is_none()
    }

    /// Waits until the access has ended.
    async fn ended(&self) {
        let mut status = self.status.clone();
        while status.changed().await.is_ok() {}
    }

    fn queue(&self) -> MutexGuard<'_, Option<mpsc::Sender<Order>>> {
        // It is whole at any time.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time that an access has to log off.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// All accesses.
#[derive(Debug)]
pub(crate) struct Accesses {
    handles: Mutex<Vec<Arc<Handle>>>,
    /// Where all of netd tells its events.
    pub(crate) events: Events,
    names: Names,
    connector: Connector,
    /// What changes whenever keyd's subscriber becomes another one.
    subscriber: watch::Receiver<()>,
    failed: mpsc::UnboundedSender<(String, Fatal)>,
}

impl Accesses {
    /// No access yet. The receiver gets the name of each access that can't go on, and why.
    pub(crate) fn new(
        names: Names,
        connector: Connector,
        subscriber: watch::Receiver<()>,
    ) -> (Self, mpsc::UnboundedReceiver<(String, Fatal)>) {
        let (failed, failures) = mpsc::unbounded_channel();
        let accesses = Self {
            handles: Mutex::default(),
            events: Events::new(),
            names,
            connector,
            subscriber,
            failed,
        };
        (accesses, failures)
    }

    /// Starts an access, and waits until it has reported its state.
    pub(crate) async fn start(&self, access: PreparedAccess) -> io::Result<()> {
        let mut subscriber = self.subscriber.clone();
        subscriber.mark_unchanged();
        let events = self.events.clone();
        let (handle, ended) = access.start(events, &self.names, &self.connector, subscriber)?;
        let (name, failed) = (handle.name.clone(), self.failed.clone());
        tokio::spawn(async move {
            let fatal = match ended.await {
                // netd has stopped it.
                Ok(Ok(())) => return,
                Ok(Err(fatal)) => fatal,
                Err(_) => Fatal::Io(io::Error::other("its thread is gone")),
            };
            // If nobody listens, netd ends.
            let _ = failed.send((name, fatal));
        });
        let handle = Arc::new(handle);
        self.lock().push(Arc::clone(&handle));
        // A client of the control socket learns the state of each access, and never "not begun".
        handle.begun().await;
        Ok(())
    }

    /// Lets an access log off and end, and forgets it; whether it has ended in time. If not,
    /// [`Self::late`] tells when it has.
    pub(crate) async fn stop(&self, name: &str) -> bool {
        for handle in self.with_name(Some(name)).into_iter().flatten() {
            handle.close();
            if timeout(STOP_TIMEOUT, handle.ended()).await.is_err() {
                tracing::warn!(access = name, "didn't leave in time");
                return false;
            }
        }
        self.forget(name);
        true
    }

    /// Whether an access is to go on.
    pub(crate) fn goes_on(&self, name: &str) -> bool {
        let mut closed = self.all().into_iter().filter(|handle| handle.is_closed());
        closed.all(|handle| handle.name != name)
    }

    /// Waits until an access has ended that didn't in time, and forgets it; its name. May be
    /// cancelled.
    pub(crate) async fn late(&self) -> String {
        let closed = self.all().into_iter().filter(|handle| handle.is_closed());
        let mut late: JoinSet<_> = closed
            .map(|handle| async move {
                handle.ended().await;
                handle.name.clone()
            })
            .collect();
        match late.join_next().await {
            Some(Ok(name)) => {
                self.forget(&name);
                name
            }
            // All go on. Nothing panics here.
            None | Some(Err(_)) => pending().await,
        }
    }

    fn forget(&self, name: &str) {
        self.lock().retain(|handle| handle.name != name);
    }

    /// Puts the accesses in this order.
    pub(crate) fn sort(&self, names: &[String]) {
        let place = |handle: &Arc<Handle>| names.iter().position(|name| *name == handle.name);
        self.lock().sort_by_key(place);
    }

    /// All of them, in the order of the configuration.
    pub(crate) fn all(&self) -> Vec<Arc<Handle>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Handle>>> {
        // The list is whole at any time.
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The access of this name, or all accesses.
    pub(crate) fn with_name(&self, name: Option<&str>) -> Result<Vec<Arc<Handle>>, Fault> {
        let wanted = |handle: &Arc<Handle>| name.is_none_or(|name| handle.name == name);
        let found: Vec<_> = self.all().into_iter().filter(wanted).collect();
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
