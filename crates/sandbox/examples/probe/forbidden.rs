//! The ways out of the sandbox: calls that must end the process, with their numbers and arguments.

use std::io;

use libc::c_long;
use softsim_sandbox::seccomp::{self, Filter};

use crate::confined;

/// The name of a call, its number, and its first arguments. The others are 0.
type Call = (&'static str, c_long, &'static [c_long]);

const UNIX: c_long = libc::AF_UNIX as c_long;
const NETLINK: c_long = libc::AF_NETLINK as c_long;
const INET: c_long = libc::AF_INET as c_long;
const INET6: c_long = libc::AF_INET6 as c_long;
const STREAM: c_long = libc::SOCK_STREAM as c_long;
const DATAGRAM: c_long = libc::SOCK_DGRAM as c_long;
const RAW: c_long = libc::SOCK_RAW as c_long;
const SEQPACKET: c_long = libc::SOCK_SEQPACKET as c_long;
const OPTION: c_long = libc::SOL_SOCKET as c_long;
const HERE: c_long = libc::AT_FDCWD as c_long;
const CHILD: c_long = libc::SIGCHLD as c_long;
const NEW_USER_NAMESPACE: c_long = 0x1000_0000;
const ANONYMOUS: c_long = 0x22;
const READ_WRITE: c_long = 3;
const READ_EXECUTE: c_long = 5;
const OUT_OF_BAND: c_long = libc::MSG_OOB as c_long;

