//! The roles of keyd's clients.

use core::fmt;

use serde::{Deserialize, Serialize};

/// The role of a client. Each role has its own socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// `softsim-netd`, which talks to networks.
    Network,
    /// `softsimctl`, for administrators of the gateway.
    Admin,
    /// Applications on the gateway.
    App,
    /// Bridges to supplicants that run the key schedule themselves and need raw CK and IK. It is
    /// off by default.
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
