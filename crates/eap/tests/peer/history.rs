//! Known bugs of other implementations, each with its identifier.

use softsim_eap::{Config, IdentityRequest, OuterIdentity};
use softsim_eap_packet::{Attribute, Packet, Subtype, Type};
use softsim_testkit::scene::*;

/// A zero-length attribute sent the parser into an endless loop and an overflow.
#[test]
fn strongswan_cve_2026_35330_zero_length_attribute() {
    for kind in 0..=255 {
        for subtype in [1, 5, 12, 13] {
            let step =
                Scene::new().feed(&typed(1, Type::AkaPrime, &[subtype, 0, 0, kind, 0, 0, 0]));
            assert!(step.is_client_error(), "attribute {kind}");
        }
    }
}

/// An EAP-Success at the beginning was accepted as an authentication.
#[test]
fn strongswan_cve_2021_45079_early_success() {
    let mut scene = Scene::new();
    assert!(scene.success(0).is_silence());
    scene.feed(&typed(1, Type::Identity, b""));
    assert!(scene.success(1).is_silence());
    scene.challenge(&Challenge {
        wrong_mac: true,
        ..Challenge::default()
    });
    assert!(scene.success(10).is_silence());
}

/// After a re-authentication identity had been shown and the server chose a full authentication
/// without asking again, keys were derived for an identity that had not been the last one sent.
#[test]
fn hostap_40af6560b_identity_of_the_key_derivation() {
    for through_counter in [false, true] {
        let mut scene = Scene::known();
        scene.feed(&typed(19, Type::Identity, b""));
        scene.network.identity = REAUTHENTICATION_ID.into();
        if through_counter {
            let step = scene.reauthentication(&Reauthentication {
                counter: 0,
                ..Reauthentication::default()
            });
            assert_eq!(step.response().0, Subtype::Reauthentication);
        }
        let step = scene.challenge(&Challenge {
            identifier: 21,
            ..Challenge::default()
        });
        assert_eq!(step.response().0, Subtype::Challenge);
        assert!(scene.network.session().verifies(step.bytes()));
        assert_eq!(scene.sim.identity, REAUTHENTICATION_ID.as_bytes());
        assert!(scene.success(21).succeeded());
    }
}

/// With a concealed identity, a further identity request freed the memory that the key derivation
/// read later. The peer derives keys for the identity that it sent last, whatever the server asked
/// for before.
#[test]
fn hostap_e3d6fce84_use_after_free_with_a_concealed_identity() {
    let mut scene = Scene::unasked(Config {
        outer: OuterIdentity::Suci,
        ..Config::new()
    });
    let mut said = scene.feed(&typed(1, Type::Identity, b"")).bytes()[5..].to_vec();
    let rounds = [
        Attribute::AnyIdReq,
        Attribute::FullauthIdReq,
        Attribute::PermanentIdReq,
    ];
    for (identifier, wanted) in (2..).zip(rounds) {
        let step = scene.feed(&aka_identity(identifier, &[wanted]));
        said = at_identity(step.bytes());
    }
    scene.network.identity = said.clone();
    let step = scene.challenge(&Challenge::default());
    assert!(scene.network.session().verifies(step.bytes()));
    assert_eq!(scene.sim.identity, said);
}

/// A switch that asks for the identity from time to time, to see whether the peer is still there,
/// ended the session.
#[test]
fn hostap_52b4cae4c_identity_keep_alive_on_wired_links() {
    let mut scene = Scene::verified(&Challenge::default());
    assert!(scene.success(10).succeeded());
    for identifier in [11, 11, 12, 10] {
        let step = scene.feed(&typed(identifier, Type::Identity, b""));
        assert_eq!(&step.bytes()[5..], IDENTITY.as_bytes());
        assert!(step.done.is_empty());
    }
    // The peer answers all of them with the same identity, so none uses up an identity that may be
    // shown once.
    let mut scene = Scene::known();
    for identifier in [11, 11, 12, 10] {
        let step = scene.feed(&typed(identifier, Type::Identity, b""));
        assert_eq!(&step.bytes()[5..], REAUTHENTICATION_ID.as_bytes());
    }
    assert_eq!(
        scene.sim.wanted,
        [IdentityRequest::Any, IdentityRequest::Any]
    );
    scene.network.identity = REAUTHENTICATION_ID.into();
    assert_eq!(
        scene
            .reauthentication(&Reauthentication::default())
            .response()
            .0,
        Subtype::Reauthentication
    );
    assert!(scene.success(20).succeeded());
    // Such a request in the middle of an exchange uses up nothing, either.
    let mut scene = Scene::verified(&Challenge {
        result_ind: true,
        ..Challenge::default()
    });
    scene.feed(&typed(99, Type::Identity, b""));
    let packet = scene.network.notification(11, 32768);
    assert_eq!(scene.feed(&packet).response().0, Subtype::Notification);
    scene.feed(&typed(100, Type::Identity, b""));
    assert!(scene.success(11).succeeded());
}

