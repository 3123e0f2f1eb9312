//! AKA-Notification: S bit, P bit, AT_MAC, and the single notification round (RFC 4187 §6.1 and
//! §6.2).

use softsim_eap::{Outcome, Reason, Unprocessable};
use softsim_eap_packet::{Attribute, Notification, Subtype, Type};
use softsim_testkit::scene::*;

fn bare(identifier: u8, code: u16) -> Vec<u8> {
    request(
        identifier,
        Subtype::Notification,
        &[Attribute::Notification(code)],
    )
    .into_bytes()
}

fn notified(code: u16) -> [Outcome; 1] {
    [Outcome::Failure(Reason::Notified(Notification(code)))]
}

#[test]
fn a_failure_before_the_challenge_is_answered_without_mac_and_ends_in_failure() {
    let mut scene = Scene::new();
    let step = scene.feed(&bare(5, 16384));
    assert_eq!(step.response(), (Subtype::Notification, String::new()));
    assert_eq!(scene.failure(5).done, notified(16384));
}

/// hostapd sends this to an unknown peer, right after EAP-Response/Identity.
#[test]
fn a_failure_may_open_the_conversation_after_one_that_is_over() {
    let mut scene = Scene::new();
    for identifier in [5, 9, 13] {
        scene.feed(&typed(identifier - 1, Type::Identity, b""));
        let step = scene.feed(&bare(identifier, 16384));
        assert_eq!(step.response(), (Subtype::Notification, String::new()));
        assert_eq!(scene.failure(identifier).done, notified(16384));
    }
    // This also holds if the previous conversation ended in the peer's error and its EAP-Failure
    // was lost.
    scene.feed(&typed(20, Type::Identity, b""));
    assert!(scene.feed(&aka_identity(21, &[])).is_client_error());
    assert!(scene.feed(&bare(22, 16384)).is_silence());
    scene.feed(&typed(23, Type::Identity, b""));
    scene.feed(&bare(24, 16384));
    assert_eq!(scene.failure(24).done, notified(16384));
}

#[test]
fn a_failure_after_the_challenge_is_answered_under_mac_and_ends_in_failure() {
    for code in [0, 1026, 1031] {
        let mut scene = Scene::verified(&Challenge::default());
        let packet = scene.network.notification(11, code);
        let step = scene.feed(&packet);
        assert_eq!(
            step.response(),
            (Subtype::Notification, "AT_MAC".to_owned())
        );
        assert!(scene.network.session().verifies(step.bytes()));
        assert!(scene.success(11).is_silence());
        assert_eq!(scene.failure(11).done, notified(code));
    }
}

#[test]
fn notification_with_the_p_bit_is_accepted_after_our_response_to_the_challenge() {
    let mut scene = Scene::verified(&Challenge::default());
    assert_eq!(
        scene.feed(&bare(11, 16384)).response(),
        (Subtype::Notification, String::new())
    );
    assert_eq!(scene.failure(11).done, notified(16384));
}

#[test]
fn unknown_codes_are_answered_too() {
    let mut scene = Scene::verified(&Challenge::default());
    let packet = scene.network.notification(11, 0x8123);
    assert_eq!(
        scene.feed(&packet).response(),
        (Subtype::Notification, "AT_MAC".to_owned())
    );
    assert!(scene.success(11).succeeded());
    assert_eq!(
        Scene::new().feed(&bare(5, 0x4123)).response().0,
        Subtype::Notification
    );
}

#[test]
fn a_code_for_after_the_challenge_needs_a_challenge_and_a_mac() {
    for code in [0, 1026, 32768] {
        assert!(
            Scene::new().feed(&bare(5, code)).is_client_error(),
            "before, {code}"
        );
        assert!(
            Scene::verified(&Challenge::default())
                .feed(&bare(11, code))
                .is_client_error(),
            "without mac, {code}"
        );
        let mut scene = Scene::new();
        scene.network.challenge(&Challenge::default());
        let packet = scene.network.notification(5, code);
        assert!(scene.feed(&packet).is_client_error(), "mac before, {code}");
    }
}

#[test]
fn a_code_for_before_the_challenge_has_neither_mac_nor_success() {
    let mut scene = Scene::verified(&Challenge::default());
    let packet = scene.network.notification(11, 16384);
    assert!(scene.feed(&packet).is_client_error());
    assert!(Scene::new().feed(&bare(5, 0xc000)).is_client_error());
}

#[test]
fn a_wrong_mac_is_a_client_error() {
    let mut scene = Scene::verified(&Challenge {
        result_ind: true,
        ..Challenge::default()
    });
    let mut packet = scene.network.notification(11, 32768);
    *packet.last_mut().unwrap() ^= 1;
    let step = scene.feed(&packet);
    assert!(step.is_client_error());
    assert!(scene.success(11).is_silence());
    assert_eq!(
        scene.failure(11).done,
        [Outcome::Failure(Reason::Unprocessable(Unprocessable::Mac))]
    );
}

#[test]
fn there_is_one_notification_round() {
    let mut scene = Scene::verified(&Challenge::default());
    let packet = scene.network.notification(11, 0x8123);
    scene.feed(&packet);
    let packet = scene.network.notification(12, 0);
    assert!(scene.feed(&packet).is_client_error());
}

#[test]
fn a_notification_without_a_code_is_unprocessable() {
    assert!(
        Scene::new()
            .feed(&request(5, Subtype::Notification, &[]).into_bytes())
            .is_client_error()
    );
}

#[test]
fn with_result_indications_success_counts_only_after_the_protected_notification() {
    let mut scene = Scene::verified(&Challenge {
        result_ind: true,
        ..Challenge::default()
    });
    assert!(scene.success(10).is_silence());
    let packet = scene.network.notification(11, 32768);
    assert_eq!(scene.feed(&packet).response().1, "AT_MAC");
    assert!(scene.success(11).succeeded());
}

#[test]
fn after_the_protected_success_nothing_unprotected_can_undo_it() {
    let mut scene = Scene::verified(&Challenge {
        result_ind: true,
        ..Challenge::default()
    });
    let packet = scene.network.notification(11, 32768);
    scene.feed(&packet);
    assert!(scene.failure(11).is_silence());
    assert!(scene.feed(&bare(12, 16384)).is_silence());
    assert!(scene.feed(&[1, 13, 0, 5, 50]).is_silence());
    assert!(scene.success(11).succeeded());
}
