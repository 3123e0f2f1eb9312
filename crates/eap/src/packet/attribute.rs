//! The attributes of RFC 4187 §10, RFC 9048 §3 and RFC 9678 §6, one at a time.

use std::fmt;

use super::AkaError;

/// The type of an attribute; prints as the RFC names it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kind(pub u8);

/// Every attribute that has a name here, in the order of its number.
const NAMES: &[(Kind, &str)] = &[
    (Kind::RAND, "AT_RAND"),
    (Kind::AUTN, "AT_AUTN"),
    (Kind::RES, "AT_RES"),
    (Kind::AUTS, "AT_AUTS"),
    (Kind::PADDING, "AT_PADDING"),
    (Kind::PERMANENT_ID_REQ, "AT_PERMANENT_ID_REQ"),
    (Kind::MAC, "AT_MAC"),
    (Kind::NOTIFICATION, "AT_NOTIFICATION"),
    (Kind::ANY_ID_REQ, "AT_ANY_ID_REQ"),
    (Kind::IDENTITY, "AT_IDENTITY"),
    (Kind::FULLAUTH_ID_REQ, "AT_FULLAUTH_ID_REQ"),
    (Kind::COUNTER, "AT_COUNTER"),
    (Kind::COUNTER_TOO_SMALL, "AT_COUNTER_TOO_SMALL"),
    (Kind::NONCE_S, "AT_NONCE_S"),
    (Kind::CLIENT_ERROR_CODE, "AT_CLIENT_ERROR_CODE"),
    (Kind::KDF_INPUT, "AT_KDF_INPUT"),
    (Kind::KDF, "AT_KDF"),
    (Kind::IV, "AT_IV"),
    (Kind::ENCR_DATA, "AT_ENCR_DATA"),
    (Kind::NEXT_PSEUDONYM, "AT_NEXT_PSEUDONYM"),
    (Kind::NEXT_REAUTH_ID, "AT_NEXT_REAUTH_ID"),
    (Kind::CHECKCODE, "AT_CHECKCODE"),
    (Kind::RESULT_IND, "AT_RESULT_IND"),
    (Kind::BIDDING, "AT_BIDDING"),
    (Kind::PUB_ECDHE, "AT_PUB_ECDHE"),
    (Kind::KDF_FS, "AT_KDF_FS"),
];

/// The D bit of AT_BIDDING (RFC 9048 §4).
const BIDDING_D: u16 = 0x8000;

/// Octets of a block of AES.
pub(super) const BLOCK: usize = 16;

impl Kind {
    /// AT_RAND.
    pub const RAND: Kind = Kind(1);
    /// AT_AUTN.
    pub const AUTN: Kind = Kind(2);
    /// AT_RES.
    pub const RES: Kind = Kind(3);
    /// AT_AUTS.
    pub const AUTS: Kind = Kind(4);
    /// AT_PADDING.
    pub const PADDING: Kind = Kind(6);
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
    /// AT_COUNTER.
    pub const COUNTER: Kind = Kind(19);
    /// AT_COUNTER_TOO_SMALL.
    pub const COUNTER_TOO_SMALL: Kind = Kind(20);
    /// AT_NONCE_S.
    pub const NONCE_S: Kind = Kind(21);
    /// AT_CLIENT_ERROR_CODE.
    pub const CLIENT_ERROR_CODE: Kind = Kind(22);
    /// AT_KDF_INPUT.
    pub const KDF_INPUT: Kind = Kind(23);
    /// AT_KDF.
    pub const KDF: Kind = Kind(24);
    /// AT_IV.
    pub const IV: Kind = Kind(129);
    /// AT_ENCR_DATA.
    pub const ENCR_DATA: Kind = Kind(130);
    /// AT_NEXT_PSEUDONYM.
    pub const NEXT_PSEUDONYM: Kind = Kind(132);
    /// AT_NEXT_REAUTH_ID.
    pub const NEXT_REAUTH_ID: Kind = Kind(133);
    /// AT_CHECKCODE.
    pub const CHECKCODE: Kind = Kind(134);
    /// AT_RESULT_IND.
    pub const RESULT_IND: Kind = Kind(135);
    /// AT_BIDDING (RFC 9048 §4).
    pub const BIDDING: Kind = Kind(136);
    /// AT_PUB_ECDHE (RFC 9678 §6.1).
    pub const PUB_ECDHE: Kind = Kind(152);
    /// AT_KDF_FS (RFC 9678 §6.2).
    pub const KDF_FS: Kind = Kind(153);