/// The calls that somebody who takes over any of the processes would like to make.
const BOTH: &[Call] = &[
    // Another program, another process.
    ("execve", libc::SYS_execve, &[]),
    ("execveat", libc::SYS_execveat, &[]),
    ("fork", libc::SYS_clone, &[CHILD]),
    ("ptrace", libc::SYS_ptrace, &[]),
    ("kill", libc::SYS_kill, &[1]),
    ("tkill", libc::SYS_tkill, &[1]),
    ("tgkill", libc::SYS_tgkill, &[1, 1]),
    ("a signal with a value", libc::SYS_rt_sigqueueinfo, &[1]),
    ("pidfd_open", libc::SYS_pidfd_open, &[1]),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal, &[-1]),
    ("pidfd_getfd", libc::SYS_pidfd_getfd, &[-1]),
    ("process_vm_readv", libc::SYS_process_vm_readv, &[1]),
    ("process_vm_writev", libc::SYS_process_vm_writev, &[1]),
    ("process_madvise", libc::SYS_process_madvise, &[-1]),
    ("kcmp", libc::SYS_kcmp, &[1, 1]),
    ("wait4", libc::SYS_wait4, &[-1]),
    // Code.
    (
        "mmap of executable memory",
        libc::SYS_mmap,
        &[0, 4096, READ_EXECUTE, ANONYMOUS, -1],
    ),
    (
        "mprotect to executable",
        libc::SYS_mprotect,
        &[0, 4096, READ_EXECUTE],
    ),
    ("memfd_create", libc::SYS_memfd_create, &[]),
    ("personality", libc::SYS_personality, &[0]),
    ("shared memory", libc::SYS_shmget, &[0, 4096, 0o1600]),
    ("mlock", libc::SYS_mlock, &[]),
    ("munlock, and out to the swap", libc::SYS_munlock, &[]),
    // More kernel.
    ("io_uring_setup", libc::SYS_io_uring_setup, &[1]),
    ("io_uring_enter", libc::SYS_io_uring_enter, &[-1]),
    ("aio", libc::SYS_io_setup, &[1]),
    ("bpf", libc::SYS_bpf, &[]),
    ("perf_event_open", libc::SYS_perf_event_open, &[]),
    ("userfaultfd", libc::SYS_userfaultfd, &[]),
    ("keyctl", libc::SYS_keyctl, &[]),
    ("add_key", libc::SYS_add_key, &[]),
    ("request_key", libc::SYS_request_key, &[]),
    ("init_module", libc::SYS_init_module, &[]),
    ("kexec_load", libc::SYS_kexec_load, &[]),
    ("reboot", libc::SYS_reboot, &[]),
    ("swapon", libc::SYS_swapon, &[]),
    ("settimeofday", libc::SYS_settimeofday, &[]),
    ("fanotify", libc::SYS_fanotify_init, &[]),
    ("splice", libc::SYS_splice, &[-1, 0, -1]),
    ("vmsplice", libc::SYS_vmsplice, &[-1]),
    // Other privileges.
    ("seccomp", libc::SYS_seccomp, &[]),
    (
        "prctl back to dumpable",
        libc::SYS_prctl,
        &[libc::PR_SET_DUMPABLE as c_long, 1],
    ),
    (
        "prctl to be traced",
        libc::SYS_prctl,
        &[libc::PR_SET_PTRACER as c_long, -1],
    ),
    ("setuid", libc::SYS_setuid, &[]),
    ("setresuid", libc::SYS_setresuid, &[]),
    ("setgroups", libc::SYS_setgroups, &[]),
    ("capset", libc::SYS_capset, &[]),
    (
        "a core file",
        libc::SYS_setrlimit,
        &[libc::RLIMIT_CORE as c_long],
    ),
    ("unshare", libc::SYS_unshare, &[NEW_USER_NAMESPACE]),
    (
        "new user namespace",
        libc::SYS_clone,
        &[NEW_USER_NAMESPACE | CHILD],
    ),
    ("setns", libc::SYS_setns, &[-1]),
    // Other files.
    ("mount", libc::SYS_mount, &[]),
    ("the new mount interface", libc::SYS_fsopen, &[]),
    ("open_tree", libc::SYS_open_tree, &[HERE]),
    ("pivot_root", libc::SYS_pivot_root, &[]),
    ("chroot", libc::SYS_chroot, &[]),
    ("chdir", libc::SYS_chdir, &[]),
    ("fchdir", libc::SYS_fchdir, &[-1]),
    ("openat2", libc::SYS_openat2, &[HERE]),
    ("open_by_handle_at", libc::SYS_open_by_handle_at, &[-1]),
    ("name_to_handle_at", libc::SYS_name_to_handle_at, &[-1]),
    ("fchmodat", libc::SYS_fchmodat, &[]),
    ("fchownat", libc::SYS_fchownat, &[]),
    ("linkat", libc::SYS_linkat, &[]),
    ("symlinkat", libc::SYS_symlinkat, &[]),
    ("mknodat", libc::SYS_mknodat, &[HERE]),
    ("an extended attribute", libc::SYS_setxattr, &[]),
    // Other sockets.
    (
        "packet socket",
        libc::SYS_socket,
        &[libc::AF_PACKET as c_long, RAW],
    ),
    ("raw socket", libc::SYS_socket, &[INET, RAW]),
    (
        "kernel crypto socket",
        libc::SYS_socket,
        &[libc::AF_ALG as c_long, SEQPACKET],
    ),
    (
        "socket of the host",
        libc::SYS_socket,
        &[libc::AF_VSOCK as c_long, STREAM],
    ),
    ("listen", libc::SYS_listen, &[-1]),
    (
        "out of band data",
        libc::SYS_recvfrom,
        &[-1, 0, 0, OUT_OF_BAND],
    ),
    (
        "out of band data sent",
        libc::SYS_sendto,
        &[-1, 0, 0, OUT_OF_BAND],
    ),
    // Past the filter.
    ("unknown call", 9999, &[]),
    #[cfg(target_arch = "x86_64")]
    (
        "call of the x32 interface",
        0x4000_0000 | libc::SYS_write,
        &[2],
    ),
    #[cfg(target_arch = "x86_64")]
    ("a base register", libc::SYS_arch_prctl, &[]),
    #[cfg(target_arch = "x86_64")]
    ("modify_ldt", libc::SYS_modify_ldt, &[]),
    #[cfg(target_arch = "x86_64")]
    ("input and output ports", libc::SYS_iopl, &[3]),
];

