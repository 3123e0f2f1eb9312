//! The checks of the state folder: whose it must be, and which files must not be in it, since a
//! netd that was taken over can write there.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use softsim_sandbox::process;

use super::{Finding, Kind};
use crate::config::Config;

/// How many links netd follows from one to the next.
const MAX_LINKS: u8 = 16;

/// Checks that only netd can write to the state folder, and that no file in it decides what netd
/// does.
///
/// Who may write to a folder above it doesn't matter: another folder in its place holds no accounts
/// that keyd has committed.
pub(super) fn check(config: &Config, file: &Path) -> Vec<Finding> {
    if !config.section.has("state_dir") {
        return Vec::new();
    }
    let place = config.section.place("state_dir");
    let folder = match owned(&config.state_dir) {
        Ok(folder) => folder,
        Err((problem, way_out)) => {
            let finding = Finding::error(Kind::Configuration, place, problem);
            return vec![Finding { way_out, ..finding }];
        }
    };
    let mut itself = config.section.place("");
    itself.field = None;
    let trust = config.bootstrap.iter().flat_map(|bootstrap| {
        let place = bootstrap.section.place("server_trust");
        bootstrap
            .server_trust
            .iter()
            .map(move |path| (place.clone(), &**path))
    });
    let secrets = config.accesses.iter().flat_map(|access| {
        let place = access.section.place("secret_files");
        let servers = access.servers().iter();
        servers
            .filter(|_| access.section.has("secret_files"))
            .map(move |(_, path)| (place.clone(), &**path))
    });
    let named = [(itself, file)].into_iter().chain(trust).chain(secrets);
    named
        .filter(|(_, path)| {
            std::path::absolute(path).is_ok_and(|path| leads_through(&path, &folder, MAX_LINKS))
        })
        .map(|(place, path)| {
            let problem = format!(
                "expected a file outside of state_dir, to which softsim-netd writes, got {}",
                path.display()
            );
            Finding::error(Kind::Configuration, place, problem)
        })
        .collect()
}

/// The path of the folder without links, if netd owns it and nobody else may write to it or read
/// it. Who can open it can lock it, and netd would take that for another netd. If not: what is
/// wrong, and the way out.
fn owned(path: &Path) -> Result<PathBuf, (String, Option<String>)> {
    let shown = path.display();
    let failed = |error: io::Error| (format!("{shown}: {error}"), None);
    let found = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => (
            format!("{shown} is missing"),
            Some(format!("mkdir -m 0700 {shown}")),
        ),
        _ => failed(error),
    })?;
    let (owner, own, mode) = (found.uid(), process::uid(), found.mode() & 0o7777);
    if !found.is_dir() {
        Err((format!("expected a directory, got {shown}"), None))
    } else if owner != own {
        let problem = format!("expected a directory of uid {own}, got {shown} of uid {owner}");
        let way_out = match own {
            // An administrator who checks what a service will do.
            0 => format!("run softsim-netd as the user of uid {owner}, or chown root {shown}"),
            _ => format!("chown {own} {shown}"),
        };
        Err((problem, Some(way_out)))
    } else if mode & 0o066 != 0 {
        Err((
            format!(
                "expected a directory that nobody else may read or write to, got {shown} of mode {mode:04o}"
            ),
            Some(format!("chmod 0700 {shown}")),
        ))
    } else {
        fs::canonicalize(path).map_err(failed)
    }
}

/// Whether a path, or any link on its way, is in the folder. If so, who writes to the folder
/// decides which file the path names.
fn leads_through(path: &Path, folder: &Path, links: u8) -> bool {
    path.ancestors().any(|part| {
        let inside = fs::canonicalize(part).is_ok_and(|part| part.starts_with(folder));
        let linked = || match (fs::read_link(part), part.parent()) {
            (Ok(target), Some(parent)) => leads_through(&parent.join(target), folder, links - 1),
            _ => false,
        };
        inside || (links > 0 && linked())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_that_is_reached_through_the_folder_is_told_from_one_beside_it() {
        let outer = tempfile::tempdir().unwrap();
        let at = |name: &str| outer.path().join(name);
        for folder in ["state", "etc"] {
            fs::create_dir(at(folder)).unwrap();
        }
        fs::write(at("etc/ca.pem"), b"").unwrap();
        fs::write(at("state/ca.pem"), b"").unwrap();
        // Within the folder to the outside, and from the outside through it to the outside.
        symlink("../etc", at("state/out")).unwrap();
        symlink("../etc/ca.pem", at("state/file")).unwrap();
        symlink("../state/file", at("etc/link")).unwrap();
        symlink("state", at("alias")).unwrap();
        symlink("loop", at("etc/loop")).unwrap();
        let folder = fs::canonicalize(at("state")).unwrap();
        for (path, expected) in [
            ("state/ca.pem", true),
            ("state/missing.pem", true),
            ("state/out/ca.pem", true),
            ("state/file", true),
            ("etc/link", true),
            ("alias/ca.pem", true),
            ("etc/../state/ca.pem", true),
            ("etc/ca.pem", false),
            ("etc/missing.pem", false),
            ("etc/loop", false),
        ] {
            assert_eq!(
                leads_through(&at(path), &folder, MAX_LINKS),
                expected,
                "{path}"
            );
        }
    }
}
