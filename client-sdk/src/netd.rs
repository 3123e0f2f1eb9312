//! The control socket of the network daemon.
//!
//! An AF_UNIX stream carries one JSON object a line. The client sends one [`Command`]; netd answers
//! with [`Event`]s as things happen, the last of which is [`Event::Done`] or [`Event::Failed`], and
//! closes. A client that closes first gives up: an authentication ends, a bootstrap goes on. No
//! line is longer than [`MAX_LINE`] octets.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretSlice};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

mod access;

pub use access::{Access, AccessCounters, AccessState, Accesses, Authentication, Carrier, Port};

/// The longest line, in octets, its newline included.
pub const MAX_LINE: usize = 8 << 10;

/// How long netd may be silent: longer than any exchange of a bootstrap with all its
/// retransmissions.
const MAX_SILENCE: Duration = Duration::from_secs(300);

/// What netd is asked to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Tells its state.
    Status {},
    /// Runs the LwM2M bootstrap now, and registers.
    Bootstrap {},
    /// Forgets the LwM2M accounts, takes back the registrations where their servers answer, and
    /// bootstraps anew.
    AccountsReset {},
    /// Runs one EAP-AKA' authentication as the supplicant of an access point would.
    EapTest {
        /// The RADIUS server, `HOST:PORT`.
        radius: String,
        /// The secret shared with it.
        secret: RadiusSecret,
        /// The Nai to use in place of the profile's.
        #[serde(default)]
        identity: Option<String>,
    },
    /// Tells where the accesses stand, all of them or the one of this name.
    AccessStatus {
        /// Its name.
        #[serde(default)]
        name: Option<String>,
    },
    /// Authenticates now, and tells how it went.
    AccessConnect {
        /// Its name.
        #[serde(default)]
        name: Option<String>,
    },
    /// Logs off, and stays so until it is connected.
    AccessDisconnect {
        /// Its name.
        #[serde(default)]
        name: Option<String>,
    },
    /// Tells each message and each change of state, until the client leaves.
    AccessWatch {
        /// Its name.
        #[serde(default)]
        name: Option<String>,
    },
}

/// The secret that a RADIUS client and server share; in JSON a hex string, never printed.
pub struct RadiusSecret(SecretSlice<u8>);

impl RadiusSecret {
    /// Takes the octets over.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(octets.into())
    }

    /// The octets, for the one place that needs them.
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
        // The decoder's own error would show a character of the secret.
        let octets =
            hex::decode(text.as_bytes()).map_err(|_| de::Error::custom("secret: expected hex"))?;
        Ok(Self::new(octets))
    }
}

/// What happens at netd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A step was reached.
    Step {
        /// Microseconds since the command.
        microseconds: u64,
        /// The step, e.g. `DTLS handshake with 127.0.0.1:5684`.
        text: String,
    },
    /// An EAP message passed.
    Message {
        /// Microseconds since the command.
        microseconds: u64,
        /// Seen from the gateway.
        direction: Direction,
        /// The message and its attributes, e.g. `AKA'-Challenge AT_RAND AT_AUTN AT_MAC`.
        text: String,
        /// The access that it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        access: Option<String>,
    },
    /// An access has come to another state.
    Access {
        /// Microseconds since the command.
        microseconds: u64,
        /// Where it stands now.
        access: Access,
    },
    /// It is done.
    Done {
        /// What came of it.
        report: Report,
    },
    /// It failed.
    Failed {
        /// What kind of failure.
        failure: Failure,
        /// What was expected and what was received.
        reason: String,
    },
}

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the gateway to the network.
    Sent,
    /// From the network to the gateway.
    Received,
}

/// What came of a command.
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
    /// The LwM2M endpoint name; the device id unless configured, so unknown until there is a
    /// device key.
    pub endpoint: Option<String>,
    /// The landlock ABI in force; 0 without.
    pub landlock_abi: u8,
    /// How many system calls the seccomp filter lets through; 0 without.
    pub seccomp_calls: u16,
    /// The committed transaction whose accounts are in use, in hexadecimal.
    pub accounts: Option<String>,
    /// Why the accounts that netd found at its start are not in use, until others are.
    #[serde(default)]
    pub accounts_fault: Option<String>,
    /// Where management stands.
    pub management: Management,
    /// Where the accesses stand, in the order of the configuration.
    #[serde(default)]
    pub accesses: Vec<Access>,
}

