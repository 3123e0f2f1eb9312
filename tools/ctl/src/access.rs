//! The commands for the accesses of the network daemon.

use softsim_client::netd::{Access, AccessState, Command, Control, Error, Event, Report};
use softsim_client::paths::Sockets;
use softsim_sandbox::exit_status::TEMPORARY;

use crate::args::AccessCommand;
use crate::failure::{Failure, status_of};
use crate::output::Output;
use crate::text;

/// Carries out a command about accesses.
pub fn run(
    sockets: &Sockets,
    command: &AccessCommand,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let (command, must_be_in) = match command.clone() {
        AccessCommand::Status { name } => (Command::AccessStatus { name }, false),
        AccessCommand::Connect { name } => (Command::AccessConnect { name }, true),
        AccessCommand::Disconnect { name } => (Command::AccessDisconnect { name }, false),
        AccessCommand::Watch { name } => (Command::AccessWatch { name }, false),
    };
    for event in Control::run(&sockets.netd, &command)? {
        let event = event?;
        // A failure goes to standard error, once.
        if !matches!(event, Event::Failed { .. }) {
            output.result(&event, || text::event(&event))?;
        }
        match event {
            Event::Done {
                report: Report::Access(report),
            } if must_be_in => return all_in(&report.accesses),
            Event::Done { .. } => return Ok(()),
            Event::Failed { failure, reason } => {
                return Err(Failure::new(status_of(failure), reason));
            }
            Event::Step { .. } | Event::Message { .. } | Event::Access { .. } => {}
        }
    }
    Err(Error::Closed.into())
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
