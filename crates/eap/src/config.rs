//! What the owner decides before the first packet: identities, access network, policies.

use std::fmt;

/// The longest identity: what one User-Name of RADIUS holds (RFC 7542 section 2.3).
const LONGEST_NAI: usize = 253;

/// A network access identifier (RFC 7542), such as `6001010123456789@wlan.mnc001.mcc001.3gppnetwork.org`.
#[derive(Clone, PartialEq, Eq)]
pub struct Nai(String);

/// An identity that can't be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadNai {
    /// Not 1 to 253 octets.
    Length {
        /// Octets given.
        octets: usize,
    },
    /// A control character, NUL among them.
    Control,
}

impl Nai {
    /// Takes an identity as it is to be sent.
    ///
    /// # Errors
    /// [`BadNai`] when it is empty, too long, or holds control characters.
    pub fn new(nai: impl Into<String>) -> Result<Self, BadNai> {
        let nai = nai.into();
        if !(1..=LONGEST_NAI).contains(&nai.len()) {
            return Err(BadNai::Length { octets: nai.len() });
        }
        if nai.chars().any(char::is_control) {
            return Err(BadNai::Control);
        }
        Ok(Nai(nai))
    }

    /// The octets on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Prints no identity: a permanent one is the subscriber's IMSI.
impl fmt::Debug for Nai {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nai([redacted])")
    }
}

impl fmt::Display for BadNai {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadNai::Length { octets } => write!(
                f,
                "expected an identity of 1 to {LONGEST_NAI} octets, got {octets}"
            ),
            BadNai::Control => write!(
                f,
                "expected an identity without control characters, got one"
            ),
        }
    }
}

impl std::error::Error for BadNai {}

/// The name of the access network that we know we are on (RFC 9048 section 3.1, TS 24.302 section 8.1.1.2): `WLAN`,
/// `ETHERNET`, `5G:mnc001.mcc001.3gppnetwork.org`.
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

    /// Compares by fields between colons; a side may have more fields than the other (RFC 9048 section 3.1).
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
pub enum NetworkNamePolicy {
    /// Nothing.
    Ignore,
    /// A note is given, and the authentication goes on.
    Warn,
    /// The network is not trusted, as if AUTN were wrong.
    Fail,
}

/// The peer's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The identity of EAP-Response/Identity.
    pub outer: Nai,
    /// The permanent identity, sent in AT_IDENTITY and used in the key derivation.
    pub permanent: Nai,
    /// The access network we believe to be on.
    pub network_name: NetworkName,
    /// What happens when the server names another.
    pub network_name_policy: NetworkNamePolicy,
    /// Whether we ask for a protected success (AT_RESULT_IND) where the server offers it.
    pub result_indication: bool,
}

impl Config {
    /// The permanent identity everywhere, on a wireless LAN, everything checked.
    pub fn new(permanent: Nai) -> Self {
        Config {
            outer: permanent.clone(),
            permanent,
            network_name: NetworkName::wlan(),
            network_name_policy: NetworkNamePolicy::Fail,
            result_indication: true,
        }
    }
}
