//! Ephemeral key agreement over X25519 and P-256, for forward secrecy (RFC 9678 §6.3) and for SUCI
//! (TS 33.501 C.3.4).

use core::fmt;

use p256::elliptic_curve::sec1::ToSec1Point;
use rand_core::CryptoRng;
pub use softsim_eap_types::Group;
use subtle::ConstantTimeEq;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use crate::SharedSecret;

/// A public key of either group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey {
    group: Group,
    octets: [u8; Self::MAX],
}

impl PublicKey {
    /// Length of the longest public key in octets.
    pub const MAX: usize = 33;

    /// The group it belongs to.
    pub fn group(&self) -> Group {
        self.group
    }

    /// The key's octets, as on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[..self.group.public_key_length()]
    }

    fn new(group: Group, key: &[u8]) -> Self {
        let mut octets = [0; Self::MAX];
        octets[..key.len()].copy_from_slice(key);
        Self { group, octets }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?}, ", self.group)?;
        self.as_bytes()
            .iter()
            .try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str(")")
    }
}

/// Why the other side's public key is unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPublicKey {
    /// Its length isn't that of the group's keys.
    #[error("public key of {group:?}: expected {} octets, got {found}", .group.public_key_length())]
    Length {
        /// The group.
        group: Group,
        /// Its length in octets.
        found: usize,
    },
    /// It isn't a compressed point of P-256.
    #[error("expected a compressed point of P-256, got other octets")]
    NotAPoint,
    /// Its point is of small order: the shared secret would be all zeros.
    #[error("expected a point of large order, got one of small order")]
    NotContributory,
}

/// The private key of a key agreement. It is wiped on drop.
pub struct PrivateKey(Scalar);

enum Scalar {
    X25519(StaticSecret),
    P256(p256::SecretKey),
}

/// The error for 32 octets that aren't a private key of P-256: they are zero, or not less than the
/// order of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a private key of P-256 is above zero and below the group's order")]
pub struct BadPrivateKey;

impl PrivateKey {
    /// Generates a key.
    pub fn generate(group: Group, rng: &mut impl CryptoRng) -> Self {
        let mut octets = Zeroizing::new([0; 32]);
        loop {
            rng.fill_bytes(octets.as_mut_slice());
            if let Ok(key) = Self::from_octets(group, &octets) {
                return key;
            }
        }
    }

    /// Takes a key from its octets: the scalar of X25519 as RFC 7748 §5 decodes it, that of P-256
    /// in network order.
    ///
    /// # Errors
    /// [`BadPrivateKey`], about once in 2^32 random octet strings of P-256.
    pub fn from_octets(group: Group, octets: &[u8; 32]) -> Result<Self, BadPrivateKey> {
        match group {
            Group::X25519 => Ok(Self(Scalar::X25519(StaticSecret::from(*octets)))),
            Group::P256 => p256::SecretKey::from_slice(octets)
                .map(|key| Self(Scalar::P256(key)))
                .map_err(|_| BadPrivateKey),
        }
    }

    /// The group it belongs to.
    pub fn group(&self) -> Group {
        match self.0 {
            Scalar::X25519(_) => Group::X25519,
            Scalar::P256(_) => Group::P256,
        }
    }

    /// The public key for the other side.
    pub fn public_key(&self) -> PublicKey {
        match &self.0 {
            Scalar::X25519(key) => {
                PublicKey::new(Group::X25519, x25519_dalek::PublicKey::from(key).as_bytes())
            }
            Scalar::P256(key) => PublicKey::new(
                Group::P256,
                key.public_key().as_affine().to_sec1_point(true).as_bytes(),
            ),
        }
    }

    /// The secret shared with the owner of `public_key`: the u-coordinate of RFC 7748, or the
    /// x-coordinate of P-256.
    ///
    /// # Errors
    /// [`BadPublicKey`].
    pub fn agree(&self, public_key: &[u8]) -> Result<SharedSecret, BadPublicKey> {
        match &self.0 {
            Scalar::X25519(key) => {
                let public_key =
                    <[u8; 32]>::try_from(public_key).map_err(|_| self.wrong_length(public_key))?;
                let secret = key.diffie_hellman(&public_key.into());
                match secret.as_bytes().ct_eq(&[0; 32]).into() {
                    true => Err(BadPublicKey::NotContributory),
                    false => Ok(SharedSecret::new(*secret.as_bytes())),
                }
            }
            Scalar::P256(key) => {
                if public_key.len() != Group::P256.public_key_length() {
                    return Err(self.wrong_length(public_key));
                }
                // SEC 1 has another short form, which neither protocol allows.
                let compressed = matches!(public_key[0], 2 | 3);
                let public_key = p256::PublicKey::from_sec1_bytes(public_key)
                    .ok()
                    .filter(|_| compressed)
                    .ok_or(BadPublicKey::NotAPoint)?;
                let secret = key.diffie_hellman(&public_key);
                Ok(SharedSecret::new((*secret.raw_secret_bytes()).into()))
            }
        }
    }

    fn wrong_length(&self, public_key: &[u8]) -> BadPublicKey {
        BadPublicKey::Length {
            group: self.group(),
            found: public_key.len(),
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:?}, [redacted])", self.group())
    }
}
