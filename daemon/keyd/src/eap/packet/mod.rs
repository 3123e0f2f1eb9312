//! EAP-AKA and EAP-AKA' packets, only as far as keyd needs them: their kind, the attributes of a
//! challenge and of a re-authentication, and the place of AT_MAC.

mod encrypted;
#[cfg(test)]
mod tests;

use core::fmt;

pub(crate) use encrypted::{Encrypted, Next, Nonce, counter};
use softsim_aka::eap::{AT_MAC_LENGTH, MacKey};
use softsim_aka::kdf::NetworkName;
use softsim_aka::{Autn, Iv, Rand};
use softsim_keyd_proto::{Group, Method, PacketFault};

/// Code, identifier, length (RFC 3748 §4), type, subtype and two reserved octets (RFC 4187 §8.1).
const HEAD: usize = 8;

// Subtypes (RFC 4187 §11).
const CHALLENGE: u8 = 1;
const NOTIFICATION: u8 = 12;
const REAUTHENTICATION: u8 = 13;

// Attributes (RFC 4187 §11, RFC 9048 §8.2, RFC 9678 §8).
const AT_RAND: u8 = 1;
const AT_AUTN: u8 = 2;
const AT_PADDING: u8 = 6;
const AT_MAC: u8 = 11;
const AT_NOTIFICATION: u8 = 12;
const AT_COUNTER: u8 = 19;
const AT_COUNTER_TOO_SMALL: u8 = 20;
const AT_NONCE_S: u8 = 21;
const AT_KDF_INPUT: u8 = 23;
const AT_KDF: u8 = 24;
const AT_IV: u8 = 129;
const AT_ENCR_DATA: u8 = 130;
const AT_NEXT_PSEUDONYM: u8 = 132;
const AT_NEXT_REAUTH_ID: u8 = 133;
const AT_RESULT_IND: u8 = 135;
const AT_PUB_ECDHE: u8 = 152;
const AT_KDF_FS: u8 = 153;

/// The notification of success, to be answered before EAP-Success (RFC 4187 §10.19).
const SUCCESS: u16 = 32768;

/// The key derivation of RFC 9048 §3.3, the only one there is.
const KDF_AKA_PRIME: u16 = 1;

/// Which side speaks (RFC 3748 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    Request = 1,
    Response = 2,
}

/// An EAP-Request/AKA-Challenge of either method.
pub(crate) struct Challenge<'p> {
    pub(crate) rand: Rand,
    pub(crate) autn: Autn,
    pub(crate) maced: Maced<'p>,
    pub(crate) encrypted: Option<Encrypted<'p>>,
    /// Whether the server would protect results.
    pub(crate) result_ind: bool,
    found: Found<'p>,
}

impl<'p> Challenge<'p> {
    pub(crate) fn parse(packet: &'p [u8], method: Method) -> Result<Self, PacketFault> {
        let found = Found::of_subtype(packet, Code::Request, method, CHALLENGE)?;
        Ok(Self {
            rand: Rand::new(*found.rand.ok_or(PacketFault::Missing(AT_RAND))?),
            autn: Autn::new(*found.autn.ok_or(PacketFault::Missing(AT_AUTN))?),
            maced: found.maced(packet)?,
            encrypted: found.encrypted()?,
            result_ind: found.result_ind.is_some(),
            found,
        })
    }

    /// The access network out of AT_KDF_INPUT, where the first AT_KDF is [`KDF_AKA_PRIME`]:
    /// negotiation is over.
    pub(crate) fn network_name(&self) -> Result<NetworkName<'p>, PacketFault> {
        if self.found.kdf.ok_or(PacketFault::Missing(AT_KDF))? != KDF_AKA_PRIME {
            return Err(PacketFault::Kdf);
        }
        (self.found.network_name).ok_or(PacketFault::Missing(AT_KDF_INPUT))
    }

    /// The server's ephemeral public key, where the first AT_KDF_FS is the agreed group.
    pub(crate) fn public_key(&self, agreed: Group) -> Result<&'p [u8], PacketFault> {
        let group = self.found.kdf_fs.ok_or(PacketFault::Missing(AT_KDF_FS))?;
        let padded = (self.found.pub_ecdhe).ok_or(PacketFault::Missing(AT_PUB_ECDHE))?;
        // Points are compressed, and in no other short form (SEC 1 §2.3.3).
        let of_its_form = match agreed {
            Group::X25519 => true,
            Group::P256 => matches!(padded.first(), Some(2 | 3)),
        };
        match agreed.public_key(padded) {
            Some(key) if group == agreed.number() && of_its_form => Ok(key),
            _ => Err(PacketFault::PublicKey),
        }
    }
}

