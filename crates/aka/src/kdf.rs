//! The key derivation function of TS 33.220 Annex B, and CK' and IK' of EAP-AKA', which are derived
//! with it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::{Ck, CkPrime, Ik, IkPrime, SqnXorAk};

/// The access network identity in AT_KDF_INPUT, such as `WLAN`: 1 to 1016 octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkName<'a>(&'a [u8]);

/// The error for a network name that is empty or longer than AT_KDF_INPUT can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "network name: expected 1 to {} octets, got {length}",
    NetworkName::MAX
)]
pub struct BadNetworkName {
    /// Its length in octets.
    pub length: usize,
}

impl<'a> NetworkName<'a> {
    /// An attribute has at most 1020 octets, four of which are its head and the name's length (RFC
    /// 9048 §3.1).
    pub const MAX: usize = 1016;

    /// Takes the name as received, without padding.
    ///
    /// # Errors
    /// The name is empty, which a peer treats like a wrong AUTN (RFC 9048 §3.1), or too long for
    /// the attribute.
    pub fn new(name: &'a [u8]) -> Result<Self, BadNetworkName> {
        match name.len() {
            1..=Self::MAX => Ok(Self(name)),
            length => Err(BadNetworkName { length }),
        }
    }

    /// The name's octets.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

/// CK' ‖ IK' = KDF(CK ‖ IK, FC = 0x20, network name, SQN ⊕ AK) (TS 33.402 A.2, RFC 9048 §3.3).
pub fn ck_ik_prime(
    ck: &Ck,
    ik: &Ik,
    network_name: NetworkName<'_>,
    sqn_xor_ak: SqnXorAk,
) -> (CkPrime, IkPrime) {
    let mut key = Zeroizing::new([0; 32]);
    key[..16].copy_from_slice(ck.as_bytes());
    key[16..].copy_from_slice(ik.as_bytes());
    let derived = kdf(&key, 0x20, [network_name.as_bytes(), sqn_xor_ak.as_bytes()]);
    let (mut ck_prime, mut ik_prime) = ([0; 16], [0; 16]);
    ck_prime.copy_from_slice(&derived[..16]);
    ik_prime.copy_from_slice(&derived[16..]);
    let keys = (CkPrime::new(ck_prime), IkPrime::new(ik_prime));
    ck_prime.zeroize();
    ik_prime.zeroize();
    keys
}

/// HMAC-SHA-256(key, FC ‖ P0 ‖ L0 ‖ P1 ‖ L1 …), with two-octet lengths (TS 33.220 B.2).
pub(crate) fn kdf<const N: usize>(
    key: &[u8; 32],
    fc: u8,
    parameters: [&[u8]; N],
) -> Zeroizing<[u8; 32]> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    hmac.update(&[fc]);
    for parameter in parameters {
        hmac.update(parameter);
        hmac.update(&(parameter.len() as u16).to_be_bytes());
    }
    Zeroizing::new(hmac.finalize().into_bytes().into())
}
