//! A device executes exactly the command that its operator signed. Nothing else is accepted as a
//! command, nor a command as anything else.

use coset::{CoseSign1, TaggedCborSerializable};
use p256::ecdsa::Signature;
use p256::ecdsa::signature::Verifier;

use super::package::{cbor, text, uint, with_field};
use super::*;
use crate::seal::command::write as write_command;
use crate::{Command, Contents, FieldError, SealError, Verdict, sign_command};

/// The command of operator 1 to device 2 to disable 8988211000000000011, with sequence 5 and no
/// limit of time.
const GOLDEN: &str = include_str!("command.hex");

fn iccid() -> Iccid {
    Iccid::new("8988211000000000011").unwrap()
}

fn all() -> [Command; 4] {
    [
        Command::Enable(iccid()),
        Command::Disable(iccid()),
        Command::Delete(iccid()),
        Command::RotateSealingKey,
    ]
}

fn signed(scene: &Scene, command: &Command, validity: &Validity) -> Vec<u8> {
    sign_command(command, validity, scene.device(), &scene.operator, 5).unwrap()
}

/// A command with an arbitrary payload and a genuine signature.
fn forge(scene: &Scene, payload: &[u8]) -> Vec<u8> {
    let headers = Headers {
        kind: Kind::Command,
        ..scene.addressing().headers()
    };
    sign1(headers.kind, &headers.write(), payload, &scene.operator)
}

