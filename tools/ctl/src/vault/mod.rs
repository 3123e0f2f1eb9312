//! The commands for a stopped key process: derive the vault's key from a passphrase, replace it,
//! and accept a vault that its anchor refuses.
//!
//! A passphrase never reaches the key process, and the key derived from it is never written to a
//! medium. The key goes through a file in memory, which is the standard input of the key process
//! and which the key process overwrites.

mod passphrase;
mod terminal;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use passphrase::{Kek, Parameters};
use rustix::fs::{MemfdFlags, memfd_create};
use serde_json::json;
use softsim_sandbox::exit_status::{IO, REFUSED, UNAVAILABLE, USAGE};

use crate::args::{
    Accept, Anchor, InitPassphrase, NewKek, OldKek, PassphraseSource, Rekey, Unlock,
};
use crate::failure::Failure;
use crate::files;
use crate::output::Output;

/// Creates the file of parameters that a passphrase needs.
pub fn init_passphrase(init: &InitPassphrase, output: &mut Output<'_>) -> Result<(), Failure> {
    let parameters = Parameters::random(init.memory_mib, init.passes, init.lanes)?;
    parameters.create(&init.parameters)?;
    let path = init.parameters.display().to_string();
    output.result(
        &json!({ "done": "passphrase_parameters", "of": path }),
        || {
            vec![format!(
                "wrote {path}; without it the passphrase opens nothing: keep a copy"
            )]
        },
    )?;
    Ok(())
}

/// Executes a program whose standard input is the key of a passphrase.
pub fn unlock(unlock: &Unlock) -> Result<(), Failure> {
    let parameters = Parameters::read(&unlock.parameters)?;
    let source = source(unlock.passphrase_file.as_deref());
    let passphrase = passphrase::ask(&source, "passphrase")?;
    let kek = parameters.derive(&passphrase)?;
    let (program, arguments) = unlock
        .command
        .split_first()
        .ok_or_else(|| Failure::new(USAGE, "expected a program after --, got none"))?;
    let error = Command::new(program)
        .args(arguments)
        .stdin(in_memory(&[&kek])?)
        .exec();
    Err(cannot_run(program.as_ref(), &error))
}

/// Makes the key process encrypt the vault under another key.
pub fn rekey(rekey: &Rekey, output: &mut Output<'_>) -> Result<(), Failure> {
    let mut arguments: Vec<OsString> = vec!["--state".into(), rekey.state.clone().into()];
    let mut keys = Vec::new();
    let old = old_key(&rekey.old, &mut arguments)?;
    keys.extend(old);
    keys.extend(new_key(&rekey.new, &mut arguments)?);
    if let Some(capacity) = rekey.capacity {
        arguments.extend(["--capacity".into(), capacity.to_string().into()]);
    }
    anchor(&rekey.anchor, &mut arguments);
    let said = run_keyd(rekey.keyd.as_deref(), arguments, &keys)?;
    let said = said.map_err(|said| {
        Failure::new(REFUSED, said).advise(
            "the vault is as it was, under its old key, unless softsim-keyd was cut off at its very end: then the new one opens it",
        )
    })?;
    let advice = "The medium may still hold blocks of the old file: whoever has the old key opens them. Destroy that key.";
    output.result(
        &json!({ "done": "rekeyed", "said": said, "advice": advice }),
        || vec![&*said, advice],
    )?;
    Ok(())
}

/// Makes the key process take a vault that its anchor refuses as it is.
pub fn accept(accept: &Accept, output: &mut Output<'_>) -> Result<(), Failure> {
    let mut arguments: Vec<OsString> = vec!["--state".into(), accept.state.clone().into()];
    let key = old_key(&accept.old, &mut arguments)?;
    anchor(&accept.anchor, &mut arguments);
    arguments.push("--accept-vault".into());
    let said = run_keyd(accept.keyd.as_deref(), arguments, key.as_slice())?;
    let said = said.map_err(|said| {
        Failure::new(REFUSED, said).advise("whatever was cut off, the same command can be repeated")
    })?;
    output.result(&json!({ "done": "accepted", "said": said }), || {
        vec![&*said]
    })?;
    Ok(())
}

