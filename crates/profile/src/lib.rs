//! The subscription profile and its sealed package: seal for the operator, open for the key
//! process.
//!
//! # How a profile travels
//!
//! ```text
//! device   SealingStatement::sign    {sealing public key, device id}, signed by the device key
//! operator SealingStatement::verify  with the public key out of the device certificate
//! operator seal                      ES256 signature over HPKE ciphertext over the profile
//! device   open                      everything is checked before anything changes
//! ```
//!
//! # The package, version 1
//!
//! A package is a CBOR sequence (RFC 8742) of the format number `1` and a tagged COSE_Sign1 (RFC
//! 9052 §4.2) by the operator, with the content type `application/vnd.softsim.sealed-profile`. Its
//! payload is a tagged COSE_Encrypt0 (RFC 9052 §5.2), encrypted with HPKE (RFC 9180). The CBOR is
//! deterministic (RFC 8949 §4.2.1), the shape is exact, and nothing follows.
//!
//! | part | contents |
//! |---|---|
//! | COSE_Sign1, protected | `1`: ES256, `3`: content type, `4`: issuer, `-65537`: device id, `-65538`: sequence |
//! | COSE_Sign1, external data | the label `softsim sealed profile v1` |
//! | COSE_Encrypt0, protected | `1`: -65537 (the suite below), `4`: sealing key id |
//! | COSE_Encrypt0, unprotected | `-4`: the encapsulated key, 1,120 octets |
//! | COSE_Encrypt0, external data | \[device id, sealing key id, issuer, sequence\] |
//! | HPKE | base mode, X-Wing, HKDF-SHA256, AES-256-GCM; info = the label, AAD = Enc_structure |
//! | payload | a map with the keys 1 to 22, or to 23: the four fields of the external data, then the profile |
//!
//! COSE-HPKE and X-Wing are drafts, and the suite has no COSE number. Therefore the package uses
//! private numbers (below -65536) and has a format number in front. X-Wing protects a recorded
//! package against a quantum computer. The ES256 signature wouldn't keep one from forging a new
//! package.
//!
//! # Commands
//!
//! An operator enables, disables and deletes profiles, and rotates the sealing key, with a
//! [`Command`]. It has the same envelope, with the content type `application/vnd.softsim.command`,
//! the external data `softsim command v1`, and a payload in clear. Content type and external data
//! differ between packages, commands and statements, so that none can pass for another.
//!
//! Issuer and device id are SHA-256 of the SubjectPublicKeyInfo of a P-256 key, the sealing key id
//! is SHA-256 of the X-Wing public key.
//!
//! The features `seal` and `open` enable the modules of the same names, for the operator and for
//! the device. The key process has only `open`. The other modules are common to both.

#[cfg(any(feature = "open", feature = "seal"))]
mod cbor;
mod check;
mod command;
#[cfg(any(feature = "open", feature = "seal"))]
mod cose;
mod credentials;
mod error;
mod field;
mod keys;
#[cfg(feature = "open")]
mod open;
#[cfg(any(feature = "open", feature = "seal"))]
mod package;
#[cfg(any(feature = "open", feature = "seal"))]
mod payload;
mod profile;
#[cfg(feature = "seal")]
mod seal;
mod statement;
#[cfg(test)]
mod tests;
mod validity;

pub use check::{Finding, Severity, check};
pub use command::Command;
pub use credentials::{Algorithm, tuak_parameters};
pub use error::ShapeError;
pub use field::FieldError;
pub use hpke::rand_core;
pub use keys::{
    DeviceId, InvalidKey, IssuerId, IssuerKey, SealingKey, SealingKeyId, SealingPublicKey,
};
#[cfg(feature = "open")]
pub use open::{Contents, Expected, Opened, open};
pub use profile::{
    HomeNetworkKey, HomeNetworkKeys, Iccid, PrivacyDemand, Profile, ProtectionScheme,
    RoutingIndicator, SqnScheme, imsi,
};
#[cfg(feature = "seal")]
pub use seal::{SealError, seal, sign_command};
pub use statement::{SealingStatement, StatementError};
pub use validity::{MAX_LEAP, Now, Validity, Verdict};

/// The format of packages and statements that this crate reads and writes.
pub const FORMAT: u8 = 1;

/// The longest package that is accepted, in octets. A profile with all its fields takes about
/// 1,800.
pub const MAX_PACKAGE: usize = 3072;
