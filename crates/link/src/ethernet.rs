//! Frames of one EtherType on one interface, past the network stack (packet(7)), and the
//! interface's link and name (rtnetlink(7)).
//!
//! A process opens both sockets before it is confined. Afterwards, they only need recvfrom(2) and
//! sendto(2).

use std::ffi::CString;
use std::fmt::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::{io, mem};

use softsim_sandbox::poll::{self, Entry};
use softsim_sandbox::sys;

use crate::netlink::{LONGEST, Message, Messages, Netlink, messages, text_of};

/// A MAC address.
pub type Address = [u8; 6];

/// The longest name of an interface, in octets.
const LONGEST_NAME: usize = libc::IFNAMSIZ - 1;

/// The name of an interface, made of octets that the kernel accepts. When it is printed,
/// unprintable octets become `?`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    octets: [u8; LONGEST_NAME],
    length: u8,
}

impl Name {
    /// Takes 1 to 15 octets without NUL, slashes, colons and blanks.
    pub fn new(name: &[u8]) -> Option<Name> {
        let forbidden = |octet: &u8| matches!(octet, 0 | b'/' | b':' | b' ' | b'\t'..=b'\r');
        if name.is_empty() || name.iter().any(forbidden) {
            return None;
        }
        let mut octets = [0; LONGEST_NAME];
        octets.get_mut(..name.len())?.copy_from_slice(name);
        Some(Name {
            octets,
            length: name.len() as u8,
        })
    }

    /// The name.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..self.length.into()]
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.octets()
            .iter()
            .map(|octet| {
                if octet.is_ascii_graphic() {
                    *octet
                } else {
                    b'?'
                }
            })
            .try_for_each(|octet| f.write_char(octet.into()))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The kernel's index of an interface, which stays the same when the interface is renamed.
///
/// # Errors
/// `NotFound`, or another error of the kernel, if there is no interface with this name or
/// alternative name.
pub fn index(interface: &str) -> io::Result<u32> {
    let name = CString::new(interface)?;
    // SAFETY: the kernel reads a string that ends in NUL and outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// The index of an interface that may appear late. It waits for that, unless `end` becomes readable
/// first: then there is none.
///
/// # Errors
/// An error of the kernel.
pub fn appearance(interface: &str, end: &impl AsFd) -> io::Result<Option<u32>> {
    // No interface has this index, so that no report is about it. They only wake this up.
    let monitor = LinkMonitor::open(0)?;
    loop {
        match index(interface) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
            outcome => return outcome.map(Some),
        }
        let mut entries = [Entry::readable(&monitor), Entry::readable(end)];
        poll::wait(&mut entries, None)?;
        if entries[1].ready() {
            return Ok(None);
        }
        while monitor.receive().is_ok() {}
    }
}

/// The state of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The interface has a link.
    Up,
    /// The interface has no link at present.
    Down,
    /// The interface doesn't exist any more. A later one of the same name is another interface.
    Gone,
}

/// A socket for the frames of one EtherType on one interface, non-blocking.
#[derive(Debug)]
pub struct FrameSocket {
    socket: OwnedFd,
    index: u32,
    ethertype: u16,
}

/// A received frame, whose payload is at the start of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The length of the payload in octets, at most that of the buffer.
    pub length: usize,
    /// The sender of the frame.
    pub source: Address,
    /// Whether it was addressed to this interface alone.
    pub unicast: bool,
}

impl FrameSocket {
    /// Opens the socket on the interface with this index. It also receives frames to the multicast
    /// address `group`. This needs CAP_NET_RAW.
    ///
    /// If the interface is a port of a bridge, the bridge takes the frames to the interface's own
    /// address before a socket of their EtherType sees them. Only a socket of every EtherType
    /// comes before the bridge. So this is one, whose filter nobody can remove any more, and which
    /// lets no other EtherType pass.
    ///
    /// # Errors
    /// `PermissionDenied` without the capability, or another error of the kernel.
    pub fn open(index: u32, ethertype: u16, group: Address) -> io::Result<FrameSocket> {
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
        frames.filter()?;
        let mut address = frames.address([0; 6]);
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        // SAFETY: the kernel reads one address that outlives the call.
        sys::check(unsafe { libc::bind(fd, (&raw const address).cast(), ADDRESS) })?;
        frames.join(group)?;
        Ok(frames)
    }

