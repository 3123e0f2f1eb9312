//! The ways into a network that the network daemon keeps open.

use softsim_client::netd::{
    Access, AccessState, Authentication, Command, Control, Error, Event, Report,
};
use softsim_client::paths::Sockets;

use crate::args::AccessCommand;
use crate::failure::{Failure, TEMPORARY, status_of};
use crate::netd::text_of;
use crate::output::Output;

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
        output.result(&event, || text_of(&event))?;
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

/// What was agreed, in words.
pub fn agreed(authentication: &Authentication) -> String {
    let mut text = authentication.method.clone();
    if authentication.reauthenticated {
        text.push_str(", fast re-authentication");
    }
    if authentication.forward_secrecy {
        text.push_str(", forward secrecy");
    }
    text
}

/// One access in a line.
pub fn sentence(access: &Access) -> String {
    let mut text = format!("{} {}", access.name, access.state);
    if let Some(port) = access.port {
        text.push_str(&format!(", port {port}"));
    }
    if let (AccessState::Authorised, Some(authentication)) = (&access.state, &access.authentication)
    {
        text.push_str(&format!(
            ": {}, shown first: {}",
            agreed(authentication),
            authentication.identity
        ));
    }
    text
}

/// All of them, with what was counted.
pub fn table(accesses: &[Access]) -> Vec<String> {
    accesses.iter().flat_map(rows).collect()
}

fn rows(access: &Access) -> [String; 3] {
    let counters = &access.counters;
    let next = match access.next_seconds {
        Some(seconds) => format!(", next attempt in {seconds} s"),
        None => String::new(),
    };
    let renamed = match &access.renamed {
        Some(before) => format!(" (called {before} when netd started)"),
        None => String::new(),
    };
    [
        sentence(access),
        format!(
            "    {} at {}{renamed}, for {} s{next}",
            access.carrier, access.at, access.seconds
        ),
        format!(
            "    {} attempts, {} successes ({} fast re-authentications), {} failures",
            counters.attempts, counters.successes, counters.reauthentications, counters.failures,
        ),
    ]
}
