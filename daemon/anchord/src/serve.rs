//! From the command line to the loop that never ends: opens the TPM and the socket, confines the
//! process, finds the counter, and answers the key process.

use std::io;
use std::path::PathBuf;

use softsim_anchor_proto::{Answer, LENGTH, Request};
use softsim_sandbox::notify::{Notify, Watchdog};
use softsim_sandbox::seccomp::{self, Filter};
use softsim_sandbox::seqpacket::{Connection, Listener, Received};
use softsim_sandbox::tally::Tally;
use softsim_sandbox::{clock, exit_status, inherited, landlock, log, poll, process};

use crate::args::{Sandbox, Settings};
use crate::counter::{AdvanceError, Counter};
use crate::tpm::ResponseError;
use crate::transport::{Device, TpmError};

/// The names of the descriptors that a service manager may pass: the listening socket, and the
/// opened device.
const SOCKET: &str = "anchor";
const TPM: &str = "tpm";

/// Why it didn't start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a path nor an inherited socket.
    #[error("expected an inherited socket or --socket, got neither of them")]
    NoSocket,
    /// The socket can't be opened.
    #[error("the socket: {0}")]
    Socket(#[source] io::Error),
    /// The TPM can't be opened.
    #[error("{path}: {1}", path = .0.display())]
    Open(PathBuf, #[source] io::Error),
    /// The TPM failed or refused.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// The service manager can't be reached.
    #[error("the service manager: {0}")]
    Notify(#[source] io::Error),
    /// Landlock.
    #[error("{0}; --sandbox=off runs without a sandbox")]
    Landlock(#[from] landlock::Error),
    /// Seccomp.
    #[error("{0}; --sandbox=off runs without a sandbox")]
    Seccomp(#[from] seccomp::Error),
    /// Dumps can't be denied, or ppoll(2) or accept4(2) failed.
    #[error("the operating system: {0}")]
    System(#[source] io::Error),
}

impl Error {
    /// The exit status.
    pub fn status(&self) -> u8 {
        match self {
            Self::NoSocket => exit_status::USAGE,
            // The index is something else, and stays so.
            Self::Tpm(TpmError::Response {
                error: ResponseError::Field { .. },
                ..
            }) => exit_status::CONFIGURATION,
            Self::Open(..) | Self::Tpm(_) => exit_status::UNAVAILABLE,
            Self::Landlock(_) | Self::Seccomp(_) | Self::System(_) => exit_status::SYSTEM,
            Self::Socket(_) => exit_status::CANNOT_CREATE,
            Self::Notify(_) => exit_status::IO,
        }
    }
}

/// Serves until the TPM's device or the operating system fails.
///
/// # Errors
/// See [`Error`].
pub fn run(settings: &Settings) -> Result<(), Error> {
    // These come first, because inherited descriptors are known by their numbers only.
    let (socket, device) = (inherited::named(SOCKET), inherited::named(TPM));
    process::deny_dumps().map_err(Error::System)?;
    process::ignore_hangup().map_err(Error::System)?;
    let notify = Notify::from_env().map_err(Error::Notify)?;
    let listener = match (socket, &settings.socket) {
        (Some(socket), _) => Listener::from_inherited(socket),
        (None, Some(path)) => Listener::bind(path, mode(settings.user)),
        (None, None) => return Err(Error::NoSocket),
    };
    let listener = listener.map_err(Error::Socket)?;
    let device = match device {
        Some(descriptor) => Ok(Device::from(descriptor)),
        None => Device::open(&settings.tpm),
    };
    let device = device.map_err(|error| Error::Open(settings.tpm.clone(), error))?;
    if settings.sandbox == Sandbox::Require {
        landlock::restrict(&[])?;
        seccomp::install(Filter::Anchord)?;
    }
    let mut counter = Counter::open(device, settings.index)?;
    let value = counter.value()?;
    let index = settings.index;
    log::line(5, format_args!("the counter {index} holds epoch {value}"));
    notify.ready().map_err(Error::Notify)?;
    let mut server = Server {
        listener,
        user: settings.user,
        client: None,
        counter,
        watchdog: notify.into(),
        refused_users: Tally::default(),
    };
    loop {
        if let Err(error) = server.turn() {
            server.watchdog.stopping();
            return Err(error);
        }
    }
}

/// The mode of a socket: only a user other than this one needs the group's rights.
fn mode(user: u32) -> u32 {
    match user == process::uid() || user == 0 {
        true => 0o600,
        false => 0o660,
    }
}

struct Server {
    listener: Listener,
    /// The user of the key process.
    user: u32,
    /// The key process. There is one; a new one takes the place of one that hasn't left yet.
    client: Option<Connection>,
    counter: Counter<Device>,
    watchdog: Watchdog,
    refused_users: Tally<u32>,
}

impl Server {
    /// Waits, answers a request, and accepts a connection.
    fn turn(&mut self) -> Result<(), Error> {
        let of_client = self.client.as_ref().map(poll::Entry::readable);
        let mut entries = [
            poll::Entry::readable(&self.listener),
            of_client.unwrap_or_else(poll::Entry::none),
        ];
        let log_due_in = self.refused_users.wait(clock::boottime());
        let timeout = self.watchdog.interval().into_iter().chain(log_due_in).min();
        poll::wait(&mut entries, timeout).map_err(Error::System)?;
        let now = clock::boottime();
        self.watchdog.turn(now);
        if entries[1].ready()
            && let Some(client) = self.client.take()
            && self.serve(&client)?
        {
            self.client = Some(client);
        }
        if entries[0].ready() {
            self.accept()?;
        }
        if let Some(unreported) = self.refused_users.due(now) {
            let (count, uid) = (unreported.connections, unreported.last);
            let line = format_args!("refused {count} connections of other users, last uid {uid}");
            log::line(4, line);
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<(), Error> {
        match self.listener.accept().map_err(Error::System)? {
            Some(connection) if connection.peer_uid() == self.user => {
                self.client = Some(connection);
            }
            Some(refused) => self.refused_users.add(refused.peer_uid()),
            None => {}
        }
        Ok(())
    }

    /// Answers one request. Returns whether the client stays.
    fn serve(&mut self, client: &Connection) -> Result<bool, Error> {
        let mut datagram = [0; LENGTH];
        let request = match client.receive(&mut datagram) {
            Ok(Received::Datagram(length)) => Request::decode(&datagram[..length]),
            Ok(Received::Truncated) => None,
            Ok(Received::Nothing) => return Ok(true),
            Ok(Received::Closed) | Err(_) => return Ok(false),
        };
        let Some(request) = request else {
            log::line(
                4,
                "expected a request of the key process, got another message",
            );
            return Ok(false);
        };
        let answer = self.answer(request)?;
        Ok(client.send(&answer.encode()).is_ok())
    }

    /// Asks the TPM. A TPM that refuses is an answer; one whose device fails, or that answers
    /// something malformed, is the end: the next start opens it anew.
    fn answer(&mut self, request: Request) -> Result<Answer, Error> {
        let outcome = match request {
            Request::Value => self.counter.value().map_err(AdvanceError::from),
            Request::Advance(to) => self.counter.advance(to).map(|()| to),
        };
        let error = match outcome {
            Ok(value) => return Ok(Answer::At(value)),
            Err(error) => error,
        };
        log::line(3, &error);
        match error {
            AdvanceError::NotOneStep { value, .. } => Ok(Answer::NotOneStep(value)),
            AdvanceError::Tpm(TpmError::Response {
                error: ResponseError::Refused(code),
                ..
            }) => Ok(Answer::Refused(code.0)),
            AdvanceError::Tpm(error) => Err(Error::Tpm(error)),
        }
    }
}
