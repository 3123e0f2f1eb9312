//! A policy with one rule less.

use serde_json::Value;
use softsim_sandbox::process;

#[path = "../../build/policy.rs"]
mod policy;

use policy::Policy;

#[allow(dead_code)] // Each of the examples has its own.
pub(crate) const KEYD: &str = include_str!("../../../../policies/seccomp/keyd.json");
#[allow(dead_code)]
pub(crate) const NETD: &str = include_str!("../../../../policies/seccomp/netd.json");

/// The names of the calls, one for each rule.
#[allow(dead_code)]
pub(crate) fn names(policy: &str) -> Vec<String> {
    read(policy).allow.iter().map(name).collect()
}

/// Installs the policy without the rule at that place; with `all`, the whole policy.
pub(crate) fn install(policy: &str, place: &str) {
    let mut policy = read(policy);
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
        // SAFETY: seccompiler's instruction is laid out as the kernel's, which copies `len` of
        // them.
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

fn read(policy: &str) -> Policy {
    Policy::parse(policy, std::env::consts::ARCH).expect("the policy that was built")
}

fn name(rule: &Value) -> String {
    rule["syscall"].as_str().expect("a name").to_owned()
}
