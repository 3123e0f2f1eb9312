//! What the owner decides before the first packet: methods, identities, access network, policies.

use std::fmt;

use softsim_eap_types::{IdentityKind, IdentityRequest, Method};

use crate::identity::OuterIdentity;

/// The name of the access network that we know we are on (RFC 9048 §3.1, TS 24.302 §8.1.1.2):
/// `WLAN`, `ETHERNET`, `5G:mnc001.mcc001.3gppnetwork.org`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkName(String);

/// An empty network name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadNetworkName;

impl NetworkName {
    /// Takes a name.
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

    /// Compares by fields between colons; a side may have more fields than the other (RFC 9048
    /// §3.1).
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

impl fmt::Display for BadNetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected a network name, got an empty one")
    }
}

impl std::error::Error for BadNetworkName {}

/// What a network name does that is not the expected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum NetworkNamePolicy {
    /// Nothing.
    Ignore,
    /// A note is given, and the authentication goes on.
    Warn,
    /// The network is not trusted, as if AUTN were wrong.
    Fail,
}

/// Whether the keys of an authentication shall outlive the loss of the SIM's secret (RFC 9678).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum ForwardSecrecy {
    /// An offer is ignored.
    Off,
    /// An offer is taken, if no identity was shown that names the subscriber.
    Allow,
    /// A challenge without an offer that can be taken counts as a wrong AUTN, EAP-AKA is not
    /// spoken, and an identity that names the subscriber is shown concealed or not at all.
    Require,
}

/// The peer's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// What may be spoken, the preferred method first.
    pub methods: Vec<Method>,
    /// What EAP-Response/Identity says.
    pub outer: OuterIdentity,
    /// The realm that EAP-Response/Identity is sent through first, as when roaming; no other
    /// message shows it.
    pub decoration: Option<String>,
    /// The access network we believe to be on.
    pub network_name: NetworkName,
    /// What happens when the server names another.
    pub network_name_policy: NetworkNamePolicy,
    /// Whether an ephemeral key exchange is wanted.
    pub forward_secrecy: ForwardSecrecy,
    /// Whether we ask for a protected success (AT_RESULT_IND) where the server offers it.
    pub result_indication: bool,
    /// Whether EAP-AKA refuses an AUTN whose AMF separation bit says that it is for EAP-AKA'.
    pub refuse_separation_bit: bool,
}

impl Config {
    /// EAP-AKA', else EAP-AKA, on a wireless LAN whose name is checked; whatever identity the
    /// holder of the SIM gives.
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

    /// Whether a method is spoken. There is no forward secrecy in EAP-AKA, so that who requires it
    /// does not speak it.
    pub fn allows(&self, method: Method) -> bool {
        let secret_forward =
            method == Method::AkaPrime || self.forward_secrecy != ForwardSecrecy::Require;
        secret_forward && self.methods.contains(&method)
    }

    /// The methods that are spoken, the preferred one first.
    pub(crate) fn allowed(&self) -> impl Iterator<Item = Method> {
        let methods = self.methods.iter().copied();
        methods.filter(|method| self.allows(*method))
    }

    /// What is asked for where any identity would do. Nobody knows whether a fast re-authentication
    /// would start from keys with forward secrecy, so that who requires it has full authentications
    /// only.
    pub(crate) fn anything(&self) -> IdentityRequest {
        match self.forward_secrecy {
            ForwardSecrecy::Require => IdentityRequest::FullAuthentication,
            ForwardSecrecy::Off | ForwardSecrecy::Allow => IdentityRequest::Any,
        }
    }

    /// Whether an identity of this kind may be shown: forward secrecy promises that none names the
    /// subscriber (RFC 9678 §6.5.2).
    pub(crate) fn may_show(&self, kind: IdentityKind) -> bool {
        self.forward_secrecy != ForwardSecrecy::Require || kind.privacy_friendly()
    }
}

impl Default for Config {
    fn default() -> Self {
        Config::new()
    }
}
