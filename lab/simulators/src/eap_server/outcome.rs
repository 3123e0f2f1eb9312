//! The next step of a conversation, and how it ends.

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No identity that the peer gave names a subscriber.
    #[error("expected the identity of a subscriber, got none that is known")]
    UnknownIdentity,
    /// The peer wants no method that is on offer.
    #[error("the peer refuses every method on offer")]
    Nak,
    /// Authentication-Reject: the peer found AUTN bad.
    #[error("the peer refuses AUTN")]
    AuthenticationReject,
    /// Client-Error with this code.
    #[error("the peer reports Client-Error {0}")]
    ClientError(u16),
    /// The response breaks the rules of RFC 4187 §8.1.
    #[error("malformed response: {0}")]
    Malformed(#[source] AkaError),
    /// The response doesn't belong at this point of the conversation.
    #[error("{0} has no place here")]
    OutOfPlace(Subtype),
    /// AT_MAC is missing or wrong.
    #[error("AT_MAC is missing or wrong")]
    Mac,
    /// AT_RES is missing or wrong.
    #[error("AT_RES is missing or wrong")]
    Res,
    /// AT_CHECKCODE covers other identity messages than those that passed.
    #[error("AT_CHECKCODE does not match the identity messages")]
    Checkcode,
    /// The peer's choice in AT_KDF or AT_KDF_FS was not on offer, or the copied list was another.
    #[error("AT_KDF or AT_KDF_FS is not what was offered")]
    Kdf,
    /// AT_PUB_ECDHE is no public key of the agreed group.
    #[error("AT_PUB_ECDHE is no public key of the agreed group")]
    PublicKey,
    /// The peer goes without the forward secrecy that is required.
    #[error("the peer goes without forward secrecy")]
    ForwardSecrecy,
    /// AT_COUNTER is missing or another one than was sent.
    #[error("AT_COUNTER is missing or not the one that was sent")]
    Counter,
    /// AUTS is missing or came again right after a resynchronisation.
    #[error("AT_AUTS is missing or resynchronisation did not help")]
    Resynchronisation,
    /// The peer is authentic, and refused with this notification.
    #[error("refused with notification {0}")]
    Denied(Notification),
    /// A hostile server has come to the end of its scenario.
    #[error("the scenario is over")]
    ScenarioOver,
    /// The AuC has no vector, or did not believe AUTS.
    #[error("AuC: {0}")]
    Auc(#[source] AucError),
}
