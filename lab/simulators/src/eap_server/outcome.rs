//! The next step of a conversation, and how it ends.

use std::fmt;

use softsim_aka::agreement::Group;
use softsim_aka::{Emsk, KAusf, Msk};
use softsim_eap_packet::{AkaError, Notification, Subtype};
use softsim_eap_types::Method;

use crate::auc::AucError;

/// What to do after a response.
#[derive(Debug)]
pub enum Step {
    /// Send this request.
    Request(Vec<u8>),
    /// Send EAP-Success: the conversation is over, and the peer is authenticated.
    Success(Vec<u8>, Box<Session>),
    /// Send EAP-Failure: the conversation is over.
    Failure(Vec<u8>, Reason),
    /// Do nothing: the response isn't part of the conversation.
    Discard,
}

/// The result of a successful authentication.
#[derive(Debug)]
pub struct Session {
    /// The subscriber.
    pub imsi: String,
    /// The method.
    pub method: Method,
    /// The key for the link.
    pub msk: Msk,
    /// The key for further derivations.
    pub emsk: Emsk,
    /// The Session-Id (RFC 9048 §6), 33 octets.
    pub session_id: Vec<u8>,
    /// Whether it was a fast re-authentication.
    pub reauthenticated: bool,
    /// The group that gave forward secrecy.
    pub forward_secrecy: Option<Group>,
    /// The key that a 5G core anchors (TS 33.501 §6.1.3.1).
    pub k_ausf: Option<KAusf>,
}

/// Why an authentication failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No identity that the peer gave names a subscriber.
    UnknownIdentity,
    /// The peer wants no method that is on offer.
    Nak,
    /// Authentication-Reject: the peer found AUTN bad.
    AuthenticationReject,
    /// Client-Error with this code.
    ClientError(u16),
    /// The response breaks the rules of RFC 4187 §8.1.
    Malformed(AkaError),
    /// The response doesn't belong at this point of the conversation.
    OutOfPlace(Subtype),
    /// AT_MAC is missing or wrong.
    Mac,
    /// AT_RES is missing or wrong.
    Res,
    /// AT_CHECKCODE covers other identity messages than those that passed.
    Checkcode,
    /// The peer's choice in AT_KDF or AT_KDF_FS was not on offer, or the copied list was another.
    Kdf,
    /// AT_PUB_ECDHE is no public key of the agreed group.
    PublicKey,
    /// The peer goes without the forward secrecy that is required.
    ForwardSecrecy,
    /// AT_COUNTER is missing or another one than was sent.
    Counter,
    /// AUTS is missing or came again right after a resynchronisation.
    Resynchronisation,
    /// The peer is authentic, and refused with this notification.
    Denied(Notification),
    /// A hostile server has come to the end of its scenario.
    Played,
    /// The AuC has no vector, or did not believe AUTS.
    Auc(AucError),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownIdentity => {
                f.write_str("expected the identity of a subscriber, got none that is known")
            }
            Self::Nak => f.write_str("the peer refuses every method on offer"),
            Self::AuthenticationReject => f.write_str("the peer refuses AUTN"),
            Self::ClientError(code) => write!(f, "the peer reports Client-Error {code}"),
            Self::Malformed(error) => write!(f, "malformed response: {error}"),
            Self::OutOfPlace(subtype) => write!(f, "{subtype} has no place here"),
            Self::Mac => f.write_str("AT_MAC is missing or wrong"),
            Self::Res => f.write_str("AT_RES is missing or wrong"),
            Self::Checkcode => f.write_str("AT_CHECKCODE does not match the identity messages"),
            Self::Kdf => f.write_str("AT_KDF or AT_KDF_FS is not what was offered"),
            Self::PublicKey => f.write_str("AT_PUB_ECDHE is no public key of the agreed group"),
            Self::ForwardSecrecy => f.write_str("the peer goes without forward secrecy"),
            Self::Counter => f.write_str("AT_COUNTER is missing or not the one that was sent"),
            Self::Resynchronisation => {
                f.write_str("AT_AUTS is missing or resynchronisation did not help")
            }
            Self::Denied(notification) => write!(f, "refused with notification {notification}"),
            Self::Played => f.write_str("the scenario is over"),
            Self::Auc(error) => write!(f, "AuC: {error}"),
        }
    }
}

impl std::error::Error for Reason {}
