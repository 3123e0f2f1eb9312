//! A whole EAP-AKA or EAP-AKA' message: subtype and attributes (RFC 4187 section 8.1).

use super::{AkaError, Attribute, Kind, MAC_VALUE, Packet, Type};
use std::fmt;

/// The subtype of a message (RFC 4187 section 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subtype {
    /// 1.
    Challenge,
    /// 2.
    AuthenticationReject,
    /// 4.
    SynchronizationFailure,
    /// 5.
    Identity,
    /// 12.
    Notification,
    /// 13.
    Reauthentication,
    /// 14.
    ClientError,
    /// Any other.
    Other(u8),
}

impl Subtype {
    /// The octet on the wire.
    pub fn octet(self) -> u8 {
        match self {
            Subtype::Challenge => 1,
            Subtype::AuthenticationReject => 2,
            Subtype::SynchronizationFailure => 4,
            Subtype::Identity => 5,
            Subtype::Notification => 12,
            Subtype::Reauthentication => 13,
            Subtype::ClientError => 14,
            Subtype::Other(octet) => octet,
        }
    }
}

impl From<u8> for Subtype {
    fn from(octet: u8) -> Self {
        match octet {
            1 => Subtype::Challenge,
            2 => Subtype::AuthenticationReject,
            4 => Subtype::SynchronizationFailure,
            5 => Subtype::Identity,
            12 => Subtype::Notification,
            13 => Subtype::Reauthentication,
            14 => Subtype::ClientError,
            other => Subtype::Other(other),
        }
    }
}

impl fmt::Display for Subtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Subtype::Challenge => "Challenge",
            Subtype::AuthenticationReject => "Authentication-Reject",
            Subtype::SynchronizationFailure => "Synchronization-Failure",
            Subtype::Identity => "Identity",
            Subtype::Notification => "Notification",
            Subtype::Reauthentication => "Reauthentication",
            Subtype::ClientError => "Client-Error",
            Subtype::Other(octet) => return write!(f, "subtype {octet}"),
        })
    }
}

/// A notification code (RFC 4187 section 10.19).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notification(pub u16);

impl Notification {
    /// 0: general failure after authentication.
    pub const FAILURE_AFTER_AUTHENTICATION: Notification = Notification(0);
    /// 16384: general failure before authentication.
    pub const FAILURE: Notification = Notification(16384);
    /// 32768: the user has been authenticated.
    pub const SUCCESS: Notification = Notification(32768);

    /// The S bit: set when the notification does not imply failure.
    pub fn success(self) -> bool {
        self.0 & 0x8000 != 0
    }

    /// The P bit: set when the notification is for the time before a successful challenge, and goes without AT_MAC.
    pub fn before_challenge(self) -> bool {
        self.0 & 0x4000 != 0
    }
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self.0 {
            0 => "general failure after authentication",
            1026 => "temporarily denied access",
            1031 => "not subscribed to the requested service",
            16384 => "general failure",
            32768 => "success",
            _ => "unassigned",
        };
        write!(f, "{} ({meaning})", self.0)
    }
}

/// A message of EAP-AKA or EAP-AKA', borrowed from its packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AkaMessage<'a> {
    /// What the message is.
    pub subtype: Subtype,
    /// The attributes in the order they stand.
    pub attributes: Vec<Attribute<'a>>,
    bytes: &'a [u8],
    mac_at: Option<usize>,
}

