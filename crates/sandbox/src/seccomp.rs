//! Seccomp: the filters, which are compiled at build time from `policies/seccomp/`.
//!
//! Every call that a policy doesn't name kills the process. A policy may also *refuse* a call with
//! ENOSYS, if a C library tries it first but can do without.

use std::io;

use libc::{sock_filter, sock_fprog};

use crate::{process, sys};

include!(concat!(env!("OUT_DIR"), "/seccomp.rs"));

/// A compiled policy.
struct Policy {
    /// The BPF programs in the order of their installation. The strictest result counts.
    programs: &'static [&'static [sock_filter]],
    calls: &'static [&'static str],
}

/// The policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// `policies/seccomp/keyd.json`
    Keyd,
    /// `policies/seccomp/netd.json`
    Netd,
    /// `policies/seccomp/bridge.json`
    Bridge,
    /// `policies/seccomp/finder.json`
    Finder,
    /// `policies/seccomp/names.json`
    Names,
    /// `policies/seccomp/look-up.json`
    LookUp,
    /// `policies/seccomp/connector.json`
    Connector,
    /// `policies/seccomp/port-keeper.json`
    PortKeeper,
    /// `policies/seccomp/anchord.json`
    Anchord,
}

impl Filter {
    /// The names of the allowed calls, in the order of the policy file.
    pub fn calls(self) -> &'static [&'static str] {
        self.policy().calls
    }

    fn policy(self) -> &'static Policy {
        match self {
            Filter::Keyd => &KEYD,
            Filter::Netd => &NETD,
            Filter::Bridge => &BRIDGE,
            Filter::Finder => &FINDER,
            Filter::Names => &NAMES,
            Filter::LookUp => &LOOK_UP,
            Filter::Connector => &CONNECTOR,
            Filter::PortKeeper => &PORT_KEEPER,
            Filter::Anchord => &ANCHORD,
        }
    }
}

/// Why the filter isn't installed, or only in part. The process must not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel has no seccomp filters, or an outer filter forbids them.
    #[error("the kernel refused the seccomp filter: {0}")]
    Refused(#[source] io::Error),
    /// A thread of the process has other filters; this is its id.
    #[error("thread {0} can't take over the seccomp filter")]
    Thread(libc::c_long),
}

/// Installs the filter for all threads of the process, for good.
///
/// # Errors
/// See [`Error`].
pub fn install(filter: Filter) -> Result<(), Error> {
    process::no_new_privileges().map_err(Error::Refused)?;
    for program in filter.policy().programs {
        let program = sock_fprog {
            len: program
                .len()
                .try_into()
                .expect("build.rs checks the length"),
            filter: program.as_ptr().cast_mut(),
        };
        // SAFETY: the kernel copies `len` instructions out of a static, and writes nothing.
        let diverged = sys::check(unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                libc::SECCOMP_FILTER_FLAG_TSYNC,
                &raw const program,
            )
        })
        .map_err(Error::Refused)?;
        if diverged != 0 {
            return Err(Error::Thread(diverged));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_process_serves_with_twelve_calls() {
        let mut calls = Filter::Keyd.calls().to_vec();
        calls.sort_unstable();
        assert_eq!(
            calls,
            [
                "accept4",
                "clock_gettime",
                "close",
                "exit_group",
                "fdatasync",
                "getrandom",
                "getsockopt",
                "ppoll",
                "pwrite64",
                "recvfrom",
                "sendto",
                "write"
            ]
        );
    }

    #[test]
    fn no_policy_names_a_call_that_reaches_another_process_or_program() {
        const FORBIDDEN: [&str; 20] = [
            "bpf",
            "execve",
            "execveat",
            "fork",
            "init_module",
            "io_uring_enter",
            "io_uring_setup",
            "kcmp",
            "kexec_load",
            "keyctl",
            "mount",
            "open_by_handle_at",
            "perf_event_open",
            "pidfd_getfd",
            "process_vm_readv",
            "process_vm_writev",
            "ptrace",
            "setuid",
            "unshare",
            "vfork",
        ];
        for filter in [
            Filter::Keyd,
            Filter::Netd,
            Filter::Bridge,
            Filter::Finder,
            Filter::LookUp,
            Filter::Connector,
            Filter::PortKeeper,
            Filter::Anchord,
        ] {
            for call in FORBIDDEN {
                assert!(!filter.calls().contains(&call), "{filter:?} allows {call}");
            }
        }
    }
}
