//! A netlink socket (netlink(7)), non-blocking: what the kernel tells its groups, and questions to it.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use crate::sys;

/// Octets of struct nlmsghdr.
pub(crate) const NLMSGHDR: usize = 16;

/// Octets that the kernel tells at once, at most.
pub(crate) const LONGEST: usize = 16 << 10;

#[derive(Debug)]
pub(crate) struct Netlink(OwnedFd);

impl Netlink {
    /// Opens a socket of a protocol and joins these groups.
    pub(crate) fn open(protocol: libc::c_int, groups: u32) -> io::Result<Netlink> {
        const KIND: libc::c_int = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: the call takes numbers only.
        let fd = sys::check(unsafe { libc::socket(libc::AF_NETLINK, KIND, protocol) })?;
        // SAFETY: the descriptor is open, and nobody else owns it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: sockaddr_nl is plain numbers, for which zeros are valid.
        let mut address: libc::sockaddr_nl = unsafe { mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as u16;
        address.nl_groups = groups;
        let length = mem::size_of_val(&address) as libc::socklen_t;
        // SAFETY: the kernel reads one address that outlives the call.
        sys::check(unsafe { libc::bind(fd, (&raw const address).cast(), length) })?;
        Ok(Netlink(socket))
    }

    /// Takes one datagram; `WouldBlock` where none waits, ENOBUFS where some were lost.
    pub(crate) fn receive<'b>(&self, buffer: &'b mut [u8; LONGEST]) -> io::Result<&'b [u8]> {
        // SAFETY: the kernel writes at most `len` octets to an array borrowed for the whole call; null pointers mean that
        // the sender's address isn't wanted: only the kernel and who has CAP_NET_ADMIN can send here.
        let received = sys::retry(|| unsafe {
            libc::recvfrom(
                self.0.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        })?;
        Ok(&buffer[..received as usize])
    }

    /// Asks the kernel.
    pub(crate) fn ask(&self, request: &[u8]) -> io::Result<()> {
        // SAFETY: the kernel reads `len` octets from a slice borrowed for the whole call; the address is null, which is
        // the kernel's.
        sys::retry(|| unsafe {
            libc::sendto(
                self.0.as_raw_fd(),
                request.as_ptr().cast(),
                request.len(),
                libc::MSG_DONTWAIT,
                ptr::null(),
                0,
            )
        })?;
        Ok(())
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
