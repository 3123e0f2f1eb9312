//! A socket of a type that tokio doesn't know, in tokio's event loop.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram as StdUnixDatagram;

use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// A non-blocking socket, and a copy of its descriptor on which tokio waits for events. tokio takes
/// it for one of its own sockets.
#[derive(Debug)]
pub(crate) struct AsyncSocket<T> {
    inner: T,
    events: UnixDatagram,
}

impl<T: AsFd> AsyncSocket<T> {
    /// Takes the socket. A runtime must exist.
    pub(crate) fn new(inner: T) -> io::Result<Self> {
        let copy = inner.as_fd().try_clone_to_owned()?;
        Ok(Self {
            inner,
            events: UnixDatagram::from_std(StdUnixDatagram::from(copy))?,
        })
    }

    /// The socket.
    pub(crate) fn inner(&self) -> &T {
        &self.inner
    }

    /// Calls `receive` whenever the socket may be readable, until it returns something.
    pub(crate) async fn receive<R>(
        &self,
        mut receive: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        let receive = || receive(&self.inner);
        self.events.async_io(Interest::READABLE, receive).await
    }
}
