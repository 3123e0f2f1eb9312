//! Settings of a process before it serves: no dumps, another user, no new privileges. The module
//! also writes to standard output and ends the process.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::{io, mem, ptr};

use crate::sys;

/// Ends the process at once, without destructors, exit handlers or flushing.
pub fn exit(code: i32) -> ! {
    // SAFETY: _exit takes a number and doesn't return.
    unsafe { libc::_exit(code) }
}

/// Writes to standard output without a buffer.
///
/// # Errors
/// The error of write(2).
pub fn print(text: &str) -> io::Result<()> {
    let mut left = text.as_bytes();
    while !left.is_empty() {
        // SAFETY: the kernel reads `len` octets from a slice borrowed for the whole call.
        let written = unsafe { libc::write(libc::STDOUT_FILENO, left.as_ptr().cast(), left.len()) };
        let written = usize::try_from(written).map_err(|_| io::Error::last_os_error())?;
        left = &left[written..];
    }
    Ok(())
}

/// The effective user id.
pub fn uid() -> u32 {
    // SAFETY: geteuid only reads the process's credentials and can't fail.
    unsafe { libc::geteuid() }
}

/// The effective group id.
pub fn gid() -> u32 {
    // SAFETY: getegid only reads the process's credentials and can't fail.
    unsafe { libc::getegid() }
}

/// Forbids core files, and /proc/PID/mem and ptrace(2) for processes of the same user.
///
/// A change of user allows core files again, so [`drop_user`] repeats this.
///
/// # Errors
/// Never on a working kernel.
pub fn deny_dumps() -> io::Result<()> {
    prctl(libc::PR_SET_DUMPABLE, 0)?;
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel reads one rlimit that outlives the call.
    sys::check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) })?;
    Ok(())
}

/// Keeps execve(2) from granting privileges, which landlock and seccomp require.
///
/// # Errors
/// Never on a working kernel.
pub fn no_new_privileges() -> io::Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)
}

/// Sets the name that `ps` and `top` show if they don't show the command line. It is cut after 15
/// octets.
///
/// # Errors
/// Never on a working kernel.
pub fn set_name(name: &CStr) -> io::Result<()> {
    // SAFETY: the kernel reads a C string that outlives the call, 16 octets of it at most.
    sys::check(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) })?;
    Ok(())
}

/// Makes the kernel kill this process when its parent ends (PR_SET_PDEATHSIG). It has no effect if
/// the parent has ended already.
///
/// # Errors
/// Never on a working kernel.
pub(crate) fn end_with_parent() -> io::Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)
}

/// Becomes `uid` and `gid` for good, without supplementary groups, and denies dumps again.
///
/// If the process is that user already, it does nothing else, and keeps its groups, which only a
/// privileged process could drop.
///
/// # Errors
/// `PermissionDenied` if the process may not change its user, or could change back to root.
pub fn drop_user(uid: u32, gid: u32) -> io::Result<()> {
    if (self::uid(), self::gid()) != (uid, gid) {
        // SAFETY: no group is read from a list of length 0.
        sys::check(unsafe { libc::setgroups(0, ptr::null()) })?;
        // SAFETY: the call takes numbers only.
        sys::check(unsafe { libc::setresgid(gid, gid, gid) })?;
        // SAFETY: the call takes numbers only.
        sys::check(unsafe { libc::setresuid(uid, uid, uid) })?;
        // SAFETY: the call takes a number only.
        let regained = unsafe { libc::setuid(0) } == 0;
        if regained && uid != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the process can still become root after it left root",
            ));
        }
    }
    deny_dumps()
}

/// A capability that a program may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// CAP_NET_ADMIN: the packet filter.
    NetAdmin,
}

/// The effective, permitted and inheritable capabilities, then the upper halves of each, as version
/// 3 of capget(2) has them. The ambient ones are permitted and inheritable, too.
type CapabilitySets = [u32; 6];

/// Names the version, and this process.
const CAPABILITY_HEADER: [u32; 2] = [0x2008_0522, 0];

