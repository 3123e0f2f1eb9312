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
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The server had proved itself, but then refused us with EAP-Failure.
    #[error("the server refused our answer to the {}", match reauthentication {
        true => "re-authentication",
        false => "challenge",
    })]
    Rejected {
        /// Whether it had proved itself in a fast re-authentication, and not in a challenge.
        reauthentication: bool,
    },
    /// The server announced the failure in a notification.
    #[error("the server notified {0}")]
    Notified(Notification),
    /// We rejected the network with AKA-Authentication-Reject.
    #[error("the network was rejected: {0}")]
    AuthenticationReject(AuthenticationReject),
    /// We could not process a request and sent Client-Error.
    #[error("a request could not be processed: {0}")]
    Unprocessable(Unprocessable),
    /// The server offered a method that we don't support, and no other method after our Nak.
    #[error("the server offered EAP method {offered}, which is not enabled")]
    NoCommonMethod {
        /// The EAP type it offered.
        offered: u8,
    },
    /// The carrier ended the exchange: the RADIUS server rejected us or didn't answer, or the link
    /// went down.
    #[error("the carrier ended the exchange before EAP did")]
    Carrier,
}

/// Why the peer sent AKA-Authentication-Reject: each cause counts as a wrong AUTN (RFC 4187
/// §6.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationReject {
    /// The SIM refused AUTN: MAC-A or the AMF separation bit.
    #[error("the SIM refused AUTN")]
    Autn,
    /// The challenge has no AT_KDF (RFC 9048 §3.3).
    #[error("expected AT_KDF, got none")]
    NoKdf,
    /// AT_KDF has the same value twice (§3.2).
    #[error("expected different values of AT_KDF, got one twice")]
    DuplicateKdf,
    /// AT_KDF offers no function that we support.
    #[error("expected AT_KDF 1 on offer, got others only")]
    UnsupportedKdf,
    /// AT_KDF_INPUT is missing or empty (§3.1).
    #[error("expected a network name in AT_KDF_INPUT, got none")]
    NoNetworkName,
    /// AT_KDF_INPUT names another network than the one we are on.
    #[error("AT_KDF_INPUT names another network than the one we are on")]
    NetworkName,
    /// AT_BIDDING says that the server prefers EAP-AKA', and we do, too: somebody has bid us down
    /// (§4).
    #[error("expected EAP-AKA', which both sides prefer, got EAP-AKA")]
    BidDown,
    /// AT_KDF_FS has the same value twice (RFC 9678 §6.2).
    #[error("expected different values of AT_KDF_FS, got one twice")]
    DuplicateKdfFs,
    /// We require forward secrecy, but the server didn't offer it, or with none of our groups.
    #[error("expected an offer of forward secrecy, got none of ours")]
    NoForwardSecrecy,
}

/// Why the peer answered with Client-Error 0, "unable to process packet" (RFC 4187 §6.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unprocessable {
    /// The message is malformed.
    #[error(transparent)]
    Malformed(AkaError),
    /// A required attribute is missing.
    #[error("expected {0}, got none")]
    Missing(Kind),
    /// The subtype doesn't belong in a request, or not at this point.
    #[error("expected another request here, got {0}")]
    Subtype(Subtype),
    /// The request doesn't ask for exactly one kind of identity (§9.1).
    #[error("expected one kind of identity to be asked for, got {asked}")]
    IdentityRequests {
        /// For how many kinds it asks.
        asked: usize,
    },
    /// The identity request is out of order (§4.1.5).
    #[error("expected identity requests in the order any, full, permanent, got another")]
    IdentityOrder,
    /// The list of AT_KDF isn't the earlier one with our choice in front (RFC 9048 §3.2).
    #[error("expected the earlier list of AT_KDF, got another")]
    KdfListChanged,
    /// The list of AT_KDF_FS isn't the earlier one with our choice in front (RFC 9678 §6.2).
    #[error("expected the earlier list of AT_KDF_FS, got another")]
    KdfFsListChanged,
    /// The server's ephemeral public key is invalid. The authentication may start again (RFC 9678
    /// §6.3).
    #[error("expected a valid public key in AT_PUB_ECDHE, got another")]
    PublicKey,
    /// The holder of the SIM doesn't show the requested identity to this network (RFC 4187 §4.1.6).
    #[error("the identity asked for is not given to this network")]
    IdentityWithheld,
    /// The server never asked for our identity, so there is none to derive keys for.
    #[error("expected to be asked for an identity first, got a challenge")]
    NoIdentity,
    /// The message has a non-skippable attribute that doesn't belong in it.
    #[error("expected an attribute that belongs in this message, got {0}")]
    Misplaced(Kind),
    /// AT_CHECKCODE does not fit the identity rounds (RFC 4187 §10.13).
    #[error("expected AT_CHECKCODE over the identity rounds as we saw them, got another")]
    Checkcode,
    /// The server sent more challenges than one conversation needs.
    #[error("expected at most four challenges, got another")]
    TooManyChallenges,
    /// AT_MAC is wrong.
    #[error("expected AT_MAC made with our key, got another")]
    Mac,
    /// The notification's S bit, P bit and AT_MAC don't fit each other, or don't fit the exchange
    /// (RFC 4187 §6.1).
    #[error("notification {0} is not allowed at this point")]
    NotificationPhase(Notification),
    /// The server sent a second notification.
    #[error("expected one notification round, got another: {0}")]
    SecondNotification(Notification),
    /// The SIM wasn't available, or its answer doesn't fit AT_RES.
    #[error("the SIM gave no usable answer")]
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
