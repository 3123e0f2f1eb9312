//! The common parts of sealing and opening: the suite, the headers' labels and the associated data.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;

use crate::cbor::encode;
use crate::cose::{ALG, KID, Kind};
use crate::{DeviceId, IssuerId, SealingKeyId};

/// HPKE's info: separates packages of this format from everything else that a sealing key opens.
pub(crate) const INFO: &[u8] = Kind::Profile.label().as_bytes();

pub(crate) type Aead = AesGcm256;
pub(crate) type Kdf = HkdfSha256;
pub(crate) type Kem = XWing;

/// CBOR tag of COSE_Encrypt0 (RFC 9052 §5.2).
pub(crate) const TAG_ENCRYPT0: u64 = 16;

/// COSE algorithm, for private use: HPKE base mode with X-Wing, HKDF-SHA256 and AES-256-GCM.
pub(crate) const HPKE_XWING: i64 = -65537;

/// COSE header parameter, for private use: the device id.
pub(crate) const DEVICE: i64 = -65537;

/// COSE header parameter, for private use: the sequence.
pub(crate) const SEQUENCE: i64 = -65538;

/// COSE header parameter of COSE-HPKE: the encapsulated key.
pub(crate) const EK: i64 = -4;

/// Length of the encapsulated key: ML-KEM-768 ciphertext and X25519 share.
pub(crate) const ENCAPSULATED_LENGTH: usize = 1120;

/// The protected headers of an operator's envelope: issuer, device, sequence and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Headers {
    pub(crate) kind: Kind,
    pub(crate) issuer: IssuerId,
    pub(crate) device: DeviceId,
    pub(crate) sequence: u64,
}

/// The device, sealing key, issuer and sequence of a package, which are outside the ciphertext and
/// again inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addressing {
    pub(crate) device: DeviceId,
    pub(crate) sealing_key: SealingKeyId,
    pub(crate) issuer: IssuerId,
    pub(crate) sequence: u64,
}

impl Addressing {
    /// The protected headers of the ciphertext.
    pub(crate) fn encryption_headers(&self) -> Vec<u8> {
        encode(64, |e| {
            e.map(2)?
                .i64(ALG)?
                .i64(HPKE_XWING)?
                .i64(KID)?
                .bytes(&self.sealing_key.0)?
                .ok()
        })
    }

    /// Enc_structure (RFC 9052 §5.3): the associated data of the ciphertext.
    pub(crate) fn associated_data(&self) -> Vec<u8> {
        let external = encode(160, |e| {
            e.array(4)?
                .bytes(&self.device.0)?
                .bytes(&self.sealing_key.0)?;
            e.bytes(&self.issuer.0)?.u64(self.sequence)?.ok()
        });
        encode(256, |e| {
            e.array(3)?
                .str("Encrypt0")?
                .bytes(&self.encryption_headers())?
                .bytes(&external)?
                .ok()
        })
    }
}
