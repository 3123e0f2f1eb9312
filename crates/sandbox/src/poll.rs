//! Waiting for readable descriptors with ppoll(2).

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;
use std::{io, ptr};

use crate::sys;

/// One descriptor to wait for.
///
/// An entry holds the descriptor's number and doesn't keep it open. Build a new list for each wait.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Entry(libc::pollfd);

impl Entry {
    /// Waits until something can be read, or the peer is gone.
    pub fn readable(descriptor: &impl AsFd) -> Entry {
        Entry::new(descriptor.as_fd().as_raw_fd(), libc::POLLIN)
    }

    /// Waits until a small datagram can be written, or the peer is gone.
    pub fn writable(descriptor: &impl AsFd) -> Entry {
        Entry::new(descriptor.as_fd().as_raw_fd(), libc::POLLOUT)
    }

    /// Waits until the peer is gone, whatever it has sent before.
    pub fn hung_up(descriptor: &impl AsFd) -> Entry {
        Entry::new(descriptor.as_fd().as_raw_fd(), 0)
    }

    /// Waits for nothing, for a place in a list that isn't needed now.
    pub fn none() -> Entry {
        Entry::new(-1, 0)
    }

    /// Whether the last [`wait`] found data, an end or an error. A read shows which.
    pub fn ready(&self) -> bool {
        self.0.revents != 0
    }

    fn new(fd: RawFd, events: libc::c_short) -> Entry {
        Entry(libc::pollfd {
            fd,
            events,
            revents: 0,
        })
    }
}

/// Waits until an entry is ready or the timeout is over (`None` means for ever), and returns the
/// number of ready entries. A signal ends the wait early with 0.
///
/// # Errors
/// ppoll(2) fails: there are more entries than RLIMIT_NOFILE, or no memory.
pub fn wait(entries: &mut [Entry], timeout: Option<Duration>) -> io::Result<usize> {
    // The kernel updates the timeout. A read-only or C library copy would make it restart a
    // stopped process through restart_syscall(2), which the filter does not allow.
    let mut timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let timeout = timeout.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    // SAFETY: `Entry` is a transparent pollfd, the slice is borrowed mutably for the whole call,
    // the timeout is null or a live timespec, and a null signal mask leaves the mask alone.
    let ready = sys::check(unsafe {
        libc::syscall(
            libc::SYS_ppoll,
            entries.as_mut_ptr(),
            entries.len(),
            timeout,
            ptr::null::<libc::sigset_t>(),
            0,
        )
    });
    match ready {
        Ok(ready) => Ok(ready as usize),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            entries.iter_mut().for_each(|entry| entry.0.revents = 0);
            Ok(0)
        }
        Err(error) => Err(error),
    }
}

/// Whether a small write to `fd` would not block.
pub(crate) fn writable_now(fd: RawFd) -> bool {
    let mut entry = [Entry::new(fd, libc::POLLOUT)];
    wait(&mut entry, Some(Duration::ZERO)).is_ok() && entry[0].0.revents & libc::POLLOUT != 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn only_the_entry_with_data_is_ready() {
        let (mut left, right) = UnixStream::pair().unwrap();
        left.write_all(b"x").unwrap();
        let mut entries = [Entry::readable(&left), Entry::readable(&right)];
        assert_eq!(wait(&mut entries, None).unwrap(), 1);
        assert!(!entries[0].ready());
        assert!(entries[1].ready());
    }

    #[test]
    fn an_entry_that_waits_to_write_is_ready_and_one_that_waits_for_nothing_is_not() {
        let (left, _right) = UnixStream::pair().unwrap();
        let mut entries = [
            Entry::none(),
            Entry::readable(&left),
            Entry::writable(&left),
        ];
        assert_eq!(wait(&mut entries, None).unwrap(), 1);
        assert_eq!(entries.map(|entry| entry.ready()), [false, false, true]);
    }

    #[test]
    fn a_timeout_ends_a_wait_for_nothing() {
        let (left, _right) = UnixStream::pair().unwrap();
        let mut entries = [Entry::readable(&left)];
        assert_eq!(
            wait(&mut entries, Some(Duration::from_millis(1))).unwrap(),
            0
        );
        assert!(!entries[0].ready());
    }

    #[test]
    fn a_peer_that_left_makes_its_entry_ready() {
        let (left, right) = UnixStream::pair().unwrap();
        drop(right);
        let mut entries = [Entry::readable(&left)];
        assert_eq!(wait(&mut entries, None).unwrap(), 1);
        assert!(entries[0].ready());
    }
}
