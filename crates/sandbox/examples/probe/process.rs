//! What other processes can see or do, and what the process inherits.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use softsim_sandbox::{log, memory, poll, process};

pub(crate) fn kind() {
    let errno = memory::why_not_secret().and_then(|error| error.raw_os_error());
    println!("{} {}", memory::key_memory(), errno.unwrap_or(0));
}

/// Prints where its stack and heap are, and keeps running.
pub(crate) fn wait() {
    let boxed = Box::new(0x5ee7_u64);
    println!(
        "{:x} {:x}",
        (&raw const boxed).addr(),
        (&raw const *boxed).addr()
    );
    poll::wait(&mut [], None).expect("a wait");
}

/// Tries all ways into another process: none may be open.
pub(crate) fn peek(pid: &str) {
    let denied = |error: Option<io::Error>| {
        let errno = error.and_then(|error| error.raw_os_error());
        assert!(
            matches!(errno, Some(libc::EACCES | libc::EPERM)),
            "{errno:?}"
        );
    };
    denied(File::open(format!("/proc/{pid}/mem")).err());
    denied(fs::read_link(format!("/proc/{pid}/fd/0")).err());
    denied(fs::read(format!("/proc/{pid}/environ")).err());
    let pid: libc::pid_t = pid.parse().expect("a process id");

    let none: *mut libc::c_void = std::ptr::null_mut();
    // SAFETY: attaching takes no memory.
    let attached = unsafe { libc::ptrace(libc::PTRACE_ATTACH, pid, none, none) };
    denied((attached == -1).then(io::Error::last_os_error));

    let mut word = 0_u64;
    let here = libc::iovec {
        iov_base: (&raw mut word).cast(),
        iov_len: 8,
    };
    // SAFETY: writes at most eight octets to `word`; the address in the other process is checked
    // by the kernel.
    let read = unsafe { libc::process_vm_readv(pid, &here, 1, &here, 1, 0) };
    denied((read == -1).then(io::Error::last_os_error));
}

/// Descriptors 0 to 2, closed by whoever started the process, are /dev/null.
pub(crate) fn descriptors() {
    let null = fs::metadata("/dev/null").expect("a device").rdev();
    for fd in 0..3 {
        let opened = fs::metadata(format!("/proc/self/fd/{fd}")).expect("an open descriptor");
        assert_eq!(opened.rdev(), null);
    }
}

pub(crate) fn drop_user(id: &str) {
    let id: u32 = id.parse().expect("a user id");
    process::drop_user(id, id).expect("root may");
    assert_eq!((process::uid(), process::gid()), (id, id));
    let status = fs::read_to_string("/proc/self/status").expect("its own status");
    assert_eq!(field(&status, "Groups:"), Some(""));
    assert_eq!(field(&status, "CapPrm:"), Some("0000000000000000"));
    // SAFETY: reads one flag of the process.
    assert_eq!(unsafe { libc::prctl(libc::PR_GET_DUMPABLE) }, 0);
    assert!(process::drop_user(0, 0).is_err());
}

/// First, only the capability that is kept remains, in this process and in the programs that it
/// runs. Then none remains.
pub(crate) fn keep_capabilities() {
    const NET_ADMIN: &str = "0000000000001000";
    const NONE: &str = "0000000000000000";
    process::keep_capabilities(&[process::Capability::NetAdmin]).expect("root may");
    let own = fs::read_to_string("/proc/self/status").expect("its own status");
    let of_program = Command::new("cat").arg("/proc/self/status").output();
    let of_program = of_program.expect("a program").stdout;
    for status in [&own, &String::from_utf8_lossy(&of_program).into_owned()] {
        assert_eq!(field(status, "CapPrm:"), Some(NET_ADMIN));
        assert_eq!(field(status, "CapEff:"), Some(NET_ADMIN));
    }
    process::keep_capabilities(&[]).expect("less is always possible");
    let own = fs::read_to_string("/proc/self/status").expect("its own status");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(field(&own, set), Some(NONE));
    }
    assert!(process::keep_capabilities(&[process::Capability::NetAdmin]).is_err());
}

pub(crate) fn keep_no_capability() {
    process::keep_capabilities(&[]).expect("there is none to give up");
}

/// A signal that asks the process to end can be waited for with other events.
pub(crate) fn hold_termination() {
    let termination = process::Termination::hold().expect("signals");
    let is_asked = || {
        let mut entries = [poll::Entry::readable(&termination)];
        poll::wait(&mut entries, Some(Duration::ZERO)).expect("a wait");
        entries[0].ready()
    };
    assert!(!is_asked());
    // SAFETY: sends a signal to the process itself, which holds it back.
    unsafe { libc::raise(libc::SIGTERM) };
    assert!(is_asked());
    println!("still here");
}

/// The process goes on after signals that ask it to end.
pub(crate) fn ignore_termination() {
    process::ignore_termination().expect("signals");
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        // SAFETY: sends a signal to the process itself, which ignores it.
        unsafe { libc::raise(signal) };
    }
    println!("still here");
}

fn field<'s>(status: &'s str, name: &str) -> Option<&'s str> {
    let mut lines = status.lines();
    lines
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}

/// Writes this many lines of the greatest length, and prints how many were dropped.
pub(crate) fn log_lines(count: &str) {
    for _ in 0..count.parse().expect("a number") {
        log::line(9, "\n".repeat(5000));
    }
    println!("{}", log::dropped());
}
