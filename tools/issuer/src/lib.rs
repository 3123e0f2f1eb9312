//! Seals subscription profiles and signs commands, each for one device. This is the operator's
//! tool, and the library that the lab uses, too.
//!
//! To seal a package, it needs a device certificate and a sealing statement that the device key
//! signed. It refuses a bare sealing key, because whoever delivers one could substitute their own
//! and read K.

pub mod certificate;
mod issuer_key;
pub mod profile_toml;

pub use certificate::{CertificateError, DeviceCertificate};
pub use issuer_key::{IssuerKeyError, IssuerSigningKey};
use softsim_profile::{
    Command, DeviceId, Finding, IssuerId, Profile, SealError, SealingKeyId, SealingStatement,
    Severity, StatementError, Validity, check, seal, sign_command,
};

/// A package or command that an operator signed for one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The octets of the package or command.
    pub octets: Vec<u8>,
    /// The device that it is for.
    pub device: DeviceId,
    /// The operator who signed it.
    pub issuer: IssuerId,
    /// Its sequence.
    pub sequence: u64,
}

/// A sealed package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The package and its device.
    pub signed: Signed,
    /// The sealing key it is encrypted to.
    pub sealing_key: SealingKeyId,
}

/// Why a profile wasn't sealed, or a command not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The sealing statement isn't that of the certificate's device.
    #[error("sealing statement: {0}")]
    Statement(#[source] StatementError),
    /// The package or command can't be signed.
    #[error(transparent)]
    Seal(SealError),
}

/// The error for a profile that must not be sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", .0.error, remedy(.0.severity))]
pub struct NotToBeSealed(Finding);

/// What makes the profile sealable.
const fn remedy(severity: Severity) -> &'static str {
    match severity {
        Severity::Laboratory => " (a laboratory seals it with --allow-test-profiles)",
        Severity::Warning | Severity::Useless => "",
    }
}

/// Checks a profile against the rules before it is sealed. Returns findings that don't forbid it.
///
/// # Errors
/// The profile could never work, or only a laboratory may have it and `laboratory` is false.
pub fn may_be_sealed(profile: &Profile, laboratory: bool) -> Result<Vec<Finding>, NotToBeSealed> {
    let forbidden = |finding: &Finding| match finding.severity {
        Severity::Warning => false,
        Severity::Laboratory => !laboratory,
        Severity::Useless => true,
    };
    let findings = check(profile);
    match findings.iter().find(|finding| forbidden(finding)) {
        Some(finding) => Err(NotToBeSealed(finding.clone())),
        None => Ok(findings),
    }
}

/// Seals `profile` for the device of `certificate`, to the sealing key of its signed statement.
///
/// `sequence` must be higher than in every package and command that this issuer made for this
/// device before.
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
    let octets = seal(
        profile,
        &statement,
        issuer.signing_key(),
        sequence,
        &mut system_rng(),
    )
    .map_err(Error::Seal)?;
    Ok(Sealed {
        signed: Signed {
            octets,
            device: statement.device(),
            issuer: issuer.id(),
            sequence,
        },
        sealing_key: statement.sealing_key().id(),
    })
}

/// Signs a command to a device.
///
/// `sequence` must be higher than in every package and command that this issuer made for this
/// device before.
///
/// # Errors
/// The sequence is 0.
pub fn command_for(
    command: &Command,
    validity: &Validity,
    device: DeviceId,
    issuer: &IssuerSigningKey,
    sequence: u64,
) -> Result<Signed, Error> {
    let octets = sign_command(command, validity, device, issuer.signing_key(), sequence)
        .map_err(Error::Seal)?;
    Ok(Signed {
        octets,
        device,
        issuer: issuer.id(),
        sequence,
    })
}

/// The random number generator of the kernel.
fn system_rng() -> rand_core::UnwrapErr<getrandom::SysRng> {
    rand_core::UnwrapErr(getrandom::SysRng)
}
