//! The protocol between netd and its names helper. A request and an answer are one datagram each,
//! with integers in big-endian order.
//!
//! ```text
//!   request:  id (4)  name (1 to 253)
//!   answer:   id (4)  'a'  addresses (1 to 16), each 4, octets (4) or 6, octets (16), scope (4)
//!             id (4)  'f'  reason (1 to 200)
//! ```
//!
//! First of all, the helper sends [`READY`]. If it can't serve, it sends the reason as the answer
//! to request 0, which netd never makes. A look-up answers the helper in the same format, with the
//! id of its request.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// The helper serves.
pub const READY: &[u8] = b"ready";

/// The longest datagram.
pub const MAX: usize = 512;

/// How many addresses of a name netd tries.
const MAX_ADDRESSES: usize = 16;

/// The longest reason, in octets.
const MAX_REASON: usize = 200;

/// A host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Accepts 1 to 253 letters, digits, dots, hyphens and underscores (RFC 1035 §2.3.4, without
    /// the dot of the root).
    pub fn new(name: &str) -> Option<Self> {
        let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"._-".contains(&octet);
        ((1..=253).contains(&name.len()) && name.bytes().all(plain)).then(|| Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A request of netd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The id, which the answer repeats.
    pub id: u32,
    /// The name.
    pub name: Name,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// At least one address, in the order in which to try them (RFC 6724 §6). The port is 0.
    Addresses(Vec<SocketAddr>),
    /// Why there is no address.
    Failed(String),
}

impl Request {
    /// Encodes a datagram.
    pub fn encode(&self) -> Vec<u8> {
        [&self.id.to_be_bytes(), self.name.0.as_bytes()].concat()
    }

    /// Parses a datagram. None if it isn't a request.
    pub fn decode(datagram: &[u8]) -> Option<Self> {
        let (id, name) = datagram.split_first_chunk()?;
        Some(Self {
            id: u32::from_be_bytes(*id),
            name: Name::new(std::str::from_utf8(name).ok()?)?,
        })
    }
}

impl Answer {
    /// An answer with the first of these addresses.
    pub fn addresses(addresses: impl Iterator<Item = SocketAddr>) -> Self {
        let addresses: Vec<_> = addresses.take(MAX_ADDRESSES).collect();
        match addresses.is_empty() {
            false => Self::Addresses(addresses),
            true => Self::failed("it has no address"),
        }
    }

    /// A failure with this reason.
    pub fn failed(reason: impl fmt::Display) -> Self {
        let reason = reason.to_string();
        let end = reason.floor_char_boundary(MAX_REASON);
        Self::Failed(reason[..end].to_owned())
    }

    /// Encodes the answer to the request with this id.
    pub fn encode(&self, id: u32) -> Vec<u8> {
        let mut datagram = id.to_be_bytes().to_vec();
        match self {
            Self::Addresses(addresses) => {
                datagram.push(b'a');
                for address in addresses {
                    match address {
                        SocketAddr::V4(address) => {
                            datagram.push(4);
                            datagram.extend(address.ip().octets());
                        }
                        SocketAddr::V6(address) => {
                            datagram.push(6);
                            datagram.extend(address.ip().octets());
                            datagram.extend(address.scope_id().to_be_bytes());
                        }
                    }
                }
            }
            Self::Failed(reason) => {
                datagram.push(b'f');
                datagram.extend(reason.as_bytes());
            }
        }
        datagram
    }

    /// Parses a datagram, which starts with the id of its request. None if it isn't an answer.
    pub fn decode(datagram: &[u8]) -> Option<(u32, Self)> {
        let (id, rest) = datagram.split_first_chunk()?;
        let (kind, rest) = rest.split_first()?;
        let answer = match kind {
            b'a' => Self::Addresses(addresses(rest)?),
            b'f' if (1..=MAX_REASON).contains(&rest.len()) => {
                Self::Failed(std::str::from_utf8(rest).ok()?.to_owned())
            }
            _ => return None,
        };
        Some((u32::from_be_bytes(*id), answer))
    }
}

fn addresses(mut rest: &[u8]) -> Option<Vec<SocketAddr>> {
    let mut addresses = Vec::new();
    while let Some((family, after)) = rest.split_first() {
        let (address, after) = match family {
            4 => {
                let (octets, after) = after.split_first_chunk::<4>()?;
                (SocketAddr::from((Ipv4Addr::from(*octets), 0)), after)
            }
            6 => {
                let (octets, after) = after.split_first_chunk::<16>()?;
                let (scope, after) = after.split_first_chunk()?;
                let scope = u32::from_be_bytes(*scope);
                let address = SocketAddrV6::new(Ipv6Addr::from(*octets), 0, 0, scope);
                (address.into(), after)
            }
            _ => return None,
        };
        addresses.push(address);
        rest = after;
    }
    (1..=MAX_ADDRESSES)
        .contains(&addresses.len())
        .then_some(addresses)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let name = Name::new("lwm2m.example").unwrap();
        let request = Request { id: 7, name };
        assert_eq!(Request::decode(&request.encode()), Some(request));
        let scoped = SocketAddrV6::new("fe80::1".parse().unwrap(), 0, 0, 3);
        let addresses = [scoped.into(), "192.0.2.1:0".parse().unwrap()];
        for answer in [
            Answer::addresses(addresses.into_iter()),
            Answer::failed("no such name"),
            Answer::failed("ä".repeat(150)),
        ] {
            assert_eq!(Answer::decode(&answer.encode(9)), Some((9, answer)));
        }
        let many = Answer::addresses((0..99).map(|host| ([192, 0, 2, host], 0).into()));
        assert!(many.encode(1).len() <= MAX);
        assert_eq!(Answer::decode(&many.encode(1)), Some((1, many)));
        let long = Name::new(&"n".repeat(253)).unwrap();
        assert!(Request { id: 1, name: long }.encode().len() <= MAX);
    }

    #[test]
    fn nothing_else_is_decoded() {
        let zero = [0; 4];
        let with = |rest: &[u8]| [&zero, rest].concat();
        for datagram in [
            vec![],
            zero.to_vec(),
            with(b"a"),
            with(b"f"),
            with(b"x"),
            with(b"a\x04\x7f\0\0"),
            with(b"a\x04\x7f\0\0\x01\x04"),
            with(b"a\x05\x7f\0\0\x01"),
            with(&[b"a\x06".as_slice(), &[0; 19]].concat()),
            with(&[b"a".as_slice(), &b"\x04\x7f\0\0\x01".repeat(17)].concat()),
            with(&[b"f".as_slice(), &[b'w'; 201]].concat()),
            with(b"f\xff"),
        ] {
            assert_eq!(Answer::decode(&datagram), None, "{datagram:?}");
        }
        for name in [b"".as_slice(), b"a b", b"a\0b", b"\xc3\xa4", &[b'n'; 254]] {
            assert_eq!(Request::decode(&with(name)), None, "{name:?}");
        }
        assert_eq!(Request::decode(&zero[..3]), None);
    }
}
