//! Forward secrecy (RFC 9678): negotiation, the ephemeral public keys, and when the peer doesn't
//! use it.

use softsim_eap::{
    Ask, AuthenticationReject, Config, ForwardSecrecy, Group, IdentityRequest, Method, Outcome,
    OuterIdentity, Reason, Unprocessable,
};
use softsim_eap_packet::{Attribute, Kind, Packet, Subtype, Type};
use softsim_testkit::home_network::{AT_PUB_ECDHE, attribute};
use softsim_testkit::scene::*;

fn config(forward_secrecy: ForwardSecrecy) -> Config {
    Config {
        outer: OuterIdentity::Anonymous,
        forward_secrecy,
        ..Config::new()
    }
}

fn scene(forward_secrecy: ForwardSecrecy) -> Scene {
    let mut scene = Scene::with(config(forward_secrecy));
    scene.network.identity = ANONYMOUS.into();
    scene
}

fn group_asked(step: &Step) -> Option<Group> {
    match &step.asks[0] {
        Ask::Challenge { group, .. } => *group,
        other => panic!("a challenge is asked about, not {other:?}"),
    }
}

#[test]
fn either_group_gives_keys_that_both_sides_agree_on() {
    for group in [Group::X25519, Group::P256] {
        for policy in [ForwardSecrecy::Allow, ForwardSecrecy::Require] {
            let mut scene = scene(policy);
            let step = scene.challenge(&Challenge::forward_secret(&[group]));
            assert_eq!(group_asked(&step), Some(group));
            assert_eq!(step.response().1, "AT_RES AT_PUB_ECDHE AT_MAC");
            // K_aut does not depend on the ephemeral keys.
            assert!(scene.network.session().verifies(step.bytes()));
            let msk = scene.network.forward_secret_msk(step.bytes(), group);
            assert_eq!(*scene.sim.msk(), msk);
            assert_ne!(scene.network.session().msk, msk);
            assert!(scene.success(10).success().unwrap().forward_secrecy);
        }
    }
}

#[test]
fn at_pub_ecdhe_has_nine_words_and_a_p_256_key_is_a_compressed_point() {
    for (group, octets) in [(Group::X25519, 32), (Group::P256, 33)] {
        let mut scene = scene(ForwardSecrecy::Allow);
        let step = scene.challenge(&Challenge::forward_secret(&[group]));
        let message = Packet::parse(step.bytes()).unwrap().aka().unwrap();
        let value = message.pub_ecdhe().unwrap();
        assert_eq!(value.len(), 34);
        assert_eq!(group.public_key(value).unwrap().len(), octets);
        assert!(value[octets..].iter().all(|octet| *octet == 0));
        assert!(group == Group::X25519 || matches!(value[0], 2 | 3));
    }
}

#[test]
fn choice_of_another_group_is_at_kdf_fs_alone_and_the_next_challenge_has_its_public_key() {
    // The list begins with a group that the peer doesn't support, and the server sends a key only
    // for that group.
    let offer = Challenge {
        kdfs_fs: vec![9, 2, 1],
        group: Some(Group::X25519),
        ..Challenge::default()
    };
    let mut scene = scene(ForwardSecrecy::Allow);
    let step = scene.challenge(&offer);
    assert_eq!(
        step.response(),
        (Subtype::Challenge, "AT_KDF_FS".to_owned())
    );
    let message = Packet::parse(step.bytes()).unwrap().aka().unwrap();
    assert!(message.kdfs_fs().eq([2]));
    assert_eq!(scene.sim.runs, 0);
    let step = scene.challenge(&Challenge {
        identifier: 11,
        kdfs_fs: vec![2, 9, 2, 1],
        group: Some(Group::P256),
        ..offer
    });
    assert_eq!(group_asked(&step), Some(Group::P256));
    let msk = scene.network.forward_secret_msk(step.bytes(), Group::P256);
    assert_eq!(*scene.sim.msk(), msk);
    assert!(scene.success(11).success().unwrap().forward_secrecy);
}

#[test]
fn at_kdf_is_settled_before_at_kdf_fs() {
    let mut scene = scene(ForwardSecrecy::Require);
    let offer = Challenge {
        kdfs: vec![2, 1],
        kdfs_fs: vec![9, 1],
        group: Some(Group::X25519),
        ..Challenge::default()
    };
    assert_eq!(scene.challenge(&offer).response().1, "AT_KDF");
    let step = scene.challenge(&Challenge {
        identifier: 11,
        kdfs: vec![1, 2, 1],
        ..offer.clone()
    });
    assert_eq!(step.response().1, "AT_KDF_FS");
    let step = scene.challenge(&Challenge {
        identifier: 12,
        kdfs: vec![1, 2, 1],
        kdfs_fs: vec![1, 9, 1],
        ..offer
    });
    assert_eq!(step.response().1, "AT_RES AT_PUB_ECDHE AT_MAC");
    assert!(scene.success(12).succeeded());
}