    /// Receives one frame.
    ///
    /// # Errors
    /// `WouldBlock` if there is none; `NetworkDown` once when the interface goes down.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut from = self.address([0; 6]);
        let mut length = ADDRESS;
        // SAFETY: the kernel writes at most `len` octets to a slice borrowed for the whole call,
        // and at most `length` octets, its size, to the address.
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
        Ok(Received {
            length: received as usize,
            source: [a, b, c, d, e, f],
            unicast: from.sll_pkttype == libc::PACKET_HOST,
        })
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// `NetworkDown`, for example. The frame is lost then.
    pub fn send(&self, destination: Address, payload: &[u8]) -> io::Result<()> {
        const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let address = self.address(destination);
        // SAFETY: the kernel reads `len` octets from a slice borrowed for the whole call, and one
        // address that outlives it.
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

    /// Has the kernel drop everything but frames of the EtherType to this interface or to a group,
    /// for as long as the socket exists.
    fn filter(&self) -> io::Result<()> {
        let mut program = only(self.ethertype);
        let filter = libc::sock_fprog {
            len: program.len() as u16,
            filter: program.as_mut_ptr(),
        };
        self.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)?;
        let on: libc::c_int = 1;
        self.set(libc::SOL_SOCKET, libc::SO_LOCK_FILTER, &on)?;
        // Otherwise, the kernel would copy each frame that the interface sends for this socket.
        self.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &on)
    }

    fn join(&self, group: Address) -> io::Result<()> {
        // SAFETY: packet_mreq is plain numbers, for which zeros are valid.
        let mut request: libc::packet_mreq = unsafe { mem::zeroed() };
        request.mr_ifindex = self.index as libc::c_int;
        request.mr_type = libc::PACKET_MR_MULTICAST as u16;
        request.mr_alen = group.len() as u16;
        request.mr_address[..group.len()].copy_from_slice(&group);
        self.set(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
    }

    /// Sets an option of the socket.
    fn set<T>(&self, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
        // SAFETY: the kernel reads one value that outlives the call; a filter's program outlives
        // the call in `filter`, too, and has the length that the filter states.
        sys::check(unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                level,
                option,
                std::ptr::from_ref(value).cast(),
                mem::size_of::<T>() as libc::socklen_t,
            )
        })?;
        Ok(())
    }
}

/// The kernel's program that accepts frames of this EtherType, to this interface alone or to a
/// group, and of no VLAN: such a frame is for another interface of this host, or for another
/// station. A frame of VLAN 0, whose tag only states a priority, counts as untagged.
fn only(ethertype: u16) -> [libc::sock_filter; 12] {
    const ABOUT: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let step = |code: u32, k: u32, jt, jf| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let about = |what: libc::c_int| step(ABOUT, (libc::SKF_AD_OFF + what) as u32, 0, 0);
    [
        about(libc::SKF_AD_PROTOCOL),
        step(EQUAL, ethertype.into(), 0, 9),
        about(libc::SKF_AD_PKTTYPE),
        step(EQUAL, libc::PACKET_HOST.into(), 1, 0),
        step(EQUAL, libc::PACKET_MULTICAST.into(), 0, 6),
        about(libc::SKF_AD_VLAN_TAG_PRESENT),
        step(EQUAL, 0, 3, 0),
        about(libc::SKF_AD_VLAN_TAG),
        step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0x0fff, 0, 0),
        step(EQUAL, 0, 0, 1),
        step(libc::BPF_RET | libc::BPF_K, u32::MAX, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
    ]
}

impl AsFd for FrameSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

const ADDRESS: libc::socklen_t = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;

/// A report about an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// Its link.
    pub link: Link,
    /// Its present name, if it was reported too.
    pub name: Option<Name>,
}

/// Reports when an interface gets or loses its link, or is renamed; non-blocking.
#[derive(Debug)]
pub struct LinkMonitor {
    socket: Netlink,
    index: u32,
    question: Messages,
}

impl LinkMonitor {
    /// Opens the monitor of the interface with this index, and asks for the present state, which is
    /// the first report.
    ///
    /// # Errors
    /// The kernel refuses the socket.
    pub fn open(index: u32) -> io::Result<LinkMonitor> {
        let mut about = [0; IFINFOMSG];
        about[4..8].copy_from_slice(&index.to_ne_bytes());
        let mut question = Messages::with_capacity(0);
        question.message(libc::RTM_GETLINK, libc::NLM_F_REQUEST, &about, |_| {});
        let monitor = LinkMonitor {
            socket: Netlink::open(libc::NETLINK_ROUTE, libc::RTMGRP_LINK as u32)?,
            index,
            question,
        };
        monitor.socket.send(&monitor.question)?;
        Ok(monitor)
    }

