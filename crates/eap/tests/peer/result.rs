//! EAP-Success and EAP-Failure: when the peer accepts them (RFC 3748 §4.2).

use softsim_eap::{Outcome, Reason};
use softsim_eap_packet::{Attribute, Subtype, Type};
use softsim_testkit::scene::*;

#[test]
fn success_and_failure_are_discarded_before_the_server_has_proved_itself_and_the_exchange_goes_on()
{
    let mut scene = Scene::new();
    let early = |scene: &mut Scene, identifier| {
        assert!(scene.success(identifier).is_silence());
        assert!(scene.failure(identifier).is_silence());
    };
    early(&mut scene, 0);
    scene.feed(&typed(1, Type::Identity, b""));
    early(&mut scene, 1);
    scene.feed(&aka_identity(2, &[Attribute::AnyIdReq]));
    early(&mut scene, 2);
    scene.challenge(&Challenge {
        identifier: 3,
        kdfs: vec![2, 1],
        ..Challenge::default()
    });
    early(&mut scene, 3);
    scene.challenge(&Challenge {
        identifier: 4,
        kdfs: vec![1, 2, 1],
        ..Challenge::default()
    });
    assert!(scene.success(4).succeeded());
}

/// People read the remark.
#[test]
fn a_result_that_answers_our_identity_is_discarded_for_want_of_a_proof() {
    let mut scene = Scene::new();
    scene.feed(&typed(1, Type::Identity, b""));
    for (identifier, why) in [
        (1, "discarded: the server has not proved itself"),
        (
            2,
            "discarded: its identifier is not that of our last response",
        ),
    ] {
        for step in [scene.success(identifier), scene.failure(identifier)] {
            assert_eq!(step.notes[0].remark.as_deref(), Some(why), "{identifier}");
        }
    }
}

#[test]
fn a_server_has_proved_itself_from_its_challenge_to_the_end() {
    let mut scene = Scene::new();
    assert!(!scene.peer.has_proof());
    scene.feed(&typed(1, Type::Identity, b""));
    scene.feed(&aka_identity(2, &[Attribute::AnyIdReq]));
    assert!(!scene.peer.has_proof());
    scene.challenge(&Challenge::default());
    assert!(scene.peer.has_proof());
    scene.failure(10);
    assert!(!scene.peer.has_proof());
}

#[test]
fn results_must_carry_the_identifier_of_our_last_response() {
    let mut scene = Scene::verified(&Challenge::default());
    for identifier in [0, 9, 11] {
        assert!(scene.success(identifier).is_silence());
        assert!(scene.failure(identifier).is_silence());
    }
    assert!(scene.success(10).succeeded());
}

#[test]
fn a_server_that_proved_itself_may_refuse() {
    let mut scene = Scene::verified(&Challenge::default());
    assert_eq!(
        scene.failure(10).done,
        [Outcome::Failure(Reason::Rejected {
            reauthentication: false
        })]
    );
}

#[test]
fn the_outcome_comes_once() {
    let mut scene = Scene::verified(&Challenge::default());
    assert_eq!(scene.success(10).done.len(), 1);
    assert!(scene.success(10).is_silence());
    assert!(scene.failure(10).is_silence());
    scene.peer.carrier_failed();
    assert!(scene.settle().is_silence());
}

#[test]
fn a_carrier_that_gives_up_ends_the_conversation_with_the_reason_known_so_far() {
    let mut scene = Scene::new();
    scene.peer.carrier_failed();
    assert_eq!(scene.settle().done, [Outcome::Failure(Reason::Carrier)]);

    let mut scene = Scene::new();
    scene.challenge(&Challenge {
        kdfs: vec![],
        ..Challenge::default()
    });
    scene.peer.carrier_failed();
    let done = scene.settle().done;
    assert!(matches!(
        done[..],
        [Outcome::Failure(Reason::AuthenticationReject(_))]
    ));
}

#[test]
fn the_same_peer_authenticates_again_when_the_server_begins_anew() {
    let mut scene = Scene::verified(&Challenge::default());
    scene.success(10);
    for identifier in [20, 30] {
        scene.feed(&typed(identifier, Type::Identity, b""));
        scene.challenge(&Challenge {
            identifier: identifier + 1,
            checkcode: Some(vec![]),
            ..Challenge::default()
        });
        assert!(scene.success(identifier + 1).succeeded());
    }
    assert_eq!(scene.sim.verified, 3);
}

#[test]
fn an_authenticator_that_begins_anew_in_the_middle_is_followed_even_with_the_same_identifiers() {
    let mut scene = Scene::new();
    for _ in 0..2 {
        scene.feed(&typed(1, Type::Identity, b""));
        let request = aka_identity(2, &[Attribute::AnyIdReq]);
        let step = scene.feed(&request);
        scene.network.round(&request, step.bytes());
        let challenge = Challenge {
            identifier: 3,
            checkcode: Some(scene.network.checkcode()),
            ..Challenge::default()
        };
        assert_eq!(
            scene.challenge(&challenge).response().1,
            "AT_RES AT_CHECKCODE AT_MAC"
        );
        scene.network.forget_rounds();
    }
    assert!(scene.success(3).succeeded());
}

#[test]
fn packet_that_failed_without_the_sim_is_processed_again_in_the_next_conversation() {
    let notification =
        request(2, Subtype::Notification, &[Attribute::Notification(16384)]).into_bytes();
    let malformed = typed(2, Type::AkaPrime, &[1, 0, 0, 1, 0, 0, 0]);
    for packet in [notification, malformed] {
        let mut scene = Scene::new();
        for _ in 0..2 {
            scene.feed(&typed(1, Type::Identity, b""));
            scene.feed(&aka_identity(1, &[Attribute::AnyIdReq]));
            assert_eq!(scene.feed(&packet).sent.len(), 1);
            assert_eq!(scene.failure(2).done.len(), 1);
        }
    }
}

#[test]
fn a_challenge_that_the_sim_was_asked_about_when_the_carrier_failed_is_not_asked_about_again() {
    let mut scene = Scene::new();
    let packet = scene.network.challenge(&Challenge::default());
    scene.peer.handle_packet(&packet);
    while scene.peer.poll().is_some() {}
    scene.peer.carrier_failed();
    assert_eq!(scene.settle().done, [Outcome::Failure(Reason::Carrier)]);
    scene.feed(&typed(20, Type::Identity, b""));
    assert!(scene.feed(&packet).is_silence());
    // The network comes with another one sooner or later.
    let another = Challenge {
        identifier: 11,
        ..Challenge::default()
    };
    assert_eq!(scene.challenge(&another).response().0, Subtype::Challenge);
    assert!(scene.success(11).succeeded());
}
