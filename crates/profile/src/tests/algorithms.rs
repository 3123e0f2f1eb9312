//! A package can hold each algorithm set only with its own kind of keys. OP and TOP stay with the
//! operator.

use core::num::NonZeroU8;

use softsim_aka::{K256, Milenage, Op, ResLength, Top, Topc, Tuak, TuakKey, TuakParameters};

use super::package::{bytes, cbor, with_field};
use super::*;
use crate::{Algorithm, FieldError};

const NULL: &[u8] = &[0xf6];

fn with(credentials: Credentials) -> Profile {
    Profile {
        credentials,
        ..profile()
    }
}

fn parameters(res: ResLength, iterations: u8) -> TuakParameters {
    TuakParameters {
        res,
        iterations: NonZeroU8::new(iterations).unwrap(),
    }
}

fn tuak(k: TuakKey) -> Credentials {
    Credentials::Tuak {
        k,
        topc: Topc::new([0xbd; 32]),
        parameters: parameters(ResLength::Bits128, 2),
    }
}

/// The scene's payload, in which some keys have other items.
fn payload(scene: &Scene, profile: &Profile, items: &[(u64, &[u8])]) -> Vec<u8> {
    let payload = write_payload(&scene.addressing(), profile).to_vec();
    items.iter().fold(payload, |payload, (key, item)| {
        with_field(&payload, *key, item)
    })
}

fn opened(scene: &Scene, payload: &[u8]) -> Result<Credentials, PackageFault> {
    let package = scene.forge(&scene.addressing(), payload);
    scene
        .open(&package)
        .map(|opened| profile_in(opened).credentials)
}

#[test]
fn every_algorithm_set_survives_the_journey() {
    let scene = Scene::new();
    let k = || K::new([0x46; 16]);
    for (make, algorithm) in [
        (
            &(|| tuak(TuakKey::K(k()))) as &dyn Fn() -> Credentials,
            Algorithm::Tuak,
        ),
        (
            &|| tuak(TuakKey::K256(K256::new([0x47; 32]))),
            Algorithm::Tuak,
        ),
        (&|| Credentials::Xor { k: k() }, Algorithm::Xor),
    ] {
        let profile = with(make());
        assert_eq!(Algorithm::of(&profile.credentials), algorithm);
        assert_eq!(Algorithm::from_name(algorithm.name()), Ok(algorithm));
        let opened = scene.open(&scene.seal(&profile)).unwrap();
        assert_eq!(profile_in(opened), profile);
        let stored = profile.to_stored();
        assert_eq!(Profile::from_stored(&stored).unwrap(), profile);
    }
}

#[test]
fn a_stored_profile_is_the_end_of_its_payload() {
    let scene = Scene::new();
    let (payload, stored) = (scene.payload(), profile().to_stored());
    assert!(payload.ends_with(&stored[1..]), "all but the map's head");
    let longer = [&stored[..], &[0]].concat();
    for other in [&stored[..stored.len() - 1], &longer, &payload] {
        assert!(Profile::from_stored(other).is_err());
    }
}

#[test]
fn the_longest_payload_has_room() {
    let scene = Scene::new();
    let profile = with(tuak(TuakKey::K256(K256::new([0x47; 32]))));
    let outside = Addressing {
        // The highest sequence of a first package has the longest encoding.
        sequence: 1 << 62,
        ..scene.addressing()
    };
    let payload = write_payload(&outside, &profile);
    assert!(payload.len() <= 512, "{}: it moved", payload.len());
    assert!(scene.open(&scene.forge(&outside, &payload)).is_ok());
}

/// TS 35.208 §4.3, test set 1.
#[test]
fn opc_is_derived_inside_from_an_op_that_came() {
    let scene = Scene::new();
    let (k, op) = (
        *b"\x46\x5b\x5c\xe8\xb1\x99\xb4\x9f\xaa\x5f\x0a\x2e\xe2\x38\xa6\xbc",
        *b"\xcd\xc2\x02\xd5\x12\x3e\x20\xf6\x2b\x6d\x67\x6a\xc7\x2c\xb3\x18",
    );
    let items = [(9, &bytes(&k)[..]), (10, NULL), (21, &bytes(&op))];
    let payload = payload(&scene, &profile(), &items);
    let expected = Credentials::Milenage {
        k: K::new(k),
        opc: Milenage::opc(&K::new(k), &Op::new(op)),
    };
    assert_eq!(opened(&scene, &payload).unwrap(), expected);
}

