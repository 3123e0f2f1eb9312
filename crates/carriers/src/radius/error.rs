//! The errors of datagrams, received and to be sent.

use std::fmt;

use super::numbers::{AttributeType, Code};

/// Why a received datagram is invalid, or why one can't be built. A client ignores invalid
/// datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Fewer than the 20 octets of the header.
    TooShort {
        /// Octets received.
        octets: usize,
    },
    /// The length field is outside 20 to 4096, or beyond what was received.
    Length {
        /// The length field.
        claimed: usize,
        /// Octets received.
        received: usize,
    },
    /// The code isn't expected here.
    Code(u8),
    /// The length of an attribute is less than two octets, or more than are left.
    Truncated {
        /// The attribute.
        attribute: AttributeType,
        /// The attribute's length field.
        claimed: usize,
        /// Octets left.
        left: usize,
    },
    /// No request is waiting for an answer.
    NothingAsked,
    /// The answer belongs to another request.
    Identifier {
        /// The identifier of the outstanding request.
        expected: u8,
        /// The identifier of the answer.
        got: u8,
    },
    /// The packet doesn't have exactly one Message-Authenticator of 16 octets.
    NoMessageAuthenticator,
    /// The Message-Authenticator is wrong: the secrets differ, or the packet is forged.
    MessageAuthenticator,
    /// The Response Authenticator is wrong.
    ResponseAuthenticator,
    /// The packet must carry EAP and doesn't.
    NoEapMessage(Code),
    /// Other attributes stand between the EAP-Message attributes.
    ScatteredEap,
    /// An attribute isn't exactly one number of four octets.
    Number(AttributeType),
    /// The request has no User-Name (RFC 3579 §2.1), because no EAP-Response/Identity came first.
    NoUserName,
    /// An MS-MPPE key doesn't have 32 octets, or isn't encrypted as in RFC 2548 §2.4.2.
    MppeKey,
    /// An attribute to be sent is empty or longer than 253 octets.
    AttributeLength {
        /// The attribute.
        attribute: AttributeType,
        /// Octets of its value.
        octets: usize,
    },
    /// A packet to be sent is longer than 4096 octets.
    TooLong {
        /// Octets of the packet.
        octets: usize,
    },
    /// The shared secret is empty.
    EmptySecret,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::TooShort { octets } => {
                write!(f, "expected a RADIUS header of 20 octets, got {octets}")
            }
            Error::Length { claimed, received } => {
                write!(
                    f,
                    "expected a RADIUS length from 20 to 4096 within the {received} octets received, got {claimed}"
                )
            }
            Error::Code(code) => write!(
                f,
                "expected Access-Request, -Accept, -Reject or -Challenge in its place, got code {code}"
            ),
            Error::Truncated {
                attribute,
                claimed,
                left,
            } => {
                write!(
                    f,
                    "expected {attribute} to fit in the {left} octets left, got a length of {claimed}"
                )
            }
            Error::NothingAsked => write!(
                f,
                "expected no RADIUS answer, since no request is outstanding, got one"
            ),
            Error::Identifier { expected, got } => {
                write!(f, "expected the RADIUS answer {expected}, got {got}")
            }
            Error::NoMessageAuthenticator => write!(
                f,
                "expected one Message-Authenticator of 16 octets, got none or another"
            ),
            Error::MessageAuthenticator => write!(
                f,
                "expected a Message-Authenticator made with our secret, got another"
            ),
            Error::ResponseAuthenticator => write!(
                f,
                "expected a Response Authenticator made with our secret, got another"
            ),
            Error::NoEapMessage(code) => write!(f, "expected EAP-Message in {code:?}, got none"),
            Error::ScatteredEap => write!(
                f,
                "expected EAP-Message attributes that follow one another, got others between them"
            ),
            Error::Number(attribute) => {
                write!(
                    f,
                    "expected {attribute} once, with four octets, got another"
                )
            }
            Error::NoUserName => write!(f, "expected User-Name in AccessRequest, got none"),
            Error::MppeKey => write!(
                f,
                "expected encrypted MS-MPPE keys of 32 octets, got something else"
            ),
            Error::AttributeLength { attribute, octets } => {
                write!(
                    f,
                    "expected a value of 1 to 253 octets for {attribute}, got {octets}"
                )
            }
            Error::TooLong { octets } => write!(
                f,
                "expected a RADIUS packet of at most 4096 octets, got {octets}"
            ),
            Error::EmptySecret => write!(
                f,
                "expected a RADIUS secret of at least one octet, got none"
            ),
        }
    }
}

impl std::error::Error for Error {}
