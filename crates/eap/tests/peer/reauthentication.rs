//! Fast re-authentication (RFC 4187 §5): the counter, what falls back to a full
//! authentication, and notifications after it.

use softsim_eap::{Ask, Config, Method, Outcome, OuterIdentity, Reason, Unprocessable};
use softsim_eap_packet::{Attribute, Kind, Notification, Subtype, Type};
use softsim_testkit::scene::*;

/// A peer that has shown its re-authentication identity, so that the next request may be a
/// re-authentication with the identifier 20.
fn shown() -> Scene {
    shown_after(Config::new(), &Challenge::default())
}

fn shown_after(config: Config, challenge: &Challenge) -> Scene {
    let mut scene = Scene::known_with(config, challenge);
    let step = scene.feed(&typed(19, Type::Identity, b""));
    assert_eq!(&step.bytes()[5..], REAUTHENTICATION_ID.as_bytes());
    scene.network.identity = REAUTHENTICATION_ID.into();
    scene
}

fn unprocessable(why: Unprocessable) -> [Outcome; 1] {
    [Outcome::Failure(Reason::Unprocessable(why))]
}

#[test]
fn valid_reauthentication_is_answered_with_at_counter_and_at_mac_in_both_methods() {
    let aka = Config {
        methods: vec![Method::Aka],
        ..Config::new()
    };
    for (config, challenge, method) in [
        (Config::new(), Challenge::default(), Method::AkaPrime),
        (aka, Challenge::aka(), Method::Aka),
    ] {
        let mut scene = shown_after(config, &challenge);
        let request = scene.network.reauthentication(&Reauthentication::default());
        let step = scene.feed(&request);
        assert_eq!(
            step.response(),
            (
                Subtype::Reauthentication,
                "AT_IV AT_ENCR_DATA AT_MAC".to_owned()
            )
        );
        let session = scene.network.session();
        assert_eq!(session.counter_in(step.bytes()), Some((1, false)));
        // AT_MAC covers NONCE_S too.
        assert!(session.verifies(step.bytes()));
        let success = scene.success(20).success().unwrap();
        assert_eq!((success.method, success.reauthenticated), (method, true));
        let nonce_s = Reauthentication::default().nonce_s;
        let mac = &request[request.len() - 16..];
        let kind = [method.number()];
        assert_eq!(success.session_id[..], [&kind[..], &nonce_s, mac].concat());
        assert_eq!(*scene.sim.msk(), scene.network.session().msk);
        assert_eq!(scene.sim.runs, 1);
    }
}

#[test]
fn without_at_next_reauth_id_the_next_authentication_is_a_full_one() {
    let mut scene = shown();
    for (counter, shown, next) in [
        (1, REAUTHENTICATION_ID, Some("8second@aaa.example")),
        (2, "8second@aaa.example", None),
    ] {
        let identifier = 20 + 10 * counter as u8;
        let step = scene.feed(&typed(identifier - 1, Type::Identity, b""));
        assert_eq!(&step.bytes()[5..], shown.as_bytes());
        scene.network.identity = shown.into();
        scene.reauthentication(&Reauthentication {
            identifier,
            counter,
            next_reauth_id: next.map(str::to_owned),
            ..Reauthentication::default()
        });
        assert!(scene.success(identifier).succeeded());
    }
    let step = scene.feed(&typed(60, Type::Identity, b""));
    assert_eq!(&step.bytes()[5..], PSEUDONYM.as_bytes());
}

#[test]
fn reauthentication_identity_in_at_identity_is_valid_and_at_checkcode_covers_it() {
    let config = Config {
        outer: OuterIdentity::Anonymous,
        ..Config::new()
    };
    let mut scene = Scene::known_with(config, &Challenge::default());
    scene.feed(&typed(18, Type::Identity, b""));
    let request = aka_identity(19, &[Attribute::AnyIdReq]);
    let step = scene.feed(&request);
    scene.network.round(&request, step.bytes());
    scene.network.identity = REAUTHENTICATION_ID.into();
    let step = scene.reauthentication(&Reauthentication {
        checkcode: Some(scene.network.checkcode()),
        ..Reauthentication::default()
    });
    assert_eq!(step.response().1, "AT_IV AT_ENCR_DATA AT_CHECKCODE AT_MAC");
    assert!(scene.success(20).succeeded());
}