impl<'a> AkaMessage<'a> {
    pub(super) fn parse(packet: &Packet<'a>) -> Result<Self, AkaError> {
        let Some((Type::Aka | Type::AkaPrime, data)) = packet.typed else {
            return Err(AkaError::NotAka);
        };
        let [subtype, _, _, attributes @ ..] = data else {
            return Err(AkaError::NoSubtype { octets: data.len() });
        };
        let bytes = packet.bytes();
        let mut message = AkaMessage {
            subtype: Subtype::from(*subtype),
            attributes: Vec::new(),
            bytes,
            mac_at: None,
        };
        let mut rest = attributes;
        let mut seen = [false; 256];
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            let (attribute, after) = Attribute::parse(rest)?;
            let kind = attribute.kind();
            if std::mem::replace(&mut seen[usize::from(kind.0)], true) && !kind.repeatable() {
                return Err(AkaError::Duplicate { kind });
            }
            if kind == Kind::MAC {
                message.mac_at = Some(at + MAC_VALUE);
            }
            message.attributes.push(attribute);
            rest = after;
        }
        Ok(message)
    }

    fn find<T>(&self, wanted: impl Fn(&Attribute<'a>) -> Option<T>) -> Option<T> {
        self.attributes.iter().find_map(wanted)
    }

    /// AT_RAND.
    pub fn rand(&self) -> Option<&'a [u8; 16]> {
        self.find(|a| {
            if let Attribute::Rand(value) = a {
                Some(*value)
            } else {
                None
            }
        })
    }

    /// AT_AUTN.
    pub fn autn(&self) -> Option<&'a [u8; 16]> {
        self.find(|a| {
            if let Attribute::Autn(value) = a {
                Some(*value)
            } else {
                None
            }
        })
    }

    /// AT_RES: its length in bits and its octets.
    pub fn res(&self) -> Option<(u16, &'a [u8])> {
        self.find(|a| {
            if let Attribute::Res { bits, value } = a {
                Some((*bits, *value))
            } else {
                None
            }
        })
    }

    /// AT_AUTS.
    pub fn auts(&self) -> Option<&'a [u8; 14]> {
        self.find(|a| {
            if let Attribute::Auts(value) = a {
                Some(*value)
            } else {
                None
            }
        })
    }

    /// AT_MAC.
    pub fn mac(&self) -> Option<&'a [u8; 16]> {
        self.find(|a| {
            if let Attribute::Mac(value) = a {
                Some(*value)
            } else {
                None
            }
        })
    }

    /// AT_NOTIFICATION.
    pub fn notification(&self) -> Option<Notification> {
        self.find(|a| {
            if let Attribute::Notification(code) = a {
                Some(Notification(*code))
            } else {
                None
            }
        })
    }

    /// AT_IDENTITY.
    pub fn identity(&self) -> Option<&'a [u8]> {
        self.find(|a| {
            if let Attribute::Identity(value) = a {
                Some(*value)
            } else {
                None
            }
        })
    }

    /// AT_CLIENT_ERROR_CODE.
    pub fn client_error_code(&self) -> Option<u16> {
        self.find(|a| {
            if let Attribute::ClientErrorCode(code) = a {
                Some(*code)
            } else {
                None
            }
        })
    }

    /// AT_KDF_INPUT: the network name.
    pub fn kdf_input(&self) -> Option<&'a [u8]> {
        self.find(|a| {
            if let Attribute::KdfInput(value) = a {
                Some(*value)
            } else {
                None
            }
        })
    }

    /// The values of all AT_KDF, in order.
    pub fn kdfs(&self) -> Vec<u16> {
        self.attributes
            .iter()
            .filter_map(|a| {
                if let Attribute::Kdf(kdf) = a {
                    Some(*kdf)
                } else {
                    None
                }
            })
            .collect()
    }

    /// AT_CHECKCODE.
    pub fn checkcode(&self) -> Option<&'a [u8]> {
        self.find(|a| {
            if let Attribute::Checkcode(value) = a {
                Some(*value)
            } else {
                None
            }
        })
    }

    /// Whether AT_RESULT_IND is there.
    pub fn result_ind(&self) -> bool {
        self.attributes.contains(&Attribute::ResultInd)
    }

    /// The packet with the value of AT_MAC zero, over which AT_MAC is computed (RFC 4187 section 10.15); `None` without AT_MAC.
    pub fn bytes_under_mac(&self) -> Option<Vec<u8>> {
        let at = self.mac_at?;
        let mut bytes = self.bytes.to_vec();
        bytes.get_mut(at..at + 16)?.fill(0);
        Some(bytes)
    }
}
