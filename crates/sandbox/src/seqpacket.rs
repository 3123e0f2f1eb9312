//! Request sockets: AF_UNIX, SOCK_SEQPACKET, non-blocking, with one datagram for each request.
//!
//! The kernel closes descriptors that a peer attaches (SCM_RIGHTS), because there is no control
//! buffer; [`crate::passing`] has one.

use std::fs::Permissions;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::{io, mem, ptr};

use crate::peer::{Membership, Peer};
use crate::socket::{self, Socket};
use crate::sys;

/// The number of connections that may wait to be accepted.
const BACKLOG: libc::c_int = 16;

/// A listening socket.
#[derive(Debug)]
pub struct Listener(Socket);

/// One accepted or opened connection, closed on drop.
#[derive(Debug)]
pub struct Connection(Socket);

/// The result of [`Connection::receive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A whole datagram of this many octets (never 0) is at the start of the buffer.
    Datagram(usize),
    /// A datagram didn't fit, and is lost.
    Truncated,
    /// There is nothing to read yet.
    Nothing,
    /// The peer closed, or sent an empty datagram, which looks the same and means nothing.
    Closed,
}

impl Listener {
    /// Opens a listening socket at `path` with the permission bits `mode`.
    ///
    /// It replaces a socket that nobody listens on any more, and leaves anything else at `path`
    /// alone.
    ///
    /// # Errors
    /// `AddrInUse` if another process listens there or the file isn't a socket, `InvalidInput` for
    /// a path of more than 107 octets, or an error of the file system.
    pub fn bind(path: &Path, mode: u32) -> io::Result<Listener> {
        let (address, length) = address(path)?;
        remove_abandoned(path)?;
        let socket = Socket::seqpacket()?;
        // SAFETY: the kernel reads `length` octets of an address that outlives the call.
        sys::check(unsafe { libc::bind(socket.raw(), (&raw const address).cast(), length) })?;
        // Nobody can connect before listen(2), so the mode is right in time.
        std::fs::set_permissions(path, Permissions::from_mode(mode))?;
        // SAFETY: the call takes numbers only.
        sys::check(unsafe { libc::listen(socket.raw(), BACKLOG) })?;
        Ok(Listener(socket))
    }

    /// Takes the socket that a service manager passed as standard input.
    ///
    /// # Errors
    /// As [`Self::from_inherited`].
    pub fn standard_input() -> io::Result<Listener> {
        Self::from_inherited(io::stdin().as_fd().try_clone_to_owned()?)
    }

    /// Takes over a socket from the service manager.
    ///
    /// # Errors
    /// `InvalidInput` unless it is a listening SOCK_SEQPACKET socket of AF_UNIX.
    pub fn from_inherited(descriptor: OwnedFd) -> io::Result<Listener> {
        let socket = Socket::from(descriptor);
        expect_seqpacket(
            &socket,
            1,
            "expected a listening SOCK_SEQPACKET socket of AF_UNIX",
        )?;
        // SAFETY: the call takes numbers only.
        let flags = sys::check(unsafe { libc::fcntl(socket.raw(), libc::F_GETFL) })?;
        // SAFETY: the call takes numbers only.
        sys::check(unsafe { libc::fcntl(socket.raw(), libc::F_SETFL, flags | libc::O_NONBLOCK) })?;
        Ok(Listener(socket))
    }

    /// Accepts a connection, if one is waiting.
    ///
    /// # Errors
    /// There are no descriptors or no memory left. A peer that has left already is no error.
    pub fn accept(&self) -> io::Result<Option<Connection>> {
        const FLAGS: libc::c_int = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: null pointers mean that the peer's address isn't wanted.
        let accepted = sys::check(unsafe {
            libc::accept4(self.0.raw(), ptr::null_mut(), ptr::null_mut(), FLAGS)
        });
        match accepted {
            Ok(fd) => Ok(Some(Connection(Socket::own(fd)))),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::Interrupted
                | io::ErrorKind::ConnectionAborted => Ok(None),
                _ => Err(error),
            },
        }
    }
}

/// Makes two connections to each other.
///
/// # Errors
/// There are no descriptors or no memory left.
pub fn pair() -> io::Result<(Connection, Connection)> {
    const KIND: libc::c_int = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let mut ends = [-1; 2];
    // SAFETY: the kernel writes two descriptors to an array that is borrowed for the call.
    sys::check(unsafe { libc::socketpair(libc::AF_UNIX, KIND, 0, ends.as_mut_ptr()) })?;
    let [ours, theirs] = ends.map(|end| Connection(Socket::own(end)));
    Ok((ours, theirs))
}

