//! The operator's signing key, which is stored in a PKCS #8 file and never printed.

use std::fmt;

use p256::ecdsa::SigningKey;
use p256::elliptic_curve::Generate;
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use softsim_profile::{IssuerId, IssuerKey};
use zeroize::Zeroizing;

use crate::system_rng;

/// An operator's P-256 key pair. It is wiped on drop, and prints only its id.
pub struct IssuerSigningKey(SigningKey);

/// The error for a file that isn't a key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a P-256 private key in PKCS #8 PEM, as `softsim-issuer keygen` writes it")]
pub struct IssuerKeyError;

impl IssuerSigningKey {
    /// Generates a key.
    pub fn generate() -> Self {
        Self(SigningKey::generate_from_rng(&mut system_rng()))
    }

    /// Parses a PKCS #8 PEM file.
    ///
    /// # Errors
    /// It is anything else.
    pub fn from_pem(pem: &str) -> Result<Self, IssuerKeyError> {
        SigningKey::from_pkcs8_pem(pem)
            .map(Self)
            .map_err(|_| IssuerKeyError)
    }

    /// The private key as PKCS #8 PEM.
    pub fn to_pem(&self) -> Zeroizing<String> {
        self.0
            .to_pkcs8_pem(LineEnding::LF)
            .expect("a P-256 key has a PKCS #8 form")
    }

    /// The public key as SubjectPublicKeyInfo PEM: a device's trust anchor.
    pub fn public_pem(&self) -> String {
        self.0
            .verifying_key()
            .to_public_key_pem(LineEnding::LF)
            .expect("a P-256 key has a SubjectPublicKeyInfo")
    }

    /// The public key.
    pub fn public(&self) -> IssuerKey {
        IssuerKey::from(*self.0.verifying_key())
    }

    /// The issuer id, which identifies the operator in packages.
    pub fn id(&self) -> IssuerId {
        self.public().id()
    }

    pub(crate) fn signing_key(&self) -> &SigningKey {
        &self.0
    }
}

impl fmt::Debug for IssuerSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuerSigningKey({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_key_survives_its_file() {
        let key = IssuerSigningKey::generate();
        assert_eq!(
            IssuerSigningKey::from_pem(&key.to_pem()).unwrap().id(),
            key.id()
        );
        assert_ne!(IssuerSigningKey::generate().id(), key.id());
    }

    #[test]
    fn the_public_file_is_a_trust_anchor() {
        let key = IssuerSigningKey::generate();
        let pem = key.public_pem();
        let (label, der) = p256::pkcs8::der::pem::decode_vec(pem.as_bytes()).unwrap();
        assert_eq!(label, "PUBLIC KEY");
        assert_eq!(IssuerKey::from_spki(&der).unwrap(), key.public());
    }

    #[test]
    fn a_public_key_is_no_signing_key() {
        let key = IssuerSigningKey::generate();
        assert_eq!(
            IssuerSigningKey::from_pem(&key.public_pem()).unwrap_err(),
            IssuerKeyError
        );
    }

    #[test]
    fn it_prints_its_id_only() {
        let key = IssuerSigningKey::generate();
        assert_eq!(
            format!("{key:?}"),
            format!("IssuerSigningKey({})", key.id())
        );
    }
}