#[test]
fn a_wrong_checkcode_is_a_client_error() {
    let mut scene = shown();
    let step = scene.reauthentication(&Reauthentication {
        checkcode: Some(vec![0; 32]),
        ..Reauthentication::default()
    });
    assert!(step.is_client_error() && step.asks.is_empty());
    assert_eq!(
        scene.failure(20).done,
        unprocessable(Unprocessable::Checkcode)
    );
}

#[test]
fn used_counter_is_answered_with_at_counter_too_small_and_a_full_authentication_follows() {
    let mut scene = shown();
    let step = scene.reauthentication(&Reauthentication {
        counter: 0,
        result_ind: true,
        ..Reauthentication::default()
    });
    assert_eq!(
        step.response(),
        (
            Subtype::Reauthentication,
            "AT_IV AT_ENCR_DATA AT_MAC".to_owned()
        )
    );
    let session = scene.network.session();
    assert_eq!(session.counter_in(step.bytes()), Some((0, true)));
    assert!(session.verifies(step.bytes()));
    assert!(scene.success(20).is_silence());
    // The identity in the key derivation is the one that was shown last.
    let step = scene.challenge(&Challenge {
        identifier: 21,
        ..Challenge::default()
    });
    assert_eq!(step.response().1, "AT_RES AT_MAC");
    assert!(scene.network.session().verifies(step.bytes()));
    let success = scene.success(21).success().unwrap();
    assert!(!success.reauthenticated);
}

#[test]
fn after_at_counter_too_small_identity_is_answered_and_reauthentication_is_a_client_error() {
    let used = Reauthentication {
        counter: 0,
        ..Reauthentication::default()
    };
    let mut scene = shown();
    scene.reauthentication(&used);
    let step = scene.feed(&aka_identity(21, &[Attribute::FullauthIdReq]));
    assert_eq!(at_identity(step.bytes()), PSEUDONYM.as_bytes());
    let mut scene = shown();
    scene.reauthentication(&used);
    let step = scene.reauthentication(&Reauthentication {
        identifier: 21,
        ..used
    });
    assert!(step.is_client_error() && step.asks.is_empty());
}

#[test]
fn a_server_that_does_not_know_the_identity_any_more_asks_for_another() {
    let mut scene = shown();
    let request = aka_identity(20, &[Attribute::FullauthIdReq]);
    let step = scene.feed(&request);
    assert_eq!(at_identity(step.bytes()), PSEUDONYM.as_bytes());
    scene.network.round(&request, step.bytes());
    scene.network.identity = PSEUDONYM.into();
    let step = scene.challenge(&Challenge {
        identifier: 21,
        checkcode: Some(scene.network.checkcode()),
        ..Challenge::default()
    });
    assert!(scene.network.session().verifies(step.bytes()));
    assert!(scene.success(21).succeeded());
}

#[test]
fn a_wrong_mac_is_a_client_error() {
    let mut scene = shown();
    let step = scene.reauthentication(&Reauthentication {
        wrong_mac: true,
        ..Reauthentication::default()
    });
    assert!(step.is_client_error());
    assert_eq!(scene.failure(20).done, unprocessable(Unprocessable::Mac));
}

#[test]
fn reauthentication_without_at_iv_at_encr_data_or_at_mac_is_a_client_error() {
    for kind in [Kind::IV, Kind::ENCR_DATA, Kind::MAC] {
        let mut scene = shown();
        let step = scene.reauthentication(&Reauthentication {
            omitted: Some(kind.0),
            ..Reauthentication::default()
        });
        assert!(step.is_client_error() && step.asks.is_empty(), "{kind}");
    }
}

#[test]
fn reauthentication_of_a_peer_that_sent_another_identity_is_a_client_error() {
    let mut scene = Scene::known();
    scene.sim.reauthentication = None;
    scene.feed(&typed(19, Type::Identity, b""));
    let step = scene.reauthentication(&Reauthentication::default());
    assert!(step.is_client_error() && step.asks.is_empty());
    let unexpected = Unprocessable::Subtype(Subtype::Reauthentication);
    assert_eq!(scene.failure(20).done, unprocessable(unexpected));
}

