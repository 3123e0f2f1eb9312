//! A seccomp policy, and its way to BPF: for the build, and for tests that take rules away.
//!
//! A policy is an object of `comment`, `allow` and optionally `refuse` (answered with ENOSYS; for
//! these the process lives). Both are lists of entries in seccompiler's form, each with a `comment`
//! that says who needs it; `arch` limits an entry to one architecture.

use std::error::Error;

use seccompiler::{BpfProgram, TargetArch};
use serde_json::{Value, json};

const ENOSYS: u64 = 38;

/// The entries for one architecture.
#[derive(Default)]
pub(crate) struct Policy {
    pub(crate) allow: Vec<Value>,
    pub(crate) refuse: Vec<Value>,
}

impl Policy {
    pub(crate) fn parse(text: &str, arch: &str) -> Result<Policy, Box<dyn Error>> {
        let policy: Value = serde_json::from_str(text)?;
        let refuse = policy.get("refuse");
        Ok(Policy {
            allow: entries(&policy["allow"], arch)?,
            refuse: refuse.map_or(Ok(Vec::new()), |list| entries(list, arch))?,
        })
    }

    /// Programs in the order of their installation.
    pub(crate) fn compile(&self, arch: &str) -> Result<Vec<BpfProgram>, Box<dyn Error>> {
        let mut programs = Vec::new();
        // The strictest answer of all programs counts: a refused call must be known to the main
        // program too, and comes first, since installing it takes calls that the main one kills.
        if !self.refuse.is_empty() {
            let refused = json!({ "errno": ENOSYS });
            programs.push(program("allow", &refused, &self.refuse, arch)?);
        }
        let known = [self.allow.as_slice(), &self.refuse].concat();
        programs.push(program("kill_process", &json!("allow"), &known, arch)?);
        Ok(programs)
    }
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
