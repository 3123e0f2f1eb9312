//! Whether keyd serves. If it ends, netd goes on, and waits until keyd serves again.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use softsim_client::keyd::{AsyncConnection, Connection, Error, Watch};
use softsim_client::proto::requests::Status;
use softsim_client::proto::{Refusal, Role, StatusAnswer};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::line::Lines;
use super::subscriber::Subscriber;
use crate::backoff::Backoff;
use crate::connector::Connector;

/// The first and the longest wait before netd tries again to connect to keyd.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Whether keyd serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It does.
    Serving,
    /// It doesn't, and why.
    Lost(String),
}

impl Presence {
    /// Why it doesn't.
    pub(crate) fn lost(self) -> Option<String> {
        match self {
            Self::Serving => None,
            Self::Lost(reason) => Some(reason),
        }
    }
}

/// How long a command waits for a keyd that restarts.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits a while for a keyd that is lost.
///
/// # Errors
/// It stays lost, and why.
pub(crate) async fn served(presence: &watch::Receiver<Presence>) -> Result<(), String> {
    let mut serving = presence.clone();
    let serves = serving.wait_for(|presence| *presence == Presence::Serving);
    // An error of the channel means that netd is about to end.
    let in_time = timeout(PATIENCE, serves).await.is_ok();
    match &*presence.borrow() {
        Presence::Lost(reason) if !in_time => Err(format!("softsim-keyd is lost: {reason}")),
        _ => Ok(()),
    }
}

/// The device id, from when netd first hears of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Device(Arc<OnceLock<[u8; 32]>>);

impl Device {
    /// Takes the device id that keyd tells.
    ///
    /// # Errors
    /// It is another than before.
    pub(crate) fn recognise(&self, got: Option<[u8; 32]>) -> Result<(), OtherDevice> {
        let expected = got.map(|got| *self.0.get_or_init(|| got));
        match expected.or(self.0.get().copied()) {
            Some(expected) if got != Some(expected) => Err(OtherDevice { expected, got }),
            _ => Ok(()),
        }
    }
}

/// keyd has another device now. Nothing that netd holds belongs to it.
#[derive(Debug, thiserror::Error)]
#[error(
    "softsim-keyd has returned with another device: expected {}, got {}",
    hex::encode(.expected), .got.map_or("none".into(), hex::encode)
)]
pub struct OtherDevice {
    expected: [u8; 32],
    got: Option<[u8; 32]>,
}

/// Why netd can't use a keyd that it has reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("{0}")]
    Unreachable(#[source] std::io::Error),
    #[error(transparent)]
    Keyd(#[from] Error),
    #[error(
        "expected the socket for the role {}, got one for the role {got}",
        Role::Network
    )]
    Role { got: Role },
    #[error(transparent)]
    Device(#[from] OtherDevice),
}

/// Waits for keyd's changes, and publishes them and whether keyd serves. Replaces the connections
/// of all lines whenever keyd has ended and serves again, and a single one that has failed.
pub(crate) struct Keeper {
    /// Opens the connections.
    pub(crate) connector: Connector,
    /// The lines.
    pub(crate) lines: Lines,
    /// Where the presence is published.
    pub(crate) presence: watch::Sender<Presence>,
    /// The device that keyd must have.
    pub(crate) device: Device,
    /// Where another subscriber is published.
    pub(crate) subscriber: Subscriber,
    /// How many changes keyd has told.
    pub(crate) seen: u64,
}

impl Keeper {
    /// Works for as long as keyd has the same device. `watched` is a connection of its own, on
    /// which keyd tells changes, and which shows when keyd ends.
    ///
    /// # Errors
    /// netd can't watch a connection.
    pub(crate) async fn run(mut self, watched: Connection) -> Result<OtherDevice, Error> {
        let mut watched = Watch::new(watched)?;
        loop {
            let told = tokio::select! {
                status = status_after(&mut watched, self.seen) => status,
                () = self.mend() => continue,
            };
            let other = match told {
                Ok(status) => self.take(&status).err(),
                Err(_) => match self.regain().await {
                    Ok(connection) => {
                        watched = Watch::new(connection)?;
                        None
                    }
                    Err(other) => Some(other),
                },
            };
            if let Some(other) = other {
                return Ok(other);
            }
        }
    }

