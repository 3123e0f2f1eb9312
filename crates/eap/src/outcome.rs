//! How a conversation ends, and whose fault it was.

use std::fmt;

use softsim_eap_types::Method;

use crate::packet::{AkaError, Kind, Notification, Subtype};

/// The end of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// EAP-Success, after a challenge or a re-authentication that was verified.
    Success(Success),
    /// Anything else.
    Failure(Reason),
}

/// What two sides that trust each other have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Success {
    /// The method.
    pub method: Method,
    /// The Session-Id (RFC 5247 §1.4): no secret, and the server has the same.
    pub session_id: [u8; 33],
    /// Whether this was a fast re-authentication.
    pub reauthenticated: bool,
    /// Whether an ephemeral key exchange took part (RFC 9678). A fast re-authentication continues
    /// what was, and says false.
    pub forward_secrecy: bool,
}

impl Success {
    /// The Session-Id: the method's type, then RAND and AUTN, or NONCE_S and the server's AT_MAC
    /// (RFC 9048 §6, for EAP-AKA RFC 8940 §2.1).
    pub(crate) fn session_id(method: Method, first: &[u8; 16], second: &[u8; 16]) -> [u8; 33] {
        let mut id = [method.number(); 33];
        id[1..17].copy_from_slice(first);
        id[17..].copy_from_slice(second);
        id
    }
}

/// Why there is no success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The server, which had proved itself, refused with EAP-Failure.
    Rejected,
    /// The server announced the failure.
    Notified(Notification),
    /// We rejected the network with AKA-Authentication-Reject.
    AuthenticationReject(AuthenticationReject),
    /// We could not process a request and sent Client-Error.
    Unprocessable(Unprocessable),
    /// The server offered a method that we do not have, and nothing else after our Nak.
    NoCommonMethod {
        /// The EAP type it offered.
        offered: u8,
    },
    /// The carrier ended the exchange: the RADIUS server rejected or did not answer, the link went
    /// down.
    Carrier,
}

/// Why the peer sent AKA-Authentication-Reject: each cause counts as a wrong AUTN (RFC 4187
/// §6.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthenticationReject {
    /// The SIM refused AUTN: MAC-A or the AMF separation bit.
    Autn,
    /// No AT_KDF (RFC 9048 §3.3).
    NoKdf,
    /// A value stands twice among AT_KDF (§3.2).
    DuplicateKdf,
    /// None of the functions in AT_KDF is ours.
    UnsupportedKdf,
    /// AT_KDF_INPUT is missing or empty (§3.1).
    NoNetworkName,
    /// AT_KDF_INPUT names another network than the one we are on.
    NetworkName,
    /// AT_BIDDING says that the server would rather have used EAP-AKA', and so would we: somebody
    /// bade us down (§4).
    BidDown,
    /// A value stands twice among AT_KDF_FS (RFC 9678 §6.2).
    DuplicateKdfFs,
    /// Forward secrecy is required, and not offered, or not with a group of ours.
    NoForwardSecrecy,
}

/// Why a request is answered with Client-Error 0, "unable to process packet" (RFC 4187 §6.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unprocessable {
    /// The message is malformed.
    Malformed(AkaError),
    /// A required attribute is missing.
    Missing(Kind),
    /// A subtype that has no place in a request, or none here.
    Subtype(Subtype),
    /// Not exactly one kind of identity is asked for (§9.1).
    IdentityRequests {
        /// How many are.
        asked: usize,
    },
    /// An identity request out of order (§4.1.5).
    IdentityOrder,
    /// The list of AT_KDF is not the earlier one with our choice in front (RFC 9048 §3.2).
    KdfListChanged,
    /// The list of AT_KDF_FS is not the earlier one with our choice in front (RFC 9678 §6.2).
    KdfFsListChanged,
    /// The server's ephemeral public key is not valid: the authentication may start again (RFC 9678
    /// §6.3).
    PublicKey,
    /// The identity that is asked for is not given to this network (RFC 4187 §4.1.6).
    IdentityWithheld,
    /// The server never asked who we are, so that there is no identity to derive keys for.
    NoIdentity,
    /// An attribute that must be understood and has no place in this message.
    Misplaced(Kind),
    /// AT_CHECKCODE does not fit the identity rounds (RFC 4187 §10.13).
    Checkcode,
    /// More challenges than one conversation needs.
    TooManyChallenges,
    /// AT_MAC is wrong.
    Mac,
    /// A notification whose S, P and AT_MAC do not fit each other or the exchange (RFC 4187 §6.1).
    NotificationPhase(Notification),
    /// A second notification round.
    SecondNotification(Notification),
    /// The SIM could not be asked, or its answer does not fit AT_RES.
    Sim,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Success(success) => success.fmt(f),
            Outcome::Failure(reason) => write!(f, "failure: {reason}"),
        }
    }
}