/// Calls that only the network daemon may make, and calls similar to those that keyd may make. The
/// finder may make even fewer.
const KEYD: &[Call] = &[
    ("socket", libc::SYS_socket, &[INET, DATAGRAM]),
    ("TCP socket", libc::SYS_socket, &[INET6, STREAM]),
    ("unix socket", libc::SYS_socket, &[UNIX, STREAM]),
    ("netlink socket", libc::SYS_socket, &[NETLINK, RAW]),
    ("socketpair", libc::SYS_socketpair, &[UNIX, STREAM]),
    ("bind", libc::SYS_bind, &[-1]),
    ("connect", libc::SYS_connect, &[-1]),
    (
        "another peer for the socket that is standard output",
        libc::SYS_connect,
        &[1],
    ),
    ("setsockopt", libc::SYS_setsockopt, &[-1, OPTION]),
    (
        "recvmsg, which could take descriptors",
        libc::SYS_recvmsg,
        &[-1],
    ),
    (
        "sendmsg, which could give descriptors away",
        libc::SYS_sendmsg,
        &[-1],
    ),
    ("open", libc::SYS_openat, &[HERE]),
    (
        "open to write",
        libc::SYS_openat,
        &[HERE, 0, libc::O_WRONLY as c_long],
    ),
    (
        "open to create",
        libc::SYS_openat,
        &[HERE, 0, libc::O_CREAT as c_long],
    ),
    ("read", libc::SYS_read, &[-1]),
    ("pread64", libc::SYS_pread64, &[-1]),
    ("readlinkat", libc::SYS_readlinkat, &[HERE]),
    ("getdents64", libc::SYS_getdents64, &[-1]),
    ("unlinkat", libc::SYS_unlinkat, &[]),
    ("renameat2", libc::SYS_renameat2, &[]),
    ("ftruncate", libc::SYS_ftruncate, &[-1]),
    ("fallocate", libc::SYS_fallocate, &[-1]),
    ("sendfile", libc::SYS_sendfile, &[-1, -1]),
    ("copy_file_range", libc::SYS_copy_file_range, &[-1, 0, -1]),
    (
        "mmap",
        libc::SYS_mmap,
        &[0, 4096, READ_WRITE, ANONYMOUS, -1],
    ),
    ("mremap", libc::SYS_mremap, &[]),
    ("munmap", libc::SYS_munmap, &[]),
    ("mprotect", libc::SYS_mprotect, &[0, 0, 1]),
    ("brk", libc::SYS_brk, &[]),
    ("madvise", libc::SYS_madvise, &[]),
    ("memfd_secret", 447, &[]),
    ("thread", libc::SYS_clone, &[0x003d_0f00]),
    ("clone3", libc::SYS_clone3, &[]),
    ("dup", libc::SYS_dup, &[2]),
    ("dup3", libc::SYS_dup3, &[2, 1]),
    ("fcntl", libc::SYS_fcntl, &[2, libc::F_GETFD as c_long]),
    ("ioctl", libc::SYS_ioctl, &[2, libc::TCGETS as c_long]),
    ("futex", libc::SYS_futex, &[]),
    ("rt_sigaction", libc::SYS_rt_sigaction, &[]),
    ("rt_sigreturn", libc::SYS_rt_sigreturn, &[]),
    ("restart_syscall", libc::SYS_restart_syscall, &[]),
    ("new limit", libc::SYS_prlimit64, &[]),
    ("landlock", libc::SYS_landlock_restrict_self, &[-1]),
    ("write to standard output", libc::SYS_write, &[1]),
    ("write to a descriptor", libc::SYS_write, &[-1]),
    ("writev", libc::SYS_writev, &[2]),
    ("sendto an address", libc::SYS_sendto, &[-1, 0, 0, 0, 1, 16]),
    (
        "recvfrom with an address",
        libc::SYS_recvfrom,
        &[-1, 0, 0, 0, 1],
    ),
    (
        "ppoll with a signal mask",
        libc::SYS_ppoll,
        &[0, 0, 0, 1, 8],
    ),
    ("clock of a device", libc::SYS_clock_gettime, &[-5]),
    (
        "accept4 of a descriptor that programs inherit",
        libc::SYS_accept4,
        &[-1],
    ),
    (
        "accept4 with an address",
        libc::SYS_accept4,
        &[-1, 1, 0, 0x80800],
    ),
    (
        "getsockopt of another option",
        libc::SYS_getsockopt,
        &[-1, OPTION, libc::SO_ERROR as c_long],
    ),
];

