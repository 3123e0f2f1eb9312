//! The types that keyd, netd and the EAP peer share, defined once. They describe an authentication,
//! and hold neither secrets nor state.
//!
//! With the feature `serde`, a variant is serialised by its name in kebab case if the format has
//! names, as in netd's configuration, and by its index if it has none, as in keyd's protocol.
//! Therefore add new variants at the end.
#![no_std]

use core::fmt;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

/// An EAP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Method {
    /// EAP-AKA (RFC 4187).
    Aka,
    /// EAP-AKA' (RFC 9048).
    AkaPrime,
}

impl Method {
    /// The EAP type of its packets (RFC 3748 §5).
    pub const fn number(self) -> u8 {
        match self {
            Self::Aka => 23,
            Self::AkaPrime => 50,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aka => "EAP-AKA",
            Self::AkaPrime => "EAP-AKA'",
        })
    }
}

/// A group of an ephemeral Diffie-Hellman; the number is that of AT_KDF_FS (RFC 9678 §6.3), and of
/// a SUCI's protection scheme (TS 33.501 C.1) too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[repr(u8)]
pub enum Group {
    /// Curve25519: public keys of 32 octets (RFC 7748 §6.1). Profile A of SUCI.
    X25519 = 1,
    /// secp256r1: public keys are compressed points of 33 octets (SEC 1 §2.3.3). Profile B of SUCI.
    P256 = 2,
}

impl Group {
    /// The group with this number.
    pub const fn from_number(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::X25519),
            2 => Some(Self::P256),
            _ => None,
        }
    }

    /// The group's number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Length of a public key in octets.
    pub const fn public_key_length(self) -> usize {
        match self {
            Self::X25519 => 32,
            Self::P256 => 33,
        }
    }

    /// The public key in the value of an AT_PUB_ECDHE, without the padding to whole words (RFC 9678
    /// §6.1); `None` when it has another length.
    pub fn public_key(self, pub_ecdhe: &[u8]) -> Option<&[u8]> {
        // Type, length and value together fill whole words of four octets.
        let length = self.public_key_length();
        ((2 + length).next_multiple_of(4) == 2 + pub_ecdhe.len())
            .then(|| pub_ecdhe.get(..length))
            .flatten()
    }
}

/// Which identity the SIM is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum IdentityRequest {
    /// A re-authentication identity, else a pseudonym, else the permanent identity (RFC 4187
    /// §4.1.5).
    Any,
    /// A pseudonym, else the permanent identity.
    FullAuthentication,
    /// The permanent identity.
    Permanent,
    /// `anonymous` and the realm.
    Anonymous,
    /// The permanent identity, encrypted for the home network (TS 33.501 §6.12.2).
    Suci,
}

/// What an identity reveals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum IdentityKind {
    /// An identity for one fast re-authentication, which is meaningless to anybody but the server.
    Reauthentication,
    /// A pseudonym that the server assigned.
    Pseudonym,
    /// The IMSI, in clear.
    Permanent,
    /// Only the realm.
    Anonymous,
    /// The IMSI, encrypted under a key of the home network.
    Suci,
    /// The IMSI, in clear, in the form of a SUCI (TS 33.501 Annex C.2).
    NullSuci,
}

impl IdentityKind {
    /// Whether only the home network learns from it who the subscriber is, as RFC 9678 §6.5.2
    /// requires for forward secrecy.
    pub const fn privacy_friendly(self) -> bool {
        !matches!(self, Self::Permanent | Self::NullSuci)
    }
}

impl fmt::Display for IdentityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reauthentication => "re-authentication identity",
            Self::Pseudonym => "pseudonym",
            Self::Permanent => "permanent identity",
            Self::Anonymous => "anonymous identity",
            Self::Suci => "SUCI",
            Self::NullSuci => "SUCI of the null scheme",
        })
    }
}

/// The kind of network that an identity is shown to. It determines the labels before
/// `mnc<MNC>.mcc<MCC>.3gppnetwork.org` in the realm (TS 23.003).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Realm {
    /// `wlan.`: any access network (§14.2).
    Wlan,
    /// `nai.epc.`: access to the evolved packet core, as through an ePDG (§19.3.2).
    Epc,
    /// `5gc.`: the home network's domain of 5GS (§28.2), as in a SUCI (§28.7.3).
    #[cfg_attr(feature = "serde", serde(rename = "5gc"))]
    FiveGc,
    /// `nai.5gc.`: access to 5GS over a trusted or untrusted network (§28.7.6).
    #[cfg_attr(feature = "serde", serde(rename = "nai-5gc"))]
    NaiFiveGc,
    /// `nai.5gc-nn.`: a device without NAS on a trusted WLAN (§28.7.7).
    N5cw,
    /// `5gc-nswo.`: offload to WLAN, authenticated by 5GS (§28.7.12).
    Nswo,
}

impl Realm {
    /// The labels before those of the home network.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Wlan => "wlan",
            Self::Epc => "nai.epc",
            Self::FiveGc => "5gc",
            Self::NaiFiveGc => "nai.5gc",
            Self::N5cw => "nai.5gc-nn",
            Self::Nswo => "5gc-nswo",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_taken_at_the_padded_length_of_its_group_and_at_no_other() {
        let value = [7; 70];
        for (group, padded) in [(Group::X25519, 34), (Group::P256, 34)] {
            for length in 0..value.len() {
                let key = group.public_key(&value[..length]).map(<[u8]>::len);
                let expected = (length == padded).then(|| group.public_key_length());
                assert_eq!(key, expected, "{group:?}, {length} octets");
            }
        }
    }
}