/// Where management by LwM2M stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Management {
    /// No bootstrap has succeeded yet.
    NotBootstrapped {
        /// The last reason, where there was an attempt.
        reason: Option<String>,
    },
    /// A bootstrap is running.
    Bootstrapping,
    /// Accounts are there, the server has not been reached.
    Unregistered {
        /// The last reason, where there was an attempt.
        reason: Option<String>,
    },
    /// Registered.
    Registered {
        /// The server.
        server: String,
        /// The path the server gave, e.g. `/rd/4711`.
        location: String,
    },
}

/// A bootstrap that was committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// The committed transaction, in hexadecimal.
    pub transaction: String,
    /// What the package that came with it did, in words: `profile 8988… installed`.
    pub package: Option<String>,
    /// Where management stands now.
    pub management: Management,
}

/// An authentication that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EapTest {
    /// The identity that was shown first.
    pub identity: String,
    /// What was agreed.
    pub authentication: Authentication,
    /// Whether the SQN was synchronised on the way.
    pub synchronised: bool,
    /// How keyd found its MSK to compare with the server's keys; a difference is a failure.
    pub msk: MskComparison,
    /// Microseconds from the first datagram to EAP-Success.
    pub microseconds: u64,
}

/// keyd's MSK beside the MS-MPPE keys of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MskComparison {
    /// The server sent keys, and they are equal.
    Equal,
    /// The server sent none.
    NotSent,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// The command was not understood, or can't be carried out as it is.
    Command,
    /// Another one is running.
    Busy,
    /// keyd or a server can't be reached.
    Unavailable,
    /// The server refused, or was not what it should be.
    Refused,
    /// The peer broke the protocol.
    Protocol,
    /// netd's own fault, e.g. a file that can't be written.
    Internal,
}

/// Why a command got no answer.
#[derive(Debug)]
pub enum Error {
    /// The socket can't be connected to.
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The socket failed, or netd was silent for too long.
    Socket(io::Error),
    /// netd closed before the last event.
    Closed,
    /// A line is not the JSON of an event.
    Json(serde_json::Error),
    /// A line is longer than [`MAX_LINE`].
    TooLong,
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect { source, .. } | Self::Socket(source) => Some(source),
            Self::Json(source) => Some(source),
            Self::Closed | Self::TooLong => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Socket(source) => write!(f, "the socket to softsim-netd: {source}"),
            Self::Closed => f.write_str("softsim-netd closed the connection"),
            Self::Json(source) => write!(f, "softsim-netd sent what is no event: {source}"),
            Self::TooLong => write!(f, "expected a line of at most {MAX_LINE} octets"),
        }
    }
}

/// A connection to the control socket, for one command.
#[derive(Debug)]
pub struct Control {
    stream: BufReader<UnixStream>,
    ended: bool,
}

impl Control {
    /// Connects and sends the command; its events are the iterator's items.
    pub fn run(path: &Path, command: &Command) -> Result<Self, Error> {
        let mut stream = UnixStream::connect(path).map_err(|source| Error::Connect {
            path: path.to_owned(),
            source,
        })?;
        // Between the events of an access may lie days.
        let silence = match command {
            Command::AccessWatch { .. } => None,
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
            // netd may have turned us away already; what it said can still be read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            sent => sent.map_err(Error::Socket)?,
        }
        Ok(Self {
            stream: BufReader::new(stream),
            ended: false,
        })
    }

    fn event(&mut self) -> Result<Event, Error> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(MAX_LINE as u64);
        limited
            .read_until(b'\n', &mut line)
            .map_err(Error::Socket)?;
        match line.pop() {
            None => Err(Error::Closed),
            Some(b'\n') => serde_json::from_slice(&line).map_err(Error::Json),
            Some(_) if line.len() + 1 == MAX_LINE => Err(Error::TooLong),
            Some(_) => Err(Error::Closed),
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