fn disable(scene: &Scene) -> Vec<u8> {
    signed(scene, &Command::Disable(iccid()), &Validity::default())
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[test]
fn what_was_signed_is_what_is_opened() {
    let scene = Scene::new();
    for command in all() {
        let opened = scene
            .open(&signed(&scene, &command, &Validity::default()))
            .unwrap();
        assert_eq!(opened.contents, Contents::Command(command));
        assert_eq!(opened.issuer, scene.addressing().issuer);
        assert_eq!((opened.sequence, opened.verdict), (5, Verdict::Valid));
    }
}

#[test]
fn the_octets_are_those_of_the_golden_file() {
    assert_eq!(hex(&disable(&Scene::new())), GOLDEN.trim());
}

#[test]
fn coset_verifies_a_command() {
    let scene = Scene::new();
    let command = disable(&scene);
    let signed = CoseSign1::from_tagged_slice(&command[1..]).unwrap();
    signed
        .verify_signature(b"softsim command v1", |signature, tbs| {
            let signature = Signature::from_slice(signature)?;
            scene.operator.verifying_key().verify(tbs, &signature)
        })
        .unwrap();
    assert_eq!(
        signed.protected.header.content_type,
        Some(coset::RegisteredLabel::Text(
            "application/vnd.softsim.command".to_owned()
        ))
    );
}

#[test]
fn sequences_begin_at_1() {
    let scene = Scene::new();
    let command = Command::RotateSealingKey;
    let made = sign_command(
        &command,
        &Validity::default(),
        scene.device(),
        &scene.operator,
        0,
    );
    assert_eq!(made, Err(SealError::SequenceZero));
}

#[test]
fn command_of_an_untrusted_issuer_for_another_device_or_with_an_old_sequence_is_refused() {
    let mut scene = Scene::new();
    let command = disable(&scene);
    let issuer = scene.addressing().issuer;

    scene.last_sequence = 5;
    let refused = PackageFault::Sequence { last: 5, got: 5 };
    assert_eq!(scene.open(&command), Err(refused));

    let other = Scene {
        device_key: signing_key(3),
        ..Scene::new()
    };
    let refused = PackageFault::Device {
        expected: other.device().0,
        got: scene.device().0,
    };
    assert_eq!(other.open(&command), Err(refused));

    scene.anchors.clear();
    let refused = PackageFault::UnknownIssuer { got: issuer.0 };
    assert_eq!(scene.open(&command), Err(refused));
}

#[test]
fn validity_of_a_command_is_checked_at_open_and_again_at_commit() {
    let mut scene = Scene::new();
    let validity = Validity::new(Some(100), Some(200)).unwrap();
    let command = signed(&scene, &Command::RotateSealingKey, &validity);
    let late = Now::Known(201);
    scene.now = late;
    let refused = PackageFault::Validity {
        not_before: 0,
        not_after: 200,
        now: 201,
    };
    assert_eq!(scene.open(&command), Err(refused.clone()));
    scene.now = Now::Known(200);
    let opened = scene.open(&command).unwrap();
    assert_eq!(opened.check_validity(late), Err(refused));
}

#[test]
fn a_payload_that_is_no_command_is_refused_before_its_signature_is_looked_at() {
    let mut scene = Scene::new();
    let good = write_command(&Command::Disable(iccid()), &Validity::default());
    let rotate = write_command(&Command::RotateSealingKey, &Validity::default());
    scene.anchors.clear();
    for (payload, error) in [
        (
            with_field(&good, 1, &uint(5)),
            FieldError::new(
                "command",
                "1 (enable), 2 (disable), 3 (delete) or 4 (rotate the sealing key)",
                "5",
            ),
        ),
        (
            with_field(&good, 1, &uint(4)),
            FieldError::new("iccid", "none with this command", "one"),
        ),
        (
            with_field(&rotate, 1, &uint(3)),
            FieldError::new("iccid", "18 to 20 digits", "none"),
        ),
        (
            with_field(&good, 2, &text("1")),
            FieldError::new("iccid", "18 to 20 digits", "1 characters"),
        ),
    ] {
        assert_eq!(scene.open(&forge(&scene, &payload)), Err(error.into()));
    }
    let more = cbor(|e| {
        e.map(5).unwrap();
    });
    for payload in [&[][..], &more, &good[..good.len() - 1], &scene.payload()] {
        let error = scene.open(&forge(&scene, payload)).unwrap_err();
        assert!(
            matches!(&error, PackageFault::Shape(what) if what.starts_with("command, ")),
            "{error:?}"
        );
    }
}

#[test]
fn a_command_with_any_octet_changed_or_cut_off_is_refused() {
    let scene = Scene::new();
    let good = disable(&scene);
    for at in 0..good.len() {
        for flip in [0x01, 0x80] {
            let mut command = good.clone();
            command[at] ^= flip;
            assert!(scene.open(&command).is_err(), "octet {at} doesn't matter");
        }
        assert!(scene.open(&good[..at]).is_err(), "cut to {at}");
    }
}

/// Splits a small envelope into protected headers, payload and signature.
fn parts(envelope: &[u8]) -> [Vec<u8>; 3] {
    let signed = CoseSign1::from_tagged_slice(&envelope[1..]).unwrap();
    let protected = signed.protected.original_data.unwrap();
    [protected, signed.payload.unwrap(), signed.signature]
}

fn envelope([protected, payload, signature]: &[Vec<u8>; 3]) -> Vec<u8> {
    cbor(|e| {
        e.u8(crate::FORMAT).unwrap();
        e.tag(minicbor::data::Tag::new(18)).unwrap();
        e.array(4).unwrap().bytes(protected).unwrap();
        e.map(0).unwrap().bytes(payload).unwrap();
        e.bytes(signature).unwrap();
    })
}

/// This holds even if operator and device had the same key.
#[test]
fn no_kind_of_envelope_passes_for_another() {
    let mut scene = Scene::new();
    scene.operator = scene.device_key.clone();
    scene.anchors = vec![IssuerKey::from(*scene.operator.verifying_key())];
    let statement = SealingStatement::sign(&scene.sealing_key.public(), &scene.device_key);
    let made = [
        (Kind::Profile, scene.seal(&profile())),
        (Kind::Command, disable(&scene)),
        (Kind::Statement, statement),
    ];
    let takes = |kind: Kind, octets: &[u8]| match kind {
        Kind::Statement => {
            SealingStatement::verify(octets, scene.device_key.verifying_key()).is_ok()
        }
        Kind::Profile => matches!(
            scene.open(octets).map(|opened| opened.contents),
            Ok(Contents::Profile(_))
        ),
        Kind::Command => matches!(
            scene.open(octets).map(|opened| opened.contents),
            Ok(Contents::Command(_))
        ),
    };
    for (kind, octets) in &made {
        assert_eq!(
            envelope(&parts(octets)),
            *octets,
            "the test takes it apart well"
        );
        for (other, others) in &made {
            assert_eq!(
                takes(*other, octets),
                kind == other,
                "{kind:?} as {other:?}"
            );
            if kind == other {
                continue;
            }
            let [protected, payload, signature] = parts(octets);
            let [other_protected, other_payload, other_signature] = parts(others);
            for spliced in [
                // The signature of one kind over the contents of the other.
                [other_protected.clone(), other_payload, signature.clone()],
                // The headers of one kind over the contents of the other.
                [other_protected, payload.clone(), signature],
                [protected, payload, other_signature],
            ] {
                let spliced = envelope(&spliced);
                assert!(!takes(*kind, &spliced), "{other:?} spliced into {kind:?}");
                assert!(!takes(*other, &spliced), "{kind:?} spliced into {other:?}");
            }
        }
    }
}

/// Content type and label each suffice to distinguish the kinds.
#[test]
fn a_signature_under_another_label_is_refused_whatever_the_headers_say() {
    let scene = Scene::new();
    let headers = Headers {
        kind: Kind::Command,
        ..scene.addressing().headers()
    };
    let payload = write_command(&Command::RotateSealingKey, &Validity::default());
    for label in [Kind::Profile, Kind::Statement] {
        let command = sign1(label, &headers.write(), &payload, &scene.operator);
        assert_eq!(scene.open(&command), Err(PackageFault::Signature));
    }
}

#[test]
fn a_content_type_that_nobody_knows_is_refused() {
    let scene = Scene::new();
    let [protected, payload, signature] = parts(&disable(&scene));
    let known = Kind::Command.content_type().as_bytes();
    let at = protected
        .windows(known.len())
        .position(|window| window == known)
        .unwrap();
    let mut unknown = protected;
    unknown[at] = b'A';
    let error = scene
        .open(&envelope(&[unknown, payload, signature]))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "signature headers, octet 4: expected the content type of a sealed profile or of a command, got something else"
    );
}
