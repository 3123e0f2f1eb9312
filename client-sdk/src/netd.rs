//! The control socket of the network daemon, and its monitor socket, which serves the commands that
//! order nothing.
//!
//! An AF_UNIX stream carries one JSON object a line. The client sends one [`Command`]. netd answers
//! with [`Event`]s as things happen, the last of which is [`Event::Done`] or [`Event::Failed`], and
//! then closes. If the client closes first, an authentication ends, but a bootstrap goes on. No
//! line is longer than [`MAX_LINE`] octets.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretSlice};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

mod access;
pub mod check;
mod happening;

pub use access::{Access, AccessCounters, AccessState, Accesses, Authentication, Carrier, Port};
pub use happening::{Happening, What};

/// The longest line, in octets, its newline included.
pub const MAX_LINE: usize = 8 << 10;

/// How long netd may be silent, which is longer than any exchange of a bootstrap with all its
/// retransmissions.
const MAX_SILENCE: Duration = Duration::from_secs(300);

/// A command to netd.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Reports netd's state.
    Status {},
    /// Runs the LwM2M bootstrap now, and registers.
    Bootstrap {},
    /// Deregisters from the LwM2M servers that answer, forgets the accounts, and bootstraps.
    AccountsReset {},
    /// Runs one EAP-AKA' authentication with a RADIUS server, in an access point's place.
    EapTest {
        /// The RADIUS server, `HOST:PORT`.
        radius: String,
        /// The secret shared with the server.
        secret: RadiusSecret,
        /// The NAI to use instead of the profile's.
        #[serde(default)]
        identity: Option<String>,
    },
    /// Reports the state of all accesses, or of the one with this name.
    AccessStatus {
        /// Its name.
        #[serde(default)]
        name: Option<String>,
    },
    /// Authenticates now, and reports the outcome.
    AccessConnect {
        /// Its name.
        #[serde(default)]
        name: Option<String>,
    },
    /// Logs off, until the next `AccessConnect`.
    AccessDisconnect {
        /// Its name.
        #[serde(default)]
        name: Option<String>,
    },
    /// Reports each message and each change of state, until the client closes.
    AccessWatch {
        /// Its name.
        #[serde(default)]
        name: Option<String>,
    },
    /// Reports the present states, and then everything that happens, until the client closes.
    Events {},
}

impl Command {
    /// Whether it orders nothing, so that the monitor socket serves it, too.
    pub fn only_looks(&self) -> bool {
        match self {
            Self::Status {}
            | Self::AccessStatus { .. }
            | Self::AccessWatch { .. }
            | Self::Events {} => true,
            Self::Bootstrap {}
            | Self::AccountsReset {}
            | Self::EapTest { .. }
            | Self::AccessConnect { .. }
            | Self::AccessDisconnect { .. } => false,
        }
    }
}

/// The secret that a RADIUS client and server share. It is a hex string in JSON, and is never
/// printed.
pub struct RadiusSecret(SecretSlice<u8>);

impl RadiusSecret {
    /// Takes ownership of the octets.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(octets.into())
    }

    /// The octets, for the RADIUS client only.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

impl fmt::Debug for RadiusSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Serialize for RadiusSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = Zeroizing::new(hex::encode(self.expose()));
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for RadiusSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        // The decoder's own error would reveal a character of the secret.
        let octets =
            hex::decode(text.as_bytes()).map_err(|_| de::Error::custom("secret: expected hex"))?;
        Ok(Self::new(octets))
    }
}

