//! The sockets on which netd listens: the service manager passes them, or netd makes them.

use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::{fs, io};

use socket2::{SockRef, Type};
use softsim_sandbox::inherited;

use crate::audience::Audience;
use crate::claim::{Claim, ClaimError};
use crate::config::Config;

/// The sockets on which the service manager listens, by the names that it gives them.
#[derive(Debug)]
pub struct Inherited {
    control: Option<OwnedFd>,
    monitor: Option<OwnedFd>,
}

/// The sockets on which netd listens.
#[derive(Debug)]
pub(crate) struct Listening {
    /// For administrators.
    pub(crate) control: UnixListener,
    /// For observers, if they are served.
    pub(crate) monitor: Option<UnixListener>,
}

impl Inherited {
    /// Takes them, before the process opens anything.
    pub fn take() -> Self {
        let named = |audience: Audience| inherited::named(&audience.to_string());
        Self {
            control: named(Audience::Administrators),
            monitor: named(Audience::Observers),
        }
    }

    /// Claims the sockets that netd makes itself. A service manager that has one gives it to one
    /// netd only.
    pub(crate) fn claim(&self, config: &Config) -> Result<Vec<Claim>, ClaimError> {
        let control = self.control.is_none().then_some(&config.control_socket);
        let monitor = config.monitor_socket.as_ref();
        let monitor = monitor.filter(|_| self.monitor.is_none());
        let own = [control, monitor].into_iter().flatten();
        own.map(|path| Claim::socket(path)).collect()
    }

    /// Takes over those that are there, and makes the others.
    ///
    /// # Errors
    /// A socket can't be used, with its path.
    pub(crate) fn listen(self, config: &Config) -> Result<Listening, (PathBuf, io::Error)> {
        let path = &config.control_socket;
        let control = self
            .control
            .map_or_else(|| bind(path), |socket| adopt(socket, Some(path)));
        let configured = config.monitor_socket.as_deref();
        let monitor = match (self.monitor, configured) {
            (Some(socket), _) => Some(adopt(socket, configured)),
            (None, Some(path)) => Some(bind(path)),
            (None, None) => None,
        };
        let named = configured.unwrap_or(Path::new("the monitor socket"));
        Ok(Listening {
            control: control.map_err(|error| (path.clone(), error))?,
            monitor: (monitor.transpose()).map_err(|error| (named.to_owned(), error))?,
        })
    }
}

/// Creates the socket for netd's user and group, in place of one that an earlier process left. It
/// doesn't replace a socket on which a process listens. That process is no other netd, see
/// [`crate::claim`].
fn bind(path: &Path) -> io::Result<UnixListener> {
    match UnixStream::connect(path) {
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another process listens on this socket",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // No process listens on it.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => remove_socket(path)?,
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Takes over a socket on which the service manager listens at this path, or at any.
fn adopt(socket: OwnedFd, path: Option<&Path>) -> io::Result<UnixListener> {
    let wrong = |got: &str| {
        let expected = "expected an inherited SOCK_STREAM socket that listens at this path";
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{expected}, got {got}"),
        )
    };
    let kind = SockRef::from(&socket);
    if !kind.is_listener()? || kind.r#type()? != Type::STREAM {
        return Err(wrong("another kind of socket"));
    }
    let listener = UnixListener::from(socket);
    let at = listener.local_addr()?;
    match at.as_pathname() {
        Some(own) if path.is_none_or(|path| path == own) => listener.set_nonblocking(true)?,
        Some(own) => return Err(wrong(&own.display().to_string())),
        None => return Err(wrong("one without a path")),
    }
    Ok(listener)
}

fn remove_socket(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.file_type().is_socket() {
        fs::remove_file(path)?;
    }
    Ok(())
}
