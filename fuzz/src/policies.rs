//! The policy files: role files and seccomp lists, as the builds of keyd and the sandbox read them.

use softsim_keyd_proto::Role;

#[path = "../../daemon/keyd/build/policy.rs"]
mod roles;
#[path = "../../crates/sandbox/build/policy.rs"]
#[allow(dead_code, reason = "shared with the sandbox's build")]
mod seccomp;

/// Reads the input as a policy of each kind: it is compiled, or refused with a reason.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    for role in Role::ALL {
        if let Err(reason) = roles::compile(role, text) {
            assert!(!reason.is_empty());
        }
    }
    for arch in ["x86_64", "aarch64"] {
        if let Ok(policy) = seccomp::Policy::parse(text, arch) {
            let without_reason = |entry: &serde_json::Value| entry["syscall"].is_null();
            let compiled = policy.compile(arch);
            assert!(!policy.allow.iter().any(without_reason) || compiled.is_err());
        }
    }
}
