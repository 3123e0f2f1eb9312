//! keyd signs handshakes, and nothing else.

use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{DerSignature, VerifyingKey};
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{HandshakeFault, Refusal, Role};
use softsim_testkit::device::*;
use softsim_testkit::transcript::transcript;

#[test]
fn a_handshake_is_signed_with_the_certified_key() {
    let mut device = Device::enrolled();
    let der = device
        .ask(Role::Network, &DeviceCertificate {})
        .unwrap()
        .der;
    let transcript = transcript(&der);
    let transcript = &transcript[..];
    let signed = device.ask(Role::Network, &SignHandshake { transcript });
    let signature = DerSignature::from_bytes(&signed.unwrap().signature).unwrap();

    let request = device.ask(Role::Admin, &CertificateRequest {}).unwrap().der;
    let key = VerifyingKey::from_sec1_bytes(&spki_of_request(&request)[26..]).unwrap();
    assert!(key.verify(transcript, &signature).is_ok());
    let status = device.ask(Role::Network, &Status {}).unwrap();
    assert_eq!(status.counters.unwrap().handshakes_signed, 1);
}

#[test]
fn a_transcript_with_another_certificate_or_order_is_not_signed() {
    let mut device = Device::enrolled();
    let own = device
        .ask(Role::Network, &DeviceCertificate {})
        .unwrap()
        .der;
    let mut reordered = transcript(&own);
    reordered[0] = 2;
    for (transcript, fault) in [
        (transcript(b"another"), HandshakeFault::Certificate),
        (
            reordered,
            HandshakeFault::Order {
                expected: 1,
                got: 2,
            },
        ),
        (b"sign this".to_vec(), HandshakeFault::Framing),
        (vec![], HandshakeFault::End),
    ] {
        let transcript = &transcript[..];
        let refusal = device
            .ask(Role::Network, &SignHandshake { transcript })
            .unwrap_err();
        assert_eq!(refusal, Refusal::Handshake(fault));
    }
    let status = device.ask(Role::Network, &Status {}).unwrap();
    assert_eq!(status.counters.unwrap().handshakes_signed, 0);
}

#[test]
fn before_enrolment_there_is_nothing_to_sign_with() {
    let mut device = Device::blank();
    let refusal = device
        .ask(Role::Network, &SignHandshake { transcript: b"" })
        .unwrap_err();
    assert_eq!(refusal, Refusal::NoDeviceKey);
    device.ask(Role::Admin, &GenerateDeviceKey {}).unwrap();
    let refusal = device
        .ask(Role::Network, &SignHandshake { transcript: b"" })
        .unwrap_err();
    assert_eq!(refusal, Refusal::NoDeviceCertificate);
    let refusal = device
        .ask(Role::Network, &DeviceCertificate {})
        .unwrap_err();
    assert_eq!(refusal, Refusal::NoDeviceCertificate);
}