impl fmt::Debug for Challenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenge({:?}, {:?})", self.rand, self.autn)
    }
}

/// An EAP-Request/AKA-Reauthentication of either method.
#[derive(Debug)]
pub(crate) struct Reauthentication<'p> {
    pub(crate) maced: Maced<'p>,
    pub(crate) encrypted: Encrypted<'p>,
    /// Whether the server would protect results.
    pub(crate) result_ind: bool,
}

impl<'p> Reauthentication<'p> {
    pub(crate) fn parse(packet: &'p [u8], method: Method) -> Result<Self, PacketFault> {
        let found = Found::of_subtype(packet, Code::Request, method, REAUTHENTICATION)?;
        let encrypted = found.encrypted()?;
        Ok(Self {
            maced: found.maced(packet)?,
            encrypted: encrypted.ok_or(PacketFault::Missing(AT_ENCR_DATA))?,
            result_ind: found.result_ind.is_some(),
        })
    }
}

/// Any other packet of a session, as far as AT_MAC and AT_ENCR_DATA.
#[derive(Debug)]
pub(crate) struct Message<'p> {
    pub(crate) maced: Maced<'p>,
    /// Whether it is a re-authentication, whose response covers NONCE_S.
    pub(crate) reauthentication: bool,
    subtype: u8,
    found: Found<'p>,
}

impl<'p> Message<'p> {
    pub(crate) fn parse(packet: &'p [u8], code: Code, method: Method) -> Result<Self, PacketFault> {
        let (subtype, found) = Found::of(packet, code, method)?;
        Ok(Self {
            maced: found.maced(packet)?,
            reauthentication: subtype == REAUTHENTICATION,
            subtype,
            found,
        })
    }

    /// Whether it is a response that takes up the server's offer of protected results (RFC 4187
    /// §10.14).
    pub(crate) fn accepts_protected_result(&self) -> bool {
        matches!(self.subtype, CHALLENGE | REAUTHENTICATION) && self.found.result_ind.is_some()
    }

    /// Whether it is the notification of success.
    pub(crate) fn announces_success(&self) -> bool {
        self.subtype == NOTIFICATION && self.found.notification == Some(SUCCESS)
    }

    pub(crate) fn encrypted(&self) -> Result<Encrypted<'p>, PacketFault> {
        let encrypted = self.found.encrypted()?;
        encrypted.ok_or(PacketFault::Missing(AT_ENCR_DATA))
    }
}

/// A packet with its AT_MAC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Maced<'p> {
    packet: &'p [u8],
    mac: &'p [u8; AT_MAC_LENGTH],
    /// Where in the packet it stands.
    at: usize,
}

impl Maced<'_> {
    /// Whether AT_MAC is the right one; in constant time.
    pub(crate) fn verify(&self, k_aut: &MacKey) -> bool {
        let mut zeroed = self.packet.to_vec();
        zeroed[self.at..self.at + AT_MAC_LENGTH].fill(0);
        k_aut.verifies(&zeroed, &[], self.mac)
    }

    /// The value that AT_MAC is to have; its place has to hold zeros.
    pub(crate) fn compute(
        &self,
        k_aut: &MacKey,
        extra: &[u8],
    ) -> Result<[u8; AT_MAC_LENGTH], PacketFault> {
        if self.mac != &[0; AT_MAC_LENGTH] {
            return Err(PacketFault::Mac);
        }
        Ok(k_aut.at_mac(self.packet, extra))
    }
}

/// The attributes that keyd reads. Each stands once at most; of the lists, the first entry counts.
#[derive(Debug, Default)]
struct Found<'p> {
    rand: Option<&'p [u8; 16]>,
    autn: Option<&'p [u8; 16]>,
    mac: Option<(usize, &'p [u8; 16])>,
    network_name: Option<NetworkName<'p>>,
    kdf: Option<u16>,
    iv: Option<&'p [u8; 16]>,
    data: Option<&'p [u8]>,
    pub_ecdhe: Option<&'p [u8]>,
    kdf_fs: Option<u16>,
    result_ind: Option<()>,
    notification: Option<u16>,
}

