//! The checks of what netd needs: its configuration, the files and the interfaces that it names,
//! and the key process.
//!
//! They find everything that is wrong, not only the first. netd makes them at its start, and
//! `--check` makes them without a start. A [`Finding`] is data, so that any program can show it.

pub(crate) mod certificates;
mod finding;
mod interface;
mod key_process;
mod names;
mod socket;
mod state_folder;

use std::collections::BTreeSet;
use std::fs;
use std::path::{self, Path};

use softsim_client::netd::check::{Checked, NamedInterface, NamedServer};
use softsim_sandbox::text::Plain;
use softsim_sandbox::{exit_status, process};

pub use self::finding::{Finding, Kind, Line, Place, Severity};
use crate::access::prepare;
use crate::callers::Callers;
use crate::config::{Config, Sandbox};
use crate::connector::process::shared_folder;
use crate::files::Files;
use crate::uri::Server;

/// Reads the configuration, and checks what it names. Errors come first, then warnings, each in the
/// order of the file.
///
/// With an error, the configuration isn't what the file says, and must not be used.
pub(crate) fn run(file: &Path) -> (Option<Config>, Vec<Finding>) {
    let (config, mut findings) = Config::read(file);
    if let Some(config) = &config {
        findings.extend(around(config, file));
    }
    findings.sort_by_key(|finding| {
        let line = finding.place.line.as_ref().map(|line| line.number);
        (finding.severity, line)
    });
    (config, findings)
}

/// Checks what a configuration names.
fn around(config: &Config, file: &Path) -> Vec<Finding> {
    let mut findings = state_folder::check(config, file);
    let keyd = config
        .section
        .has("keyd_socket")
        .then(|| key_process::connect(config));
    let keyd = match keyd {
        Some(Ok(keyd)) => Some(keyd),
        Some(Err(finding)) => {
            findings.push(finding);
            None
        }
        None => None,
    };
    findings.extend(certificates::check(config, keyd));
    let monitor = config.monitor_socket.as_deref();
    findings.extend(folder_of_socket(
        config,
        "control_socket",
        Some(&config.control_socket),
    ));
    findings.extend(folder_of_socket(config, "monitor_socket", monitor));
    findings.extend(Callers::of(config).1);
    if config.sandbox == Sandbox::Off {
        let problem = "softsim-netd runs unconfined, which is for debugging";
        let place = config.section.place("sandbox");
        findings.push(Finding::warning(Kind::Configuration, place, problem));
    }
    findings.extend(files(config, &Files::System));
    findings.extend(in_shared_folders(config, file));
    findings.extend(names::check(config));
    findings.extend(config.accesses.iter().flat_map(interface::check));
    findings
}

/// Checks the files that a configuration names, and what its accesses entail.
pub(crate) fn files(config: &Config, files: &Files) -> Vec<Finding> {
    let bootstrap = config.bootstrap.as_ref();
    let of_bootstrap = bootstrap.and_then(|bootstrap| bootstrap.load(files).err());
    let accesses = config.accesses.iter();
    let of_accesses = accesses.flat_map(|settings| prepare::check(settings, files));
    let of_bootstrap = of_bootstrap.into_iter().flatten();
    of_bootstrap.chain(of_accesses).collect()
}

/// Files that a running netd reads again only as long as they aren't replaced.
fn in_shared_folders(config: &Config, file: &Path) -> Vec<Finding> {
    let files: BTreeSet<_> = [file].into_iter().chain(config.files()).collect();
    let found = files.into_iter().filter_map(|path| {
        let folder = shared_folder(path)?;
        let (path, folder) = (path.display(), folder.display());
        let problem = format!(
            "{path}: expected a file in a folder of softsim's own, got one in {folder}: SIGHUP \
             can't read it any more once it is replaced"
        );
        let finding = Finding::warning(Kind::Configuration, Place::default(), problem);
        Some(finding.advise("move it to a folder below"))
    });
    found.collect()
}

/// netd makes its sockets, but not their folders.
fn folder_of_socket(config: &Config, field: &str, socket: Option<&Path>) -> Option<Finding> {
    let named = config.section.has(field);
    let folder = socket?.parent().filter(|_| named)?;
    let reason = fs::metadata(folder).err()?;
    let shown = folder.display();
    let problem = format!("expected a folder for the socket, got {shown}: {reason}");
    // A service manager may still make it.
    let place = config.section.place(field);
    Some(Finding::error(Kind::System, place, problem).advise(format!("mkdir {shown}")))
}

