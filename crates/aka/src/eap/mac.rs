//! AT_MAC (RFC 4187 §10.15, RFC 9048 §3.4.2): an HMAC over the packet, cut to 128 bits.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::{KAut, KAut128};

/// Length of AT_MAC in octets.
pub const AT_MAC_LENGTH: usize = 16;

/// K_aut of either method, which also determines the hash.
#[derive(Debug, PartialEq, Eq)]
pub enum MacKey {
    /// HMAC-SHA1-128, of EAP-AKA.
    Aka(KAut128),
    /// HMAC-SHA-256-128, of EAP-AKA'.
    AkaPrime(KAut),
}

impl From<KAut128> for MacKey {
    fn from(k_aut: KAut128) -> Self {
        Self::Aka(k_aut)
    }
}

impl From<KAut> for MacKey {
    fn from(k_aut: KAut) -> Self {
        Self::AkaPrime(k_aut)
    }
}

impl KAut {
    /// Computes AT_MAC as [`MacKey::at_mac`] does.
    pub fn at_mac(&self, packet_with_zeroed_mac: &[u8], extra: &[u8]) -> [u8; AT_MAC_LENGTH] {
        hmac128::<Hmac<Sha256>>(self.as_bytes(), packet_with_zeroed_mac, extra)
    }
}

impl KAut128 {
    /// Computes AT_MAC as [`MacKey::at_mac`] does.
    pub fn at_mac(&self, packet_with_zeroed_mac: &[u8], extra: &[u8]) -> [u8; AT_MAC_LENGTH] {
        hmac128::<Hmac<Sha1>>(self.as_bytes(), packet_with_zeroed_mac, extra)
    }
}

impl MacKey {
    /// Copies the key, for a session and for the context of the next re-authentication.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        match self {
            Self::Aka(k_aut) => KAut128::new(*k_aut.as_bytes()).into(),
            Self::AkaPrime(k_aut) => KAut::new(*k_aut.as_bytes()).into(),
        }
    }

    /// Computes AT_MAC of an EAP packet in which the 16 octets of the MAC are zero.
    ///
    /// `extra` is empty, except for the response of a fast re-authentication, which covers NONCE_S
    /// as well.
    pub fn at_mac(&self, packet_with_zeroed_mac: &[u8], extra: &[u8]) -> [u8; AT_MAC_LENGTH] {
        match self {
            Self::Aka(k_aut) => k_aut.at_mac(packet_with_zeroed_mac, extra),
            Self::AkaPrime(k_aut) => k_aut.at_mac(packet_with_zeroed_mac, extra),
        }
    }

    /// Whether the AT_MAC of a packet is right. Takes constant time.
    #[must_use]
    pub fn verifies(
        &self,
        packet_with_zeroed_mac: &[u8],
        extra: &[u8],
        received: &[u8; AT_MAC_LENGTH],
    ) -> bool {
        self.at_mac(packet_with_zeroed_mac, extra)
            .ct_eq(received)
            .into()
    }
}

fn hmac128<M: Mac + KeyInit>(key: &[u8], packet: &[u8], extra: &[u8]) -> [u8; AT_MAC_LENGTH] {
    let full = <M as KeyInit>::new_from_slice(key)
        .expect("HMAC takes a key of any length")
        .chain_update(packet)
        .chain_update(extra)
        .finalize()
        .into_bytes();
    let mut mac = [0; AT_MAC_LENGTH];
    mac.copy_from_slice(&full[..AT_MAC_LENGTH]);
    mac
}
