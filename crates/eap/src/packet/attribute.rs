//! The attributes of RFC 4187 section 10 and RFC 9048 section 3, one at a time.

use super::AkaError;
use std::fmt;

/// The type of an attribute; prints as the RFC names it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kind(pub u8);

/// Every attribute that has a name here, in the order of its number.
const NAMES: &[(Kind, &str)] = &[
    (Kind::RAND, "AT_RAND"),
    (Kind::AUTN, "AT_AUTN"),
    (Kind::RES, "AT_RES"),
    (Kind::AUTS, "AT_AUTS"),
    (Kind(6), "AT_PADDING"),
    (Kind::PERMANENT_ID_REQ, "AT_PERMANENT_ID_REQ"),
    (Kind::MAC, "AT_MAC"),
    (Kind::NOTIFICATION, "AT_NOTIFICATION"),
    (Kind::ANY_ID_REQ, "AT_ANY_ID_REQ"),
    (Kind::IDENTITY, "AT_IDENTITY"),
    (Kind::FULLAUTH_ID_REQ, "AT_FULLAUTH_ID_REQ"),
    (Kind(19), "AT_COUNTER"),
    (Kind(20), "AT_COUNTER_TOO_SMALL"),
    (Kind(21), "AT_NONCE_S"),
    (Kind::CLIENT_ERROR_CODE, "AT_CLIENT_ERROR_CODE"),
    (Kind::KDF_INPUT, "AT_KDF_INPUT"),
    (Kind::KDF, "AT_KDF"),
    (Kind(129), "AT_IV"),
    (Kind(130), "AT_ENCR_DATA"),
    (Kind(132), "AT_NEXT_PSEUDONYM"),
    (Kind(133), "AT_NEXT_REAUTH_ID"),
    (Kind::CHECKCODE, "AT_CHECKCODE"),
    (Kind::RESULT_IND, "AT_RESULT_IND"),
    (Kind(136), "AT_BIDDING"),
    (Kind(152), "AT_PUB_ECDHE"),
    (Kind::KDF_FS, "AT_KDF_FS"),
];

impl Kind {
    /// AT_RAND.
    pub const RAND: Kind = Kind(1);
    /// AT_AUTN.
    pub const AUTN: Kind = Kind(2);
    /// AT_RES.
    pub const RES: Kind = Kind(3);
    /// AT_AUTS.
    pub const AUTS: Kind = Kind(4);
    /// AT_PERMANENT_ID_REQ.
    pub const PERMANENT_ID_REQ: Kind = Kind(10);
    /// AT_MAC.
    pub const MAC: Kind = Kind(11);
    /// AT_NOTIFICATION.
    pub const NOTIFICATION: Kind = Kind(12);
    /// AT_ANY_ID_REQ.
    pub const ANY_ID_REQ: Kind = Kind(13);
    /// AT_IDENTITY.
    pub const IDENTITY: Kind = Kind(14);
    /// AT_FULLAUTH_ID_REQ.
    pub const FULLAUTH_ID_REQ: Kind = Kind(17);
    /// AT_CLIENT_ERROR_CODE.
    pub const CLIENT_ERROR_CODE: Kind = Kind(22);
    /// AT_KDF_INPUT.
    pub const KDF_INPUT: Kind = Kind(23);
    /// AT_KDF.
    pub const KDF: Kind = Kind(24);
    /// AT_CHECKCODE.
    pub const CHECKCODE: Kind = Kind(134);
    /// AT_RESULT_IND.
    pub const RESULT_IND: Kind = Kind(135);
    /// AT_KDF_FS (RFC 9678).
    pub const KDF_FS: Kind = Kind(153);

    /// Whether a receiver that doesn't know the attribute steps over it (RFC 4187 section 8.1).
    pub fn skippable(self) -> bool {
        self.0 >= 128
    }

    /// Whether it may stand more than once: the negotiated lists, and what we know nothing about.
    pub(super) fn repeatable(self) -> bool {
        matches!(self, Kind::KDF | Kind::KDF_FS) || self.name().is_none()
    }

