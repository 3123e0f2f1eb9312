//! Compiles `policies/seccomp/*.json` to BPF for the target, as Rust constants.
//!
//! What a policy is: see [`policy`].

mod policy;

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use policy::Policy;
use seccompiler::BpfProgram;
use serde_json::Value;

/// The constants, and the policies whose rules each holds. The names helper can forbid its
/// look-ups, which are copies of it, what it may do itself, but can't allow them more.
const POLICIES: [(&str, &[&str]); 9] = [
    ("KEYD", &["keyd"]),
    ("NETD", &["netd"]),
    ("BRIDGE", &["bridge"]),
    ("FINDER", &["finder"]),
    ("NAMES", &["names", "look-up"]),
    ("LOOK_UP", &["look-up"]),
    ("CONNECTOR", &["connector"]),
    ("PORT_KEEPER", &["port-keeper"]),
    ("ANCHORD", &["anchord"]),
];

fn main() -> Result<(), Box<dyn Error>> {
    let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../policies/seccomp");
    let mut generated = String::new();
    for (constant, names) in POLICIES {
        let mut policy = Policy::default();
        for name in names {
            let path = folder.join(name).with_extension("json");
            println!("cargo::rerun-if-changed={}", path.display());
            let more = fs::read_to_string(&path)
                .map_err(Into::into)
                .and_then(|text| Policy::parse(&text, &arch))
                .map_err(|error| format!("{}: {error}", path.display()))?;
            policy.allow.extend(more.allow);
            policy.refuse.extend(more.refuse);
        }
        let compiled = policy
            .compile(&arch)
            .map_err(|error| format!("{constant}: {error}"))?;
        let constant = write_constant(constant, &compiled, &calls(&policy.allow))?;
        generated.push_str(&constant);
    }
    println!("cargo::rerun-if-changed=build");
    fs::write(
        Path::new(&env::var("OUT_DIR")?).join("seccomp.rs"),
        generated,
    )?;
    Ok(())
}

fn calls(entries: &[Value]) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    let names = entries.iter().filter_map(|entry| entry["syscall"].as_str());
    names.filter(|name| seen.insert(*name)).collect()
}

fn write_constant(
    constant: &str,
    programs: &[BpfProgram],
    calls: &[&str],
) -> Result<String, Box<dyn Error>> {
    let mut text = format!("const {constant}: Policy = Policy {{ programs: &[\n");
    for program in programs {
        text.push_str("&[\n");
        for step in program {
            let (code, jt, jf, k) = (step.code, step.jt, step.jf, step.k);
            writeln!(
                text,
                "sock_filter {{ code: {code}, jt: {jt}, jf: {jf}, k: {k} }},"
            )?;
        }
        text.push_str("],\n");
    }
    writeln!(text, "], calls: &{calls:?} }};")?;
    Ok(text)
}
