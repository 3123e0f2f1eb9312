//! A package opens for its device, and each defect of a package has its own error.

use minicbor::{Decoder, Encoder};

use super::*;
use crate::{FORMAT, FieldError, IssuerId, MAX_PACKAGE, SealError, SealingKeyId, Verdict};

#[test]
fn what_was_sealed_is_what_is_opened() {
    let scene = Scene::new();
    for profile in [profile, plain_profile] {
        let opened = scene.open(&scene.seal(&profile())).unwrap();
        assert_eq!(opened.issuer, scene.addressing().issuer);
        assert_eq!((opened.sequence, opened.verdict), (5, Verdict::Valid));
        assert_eq!(profile_in(opened), profile());
    }
}

#[test]
fn the_longest_package_is_well_within_the_limit() {
    let scene = Scene::new();
    let outside = Addressing {
        // The highest sequence of a first package has the longest encoding.
        sequence: 1 << 62,
        ..scene.addressing()
    };
    let payload = write_payload(&outside, &profile());
    let package = scene.forge(&outside, &payload);
    assert!(scene.open(&package).is_ok());
    assert!(package.len() < 1900, "{}", package.len());
}

#[test]
fn sequences_begin_at_1() {
    let scene = Scene::new();
    let rng = &mut TestRng::new("seal");
    let sealed = crate::seal(&profile(), &scene.statement(), &scene.operator, 0, rng);
    assert_eq!(sealed, Err(SealError::SequenceZero));
}

#[test]
fn two_packages_of_one_profile_share_no_ciphertext() {
    let scene = Scene::new();
    let seal = |seed| {
        let rng = &mut TestRng::new(seed);
        crate::seal(&profile(), &scene.statement(), &scene.operator, 5, rng).unwrap()
    };
    let (one, two) = (seal("one"), seal("two"));
    let windows: std::collections::HashSet<_> = one[200..1000].windows(16).collect();
    assert!(
        two[200..1000]
            .windows(16)
            .all(|window| !windows.contains(window))
    );
}

#[test]
fn another_format_is_told_from_a_damaged_package() {
    let scene = Scene::new();
    let mut package = scene.seal(&profile());
    package[0] = 2;
    assert_eq!(
        scene.open(&package).unwrap_err(),
        PackageFault::Format {
            expected: 1,
            got: 2
        }
    );
    assert_eq!(FORMAT, 1);
}

#[test]
fn octets_after_the_package_are_refused() {
    let scene = Scene::new();
    let mut package = scene.seal(&profile());
    package.extend([0, 0, 0]);
    assert_eq!(
        scene.open(&package).unwrap_err(),
        PackageFault::Shape("expected the end, got 3 more octets".into())
    );
}

#[test]
fn a_package_beyond_the_limit_is_not_looked_at() {
    let package = vec![0; MAX_PACKAGE + 1];
    assert_eq!(
        Scene::new().open(&package).unwrap_err(),
        PackageFault::Shape("expected at most 3072 octets, got 3073".into())
    );
}

#[test]
fn an_issuer_that_is_no_trust_anchor_is_refused_by_name() {
    let mut scene = Scene::new();
    let package = scene.seal(&profile());
    let got = scene.addressing().issuer;
    scene.anchors.pop();
    assert_eq!(
        scene.open(&package).unwrap_err(),
        PackageFault::UnknownIssuer { got: got.0 }
    );
    scene.anchors.clear();
    assert_eq!(
        scene.open(&package).unwrap_err(),
        PackageFault::UnknownIssuer { got: got.0 }
    );
}

#[test]
fn a_signature_of_another_key_under_a_trusted_name_is_refused() {
    let mut scene = Scene::new();
    let encrypted = encrypt0(
        &scene.addressing(),
        &scene.sealing_key.public(),
        &scene.payload(),
        &mut TestRng::new("forge"),
    );
    let addressing = scene.addressing();
    scene.operator = signing_key(66);
    assert_eq!(
        scene
            .open(&scene.sign(&addressing, &encrypted))
            .unwrap_err(),
        PackageFault::Signature
    );
}

#[test]
fn a_package_of_another_device_is_refused() {
    let scene = Scene::new();
    let package = scene.seal(&profile());
    let other = Scene {
        device_key: signing_key(3),
        ..Scene::new()
    };
    assert_eq!(
        other.open(&package).unwrap_err(),
        PackageFault::Device {
            expected: other.device().0,
            got: scene.device().0
        }
    );
}

