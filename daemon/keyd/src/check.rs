//! `--check`: what a start would find right and wrong, told without a change to anything.

use core::fmt::Display;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::{fs, io};

use softsim_keyd_proto::Role;
use softsim_sandbox::peer::Overflow;
use softsim_sandbox::{exit_status, inherited, process, seqpacket};

use crate::args::{AnchorChoice, KekChoice, Key, Settings};
use crate::start::{self, StartError};
use crate::users::{self, Users};

/// Prints what is right and what is wrong, and returns the exit status that a start would have.
pub(crate) fn run(settings: &Settings) -> u8 {
    let mut findings = vec![users(settings), kek(settings), state(&settings.state)];
    findings.push(start::key_memory(settings).map(|kind| format!("key memory: {kind}")));
    findings.extend(sockets(settings));
    findings.extend(settings.anchor.as_ref().map(anchor));
    let mut text = String::new();
    let mut status = 0;
    for finding in findings {
        match finding {
            Ok(right) => text.extend(["right: ", &right, "\n"]),
            Err(error) => {
                text.extend(["wrong: ", &error.to_string(), "\n"]);
                status = if status == 0 {
                    error.exit_status()
                } else {
                    status
                };
            }
        }
    }
    process::print(&text).map_or(exit_status::IO, |()| status)
}

type Finding = Result<String, StartError>;

/// Who may connect.
fn users(settings: &Settings) -> Finding {
    let users = users::of(settings, process::uid(), Overflow::of_this_system());
    let users = users.map_err(StartError::Users)?;
    let of_role = |role: Role| {
        let Users { uids, groups, .. } = &users;
        format!(
            "{role}: users {}, groups {}",
            list(&uids[role]),
            list(&groups[role])
        )
    };
    Ok(Role::ALL.map(of_role).join("; "))
}

fn list(ids: &[u32]) -> String {
    match ids {
        [] => "none".to_owned(),
        _ => ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" "),
    }
}

/// The key, unless it is on standard input, where it can be read only once.
fn kek(settings: &Settings) -> Finding {
    let flag = settings.kek.flag(Key::Current);
    if settings.kek != KekChoice::StandardInput {
        start::kek(&settings.kek, Key::Current, &mut None)?;
    }
    Ok(match &settings.kek {
        KekChoice::File(path) => right(flag, path.display(), "a key"),
        KekChoice::Credential(name) => right(flag, name, "a key"),
        KekChoice::StandardInput => format!("{flag}: not read"),
        KekChoice::Development => format!("{flag}: protects nothing"),
    })
}

/// The state directory, which a start makes if it is missing, and whether it holds a vault.
fn state(state: &Path) -> Finding {
    let missing = fs::metadata(state).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    if missing {
        let made = folder_of(state).map_err(|error| StartError::State(state.to_path_buf(), error));
        return made.map(|()| right("--state", state.display(), "a start makes it"));
    }
    start::check_owner(state)?;
    let holds = match fs::exists(state.join("vault")) {
        Ok(true) => "holds a vault, which is not opened",
        _ => "holds no vault: a start makes it",
    };
    Ok(right("--state", state.display(), holds))
}

/// The sockets that a start takes over or makes.
fn sockets(settings: &Settings) -> Vec<Finding> {
    let socket = |role: Role| {
        let flag = format!("--{role}");
        let path = settings.sockets[role].as_ref();
        match (inherited::named(role.name()), path) {
            (Some(_), _) => Some(Ok(format!("{role}: the socket is inherited"))),
            (None, Some(path)) => Some(
                room_for_socket(path)
                    .map(|()| right(&flag, path.display(), "its folder is there"))
                    .map_err(|error| StartError::Socket {
                        role,
                        path: Some(path.clone()),
                        error,
                    }),
            ),
            (None, None) => None,
        }
    };
    let found: Vec<_> = Role::ALL.into_iter().filter_map(socket).collect();
    match found.is_empty() {
        true => vec![Err(StartError::NoSocket)],
        false => found,
    }
}

fn anchor(choice: &AnchorChoice) -> Finding {
    match choice {
        AnchorChoice::File(path) => {
            let there = folder_of(path).and_then(|()| match fs::metadata(path) {
                Ok(file) if !file.is_file() => Err(io::Error::other("expected a regular file")),
                _ => Ok(()),
            });
            there
                .map(|()| right("--anchor-file", path.display(), "its folder is there"))
                .map_err(|error| StartError::anchor_file(path, error))
        }
        AnchorChoice::Socket(path) => {
            let epoch = start::connect(path)?.epoch();
            Ok(right(
                "--anchor-socket",
                path.display(),
                format_args!("at epoch {epoch}"),
            ))
        }
    }
}

fn right(flag: &str, place: impl Display, what: impl Display) -> String {
    format!("{flag}: {place}: {what}")
}

/// Whether a start can make a socket here, or finds one.
fn room_for_socket(path: &Path) -> io::Result<()> {
    folder_of(path)?;
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => Err(seqpacket::taken()),
        _ => Ok(()),
    }
}

/// Whether the folder is there in which a file is to be made.
fn folder_of(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    match fs::metadata(folder)?.is_dir() {
        true => Ok(()),
        false => Err(io::ErrorKind::NotADirectory.into()),
    }
}
