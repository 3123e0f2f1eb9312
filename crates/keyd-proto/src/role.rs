//! The roles of keyd's clients.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Whom a socket of keyd is for. Each role has a socket of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// `softsim-netd`, which speaks to networks.
    Network,
    /// `softsimctl`, for whoever administers the gateway.
    Admin,
    /// Applications on the gateway.
    App,
    /// Bridges to supplicants that keep the key schedule to themselves and need raw CK and IK: off
    /// by default.
    Supplicant,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Network, Self::Admin, Self::App, Self::Supplicant];

    /// The role's name in sockets, policies and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Admin => "admin",
            Self::App => "app",
            Self::Supplicant => "supplicant",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
