//! Another implementation of COSE reads our packages, and we read its packages.

use coset::cbor::value::Value;
use coset::{
    CoseEncrypt0, CoseEncrypt0Builder, CoseSign1, CoseSign1Builder, HeaderBuilder, Label,
    RegisteredLabelWithPrivate, TaggedCborSerializable, iana,
};
use hpke::{Deserializable, Kem as _, OpModeR, OpModeS, Serializable};
use p256::ecdsa::Signature;
use p256::ecdsa::signature::{Signer, Verifier};
use p256::pkcs8::EncodePublicKey;

use super::*;
use crate::package::{Aead, DEVICE, EK, HPKE_XWING, Kdf, Kem, SEQUENCE};
use crate::{IssuerId, SealingPublicKey};

const CONTENT_TYPE: &str = "application/vnd.softsim.sealed-profile";
const LABEL: &[u8] = b"softsim sealed profile v1";

fn external_data(addressing: &Addressing) -> Vec<u8> {
    let mut octets = vec![0x84];
    for id in [
        addressing.device.as_bytes(),
        addressing.sealing_key.as_bytes(),
        addressing.issuer.as_bytes(),
    ] {
        octets.extend([0x58, 32]);
        octets.extend(id);
    }
    octets.push(addressing.sequence.try_into().unwrap());
    octets
}

#[test]
fn coset_verifies_and_decrypts_a_package() {
    let scene = Scene::new();
    let package = scene.seal(&profile());
    assert_eq!(package[0], 1);
    let signed = CoseSign1::from_tagged_slice(&package[1..]).unwrap();
    signed
        .verify_signature(LABEL, |signature, tbs| {
            let signature = Signature::from_slice(signature)?;
            scene.operator.verifying_key().verify(tbs, &signature)
        })
        .unwrap();
    let header = &signed.protected.header;
    let addressing = scene.addressing();
    assert_eq!(
        header.alg,
        Some(RegisteredLabelWithPrivate::Assigned(iana::Algorithm::ES256))
    );
    assert_eq!(
        header.content_type,
        Some(coset::RegisteredLabel::Text(CONTENT_TYPE.to_owned()))
    );
    assert_eq!(header.key_id, addressing.issuer.as_bytes());
    assert_eq!(
        header.rest,
        [
            (
                Label::Int(DEVICE),
                Value::Bytes(addressing.device.as_bytes().to_vec())
            ),
            (Label::Int(SEQUENCE), Value::from(5)),
        ]
    );
    assert!(signed.unprotected.is_empty());

    let encrypted = CoseEncrypt0::from_tagged_slice(&signed.payload.unwrap()).unwrap();
    assert_eq!(
        encrypted.protected.header.alg,
        Some(RegisteredLabelWithPrivate::PrivateUse(HPKE_XWING))
    );
    assert_eq!(
        encrypted.protected.header.key_id,
        addressing.sealing_key.as_bytes()
    );
    let [(Label::Int(EK), Value::Bytes(encapsulated))] = &encrypted.unprotected.rest[..] else {
        panic!("{:?}", encrypted.unprotected);
    };
    let payload = encrypted
        .decrypt_ciphertext(
            &external_data(&addressing),
            || panic!("no ciphertext"),
            |ciphertext, aad| {
                hpke::setup_receiver::<Aead, Kdf, Kem>(
                    &OpModeR::Base,
                    &scene.sealing_key.expand(),
                    &<Kem as hpke::Kem>::EncappedKey::from_bytes(encapsulated)?,
                    LABEL,
                )?
                .open(ciphertext, aad)
            },
        )
        .unwrap();
    assert_eq!(payload, scene.payload());
}

