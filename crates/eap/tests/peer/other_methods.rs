//! What is not EAP-AKA': Nak, EAP-Notification, packets of the wrong direction (RFC 3748 §5).

use softsim_eap::{Config, Method, Outcome, Reason};
use softsim_eap_packet::{Attribute, Type};
use softsim_testkit::scene::*;

/// A peer that supports these methods and prefers the first.
fn speaks(methods: &[Method]) -> Scene {
    Scene::with(Config {
        methods: methods.to_vec(),
        ..Config::new()
    })
}

#[test]
fn other_methods_are_answered_with_a_nak_that_lists_what_is_allowed_in_order() {
    let (prime, aka) = (Method::AkaPrime, Method::Aka);
    for (methods, listed) in [
        (&[prime, aka][..], &[50, 23][..]),
        (&[aka, prime], &[23, 50]),
        (&[prime], &[50]),
        (&[aka], &[23]),
        (&[], &[0]),
    ] {
        for kind in [4, 13, 18, 21, 25, 254] {
            let step = speaks(methods).feed(&typed(7, Type::from(kind), &[1, 2, 3]));
            let length = 5 + listed.len() as u8;
            let nak = [&[2, 7, 0, length, 3][..], listed].concat();
            assert_eq!(step.bytes(), nak, "type {kind}");
        }
    }
}

#[test]
fn a_request_of_a_type_that_is_no_method_is_discarded() {
    for kind in [0, 3] {
        let step = Scene::new().feed(&typed(7, Type::from(kind), &[1, 2, 3]));
        assert!(step.is_silence(), "type {kind}");
    }
}

#[test]
fn a_method_that_is_not_allowed_is_another_method() {
    for (allowed, offered) in [(Method::AkaPrime, Type::Aka), (Method::Aka, Type::AkaPrime)] {
        let step = speaks(&[allowed]).feed(&typed(7, offered, &[5, 0, 0, 13, 1, 0, 0]));
        assert_eq!(step.bytes(), [2, 7, 0, 6, 3, allowed.number()]);
    }
}

#[test]
fn after_a_nak_the_server_may_offer_our_method_another_or_fail() {
    let mut scene = speaks(&[Method::AkaPrime]);
    scene.feed(&typed(7, Type::Aka, &[5, 0, 0]));
    assert_eq!(scene.feed(&typed(8, Type::from(4), &[16])).bytes()[4], 3);
    scene.challenge(&Challenge::default());
    assert!(scene.success(10).succeeded());

    let mut scene = speaks(&[Method::AkaPrime]);
    scene.feed(&typed(7, Type::Aka, &[5, 0, 0]));
    assert!(scene.success(7).is_silence());
    assert_eq!(
        scene.failure(7).done,
        [Outcome::Failure(Reason::NoCommonMethod { offered: 23 })]
    );
}

#[test]
fn one_of_our_methods_in_the_middle_of_the_other_is_discarded() {
    let mut scene = Scene::new();
    scene.feed(&aka_identity(2, &[Attribute::AnyIdReq]));
    let aka = Challenge {
        identifier: 3,
        ..Challenge::aka()
    };
    assert!(scene.challenge(&aka).is_silence());
    scene.challenge(&Challenge::default());
    assert!(scene.success(10).succeeded());
}

#[test]
fn another_method_in_the_middle_of_ours_is_discarded() {
    let mut scene = Scene::new();
    scene.feed(&aka_identity(2, &[Attribute::AnyIdReq]));
    assert!(scene.feed(&typed(3, Type::from(4), &[16])).is_silence());
    scene.challenge(&Challenge::default());
    assert!(scene.success(10).succeeded());
}

#[test]
fn a_text_to_display_is_acknowledged_at_any_time_and_disturbs_nothing() {
    let mut scene = Scene::new();
    let step = scene.feed(&typed(1, Type::Notification, b"hello\x1b[2J"));
    assert_eq!(step.bytes(), [2, 1, 0, 5, 2]);
    assert_eq!(step.notes[0].remark.as_deref(), Some("hello\\x1b[2J"));
    scene.challenge(&Challenge::default());
    assert_eq!(
        scene.feed(&typed(11, Type::Notification, b"")).bytes(),
        [2, 11, 0, 5, 2]
    );
    assert!(scene.success(11).succeeded());
}

#[test]
fn a_forged_text_to_display_does_not_hide_the_result_of_the_method() {
    let mut scene = Scene::verified(&Challenge::default());
    scene.feed(&typed(200, Type::Notification, b"forged"));
    assert!(scene.success(10).succeeded());
}

#[test]
fn responses_are_not_for_a_peer() {
    let mut scene = Scene::new();
    let response = scene
        .feed(&aka_identity(2, &[Attribute::AnyIdReq]))
        .sent
        .remove(0);
    assert!(scene.feed(&response).is_silence());
}

#[test]
fn what_is_not_eap_is_discarded_and_noted() {
    for octets in [
        &[][..],
        &[1],
        &[1, 0, 0, 4],
        &[1, 0, 0, 9, 50, 1],
        &[7, 0, 0, 5, 50],
        &[3, 0, 0, 6, 1, 1],
    ] {
        let step = Scene::new().feed(octets);
        assert!(step.is_silence());
        assert!(
            step.notes[0]
                .to_string()
                .starts_with("<- no EAP packet (discarded: expected "),
            "{}",
            step.notes[0]
        );
    }
}
