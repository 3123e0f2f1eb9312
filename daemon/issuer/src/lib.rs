//! Seals subscription profiles, each for one device: the operator's tool and what the lab shares with it.
//!
//! A package is made only from a device certificate and a sealing statement that its device key signed. A bare
//! sealing key is refused: whoever carries it from the device could put in their own and read K.

pub mod certificate;
mod issuer_key;
pub mod profile_toml;

use std::fmt;

use softsim_profile::{
    DeviceId, IssuerId, Profile, SealError, SealingKeyId, SealingStatement, StatementError, seal,
};

pub use certificate::{CertificateError, DeviceCertificate};
pub use issuer_key::{IssuerKeyError, IssuerSigningKey};

/// A sealed package and whom it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The package, as the device takes it.
    pub package: Vec<u8>,
    /// The device that opens it.
    pub device: DeviceId,
    /// The sealing key it is encrypted to.
    pub sealing_key: SealingKeyId,
    /// The operator who signed it.
    pub issuer: IssuerId,
    /// Its sequence.
    pub sequence: u64,
}

/// Why a profile wasn't sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The sealing statement isn't the certificate's device's.
    Statement(StatementError),
    /// It can't be sealed.
    Seal(SealError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Statement(error) => write!(f, "sealing statement: {error}"),
            Self::Seal(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

/// Seals `profile` for the device of `certificate`, to the sealing key of its signed statement.
///
/// `sequence` must be higher than in every package that this issuer made for this device before.
///
/// # Errors
/// The statement isn't signed by the certificate's key, or the sequence is 0.
pub fn seal_for_device(
    profile: &Profile,
    certificate: &DeviceCertificate,
    statement: &[u8],
    issuer: &IssuerSigningKey,
    sequence: u64,
) -> Result<Sealed, Error> {
    let statement =
        SealingStatement::verify(statement, certificate.key()).map_err(Error::Statement)?;
    let package = seal(
        profile,
        &statement,
        issuer.signing_key(),
        sequence,
        &mut system_rng(),
    )
    .map_err(Error::Seal)?;
    Ok(Sealed {
        package,
        device: statement.device(),
        sealing_key: statement.sealing_key().id(),
        issuer: issuer.id(),
        sequence,
    })
}

/// The kernel's random numbers.
fn system_rng() -> rand_core::UnwrapErr<getrandom::SysRng> {
    rand_core::UnwrapErr(getrandom::SysRng)
}