#[test]
fn a_package_that_coset_made_opens() {
    let scene = Scene::new();
    let addressing = scene.addressing();
    let (encapsulated, mut context) = hpke::setup_sender_with_rng::<Aead, Kdf, Kem>(
        &OpModeS::Base,
        &scene.sealing_key.public().expand(),
        LABEL,
        &mut TestRng::new("coset"),
    )
    .unwrap();
    let encrypted = CoseEncrypt0Builder::new()
        .protected(
            HeaderBuilder::new()
                .algorithm_label(RegisteredLabelWithPrivate::PrivateUse(HPKE_XWING))
                .key_id(addressing.sealing_key.as_bytes().to_vec())
                .build(),
        )
        .unprotected(
            HeaderBuilder::new()
                .value(EK, Value::Bytes(encapsulated.to_bytes().to_vec()))
                .build(),
        )
        .create_ciphertext(
            &scene.payload(),
            &external_data(&addressing),
            |plaintext, aad| context.seal(plaintext, aad).unwrap(),
        )
        .build()
        .to_tagged_vec()
        .unwrap();
    let signed = CoseSign1Builder::new()
        .protected(
            HeaderBuilder::new()
                .algorithm(iana::Algorithm::ES256)
                .content_type(CONTENT_TYPE.to_owned())
                .key_id(addressing.issuer.as_bytes().to_vec())
                .value(DEVICE, Value::Bytes(addressing.device.as_bytes().to_vec()))
                .value(SEQUENCE, Value::from(addressing.sequence))
                .build(),
        )
        .payload(encrypted)
        .create_signature(LABEL, |tbs| {
            let signature: Signature = scene.operator.sign(tbs);
            signature.to_bytes().to_vec()
        })
        .build()
        .to_tagged_vec()
        .unwrap();
    let opened = scene.open(&[&[1][..], &signed].concat()).unwrap();
    assert_eq!(profile_in(opened), profile());
}

#[test]
fn coset_verifies_a_statement() {
    let scene = Scene::new();
    let statement = SealingStatement::sign(&scene.sealing_key.public(), &scene.device_key);
    let signed = CoseSign1::from_tagged_slice(&statement[1..]).unwrap();
    signed
        .verify_signature(b"softsim sealing statement v1", |signature, tbs| {
            let signature = Signature::from_slice(signature)?;
            scene.device_key.verifying_key().verify(tbs, &signature)
        })
        .unwrap();
    assert_eq!(signed.protected.header.key_id, scene.device().as_bytes());
}

#[test]
fn ids_are_digests_of_what_other_tools_see() {
    let key = *signing_key(1).verifying_key();
    let spki = key.to_public_key_der().unwrap();
    let digest: [u8; 32] = Sha256::digest(spki.as_bytes()).into();
    assert_eq!(DeviceId::of(&key), DeviceId(digest));
    let issuer = IssuerKey::from_spki(spki.as_bytes()).unwrap();
    assert_eq!(issuer.id(), IssuerId(digest));
    assert_eq!(issuer.to_spki(), *spki.as_bytes());
    assert_eq!(IssuerKey::from_sec1(&issuer.to_sec1()), Ok(issuer));
}

#[test]
fn only_a_whole_p256_key_is_a_trust_anchor() {
    let spki = signing_key(1).verifying_key().to_public_key_der().unwrap();
    for length in 0..spki.as_bytes().len() {
        assert!(IssuerKey::from_spki(&spki.as_bytes()[..length]).is_err());
    }
    let mut off_the_curve = spki.as_bytes().to_vec();
    off_the_curve[90] ^= 1;
    assert_eq!(
        IssuerKey::from_spki(&off_the_curve)
            .unwrap_err()
            .to_string(),
        "expected the SubjectPublicKeyInfo of a P-256 key, 91 octets, got 91 other octets"
    );
    assert!(IssuerKey::from_sec1(&[0; 33]).is_err());
    assert!(IssuerKey::from_sec1(&spki.as_bytes()[26..]).is_err());
}

#[test]
fn a_sealing_key_survives_storage() {
    let key = SealingKey::generate(&mut TestRng::new("key"));
    let stored = SealingKey::from_bytes(*key.as_bytes());
    assert_eq!(stored.public(), key.public());
    let public = SealingPublicKey::from_bytes(key.public().as_bytes()).unwrap();
    assert_eq!(public.id(), key.public().id());
    let (derived, _) = Kem::derive_keypair(b"ikm");
    assert_ne!(derived.to_bytes()[..], key.as_bytes()[..]);
}

#[test]
fn a_sealing_key_out_of_ml_kem_s_range_is_refused() {
    let mut octets = *SealingKey::generate(&mut TestRng::new("key"))
        .public()
        .as_bytes();
    assert!(SealingPublicKey::from_bytes(&octets[1..]).is_err());
    octets[..2].fill(0xff);
    assert_eq!(
        SealingPublicKey::from_bytes(&octets)
            .unwrap_err()
            .to_string(),
        "expected an X-Wing public key, 1216 octets, got 1216 other octets"
    );
}
