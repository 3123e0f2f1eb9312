//! Identities: which are sent, in which order they may be asked for, and which enters the keys (RFC 4187 section 4.1).

use crate::support::*;
use softsim_eap::packet::{Attribute, Packet, Subtype, Type};
use softsim_eap::{BadNai, Config, Nai};

const ANY: Attribute<'static> = Attribute::AnyIdReq;
const FULL: Attribute<'static> = Attribute::FullauthIdReq;
const PERMANENT: Attribute<'static> = Attribute::PermanentIdReq;

fn anonymous() -> Config {
    let mut config = Config::new(Nai::new(IDENTITY).unwrap());
    config.outer = Nai::new("anonymous@wlan.mnc001.mcc001.3gppnetwork.org").unwrap();
    config
}

#[test]
fn eap_identity_is_answered_with_the_configured_identity_and_not_the_imsi() {
    let step = Scene::with(anonymous()).feed(&typed(1, Type::Identity, b"who?"));
    let packet = Packet::parse(step.bytes()).unwrap();
    assert_eq!(
        packet.typed,
        Some((
            Type::Identity,
            &b"anonymous@wlan.mnc001.mcc001.3gppnetwork.org"[..]
        ))
    );
}

#[test]
fn identity_requests_are_answered_in_the_order_any_full_permanent_and_in_no_other() {
    let cases: [(&[Attribute<'static>], usize); 11] = [
        (&[ANY], 1),
        (&[FULL], 1),
        (&[PERMANENT], 1),
        (&[ANY, FULL, PERMANENT], 3),
        (&[ANY, PERMANENT], 2),
        (&[FULL, PERMANENT], 2),
        (&[ANY, ANY], 1),
        (&[FULL, ANY], 1),
        (&[PERMANENT, FULL], 1),
        (&[PERMANENT, PERMANENT], 1),
        (&[ANY, FULL, PERMANENT, PERMANENT], 3),
    ];
    for (wanted, answered) in cases {
        let mut scene = Scene::new();
        for (index, wanted) in wanted.iter().enumerate() {
            let step = scene.feed(&aka_identity(index as u8, &[*wanted]));
            if index < answered {
                assert_eq!(
                    step.response(),
                    (Subtype::Identity, "AT_IDENTITY".to_owned())
                );
                assert_eq!(
                    Packet::parse(step.bytes())
                        .unwrap()
                        .aka()
                        .unwrap()
                        .identity(),
                    Some(IDENTITY.as_bytes())
                );
            } else {
                assert!(step.is_client_error(), "{wanted:?}");
            }
        }
    }
}

#[test]
fn two_identity_requests_in_one_message_or_none_are_unprocessable() {
    for wanted in [
        &[][..],
        &[ANY, FULL],
        &[FULL, PERMANENT],
        &[ANY, FULL, PERMANENT],
    ] {
        assert!(
            Scene::new()
                .feed(&aka_identity(1, wanted))
                .is_client_error(),
            "{wanted:?}"
        );
    }
}

#[test]
fn an_identity_request_after_a_challenge_is_unprocessable() {
    let mut scene = Scene::new();
    scene.challenge(&Challenge {
        kdfs: vec![2, 1],
        ..Challenge::default()
    });
    assert!(
        scene
            .feed(&aka_identity(11, &[PERMANENT]))
            .is_client_error()
    );
}

#[test]
fn keys_are_derived_from_eap_identity_when_no_other_was_sent() {
    let mut scene = Scene::with(anonymous());
    scene.network.identity = b"anonymous@wlan.mnc001.mcc001.3gppnetwork.org".to_vec();
    scene.feed(&typed(1, Type::Identity, b""));
    assert_eq!(
        scene.challenge(&Challenge::default()).response().0,
        Subtype::Challenge
    );
}

#[test]
fn keys_are_derived_from_the_last_at_identity_when_one_was_sent() {
    let mut scene = Scene::with(anonymous());
    scene.feed(&typed(1, Type::Identity, b""));
    scene.feed(&aka_identity(2, &[ANY]));
    assert_eq!(
        scene.challenge(&Challenge::default()).response().0,
        Subtype::Challenge
    );
    assert_eq!(scene.sim.identity, IDENTITY.as_bytes());
}

#[test]
fn a_decorated_identity_goes_into_eap_identity_alone() {
    let decorated = "visited.example!6001010123456789@home.example";
    let mut config = Config::new(Nai::new(IDENTITY).unwrap());
    config.outer = Nai::new(decorated).unwrap();
    let mut scene = Scene::with(config);
    let step = scene.feed(&typed(1, Type::Identity, b""));
    assert_eq!(&step.bytes()[5..], decorated.as_bytes());
    let step = scene.feed(&aka_identity(2, &[PERMANENT]));
    assert_eq!(
        Packet::parse(step.bytes())
            .unwrap()
            .aka()
            .unwrap()
            .identity(),
        Some(IDENTITY.as_bytes())
    );
}

#[test]
fn identities_that_no_carrier_can_hold_are_refused() {
    assert_eq!(Nai::new(""), Err(BadNai::Length { octets: 0 }));
    assert_eq!(
        Nai::new("a".repeat(254)),
        Err(BadNai::Length { octets: 254 })
    );
    assert_eq!(Nai::new("6001\0@x"), Err(BadNai::Control));
    assert!(Nai::new("a".repeat(253)).is_ok());
}