    /// Whether a receiver that doesn't know the attribute steps over it (RFC 4187 §8.1).
    pub fn skippable(self) -> bool {
        self.0 >= 128
    }

    /// Whether it stands inside AT_ENCR_DATA and nowhere else (RFC 4187 §10.1).
    pub(super) fn encrypted(self) -> bool {
        [
            Kind::PADDING,
            Kind::COUNTER,
            Kind::COUNTER_TOO_SMALL,
            Kind::NONCE_S,
            Kind::NEXT_PSEUDONYM,
            Kind::NEXT_REAUTH_ID,
        ]
        .contains(&self)
    }

    /// Whether it may stand more than once: the negotiated lists, and what we know nothing about.
    pub(super) fn repeatable(self) -> bool {
        matches!(self, Kind::KDF | Kind::KDF_FS) || self.name().is_none()
    }

    pub(super) fn name(self) -> Option<&'static str> {
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
    /// AT_PADDING: zeros that fill AT_ENCR_DATA up to whole blocks.
    Padding {
        /// Of the whole attribute: 4, 8 or 12.
        octets: u8,
    },
    /// AT_PERMANENT_ID_REQ.
    PermanentIdReq,
    /// AT_MAC: an HMAC of the packet with this value zero, cut to 16 octets.
    Mac(&'a [u8; 16]),
    /// AT_NOTIFICATION: the code with its S and P bits.
    Notification(u16),
    /// AT_ANY_ID_REQ.
    AnyIdReq,
    /// AT_IDENTITY.
    Identity(&'a [u8]),
    /// AT_FULLAUTH_ID_REQ.
    FullauthIdReq,
    /// AT_COUNTER: of fast re-authentications since the full authentication.
    Counter(u16),
    /// AT_COUNTER_TOO_SMALL.
    CounterTooSmall,
    /// AT_NONCE_S: the server's contribution to the keys of a fast re-authentication.
    NonceS(&'a [u8; 16]),
    /// AT_CLIENT_ERROR_CODE.
    ClientErrorCode(u16),
    /// AT_KDF_INPUT: the network name.
    KdfInput(&'a [u8]),
    /// AT_KDF: one key derivation function on offer, or the choice.
    Kdf(u16),
    /// AT_IV: the first block of the cipher's chain.
    Iv(&'a [u8; 16]),
    /// AT_ENCR_DATA: encrypted attributes, whole blocks of 16 octets.
    EncrData(&'a [u8]),
    /// AT_NEXT_PSEUDONYM.
    NextPseudonym(&'a [u8]),
    /// AT_NEXT_REAUTH_ID.
    NextReauthId(&'a [u8]),
    /// AT_CHECKCODE: the hash over the identity rounds, empty when there was none.
    Checkcode(&'a [u8]),
    /// AT_RESULT_IND.
    ResultInd,
    /// AT_BIDDING: its D bit, set by a server that would rather have used EAP-AKA'.
    Bidding(bool),
    /// AT_PUB_ECDHE: an ephemeral public key with the padding to whole words, because only the
    /// group tells its length.
    PubEcdhe(&'a [u8]),
    /// AT_KDF_FS: one key derivation function with its group on offer, or the choice.
    KdfFs(u16),
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
            Attribute::Padding { .. } => Kind::PADDING,
            Attribute::PermanentIdReq => Kind::PERMANENT_ID_REQ,
            Attribute::Mac(_) => Kind::MAC,
            Attribute::Notification(_) => Kind::NOTIFICATION,
            Attribute::AnyIdReq => Kind::ANY_ID_REQ,
            Attribute::Identity(_) => Kind::IDENTITY,
            Attribute::FullauthIdReq => Kind::FULLAUTH_ID_REQ,
            Attribute::Counter(_) => Kind::COUNTER,
            Attribute::CounterTooSmall => Kind::COUNTER_TOO_SMALL,
            Attribute::NonceS(_) => Kind::NONCE_S,
            Attribute::ClientErrorCode(_) => Kind::CLIENT_ERROR_CODE,
            Attribute::KdfInput(_) => Kind::KDF_INPUT,
            Attribute::Kdf(_) => Kind::KDF,
            Attribute::Iv(_) => Kind::IV,
            Attribute::EncrData(_) => Kind::ENCR_DATA,
            Attribute::NextPseudonym(_) => Kind::NEXT_PSEUDONYM,
            Attribute::NextReauthId(_) => Kind::NEXT_REAUTH_ID,
            Attribute::Checkcode(_) => Kind::CHECKCODE,
            Attribute::ResultInd => Kind::RESULT_IND,
            Attribute::Bidding(_) => Kind::BIDDING,
            Attribute::PubEcdhe(_) => Kind::PUB_ECDHE,
            Attribute::KdfFs(_) => Kind::KDF_FS,
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
        let sixteen = || value.try_into().map_err(|_| wrong);
        Ok(match kind {
            Kind::RAND => Attribute::Rand(sixteen()?),
            Kind::AUTN => Attribute::Autn(sixteen()?),
            Kind::MAC => Attribute::Mac(sixteen()?),
            Kind::NONCE_S => Attribute::NonceS(sixteen()?),
            Kind::IV => Attribute::Iv(sixteen()?),
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
            Kind::NEXT_PSEUDONYM => Attribute::NextPseudonym(counted()?),
            Kind::NEXT_REAUTH_ID => Attribute::NextReauthId(counted()?),
            Kind::PERMANENT_ID_REQ => bare(Attribute::PermanentIdReq)?,
            Kind::ANY_ID_REQ => bare(Attribute::AnyIdReq)?,
            Kind::FULLAUTH_ID_REQ => bare(Attribute::FullauthIdReq)?,
            Kind::NOTIFICATION => bare(Attribute::Notification(number))?,
            Kind::CLIENT_ERROR_CODE => bare(Attribute::ClientErrorCode(number))?,
            Kind::COUNTER => bare(Attribute::Counter(number))?,
            Kind::COUNTER_TOO_SMALL => bare(Attribute::CounterTooSmall)?,
            Kind::KDF => bare(Attribute::Kdf(number))?,
            Kind::KDF_FS => bare(Attribute::KdfFs(number))?,
            Kind::BIDDING => bare(Attribute::Bidding(number & BIDDING_D != 0))?,
            Kind::RESULT_IND => bare(Attribute::ResultInd)?,
            Kind::CHECKCODE if matches!(value.len(), 0 | 20 | 32) => Attribute::Checkcode(value),
            Kind::CHECKCODE => return Err(wrong),
            Kind::ENCR_DATA if !value.is_empty() && value.len() % BLOCK == 0 => {
                Attribute::EncrData(value)
            }
            Kind::ENCR_DATA => return Err(wrong),
            Kind::PADDING if content.iter().any(|octet| *octet != 0) => {
                return Err(AkaError::PaddingNotZero);
            }
            Kind::PADDING => Attribute::Padding {
                octets: match value.len() {
                    0 => 4,
                    4 => 8,
                    8 => 12,
                    _ => return Err(wrong),
                },
            },
            Kind::PUB_ECDHE => Attribute::PubEcdhe(content),
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
            Attribute::Rand(value)
            | Attribute::Autn(value)
            | Attribute::Mac(value)
            | Attribute::NonceS(value)
            | Attribute::Iv(value) => (0, value),
            Attribute::Res { bits, value } => (bits, value),
            Attribute::Identity(value)
            | Attribute::KdfInput(value)
            | Attribute::NextPseudonym(value)
            | Attribute::NextReauthId(value) => (length(value)?, value),
            Attribute::Checkcode(value) | Attribute::EncrData(value) => (0, value),
            Attribute::Notification(number)
            | Attribute::ClientErrorCode(number)
            | Attribute::Counter(number)
            | Attribute::Kdf(number)
            | Attribute::KdfFs(number) => (number, &[]),
            Attribute::Bidding(d) => (if d { BIDDING_D } else { 0 }, &[]),
            Attribute::PermanentIdReq
            | Attribute::AnyIdReq
            | Attribute::FullauthIdReq
            | Attribute::CounterTooSmall
            | Attribute::ResultInd => (0, &[]),
            Attribute::Auts(content) => return write(kind, content, &[], out),
            Attribute::PubEcdhe(content) | Attribute::Skippable(_, content) => {
                return write(kind, content, &[], out);
            }
            Attribute::Padding { octets } => {
                return write(
                    kind,
                    &[0; 10][..usize::from(octets.clamp(4, 12)) - 2],
                    &[],
                    out,
                );
            }
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
