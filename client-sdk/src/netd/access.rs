//! The accesses of netd, and what netd reports about each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One `[[access]]` of netd's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Its name in the configuration.
    pub name: String,
    /// The carrier of EAP.
    pub carrier: Carrier,
    /// The interface, or the RADIUS servers.
    pub at: String,
    /// The RADIUS server that is asked, or that authorised the access, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The interface's name when netd started, if it has another name now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed: Option<String>,
    /// Whether it begins by itself, and not only on [`super::Command::AccessConnect`].
    pub automatic: bool,
    /// Its state.
    pub state: AccessState,
    /// Seconds since it entered this state.
    pub seconds: u64,
    /// Seconds until it authenticates by itself, if that is known.
    pub next_seconds: Option<u64>,
    /// The controlled port, if the access has one.
    pub port: Option<Port>,
    /// The last successful authentication, while it is valid.
    pub authentication: Option<Authentication>,
    /// The counters since netd started.
    pub counters: AccessCounters,
}

/// The carrier of EAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carrier {
    /// EAPOL on an interface (IEEE 802.1X).
    Wired,
    /// RADIUS to a server (RFC 3579).
    Radius,
}

/// The state of an access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum AccessState {
    /// No authentication is wanted, or none is possible.
    Idle {
        /// Why.
        reason: String,
    },
    /// Waits for the network, or sends it our identity.
    Identity,
    /// Answers a challenge.
    Challenge,
    /// Authenticated.
    Authorised,
    /// Waits for the next attempt.
    Held {
        /// Why the last one failed.
        reason: String,
    },
}

/// A controlled port (IEEE 802.1X-2010 §6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Port {
    /// Everything passes.
    Authorised,
    /// Only EAPOL passes.
    Unauthorised,
}

/// An authentication that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authentication {
    /// `EAP-AKA'` or `EAP-AKA`.
    pub method: String,
    /// The kind of the first identity that the network saw, e.g. `pseudonym`.
    pub identity: String,
    /// Whether it was a fast re-authentication.
    pub reauthenticated: bool,
    /// Whether its keys stay secret even if the SIM's secret is disclosed later (RFC 9678).
    pub forward_secrecy: bool,
    /// Session-Id (RFC 5247), in hexadecimal.
    pub session_id: String,
}

/// The counters of an access since netd started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessCounters {
    /// Attempts, begun by us or by the network.
    pub attempts: u64,
    /// Successful attempts.
    pub successes: u64,
    /// Fast re-authentications among the successful attempts.
    pub reauthentications: u64,
    /// Failed attempts.
    pub failures: u64,
    /// Frames and datagrams that were ignored.
    pub ignored: u64,
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wired => "wired",
            Self::Radius => "radius",
        })
    }
}

impl fmt::Display for AccessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle { reason } => write!(f, "idle: {reason}"),
            Self::Identity => f.write_str("identity"),
            Self::Challenge => f.write_str("challenge"),
            Self::Authorised => f.write_str("authorised"),
            Self::Held { reason } => write!(f, "held: {reason}"),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authorised => "open",
            Self::Unauthorised => "closed",
        })
    }
}

/// The result of [`super::Command::AccessStatus`] and similar commands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accesses {
    /// In the order of the configuration.
    pub accesses: Vec<Access>,
}