/// The exit status of a program that these findings keep from its task, and none if
/// there is no error.
pub fn status(findings: &[Finding]) -> Option<u8> {
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    // A restart may help against the other kinds; it is in vain if there is one of this kind, too.
    let kind = errors.map(|error| error.kind).min()?;
    Some(status_of(kind))
}

/// The exit status for an error of this kind.
pub fn status_of(kind: Kind) -> u8 {
    match kind {
        Kind::Configuration => exit_status::CONFIGURATION,
        Kind::System => exit_status::SYSTEM,
        Kind::Unavailable => exit_status::UNAVAILABLE,
    }
}

/// How many errors and warnings there are.
pub fn summary(findings: &[Finding]) -> String {
    let count = |severity, name: &str| {
        let of_it = findings
            .iter()
            .filter(|finding| finding.severity == severity);
        match of_it.count() {
            1 => format!("1 {name}"),
            count => format!("{count} {name}s"),
        }
    };
    let errors = count(Severity::Error, "error");
    format!("{errors}, {}", count(Severity::Warning, "warning"))
}

/// How `--check` tells what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A line for each finding, and a summary.
    Lines,
    /// An object in one line: [`Checked`].
    Json,
}

/// Makes the checks without a start, and prints what they find. Returns the exit status.
pub fn print(file: &Path, form: Form) -> u8 {
    let (config, findings) = run(file);
    let text = match form {
        Form::Lines => lines(file, &findings),
        Form::Json => json(config.as_ref(), &findings),
    };
    match process::print(&text) {
        Ok(()) => status(&findings).unwrap_or(0),
        Err(_) => exit_status::IO,
    }
}

/// Prints the configuration with every default written out, or what is wrong in it to standard
/// error. Returns the exit status.
pub fn print_config(file: &Path) -> u8 {
    // Wherever the printed one is kept, it names the same files.
    let absolute = path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let (config, findings) = Config::read(&absolute);
    let Some(config) = config.filter(|_| status(&findings).is_none()) else {
        eprint!("{}", lines(file, &findings));
        return status(&findings).unwrap_or(exit_status::SOFTWARE);
    };
    process::print(&config.in_full()).map_or(exit_status::IO, |()| exit_status::DONE)
}

fn lines(file: &Path, findings: &[Finding]) -> String {
    let lines = findings
        .iter()
        .map(|finding| format!("{}: {finding}", finding.severity))
        .chain([format!("{}: {}", file.display(), summary(findings))]);
    lines.map(|line| format!("{}\n", Plain(&line))).collect()
}

fn json(config: Option<&Config>, findings: &[Finding]) -> String {
    let checked = Checked {
        findings: findings.iter().map(Finding::told).collect(),
        servers: config.map(servers).unwrap_or_default(),
        interfaces: config.map(interfaces).unwrap_or_default(),
    };
    format!("{}\n", serde_json::json!(checked))
}

/// The servers that a configuration names, but for those that are wrong.
fn servers(config: &Config) -> Vec<NamedServer> {
    let named = |of: &str, server: &Server| NamedServer {
        of: of.to_owned(),
        host: server.host.clone(),
        port: server.port,
    };
    let bootstrap = config.bootstrap.iter();
    let bootstrap = bootstrap.filter(|bootstrap| bootstrap.section.has("uri"));
    let bootstrap = bootstrap.map(|bootstrap| named("bootstrap", &bootstrap.server));
    let accesses = config.accesses.iter();
    let accesses = accesses.filter(|access| access.section.has("servers"));
    let accesses = accesses.flat_map(|access| {
        let servers = access.servers().iter();
        servers.map(|(server, _)| named(&access.name, server))
    });
    bootstrap.chain(accesses).collect()
}

/// The interfaces that a configuration names.
fn interfaces(config: &Config) -> Vec<NamedInterface> {
    let accesses = config.accesses.iter();
    let named = accesses.filter(|access| access.section.has("interface"));
    let named = named.filter_map(|access| access.interface());
    named
        .map(|(name, controlled_port)| NamedInterface {
            name: name.to_owned(),
            controlled_port,
        })
        .collect()
}
