//! The errors of datagrams, received and to be sent.

use super::numbers::{AttributeType, Code};

/// Why a received datagram is invalid, or why one can't be built. A client ignores invalid
/// datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Fewer than the 20 octets of the header.
    #[error("expected a RADIUS header of 20 octets, got {octets}")]
    TooShort {
        /// Octets received.
        octets: usize,
    },
    /// The length field is outside 20 to 4096, or beyond what was received.
    #[error(
        "expected a RADIUS length from 20 to 4096 within the {received} octets received, got {claimed}"
    )]
    Length {
        /// The length field.
        claimed: usize,
        /// Octets received.
        received: usize,
    },
    /// The code isn't expected here.
    #[error("expected Access-Request, -Accept, -Reject, -Challenge or Status-Server, got code {0}")]
    Code(u8),
    /// The length of an attribute is less than two octets, or more than are left.
    #[error("expected {attribute} to fit in the {left} octets left, got a length of {claimed}")]
    Truncated {
        /// The attribute.
        attribute: AttributeType,
        /// The attribute's length field.
        claimed: usize,
        /// Octets left.
        left: usize,
    },
    /// No request is waiting for an answer.
    #[error("expected no RADIUS answer, since no request is outstanding, got one")]
    NothingAsked,
    /// The answer belongs to another request.
    #[error("expected the RADIUS answer {expected}, got {got}")]
    Identifier {
        /// The identifier of the outstanding request.
        expected: u8,
        /// The identifier of the answer.
        got: u8,
    },
    /// The answer to an earlier request has come again.
    #[error("expected an answer to the latest request, got {0} to the one before again")]
    Again(Code),
    /// The packet doesn't have exactly one Message-Authenticator of 16 octets.
    #[error("expected one Message-Authenticator of 16 octets in {0}, got none or another")]
    NoMessageAuthenticator(Code),
    /// The Message-Authenticator is wrong: the secrets differ, or the packet is forged.
    #[error(
        "expected a Message-Authenticator made with our secret, got another: the shared secret \
         probably differs"
    )]
    MessageAuthenticator,
    /// The Response Authenticator is wrong.
    #[error(
        "expected a Response Authenticator made with our secret, got another: the shared secret \
         probably differs"
    )]
    ResponseAuthenticator,
    /// The packet must carry EAP and doesn't.
    #[error("expected EAP-Message in {0}, got none")]
    NoEapMessage(Code),
    /// Other attributes stand between the EAP-Message attributes.
    #[error("expected EAP-Message attributes that follow one another, got others between them")]
    ScatteredEap,
    /// An attribute isn't a number of four octets.
    #[error("expected {0} with four octets, got another length")]
    Number(AttributeType),
    /// The request has no User-Name (RFC 3579 §2.1), because no EAP-Response/Identity came first.
    #[error("expected User-Name in Access-Request, got none")]
    NoUserName,
    /// An MS-MPPE key doesn't have 32 octets, or isn't encrypted as in RFC 2548 §2.4.2.
    #[error("expected encrypted MS-MPPE keys of 32 octets, got something else")]
    MppeKey,
    /// An attribute to be sent is empty or longer than 253 octets.
    #[error("expected a value of 1 to 253 octets for {attribute}, got {octets}")]
    AttributeLength {
        /// The attribute.
        attribute: AttributeType,
        /// Octets of its value.
        octets: usize,
    },
    /// A packet to be sent is longer than 4096 octets.
    #[error("expected a RADIUS packet of at most 4096 octets, got {octets}")]
    TooLong {
        /// Octets of the packet.
        octets: usize,
    },
    /// The shared secret is empty.
    #[error("expected a RADIUS secret of at least one octet, got none")]
    EmptySecret,
}
