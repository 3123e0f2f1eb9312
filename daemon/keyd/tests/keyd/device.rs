//! The device's keys: keyd generates them once, stores their certificate, and reports their ids.
//! Also applications' signatures.

use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{DerSignature, VerifyingKey};
use sha2::{Digest, Sha256};
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{PROTOCOL_VERSION, Refusal, Role, Room};
use softsim_profile::IssuerKey;
use softsim_testkit::device::*;

#[test]
fn hello_tells_the_role_and_refuses_another_version() {
    let mut device = Device::blank();
    for role in Role::ALL {
        let version = PROTOCOL_VERSION;
        let hello = device.ask(role, &Hello { version }).unwrap();
        assert_eq!((hello.version, hello.role), (PROTOCOL_VERSION, role));
    }
    let expected = PROTOCOL_VERSION;
    for got in [expected - 1, expected + 1] {
        let refusal = device.ask(Role::App, &Hello { version: got });
        assert_eq!(refusal.unwrap_err(), Refusal::Version { expected, got });
    }
}

#[test]
fn the_keys_are_made_once_and_survive_a_restart() {
    let mut device = Device::blank();
    let refused = device.ask(Role::Admin, &CertificateRequest {});
    assert_eq!(refused.unwrap_err(), Refusal::NoDeviceKey);
    let made = device.ask(Role::Admin, &GenerateDeviceKey {}).unwrap();
    let again = device.ask(Role::Admin, &GenerateDeviceKey {}).unwrap_err();
    assert_eq!(again, Refusal::DeviceKeyExists);
    let before = device.ask(Role::Admin, &Status {}).unwrap();
    assert_eq!(before.device_id, Some(made.device_id));

    let mut device = device.restarted();
    let after = device.ask(Role::Admin, &Status {}).unwrap();
    assert_eq!(after.device_id, before.device_id);
    assert_eq!(after.sealing_key_id, before.sealing_key_id);
}

#[test]
fn the_certificate_request_names_the_device_and_is_signed_by_it() {
    let mut device = Device::blank();
    let made = device.ask(Role::Admin, &GenerateDeviceKey {}).unwrap();
    let der = device.ask(Role::Admin, &CertificateRequest {}).unwrap().der;
    let spki = spki_of_request(&der);
    assert_eq!(Sha256::digest(&spki)[..], made.device_id);

    let (request, rest) = open_der(&der);
    assert!(rest.is_empty());
    let (_, behind) = open_der(request);
    let info = &request[..request.len() - behind.len()];
    let (_algorithm, behind) = open_der(behind);
    let (bits, behind) = open_der(behind);
    assert!(behind.is_empty());
    let key = VerifyingKey::from_sec1_bytes(&spki[26..]).unwrap();
    let signature = DerSignature::from_bytes(&bits[1..]).unwrap();
    assert!(key.verify(info, &signature).is_ok());
    let name = hex::encode(made.device_id);
    assert!(info.windows(64).any(|window| window == name.as_bytes()));
    assert!(info.ends_with(&[0xa0, 0]), "no attributes");
}

#[test]
fn only_a_certificate_for_the_device_key_is_stored() {
    let mut device = Device::blank();
    device.ask(Role::Admin, &GenerateDeviceKey {}).unwrap();
    let other = Operator::generate().spki();
    let request = device.ask(Role::Admin, &CertificateRequest {}).unwrap().der;
    let good = certificate(&spki_of_request(&request));
    let set = |device: &mut Device, certificate: &[u8]| {
        device.ask(Role::Admin, &SetDeviceCertificate { certificate })
    };
    assert_eq!(
        set(&mut device, &certificate(&other)),
        Err(Refusal::CertificateKey)
    );
    let trailing = [&good[..], &[0]].concat();
    let too_long = certificate(&[&spki_of_request(&request)[..], &[0; 2000]].concat());
    for bad in [
        &b""[..],
        b"PEM",
        &good[..good.len() - 1],
        &trailing,
        &too_long,
    ] {
        let refusal = set(&mut device, bad).unwrap_err();
        assert!(matches!(refusal, Refusal::Field { name, .. } if name == "certificate"));
    }
    assert!(!device.ask(Role::Admin, &Status {}).unwrap().certified);

    set(&mut device, &good).unwrap();
    set(&mut device, &good).unwrap();
    let mut device = device.restarted();
    let stored = device.ask(Role::Network, &DeviceCertificate {}).unwrap();
    assert_eq!(stored.der, good);
}

