//! A socket of a kind that tokio doesn't know, in tokio's event loop.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram as StdUnixDatagram;

use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// A non-blocking socket, and a copy of its descriptor whose events are waited for: tokio takes
/// any socket for one of its own.
#[derive(Debug)]
pub(crate) struct AsyncSocket<T> {
    inner: T,
    events: UnixDatagram,
}

impl<T: AsFd> AsyncSocket<T> {
    /// Takes the socket over, within a runtime.
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

    /// Calls `receive` whenever there may be something, until it finds something.
    pub(crate) async fn receive<R>(
        &self,
        mut receive: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        let receive = || receive(&self.inner);
        self.events.async_io(Interest::READABLE, receive).await
    }
}
