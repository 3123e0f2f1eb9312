//! Identities: which the peer sends, in which order the server may ask for them, and from which the
//! keys are derived (RFC 4187 §4.1).

use softsim_eap::{
    Answer, BadNai, Config, ForwardSecrecy, IdentityKind, IdentityRequest, Nai, Outcome,
    OuterIdentity, Output, Peer, Reason, Unprocessable,
};
use softsim_eap_packet::{Attribute, Packet, Subtype, Type};
use softsim_testkit::scene::*;

const ANY: Attribute<'static> = Attribute::AnyIdReq;
const FULL: Attribute<'static> = Attribute::FullauthIdReq;
const PERMANENT: Attribute<'static> = Attribute::PermanentIdReq;

fn outer(outer: OuterIdentity) -> Config {
    Config {
        outer,
        ..Config::new()
    }
}

fn anonymous() -> Config {
    outer(OuterIdentity::Anonymous)
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
    let mut config = Config::new();
    config.decoration = Some("visited.example".to_owned());
    let mut scene = Scene::unasked(config);
    let step = scene.feed(&typed(1, Type::Identity, b""));
    let (user, home) = IDENTITY.split_once('@').unwrap();
    let decorated = format!("{home}!{user}@visited.example");
    assert_eq!(&step.bytes()[5..], decorated.as_bytes());
    let step = scene.feed(&aka_identity(2, &[PERMANENT]));
    assert_eq!(at_identity(step.bytes()), IDENTITY.as_bytes());
}

#[test]
fn keys_are_derived_for_the_identity_that_the_home_network_sees_without_the_decoration() {
    let mut config = Config::new();
    config.decoration = Some("visited.example".to_owned());
    let mut scene = Scene::with(config);
    let step = scene.challenge(&Challenge::default());
    assert!(scene.network.session().verifies(step.bytes()));
    assert_eq!(scene.sim.identity, IDENTITY.as_bytes());
}

#[test]
fn decoration_wants_a_realm_and_is_put_on_once() {
    let nai = |nai: &str| Nai::new(nai).unwrap();
    assert_eq!(
        nai("6001@home").decorated("visited"),
        Ok(nai("home!6001@visited"))
    );
    for undecorable in ["84eb3418e818baefe", "home!6001@visited"] {
        assert_eq!(
            nai(undecorable).decorated("visited"),
            Err(BadNai::NotDecorable)
        );
    }
    let long = nai(&format!("{}@h", "a".repeat(240)));
    assert_eq!(
        long.decorated("visited.example"),
        Err(BadNai::Length { octets: 258 })
    );
}

/// The identity in EAP-Response/Identity of a peer with a pseudonym and a re-authentication
/// identity, and of one without.
#[test]
fn eap_response_identity_follows_the_outer_identity_setting() {
    let fixed = identity("box17@operator.example", IdentityKind::Anonymous);
    for (policy, known, stranger) in [
        (OuterIdentity::Any, REAUTHENTICATION_ID, IDENTITY),
        (OuterIdentity::PseudonymOrPermanent, PSEUDONYM, IDENTITY),
        (OuterIdentity::Anonymous, ANONYMOUS, ANONYMOUS),
        (OuterIdentity::Suci, CONCEALED, CONCEALED),
        (
            OuterIdentity::Fixed(fixed),
            "box17@operator.example",
            "box17@operator.example",
        ),
    ] {
        // After its first label, a SUCI differs each time.
        let says = |step: &Step, expected: &str| match policy {
            OuterIdentity::Suci => step.bytes()[5..].starts_with(expected.as_bytes()),
            _ => step.bytes()[5..] == *expected.as_bytes(),
        };
        let mut scene = Scene::known_with(outer(policy.clone()), &Challenge::default());
        let step = scene.feed(&typed(30, Type::Identity, b""));
        assert!(says(&step, known), "{policy:?}: {step:?}");
        let step = Scene::unasked(outer(policy.clone())).feed(&typed(30, Type::Identity, b""));
        assert!(says(&step, stranger), "{policy:?}: {step:?}");
    }
}

#[test]
fn at_any_id_req_gets_the_reauthentication_identity_first_and_at_fullauth_id_req_never() {
    let mut scene = Scene::known_with(anonymous(), &Challenge::default());
    scene.feed(&typed(30, Type::Identity, b""));
    let step = scene.feed(&aka_identity(31, &[ANY]));
    assert_eq!(at_identity(step.bytes()), REAUTHENTICATION_ID.as_bytes());
    let step = scene.feed(&aka_identity(32, &[FULL]));
    assert_eq!(at_identity(step.bytes()), PSEUDONYM.as_bytes());
    let step = scene.feed(&aka_identity(33, &[PERMANENT]));
    assert_eq!(at_identity(step.bytes()), IDENTITY.as_bytes());
    // The re-authentication identity has been shown, so the next conversation doesn't use it.
    scene.feed(&typed(40, Type::Identity, b""));
    let step = scene.feed(&aka_identity(41, &[ANY]));
    assert_eq!(at_identity(step.bytes()), PSEUDONYM.as_bytes());
}