/// Drops every capability but these for good, for this process and the programs that it starts.
///
/// It doesn't call capset(2) where nothing is held, so that a service manager can forbid the call.
///
/// # Errors
/// `PermissionDenied` if the process doesn't have one that it is to keep.
pub fn keep_capabilities(kept: &[Capability]) -> io::Result<()> {
    const CAP_NET_ADMIN: u32 = 12;
    // Without this, execve(2) gives them all back to root.
    no_new_privileges()?;
    let mask = kept.iter().fold(0, |mask, capability| {
        mask | match capability {
            Capability::NetAdmin => 1u32 << CAP_NET_ADMIN,
        }
    });
    let sets: CapabilitySets = [mask, mask, mask, 0, 0, 0];
    if capabilities()? == [0; 6] && sets == [0; 6] {
        return Ok(());
    }
    let header = CAPABILITY_HEADER;
    // SAFETY: the kernel reads a header of two numbers and the six numbers of this version.
    sys::check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) })?;
    Ok(())
}

fn capabilities() -> io::Result<CapabilitySets> {
    let (mut header, mut sets) = (CAPABILITY_HEADER, [0; 6]);
    // SAFETY: the kernel reads a header of two numbers, and may write the first; it writes the six
    // numbers of this version.
    sys::check(unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) })?;
    Ok(sets)
}

/// Ignores the signals that ask a process to end. The programs that it starts inherit this.
///
/// # Errors
/// Never on a working kernel.
pub fn ignore_termination() -> io::Result<()> {
    ignore(&[libc::SIGTERM, libc::SIGINT, libc::SIGHUP])
}

/// Becomes readable when the service manager asks the process to end.
#[derive(Debug)]
pub struct Termination(OwnedFd);

impl Termination {
    /// Holds SIGTERM back from now on, and so does each program that this process starts.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn hold() -> io::Result<Termination> {
        // SAFETY: a sigset_t is plain numbers, for which zeros are valid.
        let mut signals: libc::sigset_t = unsafe { mem::zeroed() };
        // SAFETY: the call writes the set, which is borrowed for the call. Zeros are an empty set.
        unsafe { libc::sigaddset(&mut signals, libc::SIGTERM) };
        // SAFETY: the kernel reads one set that outlives the call.
        sys::check(unsafe { libc::sigprocmask(libc::SIG_BLOCK, &signals, ptr::null_mut()) })?;
        // SAFETY: the kernel reads one set that outlives the call.
        let fd = sys::check(unsafe { libc::signalfd(-1, &signals, libc::SFD_CLOEXEC) })?;
        // SAFETY: the descriptor is open, and nobody else owns it.
        Ok(Termination(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
}

impl AsFd for Termination {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Ignores SIGHUP, which asks daemons to read their configuration again: this one has none to read.
///
/// # Errors
/// Never on a working kernel.
pub fn ignore_hangup() -> io::Result<()> {
    ignore(&[libc::SIGHUP])
}

/// Keeps nothing of processes that this one has started and that end from now on. It can't wait for
/// them any more, and needn't.
///
/// # Errors
/// Never on a working kernel.
pub fn forget_children() -> io::Result<()> {
    // SAFETY: a sigaction is plain numbers, for which zeros are valid; they mean SIG_DFL.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_flags = libc::SA_NOCLDWAIT;
    // SAFETY: the kernel reads one sigaction that outlives the call; no handler could run.
    sys::check(unsafe { libc::sigaction(libc::SIGCHLD, &action, ptr::null_mut()) })?;
    Ok(())
}

fn ignore(signals: &[libc::c_int]) -> io::Result<()> {
    for signal in signals {
        // SAFETY: no handler is installed that could run.
        let before = unsafe { libc::signal(*signal, libc::SIG_IGN) };
        if before == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn prctl(option: libc::c_int, value: libc::c_ulong) -> io::Result<()> {
    const UNUSED: libc::c_ulong = 0;
    // SAFETY: the options used here take a number and touch no memory.
    sys::check(unsafe { libc::prctl(option, value, UNUSED, UNUSED, UNUSED) })?;
    Ok(())
}
