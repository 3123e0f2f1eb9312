//! The settings that the owner chooses before the first packet: methods, identities, access
//! network, policies.

use std::fmt;

use softsim_eap_types::{IdentityKind, IdentityRequest, Method};

use crate::identity::OuterIdentity;

/// The name of the access network that we are on (RFC 9048 §3.1, TS 24.302 §8.1.1.2), such as
/// `WLAN`, `ETHERNET` or `5G:mnc001.mcc001.3gppnetwork.org`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkName(String);

/// The error for an empty network name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a network name, got an empty one")]
pub struct BadNetworkName;

impl NetworkName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`BadNetworkName`] when it is empty.
    pub fn new(name: impl Into<String>) -> Result<Self, BadNetworkName> {
        let name = name.into();
        if name.is_empty() {
            return Err(BadNetworkName);
        }
        Ok(NetworkName(name))
    }

    /// Wireless LAN.
    pub fn wlan() -> Self {
        NetworkName("WLAN".to_owned())
    }

    /// Compares the names field by field, as colons separate them. One name may have more fields
    /// than the other (RFC 9048 §3.1).
    pub fn matches(&self, received: &[u8]) -> bool {
        let expected = self.0.as_bytes().split(|octet| *octet == b':');
        expected
            .zip(received.split(|octet| *octet == b':'))
            .all(|(expected, received)| expected == received)
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the peer does if the server names another network than the configured one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum NetworkNamePolicy {
    /// The peer goes on.
    Ignore,
    /// The peer goes on, and adds a warning to its note.
    Warn,
    /// The peer rejects the network, as if AUTN were wrong, and adds a warning to its note.
    Fail,
}

/// Whether the keys of an authentication must stay secret even if the SIM's secret is disclosed
/// later (RFC 9678).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum ForwardSecrecy {
    /// The peer ignores an offer.
    Off,
    /// The peer accepts an offer, unless it has shown an identity that names the subscriber.
    Allow,
    /// The peer treats a challenge without an acceptable offer as a wrong AUTN, doesn't speak
    /// EAP-AKA, and shows an identity that names the subscriber only concealed, or not at all.
    Require,
}

/// The peer's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The methods that the peer speaks, the preferred one first.
    pub methods: Vec<Method>,
    /// The identity in EAP-Response/Identity.
    pub outer: OuterIdentity,
    /// The realm through which EAP-Response/Identity is routed, as when roaming. No other message
    /// carries it.
    pub decoration: Option<String>,
    /// The access network that we are on.
    pub network_name: NetworkName,
    /// What the peer does if the server names another network.
    pub network_name_policy: NetworkNamePolicy,
    /// Whether the peer uses an ephemeral key exchange.
    pub forward_secrecy: ForwardSecrecy,
    /// Whether the peer asks for a protected success (AT_RESULT_IND) if the server offers it.
    pub result_indication: bool,
    /// Whether EAP-AKA refuses an AUTN whose AMF separation bit says that it is for EAP-AKA'.
    pub refuse_separation_bit: bool,
}

impl Config {
    /// The defaults: EAP-AKA', else EAP-AKA, on a wireless LAN whose name is checked, with any
    /// identity that the holder of the SIM gives.
    pub fn new() -> Self {
        Config {
            methods: vec![Method::AkaPrime, Method::Aka],
            outer: OuterIdentity::Any,
            decoration: None,
            network_name: NetworkName::wlan(),
            network_name_policy: NetworkNamePolicy::Fail,
            forward_secrecy: ForwardSecrecy::Allow,
            result_indication: true,
            refuse_separation_bit: false,
        }
    }

    /// Whether the peer speaks a method. EAP-AKA has no forward secrecy, so a peer that requires it
    /// doesn't speak EAP-AKA.
    pub fn allows(&self, method: Method) -> bool {
        let secret_forward =
            method == Method::AkaPrime || self.forward_secrecy != ForwardSecrecy::Require;
        secret_forward && self.methods.contains(&method)
    }

    /// The methods that the peer speaks, the preferred one first.
    pub fn allowed(&self) -> impl Iterator<Item = Method> {
        let methods = self.methods.iter().copied();
        methods.filter(|method| self.allows(*method))
    }

    /// The request for an identity when any would do. Nothing records whether the keys of a
    /// re-authentication context had forward secrecy, so a peer that requires it only makes full
    /// authentications.
    pub(crate) fn anything(&self) -> IdentityRequest {
        match self.forward_secrecy {
            ForwardSecrecy::Require => IdentityRequest::FullAuthentication,
            ForwardSecrecy::Off | ForwardSecrecy::Allow => IdentityRequest::Any,
        }
    }

    /// Whether the peer may show an identity of this kind. With required forward secrecy, none may
    /// name the subscriber (RFC 9678 §6.5.2).
    pub(crate) fn may_show(&self, kind: IdentityKind) -> bool {
        self.forward_secrecy != ForwardSecrecy::Require || kind.privacy_friendly()
    }
}

impl Default for Config {
    fn default() -> Self {
        Config::new()
    }
}
