//! Work in a forked copy of this process. If the copy crashes or makes a forbidden call, the
//! original isn't affected.

use std::os::fd::{AsFd, BorrowedFd};
use std::{fs, io};

use crate::seqpacket::{Connection, Received, pair};
use crate::{process, sys};

/// Evidence that this process has a single thread. Such a process may fork: no lock can be held by
/// a thread that the copy lacks.
#[derive(Debug)]
pub struct SingleThreaded(());

impl SingleThreaded {
    /// Counts the threads. The caller's seccomp filter must keep the process from starting others.
    ///
    /// # Errors
    /// The process has more threads, or /proc can't be read.
    pub fn check() -> io::Result<SingleThreaded> {
        match fs::read_dir("/proc/self/task")?.count() {
            1 => Ok(SingleThreaded(())),
            threads => Err(io::Error::other(format!(
                "expected a process of 1 thread, got {threads}"
            ))),
        }
    }

    /// Forks. The copy does `work` with its end of a socket, the only descriptor that it has, and
    /// ends. If this process ends first, the kernel kills the copy.
    ///
    /// # Errors
    /// There is no room for another process or socket.
    pub fn copy(&self, work: impl FnOnce(&Connection)) -> io::Result<Child> {
        let (ours, theirs) = pair()?;
        // SAFETY: the process has one thread, so that the copy finds every lock free.
        let id = sys::check(unsafe { libc::fork() })?;
        if id != 0 {
            return Ok(Child {
                id: Some(id),
                socket: ours,
            });
        }
        // The copy reports no error. The original notices that its socket closes.
        if close_all_but(&theirs).is_ok() && end_with_parent(&theirs).is_ok() {
            work(&theirs);
        }
        process::exit(0)
    }
}

/// A running copy, which is killed when this is dropped.
#[derive(Debug)]
pub struct Child {
    id: Option<libc::pid_t>,
    socket: Connection,
}

impl Child {
    /// Our end of its socket.
    pub fn socket(&self) -> &Connection {
        &self.socket
    }

    /// Kills it, and returns the signal that ended it; none if it had ended by itself.
    pub fn end(mut self) -> Option<i32> {
        let status = self.kill();
        libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status))
    }

    /// Kills it and waits for it, but only once: afterwards, another process may have its id.
    fn kill(&mut self) -> libc::c_int {
        let mut status = 0;
        if let Some(id) = self.id.take() {
            // SAFETY: the call takes numbers. The child is ours until it is waited for, so that its
            // id is no other's.
            unsafe { libc::kill(id, libc::SIGKILL) };
            // SAFETY: the kernel writes one number, which outlives the call.
            let _ = sys::retry(|| unsafe { libc::waitpid(id, &mut status, 0) });
        }
        status
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn close_all_but(socket: &Connection) -> io::Result<()> {
    let kept = socket.raw() as libc::c_uint;
    let ranges = [
        (kept > 0).then(|| (0, kept - 1)),
        Some((kept + 1, libc::c_uint::MAX)),
    ];
    for (first, last) in ranges.into_iter().flatten() {
        // SAFETY: the call takes numbers. Whatever owned the descriptors is never dropped: this
        // copy ends by _exit(2).
        sys::check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
    }
    Ok(())
}

/// Makes the kernel kill this copy when the original ends, and fails if it has ended already.
fn end_with_parent(parent: &Connection) -> io::Result<()> {
    process::end_with_parent()?;
    match parent.receive(&mut [0])? {
        Received::Nothing => Ok(()),
        _ => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// The limits of this process and its copies.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Octets of address space.
    pub memory: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

impl Limits {
    /// Sets the limits for good. A lower limit that is set already stays.
    ///
    /// # Errors
    /// Never on a working kernel.
    pub fn set(self) -> io::Result<()> {
        for (resource, limit) in [
            (libc::RLIMIT_AS, self.memory),
            (libc::RLIMIT_NOFILE, self.descriptors),
        ] {
            let mut set = libc::rlimit {
                rlim_cur: 0,
                rlim_max: 0,
            };
            // SAFETY: the kernel writes one rlimit that outlives the call.
            sys::check(unsafe { libc::getrlimit(resource, &mut set) })?;
            set.rlim_cur = set.rlim_cur.min(limit);
            set.rlim_max = set.rlim_max.min(limit);
            // SAFETY: the kernel reads one rlimit that outlives the call.
            sys::check(unsafe { libc::setrlimit(resource, &set) })?;
        }
        Ok(())
    }
}