#[test]
fn topc_is_derived_inside_with_the_iterations_that_came() {
    let scene = Scene::new();
    let key = || TuakKey::K256(K256::new([0x47; 32]));
    let profile = with(tuak(key()));
    let payload = payload(&scene, &profile, &[(10, NULL), (21, &bytes(&[0x55; 32]))]);
    let parameters = parameters(ResLength::Bits128, 2);
    let expected = Credentials::Tuak {
        k: key(),
        topc: Tuak::topc(&key(), &Top::new([0x55; 32]), parameters.iterations),
        parameters,
    };
    assert_eq!(opened(&scene, &payload).unwrap(), expected);
}

#[test]
fn parts_that_do_not_fit_the_algorithm_are_named() {
    let scene = Scene::new();
    let milenage = profile();
    let tuak = with(tuak(TuakKey::K(K::new([0x46; 16]))));
    let xor = with(Credentials::Xor {
        k: K::new([0x46; 16]),
    });
    let pair = |one: u64, two: u64| {
        cbor(|e| {
            e.array(2).unwrap().u64(one).unwrap().u64(two).unwrap();
        })
    };
    let (k16, k32) = (bytes(&[7; 16]), bytes(&[7; 32]));
    for (profile, items, (field, expected, got)) in [
        (
            &milenage,
            &[(9, &k32[..])][..],
            ("k", "16 octets", "32 octets"),
        ),
        (&milenage, &[(10, &k32)], ("opc", "16 octets", "32 octets")),
        (&milenage, &[(10, NULL)], ("opc", "it, or op", "neither")),
        (&milenage, &[(21, &k16)], ("opc", "it, or op", "both")),
        (
            &milenage,
            &[(10, NULL), (21, &k32)],
            ("op", "16 octets", "32 octets"),
        ),
        (
            &milenage,
            &[(22, &pair(64, 1))],
            ("tuak", "parameters with tuak only", "some"),
        ),
        (
            &tuak,
            &[(9, &bytes(&[7; 24]))],
            ("k", "16 or 32 octets", "24 octets"),
        ),
        (&tuak, &[(10, &k16)], ("topc", "32 octets", "16 octets")),
        (&tuak, &[(10, NULL)], ("topc", "it, or top", "neither")),
        (&tuak, &[(21, &k32)], ("topc", "it, or top", "both")),
        (
            &tuak,
            &[(10, NULL), (21, &k16)],
            ("top", "32 octets", "16 octets"),
        ),
        (
            &tuak,
            &[(22, NULL)],
            ("tuak", "parameters with tuak", "none"),
        ),
        (
            &tuak,
            &[(22, &pair(256, 1))],
            ("res_bits", "32, 64 or 128", "256"),
        ),
        (
            &tuak,
            &[(22, &pair(64, 0))],
            ("keccak_iterations", "1 to 255", "0"),
        ),
        (
            &tuak,
            &[(22, &pair(64, 256))],
            ("keccak_iterations", "1 to 255", "256"),
        ),
        (&xor, &[(9, &k32)], ("k", "16 octets", "32 octets")),
        (&xor, &[(10, &k16)], ("opc", "none with xor", "one")),
        (&xor, &[(21, &k16)], ("opc", "none with xor", "one")),
    ] {
        let error = opened(&scene, &payload(&scene, profile, items)).unwrap_err();
        assert_eq!(error, FieldError::new(field, expected, got).into());
    }
}

#[test]
fn a_key_of_256_bits_prints_as_redacted() {
    let printed = format!("{:?}", tuak(TuakKey::K256(K256::new([0x47; 32]))));
    assert!(printed.contains("K256([redacted])") && printed.contains("Topc([redacted])"));
    assert!(!printed.contains("71, 71"), "{printed}");
}
