//! The key schedule of EAP-AKA' (RFC 9048 §3.3), without and with forward secrecy (RFC 9678 §6.3).

use zeroize::Zeroizing;

use super::prf::prf_prime;
use super::{ReauthenticationKeys, take};
use crate::{CkPrime, Emsk, IkPrime, KAut, KEncr, KRe, Msk, NonceS, SharedSecret};

/// The length of K_encr ‖ K_aut, the first part of MK.
const INTERNAL: usize = KEncr::LENGTH + KAut::LENGTH;

/// The length of K_re ‖ MSK, the second part of MK and the first of MK_ECDHE. EMSK follows it.
const EXTERNAL: usize = KRe::LENGTH + Msk::LENGTH;

/// The keys of one full authentication. [`emsk`] and [`forward_secret_emsk`] derive EMSK, which few
/// callers need.
#[derive(Debug)]
pub struct AkaPrimeKeys {
    /// Encrypts AT_ENCR_DATA.
    pub k_encr: KEncr,
    /// Authenticates messages.
    pub k_aut: KAut,
    /// The root of fast re-authentications.
    pub k_re: KRe,
    /// The key for the link.
    pub msk: Msk,
}

impl AkaPrimeKeys {
    /// MK = PRF'(IK' ‖ CK', "EAP-AKA'" ‖ Identity), cut into keys (RFC 9048 §3.3).
    ///
    /// `identity` is the one of RFC 9048 §5.3.1, octet for octet as it was sent.
    pub fn derive(ck_prime: &CkPrime, ik_prime: &IkPrime, identity: &[u8]) -> Self {
        let mut mk = Zeroizing::new([0; INTERNAL + EXTERNAL]);
        master_key(ck_prime, ik_prime, identity, mk.as_mut_slice());
        let (internal, external) = mk.split_at(INTERNAL);
        Self::cut(internal, external)
    }

    /// Takes K_encr and K_aut from MK, but K_re and MSK from MK_ECDHE = PRF'(IK' ‖ CK' ‖
    /// SHARED_SECRET, "EAP-AKA' FS" ‖ Identity) (RFC 9678 §6.3).
    pub fn derive_forward_secret(
        ck_prime: &CkPrime,
        ik_prime: &IkPrime,
        shared_secret: &SharedSecret,
        identity: &[u8],
    ) -> Self {
        let mut mk = Zeroizing::new([0; INTERNAL]);
        master_key(ck_prime, ik_prime, identity, mk.as_mut_slice());
        let mut mk_ecdhe = Zeroizing::new([0; EXTERNAL]);
        let output = mk_ecdhe.as_mut_slice();
        ephemeral_master_key(ck_prime, ik_prime, shared_secret, identity, output);
        Self::cut(mk.as_slice(), mk_ecdhe.as_slice())
    }

    fn cut(mut internal: &[u8], mut external: &[u8]) -> Self {
        Self {
            k_encr: KEncr::new(take(&mut internal)),
            k_aut: KAut::new(take(&mut internal)),
            k_re: KRe::new(take(&mut external)),
            msk: Msk::new(take(&mut external)),
        }
    }
}

/// EMSK: the last 64 octets of the same MK, which never leave the peer and the server (RFC 9048
/// §3.3).
pub fn emsk(ck_prime: &CkPrime, ik_prime: &IkPrime, identity: &[u8]) -> Emsk {
    let mut mk = Zeroizing::new([0; INTERNAL + EXTERNAL + Emsk::LENGTH]);
    master_key(ck_prime, ik_prime, identity, mk.as_mut_slice());
    Emsk::new(take(&mut &mk[INTERNAL + EXTERNAL..]))
}

/// EMSK with forward secrecy: the last 64 octets of MK_ECDHE (RFC 9678 §6.3).
pub fn forward_secret_emsk(
    ck_prime: &CkPrime,
    ik_prime: &IkPrime,
    shared_secret: &SharedSecret,
    identity: &[u8],
) -> Emsk {
    let mut mk_ecdhe = Zeroizing::new([0; EXTERNAL + Emsk::LENGTH]);
    let output = mk_ecdhe.as_mut_slice();
    ephemeral_master_key(ck_prime, ik_prime, shared_secret, identity, output);
    Emsk::new(take(&mut &mk_ecdhe[EXTERNAL..]))
}

impl ReauthenticationKeys {
    /// EAP-AKA': MK = PRF'(K_re, "EAP-AKA' re-auth" ‖ Identity ‖ counter ‖ NONCE_S) (RFC 9048
    /// §3.3).
    ///
    /// `identity` is the re-authentication identity, `k_re` that of the full authentication.
    pub fn aka_prime(k_re: &KRe, identity: &[u8], counter: u16, nonce_s: &NonceS) -> Self {
        let mut mk = Zeroizing::new([0; Msk::LENGTH + Emsk::LENGTH]);
        let s = [
            b"EAP-AKA' re-auth",
            identity,
            &counter.to_be_bytes(),
            nonce_s.as_bytes().as_slice(),
        ];
        prf_prime(k_re.as_bytes(), s, mk.as_mut_slice());
        let mut rest = mk.as_slice();
        Self {
            msk: Msk::new(take(&mut rest)),
            emsk: Emsk::new(take(&mut rest)),
        }
    }
}

/// Fills `mk` with the first octets of MK.
fn master_key(ck_prime: &CkPrime, ik_prime: &IkPrime, identity: &[u8], mk: &mut [u8]) {
    let mut key = Zeroizing::new([0; 32]);
    key[..16].copy_from_slice(ik_prime.as_bytes());
    key[16..].copy_from_slice(ck_prime.as_bytes());
    prf_prime(key.as_slice(), [b"EAP-AKA'", identity], mk);
}

/// Fills `mk_ecdhe` with the first octets of MK_ECDHE.
fn ephemeral_master_key(
    ck_prime: &CkPrime,
    ik_prime: &IkPrime,
    shared_secret: &SharedSecret,
    identity: &[u8],
    mk_ecdhe: &mut [u8],
) {
    let mut key = Zeroizing::new([0; 64]);
    key[..16].copy_from_slice(ik_prime.as_bytes());
    key[16..32].copy_from_slice(ck_prime.as_bytes());
    key[32..].copy_from_slice(shared_secret.as_bytes());
    prf_prime(key.as_slice(), [b"EAP-AKA' FS", identity], mk_ecdhe);
}
