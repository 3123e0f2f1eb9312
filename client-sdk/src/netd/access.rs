//! The ways into a network that netd keeps open: what is told about each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One `[[access]]` of netd's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Its name in the configuration.
    pub name: String,
    /// What carries EAP.
    pub carrier: Carrier,
    /// The interface, or the RADIUS server.
    pub at: String,
    /// What the interface was called when netd started, where it has another name now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed: Option<String>,
    /// Where it stands.
    pub state: AccessState,
    /// Seconds since it came there.
    pub seconds: u64,
    /// Seconds until it authenticates by itself, where that is known.
    pub next_seconds: Option<u64>,
    /// The controlled port, where netd keeps one.
    pub port: Option<Port>,
    /// The last authentication that succeeded, as long as it counts.
    pub authentication: Option<Authentication>,
    /// What happened since netd's start.
    pub counters: AccessCounters,
}

/// What carries EAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carrier {
    /// EAPOL on an interface (IEEE 802.1X).
    Wired,
    /// RADIUS to a server (RFC 3579).
    Radius,
}

/// Where an access stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum AccessState {
    /// Not wanted, or not possible.
    Idle {
        /// Why.
        reason: String,
    },
    /// Waits for the network, or tells it who we are.
    Identity,
    /// Proves who we are.
    Challenge,
    /// In.
    Authorised,
    /// Rests before the next attempt.
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
    /// What the identity was that the network saw first, e.g. `pseudonym`.
    pub identity: String,
    /// Whether it was a fast re-authentication.
    pub reauthenticated: bool,
    /// Whether its keys outlive the loss of the SIM's secret (RFC 9678).
    pub forward_secrecy: bool,
    /// Session-Id (RFC 5247), in hexadecimal.
    pub session_id: String,
}

/// What an access counted since netd's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessCounters {
    /// Attempts that were begun, by us or by the network.
    pub attempts: u64,
    /// Those that succeeded.
    pub successes: u64,
    /// Fast re-authentications among them.
    pub reauthentications: u64,
    /// Those that failed.
    pub failures: u64,
    /// Frames and datagrams that were no part of it.
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

/// What came of [`super::Command::AccessStatus`] and its kin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accesses {
    /// In the order of the configuration.
    pub accesses: Vec<Access>,
}