    fn name(self) -> Option<&'static str> {
        NAMES
            .iter()
            .find(|(kind, _)| *kind == self)
            .map(|(_, name)| *name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "attribute {}", self.0),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One attribute with its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute<'a> {
    /// AT_RAND: the challenge.
    Rand(&'a [u8; 16]),
    /// AT_AUTN: the network's proof.
    Autn(&'a [u8; 16]),
    /// AT_RES: the SIM's proof, counted in bits, zero padded to whole octets.
    Res {
        /// 32 to 128.
        bits: u16,
        /// ⌈bits / 8⌉ octets.
        value: &'a [u8],
    },
    /// AT_AUTS: where the SIM's sequence numbers stand.
    Auts(&'a [u8; 14]),
    /// AT_PERMANENT_ID_REQ.
    PermanentIdReq,
    /// AT_MAC: HMAC-SHA-256-128 of the packet with this value zero.
    Mac(&'a [u8; 16]),
    /// AT_NOTIFICATION: the code with its S and P bits.
    Notification(u16),
    /// AT_ANY_ID_REQ.
    AnyIdReq,
    /// AT_IDENTITY.
    Identity(&'a [u8]),
    /// AT_FULLAUTH_ID_REQ.
    FullauthIdReq,
    /// AT_CLIENT_ERROR_CODE.
    ClientErrorCode(u16),
    /// AT_KDF_INPUT: the network name.
    KdfInput(&'a [u8]),
    /// AT_KDF: one key derivation function on offer, or the choice.
    Kdf(u16),
    /// AT_CHECKCODE: the hash over the identity rounds, empty when there was none.
    Checkcode(&'a [u8]),
    /// AT_RESULT_IND.
    ResultInd,
    /// A skippable attribute whose content isn't looked at: everything after its length octet.
    Skippable(Kind, &'a [u8]),
}

impl<'a> Attribute<'a> {
    /// The attribute's type.
    pub fn kind(&self) -> Kind {
        match self {
            Attribute::Rand(_) => Kind::RAND,
            Attribute::Autn(_) => Kind::AUTN,
            Attribute::Res { .. } => Kind::RES,
            Attribute::Auts(_) => Kind::AUTS,
            Attribute::PermanentIdReq => Kind::PERMANENT_ID_REQ,
            Attribute::Mac(_) => Kind::MAC,
            Attribute::Notification(_) => Kind::NOTIFICATION,
            Attribute::AnyIdReq => Kind::ANY_ID_REQ,
            Attribute::Identity(_) => Kind::IDENTITY,
            Attribute::FullauthIdReq => Kind::FULLAUTH_ID_REQ,
            Attribute::ClientErrorCode(_) => Kind::CLIENT_ERROR_CODE,
            Attribute::KdfInput(_) => Kind::KDF_INPUT,
            Attribute::Kdf(_) => Kind::KDF,
            Attribute::Checkcode(_) => Kind::CHECKCODE,
            Attribute::ResultInd => Kind::RESULT_IND,
            Attribute::Skippable(kind, _) => *kind,
        }
    }

    /// Reads the first attribute of `rest` and returns it with what follows.
    pub(super) fn parse(rest: &'a [u8]) -> Result<(Self, &'a [u8]), AkaError> {
        let kind = Kind(rest.first().copied().unwrap_or(0));
        let claimed = 4 * usize::from(rest.get(1).copied().unwrap_or(1));
        if claimed == 0 {
            return Err(AkaError::ZeroLength { kind });
        }
        let (whole, rest) = rest.split_at_checked(claimed).ok_or(AkaError::Truncated {
            kind,
            claimed,
            left: rest.len(),
        })?;
        Ok((Attribute::content(kind, &whole[2..])?, rest))
    }

    /// `content` is what follows type and length: 4n - 2 octets, at least two.
    fn content(kind: Kind, content: &'a [u8]) -> Result<Self, AkaError> {
        let wrong = AkaError::WrongLength {
            kind,
            octets: content.len() + 2,
        };
        let (&[high, low], value) = content.split_first_chunk::<2>().ok_or(wrong)?;
        let number = u16::from_be_bytes([high, low]);
        let bare = |attribute| {
            if value.is_empty() {
                Ok(attribute)
            } else {
                Err(wrong)
            }
        };
        let counted = || counted(usize::from(number), value).ok_or(wrong);
        Ok(match kind {
            Kind::RAND => Attribute::Rand(value.try_into().map_err(|_| wrong)?),
            Kind::AUTN => Attribute::Autn(value.try_into().map_err(|_| wrong)?),
            Kind::MAC => Attribute::Mac(value.try_into().map_err(|_| wrong)?),
            Kind::AUTS => Attribute::Auts(content.try_into().map_err(|_| wrong)?),
            Kind::RES if !(32..=128).contains(&number) => {
                return Err(AkaError::ResBits { bits: number });
            }
            Kind::RES => Attribute::Res {
                bits: number,
                value: self::counted(usize::from(number).div_ceil(8), value).ok_or(wrong)?,
            },
            Kind::IDENTITY => Attribute::Identity(counted()?),
            Kind::KDF_INPUT => Attribute::KdfInput(counted()?),
            Kind::PERMANENT_ID_REQ => bare(Attribute::PermanentIdReq)?,
            Kind::ANY_ID_REQ => bare(Attribute::AnyIdReq)?,
            Kind::FULLAUTH_ID_REQ => bare(Attribute::FullauthIdReq)?,
            Kind::NOTIFICATION => bare(Attribute::Notification(number))?,
            Kind::CLIENT_ERROR_CODE => bare(Attribute::ClientErrorCode(number))?,
            Kind::KDF => bare(Attribute::Kdf(number))?,
            Kind::RESULT_IND => bare(Attribute::ResultInd)?,
            Kind::CHECKCODE if matches!(value.len(), 0 | 20 | 32) => Attribute::Checkcode(value),
            Kind::CHECKCODE => return Err(wrong),
            other if other.skippable() => Attribute::Skippable(other, content),
            other => return Err(AkaError::NotSkippable { kind: other }),
        })
    }

    /// Appends the attribute, padded with zeros to a multiple of four octets.
    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<(), AkaError> {
        let kind = self.kind();
        let length = |value: &[u8]| {
            u16::try_from(value.len()).map_err(|_| AkaError::TooLong {
                kind,
                octets: value.len(),
            })
        };
        let (number, value): (u16, &[u8]) = match *self {
            Attribute::Rand(value) | Attribute::Autn(value) | Attribute::Mac(value) => (0, value),
            Attribute::Res { bits, value } => (bits, value),
            Attribute::Identity(value) | Attribute::KdfInput(value) => (length(value)?, value),
            Attribute::Checkcode(value) => (0, value),
            Attribute::Notification(number)
            | Attribute::ClientErrorCode(number)
            | Attribute::Kdf(number) => (number, &[]),
            Attribute::PermanentIdReq
            | Attribute::AnyIdReq
            | Attribute::FullauthIdReq
            | Attribute::ResultInd => (0, &[]),
            Attribute::Auts(content) => return write(kind, content, &[], out),
            Attribute::Skippable(_, content) => return write(kind, content, &[], out),
        };
        write(kind, &number.to_be_bytes(), value, out)
    }
}

/// The first `length` octets of `value`, if what follows is no more than padding to four octets.
fn counted(length: usize, value: &[u8]) -> Option<&[u8]> {
    (length.next_multiple_of(4) == value.len())
        .then(|| value.get(..length))
        .flatten()
}

fn write(kind: Kind, head: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), AkaError> {
    let octets = 2 + head.len() + value.len();
    let words = u8::try_from(octets.div_ceil(4)).map_err(|_| AkaError::TooLong {
        kind,
        octets: value.len(),
    })?;
    let start = out.len();
    out.extend([kind.0, words]);
    out.extend(head);
    out.extend(value);
    out.resize(start + 4 * usize::from(words), 0);
    Ok(())
}
