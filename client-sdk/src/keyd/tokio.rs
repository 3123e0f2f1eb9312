//! The connection for programs on tokio.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram as StdUnixDatagram;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use softsim_keyd_proto::Call;
use tokio::net::UnixDatagram;
use tokio::task::spawn_blocking;

use super::{Connection, Error, decode, encode};

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

/// A connection that sends no request and waits until keyd ends.
#[derive(Debug)]
pub struct Watch(UnixDatagram);

impl Watch {
    /// Takes a connection. Call it in a tokio runtime with an I/O driver.
    pub fn new(connection: Connection) -> Result<Self, Error> {
        let socket = OwnedFd::from(connection.socket.ok_or(Error::Closed)?);
        // tokio has no type for sequenced packets, but they are received like datagrams.
        let socket = StdUnixDatagram::from(socket);
        socket.set_nonblocking(true).map_err(Error::Socket)?;
        UnixDatagram::from_std(socket)
            .map(Self)
            .map_err(Error::Socket)
    }

    /// Completes when keyd closes the connection or ends.
    pub async fn ended(&self) {
        // keyd sends nothing on this connection, so any result means that it ended.
        let _ = self.0.recv(&mut [0]).await;
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