/// An event that netd reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A step is done.
    Step {
        /// Microseconds since the command.
        microseconds: u64,
        /// The step, e.g. `DTLS handshake with 127.0.0.1:5684`.
        text: String,
    },
    /// An EAP message was sent or received, or another message of an authentication, such as
    /// EAPOL-Start.
    Message {
        /// Microseconds since the command.
        microseconds: u64,
        /// The direction, seen from the gateway.
        direction: Direction,
        /// The message and its attributes, e.g. `AKA'-Challenge AT_RAND AT_AUTN AT_MAC`.
        text: String,
        /// What became of it, if that is unusual, or the words in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remark: Option<String>,
        /// The access that it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        access: Option<String>,
    },
    /// An access has changed its state.
    Access {
        /// Microseconds since the command.
        microseconds: u64,
        /// Its present state.
        access: Access,
    },
    /// Something happened in netd: the answers to [`Command::Events`].
    Happened(Happening),
    /// The command succeeded.
    Done {
        /// Its result.
        report: Report,
    },
    /// The command failed.
    Failed {
        /// The kind of failure.
        failure: Failure,
        /// The reason: what was expected, and what netd got.
        reason: String,
    },
}

/// The direction of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the gateway to the network.
    Sent,
    /// From the network to the gateway.
    Received,
}

/// The result of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "kebab-case")]
pub enum Report {
    /// Of [`Command::Status`].
    Status(Status),
    /// Of [`Command::Bootstrap`] and [`Command::AccountsReset`].
    Bootstrap(Bootstrap),
    /// Of [`Command::EapTest`].
    EapTest(EapTest),
    /// Of [`Command::AccessStatus`], [`Command::AccessConnect`] and [`Command::AccessDisconnect`].
    Access(Accesses),
}

/// netd's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The release of the program that runs, which may be older than the one that is installed.
    pub release: String,
    /// How long it has served, in seconds.
    pub uptime: u64,
    /// The LwM2M endpoint name. It is the device id unless configured, and unknown until there is
    /// a device key.
    pub endpoint: Option<String>,
    /// The landlock ABI in force; 0 if there is none.
    pub landlock_abi: u8,
    /// The number of system calls that the seccomp filter allows; 0 without a filter.
    pub seccomp_calls: u16,
    /// Why netd has no connection to keyd; none while it has.
    #[serde(default)]
    pub keyd_lost: Option<String>,
    /// The committed transaction whose accounts are in use, in hexadecimal.
    pub accounts: Option<String>,
    /// Why netd doesn't use the accounts that it found when it started; none once it has others.
    #[serde(default)]
    pub accounts_fault: Option<String>,
    /// The state of management.
    pub management: Management,
    /// The states of the accesses, in the order of the configuration.
    #[serde(default)]
    pub accesses: Vec<Access>,
}

/// The state of management by LwM2M.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Management {
    /// No bootstrap has succeeded yet.
    NotBootstrapped {
        /// The reason of the last failure, if there was an attempt.
        reason: Option<String>,
    },
    /// A bootstrap is running.
    Bootstrapping,
    /// There are accounts, but the server hasn't been reached.
    Unregistered {
        /// The reason of the last failure, if there was an attempt.
        reason: Option<String>,
    },
    /// Registered.
    Registered {
        /// The server.
        server: String,
        /// The path that the server assigned, e.g. `/rd/4711`.
        location: String,
    },
}

/// A bootstrap that was committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// The committed transaction, in hexadecimal.
    pub transaction: String,
    /// What its package did, in words: `profile 8988… installed`.
    pub package: Option<String>,
    /// The present state of management.
    pub management: Management,
}

/// An authentication that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EapTest {
    /// The first identity that the gateway showed.
    pub identity: String,
    /// What the two sides agreed on.
    pub authentication: Authentication,
    /// Whether the SQN was resynchronised.
    pub synchronised: bool,
    /// The result of comparing keyd's MSK with the server's keys. A difference is a failure.
    pub msk: MskComparison,
    /// Microseconds from the first datagram to EAP-Success.
    pub microseconds: u64,
}

/// The comparison of keyd's MSK with the MS-MPPE keys of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MskComparison {
    /// The server sent keys, which are equal.
    Equal,
    /// The server sent none.
    NotSent,
}