impl fmt::Display for Success {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "success with {}", self.method)?;
        if self.reauthenticated {
            write!(f, ", fast re-authentication")?;
        }
        if self.forward_secrecy {
            write!(f, ", forward secrecy")?;
        }
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Rejected => write!(f, "the server refused our answer to the challenge"),
            Reason::Notified(code) => write!(f, "the server notified {code}"),
            Reason::AuthenticationReject(why) => write!(f, "the network is not trusted: {why}"),
            Reason::Unprocessable(why) => write!(f, "a request could not be processed: {why}"),
            Reason::NoCommonMethod { offered } => write!(
                f,
                "expected a method that is allowed here, the server offered type {offered}"
            ),
            Reason::Carrier => write!(f, "the carrier ended the exchange before EAP did"),
        }
    }
}

impl fmt::Display for AuthenticationReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AuthenticationReject::Autn => "the SIM refused AUTN",
            AuthenticationReject::NoKdf => "expected AT_KDF, got none",
            AuthenticationReject::DuplicateKdf => {
                "expected different values of AT_KDF, got one twice"
            }
            AuthenticationReject::UnsupportedKdf => "expected AT_KDF 1 on offer, got others only",
            AuthenticationReject::NoNetworkName => {
                "expected a network name in AT_KDF_INPUT, got none"
            }
            AuthenticationReject::NetworkName => {
                "AT_KDF_INPUT names another network than the one we are on"
            }
            AuthenticationReject::BidDown => {
                "expected EAP-AKA', which both sides prefer, got EAP-AKA"
            }
            AuthenticationReject::DuplicateKdfFs => {
                "expected different values of AT_KDF_FS, got one twice"
            }
            AuthenticationReject::NoForwardSecrecy => {
                "expected an offer of forward secrecy, got none of ours"
            }
        })
    }
}

impl fmt::Display for Unprocessable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unprocessable::Malformed(error) => error.fmt(f),
            Unprocessable::Missing(kind) => write!(f, "expected {kind}, got none"),
            Unprocessable::Subtype(subtype) => {
                write!(f, "expected another request here, got {subtype}")
            }
            Unprocessable::IdentityRequests { asked } => write!(
                f,
                "expected one kind of identity to be asked for, got {asked}"
            ),
            Unprocessable::IdentityOrder => write!(
                f,
                "expected identity requests in the order any, full, permanent, got another"
            ),
            Unprocessable::KdfListChanged => {
                write!(f, "expected the earlier list of AT_KDF, got another")
            }
            Unprocessable::KdfFsListChanged => {
                write!(f, "expected the earlier list of AT_KDF_FS, got another")
            }
            Unprocessable::PublicKey => {
                write!(
                    f,
                    "expected a valid public key in AT_PUB_ECDHE, got another"
                )
            }
            Unprocessable::IdentityWithheld => {
                write!(f, "the identity asked for is not given to this network")
            }
            Unprocessable::NoIdentity => {
                write!(
                    f,
                    "expected to be asked for an identity first, got a challenge"
                )
            }
            Unprocessable::Misplaced(kind) => {
                write!(f, "expected attributes of this message, got {kind}")
            }
            Unprocessable::Checkcode => write!(
                f,
                "expected AT_CHECKCODE over the identity rounds as we saw them, got another"
            ),
            Unprocessable::TooManyChallenges => {
                write!(f, "expected at most four challenges, got another")
            }
            Unprocessable::Mac => write!(f, "expected AT_MAC made with our key, got another"),
            Unprocessable::NotificationPhase(code) => {
                write!(f, "notification {code} is not allowed here as it came")
            }
            Unprocessable::SecondNotification(code) => {
                write!(f, "expected one notification round, got another: {code}")
            }
            Unprocessable::Sim => write!(f, "the SIM gave no usable answer"),
        }
    }
}
