//! AT_ENCR_DATA (RFC 4187 §10.12): reads that of a server, and writes ours, which holds two
//! attributes.

use softsim_aka::{Iv, KEncr, NonceS, eap};
use softsim_eap_packet::{Attribute, Attributes, Kind};
use softsim_keyd_proto::PacketFault;
use zeroize::Zeroizing;

use crate::vault::Name;

/// The size of an AES block in octets.
const BLOCK: usize = 16;

/// Encrypted attributes. AT_MAC must be verified before they are decrypted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encrypted<'p> {
    iv: Iv,
    data: &'p [u8],
}

/// The encrypted contents of a challenge.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) pseudonym: Option<Name>,
    pub(crate) reauthentication: Option<Name>,
}

/// The encrypted contents of a re-authentication.
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
    pseudonym: Option<Name>,
    reauthentication: Option<Name>,
}

impl<'p> Encrypted<'p> {
    pub(super) fn new(iv: Iv, data: &'p [u8]) -> Self {
        Self { iv, data }
    }

    /// Decrypts the contents of a challenge: identities for the next authentication.
    pub(crate) fn next(&self, k_encr: &KEncr) -> Result<Next, PacketFault> {
        let opened = self.open(k_encr)?;
        if opened.counter.is_some() || opened.nonce_s.is_some() {
            return Err(PacketFault::Encrypted);
        }
        Ok(Next {
            pseudonym: opened.pseudonym,
            reauthentication: opened.reauthentication,
        })
    }

    /// Decrypts the contents of a re-authentication. It ignores a pseudonym, which only a challenge
    /// may assign.
    pub(crate) fn nonce(&self, k_encr: &KEncr) -> Result<Nonce, PacketFault> {
        let opened = self.open(k_encr)?;
        Ok(Nonce {
            counter: opened.counter.ok_or(PacketFault::Encrypted)?,
            nonce_s: opened.nonce_s.ok_or(PacketFault::Encrypted)?,
            next: opened.reauthentication,
        })
    }

    /// Decrypts the counter in a notification after a re-authentication (RFC 4187 §9.10).
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
        Opened::read(&plain)
    }
}

impl Opened {
    /// Parses the plaintext. Since AT_MAC was right, the server itself sent whatever is wrong in
    /// it.
    fn read(plain: &[u8]) -> Result<Self, PacketFault> {
        let mut opened = Self::default();
        for attribute in Attributes::of_encrypted(plain) {
            match attribute.map_err(|_| PacketFault::Encrypted)? {
                Attribute::Counter(counter) => opened.counter = Some(counter),
                Attribute::NonceS(nonce) => opened.nonce_s = Some(NonceS::new(*nonce)),
                Attribute::NextPseudonym(octets) => opened.pseudonym = name(octets)?,
                Attribute::NextReauthId(octets) => opened.reauthentication = name(octets)?,
                Attribute::Padding { .. } | Attribute::Skippable(..) => {}
                // AT_COUNTER_TOO_SMALL, for example, which only a peer sends.
                _ => return Err(PacketFault::Encrypted),
            }
        }
        Ok(opened)
    }
}

/// A name that a server assigns. One that is longer than an identity may be is ignored, but isn't
/// an error.
fn name(octets: &[u8]) -> Result<Option<Name>, PacketFault> {
    if octets.len() > Name::MAX {
        return Ok(None);
    }
    Name::new(octets).map(Some).ok_or(PacketFault::Encrypted)
}

/// The value of our AT_ENCR_DATA: AT_COUNTER, AT_COUNTER_TOO_SMALL if the counter was too small,
/// and AT_PADDING. It is built by hand, because the builder of `softsim-eap-packet` would make keyd
/// larger.
pub(crate) fn counter(k_encr: &KEncr, iv: &Iv, counter: u16, too_small: bool) -> Vec<u8> {
    let mut data = vec![0; BLOCK];
    let [high, low] = counter.to_be_bytes();
    data[..4].copy_from_slice(&[Kind::COUNTER.0, 1, high, low]);
    let mut end = 4;
    if too_small {
        data[end..end + 2].copy_from_slice(&[Kind::COUNTER_TOO_SMALL.0, 1]);
        end += 4;
    }
    data[end..end + 2].copy_from_slice(&[Kind::PADDING.0, ((BLOCK - end) / 4) as u8]);
    eap::encrypt(k_encr, iv, &mut data).expect("it is a whole block");
    data
}
