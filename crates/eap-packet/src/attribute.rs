//! The attributes of RFC 4187 §10, RFC 9048 §3 and RFC 9678 §6, one at a time.

use alloc::vec::Vec;

use crate::error::AkaError;
use crate::kind::Kind;

/// The D bit of AT_BIDDING (RFC 9048 §4).
const BIDDING_D: u16 = 0x8000;

/// The offset of the value of AT_MAC in its attribute: after type, length and two reserved octets.
pub(crate) const MAC_VALUE: usize = 4;

/// The size of an AES block in octets.
pub(crate) const BLOCK: usize = 16;

/// One attribute with its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute<'a> {
    /// AT_RAND: the challenge.
    Rand(&'a [u8; 16]),
    /// AT_AUTN: the network's proof.
    Autn(&'a [u8; 16]),
    /// AT_RES: the SIM's proof. Its length is in bits, and it is padded with zeros to whole octets.
    Res {
        /// 32 to 128.
        bits: u16,
        /// ⌈bits / 8⌉ octets.
        value: &'a [u8],
    },
    /// AT_AUTS: the SIM's sequence number, for resynchronisation.
    Auts(&'a [u8; 14]),
    /// AT_PADDING: zeros that fill AT_ENCR_DATA up to whole blocks.
    Padding {
        /// The length of the whole attribute: 4, 8 or 12.
        octets: u8,
    },
    /// AT_PERMANENT_ID_REQ.
    PermanentIdReq,
    /// AT_MAC: an HMAC of the packet, in which this value is zero, cut to 16 octets.
    Mac(&'a [u8; 16]),
    /// AT_NOTIFICATION: the code with its S and P bits.
    Notification(u16),
    /// AT_ANY_ID_REQ.
    AnyIdReq,
    /// AT_IDENTITY.
    Identity(&'a [u8]),
    /// AT_FULLAUTH_ID_REQ.
    FullauthIdReq,
    /// AT_COUNTER: the number of fast re-authentications since the full authentication.
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
    /// AT_IV: the initialisation vector of AT_ENCR_DATA.
    Iv(&'a [u8; 16]),
    /// AT_ENCR_DATA: encrypted attributes, whole blocks of 16 octets.
    EncrData(&'a [u8]),
    /// AT_NEXT_PSEUDONYM.
    NextPseudonym(&'a [u8]),
    /// AT_NEXT_REAUTH_ID.
    NextReauthId(&'a [u8]),
    /// AT_CHECKCODE: the hash over the identity rounds, which is empty if there was none.
    Checkcode(&'a [u8]),
    /// AT_RESULT_IND.
    ResultInd,
    /// AT_BIDDING: its D bit, which a server sets if it prefers EAP-AKA'.
    Bidding(bool),
    /// AT_PUB_ECDHE: an ephemeral public key, including the padding to whole words, because the
    /// length of the key depends on the group.
    PubEcdhe(&'a [u8]),
    /// AT_KDF_FS: one key derivation function, with its group, on offer, or the choice.
    KdfFs(u16),
    /// A skippable attribute whose content isn't parsed: everything after its length octet.
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

    /// Parses the first attribute of `rest`, and removes it.
    pub(crate) fn take(rest: &mut &'a [u8]) -> Result<Self, AkaError> {
        let left = rest.len();
        let kind = Kind(rest.first().copied().unwrap_or(0));
        let claimed = 4 * usize::from(rest.get(1).copied().unwrap_or(1));
        if claimed == 0 {
            return Err(AkaError::ZeroLength { kind });
        }
        let whole = rest.split_off(..claimed).ok_or(AkaError::Truncated {
            kind,
            claimed,
            left,
        })?;
        Attribute::content(kind, &whole[2..])
    }

    /// Parses the content. `content` follows type and length: 4n - 2 octets, at least two.
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
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), AkaError> {
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

/// The first `length` octets of `value`, if only padding to a multiple of four octets follows.
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
