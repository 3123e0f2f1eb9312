//! The sealing statement, with which a device certifies its sealing key. The operator accepts no
//! other evidence.

use crate::{DeviceId, FORMAT, SealingPublicKey, ShapeError};

/// A sealing public key that the device key signed.
///
/// It is encoded as the format number 1 and a tagged COSE_Sign1 (RFC 9052 §4.2). The protected
/// headers are `1`: ES256, `3`: the content type `application/vnd.softsim.sealing-statement`, and
/// `4`: the device id. The external data is `softsim sealing statement v1`. The payload is a map of
/// `1`: the device id, and `2`: the sealing public key, 1,216 octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealingStatement {
    pub(crate) device: DeviceId,
    pub(crate) sealing_key: SealingPublicKey,
}

/// Why a sealing statement was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// It is a public key without a signature. Whoever delivered it could have substituted their
    /// own.
    #[error("expected a statement signed by the device, got a bare public key")]
    BareKey,
    /// Its format number isn't [`FORMAT`].
    #[error("expected format {FORMAT}, got {got}")]
    Format {
        /// The statement's.
        got: u64,
    },
    /// It doesn't have the exact shape of a statement.
    #[error(transparent)]
    Shape(ShapeError),
    /// Octets follow the statement.
    #[error("expected the end, got {count} more octets")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// It is the statement of another device than the certificate's.
    #[error("expected the statement of device {expected}, got that of {got}")]
    Device {
        /// The certificate's.
        expected: DeviceId,
        /// The statement's.
        got: DeviceId,
    },
    /// The signature isn't the device's, so the sealing key may be anybody's.
    #[error("expected the signature of device {device}, got another")]
    Signature {
        /// The certificate's device.
        device: DeviceId,
    },
    /// The signed octets aren't an X-Wing key.
    #[error("expected an X-Wing public key, got other octets")]
    Key,
}

impl From<ShapeError> for StatementError {
    fn from(error: ShapeError) -> Self {
        Self::Shape(error)
    }
}

impl SealingStatement {
    /// The device that signed.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// The key to seal to.
    pub fn sealing_key(&self) -> &SealingPublicKey {
        &self.sealing_key
    }
}
