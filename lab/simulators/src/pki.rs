//! The lab's certificate authority: server certificates, and device certificates for keyd's
//! requests.

use std::fmt;
use std::ops::RangeInclusive;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateSigningRequestParams,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest, Sha256};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

/// The name in servers' certificates.
pub const SERVER_NAME: &str = "lwm2m.example";

/// A gateway may have no clock when it starts, so the lab's certificates are valid in all these
/// years.
pub const ANY_YEAR: RangeInclusive<i32> = 2000..=2099;

/// Why a certificate was not made, or not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PkiError {
    /// The octets aren't a certificate, or aren't a request.
    #[error("expected a {0} in DER")]
    Malformed(&'static str),
    /// The name isn't exactly one common name.
    #[error("expected a subject of exactly one common name")]
    Name,
    /// The request's common name isn't the id of its key.
    #[error("common name: expected device id {expected}, got {got}")]
    DeviceId {
        /// SHA-256 of the request's public key, in hexadecimal.
        expected: String,
        /// The request's common name.
        got: String,
    },
    /// The certificate doesn't chain to the lab's authority, or isn't for a client.
    #[error("certificate path: {0}")]
    Path(String),
    /// The request's own signature doesn't verify, or the certificate can't be made from it.
    #[error("signing: {0}")]
    Signing(String),
}

/// A certificate with its private key.
pub struct Credentials {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// The private key, PKCS #8 DER.
    pub private_key: Vec<u8>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials { certificate, private_key: [redacted] }")
    }
}

/// A certificate authority that lives as long as the lab.
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
    /// The names and addresses of the servers that it certifies.
    servers: Vec<String>,
}

impl Authority {
    /// Makes an authority with a new P-256 key.
    pub fn new(name: &str) -> Result<Self, PkiError> {
        let mut params = parameters(common_name_only(name));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().map_err(signing)?;
        let certificate = params.self_signed(&key).map_err(signing)?;
        Ok(Self {
            certificate,
            issuer: Issuer::new(params, key),
            servers: ["127.0.0.1", "localhost", SERVER_NAME]
                .map(String::from)
                .into(),
        })
    }

    /// From now on, its certificates are also for servers at this address or of this name.
    pub fn certify_servers_at(&mut self, host: &str) {
        self.servers.push(host.into());
    }

    /// The authority's own certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        self.certificate.der()
    }

    /// The authority's own certificate, PEM: what `server_trust` of netd's configuration names.
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate for a server on the loopback interface, called [`SERVER_NAME`], or at
    /// [`Self::certify_servers_at`].
    pub fn server(&self, name: &str) -> Result<Credentials, PkiError> {
        self.server_in(name, ANY_YEAR)
    }

    /// Like [`Self::server`], for a certificate that is valid in these years.
    pub fn server_in(
        &self,
        name: &str,
        years: RangeInclusive<i32>,
    ) -> Result<Credentials, PkiError> {
        let mut params = valid_in(years, common_name_only(name));
        let sans = CertificateParams::new(self.servers.clone());
        params.subject_alt_names = sans.map_err(signing)?.subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.with_new_key(params)
    }

    /// A certificate for a client whose key is generated here, like that of a device without keyd.
    pub fn client(&self, name: &str) -> Result<Credentials, PkiError> {
        let mut params = parameters(common_name_only(name));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.with_new_key(params)
    }

    /// Signs keyd's PKCS #10 request: its common name must be the id of its key.
    pub fn sign_device(&self, request: &[u8]) -> Result<Vec<u8>, PkiError> {
        let (_, parsed) = X509CertificationRequest::from_der(request)
            .map_err(|_| PkiError::Malformed("certificate request"))?;
        let info = &parsed.certification_request_info;
        let expected = hex::encode(Sha256::digest(info.subject_pki.raw));
        let got = only_common_name(&info.subject)?;
        if got != expected {
            return Err(PkiError::DeviceId { expected, got });
        }
        let verified =
            CertificateSigningRequestParams::from_der(&request.into()).map_err(signing)?;
        let mut params = parameters(verified.params.distinguished_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params
            .signed_by(&verified.public_key, &self.issuer)
            .map_err(signing)?;
        Ok(certificate.der().to_vec())
    }

    fn with_new_key(&self, params: CertificateParams) -> Result<Credentials, PkiError> {
        let key = KeyPair::generate().map_err(signing)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(signing)?;
        Ok(Credentials {
            certificate: certificate.der().to_vec(),
            private_key: key.serialize_der(),
        })
    }
}

