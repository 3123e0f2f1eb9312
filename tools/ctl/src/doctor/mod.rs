//! `softsimctl doctor`: examines what the two daemons need around them, and says for each part what
//! was found, whether it is fine, and if not, what to change.
//!
//! Each check is a function of a [`Host`], so that the tests show it hosts that are broken.

mod bundle;
mod host;
mod kernel;
mod network;
mod owners;
mod services;
#[cfg(test)]
pub(crate) mod tests;

use serde_json::json;
use softsim_client::paths::Sockets;

use self::host::Host;
use crate::args::Doctor;
use crate::failure::Failure;
use crate::finding::{Finding, State};
use crate::output::Output;
use crate::verdict::Verdict;

/// All checks, in the order in which one depends on another.
const CHECKS: &[fn(&Host) -> Vec<Finding>] = &[
    kernel::landlock,
    kernel::secret_memory,
    kernel::lock_limit,
    kernel::ptrace,
    kernel::core_files,
    kernel::swap,
    kernel::nf_tables,
    owners::users,
    owners::groups,
    owners::separation,
    owners::user_namespaces,
    owners::folders,
    owners::key_files,
    owners::sockets,
    services::daemons,
    services::releases,
    services::credential,
    services::clock,
    services::failed_units,
    network::configuration,
    network::interfaces,
    network::servers,
];

/// Makes all checks, and shows what they found. Returns the exit status of the verdict.
pub(crate) fn run(
    sockets: &Sockets,
    doctor: &Doctor,
    output: &mut Output<'_>,
) -> Result<u8, Failure> {
    let host = Host::this(sockets, &doctor.config);
    let verdict = examine(&host);
    if let Some(path) = &doctor.bundle {
        bundle::write(path, &host, &verdict)?;
    }
    let value = json!({
        "verdict": verdict.json(),
        "findings": verdict.findings(),
        "bundle": doctor.bundle,
    });
    output.result(&value, || {
        let bundle = doctor.bundle.iter();
        let bundle = bundle.map(|path| format!("the bundle is {}", path.display()));
        text(&verdict).into_iter().chain(bundle).collect()
    })?;
    Ok(verdict.exit_status())
}

fn examine(host: &Host) -> Verdict {
    Verdict::of(CHECKS.iter().flat_map(|check| check(host)).collect())
}

fn text(verdict: &Verdict) -> Vec<String> {
    let mut lines = vec![verdict.text()];
    for finding in verdict.findings() {
        let Finding {
            name, state, found, ..
        } = finding;
        lines.push(format!("{:<10} {name:<16} {found}", state.word()));
        let advice = finding.advice.iter();
        let advice = advice.filter(|_| *state != State::Fine);
        lines.extend(advice.map(|advice| format!("{:<27} {advice}", "")));
    }
    lines
}
