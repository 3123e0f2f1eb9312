//! How a conversation ended and, if it failed, whose fault it was.

use std::fmt;

use softsim_eap_packet::{AkaError, Kind, Notification, Subtype};
use softsim_eap_types::Method;

/// The end of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// EAP-Success, after a challenge or a re-authentication that was verified.
    Success(Success),
    /// Anything else.
    Failure(Reason),
}

/// What the two sides agreed on after they authenticated each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Success {
    /// The method.
    pub method: Method,
    /// The Session-Id (RFC 5247 §1.4). It is no secret, and the server computes the same.
    pub session_id: [u8; 33],
    /// Whether this was a fast re-authentication.
    pub reauthenticated: bool,
    /// Whether this authentication used an ephemeral key exchange (RFC 9678). It is false after a
    /// fast re-authentication, which continues the earlier keys.
    pub forward_secrecy: bool,
}

impl Success {
    /// Builds the Session-Id: the method's type, then RAND and AUTN, or NONCE_S and the server's
    /// AT_MAC (RFC 9048 §6; for EAP-AKA, RFC 8940 §2.1).
    pub(crate) fn session_id(method: Method, first: &[u8; 16], second: &[u8; 16]) -> [u8; 33] {
        let mut id = [method.number(); 33];
        id[1..17].copy_from_slice(first);
        id[17..].copy_from_slice(second);
        id
    }
}

/// Why a conversation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The server had proved itself, but then refused us with EAP-Failure.
    Rejected,
    /// The server announced the failure in a notification.
    Notified(Notification),
    /// We rejected the network with AKA-Authentication-Reject.
    AuthenticationReject(AuthenticationReject),
    /// We could not process a request and sent Client-Error.
    Unprocessable(Unprocessable),
    /// The server offered a method that we don't support, and no other method after our Nak.
    NoCommonMethod {
        /// The EAP type it offered.
        offered: u8,
    },
    /// The carrier ended the exchange: the RADIUS server rejected us or didn't answer, or the link
    /// went down.
    Carrier,
}

/// Why the peer sent AKA-Authentication-Reject: each cause counts as a wrong AUTN (RFC 4187
/// §6.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthenticationReject {
    /// The SIM refused AUTN: MAC-A or the AMF separation bit.
    Autn,
    /// The challenge has no AT_KDF (RFC 9048 §3.3).
    NoKdf,
    /// AT_KDF has the same value twice (§3.2).
    DuplicateKdf,
    /// AT_KDF offers no function that we support.
    UnsupportedKdf,
    /// AT_KDF_INPUT is missing or empty (§3.1).
    NoNetworkName,
    /// AT_KDF_INPUT names another network than the one we are on.
    NetworkName,
    /// AT_BIDDING says that the server prefers EAP-AKA', and we do, too: somebody has bid us down
    /// (§4).
    BidDown,
    /// AT_KDF_FS has the same value twice (RFC 9678 §6.2).
    DuplicateKdfFs,
    /// We require forward secrecy, but the server didn't offer it, or with none of our groups.
    NoForwardSecrecy,
}

/// Why the peer answered with Client-Error 0, "unable to process packet" (RFC 4187 §6.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unprocessable {
    /// The message is malformed.
    Malformed(AkaError),
    /// A required attribute is missing.
    Missing(Kind),
    /// The subtype doesn't belong in a request, or not at this point.
    Subtype(Subtype),
    /// The request doesn't ask for exactly one kind of identity (§9.1).
    IdentityRequests {
        /// For how many kinds it asks.
        asked: usize,
    },
    /// The identity request is out of order (§4.1.5).
    IdentityOrder,
    /// The list of AT_KDF isn't the earlier one with our choice in front (RFC 9048 §3.2).
    KdfListChanged,
    /// The list of AT_KDF_FS isn't the earlier one with our choice in front (RFC 9678 §6.2).
    KdfFsListChanged,
    /// The server's ephemeral public key is invalid. The authentication may start again (RFC 9678
    /// §6.3).
    PublicKey,
    /// The holder of the SIM doesn't show the requested identity to this network (RFC 4187 §4.1.6).
    IdentityWithheld,
    /// The server never asked for our identity, so there is none to derive keys for.
    NoIdentity,
    /// The message has a non-skippable attribute that doesn't belong in it.
    Misplaced(Kind),
    /// AT_CHECKCODE does not fit the identity rounds (RFC 4187 §10.13).
    Checkcode,
    /// The server sent more challenges than one conversation needs.
    TooManyChallenges,
    /// AT_MAC is wrong.
    Mac,
    /// The notification's S bit, P bit and AT_MAC don't fit each other, or don't fit the exchange
    /// (RFC 4187 §6.1).
    NotificationPhase(Notification),
    /// The server sent a second notification.
    SecondNotification(Notification),
    /// The SIM wasn't available, or its answer doesn't fit AT_RES.
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
                write!(
                    f,
                    "expected an attribute that belongs in this message, got {kind}"
                )
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
                write!(f, "notification {code} is not allowed at this point")
            }
            Unprocessable::SecondNotification(code) => {
                write!(f, "expected one notification round, got another: {code}")
            }
            Unprocessable::Sim => write!(f, "the SIM gave no usable answer"),
        }
    }
}
