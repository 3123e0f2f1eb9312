//! Messages to the service manager: sd_notify(3), over a socket that is connected before the
//! process is confined.

use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;
use std::{env, io};

use crate::socket::Socket;
use crate::sys;

/// The connection to the service manager, if there is one.
#[derive(Debug)]
pub struct Notify {
    socket: Option<Socket>,
    watchdog_period: Option<Duration>,
}

impl Notify {
    /// Connects to the socket that NOTIFY_SOCKET names: a path, or `@` and an abstract name.
    ///
    /// This also reads the watchdog's settings: see [`watchdog_period`].
    ///
    /// # Errors
    /// The variable is set and its socket can't be reached.
    pub fn from_env() -> io::Result<Notify> {
        let socket = env::var_os("NOTIFY_SOCKET").map(|name| {
            let socket = UnixDatagram::unbound()?;
            socket.connect_addr(&address(&name)?)?;
            Ok::<_, io::Error>(OwnedFd::from(socket).into())
        });
        Ok(Notify {
            socket: socket.transpose()?,
            watchdog_period: watchdog_period(),
        })
    }

    /// Moves the socket, if there is one, to the place of standard output, for good. A filter that
    /// names this number keeps the process from connecting the socket to another one.
    ///
    /// # Errors
    /// Never on a working kernel.
    pub fn replace_standard_output(self) -> io::Result<Notify> {
        let moved = self.socket.map(|socket| {
            // SAFETY: the call takes numbers. Nobody owns standard output.
            sys::check(unsafe { libc::dup2(socket.raw(), libc::STDOUT_FILENO) })?;
            Ok::<_, io::Error>(Socket::own(libc::STDOUT_FILENO))
        });
        Ok(Notify {
            socket: moved.transpose()?,
            ..self
        })
    }

    /// Reports that the process is ready.
    ///
    /// # Errors
    /// The service manager doesn't read: `WouldBlock`.
    pub fn ready(&self) -> io::Result<()> {
        self.send(b"READY=1")
    }

    /// Reports that the process is alive.
    ///
    /// # Errors
    /// The service manager doesn't read: `WouldBlock`.
    pub fn watchdog(&self) -> io::Result<()> {
        self.send(b"WATCHDOG=1")
    }

    /// Reports that the process reads its configuration again, since this time on the monotonic
    /// clock. It is [`Self::ready`] afterwards.
    ///
    /// # Errors
    /// The service manager doesn't read: `WouldBlock`.
    pub fn reloading(&self, since: Duration) -> io::Result<()> {
        let mut state = [0; 64];
        let mut rest = &mut state[..];
        // The longest number has 20 digits.
        write!(
            rest,
            "RELOADING=1\nMONOTONIC_USEC={}",
            since.as_micros() as u64
        )?;
        let length = 64 - rest.len();
        self.send(&state[..length])
    }

    /// Reports that the process is about to end.
    ///
    /// # Errors
    /// The service manager doesn't read: `WouldBlock`.
    pub fn stopping(&self) -> io::Result<()> {
        self.send(b"STOPPING=1")
    }

    fn send(&self, state: &[u8]) -> io::Result<()> {
        match &self.socket {
            Some(socket) => socket.send(state),
            None => Ok(()),
        }
    }
}

/// Tells the service manager that a loop is alive, once in each half of the watchdog period.
#[derive(Debug)]
pub struct Watchdog {
    notify: Notify,
    interval: Option<Duration>,
    last: Duration,
}

impl From<Notify> for Watchdog {
    fn from(notify: Notify) -> Watchdog {
        Watchdog {
            interval: notify.watchdog_period.map(|period| period / 2),
            notify,
            last: Duration::ZERO,
        }
    }
}

impl Watchdog {
    /// How long the loop may wait at most, so that [`Self::turn`] is called in time.
    pub fn interval(&self) -> Option<Duration> {
        self.interval
    }

    /// Reports that the loop is alive, if a message is due. `now` is the time of a clock that never
    /// goes back.
    pub fn turn(&mut self, now: Duration) {
        if self
            .interval
            .is_some_and(|interval| now >= self.last + interval)
        {
            // If the service manager doesn't read, it misses the message and acts accordingly.
            let _ = self.notify.watchdog();
            self.last = now;
        }
    }

    /// Reports that the loop has ended.
    pub fn stopping(&self) {
        // As above.
        let _ = self.notify.stopping();
    }
}

/// The period in which the service manager expects [`Notify::watchdog`], if it expects it at all.
/// This calls getpid(2), which the filters forbid.
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
