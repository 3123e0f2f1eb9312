//! A whole EAP-AKA or EAP-AKA' message: subtype and attributes (RFC 4187 §8.1).

use alloc::vec::Vec;
use core::{fmt, iter};

use crate::attribute::{Attribute, MAC_VALUE};
use crate::attributes::Attributes;
use crate::error::AkaError;
use crate::kind::Kind;
use crate::packet::{Packet, Type};

/// The subtype of a message (RFC 4187 §11).
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

/// A notification code (RFC 4187 §10.19).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notification(pub u16);

impl Notification {
    /// 0: general failure after authentication.
    pub const FAILURE_AFTER_AUTHENTICATION: Notification = Notification(0);
    /// 16384: general failure before authentication.
    pub const FAILURE: Notification = Notification(16384);
    /// 32768: the user has been authenticated.
    pub const SUCCESS: Notification = Notification(32768);

    /// The S bit, which is set if the notification doesn't imply failure.
    pub fn success(self) -> bool {
        self.0 & 0x8000 != 0
    }

    /// The P bit, which is set if the notification is for the time before a successful challenge
    /// and has no AT_MAC.
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

/// Defines accessors for the content of the first attribute of a kind.
macro_rules! first {
    ($message:expr, $kind:ident, $form:pat => $content:expr) => {
        match $message.first(Kind::$kind) {
            Some($form) => Some($content),
            _ => None,
        }
    };
}

/// A message of EAP-AKA or EAP-AKA', borrowed from its packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AkaMessage<'a> {
    /// The subtype of the message.
    pub subtype: Subtype,
    /// All of them were parsed before and break no rule.
    attributes: &'a [u8],
    bytes: &'a [u8],
    mac_at: Option<usize>,
}

impl<'a> Packet<'a> {
    /// Parses the packet as a message of EAP-AKA or EAP-AKA'.
    ///
    /// # Errors
    /// [`AkaError`] says what is malformed; a peer answers it with Client-Error 0 (RFC 4187
    /// §6.3.1).
    pub fn aka(&self) -> Result<AkaMessage<'a>, AkaError> {
        let Some((Type::Aka | Type::AkaPrime, data)) = self.typed else {
            return Err(AkaError::NotAka);
        };
        let [subtype, _, _, attributes @ ..] = data else {
            return Err(AkaError::NoSubtype { octets: data.len() });
        };
        let bytes = self.bytes();
        let mut mac_at = None;
        let mut reader = Attributes::of_message(attributes);
        let mut left = reader.left();
        while let Some(attribute) = reader.next() {
            if let Attribute::Mac(_) = attribute? {
                mac_at = Some(bytes.len() - left + MAC_VALUE);
            }
            left = reader.left();
        }
        Ok(AkaMessage {
            subtype: Subtype::from(*subtype),
            attributes,
            bytes,
            mac_at,
        })
    }
}

impl<'a> AkaMessage<'a> {
    /// The attributes, in order.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        let mut rest = self.attributes;
        // An error means the end, because a message has no malformed attribute.
        iter::from_fn(move || Attribute::take(&mut rest).ok())
    }

    /// The first attribute of a kind. Except in lists, there is at most one.
    fn first(&self, kind: Kind) -> Option<Attribute<'a>> {
        let mut rest = self.attributes;
        loop {
            let of_kind = *rest.first()? == kind.0;
            let attribute = Attribute::take(&mut rest).ok()?;
            if of_kind {
                return Some(attribute);
            }
        }
    }

    /// The whole packet.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where the 16 octets of AT_MAC stand, from the start of the packet.
    pub fn mac_at(&self) -> Option<usize> {
        self.mac_at
    }

    /// AT_RAND.
    pub fn rand(&self) -> Option<&'a [u8; 16]> {
        first!(self, RAND, Attribute::Rand(value) => value)
    }

    /// AT_AUTN.
    pub fn autn(&self) -> Option<&'a [u8; 16]> {
        first!(self, AUTN, Attribute::Autn(value) => value)
    }

    /// AT_RES: its length in bits and its octets.
    pub fn res(&self) -> Option<(u16, &'a [u8])> {
        first!(self, RES, Attribute::Res { bits, value } => (bits, value))
    }

    /// AT_AUTS.
    pub fn auts(&self) -> Option<&'a [u8; 14]> {
        first!(self, AUTS, Attribute::Auts(value) => value)
    }

    /// AT_MAC.
    pub fn mac(&self) -> Option<&'a [u8; 16]> {
        first!(self, MAC, Attribute::Mac(value) => value)
    }

    /// AT_NOTIFICATION.
    pub fn notification(&self) -> Option<Notification> {
        first!(self, NOTIFICATION, Attribute::Notification(code) => Notification(code))
    }

    /// AT_IDENTITY.
    pub fn identity(&self) -> Option<&'a [u8]> {
        first!(self, IDENTITY, Attribute::Identity(value) => value)
    }

    /// AT_CLIENT_ERROR_CODE.
    pub fn client_error_code(&self) -> Option<u16> {
        first!(self, CLIENT_ERROR_CODE, Attribute::ClientErrorCode(code) => code)
    }

    /// AT_KDF_INPUT: the network name.
    pub fn kdf_input(&self) -> Option<&'a [u8]> {
        first!(self, KDF_INPUT, Attribute::KdfInput(value) => value)
    }

    /// The values of all AT_KDF, in order.
    pub fn kdfs(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.attributes().filter_map(|attribute| match attribute {
            Attribute::Kdf(kdf) => Some(kdf),
            _ => None,
        })
    }

    /// The values of all AT_KDF_FS, in order.
    pub fn kdfs_fs(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.attributes().filter_map(|attribute| match attribute {
            Attribute::KdfFs(kdf) => Some(kdf),
            _ => None,
        })
    }

    /// AT_PUB_ECDHE, with its padding.
    pub fn pub_ecdhe(&self) -> Option<&'a [u8]> {
        first!(self, PUB_ECDHE, Attribute::PubEcdhe(value) => value)
    }

    /// The D bit of AT_BIDDING.
    pub fn bidding(&self) -> Option<bool> {
        first!(self, BIDDING, Attribute::Bidding(d) => d)
    }

    /// AT_CHECKCODE.
    pub fn checkcode(&self) -> Option<&'a [u8]> {
        first!(self, CHECKCODE, Attribute::Checkcode(value) => value)
    }

    /// AT_IV.
    pub fn iv(&self) -> Option<&'a [u8; 16]> {
        first!(self, IV, Attribute::Iv(value) => value)
    }

    /// AT_ENCR_DATA, still encrypted.
    pub fn encr_data(&self) -> Option<&'a [u8]> {
        first!(self, ENCR_DATA, Attribute::EncrData(value) => value)
    }

    /// Whether AT_RESULT_IND is there.
    pub fn result_ind(&self) -> bool {
        self.first(Kind::RESULT_IND).is_some()
    }

    /// The packet with the value of AT_MAC zero, over which AT_MAC is computed (RFC 4187 §10.15);
    /// `None` without AT_MAC.
    pub fn bytes_under_mac(&self) -> Option<Vec<u8>> {
        let at = self.mac_at?;
        let mut bytes = self.bytes.to_vec();
        bytes.get_mut(at..at + 16)?.fill(0);
        Some(bytes)
    }
}
