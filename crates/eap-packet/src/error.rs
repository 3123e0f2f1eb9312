//! The errors of packets, which say what was expected.

use crate::kind::Kind;

/// Why octets aren't an EAP packet (RFC 3748 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Fewer than the four octets of the header.
    #[error("expected an EAP header of 4 octets, got {octets}")]
    TooShort {
        /// Octets received.
        octets: usize,
    },
    /// The length field is below four or beyond what was received.
    #[error("expected an EAP length from 4 to the {received} octets received, got {claimed}")]
    Length {
        /// The length field.
        claimed: usize,
        /// Octets received.
        received: usize,
    },
    /// The code isn't 1 to 4.
    #[error("expected an EAP code from 1 to 4, got {0}")]
    Code(u8),
    /// A request or response has no type octet.
    #[error("expected a type in an EAP request or response, got none")]
    NoType,
    /// Success or Failure has octets after the header.
    #[error(
        "expected EAP-Success or EAP-Failure to end after its header, got {octets} octets more"
    )]
    DataInResult {
        /// Octets after the header.
        octets: usize,
    },
    /// A packet to be sent is longer than a 16-bit length field can express.
    #[error("expected an EAP packet of at most 65535 octets, got {octets}")]
    TooLong {
        /// Octets of the whole packet.
        octets: usize,
    },
}

/// Why a message of EAP-AKA or EAP-AKA' is malformed (RFC 4187 §6.3.1 and §8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AkaError {
    /// The packet isn't a request or response of type 23 or 50.
    #[error("expected a request or response of type 23 or 50")]
    NotAka,
    /// The type data ends before subtype and reserved octets.
    #[error("expected a subtype and two reserved octets, got {octets} octets")]
    NoSubtype {
        /// Octets of type data.
        octets: usize,
    },
    /// The packet ends inside an attribute.
    #[error("expected the {claimed} octets that {kind} claims, got {left}")]
    Truncated {
        /// The attribute.
        kind: Kind,
        /// The attribute's length in octets, as its length field says.
        claimed: usize,
        /// Octets left in the packet.
        left: usize,
    },
    /// An attribute has length zero, so it can't be skipped.
    #[error("expected a length of at least 4 octets in {kind}, got 0")]
    ZeroLength {
        /// The attribute.
        kind: Kind,
    },
    /// A non-skippable attribute (types 0 to 127) is unknown.
    #[error("expected only known non-skippable attributes, got {kind}")]
    NotSkippable {
        /// The attribute.
        kind: Kind,
    },
    /// An attribute that may occur only once occurs twice.
    #[error("expected {kind} once, got it twice")]
    Duplicate {
        /// The attribute.
        kind: Kind,
    },
    /// The length of an attribute doesn't fit its content.
    #[error("expected a length of {kind} that fits its content, got {octets} octets")]
    WrongLength {
        /// The attribute.
        kind: Kind,
        /// Octets of the whole attribute.
        octets: usize,
    },
    /// An attribute that belongs inside AT_ENCR_DATA is outside, or the reverse (§10.1).
    #[error("expected attributes that have their place here, got {kind}")]
    Misplaced {
        /// The attribute.
        kind: Kind,
    },
    /// AT_PADDING isn't zero (§10.12).
    #[error("expected AT_PADDING of zeros, got other octets")]
    PaddingNotZero,
    /// The bit length of AT_RES isn't 32 to 128 (§10.8).
    #[error("expected AT_RES of 32 to 128 bits, got {bits}")]
    ResBits {
        /// The bit length.
        bits: u16,
    },
    /// An attribute to be sent is longer than its length field can express.
    #[error("expected a value of {kind} that fits its length field, got {octets} octets")]
    TooLong {
        /// The attribute.
        kind: Kind,
        /// Octets of its value.
        octets: usize,
    },
    /// A packet to be sent is longer than a 16-bit length field can express.
    #[error("expected a message of at most 65535 octets, got {octets}")]
    MessageTooLong {
        /// Octets of the whole message.
        octets: usize,
    },
}