#[test]
fn at_kdf_fs_list_that_is_not_choice_plus_original_list_is_a_client_error() {
    let offer = |identifier, kdfs_fs: &[u16]| Challenge {
        identifier,
        kdfs_fs: kdfs_fs.to_vec(),
        group: (!kdfs_fs.is_empty()).then_some(Group::X25519),
        ..Challenge::default()
    };
    for changed in [&[1][..], &[9, 1], &[1, 1], &[1, 9, 1, 2], &[]] {
        let mut scene = scene(ForwardSecrecy::Allow);
        scene.challenge(&offer(10, &[9, 1]));
        let step = scene.challenge(&offer(11, changed));
        assert!(step.is_client_error() && scene.sim.runs == 0, "{changed:?}");
        assert_eq!(
            scene.failure(11).done,
            [Outcome::Failure(Reason::Unprocessable(
                Unprocessable::KdfFsListChanged
            ))]
        );
    }
}

#[test]
fn duplicate_at_kdf_fs_is_an_authentication_reject() {
    let mut scene = scene(ForwardSecrecy::Allow);
    let step = scene.challenge(&Challenge {
        kdfs_fs: vec![1, 2, 1],
        group: Some(Group::X25519),
        ..Challenge::default()
    });
    assert!(step.is_authentication_reject() && scene.sim.runs == 0);
    assert_eq!(
        scene.failure(10).done,
        [Outcome::Failure(Reason::AuthenticationReject(
            AuthenticationReject::DuplicateKdfFs
        ))]
    );
}

/// The peer ignores one of the two attributes without the other, a list without a supported group,
/// and both attributes if forward secrecy is off.
#[test]
fn without_a_usable_offer_allow_goes_without_forward_secrecy_and_require_rejects() {
    let whole = Challenge::forward_secret(&[Group::X25519, Group::P256]);
    let without = |omitted: Kind| Challenge {
        omitted: Some(omitted.0),
        ..whole.clone()
    };
    let foreign = Challenge {
        kdfs_fs: vec![9, 10],
        ..whole.clone()
    };
    for offer in [
        Challenge::default(),
        without(Kind::PUB_ECDHE),
        without(Kind::KDF_FS),
        foreign,
    ] {
        let mut allowing = scene(ForwardSecrecy::Allow);
        let step = allowing.challenge(&offer);
        assert_eq!(step.response().1, "AT_RES AT_MAC");
        assert!(!allowing.success(10).success().unwrap().forward_secrecy);

        let mut requiring = scene(ForwardSecrecy::Require);
        let step = requiring.challenge(&offer);
        assert!(step.is_authentication_reject() && requiring.sim.runs == 0);
        assert_eq!(
            requiring.failure(10).done,
            [Outcome::Failure(Reason::AuthenticationReject(
                AuthenticationReject::NoForwardSecrecy
            ))]
        );
    }
    let mut off = scene(ForwardSecrecy::Off);
    let step = off.challenge(&whole);
    assert_eq!(
        (group_asked(&step), step.response().1.as_str()),
        (None, "AT_RES AT_MAC")
    );
    assert_eq!(*off.sim.msk(), off.network.session().msk);
}

#[test]
fn offer_after_the_permanent_identity_was_sent_is_ignored() {
    let mut scene = Scene::with(Config {
        forward_secrecy: ForwardSecrecy::Allow,
        ..Config::new()
    });
    let step = scene.challenge(&Challenge::forward_secret(&[Group::X25519]));
    assert_eq!(group_asked(&step), None);
    assert!(!scene.success(10).success().unwrap().forward_secrecy);
    // The permanent identity inside the method reveals the subscriber, too.
    let mut scene = self::scene(ForwardSecrecy::Allow);
    scene.feed(&aka_identity(2, &[Attribute::PermanentIdReq]));
    scene.network.identity = IDENTITY.into();
    let step = scene.challenge(&Challenge::forward_secret(&[Group::X25519]));
    assert_eq!(group_asked(&step), None);
}