    /// The latest report; `None` if it was about another interface.
    ///
    /// # Errors
    /// `WouldBlock` if there is none.
    pub fn receive(&self) -> io::Result<Option<News>> {
        let mut buffer = [0; LONGEST];
        match self.socket.receive(&mut buffer) {
            Ok(datagram) => Ok(news_in(datagram, self.index)),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                // Some reports were lost, so ask for the state again.
                self.socket.send(&self.question)?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl AsFd for LinkMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Octets of struct ifinfomsg.
const IFINFOMSG: usize = 16;

/// The report in a datagram: the link of the last message about the interface, and the last name.
fn news_in(datagram: &[u8], index: u32) -> Option<News> {
    let mut news: Option<News> = None;
    for message in messages(datagram) {
        let Some(mut latest) = news_of(&message, index) else {
            continue;
        };
        latest.name = latest.name.or(news.and_then(|before| before.name));
        news = Some(latest);
    }
    news
}

fn news_of(message: &Message<'_>, index: u32) -> Option<News> {
    let with_name = |link| News {
        link,
        name: name_of(message.body),
    };
    match message.kind {
        libc::RTM_NEWLINK => link_of(message.body, index).map(with_name),
        libc::RTM_DELLINK => link_of(message.body, index).map(|_| with_name(Link::Gone)),
        // The answer to the only question that the monitor asks.
        _ if message.error() == Some(libc::ENODEV) => Some(News {
            link: Link::Gone,
            name: None,
        }),
        _ => None,
    }
}

/// The link in a struct ifinfomsg, if the message is about the interface itself. When an interface
/// leaves a bridge, the bridge also sends RTM_DELLINK, with its own family.
fn link_of(body: &[u8], index: u32) -> Option<Link> {
    const UP: u32 = (libc::IFF_UP | libc::IFF_LOWER_UP) as u32;
    let number = |at: usize| Some(u32::from_ne_bytes(*body.get(at..)?.first_chunk()?));
    let flags = number(8)?;
    let family = libc::c_int::from(*body.first()?);
    if (family, number(4)?) != (libc::AF_UNSPEC, index) {
        return None;
    }
    Some(match flags & UP == UP {
        true => Link::Up,
        false => Link::Down,
    })
}

fn name_of(body: &[u8]) -> Option<Name> {
    let attributes = body.get(IFINFOMSG..)?;
    Name::new(text_of(attributes, libc::IFLA_IFNAME.into())?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LINK: libc::c_int = libc::IFF_UP | libc::IFF_LOWER_UP;

    fn message(kind: u16, index: u32, flags: libc::c_int, name: &str) -> Vec<u8> {
        let mut body = [0; IFINFOMSG];
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        body[8..12].copy_from_slice(&flags.to_ne_bytes());
        let mut messages = Messages::with_capacity(0);
        messages.message(kind, 0, &body, |message| {
            message.text(libc::IFLA_IFNAME.into(), name);
        });
        messages.octets().to_vec()
    }

    fn link(datagram: &[&[u8]], index: u32) -> Option<Link> {
        news_in(&datagram.concat(), index).map(|news| news.link)
    }

    #[test]
    fn the_last_message_about_the_interface_counts() {
        let up = message(libc::RTM_NEWLINK, 7, LINK, "eth1");
        let cut = message(libc::RTM_NEWLINK, 7, libc::IFF_UP, "wan0");
        assert_eq!(link(&[&up], 7), Some(Link::Up));
        assert_eq!(link(&[&up], 8), None);
        assert_eq!(link(&[&up, &cut], 7), Some(Link::Down));
        assert_eq!(link(&[&cut, &up], 7), Some(Link::Up));
        let name = |datagram: &[u8]| news_in(datagram, 7).unwrap().name;
        assert_eq!(
            name(&[up.clone(), cut.clone()].concat()),
            Name::new(b"wan0")
        );
        assert_eq!(name(&[cut, up].concat()), Name::new(b"eth1"));
    }

    #[test]
    fn an_interface_that_vanishes_has_not_only_lost_its_link() {
        let up = message(libc::RTM_NEWLINK, 7, LINK, "eth1");
        let mut gone = message(libc::RTM_DELLINK, 7, LINK, "eth1");
        assert_eq!(link(&[&up, &gone], 7), Some(Link::Gone));
        assert_eq!(link(&[&gone], 8), None);
        let mut unknown = message(libc::NLMSG_ERROR as u16, 0, 0, "");
        unknown[16..20].copy_from_slice(&(-libc::ENODEV).to_ne_bytes());
        assert_eq!(link(&[&unknown], 7), Some(Link::Gone));
        // It has left a bridge.
        gone[16] = libc::AF_BRIDGE as u8;
        assert_eq!(link(&[&up, &gone], 7), Some(Link::Up));
    }

    #[test]
    fn truncated_and_empty_messages_say_nothing() {
        let up = message(libc::RTM_NEWLINK, 7, LINK, "eth1");
        // The last three octets pad the name.
        for length in 0..up.len() - 3 {
            assert_eq!(news_in(&up[..length], 7), None);
        }
        assert_eq!(news_in(&[0; 64], 0), None);
    }

    #[test]
    fn the_loopback_interface_tells_its_link_and_its_name() {
        let monitor = LinkMonitor::open(index("lo").unwrap()).unwrap();
        // The kernel answers a request for a link before sendto returns.
        let news = monitor.receive().unwrap().unwrap();
        assert_eq!(news.name, Name::new(b"lo"));
        let error = monitor.receive().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(index("no-such-if").is_err());
    }

    #[test]
    fn a_name_is_what_the_kernel_takes_for_one_and_prints_on_one_line() {
        for name in ["", "sixteen-octets-x", "a/b", "a b", "a:b", "a\n", "a\0"] {
            assert_eq!(Name::new(name.as_bytes()), None, "{name:?}");
        }
        let name = Name::new(b"w\x1b\xe9n").unwrap();
        assert_eq!(name.to_string(), "w??n");
        assert_eq!(name.octets(), b"w\x1b\xe9n");
    }
}