/// Calls similar to those that the network daemon may make.
const NETD: &[Call] = &[
    ("mkdirat", libc::SYS_mkdirat, &[]),
    (
        "new limit",
        libc::SYS_prlimit64,
        &[0, libc::RLIMIT_CORE as c_long, 1],
    ),
    (
        "socket filter",
        libc::SYS_setsockopt,
        &[-1, OPTION, libc::SO_ATTACH_FILTER as c_long],
    ),
    (
        "typing into the terminal",
        libc::SYS_ioctl,
        &[0, libc::TIOCSTI as c_long],
    ),
    (
        "signals by a descriptor",
        libc::SYS_fcntl,
        &[2, libc::F_SETOWN as c_long, 1],
    ),
    ("thread in a new network", libc::SYS_clone, &[0x403d_0f00]),
    ("unix socket", libc::SYS_socket, &[UNIX, STREAM]),
    ("netlink socket", libc::SYS_socket, &[NETLINK, RAW]),
    (
        "TCP socket",
        libc::SYS_socket,
        &[INET6, STREAM | libc::SOCK_CLOEXEC as c_long],
    ),
    ("several datagrams at once", libc::SYS_sendmmsg, &[-1]),
    ("network socketpair", libc::SYS_socketpair, &[INET, STREAM]),
    (
        "datagram socketpair",
        libc::SYS_socketpair,
        &[UNIX, DATAGRAM],
    ),
    (
        "raw socketpair, which is one of datagrams",
        libc::SYS_socketpair,
        &[UNIX, RAW],
    ),
    (
        "socketpair in order",
        libc::SYS_socketpair,
        &[UNIX, SEQPACKET],
    ),
    (
        "recvmsg from another than the connector",
        libc::SYS_recvmsg,
        &[1, 0, 0x4000_0060],
    ),
    (
        "out of band data of the connector",
        libc::SYS_recvmsg,
        &[0, 0, OUT_OF_BAND],
    ),
    (
        "sendmsg, which could give descriptors away",
        libc::SYS_sendmsg,
        &[0],
    ),
    (
        "another socket in the connector's place",
        libc::SYS_close,
        &[0],
    ),
];

/// Calls that the bridge, which parses what others send, may not make.
const BRIDGE: &[Call] = &[
    ("connect", libc::SYS_connect, &[-1]),
    ("bind", libc::SYS_bind, &[-1]),
    ("unix socket", libc::SYS_socket, &[UNIX, DATAGRAM]),
    ("socketpair", libc::SYS_socketpair, &[UNIX, STREAM]),
    ("socket", libc::SYS_socket, &[INET, DATAGRAM]),
    (
        "sendto an address",
        libc::SYS_sendto,
        &[-1, 0, 0, 0x4000, 1, 16],
    ),
    (
        "sendmsg, which could give descriptors away",
        libc::SYS_sendmsg,
        &[-1],
    ),
    (
        "recvmsg, which could take descriptors",
        libc::SYS_recvmsg,
        &[-1],
    ),
    ("open", libc::SYS_openat, &[HERE]),
    ("read", libc::SYS_read, &[-1]),
    ("thread", libc::SYS_clone, &[0x003d_0f00]),
];