/// The kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// netd didn't understand the command, or can't carry it out as it is.
    Command,
    /// Another command is running.
    Busy,
    /// keyd or a server can't be reached.
    Unavailable,
    /// The server refused, or isn't the expected server.
    Refused,
    /// The peer broke the protocol.
    Protocol,
    /// netd has a problem of its own, e.g. a file that it can't write.
    Internal,
    /// netd's configuration doesn't have what the command needs.
    Configuration,
}

/// Why a command got no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket can't be connected to.
    #[error("{path}: {source}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The socket failed, or netd was silent for too long.
    #[error("the socket to softsim-netd: {0}")]
    Socket(#[source] io::Error),
    /// The command isn't over in the time that the client gave it.
    #[error("softsim-netd isn't done in time")]
    TimedOut,
    /// netd closed before the last event.
    #[error("softsim-netd closed the connection")]
    Closed,
    /// A line is not the JSON of an event.
    #[error("softsim-netd sent a line that isn't an event: {0}")]
    Json(#[source] serde_json::Error),
    /// A line is longer than [`MAX_LINE`].
    #[error("expected a line of at most {MAX_LINE} octets")]
    TooLong,
}

/// A connection to the control socket or the monitor socket, for one command.
#[derive(Debug)]
pub struct Control {
    stream: BufReader<Bounded>,
    ended: bool,
}

/// A socket, and until when it is read.
#[derive(Debug)]
struct Bounded {
    stream: UnixStream,
    until: Option<Instant>,
}

impl Read for Bounded {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        if let Some(until) = self.until {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
        }
        self.stream.read(octets)
    }
}

impl Control {
    /// Connects and sends the command; its events are the iterator's items.
    pub fn run(path: &Path, command: &Command) -> Result<Self, Error> {
        Self::run_within(None, path, command)
    }

    /// As [`Self::run`], but the command must be over after this time, or the last item is
    /// [`Error::TimedOut`]. As soon as the iterator is dropped, netd ends what depends on the
    /// client.
    pub fn run_within(
        limit: Option<Duration>,
        path: &Path,
        command: &Command,
    ) -> Result<Self, Error> {
        let until = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut stream = UnixStream::connect(path).map_err(|source| Error::Connect {
            path: path.to_owned(),
            source,
        })?;
        // Days may pass between the events of an access.
        let silence = match command {
            Command::AccessWatch { .. } | Command::Events {} => None,
            _ => Some(MAX_SILENCE),
        };
        stream.set_read_timeout(silence).map_err(Error::Socket)?;
        let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE));
        serde_json::to_writer(&mut *line, command).map_err(Error::Json)?;
        line.push(b'\n');
        if line.len() > MAX_LINE {
            return Err(Error::TooLong);
        }
        match stream.write_all(&line) {
            // netd may have refused us already; its answer can still be read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            sent => sent.map_err(Error::Socket)?,
        }
        Ok(Self {
            stream: BufReader::new(Bounded { stream, until }),
            ended: false,
        })
    }

    fn event(&mut self) -> Result<Event, Error> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(MAX_LINE as u64);
        limited
            .read_until(b'\n', &mut line)
            .map_err(|error| self.fault(error))?;
        match line.pop() {
            None => Err(Error::Closed),
            Some(b'\n') => serde_json::from_slice(&line).map_err(Error::Json),
            Some(_) if line.len() + 1 == MAX_LINE => Err(Error::TooLong),
            Some(_) => Err(Error::Closed),
        }
    }
}

impl Control {
    /// Why nothing can be read.
    fn fault(&self, error: io::Error) -> Error {
        let until = self.stream.get_ref().until;
        let is_over = until.is_some_and(|until| Instant::now() >= until);
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock if is_over => Error::TimedOut,
            _ => Error::Socket(error),
        }
    }
}

impl Iterator for Control {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let event = self.event();
        self.ended = matches!(
            event,
            Err(_) | Ok(Event::Done { .. } | Event::Failed { .. })
        );
        Some(event)
    }
}

#[cfg(test)]
mod tests;
