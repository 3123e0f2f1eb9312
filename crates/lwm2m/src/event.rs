//! The outputs of the client: datagrams to send, and events.

use std::fmt;

use softsim_coap::{Code, FailureReason};

use crate::accounts::{AccountKey, Accounts};

/// Which server a session is with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServerRole {
    /// The bootstrap server.
    Bootstrap,
    /// The management server with this Short Server ID.
    Management(u16),
}

impl fmt::Display for ServerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bootstrap => f.write_str("the bootstrap server"),
            Self::Management(ssid) => write!(f, "LwM2M server {ssid}"),
        }
    }
}

/// An output of the client. The application handles them in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this datagram in the session with this server.
    Transmit {
        /// The server.
        server: ServerRole,
        /// The CoAP message.
        datagram: Vec<u8>,
    },
    /// Something happened.
    Event(Event),
}

/// An event for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A server wrote a sealed package. Let the key process check it, then call
    /// [`crate::Client::staged`]. Only stage a package of the bootstrap server, since
    /// [`Event::Commit`] follows; install one of a management server at once.
    StagePackage {
        /// The server that wrote it.
        source: ServerRole,
        /// The package, unopened.
        package: Vec<u8>,
    },
    /// The bootstrap server deleted the package that was staged in this bootstrap.
    DiscardPackage,
    /// Bootstrap-Finish: make the accounts durable, with the staged package and the keys, then call
    /// [`crate::Client::committed`].
    Commit {
        /// The new accounts.
        accounts: Accounts,
        /// The pre-shared keys among them.
        keys: Vec<AccountKey>,
    },
    /// The new accounts are in force. Close the sessions with management servers, and open new
    /// ones.
    Bootstrapped,
    /// The old accounts stay in force. Drop what was staged.
    BootstrapFailed(BootstrapFailure),
    /// The server has our registration.
    Registered {
        /// The server.
        ssid: u16,
        /// Its Location-Path.
        location: Vec<String>,
    },
    /// The server has extended our registration by another lifetime.
    Updated {
        /// The server.
        ssid: u16,
    },
    /// The server has no registration of ours any more.
    Deregistered {
        /// The server.
        ssid: u16,
    },
    /// There is no registration. Close the session, and open a new one later.
    RegistrationFailed {
        /// The server.
        ssid: u16,
        /// Why.
        reason: RegistrationFailure,
    },
    /// A management server wrote to its own account. Make these accounts durable.
    AccountsChanged(Accounts),
}

/// Why a bootstrap ended without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapFailure {
    /// The server answered the Bootstrap-Request with this code.
    #[error("the bootstrap server answered {0}")]
    Refused(Code),
    /// The Bootstrap-Request was not answered.
    #[error("the bootstrap server: {0}")]
    NoAnswer(FailureReason),
    /// The server fell silent before Bootstrap-Finish.
    #[error("the bootstrap server fell silent before Bootstrap-Finish")]
    Timeout,
    /// The session ended before Bootstrap-Finish.
    #[error("the session ended before Bootstrap-Finish")]
    SessionClosed,
}

/// Why there is no registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationFailure {
    /// The server answered with this code.
    #[error("the server answered {0}")]
    Refused(Code),
    /// The server didn't answer.
    #[error("the server: {0}")]
    NoAnswer(FailureReason),
    /// The server answered 2.01 without saying where the registration is.
    #[error("the server gave the registration no location")]
    NoLocation,
    /// The accounts name no such server.
    #[error("the accounts name no such server")]
    NoAccount,
}
