//! Compiles `policies/seccomp/*.json` to BPF for the target, as Rust constants.
//!
//! A policy is an object of `comment`, `allow` and optionally `refuse` (answered with ENOSYS; for
//! these the process lives). Both are lists of entries in seccompiler's form, each with a `comment`
//! that says who needs it; `arch` limits an entry to one architecture.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use seccompiler::{BpfProgram, TargetArch};
use serde_json::{Value, json};

const POLICIES: [(&str, &str); 2] = [("KEYD", "keyd"), ("NETD", "netd")];
const ENOSYS: u64 = 38;

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
    println!("cargo::rerun-if-changed=build.rs");
    fs::write(
        Path::new(&env::var("OUT_DIR")?).join("seccomp.rs"),
        generated,
    )?;
    Ok(())
}

fn compile(constant: &str, text: &str, arch: &str) -> Result<String, Box<dyn Error>> {
    let policy: Value = serde_json::from_str(text)?;
    let allowed = entries(&policy["allow"], arch)?;
    let mut programs = Vec::new();
    // The strictest answer of all programs counts: a refused call must be known to the main
    // program too, and comes first, since installing it takes calls that the main one kills.
    let mut known = allowed.clone();
    if let Some(list) = policy.get("refuse") {
        let refused = entries(list, arch)?;
        programs.push(program(
            "allow",
            &json!({ "errno": ENOSYS }),
            &refused,
            arch,
        )?);
        known.extend(refused);
    }
    programs.push(program("kill_process", &json!("allow"), &known, arch)?);
    write_constant(constant, &programs, &names(&allowed))
}

/// The entries for this architecture, without the field that seccompiler doesn't know.
fn entries(list: &Value, arch: &str) -> Result<Vec<Value>, Box<dyn Error>> {
    let mut entries = Vec::new();
    for entry in list.as_array().ok_or("expected a list of entries")? {
        let mut entry = entry.as_object().ok_or("expected an object")?.clone();
        if entry
            .get("comment")
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
        {
            return Err(format!("an entry has no reason: {entry:?}").into());
        }
        if entry.remove("arch").is_none_or(|only| only == arch) {
            entries.push(Value::Object(entry));
        }
    }
    Ok(entries)
}

fn program(
    default: &str,
    on_match: &Value,
    filter: &[Value],
    arch: &str,
) -> Result<BpfProgram, Box<dyn Error>> {
    let source = json!({
        "program": { "mismatch_action": default, "match_action": on_match, "filter": filter }
    });
    let arch = TargetArch::try_from(arch)?;
    let mut programs = seccompiler::compile_from_json(source.to_string().as_bytes(), arch)?;
    let program = programs
        .remove("program")
        .ok_or("seccompiler lost the program")?;
    u16::try_from(program.len())?;
    Ok(program)
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
