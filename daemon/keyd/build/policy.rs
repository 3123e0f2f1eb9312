// Turns one role file into the Rust expression that the library compiles in. It stands apart from
// main.rs so that a test can hold every rule of it.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde::Deserialize;
use softsim_keyd_proto::{RequestKind, Role};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleFile {
    role: String,
    #[serde(default)]
    group: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    reason: String,
    requests: Vec<String>,
    per_second: u32,
    burst: u32,
    per_hour: Option<u32>,
    hourly_burst: Option<u32>,
}

/// The expression of type `RolePolicy` for a role file, or what is wrong with the file.
pub(crate) fn compile(role: Role, text: &str) -> Result<String, String> {
    let file: RoleFile = toml::from_str(text).map_err(|error| error.to_string())?;
    if file.role != role.name() {
        return Err(format!("expected role {role:?}, got {:?}", file.role));
    }
    let mut seen = HashSet::new();
    let mut groups = String::new();
    for group in &file.group {
        let requests = requests(role, group, &mut seen)?;
        let short = rate(group.per_second, 1, group.burst)?;
        let long = match (group.per_hour, group.hourly_burst) {
            (Some(per_hour), Some(burst)) => format!("Some({})", rate(per_hour, 3600, burst)?),
            (None, None) => "None".to_owned(),
            _ => return Err("expected per_hour and hourly_burst, got one of them".to_owned()),
        };
        write!(
            groups,
            "Group {{ rate: {short}, long: {long}, requests: &[{requests}] }},"
        )
        .map_err(|error| error.to_string())?;
    }
    Ok(format!(
        "RolePolicy {{ role: Role::{role:?}, groups: &[{groups}] }}"
    ))
}

fn rate(requests: u32, seconds: u32, burst: u32) -> Result<String, String> {
    if requests == 0 || burst == 0 {
        return Err("expected rates and bursts of 1 or more, got 0".to_owned());
    }
    Ok(format!(
        "Rate {{ requests: {requests}, seconds: {seconds}, burst: {burst} }}"
    ))
}

fn requests(role: Role, group: &Group, seen: &mut HashSet<RequestKind>) -> Result<String, String> {
    if group.reason.trim().is_empty() {
        return Err("expected a reason for each group, got none".to_owned());
    }
    let mut list = String::new();
    for name in &group.requests {
        let kind = RequestKind::ALL
            .iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| format!("no request is called {name}"))?;
        if !kind.roles().contains(&role) {
            return Err(format!("the table doesn't give {name} to the role {role}"));
        }
        if !seen.insert(*kind) {
            return Err(format!("{name} stands twice"));
        }
        write!(list, "RequestKind::{name},").map_err(|error| error.to_string())?;
    }
    Ok(list)
}
