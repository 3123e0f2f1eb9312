//! The keys of a package and their ids: the operator's, the device's and the sealing key.

use core::fmt;

use hpke::kem::XWing;
use hpke::rand_core::CryptoRng;
use hpke::{Deserializable, Kem, Serializable};
use p256::ecdsa::VerifyingKey;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// DER of a SubjectPublicKeyInfo up to the point: ecPublicKey with prime256v1 (RFC 5480 §2.1.1),
/// then the head of a bit string with an uncompressed point, 65 octets (§2.2).
const SPKI_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Length of the SubjectPublicKeyInfo of a P-256 key.
const SPKI_LENGTH: usize = SPKI_HEAD.len() + 65;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// Its octets.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        /// In lower-case hexadecimal.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    )*};
}

ids! {
    /// Names a device: SHA-256 of the SubjectPublicKeyInfo of its device key.
    DeviceId
    /// Names an operator: SHA-256 of the SubjectPublicKeyInfo of its signing key.
    IssuerId
    /// Names a sealing key: SHA-256 of its public half.
    SealingKeyId
}

impl DeviceId {
    /// The id of the device with this device key.
    pub fn of(device_key: &VerifyingKey) -> Self {
        Self(Sha256::digest(spki(device_key)).into())
    }
}

/// SubjectPublicKeyInfo of a P-256 key.
fn spki(key: &VerifyingKey) -> [u8; SPKI_LENGTH] {
    let point = key.to_sec1_point(false);
    let mut spki = [0; SPKI_LENGTH];
    spki[..SPKI_HEAD.len()].copy_from_slice(&SPKI_HEAD);
    spki[SPKI_HEAD.len()..].copy_from_slice(point.as_bytes());
    spki
}

/// The error for octets that aren't a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, got {length} other octets")]
pub struct InvalidKey {
    /// What was expected.
    pub expected: &'static str,
    /// The number of octets.
    pub length: usize,
}

/// The public key of an operator whose packages the device opens: a trust anchor.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuerKey {
    key: VerifyingKey,
    id: IssuerId,
}

impl IssuerKey {
    /// Length of [`Self::to_sec1`].
    pub const SEC1_LENGTH: usize = 33;

    /// Takes a SubjectPublicKeyInfo, DER: ecPublicKey on P-256 with an uncompressed point, 91
    /// octets.
    ///
    /// # Errors
    /// The octets are anything else, or the point isn't on the curve.
    pub fn from_spki(der: &[u8]) -> Result<Self, InvalidKey> {
        der.strip_prefix(&SPKI_HEAD)
            .filter(|point| point.len() == SPKI_LENGTH - SPKI_HEAD.len())
            .and_then(|point| VerifyingKey::from_sec1_bytes(point).ok())
            .map(Self::from)
            .ok_or(InvalidKey {
                expected: "the SubjectPublicKeyInfo of a P-256 key, 91 octets",
                length: der.len(),
            })
    }

    /// Takes a compressed point of P-256, 33 octets.
    ///
    /// # Errors
    /// The octets are anything else.
    pub fn from_sec1(point: &[u8]) -> Result<Self, InvalidKey> {
        Some(point)
            .filter(|point| point.len() == Self::SEC1_LENGTH)
            .and_then(|point| VerifyingKey::from_sec1_bytes(point).ok())
            .map(Self::from)
            .ok_or(InvalidKey {
                expected: "a compressed point of P-256, 33 octets",
                length: point.len(),
            })
    }

    /// The compressed point.
    pub fn to_sec1(&self) -> [u8; Self::SEC1_LENGTH] {
        let mut octets = [0; Self::SEC1_LENGTH];
        octets.copy_from_slice(self.key.to_sec1_point(true).as_bytes());
        octets
    }

    /// The SubjectPublicKeyInfo, DER.
    pub fn to_spki(&self) -> [u8; SPKI_LENGTH] {
        spki(&self.key)
    }

    /// The operator's name.
    pub fn id(&self) -> IssuerId {
        self.id
    }

    #[cfg(feature = "open")]
    pub(crate) fn key(&self) -> &VerifyingKey {
        &self.key
    }
}

impl From<VerifyingKey> for IssuerKey {
    fn from(key: VerifyingKey) -> Self {
        Self {
            id: IssuerId(Sha256::digest(spki(&key)).into()),
            key,
        }
    }
}

impl fmt::Debug for IssuerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuerKey({})", self.id)
    }
}

/// The private half of a device's sealing key. It is an X-Wing seed, which is expanded to the key
/// pair when a package is opened. It is wiped on drop, and never printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SealingKey([u8; Self::LENGTH]);

impl SealingKey {
    /// Length of the seed in octets.
    pub const LENGTH: usize = 32;

    /// Makes a new key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = [0; Self::LENGTH];
        rng.fill_bytes(&mut seed);
        let key = Self(seed);
        seed.zeroize();
        key
    }

    /// Takes a stored seed.
    pub const fn from_bytes(seed: [u8; Self::LENGTH]) -> Self {
        Self(seed)
    }

    /// The seed, to be stored.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// The public half.
    pub fn public(&self) -> SealingPublicKey {
        let mut octets = Box::new([0; SealingPublicKey::LENGTH]);
        XWing::sk_to_pk(&self.expand()).write_exact(octets.as_mut_slice());
        SealingPublicKey(octets)
    }

    pub(crate) fn expand(&self) -> <XWing as Kem>::PrivateKey {
        <XWing as Kem>::PrivateKey::from_bytes(&self.0).expect("every seed of 32 octets is a key")
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey([redacted])")
    }
}

/// The public half of a device's sealing key, to which packages are encrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingPublicKey(Box<[u8; Self::LENGTH]>);

impl SealingPublicKey {
    /// Length in octets: ML-KEM-768 and X25519.
    pub const LENGTH: usize = 1216;

    /// Takes the key's octets.
    ///
    /// # Errors
    /// The length is wrong, or a coefficient is out of ML-KEM's range (FIPS 203 §7.2).
    pub fn from_bytes(octets: &[u8]) -> Result<Self, InvalidKey> {
        match (
            <XWing as Kem>::PublicKey::from_bytes(octets),
            octets.try_into(),
        ) {
            (Ok(_), Ok(octets)) => Ok(Self(Box::new(octets))),
            _ => Err(InvalidKey {
                expected: "an X-Wing public key, 1216 octets",
                length: octets.len(),
            }),
        }
    }

    /// The key's octets.
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// The key's name.
    pub fn id(&self) -> SealingKeyId {
        SealingKeyId(Sha256::digest(self.0.as_slice()).into())
    }

    #[cfg(feature = "seal")]
    pub(crate) fn expand(&self) -> <XWing as Kem>::PublicKey {
        <XWing as Kem>::PublicKey::from_bytes(self.0.as_slice()).expect("checked when it was taken")
    }
}

impl fmt::Debug for SealingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingPublicKey({})", self.id())
    }
}
