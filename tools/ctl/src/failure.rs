//! Why a command failed, what to do about it, and the exit status (as in sysexits.h).

use std::io;
use std::path::Path;

use softsim_client::keyd;
use softsim_client::netd::{self, Failure as NetdFailure};
use softsim_client::proto::Refusal;

/// The command line is wrong.
pub const USAGE: u8 = 64;
/// A file or an answer has the wrong content.
pub const DATA: u8 = 65;
/// A file doesn't exist, or can't be read.
pub const NO_INPUT: u8 = 66;
/// A daemon or a server can't be reached.
pub const UNAVAILABLE: u8 = 69;
/// A fault inside softsim.
pub const SOFTWARE: u8 = 70;
/// A file can't be created.
pub const CANNOT_CREATE: u8 = 73;
/// Reading or writing failed.
pub const IO: u8 = 74;
/// It may work later.
pub const TEMPORARY: u8 = 75;
/// The peer broke the protocol.
pub const PROTOCOL: u8 = 76;
/// It was refused.
pub const REFUSED: u8 = 77;
/// The reader of the output has gone. This is the status that shells show for a program that
/// SIGPIPE ended; no message is printed.
pub const READER_GONE: u8 = 141;

/// A command that failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit status.
    pub status: u8,
    /// The reason: what was expected, and what softsimctl got.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure that needs no advice.
    pub fn new(status: u8, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            hint: None,
        }
    }

    /// A file that can't be read.
    pub fn reading(path: &Path, error: &io::Error) -> Self {
        Self::new(NO_INPUT, format!("{}: {error}", path.display()))
    }

    /// A file that can't be written.
    pub fn creating(path: &Path, error: &io::Error) -> Self {
        Self::new(CANNOT_CREATE, format!("{}: {error}", path.display()))
    }

    /// The failure as JSON, for programs.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "error": self.message,
            "hint": self.hint,
            "status": self.status,
        })
    }

    /// The failure in lines, for people.
    pub fn to_lines(&self) -> Vec<String> {
        let hint = self.hint.iter().map(|hint| format!("  {hint}"));
        std::iter::once(format!("softsimctl: {}", self.message))
            .chain(hint)
            .collect()
    }

    /// Adds a hint what to do about it.
    pub fn advise(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The output can't be written.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let status = match error.kind() {
            io::ErrorKind::BrokenPipe => READER_GONE,
            _ => IO,
        };
        Self::new(status, format!("standard output: {error}"))
    }
}

impl From<keyd::Error> for Failure {
    fn from(error: keyd::Error) -> Self {
        let message = error.to_string();
        match error {
            keyd::Error::Connect { source, .. } => unreachable_socket(
                &source,
                message,
                "softsim-keyd",
                "SOFTSIM_ADMIN_SOCKET names another socket",
            ),
            keyd::Error::Closed => Self::new(UNAVAILABLE, message)
                .advise("softsim-keyd died, or doesn't talk to this user: see its log"),
            keyd::Error::TimedOut { .. } => Self::new(UNAVAILABLE, message),
            keyd::Error::Socket(_) => Self::new(IO, message),
            keyd::Error::TooLong { .. } => Self::new(DATA, message),
            keyd::Error::Answer { .. } => Self::new(PROTOCOL, message)
                .advise("softsimctl and softsim-keyd must be of the same release"),
            keyd::Error::Refused(refusal) => refused(&refusal),
        }
    }
}

fn refused(refusal: &Refusal) -> Failure {
    let message = format!("softsim-keyd refused: {refusal}");
    match refusal {
        Refusal::RetryAfter { .. } => Failure::new(TEMPORARY, message),
        Refusal::Version { .. } | Refusal::UnknownRequest { .. } | Refusal::Malformed { .. } => {
            Failure::new(PROTOCOL, message)
                .advise("softsimctl and softsim-keyd must be of the same release")
        }
        Refusal::Field { name, .. } if name == "certificate" => Failure::new(DATA, message)
            .advise("openssl x509 -req makes version 3 only if -extfile names extensions"),
        Refusal::Package(_)
        | Refusal::Field { .. }
        | Refusal::TooLong { .. }
        | Refusal::CertificateKey => Failure::new(DATA, message),
        Refusal::Storage => Failure::new(SOFTWARE, message),
        Refusal::NoDeviceKey => {
            Failure::new(REFUSED, message).advise("softsimctl enrol makes the device key")
        }
        Refusal::ProfileEnabled => {
            Failure::new(REFUSED, message).advise("softsimctl profile disable it first")
        }
        _ => Failure::new(REFUSED, message),
    }
}

impl From<netd::Error> for Failure {
    fn from(error: netd::Error) -> Self {
        let message = error.to_string();
        match error {
            netd::Error::Connect { source, .. } => unreachable_socket(
                &source,
                message,
                "softsim-netd",
                "SOFTSIM_NETD_SOCKET names another socket",
            ),
            netd::Error::Closed => Self::new(UNAVAILABLE, message)
                .advise("softsim-netd died, or doesn't talk to this user: see its log"),
            netd::Error::Socket(_) => Self::new(IO, message),
            netd::Error::Json(_) | netd::Error::TooLong => Self::new(PROTOCOL, message)
                .advise("softsimctl and softsim-netd must be of the same release"),
        }
    }
}

/// The exit status for a failure that netd reports.
pub fn status_of(failure: NetdFailure) -> u8 {
    match failure {
        NetdFailure::Command => USAGE,
        NetdFailure::Busy => TEMPORARY,
        NetdFailure::Unavailable => UNAVAILABLE,
        NetdFailure::Refused => REFUSED,
        NetdFailure::Protocol => PROTOCOL,
        NetdFailure::Internal => SOFTWARE,
    }
}

fn unreachable_socket(error: &io::Error, message: String, daemon: &str, variable: &str) -> Failure {
    let failure = Failure::new(UNAVAILABLE, message);
    match error.kind() {
        io::ErrorKind::PermissionDenied => failure.advise(format!(
            "this user may not use the socket of {daemon}: run it as root or as a member of the socket's group"
        )),
        _ => failure.advise(format!("is {daemon} running? {variable}")),
    }
}