#[test]
fn reauthentication_after_a_challenge_or_a_reauthentication_is_a_client_error() {
    let mut scene = shown();
    let session = scene.network.session.clone();
    scene.challenge(&Challenge {
        identifier: 20,
        ..Challenge::default()
    });
    scene.network.session = session;
    let second = Reauthentication {
        identifier: 21,
        counter: 2,
        ..Reauthentication::default()
    };
    assert!(scene.reauthentication(&second).is_client_error());
    let mut scene = shown();
    scene.reauthentication(&Reauthentication::default());
    assert!(scene.reauthentication(&second).is_client_error());
}

#[test]
fn challenge_or_identity_after_a_valid_reauthentication_is_a_client_error() {
    let mut scene = shown();
    scene.reauthentication(&Reauthentication::default());
    assert!(
        scene
            .feed(&aka_identity(21, &[Attribute::FullauthIdReq]))
            .is_client_error()
    );
    let mut scene = shown();
    scene.reauthentication(&Reauthentication::default());
    let challenge = Challenge {
        identifier: 21,
        ..Challenge::default()
    };
    assert!(scene.challenge(&challenge).is_client_error());
    assert_eq!(scene.sim.runs, 1);
}

#[test]
fn retransmitted_reauthentication_gets_the_identical_response_and_uses_its_counter_once() {
    let mut scene = shown();
    let packet = scene.network.reauthentication(&Reauthentication::default());
    let first = scene.feed(&packet);
    let again = scene.feed(&packet);
    assert_eq!(first.sent, again.sent);
    assert!(again.asks.is_empty());
    assert!(scene.success(20).succeeded());
}

#[test]
fn with_result_indications_success_counts_after_the_notification_with_the_encrypted_counter() {
    let mut scene = shown();
    let step = scene.reauthentication(&Reauthentication {
        result_ind: true,
        ..Reauthentication::default()
    });
    assert_eq!(step.response().1, "AT_IV AT_ENCR_DATA AT_RESULT_IND AT_MAC");
    assert!(scene.success(20).is_silence());
    let packet = scene.network.notification(21, 32768);
    let step = scene.feed(&packet);
    assert_eq!(
        step.response(),
        (
            Subtype::Notification,
            "AT_IV AT_ENCR_DATA AT_MAC".to_owned()
        )
    );
    let session = scene.network.session();
    assert_eq!(session.counter_in(step.bytes()), Some((1, false)));
    assert!(session.verifies(step.bytes()));
    assert!(scene.success(21).success().unwrap().reauthenticated);
}

#[test]
fn a_notification_with_another_counter_or_without_one_is_a_client_error() {
    for counter in [None, Some(0), Some(2)] {
        let mut scene = shown();
        scene.reauthentication(&Reauthentication::default());
        let packet = scene.network.notification_with(21, 32768, counter);
        let step = scene.feed(&packet);
        assert!(step.is_client_error(), "{counter:?}");
        assert_eq!(
            step.asks
                .iter()
                .any(|ask| matches!(ask, Ask::Verify { .. })),
            counter.is_some()
        );
    }
}

#[test]
fn failure_notification_after_reauthentication_carries_at_counter_and_is_final() {
    let mut scene = shown();
    scene.reauthentication(&Reauthentication::default());
    let packet = scene.network.notification(21, 1026);
    assert_eq!(
        scene.feed(&packet).response().1,
        "AT_IV AT_ENCR_DATA AT_MAC"
    );
    assert_eq!(
        scene.failure(21).done,
        [Outcome::Failure(Reason::Notified(Notification(1026)))]
    );
}

#[test]
fn after_at_counter_too_small_a_notification_of_success_is_a_client_error() {
    let mut scene = shown();
    scene.reauthentication(&Reauthentication {
        counter: 0,
        ..Reauthentication::default()
    });
    let packet = scene.network.notification(21, 32768);
    assert!(scene.feed(&packet).is_client_error());
}

#[test]
fn eap_failure_after_a_valid_reauthentication_is_accepted() {
    let mut scene = shown();
    scene.reauthentication(&Reauthentication::default());
    let reason = Reason::Rejected {
        reauthentication: true,
    };
    assert_eq!(scene.failure(20).done, [Outcome::Failure(reason)]);
    assert!(reason.to_string().ends_with("re-authentication"));
}
