//! Why a command failed, what to do about it, and the exit status.

use std::io;
use std::path::Path;

use softsim_client::keyd;
use softsim_client::netd::{self, Failure as NetdFailure};
use softsim_client::proto::{PackageFault, Refusal};
use softsim_sandbox::exit_status::{
    CANNOT_CREATE, CONFIGURATION, DATA, IO, NO_INPUT, PROTOCOL, READER_GONE, REFUSED, SOFTWARE,
    TEMPORARY, UNAVAILABLE, USAGE,
};

/// A command that failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit status.
    pub status: u8,
    /// The reason: what was expected, and what softsimctl got.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether the kernel keeps this user from a socket, so that nothing is known of who serves
    /// it.
    pub denied: bool,
}

impl Failure {
    /// A failure that needs no advice.
    pub fn new(status: u8, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            hint: None,
            denied: false,
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

    /// The message and the hint.
    pub(crate) fn in_a_line(&self) -> String {
        let parts = [Some(&*self.message), self.hint.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
    }

    /// Adds a hint what to do about it.
    pub fn advise(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Failure {
    /// A command line that isn't one, with what clap says about it: the reason, and what would be
    /// right.
    pub fn usage(said: &str) -> Self {
        let said = said.trim_end();
        let (reason, hint) = said.split_once("\n\n").unwrap_or((said, ""));
        let reason = reason.strip_prefix("error: ").unwrap_or(reason);
        let in_a_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        Self {
            status: USAGE,
            message: in_a_line(reason),
            hint: (!hint.is_empty()).then(|| in_a_line(hint)),
            denied: false,
        }
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
                ["--admin-user", "--admin-group"],
                "SOFTSIM_ADMIN_SOCKET names another socket",
            ),
            keyd::Error::Closed => Self::new(UNAVAILABLE, message).advise(
                "softsim-keyd ended, or doesn't serve this user (--admin-user, --admin-group): its log says which",
            ),
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
        Refusal::Package(PackageFault::UnknownIssuer { .. }) => Failure::new(DATA, message).advise(
            "softsimctl enrol --trust-issuer FILE adds the operator's public key, if the operator is to be trusted",
        ),
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
                ["control_users", "control_groups"],
                "SOFTSIM_NETD_SOCKET names another socket",
            ),
            netd::Error::Closed => Self::new(UNAVAILABLE, message)
                .advise("softsim-netd ended, or the command was too late or too long: see its log"),
            netd::Error::TimedOut => Self::new(TEMPORARY, message),
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
        NetdFailure::Configuration => CONFIGURATION,
    }
}

/// `users` and `groups` are the settings that name the users of the daemon.
fn unreachable_socket(
    error: &io::Error,
    message: String,
    daemon: &str,
    [users, groups]: [&str; 2],
    variable: &str,
) -> Failure {
    let failure = Failure::new(UNAVAILABLE, message);
    match error.kind() {
        io::ErrorKind::PermissionDenied => Failure {
            denied: true,
            ..failure
        }
        .advise(format!(
            "run it as root or as the user of {daemon}; another user must be one of {users} or a member of one of \
             {groups}, and the mode of the socket's file must let it in"
        )),
        _ => failure.advise(format!("is {daemon} running? {variable}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel compares the socket's mode, the daemon its settings.
    #[test]
    fn a_user_without_permission_learns_which_settings_name_users() {
        let denied = || io::ErrorKind::PermissionDenied.into();
        let (path, source) = ("admin.sock".into(), denied());
        let keyd = Failure::from(keyd::Error::Connect { path, source });
        let (path, source) = ("netd.sock".into(), denied());
        let netd = Failure::from(netd::Error::Connect { path, source });
        for (failure, settings) in [
            (keyd, "--admin-user or a member of one of --admin-group"),
            (netd, "control_users or a member of one of control_groups"),
        ] {
            let hint = failure.hint.unwrap_or_default();
            assert!(hint.contains(settings), "{hint}");
        }
    }
}
