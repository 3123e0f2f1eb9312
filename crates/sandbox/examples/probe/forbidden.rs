//! Calls that must end the process, by their numbers and arguments.

use std::io;

use libc::c_long;
use softsim_sandbox::seccomp::{self, Filter};

use crate::confined;

type Call = (&'static str, c_long, [c_long; 6]);

const NOTHING: [c_long; 6] = [0; 6];

/// What a hijacked process would like to do, whichever daemon it is.
const BOTH: &[Call] = &[
    ("execve", libc::SYS_execve, NOTHING),
    ("execveat", libc::SYS_execveat, NOTHING),
    (
        "fork",
        libc::SYS_clone,
        [libc::SIGCHLD as c_long, 0, 0, 0, 0, 0],
    ),
    (
        "new user namespace",
        libc::SYS_clone,
        [0x1000_0000 | libc::SIGCHLD as c_long, 0, 0, 0, 0, 0],
    ),
    ("unshare", libc::SYS_unshare, [0x1000_0000, 0, 0, 0, 0, 0]),
    ("setns", libc::SYS_setns, NOTHING),
    ("ptrace", libc::SYS_ptrace, NOTHING),
    ("kill", libc::SYS_kill, [1, 0, 0, 0, 0, 0]),
    ("tgkill", libc::SYS_tgkill, [1, 1, 0, 0, 0, 0]),
    ("process_vm_readv", libc::SYS_process_vm_readv, NOTHING),
    ("process_vm_writev", libc::SYS_process_vm_writev, NOTHING),
    ("pidfd_getfd", libc::SYS_pidfd_getfd, NOTHING),
    (
        "mmap of executable memory",
        libc::SYS_mmap,
        [0, 4096, 5, 0x22, -1, 0],
    ),
    (
        "mprotect to executable",
        libc::SYS_mprotect,
        [0, 4096, 5, 0, 0, 0],
    ),
    ("memfd_create", libc::SYS_memfd_create, NOTHING),
    (
        "io_uring_setup",
        libc::SYS_io_uring_setup,
        [1, 0, 0, 0, 0, 0],
    ),
    ("bpf", libc::SYS_bpf, NOTHING),
    ("perf_event_open", libc::SYS_perf_event_open, NOTHING),
    ("userfaultfd", libc::SYS_userfaultfd, NOTHING),
    ("keyctl", libc::SYS_keyctl, NOTHING),
    ("seccomp", libc::SYS_seccomp, NOTHING),
    (
        "prctl back to dumpable",
        libc::SYS_prctl,
        [libc::PR_SET_DUMPABLE as c_long, 1, 0, 0, 0, 0],
    ),
    ("setuid", libc::SYS_setuid, NOTHING),
    ("mount", libc::SYS_mount, NOTHING),
    ("chroot", libc::SYS_chroot, NOTHING),
    ("fchmodat", libc::SYS_fchmodat, NOTHING),
    ("symlinkat", libc::SYS_symlinkat, NOTHING),
    (
        "packet socket",
        libc::SYS_socket,
        [
            libc::AF_PACKET as c_long,
            libc::SOCK_RAW as c_long,
            0,
            0,
            0,
            0,
        ],
    ),
    (
        "raw socket",
        libc::SYS_socket,
        [
            libc::AF_INET as c_long,
            libc::SOCK_RAW as c_long,
            0,
            0,
            0,
            0,
        ],
    ),
    (
        "kernel crypto socket",
        libc::SYS_socket,
        [
            libc::AF_ALG as c_long,
            libc::SOCK_SEQPACKET as c_long,
            0,
            0,
            0,
            0,
        ],
    ),
    ("listen", libc::SYS_listen, NOTHING),
    ("unknown call", 9999, NOTHING),
    #[cfg(target_arch = "x86_64")]
    (
        "call of the x32 interface",
        0x4000_0000 | libc::SYS_write,
        [2, 0, 0, 0, 0, 0],
    ),
];

/// What only the network daemon may do.
const KEYD: &[Call] = &[
    (
        "socket",
        libc::SYS_socket,
        [
            libc::AF_INET as c_long,
            libc::SOCK_DGRAM as c_long,
            0,
            0,
            0,
            0,
        ],
    ),
    (
        "unix socket",
        libc::SYS_socket,
        [
            libc::AF_UNIX as c_long,
            libc::SOCK_STREAM as c_long,
            0,
            0,
            0,
            0,
        ],
    ),
    (
        "socketpair",
        libc::SYS_socketpair,
        [
            libc::AF_UNIX as c_long,
            libc::SOCK_STREAM as c_long,
            0,
            0,
            0,
            0,
        ],
    ),
    ("bind", libc::SYS_bind, NOTHING),
    ("connect", libc::SYS_connect, NOTHING),
    (
        "recvmsg, which could take descriptors",
        libc::SYS_recvmsg,
        NOTHING,
    ),
    (
        "sendmsg, which could give descriptors away",
        libc::SYS_sendmsg,
        NOTHING,
    ),
    (
        "open",
        libc::SYS_openat,
        [libc::AT_FDCWD as c_long, 0, 0, 0, 0, 0],
    ),
    ("read", libc::SYS_read, NOTHING),
    ("pread64", libc::SYS_pread64, NOTHING),
    ("unlinkat", libc::SYS_unlinkat, NOTHING),
    ("ftruncate", libc::SYS_ftruncate, [-1, 0, 0, 0, 0, 0]),
    ("mmap", libc::SYS_mmap, [0, 4096, 3, 0x22, -1, 0]),
    ("munmap", libc::SYS_munmap, NOTHING),
    ("mprotect", libc::SYS_mprotect, [0, 0, 1, 0, 0, 0]),
    ("brk", libc::SYS_brk, NOTHING),
    ("madvise", libc::SYS_madvise, NOTHING),
    ("memfd_secret", 447, NOTHING),
    ("thread", libc::SYS_clone, [0x003d_0f00, 0, 0, 0, 0, 0]),
    ("clone3", libc::SYS_clone3, NOTHING),
    ("dup", libc::SYS_dup, [2, 0, 0, 0, 0, 0]),
    (
        "fcntl",
        libc::SYS_fcntl,
        [2, libc::F_GETFD as c_long, 0, 0, 0, 0],
    ),
    (
        "ioctl",
        libc::SYS_ioctl,
        [2, libc::TCGETS as c_long, 0, 0, 0, 0],
    ),
    ("futex", libc::SYS_futex, NOTHING),
    ("rt_sigaction", libc::SYS_rt_sigaction, NOTHING),
    ("restart_syscall", libc::SYS_restart_syscall, NOTHING),
    (
        "write to standard output",
        libc::SYS_write,
        [1, 0, 0, 0, 0, 0],
    ),
    ("sendto an address", libc::SYS_sendto, [-1, 0, 0, 0, 1, 16]),
    (
        "recvfrom with an address",
        libc::SYS_recvfrom,
        [-1, 0, 0, 0, 1, 0],
    ),
    (
        "accept4 of a descriptor that programs inherit",
        libc::SYS_accept4,
        NOTHING,
    ),
    (
        "getsockopt of another option",
        libc::SYS_getsockopt,
        [
            -1,
            libc::SOL_SOCKET as c_long,
            libc::SO_ERROR as c_long,
            0,
            0,
            0,
        ],
    ),
];

/// The neighbours of what the network daemon may do.
const NETD: &[Call] = &[
    ("listen", libc::SYS_listen, NOTHING),
    ("mkdirat", libc::SYS_mkdirat, NOTHING),
    (
        "new limit",
        libc::SYS_prlimit64,
        [0, libc::RLIMIT_CORE as c_long, 1, 0, 0, 0],
    ),
    (
        "socket filter",
        libc::SYS_setsockopt,
        [
            -1,
            libc::SOL_SOCKET as c_long,
            libc::SO_ATTACH_FILTER as c_long,
            0,
            0,
            0,
        ],
    ),
    (
        "typing into the terminal",
        libc::SYS_ioctl,
        [0, libc::TIOCSTI as c_long, 0, 0, 0, 0],
    ),
    (
        "signals by a descriptor",
        libc::SYS_fcntl,
        [2, libc::F_SETOWN as c_long, 1, 0, 0, 0],
    ),
    (
        "thread in a new network",
        libc::SYS_clone,
        [0x403d_0f00, 0, 0, 0, 0, 0],
    ),
    (
        "network socketpair",
        libc::SYS_socketpair,
        [
            libc::AF_INET as c_long,
            libc::SOCK_STREAM as c_long,
            0,
            0,
            0,
            0,
        ],
    ),
];

/// What the network daemon's libraries try, and do without.
const REFUSED: &[Call] = &[
    ("clone3", libc::SYS_clone3, NOTHING),
    (
        "unix socket",
        libc::SYS_socket,
        [
            libc::AF_UNIX as c_long,
            libc::SOCK_STREAM as c_long,
            0,
            0,
            0,
            0,
        ],
    ),
    (
        "netlink socket",
        libc::SYS_socket,
        [
            libc::AF_NETLINK as c_long,
            libc::SOCK_RAW as c_long,
            0,
            0,
            0,
            0,
        ],
    ),
    (
        "TCP socket",
        libc::SYS_socket,
        [
            libc::AF_INET6 as c_long,
            (libc::SOCK_STREAM | libc::SOCK_CLOEXEC) as c_long,
            0,
            0,
            0,
            0,
        ],
    ),
];

fn calls(policy: &str) -> (Filter, impl Iterator<Item = &'static Call>) {
    let (filter, own) = match policy {
        "keyd" => (Filter::Keyd, KEYD),
        "netd" => (Filter::Netd, NETD),
        _ => panic!("unknown policy"),
    };
    (filter, BOTH.iter().chain(own))
}

pub(crate) fn list(policy: &str) {
    for (name, ..) in calls(policy).1 {
        println!("{name}");
    }
}

pub(crate) fn attempt(policy: &str, name: &str) {
    let (filter, mut calls) = calls(policy);
    let call = calls.find(|call| call.0 == name).expect("a known call");
    seccomp::install(filter).expect("seccomp");
    confined();
    make(call);
}

pub(crate) fn refused(name: &str) {
    let call = REFUSED
        .iter()
        .find(|call| call.0 == name)
        .expect("a known call");
    seccomp::install(Filter::Netd).expect("seccomp");
    assert_eq!(make(call), Some(libc::ENOSYS));
}

/// The error number, unless the call worked (or the filter ended the process).
fn make(&(_, number, [a, b, c, d, e, f]): &Call) -> Option<i32> {
    // SAFETY: the filter answers before the kernel looks at the arguments; where it should fail
    // to, all pointers are null or invalid, which the kernel tells without touching memory.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    (result == -1).then(|| {
        io::Error::last_os_error()
            .raw_os_error()
            .expect("an error number")
    })
}
