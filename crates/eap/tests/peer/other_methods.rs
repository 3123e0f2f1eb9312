//! What is not EAP-AKA': Nak, EAP-Notification, packets of the wrong direction (RFC 3748 section 5).

use crate::support::*;
use softsim_eap::packet::{Attribute, Type};
use softsim_eap::{Outcome, Reason};

#[test]
fn other_methods_are_answered_with_a_nak_that_asks_for_eap_aka_prime() {
    for kind in [4, 13, 18, 21, 23, 25, 254] {
        let step = Scene::new().feed(&typed(7, Type::from(kind), &[1, 2, 3]));
        assert_eq!(step.bytes(), [2, 7, 0, 6, 3, 50], "type {kind}");
    }
}

#[test]
fn after_a_nak_the_server_may_offer_our_method_another_or_fail() {
    let mut scene = Scene::new();
    scene.feed(&typed(7, Type::Aka, &[5, 0, 0]));
    assert_eq!(scene.feed(&typed(8, Type::from(4), &[16])).bytes()[4], 3);
    scene.challenge(&Challenge::default());
    assert_eq!(scene.success(10).done, [Outcome::Success]);

    let mut scene = Scene::new();
    scene.feed(&typed(7, Type::Aka, &[5, 0, 0]));
    assert!(scene.success(7).is_silence());
    assert_eq!(
        scene.failure(7).done,
        [Outcome::Failure(Reason::NoCommonMethod { offered: 23 })]
    );
}

#[test]
fn another_method_in_the_middle_of_ours_is_discarded() {
    let mut scene = Scene::new();
    scene.feed(&aka_identity(2, &[Attribute::AnyIdReq]));
    assert!(scene.feed(&typed(3, Type::from(4), &[16])).is_silence());
    scene.challenge(&Challenge::default());
    assert_eq!(scene.success(10).done, [Outcome::Success]);
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
    assert_eq!(scene.success(11).done, [Outcome::Success]);
}

#[test]
fn a_forged_text_to_display_does_not_hide_the_result_of_the_method() {
    let mut scene = Scene::verified(&Challenge::default());
    scene.feed(&typed(200, Type::Notification, b"forged"));
    assert_eq!(scene.success(10).done, [Outcome::Success]);
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