#[test]
fn a_reauthentication_identity_is_asked_for_once_and_shown_alike_all_through_the_conversation() {
    let mut scene = Scene::known();
    let asked = scene.sim.wanted.len();
    for identifier in [30, 31, 31] {
        let step = scene.feed(&typed(identifier, Type::Identity, b""));
        assert_eq!(&step.bytes()[5..], REAUTHENTICATION_ID.as_bytes());
    }
    for _ in 0..2 {
        let step = scene.feed(&aka_identity(32, &[ANY]));
        assert_eq!(at_identity(step.bytes()), REAUTHENTICATION_ID.as_bytes());
    }
    assert_eq!(scene.sim.wanted[asked..], [IdentityRequest::Any]);
}

#[test]
fn a_reauthentication_identity_is_not_shown_in_a_second_conversation() {
    let mut scene = Scene::known();
    scene.feed(&typed(30, Type::Identity, b""));
    scene.network.identity = REAUTHENTICATION_ID.into();
    let challenge = Challenge {
        identifier: 31,
        ..Challenge::default()
    };
    assert_eq!(scene.challenge(&challenge).response().0, Subtype::Challenge);
    let step = scene.feed(&typed(32, Type::Identity, b""));
    assert_eq!(&step.bytes()[5..], PSEUDONYM.as_bytes());
}

#[test]
fn an_identity_that_met_silence_is_not_shown_again_unless_the_sim_gives_it_again() {
    let mut scene = Scene::known();
    for expected in [REAUTHENTICATION_ID, PSEUDONYM, PSEUDONYM] {
        for _ in 0..2 {
            let step = scene.feed(&typed(30, Type::Identity, b""));
            assert_eq!(&step.bytes()[5..], expected.as_bytes());
        }
        scene.peer.carrier_failed();
        assert!(!scene.settle().refused);
    }
}

#[test]
fn a_failure_before_the_method_refuses_the_identity_unless_the_server_goes_on() {
    // The authenticator asks again at once, in the same request or another.
    for again in [30, 31] {
        let mut scene = Scene::known();
        scene.feed(&typed(30, Type::Identity, b""));
        let step = scene.failure(30);
        assert!(step.is_silence() && !step.refused);
        let step = scene.feed(&typed(again, Type::Identity, b""));
        assert_eq!(&step.bytes()[5..], PSEUDONYM.as_bytes());
        assert!(step.refused);
    }
    // Or it sends nothing more.
    let mut scene = Scene::known();
    scene.feed(&typed(30, Type::Identity, b""));
    scene.failure(30);
    scene.peer.carrier_failed();
    assert!(scene.settle().refused);
    // A carrier that says so.
    scene.feed(&typed(31, Type::Identity, b""));
    scene.peer.rejected();
    assert!(scene.settle().refused);
    // A failure that belongs to no response of ours.
    scene.feed(&typed(32, Type::Identity, b""));
    scene.failure(31);
    scene.peer.carrier_failed();
    assert!(!scene.settle().refused);
    // A forged one, after which the server begins its method.
    let mut scene = Scene::known();
    scene.feed(&typed(30, Type::Identity, b""));
    scene.failure(30);
    scene.network.identity = REAUTHENTICATION_ID.into();
    let step = scene.reauthentication(&Reauthentication::default());
    assert_eq!(step.response().0, Subtype::Reauthentication);
    assert!(!step.refused);
    assert!(scene.success(20).succeeded());
    scene.peer.carrier_failed();
    assert!(!scene.settle().refused);
}

#[test]
fn a_failure_inside_the_method_refuses_the_identity_until_the_server_has_proved_itself() {
    let mut scene = Scene::known();
    scene.feed(&typed(30, Type::Identity, b""));
    scene.feed(&aka_identity(31, &[FULL]));
    scene.failure(31);
    scene.peer.carrier_failed();
    assert!(scene.settle().refused);
    let mut scene = Scene::verified(&Challenge::default());
    scene.peer.rejected();
    assert!(!scene.settle().refused);
}

#[test]
fn a_pseudonym_that_the_server_has_lost_is_followed_by_the_permanent_identity() {
    let mut scene = Scene::known();
    scene.sim.reauthentication = None;
    let step = scene.feed(&typed(30, Type::Identity, b""));
    assert_eq!(&step.bytes()[5..], PSEUDONYM.as_bytes());
    let step = scene.feed(&aka_identity(31, &[PERMANENT]));
    assert_eq!(at_identity(step.bytes()), IDENTITY.as_bytes());
}

#[test]
fn a_permanent_identity_that_is_withheld_ends_in_a_client_error() {
    let mut scene = Scene::known();
    scene.sim.permanent = Permanent::Never;
    scene.feed(&typed(30, Type::Identity, b""));
    let step = scene.feed(&aka_identity(31, &[PERMANENT]));
    assert!(step.is_client_error());
    assert_eq!(
        scene.failure(31).done,
        [Outcome::Failure(Reason::Unprocessable(
            Unprocessable::IdentityWithheld
        ))]
    );
}