#[test]
fn a_package_for_another_sealing_key_is_refused() {
    let scene = Scene::new();
    let package = scene.seal(&profile());
    let other = Scene {
        sealing_key: SealingKey::generate(&mut TestRng::new("another")),
        ..Scene::new()
    };
    assert_eq!(
        other.open(&package).unwrap_err(),
        PackageFault::SealingKey {
            expected: other.sealing_key.public().id().0,
            got: scene.sealing_key.public().id().0
        }
    );
}

#[test]
fn a_sequence_rises_strictly() {
    let mut scene = Scene::new();
    let package = scene.seal(&profile());
    for last in [5, 6, u64::MAX] {
        scene.last_sequence = last;
        assert_eq!(
            scene.open(&package).unwrap_err(),
            PackageFault::Sequence { last, got: 5 }
        );
    }
    scene.last_sequence = 0;
    assert!(scene.open(&package).is_ok());
}

#[test]
fn sequence_may_rise_by_2_to_the_62_at_most() {
    let mut scene = Scene::new();
    let opened = |scene: &Scene, sequence| {
        let addressing = Addressing {
            sequence,
            ..scene.addressing()
        };
        let payload = write_payload(&addressing, &profile());
        scene
            .open(&scene.forge(&addressing, &payload))
            .map(|opened| opened.sequence)
    };
    for last in [0, 5, 1 << 62] {
        scene.last_sequence = last;
        let highest = last + (1 << 62);
        assert_eq!(opened(&scene, highest), Ok(highest));
        for got in [highest + 1, u64::MAX] {
            let error = FieldError::new(
                "sequence",
                "at most 2^62 above the last one",
                got.to_string(),
            );
            assert_eq!(opened(&scene, got), Err(error.into()));
        }
    }
}

#[test]
fn sequence_0_never_opens() {
    let mut scene = Scene::new();
    scene.last_sequence = 0;
    let outside = Addressing {
        sequence: 0,
        ..scene.addressing()
    };
    let payload = write_payload(&outside, &profile());
    assert_eq!(
        scene.open(&scene.forge(&outside, &payload)).unwrap_err(),
        PackageFault::Sequence { last: 0, got: 0 }
    );
}

#[test]
fn the_associated_data_binds_every_header() {
    let scene = Scene::new();
    let good = scene.addressing();
    let others = [
        Addressing {
            device: DeviceId([1; 32]),
            ..good
        },
        Addressing {
            issuer: IssuerId([1; 32]),
            ..good
        },
        Addressing {
            sealing_key: SealingKeyId([1; 32]),
            ..good
        },
        Addressing {
            sequence: 6,
            ..good
        },
    ];
    for other in others {
        assert_ne!(other.associated_data(), good.associated_data());
    }
    // A ciphertext made with one sequence and signed with another.
    let encrypted = encrypt0(
        &good,
        &scene.sealing_key.public(),
        &scene.payload(),
        &mut TestRng::new("forge"),
    );
    let raised = Addressing {
        sequence: 6,
        ..good
    };
    assert_eq!(
        scene.open(&scene.sign(&raised, &encrypted)).unwrap_err(),
        PackageFault::Decryption
    );
}

#[test]
fn a_field_inside_that_differs_from_outside_is_named() {
    let scene = Scene::new();
    let outside = scene.addressing();
    for (inside, field) in [
        (
            Addressing {
                device: DeviceId([1; 32]),
                ..outside
            },
            "device id",
        ),
        (
            Addressing {
                sealing_key: SealingKeyId([1; 32]),
                ..outside
            },
            "sealing key id",
        ),
        (
            Addressing {
                issuer: IssuerId([1; 32]),
                ..outside
            },
            "issuer",
        ),
        (
            Addressing {
                sequence: 6,
                ..outside
            },
            "sequence",
        ),
    ] {
        let package = scene.forge(&outside, &write_payload(&inside, &profile()));
        assert_eq!(
            scene.open(&package).unwrap_err(),
            crate::open::fault::mismatch(field)
        );
    }
}

#[test]
fn validity_is_judged_by_what_is_known_of_the_present() {
    let mut scene = Scene::new();
    let package = scene.seal(&profile());
    let mut at = |now| {
        scene.now = now;
        scene.open(&package).map(|opened| opened.verdict)
    };
    let (not_before, not_after) = (1_700_000_000, 1_900_000_000);
    assert_eq!(at(Now::Known(not_after)), Ok(Verdict::Valid));
    let late = Now::Known(not_after + 1);
    assert_eq!(
        at(late),
        Err(PackageFault::Validity {
            not_before: 0,
            not_after,
            now: not_after + 1,
        })
    );
    let early = Now::Known(not_before - 1);
    assert_eq!(
        at(early),
        Err(PackageFault::Validity {
            not_before,
            not_after: u64::MAX,
            now: not_before - 1,
        })
    );
    let unknown = Now::Unknown {
        at_least: not_before - 1,
    };
    assert_eq!(at(unknown), Ok(Verdict::TimeUnknown));
    let late = Now::Unknown {
        at_least: not_after + 1,
    };
    assert_eq!(
        at(late),
        Err(PackageFault::Validity {
            not_before: 0,
            not_after,
            now: not_after + 1,
        })
    );
}

