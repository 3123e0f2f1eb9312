//! The connection for programs on tokio.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram as StdUnixDatagram;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use softsim_keyd_proto::requests::Wait;
use softsim_keyd_proto::{Call, MAX_ANSWER, RequestKind, StatusAnswer};
use tokio::net::UnixDatagram;
use tokio::task::spawn_blocking;

use super::{Connection, Error, decode, encode, failed, received};

/// A [`Connection`] that several tasks share; their requests queue.
///
/// Exchanges run on tokio's blocking threads. They take microseconds, and an exchange runs to its
/// end even if its future is dropped, so that answers never get out of step.
#[derive(Clone, Debug)]
pub struct AsyncConnection(Arc<Mutex<Connection>>);

impl From<Connection> for AsyncConnection {
    fn from(connection: Connection) -> Self {
        Self(Arc::new(Mutex::new(connection)))
    }
}

impl AsyncConnection {
    /// Connects to a socket and exchanges Hello.
    pub async fn connect(path: &Path) -> Result<Self, Error> {
        let path = path.to_owned();
        let connection = run(move || Connection::connect(&path)).await?;
        Ok(connection.into())
    }

    /// Sends a request, and waits for the answer.
    pub async fn call<C: Call>(&self, call: &C) -> Result<C::Answer, Error> {
        let request = encode(call)?;
        let connection = Arc::clone(&self.0);
        let answer = run(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            connection.exchange(C::KIND, &request)
        });
        decode::<C>(&answer.await?)
    }

    /// Sends a request from a callback that can't await, and blocks the thread until the answer
    /// arrives.
    pub fn call_blocking<C: Call>(&self, call: &C) -> Result<C::Answer, Error> {
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connection.call(call)
    }
}

/// A connection that waits for keyd to change or to end.
#[derive(Debug)]
pub struct Watch {
    socket: UnixDatagram,
    /// Whether keyd has yet to answer.
    waits: bool,
}

impl Watch {
    /// Takes a connection. Call it in a tokio runtime with an I/O driver.
    pub fn new(connection: Connection) -> Result<Self, Error> {
        let socket = OwnedFd::from(connection.socket.ok_or(Error::Closed)?);
        // tokio has no type for sequenced packets, but they are received like datagrams.
        let socket = StdUnixDatagram::from(socket);
        socket.set_nonblocking(true).map_err(Error::Socket)?;
        Ok(Self {
            socket: UnixDatagram::from_std(socket).map_err(Error::Socket)?,
            waits: false,
        })
    }

    /// Waits until keyd has changed more often than `seen` says, however long that takes, and
    /// returns its status. May be cancelled: the next call then continues to wait, with the `seen`
    /// of this one.
    ///
    /// # Errors
    /// [`Error::Closed`] as soon as keyd ends. After any error but [`Error::Refused`], the
    /// connection can't be used.
    pub async fn status_after(&mut self, seen: u64) -> Result<StatusAnswer, Error> {
        let failed = |error| failed(RequestKind::Wait, error);
        if !self.waits {
            let request = encode(&Wait { seen })?;
            self.socket.send(&request).await.map_err(failed)?;
            self.waits = true;
        }
        let mut answer = vec![0; MAX_ANSWER + 1];
        let length = self.socket.recv(&mut answer).await.map_err(failed)?;
        self.waits = false;
        decode::<Wait>(received(RequestKind::Wait, &answer, length)?)
    }
}

async fn run<T: Send + 'static>(
    exchange: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match spawn_blocking(exchange).await {
        Ok(result) => result,
        Err(error) => Err(Error::Socket(io::Error::other(error))),
    }
}
