//! The support bundle: what was found, and what a developer asks for first, in one file of text.
//!
//! It holds no secret: no file that has one is opened, and the configuration is what netd
//! understands of it. Whatever looks like the identity of a subscriber or of the device is cut out
//! of every section, since programs and servers put such texts into logs.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use softsim_sandbox::text::Plain;

use super::host::{Host, KEYD, NETD};
use crate::failure::Failure;
use crate::verdict::Verdict;
use crate::{files, keyd};

/// The settings of keyd that packages install.
const KEYD_SETTINGS: &str = "/etc/softsim/keyd.conf";

/// The fewest decimal digits of an IMSI or an ICCID.
const IDENTITY: usize = 14;

/// The fewest hexadecimal digits of the id of a device, a transaction or a session.
const ID: usize = 32;

/// How many hexadecimal digits of an id are kept, to tell it from others.
const KEPT: usize = 8;

/// Writes the bundle to a file that doesn't exist yet, and that only its owner may read.
pub(super) fn write(path: &Path, host: &Host, verdict: &Verdict) -> Result<(), Failure> {
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let written = created.and_then(|mut file| file.write_all(text(host, verdict).as_bytes()));
    written.map_err(|error| {
        let failure = Failure::creating(path, &error);
        match error.kind() {
            io::ErrorKind::AlreadyExists => failure.advise("name a file that doesn't exist yet"),
            _ => failure,
        }
    })
}

/// All sections.
pub(super) fn text(host: &Host, verdict: &Verdict) -> String {
    let (keyd, netd) = (host.keyd.as_ref(), host.netd.as_ref());
    let status = keyd::status_json(verdict, keyd, netd);
    let units = ["status", "--no-pager", "--lines=0", "softsim-*"];
    let log = [
        "--no-pager",
        "--lines=400",
        "--output=short-iso",
        "--unit=softsim-*",
    ];
    let configuration = [
        "--config".as_ref(),
        host.config.as_os_str(),
        "--print-config".as_ref(),
    ];
    let sections = [
        ("findings", super::text(verdict).join("\n")),
        ("versions", versions(host)),
        ("status", format!("{status:#}")),
        (
            "softsim-netd's configuration",
            said(host, &files::program(NETD), &configuration),
        ),
        ("softsim-keyd's settings", settings(host)),
        (
            "units",
            said(host, Path::new("systemctl"), &units.map(str::as_ref)),
        ),
        (
            "log",
            said(host, Path::new("journalctl"), &log.map(str::as_ref)),
        ),
    ];
    let section = |(name, text): (&str, String)| {
        let text = without_identities(&text);
        let lines = text.lines().map(|line| format!("{}\n", Plain(line)));
        format!("== {name}\n{}\n", lines.collect::<String>())
    };
    sections.into_iter().map(section).collect()
}

fn versions(host: &Host) -> String {
    let kernel = host.read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let system = host.read("/etc/os-release").unwrap_or_default();
    let system = system
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let of = |name: &str| said(host, &files::program(name), &["--version".as_ref()]);
    [
        concat!("softsimctl ", env!("CARGO_PKG_VERSION")).to_owned(),
        of(KEYD),
        of(NETD),
        format!("Linux {kernel}"),
        system.unwrap_or_default().to_owned(),
    ]
    .join("\n")
}

/// What a program says, or why it says nothing.
fn said(host: &Host, program: &Path, arguments: &[&OsStr]) -> String {
    let shown = program.display();
    match (host.run)(program, arguments, None) {
        Ok(said) if said.is_empty() => format!("{shown} says nothing"),
        Ok(said) => said,
        Err(error) => format!("{shown}: {error}"),
    }
}

/// The flags of keyd's settings, without comments.
fn settings(host: &Host) -> String {
    match host.read(KEYD_SETTINGS) {
        Ok(text) => {
            let flags = text.lines().filter(|line| line.starts_with("--"));
            flags.collect::<Vec<_>>().join("\n")
        }
        Err(error) => format!("{KEYD_SETTINGS}: {error}"),
    }
}

/// Cuts out numbers as long as an IMSI or an ICCID, names before a realm, and all but the first
/// digits of ids.
fn without_identities(text: &str) -> String {
    let is_of_word = |character: char| character.is_alphanumeric() || "@._-+=~".contains(character);
    let mut cut = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|character| is_of_word(character) != is_of_word(first));
        let (run, after) = rest.split_at(end.unwrap_or(rest.len()));
        match is_of_word(first) {
            true => cut.push_str(&word_without_identities(run)),
            false => cut.push_str(run),
        }
        rest = after;
    }
    cut
}

fn word_without_identities(word: &str) -> String {
    if let Some((_, realm)) = word.rsplit_once('@') {
        // A unit that has an instance is no identity.
        return match word.starts_with("softsim-") {
            true => word.to_owned(),
            false => format!("(identity)@{}", word_without_identities(realm)),
        };
    }
    let longest = |is: fn(&char) -> bool| {
        let runs = word.split(|character| !is(&character));
        runs.map(str::len).max().unwrap_or_default()
    };
    if longest(char::is_ascii_hexdigit) >= ID {
        format!("{}…", word.chars().take(KEPT).collect::<String>())
    } else if longest(char::is_ascii_digit) >= IDENTITY {
        "(number)".to_owned()
    } else {
        word.to_owned()
    }
}
