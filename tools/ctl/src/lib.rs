//! softsimctl, the operator's command line on the gateway.
//!
//! [`keyd`] has the commands that the key process answers on its admin socket, [`netd`] and
//! [`access`] and [`wait`] those that need the network daemon, and [`vault`] those that start the
//! key process. `doctor` examines all that is around them. [`args`] parses the command line, and
//! [`failure`] gives each failure its exit status.

pub mod access;
pub mod args;
mod certificate;
mod doctor;
pub mod failure;
pub mod files;
mod finding;
pub mod keyd;
pub mod netd;
pub mod output;
mod text;
pub mod vault;
mod verdict;
pub mod wait;

use std::process::ExitCode;
use std::{env, io};

use clap::Parser;
use clap::error::ErrorKind;
use softsim_client::paths::Sockets;
use softsim_sandbox::exit_status::{DONE, READER_GONE, SYSTEM};
use softsim_sandbox::process;

use crate::args::{
    AccountsCommand, Arguments, Command, IdentityCommand, ProfileCommand, TimeCommand, VaultCommand,
};
use crate::failure::Failure;
use crate::output::Output;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return not_a_command(&error),
    };
    // Passphrases and secrets pass through this process, so it makes no core file and other
    // processes can't read its memory.
    let hidden =
        process::deny_dumps().map_err(|error| Failure::new(SYSTEM, format!("no dumps: {error}")));
    let done = hidden.and_then(|()| {
        let mut output = Output::new(io::stdout().lock(), arguments.json);
        run(&arguments.command, &Sockets::from_env(), &mut output)
    });
    status_of(done, arguments.json)
}

/// Help and version aren't errors, although clap reports them as such.
fn not_a_command(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let printed = error.print().map_err(Failure::from);
            status_of(printed.map(|()| DONE), false)
        }
        _ => {
            let said = error.to_string();
            let failure = Failure::usage(&said);
            // If even this can't be written, there is nothing left to do.
            let _ = Output::new(io::stderr(), is_json_wanted())
                .result(&failure.to_json(), || said.lines().collect());
            ExitCode::from(failure.status)
        }
    }
}

/// Whether a command line that isn't one asks for JSON. What follows `--` is for another program.
fn is_json_wanted() -> bool {
    let mut own = env::args_os().skip(1).take_while(|word| word != "--");
    own.any(|word| word == "--json")
}

fn status_of(done: Result<u8, Failure>, json: bool) -> ExitCode {
    match done {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            if failure.status != READER_GONE {
                // If even this can't be written, there is nothing left to do.
                let _ = Output::new(io::stderr(), json)
                    .result(&failure.to_json(), || failure.to_lines());
            }
            ExitCode::from(failure.status)
        }
    }
}

/// Runs a command, and returns its exit status.
fn run(command: &Command, sockets: &Sockets, output: &mut Output<'_>) -> Result<u8, Failure> {
    let done = match command {
        Command::Status => return keyd::status(sockets, output),
        Command::Doctor(doctor) => return doctor::run(sockets, doctor, output),
        Command::Enrol(enrol) => keyd::enrol(sockets, enrol, output),
        Command::Profile { command } => match command {
            ProfileCommand::List => keyd::list(sockets, output),
            ProfileCommand::Enable { iccid } => keyd::enable(sockets, iccid, output),
            ProfileCommand::Disable { iccid } => keyd::disable(sockets, iccid, output),
            ProfileCommand::Delete { iccid } => keyd::delete(sockets, iccid, output),
            ProfileCommand::Install { package } => keyd::install(sockets, package, output),
        },
        Command::Time { command: None } => keyd::time(sockets, output),
        Command::Time {
            command: Some(TimeCommand::SetBack { time }),
        } => keyd::set_time_back(sockets, *time, output),
        Command::Vault { command } => match command {
            VaultCommand::InitPassphrase(init) => vault::init_passphrase(init, output),
            VaultCommand::Unlock(unlock) => vault::unlock(unlock),
            VaultCommand::Rekey(rekey) => vault::rekey(rekey, output),
            VaultCommand::Accept(accept) => vault::accept(accept, output),
        },
        Command::Accounts {
            command: AccountsCommand::Reset,
        } => netd::reset_accounts(sockets, output),
        Command::Bootstrap(limit) => netd::bootstrap(sockets, limit, output),
        Command::EapTest(test) => netd::eap_test(sockets, test, output),
        Command::Access { command } => access::run(sockets, command, output),
        Command::Events => netd::events(sockets, output),
        Command::Wait(wait) => wait::run(sockets, wait, output),
        Command::Identity {
            command: IdentityCommand::Forget { iccid },
        } => keyd::forget_identities(sockets, iccid.as_deref(), output),
    };
    done.map(|()| DONE)
}
