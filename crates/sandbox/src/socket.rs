//! A socket, used only with the calls that the key process's filter allows.

use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::{io, mem, ptr};

use crate::sys;

/// An owned descriptor whose drop is one close(2): `OwnedFd` asks fcntl(2) first in debug builds,
/// which the filter does not allow.
#[derive(Debug)]
pub(crate) struct Socket(RawFd);

impl Socket {
    /// A new socket for datagrams in order, non-blocking.
    pub(crate) fn seqpacket() -> io::Result<Socket> {
        const KIND: libc::c_int = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: the call takes numbers only.
        let fd = sys::check(unsafe { libc::socket(libc::AF_UNIX, KIND, 0) })?;
        Ok(Socket(fd))
    }

    /// Takes over a descriptor that accept4(2) just returned.
    pub(crate) fn own(fd: RawFd) -> Socket {
        Socket(fd)
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.0
    }

    /// Sends one datagram whole to the connected peer, without waiting.
    pub(crate) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the kernel reads `len` octets from a slice borrowed for the whole call; the
        // address is null.
        sys::retry(|| unsafe {
            libc::sendto(
                self.0,
                datagram.as_ptr().cast(),
                datagram.len(),
                FLAGS,
                ptr::null(),
                0,
            )
        })?;
        Ok(())
    }
}

/// One option of level SOL_SOCKET, written over `value`: the C type of that option.
pub(crate) fn option<T: Copy>(socket: RawFd, option: libc::c_int, mut value: T) -> io::Result<T> {
    let mut length = mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` octets, the size of `value`; all callers pass a
    // type of plain numbers, for which every pattern is valid.
    sys::check(unsafe {
        libc::getsockopt(
            socket,
            libc::SOL_SOCKET,
            option,
            (&raw mut value).cast(),
            &mut length,
        )
    })?;
    Ok(value)
}

/// The supplementary groups of the peer of a connected socket; ERANGE if `buffer` has no room for
/// all of them.
pub(crate) fn peer_groups(socket: RawFd, buffer: &mut [u32]) -> io::Result<&[u32]> {
    let mut length = mem::size_of_val(buffer) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` octets, the size of `buffer`, which is borrowed
    // for the whole call and consists of numbers, for which every pattern is valid.
    sys::check(unsafe {
        libc::getsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            buffer.as_mut_ptr().cast(),
            &mut length,
        )
    })?;
    Ok(&buffer[..length as usize / mem::size_of::<u32>()])
}

impl From<OwnedFd> for Socket {
    fn from(descriptor: OwnedFd) -> Socket {
        Socket(descriptor.into_raw_fd())
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> OwnedFd {
        let fd = mem::ManuallyDrop::new(socket).0;
        // SAFETY: the descriptor is open, and its former owner is forgotten without a drop.
        unsafe { OwnedFd::from_raw_fd(fd) }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor stays open as long as `self` lives, hence as the borrow.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: `self` owns the descriptor and is gone after this.
        unsafe { libc::close(self.0) };
    }
}
