//! The elliptic curve integrated encryption scheme of TS 33.501 Annex C.3: profile A over X25519, B
//! over P-256.

use aes::Aes128;
use ctr::Ctr32BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use softsim_aka::SharedSecret;
use softsim_aka::agreement::{BadPublicKey, PrivateKey, PublicKey};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Length of the MAC tag in octets.
pub const TAG_LENGTH: usize = 8;

/// The parts of the scheme output besides the ciphertext: the scheme output is ephemeral public key
/// ‖ ciphertext ‖ MAC tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The public half of the ephemeral key.
    pub ephemeral_public_key: PublicKey,
    /// The MAC tag over the ciphertext.
    pub tag: [u8; TAG_LENGTH],
}

/// Encrypts in place for the home network (C.3.2).
///
/// Use a new `ephemeral_key` for every call.
///
/// # Errors
/// The home network's public key isn't valid for the ephemeral key's group. Nothing has changed
/// then.
pub fn encrypt(
    home_network_key: &[u8],
    ephemeral_key: &PrivateKey,
    text: &mut [u8],
) -> Result<Sealed, BadPublicKey> {
    let ephemeral_public_key = ephemeral_key.public_key();
    let secret = ephemeral_key.agree(home_network_key)?;
    let keys = Keys::derive(&secret, ephemeral_public_key.as_bytes());
    keys.apply_keystream(text);
    Ok(Sealed {
        ephemeral_public_key,
        tag: keys.tag(text),
    })
}

/// Why a ciphertext can't be decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecipherable {
    /// The ephemeral public key isn't valid for the group.
    PublicKey(BadPublicKey),
    /// The MAC tag is wrong.
    Tag,
}

/// Decrypts in place at the home network (C.3.3).
///
/// # Errors
/// [`Undecipherable`]. Nothing has changed then.
pub fn decrypt(
    home_network_key: &PrivateKey,
    ephemeral_public_key: &[u8],
    text: &mut [u8],
    tag: &[u8; TAG_LENGTH],
) -> Result<(), Undecipherable> {
    let secret = home_network_key
        .agree(ephemeral_public_key)
        .map_err(Undecipherable::PublicKey)?;
    let keys = Keys::derive(&secret, ephemeral_public_key);
    if !bool::from(keys.tag(text).ct_eq(tag)) {
        return Err(Undecipherable::Tag);
    }
    keys.apply_keystream(text);
    Ok(())
}

/// Encryption key (16 octets) ‖ initial counter block (16) ‖ MAC key (32) (C.3.4).
struct Keys(Zeroizing<[u8; 64]>);

impl Keys {
    /// The KDF of ANSI X9.63: SHA-256(Z ‖ counter ‖ SharedInfo1), with the ephemeral public key as
    /// SharedInfo1.
    fn derive(secret: &SharedSecret, ephemeral_public_key: &[u8]) -> Self {
        let mut keys = Zeroizing::new([0; 64]);
        for (chunk, counter) in keys.chunks_exact_mut(32).zip(1u32..) {
            let hash = Sha256::new()
                .chain_update(secret.as_bytes())
                .chain_update(counter.to_be_bytes())
                .chain_update(ephemeral_public_key);
            hash.finalize_into(chunk.try_into().expect("32 octets"));
        }
        Self(keys)
    }

    /// AES-128 in counter mode, with a counter in the last 32 bits of the block (C.3.4.0).
    fn apply_keystream(&self, text: &mut [u8]) {
        let (key, rest) = self.0.split_at(16);
        let icb = &rest[..16];
        Ctr32BE::<Aes128>::new_from_slices(key, icb)
            .expect("both have 16 octets")
            .apply_keystream(text);
    }

    fn tag(&self, ciphertext: &[u8]) -> [u8; TAG_LENGTH] {
        let full = Hmac::<Sha256>::new_from_slice(&self.0[32..])
            .expect("HMAC takes a key of any length")
            .chain_update(ciphertext)
            .finalize()
            .into_bytes();
        let mut tag = [0; TAG_LENGTH];
        tag.copy_from_slice(&full[..TAG_LENGTH]);
        tag
    }
}