impl Connection {
    /// Takes the connection that a parent or a service manager passed as standard input.
    ///
    /// # Errors
    /// `InvalidInput` unless it is a SOCK_SEQPACKET socket of AF_UNIX that doesn't listen,
    /// `NotConnected` without a peer.
    pub fn standard_input() -> io::Result<Connection> {
        let socket = Socket::from(io::stdin().as_fd().try_clone_to_owned()?);
        expect_seqpacket(
            &socket,
            0,
            "expected a connected SOCK_SEQPACKET socket of AF_UNIX",
        )?;
        // SAFETY: sockaddr_un is plain numbers, for which zeros are valid.
        let mut peer: libc::sockaddr_un = unsafe { mem::zeroed() };
        let mut length = mem::size_of_val(&peer) as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` octets, the address's size, to an address that
        // outlives the call.
        sys::check(unsafe {
            libc::getpeername(socket.raw(), (&raw mut peer).cast(), &mut length)
        })?;
        Ok(Connection(socket))
    }

    /// Connects to the listener at `path`.
    ///
    /// # Errors
    /// As connect(2); `WouldBlock` if too many others are waiting to be accepted.
    pub fn connect(path: &Path) -> io::Result<Connection> {
        let (address, length) = address(path)?;
        let socket = Socket::seqpacket()?;
        // SAFETY: the kernel reads `length` octets of an address that outlives the call.
        sys::check(unsafe { libc::connect(socket.raw(), (&raw const address).cast(), length) })?;
        Ok(Connection(socket))
    }

    /// The user id of the peer when it connected (or of the listener, when it began to listen);
    /// `u32::MAX`, which no user has, if the kernel doesn't tell.
    pub fn peer_uid(&self) -> u32 {
        self.peer().uid
    }

    /// Whether the peer was in one of these groups then.
    pub fn peer_is_in(&self, groups: &[u32]) -> Membership {
        self.peer().is_in(groups, &self.0)
    }

    fn peer(&self) -> Peer {
        const UNKNOWN: Peer = Peer {
            uid: u32::MAX,
            gid: u32::MAX,
        };
        Peer::of(&self.0).unwrap_or(UNKNOWN)
    }

    /// Reads one datagram, without waiting.
    ///
    /// # Errors
    /// Drop the connection, for example after `ConnectionReset`.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        // With MSG_TRUNC the result is the datagram's own length, even where the buffer is shorter.
        const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        // SAFETY: the kernel writes at most `len` octets to a slice borrowed for the whole call;
        // null pointers mean that the sender's address isn't wanted.
        let received = sys::retry(|| unsafe {
            libc::recvfrom(
                self.0.raw(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                FLAGS,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        });
        match received {
            Ok(0) => Ok(Received::Closed),
            Ok(length) if length as usize > buffer.len() => Ok(Received::Truncated),
            Ok(length) => Ok(Received::Datagram(length as usize)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Received::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Sends one datagram whole, without waiting.
    ///
    /// # Errors
    /// Drop the connection: `WouldBlock` if the peer doesn't read, `BrokenPipe` if it has left.
    pub fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.0.send(datagram)
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.0.raw()
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Connection {
    /// Takes a connection that another process has made.
    fn from(descriptor: OwnedFd) -> Connection {
        Connection(descriptor.into())
    }
}

impl From<Connection> for OwnedFd {
    /// The bare socket (non-blocking), for an event loop of another kind.
    fn from(connection: Connection) -> OwnedFd {
        connection.0.into()
    }
}

fn expect_seqpacket(
    socket: &Socket,
    listening: libc::c_int,
    expected: &'static str,
) -> io::Result<()> {
    let options = [
        (libc::SO_DOMAIN, libc::AF_UNIX),
        (libc::SO_TYPE, libc::SOCK_SEQPACKET),
        (libc::SO_ACCEPTCONN, listening),
    ];
    for (option, value) in options {
        if socket::option::<libc::c_int>(socket.raw(), option, 0)? != value {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, expected));
        }
    }
    Ok(())
}

fn address(path: &Path) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    // SAFETY: sockaddr_un is plain numbers, for which zeros are valid.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let path = path.as_os_str().as_bytes();
    // The last octet stays 0, as the end of the string.
    if path.is_empty() || path.len() >= address.sun_path.len() || path.contains(&0) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "expected a socket path of 1 to 107 octets without NUL",
        ));
    }
    for (slot, octet) in address.sun_path.iter_mut().zip(path) {
        *slot = *octet as libc::c_char;
    }
    Ok((address, mem::size_of_val(&address) as libc::socklen_t))
}

/// Removes a socket file left over by a process that is gone.
fn remove_abandoned(path: &Path) -> io::Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    let abandoned = metadata.file_type().is_socket()
        && matches!(Connection::connect(path),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused);
    if abandoned {
        std::fs::remove_file(path)
    } else {
        Err(taken())
    }
}

/// The error of [`Listener::bind`] where a live socket or another file is.
pub fn taken() -> io::Error {
    io::Error::new(
        io::ErrorKind::AddrInUse,
        "the path is taken by a live socket or another file",
    )
}
