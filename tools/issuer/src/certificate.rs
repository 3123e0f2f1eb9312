//! The device certificate, whose key must have signed the sealing statement.

use p256::ecdsa::VerifyingKey;
use p256::pkcs8::DecodePublicKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use softsim_profile::DeviceId;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// A device certificate and its P-256 key.
#[derive(Clone, Debug)]
pub struct DeviceCertificate {
    der: CertificateDer<'static>,
    key: VerifyingKey,
}

/// Why a certificate isn't accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It isn't an X.509 version 3 certificate.
    #[error("expected an X.509 version 3 certificate in PEM or DER, got other octets")]
    Malformed,
    /// It is a certificate of an older version.
    #[error(
        "expected an X.509 version 3 certificate, got an older version \
         (openssl x509 -req makes version 3 only if -extfile names extensions)"
    )]
    Version,
    /// Its key isn't a P-256 key.
    #[error("expected a P-256 key in the certificate, got another")]
    Key,
    /// An authority's certificate is malformed.
    #[error("expected authorities' certificates in PEM or DER, got other octets")]
    Authority,
    /// It doesn't chain to an authority of the list, or isn't valid now.
    #[error("expected a certificate of a device authority, got one that isn't ({reason})")]
    Untrusted {
        /// The reason that the path validation reports.
        reason: String,
    },
}

impl DeviceCertificate {
    /// Parses a certificate in PEM or DER. It doesn't check who issued it; see [`Self::verify`].
    ///
    /// # Errors
    /// It isn't a certificate of a P-256 key.
    pub fn parse(octets: &[u8]) -> Result<Self, CertificateError> {
        let der = pem_or_der(octets)
            .into_iter()
            .next()
            .ok_or(CertificateError::Malformed)?;
        let certificate = EndEntityCert::try_from(&der).map_err(|error| match error {
            webpki::Error::UnsupportedCertVersion => CertificateError::Version,
            _ => CertificateError::Malformed,
        })?;
        let key = VerifyingKey::from_public_key_der(&certificate.subject_public_key_info())
            .map_err(|_| CertificateError::Key)?;
        Ok(Self { der, key })
    }

    /// Checks that one of `authorities`, certificates in PEM or DER, issued it for a client and
    /// that it is valid now.
    ///
    /// # Errors
    /// One of these checks fails.
    pub fn verify(&self, authorities: &[u8], now: UnixTime) -> Result<(), CertificateError> {
        let roots = pem_or_der(authorities);
        let anchors: Vec<TrustAnchor<'_>> = roots
            .iter()
            .map(|root| anchor_from_trusted_cert(root).map_err(|_| CertificateError::Authority))
            .collect::<Result<_, _>>()?;
        let untrusted = |error: webpki::Error| CertificateError::Untrusted {
            reason: error.to_string(),
        };
        EndEntityCert::try_from(&self.der)
            .map_err(untrusted)?
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &anchors,
                &[],
                now,
                KeyUsage::client_auth(),
                None,
                None,
            )
            .map_err(untrusted)?;
        Ok(())
    }

    /// The device key.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// The device id.
    pub fn device(&self) -> DeviceId {
        DeviceId::of(&self.key)
    }
}

/// The certificates in a file: all of a PEM file, or one in DER.
fn pem_or_der(octets: &[u8]) -> Vec<CertificateDer<'static>> {
    let in_pem: Vec<_> = CertificateDer::pem_slice_iter(octets)
        .filter_map(Result::ok)
        .collect();
    if in_pem.is_empty() {
        vec![CertificateDer::from(octets.to_vec())]
    } else {
        in_pem
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use rcgen::{CertificateParams, Issuer, KeyPair};

    use super::*;

    /// Seconds since 1970, in 2026.
    const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_790_000_000));

    fn authority() -> (String, Issuer<'static, KeyPair>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        (pem, Issuer::new(params, key))
    }

    fn device(issuer: &Issuer<'_, KeyPair>) -> (KeyPair, rcgen::Certificate) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["device.example".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, issuer).unwrap();
        (key, certificate)
    }

    #[test]
    fn pem_and_der_are_the_same_certificate() {
        let (key, certificate) = device(&authority().1);
        let from_pem = DeviceCertificate::parse(certificate.pem().as_bytes()).unwrap();
        let from_der = DeviceCertificate::parse(certificate.der()).unwrap();
        assert_eq!(from_pem.device(), from_der.device());
        assert_eq!(
            from_pem.key().to_sec1_point(false).as_bytes(),
            key.public_key_raw()
        );
    }

    #[test]
    fn only_a_listed_authority_vouches() {
        let ((trusted, issuer), (other, _)) = (authority(), authority());
        let device = DeviceCertificate::parse(device(&issuer).1.der()).unwrap();
        assert_eq!(
            device.verify(format!("{other}{trusted}").as_bytes(), NOW),
            Ok(())
        );
        assert!(matches!(
            device.verify(other.as_bytes(), NOW),
            Err(CertificateError::Untrusted { .. })
        ));
        assert_eq!(
            device.verify(b"nothing", NOW),
            Err(CertificateError::Authority)
        );
    }

    #[test]
    fn a_key_of_another_curve_is_refused() {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let certificate = CertificateParams::new(Vec::new())
            .unwrap()
            .self_signed(&key)
            .unwrap();
        assert_eq!(
            DeviceCertificate::parse(certificate.der()).unwrap_err(),
            CertificateError::Key
        );
    }

    /// As `openssl x509 -req` makes it without extensions.
    const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBHDCBwwIULOxotRprrANOH9vZ3kgk8BfFOsowCgYIKoZIzj0EAwIwETEPMA0G
A1UEAwwGZGV2aWNlMB4XDTI2MTEyMjEyMTI1NFoXDTM2MTExOTEyMTI1NFowETEP
MA0GA1UEAwwGZGV2aWNlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEyjzB8oKb
ZdNlPVzdwex968G2SjIuC83fJK/gX6i2ijT/BhbH/b53dOw2CLx7H7xdGYDRn7hA
tJYZWa/IgkBC/TAKBggqhkjOPQQDAgNIADBFAiEAw1rsi7c9/d9rg4slIO4Uo6rH
cVZX6Hfu2lmLqnNzUmECIGVBMmuwHE6XB26jZ+sAWgPi9MSUMQnGhqwAfKu3o0rf
-----END CERTIFICATE-----
";

    #[test]
    fn a_certificate_of_version_1_is_told_from_other_octets() {
        assert_eq!(
            DeviceCertificate::parse(VERSION_1.as_bytes()).unwrap_err(),
            CertificateError::Version
        );
    }

    #[test]
    fn other_octets_are_no_certificate() {
        for octets in [
            &b""[..],
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &[0x30; 64],
        ] {
            assert_eq!(
                DeviceCertificate::parse(octets).unwrap_err(),
                CertificateError::Malformed
            );
        }
    }
}
