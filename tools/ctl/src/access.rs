//! The commands for the accesses of the network daemon.

use softsim_client::netd::{Access, AccessState, Command, Report};
use softsim_client::paths::Sockets;
use softsim_sandbox::exit_status::TEMPORARY;

use crate::args::{AccessCommand, Limit};
use crate::failure::Failure;
use crate::netd;
use crate::output::Output;

/// Carries out a command about accesses.
pub fn run(
    sockets: &Sockets,
    command: &AccessCommand,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let (command, limit) = match command.clone() {
        AccessCommand::Status { name } => (Command::AccessStatus { name }, Limit::default()),
        AccessCommand::Connect { name, limit } => (Command::AccessConnect { name }, limit),
        AccessCommand::Disconnect { name } => {
            (Command::AccessDisconnect { name }, Limit::default())
        }
        AccessCommand::Watch { name } => (Command::AccessWatch { name }, Limit::default()),
    };
    let report = netd::report(sockets, &command, &limit, output)?;
    match (command, report) {
        (Command::AccessConnect { .. }, Report::Access(report)) => all_in(&report.accesses),
        _ => Ok(()),
    }
}

fn all_in(accesses: &[Access]) -> Result<(), Failure> {
    let out = accesses
        .iter()
        .find(|access| access.state != AccessState::Authorised);
    match out {
        None => Ok(()),
        Some(access) => Err(Failure::new(
            TEMPORARY,
            format!("access {}: {}", access.name, access.state),
        )),
    }
}
