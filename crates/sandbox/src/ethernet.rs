//! Frames of one EtherType on one interface, past the network stack (packet(7)), and whether the interface has a link
//! (rtnetlink(7)).
//!
//! Both sockets are opened before a process is confined; afterwards recvfrom(2) and sendto(2) are all they take.

use std::ffi::CString;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::netlink::{LONGEST, NLMSGHDR, Netlink};
use crate::sys;

/// A MAC address.
pub type Address = [u8; 6];

/// The index by which the kernel knows an interface.
///
/// # Errors
/// `NotFound` or whatever the kernel says if there is none of this name.
pub fn index(interface: &str) -> io::Result<u32> {
    let name = CString::new(interface)?;
    // SAFETY: the kernel reads a string that ends in NUL and outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// What an interface has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// A link.
    Up,
    /// No link at present.
    Down,
    /// The interface itself is no more; one of the same name that comes later is another one.
    Gone,
}

/// Whether an error says that the interface itself is gone, and not only its link.
pub fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENXIO))
}

/// A socket for the frames of one EtherType on one interface, non-blocking.
#[derive(Debug)]
pub struct FrameSocket {
    socket: OwnedFd,
    index: u32,
    ethertype: u16,
}

/// A frame's payload lies at the start of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Octets of it, at most those of the buffer.
    pub length: usize,
    /// Who sent the frame.
    pub source: Address,
    /// Whether it was addressed to this interface alone.
    pub unicast: bool,
}

impl FrameSocket {
    /// Opens the socket, and takes frames to the multicast address `group` too. Takes CAP_NET_RAW.
    ///
    /// # Errors
    /// `PermissionDenied` without the capability, and whatever the kernel says of the interface.
    pub fn open(interface: &str, ethertype: u16, group: Address) -> io::Result<FrameSocket> {
        let index = index(interface)?;
        const KIND: libc::c_int = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // Protocol 0: nothing arrives before the socket is bound to the interface.
        // SAFETY: the call takes numbers only.
        let fd = sys::check(unsafe { libc::socket(libc::AF_PACKET, KIND, 0) })?;
        // SAFETY: the descriptor is open, and nobody else owns it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let frames = FrameSocket {
            socket,
            index,
            ethertype,
        };
        let address = frames.address([0; 6]);
        // SAFETY: the kernel reads one address that outlives the call.
        sys::check(unsafe { libc::bind(fd, (&raw const address).cast(), ADDRESS) })?;
        frames.join(group)?;
        Ok(frames)
    }

    /// Takes one frame, if there is one; `None` where it was not for us.
    ///
    /// # Errors
    /// `WouldBlock` where none waits; `NetworkDown` once when the interface goes down.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut from = self.address([0; 6]);
        let mut length = ADDRESS;
        // SAFETY: the kernel writes at most `len` octets to a slice borrowed for the whole call, and at most `length`
        // octets, its size, to the address.
        let received = sys::retry(|| unsafe {
            libc::recvfrom(
                self.socket.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                libc::MSG_DONTWAIT,
                (&raw mut from).cast(),
                &mut length,
            )
        })?;
        let [a, b, c, d, e, f, ..] = from.sll_addr;
        let unicast = from.sll_pkttype == libc::PACKET_HOST;
        let ours = unicast || from.sll_pkttype == libc::PACKET_MULTICAST;
        Ok(ours.then_some(Received {
            length: received as usize,
            source: [a, b, c, d, e, f],
            unicast,
        }))
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// `NetworkDown` and the like; the frame is lost then.
    pub fn send(&self, destination: Address, payload: &[u8]) -> io::Result<()> {
        const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let address = self.address(destination);
        // SAFETY: the kernel reads `len` octets from a slice borrowed for the whole call, and one address that outlives it.
        sys::retry(|| unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                payload.as_ptr().cast(),
                payload.len(),
                FLAGS,
                (&raw const address).cast(),
                ADDRESS,
            )
        })?;
        Ok(())
    }

    fn address(&self, to: Address) -> libc::sockaddr_ll {
        // SAFETY: sockaddr_ll is plain numbers, for which zeros are valid.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = self.ethertype.to_be();
        address.sll_ifindex = self.index as libc::c_int;
        address.sll_halen = to.len() as u8;
        address.sll_addr[..to.len()].copy_from_slice(&to);
        address
    }

    fn join(&self, group: Address) -> io::Result<()> {
        // SAFETY: packet_mreq is plain numbers, for which zeros are valid.
        let mut request: libc::packet_mreq = unsafe { mem::zeroed() };
        request.mr_ifindex = self.index as libc::c_int;
        request.mr_type = libc::PACKET_MR_MULTICAST as u16;
        request.mr_alen = group.len() as u16;
        request.mr_address[..group.len()].copy_from_slice(&group);
        // SAFETY: the kernel reads one request that outlives the call.
        sys::check(unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_ADD_MEMBERSHIP,
                (&raw const request).cast(),
                mem::size_of_val(&request) as libc::socklen_t,
            )
        })?;
        Ok(())
    }
}

impl AsFd for FrameSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

const ADDRESS: libc::socklen_t = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;

/// Tells when an interface gets or loses its link, non-blocking.
#[derive(Debug)]
pub struct LinkMonitor {
    socket: Netlink,
    index: u32,
}

impl LinkMonitor {
    /// Opens the monitor and asks for the present state, which comes first.
    ///
    /// # Errors
    /// Whatever the kernel says of the interface or the socket.
    pub fn open(interface: &str) -> io::Result<LinkMonitor> {
        let index = index(interface)?;
        let socket = Netlink::open(libc::NETLINK_ROUTE, libc::RTMGRP_LINK as u32)?;
        let monitor = LinkMonitor { socket, index };
        monitor.ask()?;
        Ok(monitor)
    }

