//! The checks of what the daemons say, of their programs, of the clock, and of their units.

use std::io;
use std::path::Path;

use softsim_client::proto::KekSource;
use softsim_client::time;

use super::host::{Host, KEYD, NETD};
use crate::failure::Failure;
use crate::finding::{Finding, State};
use crate::{files, verdict};

/// What `softsimctl status` judges, with the reason why a daemon doesn't answer.
pub(super) fn daemons(host: &Host) -> Vec<Finding> {
    let (keyd, netd) = (host.keyd.as_ref(), host.netd.as_ref());
    let mut findings = verdict::of_daemons(keyd.ok(), netd.ok());
    explain(&mut findings, KEYD, keyd.err());
    explain(&mut findings, NETD, netd.err());
    findings
}

/// Says why a daemon doesn't answer; whom the kernel keeps away can't tell whether it would.
fn explain(findings: &mut [Finding], daemon: &str, failure: Option<&Failure>) {
    let finding = findings.iter_mut().find(|finding| finding.name == daemon);
    let (Some(finding), Some(failure)) = (finding, failure) else {
        return;
    };
    if failure.denied {
        finding.state = State::Unexamined;
    }
    finding.found = failure.message.clone();
    finding.advice = failure.hint.clone().or(finding.advice.take());
}

/// The release of this program.
const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// The programs must be of this release, and so must a netd that runs.
pub(super) fn releases(host: &Host) -> Vec<Finding> {
    let installed = [KEYD, NETD].map(|name| release(host, name));
    let running = host.netd.as_ref().ok();
    let outdated = running.filter(|netd| netd.release != RELEASE).map(|netd| {
        Finding::amiss(
            "release",
            format!(
                "the softsim-netd that runs is {}, softsimctl {RELEASE}",
                netd.release
            ),
            "systemctl restart softsim-netd",
        )
    });
    installed.into_iter().chain(outdated).collect()
}

fn release(host: &Host, name: &str) -> Finding {
    const NAME: &str = "release";
    let said = (host.run)(&files::program(name), &["--version".as_ref()], None);
    match said.as_deref() {
        Ok(said) if *said == format!("{name} {RELEASE}") => Finding::fine(NAME, said),
        Ok(said) => Finding::amiss(
            NAME,
            format!("{name} is of another release than softsimctl {RELEASE}: {said}"),
            "install the packages of one release",
        ),
        Err(error) => Finding::unexamined(NAME, format!("{name} --version: {error}")),
    }
}

/// The first octets of a credential of systemd (`CRED_AES256_GCM_BY_…` in its creds-util.h),
/// in base64, which name the kind of the key that encrypts it.
const CREDENTIALS: &[(&str, &str, bool)] = &[
    ("Whxqht+dQJax1aZeCGLx", "the host's key", true),
    ("DHzAexF2RZGcSwvqCLwg", "the TPM", true),
    ("+vfrk0HjQSyhpDb5Wik2", "the TPM and a public key", true),
    ("k6iUCUh0RJCQyvL8k8q1", "the host's key and the TPM", true),
    (
        "r0lQqEkTTrGnOEYwT/MM",
        "the host's key, the TPM and a public key",
        true,
    ),
    ("BYRp2vb1QySABUnaD46i", "no key", false),
];

/// What protects the credential that has the vault's key.
pub(super) fn credential(host: &Host) -> Vec<Finding> {
    const NAME: &str = "credential";
    const FILE: &str = "/etc/softsim/kek.cred";
    let source = |keyd: &crate::keyd::KeydStatus| keyd.answer.enforcement.kek_source;
    if host
        .keyd
        .as_ref()
        .is_ok_and(|keyd| source(keyd) != KekSource::Credential)
    {
        return Vec::new();
    }
    let text = match host.read(FILE) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => return vec![Finding::unexamined(NAME, format!("{FILE}: {error}"))],
    };
    let kind = CREDENTIALS
        .iter()
        .find(|(begin, ..)| text.starts_with(begin));
    vec![match kind {
        Some((_, key, true)) => Finding::fine(NAME, format!("{FILE} is encrypted with {key}")),
        Some((_, key, false)) => Finding::amiss(
            NAME,
            format!("{FILE} is encrypted with {key}"),
            "systemd-creds encrypt --with-key=auto, and softsimctl vault rekey",
        ),
        None => Finding::unexamined(NAME, format!("{FILE}: the kind of its key is unknown")),
    }]
}

/// Whether the clock can be right, and whether something sets it.
pub(super) fn clock(host: &Host) -> Vec<Finding> {
    let behind = host.keyd.as_ref().ok().map(|keyd| {
        let times = &keyd.answer.times;
        let clock = time::utc(times.clock);
        match times.are_known() {
            true => Finding::fine("clock", clock.to_string()),
            false => Finding::amiss(
                "clock",
                format!("{clock} is before {}, which has passed", time::utc(times.now())),
                "set the clock (timedatectl set-ntp true, or date -s), or softsimctl time set-back if the kept time is wrong",
            ),
        }
    });
    behind.into_iter().chain(synchronised(host)).collect()
}

fn synchronised(host: &Host) -> Option<Finding> {
    const NAME: &str = "synchronisation";
    if !host.has_systemd() {
        let why = "without systemd, nothing says whether the clock is synchronised";
        return Some(Finding::unexamined(NAME, why));
    }
    let arguments = ["show", "--property=NTPSynchronized", "--value"].map(str::as_ref);
    let said = (host.run)(Path::new("timedatectl"), &arguments, None);
    Some(match said.as_deref() {
        Ok("yes") => Finding::fine(NAME, "the clock is synchronised"),
        Ok("no") => Finding::amiss(
            NAME,
            "the clock isn't synchronised",
            "timedatectl set-ntp true, or another NTP client",
        ),
        Ok(_) => Finding::unexamined(NAME, "timedatectl doesn't say"),
        Err(error) => Finding::unexamined(NAME, format!("timedatectl: {error}")),
    })
}

/// Units of ours that have failed.
pub(super) fn failed_units(host: &Host) -> Vec<Finding> {
    const NAME: &str = "units";
    if !host.has_systemd() {
        return Vec::new();
    }
    let arguments = [
        "list-units",
        "--state=failed",
        "--plain",
        "--no-legend",
        "softsim-*",
    ];
    let said = (host.run)(Path::new("systemctl"), &arguments.map(str::as_ref), None);
    let said = match said {
        Ok(said) => said,
        Err(error) => return vec![Finding::unexamined(NAME, format!("systemctl: {error}"))],
    };
    let failed = said.lines().filter_map(|row| row.split_whitespace().next());
    let failed: Vec<_> = failed
        .map(|unit| {
            Finding::wrong(
                NAME,
                format!("{unit} has failed"),
                format!("journalctl -u {unit} says why; systemctl restart {unit}"),
            )
        })
        .collect();
    match failed.is_empty() {
        true => vec![Finding::fine(NAME, "none has failed")],
        false => failed,
    }
}
