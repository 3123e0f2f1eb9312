//! The key schedule of EAP-AKA (RFC 4187 §7).

use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use super::prf::fips186_2;
use super::{ReauthenticationKeys, take};
use crate::{Ck, Emsk, Ik, KAut128, KEncr, Mk, Msk, NonceS};

/// The keys of one full authentication.
#[derive(Debug)]
pub struct AkaKeys {
    /// The root of fast re-authentications.
    pub mk: Mk,
    /// Encrypts AT_ENCR_DATA.
    pub k_encr: KEncr,
    /// Authenticates messages.
    pub k_aut: KAut128,
    /// The key for the link.
    pub msk: Msk,
    /// The key from which further keys of the session may be derived.
    pub emsk: Emsk,
}

impl AkaKeys {
    const LENGTH: usize = KEncr::LENGTH + KAut128::LENGTH + Msk::LENGTH + Emsk::LENGTH;

    /// MK = SHA1(Identity ‖ IK ‖ CK), expanded into the other keys.
    ///
    /// `identity` is the last AT_IDENTITY, or else the EAP-Response/Identity, octet for octet as it
    /// was sent.
    pub fn derive(ck: &Ck, ik: &Ik, identity: &[u8]) -> Self {
        Self::expand(Mk::new(sha1([identity, ik.as_bytes(), ck.as_bytes()])))
    }

    /// The keys under a master key.
    pub fn expand(mk: Mk) -> Self {
        let mut keys = Zeroizing::new([0; Self::LENGTH]);
        fips186_2(mk.as_bytes(), keys.as_mut_slice());
        let mut rest = keys.as_slice();
        Self {
            mk,
            k_encr: KEncr::new(take(&mut rest)),
            k_aut: KAut128::new(take(&mut rest)),
            msk: Msk::new(take(&mut rest)),
            emsk: Emsk::new(take(&mut rest)),
        }
    }
}

impl ReauthenticationKeys {
    /// EAP-AKA: XKEY' = SHA1(Identity ‖ counter ‖ NONCE_S ‖ MK), expanded (RFC 4187 §7).
    ///
    /// `identity` is the re-authentication identity, `mk` that of the full authentication.
    pub fn aka(mk: &Mk, identity: &[u8], counter: u16, nonce_s: &NonceS) -> Self {
        let xkey = Zeroizing::new(sha1([
            identity,
            &counter.to_be_bytes(),
            nonce_s.as_bytes(),
            mk.as_bytes(),
        ]));
        let mut keys = Zeroizing::new([0; Msk::LENGTH + Emsk::LENGTH]);
        fips186_2(&xkey, keys.as_mut_slice());
        let mut rest = keys.as_slice();
        Self {
            msk: Msk::new(take(&mut rest)),
            emsk: Emsk::new(take(&mut rest)),
        }
    }
}

fn sha1<const N: usize>(parts: [&[u8]; N]) -> [u8; 20] {
    let mut hash = Sha1::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}
