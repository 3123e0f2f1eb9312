//! The commands that need the network daemon.

use std::io;
use std::time::Duration;

use softsim_client::netd::{Command, Control, Error, Event, Report};
use softsim_client::paths::Sockets;
use softsim_sandbox::exit_status::{TEMPORARY, USAGE};

use crate::args::{EapTest, Limit};
use crate::failure::{Failure, status_of};
use crate::output::Output;
use crate::{files, text};

/// Bootstraps and registers, and prints each step.
pub fn bootstrap(sockets: &Sockets, limit: &Limit, output: &mut Output<'_>) -> Result<(), Failure> {
    follow(sockets, &Command::Bootstrap {}, limit, output)
}

/// Forgets the accounts, bootstraps and registers, and prints each step.
pub fn reset_accounts(sockets: &Sockets, output: &mut Output<'_>) -> Result<(), Failure> {
    follow(
        sockets,
        &Command::AccountsReset {},
        &Limit::default(),
        output,
    )
}

/// Authenticates once, and prints each message.
pub fn eap_test(sockets: &Sockets, test: &EapTest, output: &mut Output<'_>) -> Result<(), Failure> {
    let command = Command::EapTest {
        radius: with_port(&test.radius)?,
        secret: files::read_secret(&test.secret_file)?,
        identity: test.identity.clone(),
    };
    follow(sockets, &command, &test.limit, output)
}

/// Prints what happens, until interrupted.
pub fn events(sockets: &Sockets, output: &mut Output<'_>) -> Result<(), Failure> {
    follow(sockets, &Command::Events {}, &Limit::default(), output)
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

fn follow(
    sockets: &Sockets,
    command: &Command,
    limit: &Limit,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    report(sockets, command, limit, output).map(drop)
}

/// Sends a command to the control socket. One that only looks goes to the monitor socket if this
/// user may not open the control socket.
pub(crate) fn send(
    sockets: &Sockets,
    limit: Option<Duration>,
    command: &Command,
) -> Result<Control, Error> {
    match Control::run_within(limit, &sockets.netd, command) {
        Err(Error::Connect { path, source })
            if source.kind() == io::ErrorKind::PermissionDenied && command.only_looks() =>
        {
            let monitor = Control::run_within(limit, &sockets.netd_monitor, command);
            monitor.map_err(|error| match error {
                // The advice is how to open the control socket.
                Error::Connect { .. } => Error::Connect { path, source },
                error => error,
            })
        }
        sent => sent,
    }
}

/// Prints events as they arrive, and returns the report that ends them.
pub(crate) fn report(
    sockets: &Sockets,
    command: &Command,
    limit: &Limit,
    output: &mut Output<'_>,
) -> Result<Report, Failure> {
    let mut last = None;
    for event in send(sockets, limit.duration(), command)? {
        let event = event.map_err(|error| match error {
            Error::TimedOut => out_of_time(limit, last.as_deref()),
            error => error.into(),
        })?;
        // A failure goes to standard error, once.
        if !matches!(event, Event::Failed { .. }) {
            output.result(&event, || text::event(&event))?;
        }
        last = text::what_happened(&event).or(last);
        match event {
            Event::Done { report } => return Ok(report),
            Event::Failed { failure, reason } => {
                return Err(Failure::new(status_of(failure), reason));
            }
            Event::Step { .. }
            | Event::Message { .. }
            | Event::Access { .. }
            | Event::Happened(_) => {}
        }
    }
    Err(Error::Closed.into())
}

fn out_of_time(limit: &Limit, last: Option<&str>) -> Failure {
    let seconds = limit.timeout.unwrap_or_default();
    let last = last.unwrap_or("nothing");
    let message = format!("not done within {seconds} s; the last thing that happened: {last}");
    Failure::new(TEMPORARY, message)
        .advise("softsim-netd ends an eap-test now, and goes on with a bootstrap or an access")
}