/// Verifies a client's certificate: it must chain to `authority`, be valid now, and be for a
/// client.
///
/// Returns its common name, which LwM2M compares with the endpoint name.
pub fn verify_client(authority: &[u8], certificate: &[u8]) -> Result<String, PkiError> {
    let authority = CertificateDer::from(authority);
    let anchor = anchor_from_trusted_cert(&authority).map_err(path)?;
    let leaf = CertificateDer::from(certificate);
    EndEntityCert::try_from(&leaf)
        .map_err(path)?
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor],
            &[],
            UnixTime::now(),
            KeyUsage::client_auth(),
            None,
            None,
        )
        .map_err(path)?;
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|_| PkiError::Malformed("certificate"))?;
    only_common_name(parsed.subject())
}

fn only_common_name(subject: &X509Name<'_>) -> Result<String, PkiError> {
    let mut attributes = subject.iter_attributes();
    let mut names = subject.iter_common_name();
    match (attributes.next(), attributes.next(), names.next()) {
        (Some(_), None, Some(name)) => Ok(name.as_str().map_err(|_| PkiError::Name)?.to_owned()),
        _ => Err(PkiError::Name),
    }
}

fn parameters(subject: DistinguishedName) -> CertificateParams {
    valid_in(ANY_YEAR, subject)
}

fn valid_in(years: RangeInclusive<i32>, subject: DistinguishedName) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.not_before = date_time_ymd(*years.start(), 1, 1);
    params.not_after = date_time_ymd(*years.end(), 12, 31);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

fn common_name_only(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn signing(error: rcgen::Error) -> PkiError {
    PkiError::Signing(error.to_string())
}

fn path(error: webpki::Error) -> PkiError {
    PkiError::Path(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A request as keyd writes it, with a name of the caller's choice instead of the device id.
    fn request(key: &KeyPair, name: &str) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name_only(name);
        params.serialize_request(key).unwrap().der().to_vec()
    }

    fn device_id(key: &KeyPair) -> String {
        use rcgen::PublicKeyData;
        hex::encode(Sha256::digest(key.subject_public_key_info()))
    }

    #[test]
    fn a_device_certificate_carries_the_key_and_the_id_of_its_request() {
        let authority = Authority::new("lab").unwrap();
        let key = KeyPair::generate().unwrap();
        let id = device_id(&key);
        let certificate = authority.sign_device(&request(&key, &id)).unwrap();
        assert_eq!(
            verify_client(authority.certificate(), &certificate),
            Ok(id.clone())
        );
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).unwrap();
        assert_eq!(hex::encode(Sha256::digest(parsed.public_key().raw)), id);
    }

    #[test]
    fn a_request_for_another_devices_name_is_refused() {
        let authority = Authority::new("lab").unwrap();
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let refused = authority.sign_device(&request(&key, &device_id(&other)));
        let (expected, got) = (device_id(&key), device_id(&other));
        assert_eq!(refused, Err(PkiError::DeviceId { expected, got }));
    }

    #[test]
    fn a_request_whose_signature_is_broken_is_refused() {
        let authority = Authority::new("lab").unwrap();
        let key = KeyPair::generate().unwrap();
        let mut broken = request(&key, &device_id(&key));
        let last = broken.len() - 1;
        broken[last] ^= 1;
        assert!(matches!(
            authority.sign_device(&broken),
            Err(PkiError::Signing(_))
        ));
        assert_eq!(
            authority.sign_device(b"request"),
            Err(PkiError::Malformed("certificate request"))
        );
    }

    #[test]
    fn a_certificate_of_another_authority_is_no_client() {
        let (ours, theirs) = (
            Authority::new("lab").unwrap(),
            Authority::new("lab").unwrap(),
        );
        let foreign = theirs.client("device").unwrap();
        assert!(matches!(
            verify_client(ours.certificate(), &foreign.certificate),
            Err(PkiError::Path(_))
        ));
    }

    #[test]
    fn a_server_certificate_is_no_client() {
        let authority = Authority::new("lab").unwrap();
        let server = authority.server("server").unwrap();
        assert!(matches!(
            verify_client(authority.certificate(), &server.certificate),
            Err(PkiError::Path(_))
        ));
    }
}
