//! Enrols a gateway and installs its first profile through keyd's socket.

use softsim_client::keyd::Connection;
use softsim_keyd_proto::requests::*;

use crate::device::{ICCID, Operator, certificate, profile, spki_of_request};

/// Generates keys, sets a certificate and a trust anchor, and returns the device's
/// SubjectPublicKeyInfo and sealing statement.
pub fn enrol(admin: &mut Connection, operator: &Operator) -> (Vec<u8>, Vec<u8>) {
    admin.call(&GenerateDeviceKey {}).unwrap();
    let request = admin.call(&CertificateRequest {}).unwrap().der;
    let spki = spki_of_request(&request);
    let certificate = &certificate(&spki)[..];
    admin.call(&SetDeviceCertificate { certificate }).unwrap();
    let issuer = &operator.spki()[..];
    admin.call(&AddTrustAnchor { issuer }).unwrap();
    (spki, admin.call(&SealingStatement {}).unwrap().statement)
}

/// Enrols the gateway, and installs and enables one profile.
pub fn provision(admin: &mut Connection, operator: &Operator) {
    let (spki, statement) = enrol(admin, operator);
    let package = operator.seal_to(&spki, &statement, profile(ICCID), 1);
    let (txid, package) = ([1; 16], Some(&package[..]));
    admin.call(&Stage { txid, package }).unwrap();
    admin.call(&Commit::new(txid)).unwrap();
}
