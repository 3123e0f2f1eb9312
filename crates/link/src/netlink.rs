//! Netlink (netlink(7)): a non-blocking socket, and messages to and from the kernel as structs,
//! lengths and attributes.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::{io, mem, ptr};

use softsim_sandbox::sys;

/// Octets of struct nlmsghdr and struct nlattr.
const NLMSGHDR: usize = 16;
const NLATTR: usize = 4;

/// The alignment of both.
const ALIGNMENT: usize = 4;

/// The longest datagram of the kernel, in octets.
pub(crate) const LONGEST: usize = 16 << 10;

#[derive(Debug)]
pub(crate) struct Netlink(OwnedFd);

impl Netlink {
    /// Opens a socket of a protocol, and joins these groups.
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

    /// Receives one datagram; `WouldBlock` if there is none, ENOBUFS if some were lost.
    pub(crate) fn receive<'b>(&self, buffer: &'b mut [u8; LONGEST]) -> io::Result<&'b [u8]> {
        // SAFETY: the kernel writes at most `len` octets to an array borrowed for the whole call;
        // null pointers mean that the sender's address isn't wanted: only the kernel and who has
        // CAP_NET_ADMIN can send here.
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

    /// Sends messages to the kernel. When this returns, the kernel has handled them, and its
    /// answers can be received.
    pub(crate) fn send(&self, messages: &Messages) -> io::Result<()> {
        let octets = messages.octets.as_slice();
        // SAFETY: the kernel reads `len` octets from a slice borrowed for the whole call; the
        // address is null, which is the kernel's.
        sys::retry(|| unsafe {
            libc::sendto(
                self.0.as_raw_fd(),
                octets.as_ptr().cast(),
                octets.len(),
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

/// A sequence of messages that are sent together.
#[derive(Debug)]
pub(crate) struct Messages {
    octets: Vec<u8>,
}

impl Messages {
    /// Makes an empty sequence, which allocates nothing more up to `capacity` octets.
    pub(crate) fn with_capacity(capacity: usize) -> Messages {
        Messages {
            octets: Vec::with_capacity(capacity),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.octets.clear();
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Adds a message of a kind: a struct, and the attributes that `attributes` adds.
    pub(crate) fn message(
        &mut self,
        kind: u16,
        flags: libc::c_int,
        head: &[u8],
        attributes: impl FnOnce(&mut Messages),
    ) {
        let start = self.octets.len();
        self.octets.extend([0; NLMSGHDR]);
        self.octets.extend(head);
        attributes(self);
        let length = (self.octets.len() - start) as u32;
        let header = &mut self.octets[start..start + NLMSGHDR];
        header[..4].copy_from_slice(&length.to_ne_bytes());
        header[4..6].copy_from_slice(&kind.to_ne_bytes());
        header[6..8].copy_from_slice(&(flags as u16).to_ne_bytes());
    }

    /// Adds an attribute, whose value `value` adds.
    pub(crate) fn nest(&mut self, kind: libc::c_int, value: impl FnOnce(&mut Messages)) {
        let start = self.octets.len();
        self.octets.extend([0; NLATTR]);
        value(self);
        let length = (self.octets.len() - start) as u16;
        let header = &mut self.octets[start..start + NLATTR];
        header[..2].copy_from_slice(&length.to_ne_bytes());
        header[2..].copy_from_slice(&(kind as u16).to_ne_bytes());
        let padded = self.octets.len().next_multiple_of(ALIGNMENT);
        self.octets.resize(padded, 0);
    }

    pub(crate) fn attribute(&mut self, kind: libc::c_int, value: &[u8]) {
        self.nest(kind, |attribute| attribute.octets.extend(value));
    }

    /// Adds a string attribute, with the NUL that the kernel expects.
    pub(crate) fn text(&mut self, kind: libc::c_int, text: impl AsRef<[u8]>) {
        self.nest(kind, |attribute| {
            attribute.octets.extend(text.as_ref());
            attribute.octets.push(0);
        });
    }

    /// Adds a number attribute in network order.
    pub(crate) fn number(&mut self, kind: libc::c_int, number: libc::c_int) {
        self.attribute(kind, &number.to_be_bytes());
    }
}

/// A message of the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    /// The octets after the header.
    pub(crate) body: &'a [u8],
}

impl Message<'_> {
    /// The error number of an NLMSG_ERROR, which is 0 in an acknowledgement.
    pub(crate) fn error(&self) -> Option<libc::c_int> {
        let negative = i32::from_ne_bytes(*self.body.first_chunk()?);
        (libc::c_int::from(self.kind) == libc::NLMSG_ERROR).then_some(-negative)
    }
}

/// The messages of a datagram, up to the first incomplete one.
pub(crate) fn messages(datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*rest.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(*rest.get(4..)?.first_chunk()?);
        let body = rest.get(NLMSGHDR..length)?;
        rest = after(rest, length);
        Some(Message { kind, body })
    })
}

/// Kind and value of the attributes in these octets, up to the first incomplete one.
pub(crate) fn attributes(octets: &[u8]) -> impl Iterator<Item = (libc::c_int, &[u8])> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?);
        let value = rest.get(NLATTR..length)?;
        rest = after(rest, length);
        Some((libc::c_int::from(kind) & libc::NLA_TYPE_MASK, value))
    })
}

/// The string of an attribute of this kind, without its NUL.
pub(crate) fn text_of(octets: &[u8], kind: libc::c_int) -> Option<&[u8]> {
    let (_, value) = attributes(octets).find(|(found, _)| *found == kind)?;
    value.strip_suffix(&[0])
}

fn after(octets: &[u8], length: usize) -> &[u8] {
    let next = length.next_multiple_of(ALIGNMENT);
    octets.get(next..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Messages {
        let mut messages = Messages::with_capacity(0);
        messages.message(7, libc::NLM_F_REQUEST, &[1, 2, 3, 4], |message| {
            message.text(1, "text");
            message.nest(2, |nest| nest.number(3, 5));
        });
        messages.message(8, 0, &[], |_| {});
        messages
    }

    #[test]
    fn what_is_written_is_read() {
        let octets = two().octets;
        let read: Vec<_> = messages(&octets).collect();
        assert_eq!([read[0].kind, read[1].kind], [7, 8]);
        assert_eq!(&read[0].body[..4], [1, 2, 3, 4]);
        assert_eq!(text_of(&read[0].body[4..], 1), Some(b"text".as_slice()));
        let nested = attributes(&read[0].body[4..]).nth(1);
        let expected: &[u8] = &[8, 0, 3, 0, 0, 0, 0, 5];
        assert_eq!(nested, Some((2, expected)));
        assert!(read[1].body.is_empty());
    }

    #[test]
    fn a_message_that_is_cut_off_is_none() {
        let octets = two().octets;
        for length in 0..octets.len() - NLMSGHDR {
            assert_eq!(messages(&octets[..length]).count(), 0, "{length}");
        }
        // Lengths below those of the headers.
        assert_eq!(messages(&[0; 64]).count(), 0);
        assert_eq!(attributes(&[0; 64]).count(), 0);
    }
}
