//! EAP-AKA (RFC 4187), where it differs from EAP-AKA': SHA-1, no negotiation, and the protection
//! against bidding down.

use softsim_eap::{AuthenticationReject, Config, ForwardSecrecy, Method, Outcome, Reason};
use softsim_eap_packet::{Attribute, Kind, Subtype, Type};
use softsim_testkit::home_network::{AT_BIDDING, AT_KDF, AT_KDF_INPUT, number, text};
use softsim_testkit::scene::*;

fn aka_only() -> Config {
    Config {
        methods: vec![Method::Aka],
        ..Config::new()
    }
}

fn scene(config: Config) -> Scene {
    let mut scene = Scene::unasked(config);
    let step = scene.feed(&typed(0, Type::Identity, b""));
    scene.network.identity = step.bytes()[5..].to_vec();
    scene
}

#[test]
fn a_full_authentication_ends_in_success_and_says_so() {
    let mut scene = scene(aka_only());
    assert_eq!(scene.network.identity, AKA_IDENTITY.as_bytes());
    let step = scene.challenge(&Challenge {
        result_ind: true,
        ..Challenge::aka()
    });
    assert_eq!(step.response().1, "AT_RES AT_RESULT_IND AT_MAC");
    assert!(scene.network.session().verifies(step.bytes()));
    let packet = scene.network.notification(11, 32768);
    assert_eq!(scene.feed(&packet).response().1, "AT_MAC");
    let success = scene.success(11).success().unwrap();
    assert_eq!(
        (success.method, success.forward_secrecy),
        (Method::Aka, false)
    );
    let vector = &scene.network.last().vector;
    let (rand, autn) = (vector.rand.as_bytes(), vector.autn.as_bytes());
    assert_eq!(success.session_id[..], [&[23][..], rand, autn].concat());
}

#[test]
fn a_peer_of_both_methods_follows_a_server_that_has_eap_aka_only() {
    let mut scene = scene(Config::new());
    assert_eq!(scene.network.identity, IDENTITY.as_bytes());
    assert_eq!(
        scene.challenge(&Challenge::aka()).response().0,
        Subtype::Challenge
    );
    assert!(scene.success(10).succeeded());
}

#[test]
fn at_bidding_with_the_d_bit_is_an_authentication_reject_if_eap_aka_prime_is_allowed() {
    for (config, d, trusted) in [
        (Config::new(), true, false),
        (Config::new(), false, true),
        (aka_only(), true, true),
    ] {
        let mut scene = scene(config);
        let step = scene.challenge(&Challenge {
            extra: number(AT_BIDDING, u16::from(d) << 15),
            ..Challenge::aka()
        });
        assert_eq!(step.is_authentication_reject(), !trusted);
        assert_eq!(scene.sim.runs, usize::from(trusted));
        if !trusted {
            assert_eq!(
                scene.failure(10).done,
                [Outcome::Failure(Reason::AuthenticationReject(
                    AuthenticationReject::BidDown
                ))]
            );
        }
    }
}

/// A server that reads the method off a pseudonym would bid us down for ever.
#[test]
fn after_a_bid_down_the_identity_outside_the_method_names_no_method_until_an_attempt_ends_otherwise()
 {
    let mut scene = scene(Config::new());
    let ask = |scene: &mut Scene, identifier| {
        let step = scene.feed(&typed(identifier, Type::Identity, b""));
        step.bytes()[5..].to_vec()
    };
    for identifier in [20, 30] {
        let bid_down = Challenge {
            extra: number(AT_BIDDING, 1 << 15),
            ..Challenge::aka()
        };
        assert!(scene.challenge(&bid_down).is_authentication_reject());
        assert_eq!(scene.failure(10).done.len(), 1);
        assert_eq!(ask(&mut scene, identifier), ANONYMOUS.as_bytes());
    }
    scene.network.identity = ANONYMOUS.as_bytes().to_vec();
    let step = scene.challenge(&Challenge::default());
    assert_eq!(step.response().0, Subtype::Challenge);
    assert!(scene.success(10).succeeded());
    assert_eq!(ask(&mut scene, 40), IDENTITY.as_bytes());
}

#[test]
fn the_checkcode_is_sha_1_over_the_identity_rounds() {
    let mut scene = scene(aka_only());
    let request =
        request_of(Method::Aka, 1, Subtype::Identity, &[Attribute::AnyIdReq]).into_bytes();
    let step = scene.feed(&request);
    scene.network.round(&request, step.bytes());
    let checkcode = scene.network.checkcode_of_aka();
    let step = scene.challenge(&Challenge {
        checkcode: Some(checkcode),
        ..Challenge::aka()
    });
    assert_eq!(step.response().1, "AT_RES AT_CHECKCODE AT_MAC");
    let mut scene = self::scene(aka_only());
    let step = scene.feed(&request);
    scene.network.round(&request, step.bytes());
    let sha_256 = scene.network.checkcode();
    let step = scene.challenge(&Challenge {
        checkcode: Some(sha_256),
        ..Challenge::aka()
    });
    assert!(step.is_client_error() && scene.sim.runs == 0);
}

#[test]
fn a_vector_made_for_eap_aka_prime_is_refused_where_the_policy_says_so() {
    for (refuse_separation_bit, separation_bit, trusted) in [
        (false, true, true),
        (false, false, true),
        (true, true, false),
        (true, false, true),
    ] {
        let mut scene = scene(Config {
            refuse_separation_bit,
            ..aka_only()
        });
        let step = scene.challenge(&Challenge {
            amf: [u8::from(separation_bit) << 7, 0],
            ..Challenge::aka()
        });
        assert_eq!(step.is_authentication_reject(), !trusted);
    }
}

#[test]
fn attributes_of_eap_aka_prime_have_no_place_in_a_challenge() {
    for attribute in [number(AT_KDF, 1), text(AT_KDF_INPUT, b"WLAN")] {
        let mut scene = scene(aka_only());
        let step = scene.challenge(&Challenge {
            extra: attribute.clone(),
            ..Challenge::aka()
        });
        assert!(
            step.is_client_error() && scene.sim.runs == 0,
            "{attribute:?}"
        );
    }
}

#[test]
fn a_synchronisation_failure_carries_auts_alone() {
    let mut scene = scene(aka_only());
    scene.sim.usim = up_to(0x1000);
    let step = scene.challenge(&Challenge::aka());
    let failure = (Subtype::SynchronizationFailure, Kind::AUTS.to_string());
    assert_eq!(step.response(), failure);
}

#[test]
fn who_requires_forward_secrecy_does_not_speak_eap_aka() {
    let mut scene = Scene::new();
    assert_ne!(
        scene
            .feed(&typed(7, Type::Aka, &[5, 0, 0, 13, 1, 0, 0]))
            .bytes()[4],
        3
    );
    let mut scene = Scene::with(Config {
        forward_secrecy: ForwardSecrecy::Require,
        ..Config::new()
    });
    let step = scene.feed(&typed(7, Type::Aka, &[5, 0, 0, 13, 1, 0, 0]));
    assert_eq!(step.bytes(), [2, 7, 0, 6, 3, 50]);
}