/// A payload in which one key has another item.
pub(super) fn with_field(payload: &[u8], key: u64, item: &[u8]) -> Vec<u8> {
    let mut decoder = Decoder::new(payload);
    let count = decoder.map().unwrap().unwrap();
    let mut encoder = Encoder::new(Vec::new());
    encoder.map(count).unwrap();
    let mut changed = encoder.into_writer();
    for _ in 0..count {
        let start = decoder.position();
        let got = decoder.u64().unwrap();
        let value = decoder.position();
        decoder.skip().unwrap();
        let end = decoder.position();
        changed.extend_from_slice(&payload[start..value]);
        changed.extend_from_slice(if got == key {
            item
        } else {
            &payload[value..end]
        });
    }
    changed
}

pub(super) fn cbor(write: impl FnOnce(&mut Encoder<Vec<u8>>)) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    write(&mut encoder);
    encoder.into_writer()
}

pub(super) fn text(text: &str) -> Vec<u8> {
    cbor(|e| {
        e.str(text).unwrap();
    })
}

pub(super) fn bytes(octets: &[u8]) -> Vec<u8> {
    cbor(|e| {
        e.bytes(octets).unwrap();
    })
}

pub(super) fn uint(number: u64) -> Vec<u8> {
    cbor(|e| {
        e.u64(number).unwrap();
    })
}

fn home_network_keys(count: u64, id: u64, scheme: u64, key: &[u8]) -> Vec<u8> {
    cbor(|e| {
        e.array(count).unwrap();
        for _ in 0..count {
            e.array(3).unwrap().u64(id).unwrap();
            e.u64(scheme).unwrap().bytes(key).unwrap();
        }
    })
}

#[test]
fn a_field_out_of_range_is_named_with_what_came() {
    let scene = Scene::new();
    let imsi = "MCC, MNC and MSIN, at most 15 digits";
    for (key, item, (field, expected, got)) in [
        (
            5,
            text("12345"),
            ("iccid", "18 to 20 digits", "5 characters"),
        ),
        (6, text("0010100000000012"), ("imsi", imsi, "16 characters")),
        (
            6,
            text("00101000000000a"),
            ("imsi", imsi, "a character that is no digit"),
        ),
        (7, uint(1), ("mnc_length", "2 or 3", "1")),
        (
            7,
            uint(u64::MAX),
            ("mnc_length", "2 or 3", "18446744073709551615"),
        ),
        (
            8,
            uint(4),
            ("algorithm", "1 (milenage), 2 (tuak) or 3 (xor)", "4"),
        ),
        (9, bytes(&[0; 15]), ("k", "16 octets", "15 octets")),
        (10, bytes(&[0; 32]), ("opc", "16 octets", "32 octets")),
        (11, bytes(&[]), ("amf", "2 octets", "0 octets")),
        (
            12,
            uint(1 << 48),
            ("sqn", "a number below 2^48", "281474976710656"),
        ),
        (13, uint(6), ("ind_bits", "0 to 5", "6")),
        (13, uint(256), ("ind_bits", "0 to 5", "256")),
        (14, uint(0), ("delta", "1 to the greatest SEQ", "0")),
        (
            14,
            uint(1 << 44),
            ("delta", "1 to the greatest SEQ", "17592186044416"),
        ),
        (15, uint(0), ("l", "1 or more", "0")),
        (
            16,
            text(""),
            ("routing_indicator", "1 to 4 digits", "0 characters"),
        ),
        (
            17,
            home_network_keys(3, 1, 1, &[0; 32]),
            ("home_network_keys", "at most 2 keys", "3"),
        ),
        (
            17,
            home_network_keys(1, 256, 1, &[0; 32]),
            ("home_network_keys", "an identifier from 0 to 255", "256"),
        ),
        (
            17,
            home_network_keys(1, 1, 3, &[0; 32]),
            ("home_network_keys", "scheme 1 (A) or 2 (B)", "3"),
        ),
        (
            17,
            home_network_keys(1, 1, 1, &[0; 33]),
            ("home_network_keys", "32 octets", "33 octets"),
        ),
        (
            17,
            home_network_keys(1, 1, 2, &[0; 33]),
            ("home_network_keys", "a point of P-256", "other octets"),
        ),
        (
            20,
            uint(1),
            (
                "not_after",
                "a time not before not_before",
                "1, with not_before 1700000000",
            ),
        ),
    ] {
        let payload = with_field(&scene.payload(), key, &item);
        let error = scene
            .open(&scene.forge(&scene.addressing(), &payload))
            .unwrap_err();
        assert_eq!(error, FieldError::new(field, expected, got).into());
    }
}

