//! The sealing statement: a device's word for its sealing key, which the operator takes nothing
//! else for.

use core::fmt;

use p256::ecdsa::VerifyingKey;

use crate::cbor::{Reader, encode};
use crate::cose::{ALG, CONTENT_TYPE, ES256, EnvelopeError, KID, Kind, Sign1};
use crate::{DeviceId, FORMAT, SealingPublicKey, ShapeError};

/// A sealing public key that the device key signed.
///
/// Encoded as the format number 1 and a tagged COSE_Sign1 (RFC 9052 §4.2): protected headers `1`
/// ES256, `3` the content type `application/vnd.softsim.sealing-statement` and `4` the device id;
/// external data `softsim sealing statement v1`; payload a map of `1` the device id and
/// `2` the sealing public key, 1,216 octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealingStatement {
    device: DeviceId,
    sealing_key: SealingPublicKey,
}

/// Why a sealing statement was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatementError {
    /// It is a public key with no signature at all: whoever carried it could have put in their own.
    BareKey,
    /// Another format number than [`FORMAT`].
    Format {
        /// The statement's.
        got: u64,
    },
    /// Not the exact shape of a statement.
    Shape(ShapeError),
    /// Octets follow the statement.
    Trailing {
        /// How many.
        count: usize,
    },
    /// The statement of another device than the certificate's.
    Device {
        /// The certificate's.
        expected: DeviceId,
        /// The statement's.
        got: DeviceId,
    },
    /// The signature is not the device's: the sealing key may be anybody's.
    Signature {
        /// The certificate's device.
        device: DeviceId,
    },
    /// The signed octets are no X-Wing key.
    Key,
}

impl fmt::Display for StatementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BareKey => {
                f.write_str("expected a statement signed by the device, got a bare public key")
            }
            Self::Format { got } => write!(f, "expected format {FORMAT}, got {got}"),
            Self::Shape(error) => error.fmt(f),
            Self::Trailing { count } => write!(f, "expected the end, got {count} more octets"),
            Self::Device { expected, got } => write!(
                f,
                "expected the statement of device {expected}, got that of {got}"
            ),
            Self::Signature { device } => {
                write!(f, "expected the signature of device {device}, got another")
            }
            Self::Key => f.write_str("expected an X-Wing public key, got other octets"),
        }
    }
}

impl core::error::Error for StatementError {}

impl From<ShapeError> for StatementError {
    fn from(error: ShapeError) -> Self {
        Self::Shape(error)
    }
}

impl From<EnvelopeError> for StatementError {
    fn from(error: EnvelopeError) -> Self {
        match error {
            EnvelopeError::Format(got) => Self::Format { got },
            EnvelopeError::Trailing(count) => Self::Trailing { count },
            EnvelopeError::Shape(error) => Self::Shape(error),
        }
    }
}

impl SealingStatement {
    /// Signs the statement of the device that holds `device_key`.
    #[cfg(feature = "open")]
    pub fn sign(sealing_key: &SealingPublicKey, device_key: &p256::ecdsa::SigningKey) -> Vec<u8> {
        let device = DeviceId::of(device_key.verifying_key());
        let payload = encode(SealingPublicKey::LENGTH + 64, |e| {
            e.map(2)?
                .u8(1)?
                .bytes(&device.0)?
                .u8(2)?
                .bytes(sealing_key.as_bytes())?
                .ok()
        });
        crate::cose::sign1(Kind::Statement, &headers(&device), &payload, device_key)
    }

    /// Verifies the statement of the device whose certificate has `device_key`.
    ///
    /// # Errors
    /// It isn't exactly a statement, or not this device's.
    #[cfg(feature = "seal")]
    pub fn verify(octets: &[u8], device_key: &VerifyingKey) -> Result<Self, StatementError> {
        if SealingPublicKey::from_bytes(octets).is_ok() {
            return Err(StatementError::BareKey);
        }
        let device = DeviceId::of(device_key);
        let signed = Sign1::read("statement", octets)?;
        let got = read_headers(signed.protected)?;
        if got != device {
            return Err(StatementError::Device {
                expected: device,
                got,
            });
        }
        if !signed.verify(Kind::Statement, device_key) {
            return Err(StatementError::Signature { device });
        }
        let mut reader = Reader::new("statement payload", signed.payload);
        reader.map(2, "a map of 2")?;
        reader.exactly(1, "the key of the device id")?;
        let got = DeviceId(*reader.array_of("a device id of 32 octets")?);
        if got != device {
            return Err(StatementError::Device {
                expected: device,
                got,
            });
        }
        reader.exactly(2, "the key of the sealing key")?;
        let sealing_key = SealingPublicKey::from_bytes(reader.bytes("a sealing key")?)
            .map_err(|_| StatementError::Key)?;
        reader.end()?;
        Ok(Self {
            device,
            sealing_key,
        })
    }

    /// The device that signed.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// What to seal to.
    pub fn sealing_key(&self) -> &SealingPublicKey {
        &self.sealing_key
    }
}

#[cfg(feature = "open")]
fn headers(device: &DeviceId) -> Vec<u8> {
    encode(128, |e| {
        e.map(3)?.i64(ALG)?.i64(ES256)?;
        e.i64(CONTENT_TYPE)?.str(Kind::Statement.content_type())?;
        e.i64(KID)?.bytes(&device.0)?.ok()
    })
}

#[cfg(feature = "seal")]
fn read_headers(octets: &[u8]) -> Result<DeviceId, ShapeError> {
    let mut reader = Reader::new("statement headers", octets);
    reader.map(3, "a map of 3")?;
    reader.exactly(ALG, "alg")?;
    reader.exactly(ES256, "ES256")?;
    reader.exactly(CONTENT_TYPE, "the label of the content type")?;
    reader.one_of(
        [Kind::Statement],
        |kind| kind.content_type(),
        "the content type of a sealing statement",
    )?;
    reader.exactly(KID, "kid")?;
    let device = DeviceId(*reader.array_of("a device id of 32 octets")?);
    reader.end()?;
    Ok(device)
}
