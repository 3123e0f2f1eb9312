//! Waits until accesses are authorised, for whatever needs the uplink.

use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{io, mem};

use serde_json::json;
use softsim_client::netd::{
    Access, AccessState, Command, Error, Event, Failure as Fault, Report, What,
};
use softsim_client::paths::Sockets;
use softsim_sandbox::exit_status::{CONFIGURATION, TEMPORARY};

use crate::args::Wait;
use crate::failure::{Failure, status_of};
use crate::netd::send;
use crate::output::Output;

/// How long softsim-netd may take for an answer before it counts as one that isn't there.
const PATIENCE: Duration = Duration::from_secs(2);

/// The time between two looks while it isn't there.
const PAUSE: Duration = Duration::from_secs(1);

/// Waits for one access, or for every access that begins by itself.
pub fn run(sockets: &Sockets, wait: &Wait, output: &mut Output<'_>) -> Result<(), Failure> {
    let limit = wait
        .timeout
        .map(|seconds| Duration::from_secs(seconds.into()));
    let mut waiting = Waiting {
        sockets,
        wait,
        until: limit.and_then(|limit| Instant::now().checked_add(limit)),
        last: "nothing yet".into(),
    };
    while !waiting.look(output)? {
        if waiting.follow(output)? {
            return Ok(());
        }
        sleep(waiting.at_most(PAUSE)?);
    }
    Ok(())
}

struct Waiting<'a> {
    sockets: &'a Sockets,
    wait: &'a Wait,
    until: Option<Instant>,
    /// What it waits for, as it was last told.
    last: String,
}

impl Waiting<'_> {
    /// Looks again whenever something happens, until softsim-netd ends; whether all are authorised.
    fn follow(&mut self, output: &mut Output<'_>) -> Result<bool, Failure> {
        let left = self.left()?;
        let Ok(events) = send(self.sockets, left, &Command::Events {}) else {
            return Ok(false);
        };
        for event in events {
            match event {
                Ok(Event::Happened(happening)) => match happening.what {
                    What::Message { .. } => {}
                    _ if self.look(output)? => return Ok(true),
                    _ => {}
                },
                Err(Error::TimedOut) => return Err(self.out_of_time()),
                // It has ended, or its places are taken.
                _ => break,
            }
        }
        Ok(false)
    }

    /// Tells what is missing; whether nothing is.
    fn look(&mut self, output: &mut Output<'_>) -> Result<bool, Failure> {
        let missing = match self.ask()? {
            Ok(accesses) => missing(&self.wanted(accesses)?),
            Err(absent) => Some(absent),
        };
        let Some(missing) = missing else {
            output.result(&json!({ "authorised": true }), || vec!["authorised"])?;
            return Ok(true);
        };
        if mem::replace(&mut self.last, missing) != self.last {
            let text = || vec![format!("waits for {}", self.last)];
            output.result(&json!({ "waits_for": self.last }), text)?;
        }
        Ok(false)
    }

    /// The accesses, or why softsim-netd can't tell them yet.
    fn ask(&self) -> Result<Result<Vec<Access>, String>, Failure> {
        let command = Command::AccessStatus {
            name: self.wait.access.clone(),
        };
        let absent = |why: &str| Ok(Err(format!("softsim-netd, which isn't there yet: {why}")));
        let patience = Some(self.at_most(PATIENCE)?);
        let last = send(self.sockets, patience, &command)
            .and_then(|mut events| events.next().unwrap_or(Err(Error::Closed)));
        match last {
            Ok(Event::Done {
                report: Report::Access(report),
            }) => Ok(Ok(report.accesses)),
            Ok(Event::Failed {
                failure: Fault::Busy,
                reason,
            }) => Ok(Err(format!("softsim-netd: {reason}"))),
            Ok(Event::Failed { failure, reason }) => Err(Failure::new(status_of(failure), reason)),
            Ok(_) => Err(Error::Closed.into()),
            Err(Error::TimedOut) => absent("it doesn't answer"),
            Err(error @ (Error::Closed | Error::Socket(_))) => absent(&error.to_string()),
            Err(Error::Connect { path, source }) if is_absence(&source) => {
                absent(&format!("{}: {source}", path.display()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Those to wait for.
    fn wanted(&self, mut accesses: Vec<Access>) -> Result<Vec<Access>, Failure> {
        let reason = match accesses.is_empty() {
            true => "the configuration of softsim-netd has no [[access]]",
            false => "no [[access]] begins by itself: name one with --access",
        };
        if self.wait.access.is_none() {
            accesses.retain(|access| access.automatic);
        }
        match accesses.is_empty() {
            true => Err(Failure::new(CONFIGURATION, reason)),
            false => Ok(accesses),
        }
    }

    /// This time, or what is left of the limit.
    fn at_most(&self, time: Duration) -> Result<Duration, Failure> {
        Ok(self.left()?.map_or(time, |left| left.min(time)))
    }

    /// What is left of the limit, if there is one.
    fn left(&self) -> Result<Option<Duration>, Failure> {
        let left = self
            .until
            .map(|until| until.saturating_duration_since(Instant::now()));
        match left {
            Some(Duration::ZERO) => Err(self.out_of_time()),
            left => Ok(left),
        }
    }

    fn out_of_time(&self) -> Failure {
        let seconds = self.wait.timeout.unwrap_or_default();
        let message = format!(
            "not authorised within {seconds} s; it waits for {}",
            self.last
        );
        Failure::new(TEMPORARY, message)
    }
}

/// The accesses that aren't authorised, with their states.
fn missing(accesses: &[Access]) -> Option<String> {
    let out = accesses
        .iter()
        .filter(|access| access.state != AccessState::Authorised);
    let out: Vec<_> = out
        .map(|access| format!("access {} ({})", access.name, access.state))
        .collect();
    (!out.is_empty()).then(|| out.join(", "))
}

/// Whether a socket isn't there, or nobody listens on it.
fn is_absence(error: &io::Error) -> bool {
    let kind = error.kind();
    kind == io::ErrorKind::NotFound || kind == io::ErrorKind::ConnectionRefused
}
