//! Words to the service manager: sd_notify(3), with a socket that is connected before the sandbox closes.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::socket::Socket;

/// The connection to the service manager, or nothing where there is none.
#[derive(Debug)]
pub struct Notify(Option<Socket>);

impl Notify {
    /// Connects to the socket that NOTIFY_SOCKET names: a path, or `@` and an abstract name.
    ///
    /// # Errors
    /// The variable is set and its socket can't be reached.
    pub fn from_env() -> io::Result<Notify> {
        let Some(name) = env::var_os("NOTIFY_SOCKET") else {
            return Ok(Notify(None));
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address(&name)?)?;
        Ok(Notify(Some(OwnedFd::from(socket).into())))
    }

    /// The process serves.
    ///
    /// # Errors
    /// The service manager doesn't read: `WouldBlock`.
    pub fn ready(&self) -> io::Result<()> {
        self.send(b"READY=1")
    }

    /// The process is alive.
    ///
    /// # Errors
    /// The service manager doesn't read: `WouldBlock`.
    pub fn watchdog(&self) -> io::Result<()> {
        self.send(b"WATCHDOG=1")
    }

    fn send(&self, state: &[u8]) -> io::Result<()> {
        match &self.0 {
            Some(socket) => socket.send(state),
            None => Ok(()),
        }
    }
}

/// The time within which the service manager wants to hear [`Notify::watchdog`], if it does.
pub fn watchdog_period() -> Option<Duration> {
    let for_us = match env::var("WATCHDOG_PID") {
        Ok(pid) => pid.parse() == Ok(std::process::id()),
        Err(_) => true,
    };
    let period = env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    (for_us && period > 0).then(|| Duration::from_micros(period))
}

fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}