    /// The latest news; `None` where they were about another interface.
    ///
    /// # Errors
    /// `WouldBlock` where there are none.
    pub fn receive(&self) -> io::Result<Option<Link>> {
        let mut buffer = [0; LONGEST];
        match self.socket.receive(&mut buffer) {
            Ok(datagram) => Ok(link_in(datagram, self.index)),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                // Some news were lost, so the state is asked for anew.
                self.ask()?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// RTM_GETLINK for the interface.
    fn ask(&self) -> io::Result<()> {
        let mut request = [0; NLMSGHDR + IFINFOMSG];
        request[..4].copy_from_slice(&((NLMSGHDR + IFINFOMSG) as u32).to_ne_bytes());
        request[4..6].copy_from_slice(&libc::RTM_GETLINK.to_ne_bytes());
        request[6..8].copy_from_slice(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
        request[NLMSGHDR + 4..NLMSGHDR + 8].copy_from_slice(&self.index.to_ne_bytes());
        self.socket.ask(&request)
    }
}

impl AsFd for LinkMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Octets of struct ifinfomsg.
const IFINFOMSG: usize = 16;

const NLMSG_ERROR: u16 = libc::NLMSG_ERROR as u16;
/// As struct nlmsgerr has it.
const NO_DEVICE: u32 = (-libc::ENODEV).cast_unsigned();

/// What a datagram's last message about the interface says of its link.
fn link_in(mut datagram: &[u8], index: u32) -> Option<Link> {
    let mut link = None;
    while datagram.len() >= NLMSGHDR {
        let length = number(datagram, 0)? as usize;
        let kind = number(datagram, 4)? & 0xffff;
        let message = datagram.get(NLMSGHDR..length)?;
        link = match u16::try_from(kind) {
            Ok(libc::RTM_NEWLINK) => link_of(message, index).or(link),
            Ok(libc::RTM_DELLINK) if link_of(message, index).is_some() => Some(Link::Gone),
            // The answer to the one question that is asked.
            Ok(NLMSG_ERROR) if number(message, 0) == Some(NO_DEVICE) => Some(Link::Gone),
            _ => link,
        };
        datagram = datagram
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    link
}

/// What a struct ifinfomsg says, where it is about the interface as such: a bridge that an interface leaves says
/// RTM_DELLINK too, with its own family.
fn link_of(message: &[u8], index: u32) -> Option<Link> {
    const UP: u32 = (libc::IFF_UP | libc::IFF_LOWER_UP) as u32;
    let flags = number(message, 8)?;
    let family = libc::c_int::from(*message.first()?);
    if (family, number(message, 4)?) != (libc::AF_UNSPEC, index) {
        return None;
    }
    Some(match flags & UP == UP {
        true => Link::Up,
        false => Link::Down,
    })
}

fn number(octets: &[u8], at: usize) -> Option<u32> {
    let octets = octets.get(at..at + 4)?;
    Some(u32::from_ne_bytes(octets.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn message(kind: u16, index: u32, flags: libc::c_int) -> Vec<u8> {
        let mut message = vec![0; NLMSGHDR + IFINFOMSG];
        message[..4].copy_from_slice(&32u32.to_ne_bytes());
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message[20..24].copy_from_slice(&index.to_ne_bytes());
        message[24..28].copy_from_slice(&(flags as u32).to_ne_bytes());
        message
    }

    #[test]
    fn the_last_message_about_the_interface_counts() {
        let up = libc::IFF_UP | libc::IFF_LOWER_UP;
        let link = message(libc::RTM_NEWLINK, 7, up);
        assert_eq!(link_in(&link, 7), Some(Link::Up));
        assert_eq!(link_in(&link, 8), None);
        let cut = message(libc::RTM_NEWLINK, 7, libc::IFF_UP);
        assert_eq!(
            link_in(&[link.clone(), cut.clone()].concat(), 7),
            Some(Link::Down)
        );
        assert_eq!(link_in(&[cut, link].concat(), 7), Some(Link::Up));
    }

    #[test]
    fn an_interface_that_vanishes_has_not_only_lost_its_link() {
        let up = libc::IFF_UP | libc::IFF_LOWER_UP;
        let link = message(libc::RTM_NEWLINK, 7, up);
        let mut gone = message(libc::RTM_DELLINK, 7, up);
        assert_eq!(
            link_in(&[link.clone(), gone.clone()].concat(), 7),
            Some(Link::Gone)
        );
        assert_eq!(link_in(&gone, 8), None);
        let mut unknown = message(NLMSG_ERROR, 0, 0);
        unknown[16..20].copy_from_slice(&NO_DEVICE.to_ne_bytes());
        assert_eq!(link_in(&unknown, 7), Some(Link::Gone));
        // It has left a bridge.
        gone[16] = libc::AF_BRIDGE as u8;
        assert_eq!(link_in(&[link, gone].concat(), 7), Some(Link::Up));
    }

    #[test]
    fn truncated_and_empty_messages_say_nothing() {
        let link = message(libc::RTM_NEWLINK, 7, libc::IFF_UP | libc::IFF_LOWER_UP);
        for length in 0..link.len() {
            assert_eq!(link_in(&link[..length], 7), None);
        }
        assert_eq!(link_in(&[0; 64], 0), None);
    }

    #[test]
    fn the_loopback_interface_tells_its_link() {
        let monitor = LinkMonitor::open("lo").unwrap();
        // The kernel answers a request for a link before sendto returns.
        assert!(monitor.receive().unwrap().is_some());
        let error = monitor.receive().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(index("no-such-if").is_err());
    }
}
