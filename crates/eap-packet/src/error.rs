//! The errors of packets, which say what was expected.

use core::fmt;

use crate::kind::Kind;

/// Why octets aren't an EAP packet (RFC 3748 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketError {
    /// Fewer than the four octets of the header.
    TooShort {
        /// Octets received.
        octets: usize,
    },
    /// The length field is below four or beyond what was received.
    Length {
        /// The length field.
        claimed: usize,
        /// Octets received.
        received: usize,
    },
    /// The code isn't 1 to 4.
    Code(u8),
    /// A request or response has no type octet.
    NoType,
    /// Success or Failure has octets after the header.
    DataInResult {
        /// Octets after the header.
        octets: usize,
    },
    /// A packet to be sent is longer than a 16-bit length field can express.
    TooLong {
        /// Octets of the whole packet.
        octets: usize,
    },
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PacketError::TooShort { octets } => {
                write!(f, "expected an EAP header of 4 octets, got {octets}")
            }
            PacketError::Length { claimed, received } => {
                write!(
                    f,
                    "expected an EAP length from 4 to the {received} octets received, got {claimed}"
                )
            }
            PacketError::Code(code) => write!(f, "expected an EAP code from 1 to 4, got {code}"),
            PacketError::NoType => {
                write!(f, "expected a type in an EAP request or response, got none")
            }
            PacketError::DataInResult { octets } => {
                write!(
                    f,
                    "expected EAP-Success or EAP-Failure to end after its header, got {octets} octets more"
                )
            }
            PacketError::TooLong { octets } => write!(
                f,
                "expected an EAP packet of at most 65535 octets, got {octets}"
            ),
        }
    }
}

impl core::error::Error for PacketError {}

/// Why a message of EAP-AKA or EAP-AKA' is malformed (RFC 4187 §6.3.1 and §8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AkaError {
    /// The packet isn't a request or response of type 23 or 50.
    NotAka,
    /// The type data ends before subtype and reserved octets.
    NoSubtype {
        /// Octets of type data.
        octets: usize,
    },
    /// The packet ends inside an attribute.
    Truncated {
        /// The attribute.
        kind: Kind,
        /// The attribute's length in octets, as its length field says.
        claimed: usize,
        /// Octets left in the packet.
        left: usize,
    },
    /// An attribute has length zero, so it can't be skipped.
    ZeroLength {
        /// The attribute.
        kind: Kind,
    },
    /// A non-skippable attribute (types 0 to 127) is unknown.
    NotSkippable {
        /// The attribute.
        kind: Kind,
    },
    /// An attribute that may occur only once occurs twice.
    Duplicate {
        /// The attribute.
        kind: Kind,
    },
    /// The length of an attribute doesn't fit its content.
    WrongLength {
        /// The attribute.
        kind: Kind,
        /// Octets of the whole attribute.
        octets: usize,
    },
    /// An attribute that belongs inside AT_ENCR_DATA is outside, or the reverse (§10.1).
    Misplaced {
        /// The attribute.
        kind: Kind,
    },
    /// AT_PADDING isn't zero (§10.12).
    PaddingNotZero,
    /// The bit length of AT_RES isn't 32 to 128 (§10.8).
    ResBits {
        /// The bit length.
        bits: u16,
    },
    /// An attribute to be sent is longer than its length field can express.
    TooLong {
        /// The attribute.
        kind: Kind,
        /// Octets of its value.
        octets: usize,
    },
    /// A packet to be sent is longer than a 16-bit length field can express.
    MessageTooLong {
        /// Octets of the whole message.
        octets: usize,
    },
}

impl fmt::Display for AkaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AkaError::NotAka => write!(f, "expected a request or response of type 23 or 50"),
            AkaError::NoSubtype { octets } => write!(
                f,
                "expected a subtype and two reserved octets, got {octets} octets"
            ),
            AkaError::Truncated {
                kind,
                claimed,
                left,
            } => {
                write!(
                    f,
                    "expected the {claimed} octets that {kind} claims, got {left}"
                )
            }
            AkaError::ZeroLength { kind } => {
                write!(f, "expected a length of at least 4 octets in {kind}, got 0")
            }
            AkaError::NotSkippable { kind } => write!(
                f,
                "expected only known non-skippable attributes, got {kind}"
            ),
            AkaError::Duplicate { kind } => write!(f, "expected {kind} once, got it twice"),
            AkaError::WrongLength { kind, octets } => {
                write!(
                    f,
                    "expected a length of {kind} that fits its content, got {octets} octets"
                )
            }
            AkaError::Misplaced { kind } => {
                write!(
                    f,
                    "expected attributes that have their place here, got {kind}"
                )
            }
            AkaError::PaddingNotZero => write!(f, "expected AT_PADDING of zeros, got other octets"),
            AkaError::ResBits { bits } => {
                write!(f, "expected AT_RES of 32 to 128 bits, got {bits}")
            }
            AkaError::MessageTooLong { octets } => {
                write!(
                    f,
                    "expected a message of at most 65535 octets, got {octets}"
                )
            }
            AkaError::TooLong { kind, octets } => write!(
                f,
                "expected a value of {kind} that fits its length field, got {octets} octets"
            ),
        }
    }
}

impl core::error::Error for AkaError {}