impl<'p> Found<'p> {
    /// The subtype of a packet, and its attributes.
    fn of(packet: &'p [u8], code: Code, method: Method) -> Result<(u8, Self), PacketFault> {
        let (subtype, attributes) = Attributes::of(packet, code, method)?;
        let mut found = Self::default();
        for attribute in attributes {
            let (at, kind, value) = attribute?;
            match kind {
                AT_RAND => once(&mut found.rand, sixteen(value)?)?,
                AT_AUTN => once(&mut found.autn, sixteen(value)?)?,
                // Behind the attribute's head and two reserved octets.
                AT_MAC => once(&mut found.mac, (at + 4, sixteen(value)?))?,
                AT_KDF_INPUT => {
                    let name = NetworkName::new(text(value)?);
                    once(
                        &mut found.network_name,
                        name.map_err(|_| PacketFault::Attribute)?,
                    )?;
                }
                AT_KDF => {
                    found.kdf.get_or_insert(two(value)?);
                }
                AT_IV => once(&mut found.iv, sixteen(value)?)?,
                AT_ENCR_DATA => once(&mut found.data, reserved(value)?)?,
                AT_NOTIFICATION => once(&mut found.notification, two(value)?)?,
                AT_RESULT_IND => once(&mut found.result_ind, ())?,
                AT_PUB_ECDHE => once(&mut found.pub_ecdhe, value)?,
                AT_KDF_FS => {
                    found.kdf_fs.get_or_insert(two(value)?);
                }
                _ => {}
            }
        }
        Ok((subtype, found))
    }

    fn of_subtype(
        packet: &'p [u8],
        code: Code,
        method: Method,
        expected: u8,
    ) -> Result<Self, PacketFault> {
        match Self::of(packet, code, method)? {
            (got, found) if got == expected => Ok(found),
            _ => Err(PacketFault::Type),
        }
    }

    fn maced(&self, packet: &'p [u8]) -> Result<Maced<'p>, PacketFault> {
        let (at, mac) = self.mac.ok_or(PacketFault::Missing(AT_MAC))?;
        Ok(Maced { packet, mac, at })
    }

    /// AT_IV and AT_ENCR_DATA, of which none comes without the other (RFC 4187 §10.12).
    fn encrypted(&self) -> Result<Option<Encrypted<'p>>, PacketFault> {
        match (self.iv, self.data) {
            (None, None) => Ok(None),
            (Some(iv), Some(data)) => Ok(Some(Encrypted::new(Iv::new(*iv), data))),
            _ => Err(PacketFault::Encrypted),
        }
    }
}

/// The attributes of a packet: place, type, and what follows type and length.
struct Attributes<'p> {
    rest: &'p [u8],
    at: usize,
}

impl<'p> Attributes<'p> {
    /// The subtype of a packet of a method, and its attributes.
    fn of(packet: &'p [u8], code: Code, method: Method) -> Result<(u8, Self), PacketFault> {
        let Some((head, rest)) = packet.split_first_chunk::<HEAD>() else {
            return Err(PacketFault::Length);
        };
        let [got, _, high, low, of_method, subtype, ..] = *head;
        if usize::from(u16::from_be_bytes([high, low])) != packet.len() {
            return Err(PacketFault::Length);
        }
        if (got, of_method) != (code as u8, method.number()) {
            return Err(PacketFault::Type);
        }
        Ok((subtype, Self { rest, at: HEAD }))
    }
}

impl<'p> Iterator for Attributes<'p> {
    type Item = Result<(usize, u8, &'p [u8]), PacketFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&kind, behind) = self.rest.split_first()?;
        // Lengths count words of four octets, the head included, so that 0 would never end.
        let length = usize::from(behind.first().copied().unwrap_or(0)) * 4;
        if length == 0 || length > self.rest.len() {
            self.rest = &[];
            return Some(Err(PacketFault::Attribute));
        }
        let (attribute, rest) = self.rest.split_at(length);
        let at = self.at;
        (self.rest, self.at) = (rest, at + length);
        Some(Ok((at, kind, &attribute[2..])))
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), PacketFault> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(PacketFault::Attribute),
    }
}

fn two(value: &[u8]) -> Result<u16, PacketFault> {
    let octets = value.try_into().map_err(|_| PacketFault::Attribute)?;
    Ok(u16::from_be_bytes(octets))
}

/// What follows two reserved octets.
fn reserved(value: &[u8]) -> Result<&[u8], PacketFault> {
    value.get(2..).ok_or(PacketFault::Attribute)
}

/// Two reserved octets and a value of 16.
fn sixteen(value: &[u8]) -> Result<&[u8; 16], PacketFault> {
    let value = reserved(value)?;
    value.try_into().map_err(|_| PacketFault::Attribute)
}

/// The length of a text, the text, and padding to a multiple of four (RFC 4187 §10.10, RFC 9048
/// §3.1).
fn text(value: &[u8]) -> Result<&[u8], PacketFault> {
    let (length, padded) = value
        .split_first_chunk::<2>()
        .ok_or(PacketFault::Attribute)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let text = padded.get(..length).ok_or(PacketFault::Attribute)?;
    if padded.len() - length > 3 {
        return Err(PacketFault::Attribute);
    }
    Ok(text)
}
