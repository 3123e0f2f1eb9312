//! The operator accepts a sealing key only with the signature of its device.

use super::*;
use crate::cbor::encode;
use crate::{SealingPublicKey, StatementError};

fn statement(scene: &Scene) -> Vec<u8> {
    SealingStatement::sign(&scene.sealing_key.public(), &scene.device_key)
}

fn verify(scene: &Scene, statement: &[u8]) -> Result<SealingStatement, StatementError> {
    SealingStatement::verify(statement, scene.device_key.verifying_key())
}

fn foreign_key() -> SealingPublicKey {
    SealingKey::generate(&mut TestRng::new("foreign")).public()
}

fn headers(named: &DeviceId) -> Vec<u8> {
    encode(128, |e| {
        e.map(3)?.i64(1)?.i64(-7)?;
        e.i64(3)?.str("application/vnd.softsim.sealing-statement")?;
        e.i64(4)?.bytes(&named.0)?.ok()
    })
}

/// A statement with any signer, named device and payload.
fn forge(named: &DeviceId, inside: &DeviceId, key: &[u8], signer: &SigningKey) -> Vec<u8> {
    let headers = headers(named);
    let payload = encode(2048, |e| {
        e.map(2)?.u8(1)?.bytes(&inside.0)?.u8(2)?.bytes(key)?.ok()
    });
    sign1(Kind::Statement, &headers, &payload, signer)
}

#[test]
fn a_device_s_own_statement_is_taken() {
    let scene = Scene::new();
    let verified = verify(&scene, &statement(&scene)).unwrap();
    assert_eq!(verified.device(), scene.device());
    assert_eq!(*verified.sealing_key(), scene.sealing_key.public());
    let forged = forge(
        &scene.device(),
        &scene.device(),
        scene.sealing_key.public().as_bytes(),
        &scene.device_key,
    );
    assert_eq!(forged, statement(&scene), "the test's forge is exact");
}

#[test]
fn a_bare_key_is_refused_as_such() {
    let scene = Scene::new();
    let bare = scene.sealing_key.public();
    assert_eq!(
        verify(&scene, bare.as_bytes()).unwrap_err(),
        StatementError::BareKey
    );
}

#[test]
fn a_substituted_key_breaks_the_signature() {
    let scene = Scene::new();
    let mut statement = statement(&scene);
    let own = scene.sealing_key.public();
    let at = statement
        .windows(SealingPublicKey::LENGTH)
        .position(|window| window == own.as_bytes())
        .unwrap();
    statement[at..at + SealingPublicKey::LENGTH].copy_from_slice(foreign_key().as_bytes());
    assert_eq!(
        verify(&scene, &statement).unwrap_err(),
        StatementError::Signature {
            device: scene.device()
        }
    );
}

#[test]
fn another_device_s_statement_is_refused_whatever_name_it_bears() {
    let scene = Scene::new();
    let relay = signing_key(5);
    let got = DeviceId::of(relay.verifying_key());
    let own_name = SealingStatement::sign(&foreign_key(), &relay);
    assert_eq!(
        verify(&scene, &own_name).unwrap_err(),
        StatementError::Device {
            expected: scene.device(),
            got
        }
    );
    let our_name = forge(
        &scene.device(),
        &scene.device(),
        foreign_key().as_bytes(),
        &relay,
    );
    assert_eq!(
        verify(&scene, &our_name).unwrap_err(),
        StatementError::Signature {
            device: scene.device()
        }
    );
}

#[test]
fn the_device_inside_is_the_one_outside() {
    let scene = Scene::new();
    let got = DeviceId([7; 32]);
    let key = scene.sealing_key.public();
    let statement = forge(&scene.device(), &got, key.as_bytes(), &scene.device_key);
    assert_eq!(
        verify(&scene, &statement).unwrap_err(),
        StatementError::Device {
            expected: scene.device(),
            got
        }
    );
}

#[test]
fn invalid_sealing_key_is_refused_even_when_signed() {
    let scene = Scene::new();
    let statement = forge(
        &scene.device(),
        &scene.device(),
        &[0xff; 1216],
        &scene.device_key,
    );
    assert_eq!(verify(&scene, &statement).unwrap_err(), StatementError::Key);
}

#[test]
fn signature_of_a_package_does_not_verify_as_a_statement() {
    let scene = Scene::new();
    let headers = headers(&scene.device());
    let package = sign1(Kind::Profile, &headers, &[0xa0], &scene.device_key);
    assert_eq!(
        verify(&scene, &package).unwrap_err(),
        StatementError::Signature {
            device: scene.device()
        }
    );
}

#[test]
fn a_statement_with_any_octet_changed_or_cut_off_is_refused() {
    let scene = Scene::new();
    let good = statement(&scene);
    for at in 0..good.len() {
        for flip in [0x01, 0x80] {
            let mut statement = good.clone();
            statement[at] ^= flip;
            assert!(verify(&scene, &statement).is_err(), "octet {at}");
        }
        assert!(verify(&scene, &good[..at]).is_err(), "cut to {at}");
    }
}

#[test]
fn a_statement_of_another_format_and_one_with_more_behind_are_told_apart() {
    let scene = Scene::new();
    let mut newer = statement(&scene);
    newer[0] = 2;
    assert_eq!(
        verify(&scene, &newer).unwrap_err(),
        StatementError::Format { got: 2 }
    );
    let mut longer = statement(&scene);
    longer.push(0);
    assert_eq!(
        verify(&scene, &longer).unwrap_err(),
        StatementError::Trailing { count: 1 }
    );
}
