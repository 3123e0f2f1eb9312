//! Verifies a sealing statement, the only envelope that an operator reads.

use p256::ecdsa::VerifyingKey;

use crate::cbor::Reader;
use crate::cose::{ALG, CONTENT_TYPE, ES256, EnvelopeError, KID, Kind, Sign1};
use crate::{DeviceId, SealingPublicKey, SealingStatement, ShapeError, StatementError};

impl SealingStatement {
    /// Verifies the statement of the device whose certificate has `device_key`.
    ///
    /// # Errors
    /// It isn't exactly a statement, or isn't this device's.
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
}

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

impl From<EnvelopeError> for StatementError {
    fn from(error: EnvelopeError) -> Self {
        match error {
            EnvelopeError::Format(got) => Self::Format { got },
            EnvelopeError::Trailing(count) => Self::Trailing { count },
            EnvelopeError::Shape(error) => Self::Shape(error),
        }
    }
}