/// Adds the flag for the vault's anchor.
fn anchor(anchor: &Anchor, arguments: &mut Vec<OsString>) {
    if let Some(file) = &anchor.anchor_file {
        arguments.extend(["--anchor-file".into(), file.into()]);
    }
    if let Some(socket) = &anchor.anchor_socket {
        arguments.extend(["--anchor-socket".into(), socket.into()]);
    }
}

/// Runs the key process for one thing, with these keys on its standard input. Returns what it said,
/// as an error if it failed.
fn run_keyd(
    keyd: Option<&Path>,
    arguments: Vec<OsString>,
    keys: &[Kek],
) -> Result<Result<String, String>, Failure> {
    let stdin = match keys {
        [] => Stdio::null(),
        keys => in_memory(&keys.iter().collect::<Vec<_>>())?.into(),
    };
    let program = keyd.map_or_else(|| files::program("softsim-keyd"), Path::to_owned);
    let ran = Command::new(&program)
        .args(arguments)
        .stdin(stdin)
        .output()
        .map_err(|error| cannot_run(&program, &error))?;
    let said = String::from_utf8_lossy(&ran.stderr);
    let said: Vec<_> = said.lines().map(without_prefix).collect();
    let said = said.join("; ");
    Ok(match ran.status.success() {
        true => Ok(said),
        false => Err(said),
    })
}

/// Adds the flags for the vault's present key. Returns the key if it goes over standard input.
fn old_key(old: &OldKek, arguments: &mut Vec<OsString>) -> Result<Option<Kek>, Failure> {
    if let Some(parameters) = &old.parameters {
        let source = source(old.passphrase_file.as_deref());
        arguments.push("--kek-stdin".into());
        let passphrase = passphrase::ask(&source, "old passphrase")?;
        return Parameters::read(parameters)?.derive(&passphrase).map(Some);
    }
    if old.development_key {
        arguments.push("--development-key".into());
    }
    if let Some(file) = &old.kek_file {
        arguments.extend(["--kek-file".into(), file.into()]);
    }
    if let Some(name) = &old.kek_credential {
        arguments.extend(["--kek-credential".into(), name.into()]);
    }
    Ok(None)
}

/// Adds the flags for the vault's new key. Asks for a new passphrase twice.
fn new_key(new: &NewKek, arguments: &mut Vec<OsString>) -> Result<Option<Kek>, Failure> {
    if let Some(parameters) = &new.new_parameters {
        let source = source(new.new_passphrase_file.as_deref());
        arguments.push("--new-kek-stdin".into());
        let passphrase = passphrase::ask_twice(&source, "new passphrase")?;
        return Parameters::read(parameters)?.derive(&passphrase).map(Some);
    }
    if new.new_development_key {
        arguments.push("--new-development-key".into());
    }
    if let Some(file) = &new.new_kek_file {
        arguments.extend(["--new-kek-file".into(), file.into()]);
    }
    if let Some(name) = &new.new_kek_credential {
        arguments.extend(["--new-kek-credential".into(), name.into()]);
    }
    Ok(None)
}

fn source(file: Option<&Path>) -> PassphraseSource {
    match file {
        Some(file) => PassphraseSource::File(file.to_owned()),
        None => PassphraseSource::Terminal,
    }
}

/// Creates a file in memory with these keys one after the other, and rewinds it.
fn in_memory(keys: &[&Kek]) -> Result<File, Failure> {
    let make = || -> io::Result<File> {
        let mut file = File::from(memfd_create("softsim-kek", MemfdFlags::CLOEXEC)?);
        for key in keys {
            file.write_all(key.as_slice())?;
        }
        file.rewind()?;
        Ok(file)
    };
    make().map_err(|error| Failure::new(IO, format!("a file in memory: {error}")))
}

fn cannot_run(program: &Path, error: &io::Error) -> Failure {
    Failure::new(UNAVAILABLE, format!("{}: {error}", program.display()))
}

/// Strips the level and the program's name from a line of the key process's log.
fn without_prefix(line: &str) -> &str {
    line.split_once("softsim-keyd: ")
        .map_or(line, |(_, said)| said)
}
