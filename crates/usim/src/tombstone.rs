//! What is left of a deleted profile: enough to know its K again, so that installing it anew can't rewind SQN.
//!
//! An IMSI has no part in it: AUTN doesn't name one, so a used AUTN is good again wherever K is, if SQN begins anew.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use softsim_aka::K;

/// Separates this use of K from every other.
const LABEL: &[u8] = b"softsim tombstone 1";

/// HMAC-SHA-256 under K: the same for the same K, and telling nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone([u8; 32]);

impl Tombstone {
    /// The tombstone of a key.
    pub fn of(k: &K) -> Self {
        let hmac =
            Hmac::<Sha256>::new_from_slice(k.as_bytes()).expect("HMAC takes a key of any length");
        Self(hmac.chain_update(LABEL).finalize().into_bytes().into())
    }

    /// Takes one back from storage.
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

    use super::*;

    #[test]
    fn only_the_same_k_has_the_same_tombstone() {
        let tombstone = Tombstone::of(&K::new([1; 16]));
        assert_eq!(tombstone, Tombstone::of(&K::new([1; 16])));
        assert_ne!(tombstone, Tombstone::of(&K::new([2; 16])));
        assert_eq!(Tombstone::new(*tombstone.as_bytes()), tombstone);
    }
}