#[test]
fn an_outer_identity_that_is_withheld_is_replaced_by_the_realm_alone() {
    let mut scene = Scene::unasked(Config::new());
    scene.sim.permanent = Permanent::Never;
    let step = scene.feed(&typed(1, Type::Identity, b""));
    assert_eq!(&step.bytes()[5..], ANONYMOUS.as_bytes());
    assert_eq!(
        scene.sim.wanted,
        [IdentityRequest::Any, IdentityRequest::Anonymous]
    );
}

#[test]
fn peer_that_requires_forward_secrecy_sends_no_identity_of_the_subscriber_in_clear() {
    for null_scheme in [false, true] {
        for policy in [
            OuterIdentity::Any,
            OuterIdentity::PseudonymOrPermanent,
            OuterIdentity::Fixed(identity(IDENTITY, IdentityKind::Permanent)),
        ] {
            let mut scene = Scene::unasked(Config {
                forward_secrecy: ForwardSecrecy::Require,
                ..outer(policy)
            });
            if null_scheme {
                scene.sim.suci_key = None;
            }
            let step = scene.feed(&typed(1, Type::Identity, b""));
            let outside = &step.bytes()[5..];
            let step = scene.feed(&aka_identity(2, &[FULL]));
            if null_scheme {
                assert_eq!(outside, ANONYMOUS.as_bytes());
                assert!(step.is_client_error());
                continue;
            }
            assert!(outside.starts_with(CONCEALED.as_bytes()));
            // The peer conceals the identity once, and sends the same SUCI throughout the
            // conversation.
            assert_eq!(at_identity(step.bytes()), outside);
            let step = scene.feed(&aka_identity(3, &[PERMANENT]));
            assert_eq!(at_identity(step.bytes()), outside);
            let concealed = scene.sim.wanted.iter();
            assert_eq!(
                concealed
                    .filter(|wanted| **wanted == IdentityRequest::Suci)
                    .count(),
                1
            );
            assert!(!scene.sim.wanted.contains(&IdentityRequest::Permanent));
        }
    }
}

#[test]
fn suci_of_eap_response_identity_is_sent_in_every_at_identity() {
    let mut scene = Scene::unasked(outer(OuterIdentity::Suci));
    let said = scene.feed(&typed(1, Type::Identity, b"")).bytes()[5..].to_vec();
    for (identifier, wanted) in [(2, ANY), (3, FULL), (4, PERMANENT)] {
        let step = scene.feed(&aka_identity(identifier, &[wanted]));
        assert_eq!(at_identity(step.bytes()), said);
    }
    assert_eq!(scene.sim.wanted, [IdentityRequest::Suci]);
}

#[test]
fn a_sim_that_cannot_be_asked_leaves_eap_identity_unanswered_until_it_can() {
    let mut peer = Peer::new(Config::new());
    peer.handle_packet(&typed(1, Type::Identity, b""));
    let asks = |peer: &mut Peer| {
        std::iter::from_fn(|| peer.poll())
            .filter(|output| matches!(output, Output::Ask(_)))
            .count()
    };
    assert_eq!(asks(&mut peer), 1);
    peer.answer(Answer::Unavailable);
    assert!(peer.poll().is_none());
    peer.handle_packet(&typed(1, Type::Identity, b""));
    assert_eq!(asks(&mut peer), 1);
}

#[test]
fn attributes_of_other_messages_are_unprocessable_and_those_of_forward_secrecy_ignored() {
    for attribute in [
        Attribute::Rand(&[0; 16]),
        Attribute::Kdf(1),
        Attribute::Identity(b"x"),
    ] {
        let request = aka_identity(1, &[ANY, attribute]);
        assert!(
            Scene::new().feed(&request).is_client_error(),
            "{attribute:?}"
        );
    }
    let request = aka_identity(
        1,
        &[ANY, Attribute::PubEcdhe(&[1; 34]), Attribute::KdfFs(1)],
    );
    assert_eq!(Scene::new().feed(&request).response().0, Subtype::Identity);
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

/// RFC 3748 §4.1: the identifier of a new request differs only from that of the previous one.
#[test]
fn an_identifier_may_come_again_for_another_request_but_not_at_once() {
    let mut scene = Scene::new();
    let any = aka_identity(1, &[Attribute::AnyIdReq]);
    let full = aka_identity(2, &[Attribute::FullauthIdReq]);
    let permanent = aka_identity(1, &[Attribute::PermanentIdReq]);
    let first = scene.feed(&any).bytes().to_vec();
    // A request with the identifier of the previous one is a retransmission, whatever its contents.
    assert_eq!(scene.feed(&permanent).bytes(), first);
    scene.feed(&full);
    // A later request with that identifier is a new one, unless its contents are the same.
    assert_eq!(scene.feed(&any).bytes(), first);
    assert_eq!(scene.feed(&permanent).response().0, Subtype::Identity);
    scene.network.identity = at_identity(scene.feed(&permanent).bytes());
    let step = scene.challenge(&Challenge::default());
    assert!(scene.network.session().verifies(step.bytes()));
    assert_eq!(scene.sim.runs, 1);
}
