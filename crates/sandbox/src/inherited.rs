//! Inherited descriptors: takes the sockets that the service manager opened (LISTEN_PID, LISTEN_FDS
//! and LISTEN_FDNAMES of sd_listen_fds(3)), and closes others.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::{env, io};

use crate::sys;

/// The first descriptor that a service manager passes.
const FIRST: RawFd = 3;

/// One bit per descriptor that was taken, which also limits their number.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Takes the first inherited descriptor called `name` that wasn't taken yet, and makes it
/// close-on-exec.
///
/// Call it before the process opens anything, because the descriptors are known by their numbers
/// only.
pub fn named(name: &str) -> Option<OwnedFd> {
    let for_us = env::var("LISTEN_PID").ok()?.parse() == Ok(std::process::id());
    let count: usize = env::var("LISTEN_FDS").ok()?.parse().ok()?;
    let names = env::var("LISTEN_FDNAMES").ok()?;
    if !for_us {
        return None;
    }
    positions(&names, count, name)
        .filter(|position| TAKEN.fetch_or(1 << position, Relaxed) & (1 << position) == 0)
        .find_map(|position| adopt(FIRST + position as RawFd))
}

/// Closes all inherited descriptors except the standard ones and those that [`named`] gave out.
/// Then nobody who takes the program over can use them.
///
/// Call it before the process opens anything, because it closes that, too.
///
/// # Errors
/// `Unsupported` before Linux 5.9.
pub fn close() -> io::Result<()> {
    let taken = TAKEN.load(Relaxed);
    let mut first = FIRST;
    for position in (0..u64::BITS).filter(|position| taken & (1 << position) != 0) {
        let kept = FIRST + position as RawFd;
        if first < kept {
            close_range(first, kept as libc::c_uint - 1)?;
        }
        first = kept + 1;
    }
    close_range(first, libc::c_uint::MAX)
}

fn close_range(first: RawFd, last: libc::c_uint) -> io::Result<()> {
    // SAFETY: the call takes numbers. Nothing is open yet that this program owns, except what
    // `named` gave out, which is in no range.
    sys::check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
    Ok(())
}

/// The positions of `name` in the colon-separated list.
fn positions(names: &str, count: usize, name: &str) -> impl Iterator<Item = usize> {
    names
        .split(':')
        .take(count.min(u64::BITS as usize))
        .enumerate()
        .filter_map(move |(position, candidate)| (candidate == name).then_some(position))
}

fn adopt(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: the call takes numbers only, and fails on a descriptor that isn't open.
    sys::check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) }).ok()?;
    // SAFETY: the descriptor is open, the service manager passed it to this process (LISTEN_PID)
    // to own it, and TAKEN keeps it from being given out twice.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_at_each_of_its_places_and_not_beyond_the_count() {
        let of = |count, name| positions("admin:network:admin", count, name).collect::<Vec<_>>();
        assert_eq!(of(3, "admin"), [0, 2]);
        assert_eq!(of(2, "admin"), [0]);
        assert_eq!(of(3, "network"), [1]);
        assert!(of(3, "adm").is_empty());
    }
}
