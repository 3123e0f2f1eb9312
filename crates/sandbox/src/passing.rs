//! Descriptors that one process passes to another (SCM_RIGHTS), over a SOCK_SEQPACKET pair that is
//! standard input in both.
//!
//! No seccomp filter sees which socket a descriptor number means, but a filter can name a number.
//! A process whose filter allows recvmsg(2) on number 0 alone, and neither closes nor replaces that
//! number, receives descriptors from nobody but its partner.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::{io, mem, ptr};

use crate::seqpacket::{Connection, Received};
use crate::socket::Socket;
use crate::sys;

/// The number of the socket, which is open as long as the process lives.
const NUMBER: RawFd = libc::STDIN_FILENO;

/// The end that receives descriptors.
#[derive(Clone, Copy, Debug)]
pub struct Inbox(BorrowedFd<'static>);

/// A control message with one descriptor, as the kernel aligns it.
#[repr(C)]
struct OneDescriptor {
    header: libc::cmsghdr,
    descriptor: RawFd,
    padding: u32,
}

impl OneDescriptor {
    /// CMSG_LEN, without the padding.
    const LENGTH: usize = mem::offset_of!(OneDescriptor, padding);

    fn new(descriptor: RawFd) -> Self {
        // SAFETY: a cmsghdr is plain numbers, for which zeros are valid.
        let mut header: libc::cmsghdr = unsafe { mem::zeroed() };
        header.cmsg_len = Self::LENGTH as _;
        header.cmsg_level = libc::SOL_SOCKET;
        header.cmsg_type = libc::SCM_RIGHTS;
        Self {
            header,
            descriptor,
            padding: 0,
        }
    }

    /// The descriptor that the kernel has put here, if it has.
    fn take(&self) -> Option<OwnedFd> {
        let header = &self.header;
        let passed = header.cmsg_len == Self::LENGTH as _
            && self.descriptor >= 0
            && (header.cmsg_level, header.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS);
        // SAFETY: the kernel has just opened this descriptor for us; the message is not looked at
        // again.
        passed.then(|| unsafe { OwnedFd::from_raw_fd(self.descriptor) })
    }
}

/// Sends one datagram with a descriptor to the partner, without waiting.
///
/// # Errors
/// As [`Connection::send`].
pub fn pass(datagram: &[u8], descriptor: &impl AsFd) -> io::Result<()> {
    const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let mut control = OneDescriptor::new(descriptor.as_fd().as_raw_fd());
    let mut piece = libc::iovec {
        iov_base: datagram.as_ptr().cast_mut().cast(),
        iov_len: datagram.len(),
    };
    let message = message(&mut piece, &mut control);
    // SAFETY: the kernel reads the datagram and the control message, which outlive the call.
    sys::retry(|| unsafe { libc::sendmsg(NUMBER, &message, FLAGS) })?;
    Ok(())
}

impl Inbox {
    /// Puts a connection in the place of standard input, for good.
    ///
    /// # Errors
    /// Never on a working kernel.
    pub fn replace_standard_input(connection: Connection) -> io::Result<Self> {
        let connection = OwnedFd::from(connection);
        // SAFETY: the call takes numbers. Nobody owns standard input.
        sys::check(unsafe { libc::dup2(connection.as_raw_fd(), NUMBER) })?;
        // SAFETY: the number is open now, and nobody closes standard input.
        Ok(Self(unsafe { BorrowedFd::borrow_raw(NUMBER) }))
    }

    /// Sends one datagram whole, without waiting.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send(&self, datagram: &[u8]) -> io::Result<()> {
        // It isn't dropped, which would close it.
        mem::ManuallyDrop::new(Socket::own(NUMBER)).send(datagram)
    }

    /// Receives one datagram, and the descriptor that came with it, without waiting. The kernel
    /// closes further descriptors.
    ///
    /// # Errors
    /// As [`Connection::receive`].
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<(Received, Option<OwnedFd>)> {
        const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_TRUNC | libc::MSG_CMSG_CLOEXEC;
        // If no descriptor comes, the kernel leaves it as it is.
        let mut control = OneDescriptor::new(-1);
        let mut piece = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        let mut message = message(&mut piece, &mut control);
        // SAFETY: the kernel writes at most `iov_len` octets to a slice and one control message to
        // `control`, which are borrowed for the whole call.
        let received = sys::retry(|| unsafe { libc::recvmsg(NUMBER, &mut message, FLAGS) });
        let length = match received {
            Ok(length) => length as usize,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok((Received::Nothing, None));
            }
            Err(error) => return Err(error),
        };
        let descriptor = control.take();
        let received = match length {
            0 => Received::Closed,
            _ if length > buffer.len() => Received::Truncated,
            _ => Received::Datagram(length),
        };
        Ok((received, descriptor))
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0
    }
}

/// A message of one piece and one descriptor, without an address.
fn message(piece: &mut libc::iovec, control: &mut OneDescriptor) -> libc::msghdr {
    // SAFETY: a msghdr is plain numbers and pointers, for which zeros are valid.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_name = ptr::null_mut();
    message.msg_iov = piece;
    message.msg_iovlen = 1;
    message.msg_control = ptr::from_mut(control).cast();
    // Not the padding: there is room for one descriptor, and the kernel closes a second one.
    message.msg_controllen = OneDescriptor::LENGTH as _;
    message
}
