//! Whom a request is about: EAP methods, kinds of identity, and where they are shown.

use core::fmt;

use serde::{Deserialize, Serialize};

/// An EAP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// EAP-AKA, type 23 (RFC 4187).
    Aka,
    /// EAP-AKA', type 50 (RFC 9048).
    AkaPrime,
}

/// A group of the ephemeral Diffie-Hellman of RFC 9678 §6.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Group {
    /// AT_KDF_FS 1.
    X25519,
    /// AT_KDF_FS 2; a public key is a compressed point.
    P256,
}

/// How telling an identity may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdentityRequest {
    /// That of a fast re-authentication, else a pseudonym, else the permanent one (RFC 4187
    /// §4.1.5).
    Any,
    /// A pseudonym, else the permanent one.
    FullAuthentication,
    /// The permanent one.
    Permanent,
    /// `anonymous` and the realm.
    Anonymous,
    /// The permanent one, concealed to the home network (TS 33.501 §6.12.2).
    Suci,
}

/// What an identity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdentityKind {
    /// For one fast re-authentication.
    Reauthentication,
    /// A name that the server gave.
    Pseudonym,
    /// The IMSI, in clear.
    Permanent,
    /// Only the realm.
    Anonymous,
    /// The IMSI, encrypted to a key of the home network.
    Suci,
    /// The IMSI, in clear, in the form of a SUCI (TS 33.501 Annex C.2).
    NullSuci,
}

/// Where an identity is shown, which its realm tells (TS 23.003).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Realm {
    /// `wlan.`: any access network (§14.2).
    Wlan,
    /// `nai.epc.`: an ePDG (§19.3.2).
    Epc,
    /// `5gc.`: a 5G core (§28.7.3).
    FiveGc,
    /// `nai.5gc.`: a 5G core behind a non-3GPP access (§28.7.6).
    NaiFiveGc,
    /// `nai.5gc-nn.`: a device without NAS (§28.7.7).
    N5cw,
    /// `5gc-nswo.`: WLAN offload with 5G credentials (§28.7.12).
    Nswo,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aka => "EAP-AKA",
            Self::AkaPrime => "EAP-AKA'",
        })
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