/// Packets of five octets and of odd length made the parser index beyond their end.
#[test]
fn free5gc_982_983_1030_short_and_odd_packets() {
    let good = Network::new().challenge(&Challenge::default());
    assert!(Scene::new().feed(&[1, 1, 0, 5, 50]).is_client_error());
    for length in 5..good.len() {
        let step = Scene::new().feed(&typed(1, Type::AkaPrime, &good[5..length]));
        assert!(
            step.sent.len() <= 1 && step.done.is_empty(),
            "length {length}"
        );
        if length % 4 != 0 {
            assert!(step.is_client_error(), "length {length}");
        }
    }
}

/// The exchange after a synchronisation failure crashed. The peer continues with it.
#[test]
fn freeradius_4374_4522_after_a_synchronisation_failure() {
    let mut scene = Scene::new();
    scene.sim.usim = up_to(0x1000);
    let step = scene.challenge(&Challenge {
        result_ind: true,
        checkcode: Some(vec![]),
        ..Challenge::default()
    });
    let auts = *Packet::parse(step.bytes())
        .unwrap()
        .aka()
        .unwrap()
        .auts()
        .unwrap();
    assert!(scene.network.resynchronise(&auts));
    let challenge = Challenge {
        identifier: 11,
        result_ind: true,
        checkcode: Some(vec![]),
        ..Challenge::default()
    };
    assert_eq!(
        scene.challenge(&challenge).response().1,
        "AT_RES AT_CHECKCODE AT_RESULT_IND AT_MAC"
    );
    let packet = scene.network.notification(12, 32768);
    scene.feed(&packet);
    assert!(scene.success(12).succeeded());
}

/// The IMSI was sent although an anonymous identity was configured. This peer sends it only when
/// the server asks for it, and no log line contains it.
#[test]
fn grapheneos_3935_imsi_in_clear() {
    let config = Config {
        outer: OuterIdentity::Anonymous,
        ..Config::new()
    };
    let shown = format!("{config:?}");
    let mut scene = Scene::with(config);
    let imsi = b"001010123456789";
    let shows = |octets: &[u8]| octets.windows(imsi.len()).any(|window| window == imsi);
    let step = scene.feed(&typed(1, Type::Identity, b""));
    assert!(!shows(step.bytes()));
    let step = scene.feed(&aka_identity(2, &[Attribute::PermanentIdReq]));
    assert!(shows(step.bytes()));
    let lines: String = step.notes.iter().map(ToString::to_string).collect();
    let asks = scene.challenge(&Challenge::default()).asks;
    assert!(!asks.is_empty() && !shows(format!("{asks:?}").as_bytes()));
    assert!(
        !shows(lines.as_bytes())
            && !shows(shown.as_bytes())
            && !shows(format!("{:?}", scene.peer).as_bytes())
    );
}

/// A forged message before the real one, and then the same identifier with other contents, cause
/// one AKA run.
#[test]
fn one_aka_run_for_one_identifier() {
    let mut scene = Scene::new();
    let first = scene.network.challenge(&Challenge::default());
    let other = scene.network.challenge(&Challenge::default());
    let answer = scene.feed(&first).sent.remove(0);
    for packet in [&first, &other, &first] {
        let step = scene.feed(packet);
        assert_eq!(step.bytes(), answer);
    }
    assert_eq!(scene.sim.runs, 1);
}
