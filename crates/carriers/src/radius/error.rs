//! What can be wrong with a datagram or with what is to be sent.

use std::fmt;

use super::numbers::{AttributeType, Code};

/// Why a datagram is not believed, or can't be built. A received datagram with an error is ignored,
/// as if it had not come.
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
    /// A code that has no place here.
    Code(u8),
    /// An attribute that claims fewer than two octets, or more than are left.
    Truncated {
        /// The attribute.
        attribute: AttributeType,
        /// Octets it claims.
        claimed: usize,
        /// Octets left.
        left: usize,
    },
    /// No request is waiting for an answer.
    NothingAsked,
    /// An answer to another request.
    Identifier {
        /// The identifier of the request under way.
        expected: u8,
        /// The identifier that came.
        got: u8,
    },
    /// Not exactly one Message-Authenticator of 16 octets.
    NoMessageAuthenticator,
    /// The Message-Authenticator does not fit: another secret, or a forgery.
    MessageAuthenticator,
    /// The Response Authenticator does not fit.
    ResponseAuthenticator,
    /// The packet must carry EAP and doesn't.
    NoEapMessage(Code),
    /// EAP-Message attributes with others between them.
    ScatteredEap,
    /// An attribute that is not one number of four octets.
    Number(AttributeType),
    /// A request without User-Name (RFC 3579 §2.1): EAP-Response/Identity comes first.
    NoUserName,
    /// An MS-MPPE key that is not 32 octets, encrypted as RFC 2548 §2.4.2 says.
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
                "expected no RADIUS answer, since nothing was asked, got one"
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
