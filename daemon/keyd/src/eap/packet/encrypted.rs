//! AT_ENCR_DATA (RFC 4187 §10.12): what a server's holds, and the two attributes that ours does.

use softsim_aka::{Iv, KEncr, NonceS, eap};
use softsim_keyd_proto::PacketFault;
use zeroize::Zeroizing;

use super::{
    AT_COUNTER, AT_COUNTER_TOO_SMALL, AT_NEXT_PSEUDONYM, AT_NEXT_REAUTH_ID, AT_NONCE_S, AT_PADDING,
    Attributes, once, sixteen, text, two,
};
use crate::vault::Name;

/// AES-128 takes blocks of so many octets.
const BLOCK: usize = 16;

/// Types from here on may be passed over by who doesn't know them (RFC 4187 §8.1).
const SKIPPABLE: u8 = 128;

/// Encrypted attributes. AT_MAC has to hold before they are opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encrypted<'p> {
    iv: Iv,
    data: &'p [u8],
}

/// What a challenge may hold, encrypted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) pseudonym: Option<Name>,
    pub(crate) reauthentication: Option<Name>,
}

/// What a re-authentication holds, encrypted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Nonce {
    pub(crate) counter: u16,
    pub(crate) nonce_s: NonceS,
    /// AT_NEXT_REAUTH_ID.
    pub(crate) next: Option<Name>,
}

/// The decrypted attributes.
#[derive(Default)]
struct Opened {
    counter: Option<u16>,
    nonce_s: Option<NonceS>,
    pseudonym: Option<Option<Name>>,
    reauthentication: Option<Option<Name>>,
}

impl<'p> Encrypted<'p> {
    pub(super) fn new(iv: Iv, data: &'p [u8]) -> Self {
        Self { iv, data }
    }

    /// What stands in a challenge: identities for the next time.
    pub(crate) fn next(&self, k_encr: &KEncr) -> Result<Next, PacketFault> {
        let opened = self.open(k_encr)?;
        if opened.counter.is_some() || opened.nonce_s.is_some() {
            return Err(PacketFault::Encrypted);
        }
        Ok(Next {
            pseudonym: opened.pseudonym.flatten(),
            reauthentication: opened.reauthentication.flatten(),
        })
    }

    /// What stands in a re-authentication. A pseudonym there is passed over: only a challenge gives
    /// one.
    pub(crate) fn nonce(&self, k_encr: &KEncr) -> Result<Nonce, PacketFault> {
        let opened = self.open(k_encr)?;
        Ok(Nonce {
            counter: opened.counter.ok_or(PacketFault::Encrypted)?,
            nonce_s: opened.nonce_s.ok_or(PacketFault::Encrypted)?,
            next: opened.reauthentication.flatten(),
        })
    }

    /// What stands in a notification after a re-authentication (RFC 4187 §9.10).
    pub(crate) fn counter(&self, k_encr: &KEncr) -> Result<u16, PacketFault> {
        let opened = self.open(k_encr)?;
        if opened.nonce_s.is_some() {
            return Err(PacketFault::Encrypted);
        }
        opened.counter.ok_or(PacketFault::Encrypted)
    }

    fn open(&self, k_encr: &KEncr) -> Result<Opened, PacketFault> {
        let mut plain = Zeroizing::new(self.data.to_vec());
        eap::decrypt(k_encr, &self.iv, &mut plain).map_err(|_| PacketFault::Encrypted)?;
        // Whatever is wrong in here, the server itself has sent it.
        Opened::read(&plain).map_err(|_| PacketFault::Encrypted)
    }
}

impl Opened {
    fn read(plain: &[u8]) -> Result<Self, PacketFault> {
        let mut opened = Self::default();
        let mut attributes = Attributes { rest: plain, at: 0 };
        while let Some(attribute) = attributes.next() {
            let (_, kind, value) = attribute?;
            match kind {
                AT_COUNTER => once(&mut opened.counter, two(value)?)?,
                AT_NONCE_S => once(&mut opened.nonce_s, NonceS::new(*sixteen(value)?))?,
                AT_NEXT_PSEUDONYM => once(&mut opened.pseudonym, name(value)?)?,
                AT_NEXT_REAUTH_ID => once(&mut opened.reauthentication, name(value)?)?,
                AT_PADDING => {
                    let last = attributes.rest.is_empty();
                    let zeros = value.iter().all(|octet| *octet == 0);
                    if !(last && zeros && value.len() + 2 < BLOCK) {
                        return Err(PacketFault::Encrypted);
                    }
                }
                SKIPPABLE.. => {}
                _ => return Err(PacketFault::Encrypted),
            }
        }
        Ok(opened)
    }
}

/// A name of a server. One that is longer than an identity may be is of no use, and no fault.
fn name(value: &[u8]) -> Result<Option<Name>, PacketFault> {
    let octets = text(value)?;
    if octets.len() > Name::MAX {
        return Ok(None);
    }
    Name::new(octets).map(Some).ok_or(PacketFault::Encrypted)
}

/// The value of an AT_ENCR_DATA of ours: AT_COUNTER, AT_COUNTER_TOO_SMALL where it was, and
/// AT_PADDING.
pub(crate) fn counter(k_encr: &KEncr, iv: &Iv, counter: u16, too_small: bool) -> Vec<u8> {
    let mut data = vec![0; BLOCK];
    let [high, low] = counter.to_be_bytes();
    data[..4].copy_from_slice(&[AT_COUNTER, 1, high, low]);
    let mut end = 4;
    if too_small {
        data[end..end + 2].copy_from_slice(&[AT_COUNTER_TOO_SMALL, 1]);
        end += 4;
    }
    data[end..end + 2].copy_from_slice(&[AT_PADDING, ((BLOCK - end) / 4) as u8]);
    eap::encrypt(k_encr, iv, &mut data).expect("it is a whole block");
    data
}