#[test]
fn the_sealing_statement_is_the_devices() {
    let mut device = Device::enrolled();
    let request = device.ask(Role::Admin, &CertificateRequest {}).unwrap().der;
    let key = VerifyingKey::from_sec1_bytes(&spki_of_request(&request)[26..]).unwrap();
    let statement = softsim_profile::SealingStatement::verify(&device.statement(), &key).unwrap();
    let status = device.ask(Role::Admin, &Status {}).unwrap();
    assert_eq!(Some(statement.device().0), status.device_id);
    assert_eq!(Some(statement.sealing_key().id().0), status.sealing_key_id);
}

#[test]
fn trust_anchors_are_p256_keys_and_there_is_room_for_eight() {
    let mut device = Device::blank();
    let add =
        |device: &mut Device, issuer: &[u8]| device.ask(Role::Admin, &AddTrustAnchor { issuer });
    for bad in [&b""[..], &[0x30; 91]] {
        let refusal = add(&mut device, bad).unwrap_err();
        assert!(matches!(refusal, Refusal::Field { name, .. } if name == "issuer"));
    }
    let first = Operator::generate().spki();
    add(&mut device, &first).unwrap();
    add(&mut device, &first).unwrap();
    assert_eq!(
        device.ask(Role::Admin, &Status {}).unwrap().trust_anchors,
        1
    );
    (1..8).for_each(|_| add(&mut device, &Operator::generate().spki()).unwrap());
    let full = add(&mut device, &Operator::generate().spki()).unwrap_err();
    assert_eq!(
        full,
        Refusal::StoreFull {
            what: Room::TrustAnchors,
            capacity: 8
        }
    );
}

#[test]
fn an_application_signature_covers_the_label_the_uid_and_the_context() {
    let mut device = Device::enrolled();
    let (context, message) = ("telemetry", &b"21 degrees"[..]);
    let signed = device.ask(Role::App, &Sign { context, message }).unwrap();
    let spki = device.ask(Role::App, &ApplicationKey {}).unwrap().spki;
    let key = VerifyingKey::from_sec1_bytes(&spki[26..]).unwrap();
    let input = [
        &b"softsim application signature v1\0"[..],
        &UID.to_be_bytes(),
        &[9],
        b"telemetry",
        b"21 degrees",
    ]
    .concat();
    let signature = DerSignature::from_bytes(&signed.signature).unwrap();
    assert!(key.verify(&input, &signature).is_ok());

    let request = device.ask(Role::Admin, &CertificateRequest {}).unwrap().der;
    assert_ne!(spki, spki_of_request(&request), "never the device key");
    assert!(IssuerKey::from_spki(&spki).is_ok());
}

#[test]
fn a_long_context_or_no_keys_give_no_signature() {
    let mut device = Device::enrolled();
    let context = &"c".repeat(65)[..];
    let message = &b""[..];
    let refusal = device
        .ask(Role::App, &Sign { context, message })
        .unwrap_err();
    assert!(matches!(refusal, Refusal::Field { name, .. } if name == "context"));
    let context = &context[1..];
    assert!(device.ask(Role::App, &Sign { context, message }).is_ok());

    let mut blank = Device::blank();
    let refusal = blank.ask(Role::App, &Sign { context, message });
    assert_eq!(refusal.unwrap_err(), Refusal::NoDeviceKey);
    let refusal = blank.ask(Role::App, &ApplicationKey {});
    assert_eq!(refusal.unwrap_err(), Refusal::NoDeviceKey);
}
