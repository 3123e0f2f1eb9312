//! What is left of a deleted profile: enough to know its K again, so that installing it anew can't rewind SQN.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use softsim_aka::K;

use crate::Imsi;

/// Separates this use of K from every other.
const LABEL: &[u8] = b"softsim tombstone 1";

/// HMAC-SHA-256 over the IMSI under K: the same for the same subscription, and telling nothing of K.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone([u8; 32]);

impl Tombstone {
    /// The tombstone of a subscription.
    pub fn of(imsi: &Imsi, k: &K) -> Self {
        let hmac =
            Hmac::<Sha256>::new_from_slice(k.as_bytes()).expect("HMAC takes a key of any length");
        Self(
            hmac.chain_update(LABEL)
                .chain_update(imsi.digits())
                .finalize()
                .into_bytes()
                .into(),
        )
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
    use crate::MncLength;

    #[test]
    fn only_the_same_imsi_and_k_have_the_same_tombstone() {
        let imsi = |digits: &[u8]| Imsi::new(digits, MncLength::Two).unwrap();
        let (a, b) = (imsi(b"001010000000001"), imsi(b"001010000000002"));
        let tombstone = Tombstone::of(&a, &K::new([1; 16]));
        assert_eq!(tombstone, Tombstone::of(&a, &K::new([1; 16])));
        assert_ne!(tombstone, Tombstone::of(&b, &K::new([1; 16])));
        assert_ne!(tombstone, Tombstone::of(&a, &K::new([2; 16])));
        assert_eq!(Tombstone::new(*tombstone.as_bytes()), tombstone);
    }
}
