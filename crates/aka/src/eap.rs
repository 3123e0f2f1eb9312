//! The key schedule of EAP-AKA' and its AT_MAC (RFC 9048 §3.3 and §3.4).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{CkPrime, Emsk, IkPrime, KAut, KEncr, KRe, Msk};

/// Length of AT_MAC in octets: HMAC-SHA-256 cut to 128 bits (RFC 9048 §3.4.2).
pub const AT_MAC_LENGTH: usize = 16;

/// K_encr ‖ K_aut ‖ K_re ‖ MSK: what comes before EMSK in MK.
const BEFORE_EMSK: usize = KEncr::LENGTH + KAut::LENGTH + KRe::LENGTH + Msk::LENGTH;

/// The keys of one full authentication; EMSK, which few need, is [`emsk`].
#[derive(Debug)]
pub struct AkaPrimeKeys {
    /// Encrypts AT_ENCR_DATA.
    pub k_encr: KEncr,
    /// Authenticates messages.
    pub k_aut: KAut,
    /// The root of fast re-authentications.
    pub k_re: KRe,
    /// For the link.
    pub msk: Msk,
}

impl AkaPrimeKeys {
    /// MK = PRF'(IK' ‖ CK', "EAP-AKA'" ‖ Identity), cut into keys (RFC 9048 §3.3).
    ///
    /// `identity` is the one of RFC 9048 §3.3.1, octet for octet as it was sent.
    pub fn derive(ck_prime: &CkPrime, ik_prime: &IkPrime, identity: &[u8]) -> Self {
        let mut mk = Zeroizing::new([0; BEFORE_EMSK]);
        master_key(ck_prime, ik_prime, identity, mk.as_mut_slice());
        let mut rest = mk.as_slice();
        Self {
            k_encr: KEncr::new(take(&mut rest)),
            k_aut: KAut::new(take(&mut rest)),
            k_re: KRe::new(take(&mut rest)),
            msk: Msk::new(take(&mut rest)),
        }
    }
}

/// EMSK: the last 64 octets of the same MK, which never leave the peer and the server (RFC 9048 §3.3).
pub fn emsk(ck_prime: &CkPrime, ik_prime: &IkPrime, identity: &[u8]) -> Emsk {
    let mut mk = Zeroizing::new([0; BEFORE_EMSK + Emsk::LENGTH]);
    master_key(ck_prime, ik_prime, identity, mk.as_mut_slice());
    Emsk::new(take(&mut &mk[BEFORE_EMSK..]))
}

/// As many octets of MK as `mk` has.
fn master_key(ck_prime: &CkPrime, ik_prime: &IkPrime, identity: &[u8], mk: &mut [u8]) {
    let mut key = Zeroizing::new([0; 32]);
    key[..16].copy_from_slice(ik_prime.as_bytes());
    key[16..].copy_from_slice(ck_prime.as_bytes());
    prf_prime(&key, [b"EAP-AKA'", identity], mk);
}

/// AT_MAC of an EAP packet in which the 16 octets of the MAC are zero (RFC 4187 §10.15).
pub fn at_mac(k_aut: &KAut, packet_with_zeroed_mac: &[u8]) -> [u8; AT_MAC_LENGTH] {
    let full = keyed(k_aut.as_bytes())
        .chain_update(packet_with_zeroed_mac)
        .finalize()
        .into_bytes();
    let mut mac = [0; AT_MAC_LENGTH];
    mac.copy_from_slice(&full[..AT_MAC_LENGTH]);
    mac
}

/// Whether the AT_MAC that came with a packet is the right one; in constant time.
#[must_use]
pub fn verify_at_mac(
    k_aut: &KAut,
    packet_with_zeroed_mac: &[u8],
    received: &[u8; AT_MAC_LENGTH],
) -> bool {
    at_mac(k_aut, packet_with_zeroed_mac).ct_eq(received).into()
}

/// PRF'(K, S) = T1 ‖ T2 ‖ …, where Tn = HMAC-SHA-256(K, Tn-1 ‖ S ‖ n) (RFC 9048 §3.4.1); S comes in parts.
fn prf_prime<const N: usize>(key: &[u8; 32], s: [&[u8]; N], output: &mut [u8]) {
    let keyed = keyed(key);
    let mut previous = Zeroizing::new([0; 32]);
    for (chunk, n) in output.chunks_mut(32).zip(1u8..) {
        let mut hmac = keyed.clone();
        if n > 1 {
            hmac.update(previous.as_slice());
        }
        s.iter().for_each(|part| hmac.update(part));
        hmac.update(&[n]);
        *previous = hmac.finalize().into_bytes().into();
        chunk.copy_from_slice(&previous[..chunk.len()]);
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// Cuts the next key off MK.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (key, left) = rest
        .split_first_chunk()
        .expect("MK is as long as its five keys");
    *rest = left;
    *key
}
