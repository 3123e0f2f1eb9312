//! The tombstone of a deleted profile, by which its K is recognised, so that installing the profile
//! again can't rewind SQN.
//!
//! A tombstone doesn't depend on the IMSI. AUTN doesn't name one, so a used AUTN would be valid
//! again in any profile with the same K, if its SQN began anew.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use softsim_aka::Credentials;

/// Separates this use of K from every other.
const LABEL: &[u8] = b"softsim tombstone 1";

/// HMAC-SHA-256 under K. It is the same for the same K, whatever the algorithm set, and reveals
/// nothing about K.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone([u8; 32]);

impl Tombstone {
    /// The tombstone of a subscription's K.
    ///
    /// HMAC pads its key with zeros, so the length of K is part of what is authenticated.
    pub fn of(credentials: &Credentials) -> Self {
        let k = credentials.k();
        let hmac = Hmac::<Sha256>::new_from_slice(k)
            .expect("HMAC takes a key of any length")
            .chain_update(LABEL)
            .chain_update([k.len() as u8]);
        Self(hmac.finalize().into_bytes().into())
    }

    /// Restores a tombstone from storage.
    pub const fn new(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// Its octets, for storage.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use softsim_aka::{K, K256, Opc, Topc, TuakKey, TuakParameters};

    use super::*;

    #[test]
    fn only_the_same_k_has_the_same_tombstone() {
        let milenage = |k| Credentials::Milenage {
            k: K::new(k),
            opc: Opc::new([0xcd; 16]),
        };
        let tombstone = Tombstone::of(&milenage([1; 16]));
        assert_eq!(tombstone, Tombstone::of(&milenage([1; 16])));
        assert_ne!(tombstone, Tombstone::of(&milenage([2; 16])));
        assert_eq!(Tombstone::new(*tombstone.as_bytes()), tombstone);

        let k = K::new([1; 16]);
        assert_eq!(tombstone, Tombstone::of(&Credentials::Xor { k }));
        let tuak = |k| Credentials::Tuak {
            k,
            topc: Topc::new([0xcd; 32]),
            parameters: TuakParameters::default(),
        };
        let k = TuakKey::K(K::new([1; 16]));
        assert_eq!(tombstone, Tombstone::of(&tuak(k)));
        let mut padded = [0; 32];
        padded[..16].fill(1);
        let k = TuakKey::K256(K256::new(padded));
        assert_ne!(tombstone, Tombstone::of(&tuak(k)));
    }
}