/// Calls that the port keeper, which holds sockets of four kinds, may not make.
const PORT_KEEPER: &[Call] = &[
    ("a frame socket bound anew", libc::SYS_bind, &[-1]),
    ("connect", libc::SYS_connect, &[-1]),
    (
        "another peer for the socket that is standard output",
        libc::SYS_connect,
        &[1],
    ),
    ("setsockopt", libc::SYS_setsockopt, &[-1, OPTION]),
    ("socket", libc::SYS_socket, &[INET, DATAGRAM]),
    ("netlink socket", libc::SYS_socket, &[NETLINK, RAW]),
    ("unix socket", libc::SYS_socket, &[UNIX, STREAM]),
    ("socketpair", libc::SYS_socketpair, &[UNIX, STREAM]),
    (
        "recvmsg, which could take descriptors",
        libc::SYS_recvmsg,
        &[-1],
    ),
    (
        "sendmsg, which could give descriptors away",
        libc::SYS_sendmsg,
        &[-1],
    ),
    ("open", libc::SYS_openat, &[HERE]),
    ("read", libc::SYS_read, &[-1]),
    (
        "accept4 of a descriptor that programs inherit",
        libc::SYS_accept4,
        &[-1],
    ),
    (
        "accept4 with an address",
        libc::SYS_accept4,
        &[-1, 1, 0, 0x80800],
    ),
    ("fcntl", libc::SYS_fcntl, &[2, libc::F_GETFD as c_long]),
    ("ioctl", libc::SYS_ioctl, &[2, libc::TCGETS as c_long]),
    (
        "mmap",
        libc::SYS_mmap,
        &[0, 4096, READ_WRITE, ANONYMOUS, -1],
    ),
    ("brk", libc::SYS_brk, &[]),
    ("thread", libc::SYS_clone, &[0x003d_0f00]),
    ("write to standard output", libc::SYS_write, &[1]),
    (
        "ppoll with a signal mask",
        libc::SYS_ppoll,
        &[0, 0, 0, 1, 8],
    ),
    ("another clock", libc::SYS_clock_gettime, &[0]),
];

/// Calls similar to those that a look-up may make.
const LOOK_UP: &[Call] = &[
    (
        "mmap of memory to write code to",
        libc::SYS_mmap,
        &[0, 4096, READ_WRITE | READ_EXECUTE, ANONYMOUS, -1],
    ),
    ("unix datagrams", libc::SYS_socket, &[UNIX, DATAGRAM]),
    ("unix socket in order", libc::SYS_socket, &[UNIX, SEQPACKET]),
    ("another netlink", libc::SYS_socket, &[NETLINK, RAW, 12]),
    ("socketpair", libc::SYS_socketpair, &[UNIX, SEQPACKET]),
    ("accept4", libc::SYS_accept4, &[-1]),
    (
        "out of band data in pieces",
        libc::SYS_sendmsg,
        &[-1, 0, OUT_OF_BAND],
    ),
    (
        "out of band data in several datagrams",
        libc::SYS_sendmmsg,
        &[-1, 0, 0, OUT_OF_BAND],
    ),
    (
        "signals by a descriptor",
        libc::SYS_fcntl,
        &[2, libc::F_SETOWN as c_long, 1],
    ),
    (
        "typing into the terminal",
        libc::SYS_ioctl,
        &[0, libc::TIOCSTI as c_long],
    ),
    ("thread", libc::SYS_clone, &[0x003d_0f00]),
    ("clone3", libc::SYS_clone3, &[]),
    ("landlock", libc::SYS_landlock_restrict_self, &[-1]),
    ("close_range", libc::SYS_close_range, &[3, 3]),
    ("unlinkat", libc::SYS_unlinkat, &[]),
    ("renameat2", libc::SYS_renameat2, &[]),
    ("ftruncate", libc::SYS_ftruncate, &[-1]),
    ("getdents64", libc::SYS_getdents64, &[-1]),
    ("new limit", libc::SYS_prlimit64, &[]),
];

/// Calls similar to those that the names helper may make in addition.
const NAMES: &[Call] = &[
    ("thread", libc::SYS_clone, &[0x003d_0f00]),
    (
        "copy in a new network",
        libc::SYS_clone,
        &[0x4000_0000 | CHILD],
    ),
    ("clone3", libc::SYS_clone3, &[]),
    (
        "datagram socketpair",
        libc::SYS_socketpair,
        &[UNIX, DATAGRAM],
    ),
    ("unix datagrams", libc::SYS_socket, &[UNIX, DATAGRAM]),
    (
        "the end of a process on its own terms",
        libc::SYS_kill,
        &[1, libc::SIGTERM as c_long],
    ),
    ("unlinkat", libc::SYS_unlinkat, &[]),
    ("new limit", libc::SYS_prlimit64, &[]),
];