#[test]
fn a_field_of_another_type_has_its_place_in_the_error() {
    let scene = Scene::new();
    for (key, item) in [
        (5, uint(1)),
        (7, text("2")),
        (9, text("k")),
        (12, bytes(&[0; 6])),
        (15, bytes(&[])),
        (17, uint(0)),
        (18, uint(1)),
        (19, text("never")),
    ] {
        let payload = with_field(&scene.payload(), key, &item);
        let error = scene
            .open(&scene.forge(&scene.addressing(), &payload))
            .unwrap_err();
        assert!(
            matches!(&error, PackageFault::Shape(what) if what.starts_with("payload, ")),
            "{key}: {error:?}"
        );
    }
}

#[test]
fn a_payload_with_one_field_more_or_less_is_refused() {
    let scene = Scene::new();
    let payload = scene.payload();
    let mut more = payload.clone();
    more.push(0);
    let mut fewer = payload.clone();
    fewer[0] -= 1;
    for payload in [more, fewer, vec![0xa0], vec![]] {
        let error = scene
            .open(&scene.forge(&scene.addressing(), &payload))
            .unwrap_err();
        assert!(matches!(error, PackageFault::Shape(_)), "{error:?}");
    }
}

#[test]
fn a_profile_may_demand_a_policy_and_is_as_it_was_without() {
    let scene = Scene::new();
    let payload = |demand| {
        let profile = Profile {
            identity_privacy: demand,
            ..profile()
        };
        write_payload(&scene.addressing(), &profile).to_vec()
    };
    let without = payload(None);
    assert_eq!(without[0], 0xa0 | 22);
    for (number, demand) in [
        (1, Some(PrivacyDemand::Conservative)),
        (2, Some(PrivacyDemand::Strict)),
    ] {
        let with = payload(demand);
        assert_eq!(with[0], 0xa0 | 23);
        assert_eq!(with[1..], [&without[1..], &[23, number]].concat());
    }
    for payload in [without.clone(), payload(Some(PrivacyDemand::Strict))] {
        let package = scene.forge(&scene.addressing(), &payload);
        let opened = profile_in(scene.open(&package).unwrap());
        assert_eq!(opened.identity_privacy.is_some(), payload[0] == 0xa0 | 23);
        let stored = Profile::from_stored(&opened.to_stored()).unwrap();
        assert_eq!(stored, opened);
    }
    for number in [0, 3] {
        let mut wrong = [&without[..], &[23, number]].concat();
        wrong[0] += 1;
        let package = scene.forge(&scene.addressing(), &wrong);
        let expected = format!("identity_privacy: expected conservative or strict, got {number}");
        assert_eq!(scene.open(&package).unwrap_err().to_string(), expected);
    }
}

#[test]
fn errors_and_profiles_print_no_secret() {
    let scene = Scene::new();
    let opened = scene.open(&scene.seal(&profile())).unwrap();
    let printed = format!("{opened:?} {:?} {:?}", scene.sealing_key, profile());
    for secret in ["4646", "70, 70", "cdcd", "205, 205", "001010000000001"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
    assert!(printed.contains("K([redacted])"));

    let payload = with_field(&scene.payload(), 9, &bytes(&[0x46; 17]));
    let error = scene
        .open(&scene.forge(&scene.addressing(), &payload))
        .unwrap_err();
    assert_eq!(error.to_string(), "k: expected 16 octets, got 17 octets");
}

#[test]
fn an_error_says_what_was_expected_and_what_came() {
    let id = |octet| [octet; 32];
    let (ones, twos) = ("01".repeat(32), "02".repeat(32));
    for (error, text) in [
        (
            PackageFault::Format {
                expected: 1,
                got: 9,
            },
            "expected format 1, got 9".to_owned(),
        ),
        (
            PackageFault::Device {
                expected: id(1),
                got: id(2),
            },
            format!("expected device {ones}, got {twos}"),
        ),
        (
            PackageFault::SealingKey {
                expected: id(1),
                got: id(2),
            },
            format!("expected sealing key {ones}, got {twos}"),
        ),
        (
            PackageFault::Sequence { last: 7, got: 5 },
            "expected a sequence above 7, got 5".to_owned(),
        ),
        (
            PackageFault::UnknownIssuer { got: id(2) },
            format!("issuer {twos} is not trusted"),
        ),
    ] {
        assert_eq!(error.to_string(), text);
    }
}
