//! The questions of the peer to the holder of the SIM, and the answers.

use std::fmt;

use softsim_eap_types::{Group, IdentityRequest, Method};

use crate::identity::Identity;

/// A question to the holder of the SIM.
#[derive(Clone, PartialEq, Eq)]
pub enum Ask {
    /// Give an identity: answer with [`Answer::Identity`] or [`Answer::Withheld`]. A
    /// re-authentication identity is given once, and the peer remembers it as long as the
    /// conversation lasts.
    Identity {
        /// The method that it is for.
        method: Method,
        /// Whether a re-authentication identity of the other method will do, too: the peer speaks
        /// both, and the server has not chosen one yet.
        any_method: bool,
        /// Which kind of identity is wanted.
        wanted: IdentityRequest,
        /// Whether the server asks inside the method (AKA-Identity), and not with
        /// EAP-Request/Identity.
        inside: bool,
    },
    /// Check AUTN, then AT_MAC of this challenge, run AKA, derive the keys: answer with
    /// [`Answer::Challenge`].
    Challenge {
        /// The method of the challenge.
        method: Method,
        /// The whole EAP request.
        packet: Vec<u8>,
        /// The identity that enters the key derivation.
        identity: Vec<u8>,
        /// The agreed group; AT_PUB_ECDHE of the packet holds a public key of this group. `None`
        /// means that there is no forward secrecy, and that AT_PUB_ECDHE must be ignored.
        group: Option<Group>,
        /// Whether the SIM must reject an AUTN whose AMF separation bit says that the vector is
        /// for EAP-AKA'. In EAP-AKA' the bit must always be set (RFC 9048 §3.3).
        refuse_separation_bit: bool,
    },
    /// Check AT_MAC and the encrypted counter of this re-authentication, derive the keys: answer
    /// with [`Answer::Reauthentication`].
    Reauthentication {
        /// The method of the request.
        method: Method,
        /// The whole EAP request.
        packet: Vec<u8>,
        /// The re-authentication identity that was shown, which enters the key derivation.
        identity: Vec<u8>,
    },
    /// Check AT_MAC of this request with the keys of the last challenge or re-authentication; after
    /// a re-authentication, check the encrypted AT_COUNTER, too. Answer with [`Answer::Verify`].
    Verify {
        /// The whole EAP request.
        packet: Vec<u8>,
    },
    /// Encrypt AT_COUNTER of the re-authentication, and AT_COUNTER_TOO_SMALL if the counter was too
    /// small: answer with [`Answer::Encrypted`].
    EncryptedCounter,
    /// Compute AT_MAC of this response with the keys of the last challenge or re-authentication:
    /// answer with [`Answer::Mac`]. In a response of subtype Reauthentication, AT_MAC also covers
    /// NONCE_S (RFC 4187 §9.8).
    Mac {
        /// The whole EAP response, in which AT_MAC is zero.
        packet: Vec<u8>,
    },
}

/// Prints no identity and no packet.
impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ask::Identity { method, wanted, .. } => write!(f, "Identity({method}, {wanted:?})"),
            Ask::Challenge { method, group, .. } => write!(f, "Challenge({method}, {group:?})"),
            Ask::Reauthentication { method, .. } => write!(f, "Reauthentication({method})"),
            Ask::Verify { .. } => f.write_str("Verify"),
            Ask::EncryptedCounter => f.write_str("EncryptedCounter"),
            Ask::Mac { .. } => f.write_str("Mac"),
        }
    }
}

/// The reply to an [`Ask`].
#[derive(Debug)]
pub enum Answer {
    /// To [`Ask::Identity`].
    Identity(Identity),
    /// To [`Ask::Identity`]: the holder of the SIM doesn't show this identity to a network.
    Withheld,
    /// To [`Ask::Challenge`].
    Challenge(ChallengeAnswer),
    /// To [`Ask::Reauthentication`].
    Reauthentication(ReauthenticationAnswer),
    /// To [`Ask::Verify`]: whether every check succeeded.
    Verify(bool),
    /// To [`Ask::EncryptedCounter`].
    Encrypted {
        /// The value of AT_IV.
        iv: [u8; 16],
        /// The value of AT_ENCR_DATA, whole blocks of 16 octets.
        data: Vec<u8>,
    },
    /// To [`Ask::Mac`]: the 16 octets of AT_MAC.
    Mac([u8; 16]),
    /// To any ask: the SIM isn't available now, or refuses for another reason.
    Unavailable,
}

/// The SIM's result for a challenge.
#[derive(PartialEq, Eq)]
pub enum ChallengeAnswer {
    /// AUTN and AT_MAC are right, and the SQN is stored.
    Success {
        /// RES, ⌈res_bits / 8⌉ octets.
        res: Vec<u8>,
        /// The length of RES in bits, 32 to 128.
        res_bits: u16,
        /// Our ephemeral public key, if a group was agreed; its length is that of the group's
        /// keys.
        public_key: Option<Vec<u8>>,
    },
    /// AUTN is genuine, but its SQN is out of range; this is AUTS.
    SyncFailure([u8; 14]),
    /// AUTN or its separation bit is wrong.
    AutnRejected,
    /// AUTN is right and AT_MAC is wrong.
    MacInvalid,
    /// AUTN is right, and the server's ephemeral public key or the secret made with it is not
    /// valid.
    PublicKeyInvalid,
}

impl fmt::Debug for ChallengeAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChallengeAnswer::Success { .. } => "Success([redacted])",
            ChallengeAnswer::SyncFailure(_) => "SyncFailure",
            ChallengeAnswer::AutnRejected => "AutnRejected",
            ChallengeAnswer::MacInvalid => "MacInvalid",
            ChallengeAnswer::PublicKeyInvalid => "PublicKeyInvalid",
        })
    }
}

/// The result of the holder of the keys for a fast re-authentication.
#[derive(Debug, PartialEq, Eq)]
pub enum ReauthenticationAnswer {
    /// AT_MAC and the counter are right, and the counter is stored.
    Fresh {
        /// AT_NONCE_S, which is part of the Session-Id.
        nonce_s: [u8; 16],
    },
    /// AT_MAC is right, but the counter has been used before.
    CounterTooSmall,
    /// AT_MAC is wrong, the encrypted attributes are malformed, or there is no re-authentication
    /// context.
    Invalid,
}
