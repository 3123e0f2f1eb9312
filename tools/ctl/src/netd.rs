//! What needs the network daemon.

use softsim_client::netd::{Command, Control, Direction, Error, Event, MskComparison, Report};
use softsim_client::paths::Sockets;

use crate::args::EapTest;
use crate::failure::{Failure, USAGE, status_of};
use crate::keyd::management_text;
use crate::output::Output;
use crate::{access, files};

/// Bootstraps and registers; tells each step.
pub fn bootstrap(sockets: &Sockets, output: &mut Output<'_>) -> Result<(), Failure> {
    follow(sockets, &Command::Bootstrap {}, output)
}

/// Forgets the accounts, bootstraps and registers; tells each step.
pub fn reset_accounts(sockets: &Sockets, output: &mut Output<'_>) -> Result<(), Failure> {
    follow(sockets, &Command::AccountsReset {}, output)
}

/// Authenticates once; prints each message.
pub fn eap_test(sockets: &Sockets, test: &EapTest, output: &mut Output<'_>) -> Result<(), Failure> {
    let command = Command::EapTest {
        radius: with_port(&test.radius)?,
        secret: files::read_secret(&test.secret_file)?,
        identity: test.identity.clone(),
    };
    follow(sockets, &command, output)
}

/// netd looks the name up, as it does for its accesses.
fn with_port(radius: &str) -> Result<String, Failure> {
    match radius.contains(':') {
        true => Ok(radius.to_owned()),
        false => {
            let message = format!("--radius: expected HOST:PORT, got {radius}");
            Err(Failure::new(USAGE, message))
        }
    }
}

/// Prints events as they come; the last one decides.
fn follow(sockets: &Sockets, command: &Command, output: &mut Output<'_>) -> Result<(), Failure> {
    for event in Control::run(&sockets.netd, command)? {
        let event = event?;
        output.result(&event, || text_of(&event))?;
        match event {
            Event::Done { .. } => return Ok(()),
            Event::Failed { failure, reason } => {
                return Err(Failure::new(status_of(failure), reason));
            }
            Event::Step { .. } | Event::Message { .. } | Event::Access { .. } => {}
        }
    }
    Err(Error::Closed.into())
}

/// An event in lines.
pub fn text_of(event: &Event) -> Vec<String> {
    match event {
        Event::Step { microseconds, text } => {
            vec![format!("{}   {text}", milliseconds(*microseconds))]
        }
        Event::Message {
            microseconds,
            direction,
            text,
            access,
        } => {
            let arrow = match direction {
                Direction::Sent => "->",
                Direction::Received => "<-",
            };
            let access = access.as_ref().map(|name| format!("{name} "));
            let (at, access) = (milliseconds(*microseconds), access.unwrap_or_default());
            vec![format!("{at} {access}{arrow} {text}")]
        }
        Event::Access {
            microseconds,
            access,
        } => vec![format!(
            "{} {}",
            milliseconds(*microseconds),
            access::sentence(access)
        )],
        Event::Done { report } => summary(report),
        // Goes to standard error, with the exit status.
        Event::Failed { .. } => Vec::new(),
    }
}

fn milliseconds(microseconds: u64) -> String {
    format!("{:>8}.{:03} ms", microseconds / 1000, microseconds % 1000)
}

fn summary(report: &Report) -> Vec<String> {
    match report {
        Report::Status(status) => vec![management_text(&status.management)],
        Report::Bootstrap(bootstrap) => vec![format!(
            "bootstrapped: {}; {}",
            bootstrap.package.as_deref().unwrap_or("no package"),
            management_text(&bootstrap.management)
        )],
        Report::Access(accesses) => access::table(&accesses.accesses),
        Report::EapTest(test) => {
            let msk = match test.msk {
                MskComparison::Equal => "the MSK equals the server's MS-MPPE keys",
                MskComparison::NotSent => "the server sent no MS-MPPE keys",
            };
            let synchronised = match test.synchronised {
                true => ", SQN synchronised",
                false => "",
            };
            vec![format!(
                "EAP-Success with {} as {}{synchronised}; {msk}; {}",
                access::agreed(&test.authentication),
                test.identity,
                milliseconds(test.microseconds).trim_start()
            )]
        }
    }
}
