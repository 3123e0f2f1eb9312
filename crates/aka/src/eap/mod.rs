//! The key schedules of EAP-AKA and EAP-AKA', AT_MAC and AT_ENCR_DATA.
//!
//! Full authentication gives [`AkaKeys`] or [`AkaPrimeKeys`], with or without forward secrecy.
//! [`ReauthenticationKeys`] holds the keys that a fast re-authentication replaces.

mod aka;
mod encrypted;
mod mac;
mod prf;
mod prime;

pub use aka::AkaKeys;
pub use encrypted::{NotWholeBlocks, decrypt, encrypt};
pub use mac::{AT_MAC_LENGTH, MacKey};
pub use prime::{AkaPrimeKeys, emsk, forward_secret_emsk};

use crate::{Emsk, Msk};

/// The new keys of a fast re-authentication. K_encr and K_aut remain those of the full
/// authentication.
///
/// [`ReauthenticationKeys::aka`] and [`ReauthenticationKeys::aka_prime`] derive them.
#[derive(Debug)]
pub struct ReauthenticationKeys {
    /// The key for the link.
    pub msk: Msk,
    /// The key from which further keys of the session may be derived.
    pub emsk: Emsk,
}

/// Cuts the next key off the octets of a PRF.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (key, left) = rest
        .split_first_chunk()
        .expect("the octets are as many as all the keys have");
    *rest = left;
    *key
}