    fn take(&mut self, status: &StatusAnswer) -> Result<(), OtherDevice> {
        self.device.recognise(status.device_id)?;
        self.subscriber.take(status);
        self.seen = status.changes;
        Ok(())
    }

    /// Waits until the connection of a line has failed, and replaces it. keyd may be about to end,
    /// or hang. May be cancelled.
    async fn mend(&self) {
        self.lines.broken().await;
        let mut backoff = Backoff::new(FIRST_WAIT, MAX_WAIT);
        while let Err(error) = self.lines.mend(async || self.connect().await).await {
            self.still_lost(&error);
            sleep(backoff.failed()).await;
        }
        let lost = *self.presence.borrow() != Presence::Serving;
        if lost {
            self.publish_return();
        }
    }

    /// Waits until keyd serves again, and returns a connection to watch.
    async fn regain(&mut self) -> Result<Connection, OtherDevice> {
        tracing::warn!("softsim-keyd is lost; what is open stays so");
        self.publish(Presence::Lost("it has ended".into()));
        self.subscriber.keyd_ended();
        let mut backoff = Backoff::new(FIRST_WAIT, MAX_WAIT);
        loop {
            match self.reconnect().await {
                Ok(connection) => {
                    self.publish_return();
                    return Ok(connection);
                }
                Err(Unusable::Device(other)) => return Err(other),
                Err(error) => self.still_lost(&error),
            }
            sleep(backoff.failed()).await;
        }
    }

    fn publish_return(&self) {
        tracing::info!("softsim-keyd has returned");
        self.publish(Presence::Serving);
    }

    /// Logs each reason once, and not each attempt.
    fn still_lost(&self, error: &Unusable) {
        let lost = Presence::Lost(error.to_string());
        if *self.presence.borrow() != lost {
            tracing::warn!(reason = %error, "softsim-keyd is still lost");
            self.publish(lost);
        }
    }

    fn publish(&self, presence: Presence) {
        self.presence.send_replace(presence);
    }

    async fn reconnect(&mut self) -> Result<Connection, Unusable> {
        let watched = self.connect().await?;
        let asked = AsyncConnection::from(self.connect().await?);
        let status = asked.call(&Status {}).await?;
        self.device.recognise(status.device_id)?;
        self.lines.renew(async || self.connect().await).await?;
        // An access that begins anew has its new connection.
        Ok(self.take(&status).map(|()| watched)?)
    }

    async fn connect(&self) -> Result<Connection, Unusable> {
        connect(&self.connector).await
    }
}

/// Waits until keyd has changed more often than `seen` says, and for longer if keyd wants to be
/// asked later: it hasn't ended then. May be cancelled.
async fn status_after(watched: &mut Watch, seen: u64) -> Result<StatusAnswer, Error> {
    loop {
        match watched.status_after(seen).await {
            Err(Error::Refused(Refusal::RetryAfter { milliseconds })) => {
                sleep(Duration::from_millis(milliseconds.into())).await;
            }
            told => return told,
        }
    }
}

/// A connection to keyd, in the role network.
pub(crate) async fn connect(connector: &Connector) -> Result<Connection, Unusable> {
    let socket = connector.keyd().await.map_err(Unusable::Unreachable)?;
    // keyd may let us wait for its answer.
    let connection = spawn_blocking(|| Connection::over(socket)).await;
    let connection = connection.map_err(|error| Unusable::Unreachable(error.into()))??;
    match connection.hello().role {
        Role::Network => Ok(connection),
        got => Err(Unusable::Role { got }),
    }
}