#[test]
fn invalid_at_pub_ecdhe_is_a_client_error_and_the_server_may_begin_again() {
    let bad: [(&str, Group, Vec<u8>); 5] = [
        ("zero", Group::X25519, vec![0; 32]),
        ("no point", Group::P256, [&[2][..], &[0xff; 32]].concat()),
        (
            "uncompressed form",
            Group::P256,
            [&[4][..], &[1; 32]].concat(),
        ),
        ("short", Group::X25519, vec![9; 28]),
        ("long", Group::P256, vec![2; 65]),
    ];
    for (name, group, key) in bad {
        let mut scene = scene(ForwardSecrecy::Require);
        let step = scene.challenge(&Challenge {
            group: None,
            extra: attribute(AT_PUB_ECDHE, &[&key]),
            ..Challenge::forward_secret(&[group])
        });
        assert!(step.is_client_error(), "{name}");
        // A new identity round begins the exchange anew, and so does another challenge.
        let request = aka_identity(11, &[Attribute::FullauthIdReq]);
        scene.sim.pseudonym = Some((Method::AkaPrime, PSEUDONYM.to_owned()));
        let step = scene.feed(&request);
        assert_eq!(step.response().0, Subtype::Identity, "{name}");
        scene.network.round(&request, step.bytes());
        scene.network.identity = PSEUDONYM.into();
        let step = scene.challenge(&Challenge {
            identifier: 12,
            checkcode: Some(scene.network.checkcode()),
            ..Challenge::forward_secret(&[group])
        });
        assert_eq!(step.response().1, "AT_RES AT_PUB_ECDHE AT_CHECKCODE AT_MAC");
        assert!(scene.success(12).succeeded());
    }
}

#[test]
fn eap_failure_after_an_invalid_at_pub_ecdhe_is_final() {
    let mut scene = scene(ForwardSecrecy::Allow);
    scene.challenge(&Challenge {
        group: None,
        extra: attribute(AT_PUB_ECDHE, &[&[0; 34]]),
        ..Challenge::forward_secret(&[Group::X25519])
    });
    assert_eq!(
        scene.failure(10).done,
        [Outcome::Failure(Reason::Unprocessable(
            Unprocessable::PublicKey
        ))]
    );
}

#[test]
fn a_synchronisation_failure_copies_at_kdf_and_never_at_kdf_fs() {
    let mut scene = scene(ForwardSecrecy::Require);
    scene.sim.usim = up_to(0x1000);
    let step = scene.challenge(&Challenge::forward_secret(&[Group::P256]));
    assert_eq!(
        step.response(),
        (Subtype::SynchronizationFailure, "AT_AUTS AT_KDF".to_owned())
    );
    // The next challenge has the same lists and a key again.
    let message = Packet::parse(step.bytes()).unwrap().aka().unwrap();
    assert!(scene.network.resynchronise(message.auts().unwrap()));
    let step = scene.challenge(&Challenge {
        identifier: 11,
        ..Challenge::forward_secret(&[Group::P256])
    });
    assert_eq!(step.response().1, "AT_RES AT_PUB_ECDHE AT_MAC");
    assert!(scene.success(11).succeeded());
}

#[test]
fn a_retransmitted_challenge_gets_the_same_key_again() {
    let mut scene = scene(ForwardSecrecy::Require);
    let packet = scene
        .network
        .challenge(&Challenge::forward_secret(&[Group::X25519]));
    let first = scene.feed(&packet).sent;
    assert_eq!(scene.feed(&packet).sent, first);
    assert_eq!(scene.sim.runs, 1);
}

#[test]
fn reauthentication_exchanges_no_ephemeral_keys_and_reports_no_forward_secrecy() {
    let mut scene = Scene::known_with(
        config(ForwardSecrecy::Allow),
        &Challenge::forward_secret(&[Group::X25519]),
    );
    assert_ne!(scene.network.session().msk, *scene.sim.msk());
    // The server derives its re-authentication key from the exchange.
    scene.network.session = scene.sim.session.clone();
    scene.feed(&aka_identity(19, &[Attribute::AnyIdReq]));
    scene.network.identity = REAUTHENTICATION_ID.into();
    let step = scene.reauthentication(&Reauthentication::default());
    assert_eq!(step.response().1, "AT_IV AT_ENCR_DATA AT_MAC");
    let success = scene.success(20).success().unwrap();
    assert!(success.reauthenticated && !success.forward_secrecy);
}

/// The peer can't know whether the keys for a fast re-authentication have forward secrecy.
#[test]
fn peer_that_requires_forward_secrecy_uses_no_reauthentication_identity() {
    let config = Config {
        forward_secrecy: ForwardSecrecy::Require,
        ..Config::new()
    };
    let mut scene = Scene::unasked(config);
    scene.feed(&typed(1, Type::Identity, b""));
    scene.feed(&aka_identity(2, &[Attribute::AnyIdReq]));
    assert!(!scene.sim.wanted.is_empty());
    assert!(!scene.sim.wanted.contains(&IdentityRequest::Any));
}
