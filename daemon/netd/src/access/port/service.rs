//! netd's connection to a keeper that is a service of its own, which netd makes anew whenever it is
//! lost.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use softsim_sandbox::seqpacket::Connection;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::line::Line;
use super::wire::{Order, Reason};
use super::{Event, Needed};
use crate::backoff::Backoff;
use crate::connector::Connector;

/// The first and the longest wait before netd connects again. A keeper that is lost again and again
/// has each connection cost an authentication, and each authentication writes to flash.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const MAX_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Service {
    expected: Expected,
    connector: Connector,
    backoff: Backoff,
    /// The wait before the next attempt.
    wait: Duration,
    attempt: Option<JoinHandle<io::Result<Line>>>,
    /// When the last connection was made.
    connected: Option<Instant>,
}

/// The keeper that is expected behind a socket.
#[derive(Clone, Debug)]
struct Expected {
    needed: Needed,
    socket: PathBuf,
}

impl Service {
    pub(super) fn new(needed: Needed, socket: PathBuf, connector: Connector) -> Self {
        Self {
            expected: Expected { needed, socket },
            connector,
            backoff: Backoff::new(FIRST_WAIT, MAX_WAIT),
            wait: Duration::ZERO,
            attempt: None,
            connected: None,
        }
    }

    /// Connects, and waits until the keeper serves and has closed the port. May be cancelled, and
    /// goes on at the next call.
    ///
    /// # Errors
    /// There is no such keeper on the socket. Call [`Self::lost`] before the next attempt.
    pub(super) async fn line(&mut self) -> io::Result<Line> {
        let attempt = self.attempt.get_or_insert_with(|| {
            let (expected, connector) = (self.expected.clone(), self.connector.clone());
            let wait = self.wait;
            tokio::spawn(async move {
                sleep(wait).await;
                let socket = connector.keeper(&expected.socket).await;
                expected.recognise(socket.map(Connection::from)).await
            })
        });
        let line = attempt.await;
        self.attempt = None;
        self.connected = Some(Instant::now());
        line?
    }

    /// Chooses the wait before the next attempt. It grows, unless the last connection lasted.
    pub(super) fn lost(&mut self) {
        let connected = self.connected.take();
        if connected.is_some_and(|connected| connected.elapsed() > MAX_WAIT) {
            self.backoff.reset();
        }
        self.wait = self.backoff.failed();
    }
}

impl Expected {
    /// Waits until the keeper serves, and makes sure that it is the one that the access needs. Its
    /// first event is the link.
    async fn recognise(&self, socket: io::Result<Connection>) -> io::Result<Line> {
        let socket = socket.and_then(Line::new);
        let mut line = socket.map_err(|error| self.wrong(error))?;
        // It may wait for the interface, or for the end of the connection before.
        line.receive().await.map_err(|error| self.wrong(error))?;
        let link = line.take_event();
        let interface = &*self.needed.interface;
        match link {
            Some(Event::Link(_, name)) if name.octets() == interface.as_bytes() => {}
            Some(Event::Link(_, name)) => {
                return Err(self.wrong(format_args!(
                    "expected the keeper of {interface}, got that of {name}"
                )));
            }
            _ => return Err(self.wrong("expected the state of the link first")),
        }
        let has_port = match line.order(Order::Close).await {
            Ok(Ok(())) => true,
            Ok(Err(Reason::NoPort)) => false,
            Ok(Err(reason)) => return Err(self.wrong(reason)),
            Err(error) => return Err(self.wrong(error)),
        };
        link.into_iter().for_each(|link| line.put_back(link));
        match (self.needed.at_stop.is_some(), has_port) {
            (true, false) => {
                Err(self.wrong("expected a keeper of the controlled port, got one that keeps none"))
            }
            (false, true) => {
                Err(self
                    .wrong("expected a keeper that only relays, got one of the controlled port"))
            }
            _ => Ok(line),
        }
    }

    fn wrong(&self, reason: impl std::fmt::Display) -> io::Error {
        io::Error::other(format!("{}: {reason}", self.socket.display()))
    }
}
