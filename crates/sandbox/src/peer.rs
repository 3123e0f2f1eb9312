//! Who is at the other end of a socket of AF_UNIX: its user and groups when it connected.

use std::os::fd::{AsFd, AsRawFd};
use std::{fs, io};

use crate::socket;

/// The number of supplementary groups of a peer that are looked at. A process may have 65,536.
pub const MAX_GROUPS: usize = 64;

/// User and primary group of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The effective user id.
    pub uid: u32,
    /// The effective group id.
    pub gid: u32,
}

/// Whether a peer is in one of some groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It is.
    Member,
    /// It isn't.
    Stranger,
    /// Its primary group is none of them, and it has more than [`MAX_GROUPS`] others, so that
    /// none of these is known.
    TooManyGroups,
}

/// The ids that the kernel shows for every user and every group that has no number in this user
/// namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
}

impl Overflow {
    /// Those that the kernel says, or else the usual ones.
    pub fn of_this_system() -> Self {
        const USUAL: u32 = 65534;
        let shown = |path| {
            let shown = fs::read_to_string(path).ok();
            let id = shown.and_then(|shown| shown.trim().parse().ok());
            id.unwrap_or(USUAL)
        };
        Self {
            uid: shown("/proc/sys/kernel/overflowuid"),
            gid: shown("/proc/sys/kernel/overflowgid"),
        }
    }
}

impl Peer {
    /// The peer of a connected socket (or the listener of a connection, when it began to listen).
    ///
    /// # Errors
    /// It isn't such a socket.
    pub fn of(socket: &impl AsFd) -> io::Result<Self> {
        let unknown = libc::ucred {
            pid: 0,
            uid: u32::MAX,
            gid: u32::MAX,
        };
        let socket = socket.as_fd().as_raw_fd();
        let libc::ucred { uid, gid, .. } = socket::option(socket, libc::SO_PEERCRED, unknown)?;
        Ok(Self { uid, gid })
    }

    /// Whether it, the peer of `socket`, is in one of these groups. The kernel is asked for the
    /// supplementary groups only if there are some to look for.
    pub fn is_in(self, groups: &[u32], socket: &impl AsFd) -> Membership {
        if groups.is_empty() {
            return Membership::Stranger;
        }
        if groups.contains(&self.gid) {
            return Membership::Member;
        }
        let mut buffer = [0; MAX_GROUPS];
        match socket::peer_groups(socket.as_fd().as_raw_fd(), &mut buffer) {
            Ok(own) if own.iter().any(|group| groups.contains(group)) => Membership::Member,
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) => Membership::TooManyGroups,
            // The kernel knows none of such a peer, or none of these.
            Ok(_) | Err(_) => Membership::Stranger,
        }
    }
}
