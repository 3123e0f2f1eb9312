//! Arbitrary octets from a network cause an error, never a panic and never a wrong profile.

use proptest::prelude::*;

use super::*;

#[test]
fn a_package_with_any_octet_changed_is_refused() {
    let scene = Scene::new();
    let good = scene.seal(&profile());
    for at in 0..good.len() {
        for flip in [0x01, 0x80] {
            let mut package = good.clone();
            package[at] ^= flip;
            assert!(scene.open(&package).is_err(), "octet {at} doesn't matter");
        }
    }
}

#[test]
fn a_package_cut_off_anywhere_is_refused() {
    let scene = Scene::new();
    let good = scene.seal(&profile());
    for length in 0..good.len() {
        let error = scene.open(&good[..length]).unwrap_err();
        assert!(
            matches!(error, PackageFault::Shape(_)),
            "{length}: {error:?}"
        );
    }
}

#[test]
fn a_ciphertext_with_any_octet_changed_is_refused_even_with_a_good_signature() {
    let scene = Scene::new();
    let addressing = scene.addressing();
    let good = encrypt0(
        &addressing,
        &scene.sealing_key.public(),
        &scene.payload(),
        &mut TestRng::new("forge"),
    );
    assert!(scene.open(&scene.sign(&addressing, &good)).is_ok());
    for at in 0..good.len() {
        let mut encrypted = good.clone();
        encrypted[at] ^= 0x01;
        assert!(
            scene.open(&scene.sign(&addressing, &encrypted)).is_err(),
            "octet {at}"
        );
    }
    for length in 0..good.len() {
        let package = scene.sign(&addressing, &good[..length]);
        assert!(scene.open(&package).is_err(), "cut to {length}");
    }
}

#[test]
fn a_payload_cut_off_anywhere_is_refused_even_with_a_good_ciphertext() {
    let scene = Scene::new();
    let addressing = scene.addressing();
    let good = scene.payload();
    for length in 0..good.len() {
        assert!(
            read_payload(&good[..length], &addressing).is_err(),
            "cut to {length}"
        );
    }
}

#[test]
fn a_payload_with_an_octet_changed_is_refused_or_another_profile() {
    let addressing = Scene::new().addressing();
    let good = Scene::new().payload();
    for at in 0..good.len() {
        for flip in [0x01, 0x20, 0x80, 0xff] {
            let mut payload = good.clone();
            payload[at] ^= flip;
            if let Ok(read) = read_payload(&payload, &addressing) {
                assert_ne!(read, profile(), "octet {at} has two encodings");
                assert_eq!(*write_payload(&addressing, &read), payload);
            }
        }
    }
}

#[test]
fn an_encapsulated_key_of_any_octets_doesn_t_open() {
    let scene = Scene::new();
    let addressing = scene.addressing();
    let good = encrypt0(
        &addressing,
        &scene.sealing_key.public(),
        &scene.payload(),
        &mut TestRng::new("forge"),
    );
    // The payload follows the tag, the array, the headers and the head of the byte string.
    let start = good.len() - scene.payload().len() - 16 - 3 - 1120;
    for fill in [0x00, 0xff] {
        let mut encrypted = good.clone();
        encrypted[start..start + 1120].fill(fill);
        assert_eq!(
            scene
                .open(&scene.sign(&addressing, &encrypted))
                .unwrap_err(),
            PackageFault::Decryption
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_octets_are_refused_without_a_panic(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        let scene = Scene::new();
        prop_assert!(scene.open(&octets).is_err());
        prop_assert!(read_payload(&octets, &scene.addressing()).is_err());
        let key = scene.device_key.verifying_key();
        prop_assert!(SealingStatement::verify(&octets, key).is_err());
    }

    #[test]
    fn any_payload_under_a_good_seal_is_refused_without_a_panic(
        octets in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let scene = Scene::new();
        prop_assert!(scene.open(&scene.forge(&scene.addressing(), &octets)).is_err());
    }

    #[test]
    fn a_payload_that_reads_has_no_other_encoding(
        at in 0..400_usize,
        replacement in prop::collection::vec(any::<u8>(), 1..4),
    ) {
        let addressing = Scene::new().addressing();
        let mut payload = Scene::new().payload();
        let end = (at + replacement.len()).min(payload.len());
        payload.splice(at.min(end)..end, replacement);
        if let Ok(read) = read_payload(&payload, &addressing) {
            prop_assert_eq!(write_payload(&addressing, &read).to_vec(), payload);
        }
    }
}
