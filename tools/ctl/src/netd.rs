//! The commands that need the network daemon.

use softsim_client::netd::{Command, Control, Error, Event};
use softsim_client::paths::Sockets;
use softsim_sandbox::exit_status::USAGE;

use crate::args::EapTest;
use crate::failure::{Failure, status_of};
use crate::output::Output;
use crate::{files, text};

/// Bootstraps and registers, and prints each step.
pub fn bootstrap(sockets: &Sockets, output: &mut Output<'_>) -> Result<(), Failure> {
    follow(sockets, &Command::Bootstrap {}, output)
}

/// Forgets the accounts, bootstraps and registers, and prints each step.
pub fn reset_accounts(sockets: &Sockets, output: &mut Output<'_>) -> Result<(), Failure> {
    follow(sockets, &Command::AccountsReset {}, output)
}

/// Authenticates once, and prints each message.
pub fn eap_test(sockets: &Sockets, test: &EapTest, output: &mut Output<'_>) -> Result<(), Failure> {
    let command = Command::EapTest {
        radius: with_port(&test.radius)?,
        secret: files::read_secret(&test.secret_file)?,
        identity: test.identity.clone(),
    };
    follow(sockets, &command, output)
}

/// Checks that the server has a port. netd resolves its name, as it does for its accesses.
fn with_port(radius: &str) -> Result<String, Failure> {
    match radius.contains(':') {
        true => Ok(radius.to_owned()),
        false => {
            let message = format!("--radius: expected HOST:PORT, got {radius}");
            Err(Failure::new(USAGE, message))
        }
    }
}

/// Prints events as they arrive. The last one determines the result.
fn follow(sockets: &Sockets, command: &Command, output: &mut Output<'_>) -> Result<(), Failure> {
    for event in Control::run(&sockets.netd, command)? {
        let event = event?;
        // A failure goes to standard error, once.
        if !matches!(event, Event::Failed { .. }) {
            output.result(&event, || text::event(&event))?;
        }
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
