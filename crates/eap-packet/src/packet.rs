//! EAP packets (RFC 3748 §4), whatever their method.

use alloc::vec::Vec;

use softsim_eap_types::Method;

use crate::error::PacketError;

/// Octets of the EAP header: code, identifier, length.
pub(crate) const HEADER: usize = 4;

/// The code of an EAP packet (RFC 3748 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// 1, from the server.
    Request,
    /// 2, from the peer.
    Response,
    /// 3, from the server: access granted.
    Success,
    /// 4, from the server: access refused.
    Failure,
}

impl Code {
    /// The octet on the wire.
    pub fn octet(self) -> u8 {
        match self {
            Code::Request => 1,
            Code::Response => 2,
            Code::Success => 3,
            Code::Failure => 4,
        }
    }
}

/// The type of an EAP request or response (RFC 3748 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// 1: who are you?
    Identity,
    /// 2: a text to display.
    Notification,
    /// 3: response only, asks for another method.
    Nak,
    /// 23: EAP-AKA (RFC 4187).
    Aka,
    /// 50: EAP-AKA' (RFC 9048).
    AkaPrime,
    /// Any other type.
    Other(u8),
}

impl Type {
    /// The octet on the wire.
    pub fn octet(self) -> u8 {
        match self {
            Type::Identity => 1,
            Type::Notification => 2,
            Type::Nak => 3,
            Type::Aka => 23,
            Type::AkaPrime => 50,
            Type::Other(octet) => octet,
        }
    }
}

impl From<Method> for Type {
    fn from(method: Method) -> Self {
        match method {
            Method::Aka => Type::Aka,
            Method::AkaPrime => Type::AkaPrime,
        }
    }
}

impl From<u8> for Type {
    fn from(octet: u8) -> Self {
        match octet {
            1 => Type::Identity,
            2 => Type::Notification,
            3 => Type::Nak,
            23 => Type::Aka,
            50 => Type::AkaPrime,
            other => Type::Other(other),
        }
    }
}

/// One EAP packet, borrowed from what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What the packet is.
    pub code: Code,
    /// Pairs a response with its request.
    pub identifier: u8,
    /// The type and its data; `None` for Success and Failure, always there for Request and
    /// Response.
    pub typed: Option<(Type, &'a [u8])>,
    bytes: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads one packet. Octets after the packet's own length are padding of the link and are
    /// ignored (RFC 3748 §4.1).
    ///
    /// # Errors
    /// [`PacketError`] says which rule of RFC 3748 §4 the octets break; such a packet is
    /// discarded silently.
    pub fn parse(received: &'a [u8]) -> Result<Self, PacketError> {
        let &[code, identifier, high, low, ..] = received else {
            return Err(PacketError::TooShort {
                octets: received.len(),
            });
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let bytes = received
            .get(..length)
            .filter(|bytes| bytes.len() >= HEADER)
            .ok_or(PacketError::Length {
                claimed: length,
                received: received.len(),
            })?;
        let code = match code {
            1 => Code::Request,
            2 => Code::Response,
            3 => Code::Success,
            4 => Code::Failure,
            other => return Err(PacketError::Code(other)),
        };
        let typed = match (code, &bytes[HEADER..]) {
            (Code::Request | Code::Response, [kind, data @ ..]) => Some((Type::from(*kind), data)),
            (Code::Request | Code::Response, []) => return Err(PacketError::NoType),
            (Code::Success | Code::Failure, []) => None,
            (Code::Success | Code::Failure, data) => {
                return Err(PacketError::DataInResult { octets: data.len() });
            }
        };
        Ok(Packet {
            code,
            identifier,
            typed,
            bytes,
        })
    }

    /// The packet as received, without the link's padding.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// A request or response of a type without structure: Identity, Notification, Nak.
///
/// # Errors
/// [`PacketError::TooLong`] when `data` does not fit the 16-bit length.
pub fn typed(code: Code, identifier: u8, kind: Type, data: &[u8]) -> Result<Vec<u8>, PacketError> {
    let octets = HEADER + 1 + data.len();
    let length = u16::try_from(octets).map_err(|_| PacketError::TooLong { octets })?;
    let mut bytes = Vec::with_capacity(octets);
    bytes.extend([code.octet(), identifier]);
    bytes.extend(length.to_be_bytes());
    bytes.push(kind.octet());
    bytes.extend(data);
    Ok(bytes)
}

/// EAP-Success.
pub fn success(identifier: u8) -> [u8; HEADER] {
    [Code::Success.octet(), identifier, 0, 4]
}

/// EAP-Failure.
pub fn failure(identifier: u8) -> [u8; HEADER] {
    [Code::Failure.octet(), identifier, 0, 4]
}