/// Calls that a look-up may make for the modules that it loads.
const OF_LOOK_UPS: &[&str] = &["mmap of executable memory"];

/// Calls that the names helper may make to start look-ups, which confine themselves.
const OF_NAMES: &[&str] = &["mmap of executable memory", "fork", "wait4", "seccomp"];

/// Calls that the finder may make to connect its socket, which is standard output.
const OF_THE_FINDER: &[&str] = &[
    "connect",
    "another peer for the socket that is standard output",
];

/// Calls that the connector may make to connect to keyd, to open files for netd, and to close what
/// it has passed on.
const OF_CONNECTOR: &[&str] = &["connect", "fcntl", "open"];

/// Calls that softsim-anchord may make to speak to the TPM.
const OF_ANCHORD: &[&str] = &["read", "write to standard output", "write to a descriptor"];

/// Calls that the network daemon's C library tries, but can do without.
const REFUSED: Call = ("clone3", libc::SYS_clone3, &[]);

fn calls(policy: &str) -> (Filter, impl Iterator<Item = &'static Call>) {
    let (filter, own, allowed): (_, _, &[&str]) = match policy {
        "keyd" => (Filter::Keyd, KEYD, &[]),
        "netd" => (Filter::Netd, NETD, &[]),
        "names" => (Filter::Names, NAMES, OF_NAMES),
        "look-up" => (Filter::LookUp, LOOK_UP, OF_LOOK_UPS),
        "connector" => (Filter::Connector, KEYD, OF_CONNECTOR),
        "finder" => (Filter::Finder, KEYD, OF_THE_FINDER),
        "bridge" => (Filter::Bridge, BRIDGE, &[]),
        "port-keeper" => (Filter::PortKeeper, PORT_KEEPER, &[]),
        "anchord" => (Filter::Anchord, KEYD, OF_ANCHORD),
        _ => panic!("unknown policy"),
    };
    let calls = BOTH.iter().chain(own);
    (filter, calls.filter(|call| !allowed.contains(&call.0)))
}

/// A line for each: the call with its arguments as the kernel will see them, and its name.
pub(crate) fn list(policy: &str) {
    for call in calls(policy).1 {
        let [a, b, c, d, e, f] = arguments(call);
        println!(
            "{:x} {a:x} {b:x} {c:x} {d:x} {e:x} {f:x} {}",
            call.1, call.0
        );
    }
}

pub(crate) fn attempt(policy: &str, name: &str) {
    let (filter, mut calls) = calls(policy);
    let call = calls.find(|call| call.0 == name).expect("a known call");
    confined();
    seccomp::install(filter).expect("seccomp");
    make(call);
}

/// write(2, 0, 0) by the entry for 32-bit programs, which has other numbers for the calls.
#[cfg(target_arch = "x86_64")]
pub(crate) fn thirty_two_bits(policy: &str) {
    confined();
    seccomp::install(calls(policy).0).expect("seccomp");
    // SAFETY: a call that writes nothing; `rbx` is restored.
    unsafe {
        std::arch::asm!(
            "push rbx", "mov ebx, 2", "int 0x80", "pop rbx",
            inout("eax") 4 => _, in("ecx") 0, in("edx") 0,
            clobber_abi("C"),
        );
    }
}

pub(crate) fn refused() {
    seccomp::install(Filter::Netd).expect("seccomp");
    assert_eq!(make(&REFUSED), Some(libc::ENOSYS));
}

fn arguments(call: &Call) -> [c_long; 6] {
    std::array::from_fn(|position| call.2.get(position).copied().unwrap_or(0))
}

/// The error number, unless the call worked (or the filter ended the process).
fn make(call: &Call) -> Option<i32> {
    let [a, b, c, d, e, f] = arguments(call);
    // SAFETY: the filter answers before the kernel looks at the arguments; where it should fail
    // to, all pointers are null or invalid, which the kernel tells without touching memory.
    let result = unsafe { libc::syscall(call.1, a, b, c, d, e, f) };
    (result == -1).then(|| {
        io::Error::last_os_error()
            .raw_os_error()
            .expect("an error number")
    })
}
