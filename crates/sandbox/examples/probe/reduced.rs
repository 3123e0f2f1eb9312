//! The policy of the key process with one rule less.

use libc::c_long;
use serde_json::Value;
use softsim_sandbox::process;

#[path = "../../build/policy.rs"]
mod policy;

use policy::Policy;

const TEXT: &str = include_str!("../../../../policies/seccomp/keyd.json");

/// A line for each rule: its call's number and its name.
pub(crate) fn list() {
    for rule in read().allow {
        println!("{} {}", number(name(&rule)), name(&rule));
    }
}

/// Installs the policy without the rule at that place; with `all`, the whole policy.
pub(crate) fn install(place: &str) {
    let mut policy = read();
    if place != "all" {
        policy.allow.remove(place.parse().expect("a place"));
    }
    let programs = policy.compile(std::env::consts::ARCH).expect("BPF");
    process::no_new_privileges().expect("no new privileges");
    for program in programs {
        let program = libc::sock_fprog {
            len: program.len() as u16,
            filter: program.as_ptr().cast::<libc::sock_filter>().cast_mut(),
        };
        // SAFETY: seccompiler's instruction is laid out as the kernel's, which copies `len` of them.
        let installed = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                0,
                &raw const program,
            )
        };
        assert_eq!(installed, 0);
    }
}

fn read() -> Policy {
    Policy::parse(TEXT, std::env::consts::ARCH).expect("the policy that was built")
}

fn name(rule: &Value) -> &str {
    rule["syscall"].as_str().expect("a name")
}

fn number(name: &str) -> c_long {
    match name {
        "ppoll" => libc::SYS_ppoll,
        "accept4" => libc::SYS_accept4,
        "getsockopt" => libc::SYS_getsockopt,
        "recvfrom" => libc::SYS_recvfrom,
        "sendto" => libc::SYS_sendto,
        "close" => libc::SYS_close,
        "pwrite64" => libc::SYS_pwrite64,
        "fdatasync" => libc::SYS_fdatasync,
        "getrandom" => libc::SYS_getrandom,
        "clock_gettime" => libc::SYS_clock_gettime,
        "write" => libc::SYS_write,
        "exit_group" => libc::SYS_exit_group,
        _ => panic!("the test doesn't know the number of {name}"),
    }
}
