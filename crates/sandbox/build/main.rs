//! Compiles `policies/seccomp/*.json` to BPF for the target, as Rust constants.
//!
//! What a policy is: see [`policy`].

mod policy;

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use seccompiler::BpfProgram;
use serde_json::Value;

use policy::Policy;

const POLICIES: [(&str, &str); 3] = [("KEYD", "keyd"), ("NETD", "netd"), ("BRIDGE", "bridge")];

fn main() -> Result<(), Box<dyn Error>> {
    let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../policies/seccomp");
    let mut generated = String::new();
    for (constant, name) in POLICIES {
        let path = folder.join(name).with_extension("json");
        println!("cargo::rerun-if-changed={}", path.display());
        let policy = fs::read_to_string(&path)
            .map_err(Into::into)
            .and_then(|text| compile(constant, &text, &arch))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        generated.push_str(&policy);
    }
    println!("cargo::rerun-if-changed=build");
    fs::write(
        Path::new(&env::var("OUT_DIR")?).join("seccomp.rs"),
        generated,
    )?;
    Ok(())
}

fn compile(constant: &str, text: &str, arch: &str) -> Result<String, Box<dyn Error>> {
    let policy = Policy::parse(text, arch)?;
    write_constant(constant, &policy.compile(arch)?, &names(&policy.allow))
}

fn names(entries: &[Value]) -> Vec<&str> {
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
