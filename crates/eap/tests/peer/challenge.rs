//! The challenge: what the peer checks before it asks the SIM, and the responses that follow from
//! the SIM's answers (RFC 9048 §3).

use softsim_eap::{
    Answer, AuthenticationReject, ChallengeAnswer, Config, NetworkName, NetworkNamePolicy, Outcome,
    Output, Reason, Unprocessable,
};
use softsim_eap_packet::{self as packet, Attribute, Kind, Packet, Subtype, Type};
use softsim_testkit::home_network::{AT_BIDDING, AT_ENCR_DATA, AT_IV, number, reserved};
use softsim_testkit::scene::*;

#[test]
fn a_good_challenge_is_answered_with_res_under_mac_and_leads_to_success() {
    let mut scene = Scene::new();
    let step = scene.challenge(&Challenge::default());
    assert_eq!(
        step.response(),
        (Subtype::Challenge, "AT_RES AT_MAC".to_owned())
    );
    assert!(scene.network.session().verifies(step.bytes()));
    assert!(scene.success(10).succeeded());
}

#[test]
fn a_wrong_autn_is_rejected_without_mac() {
    let mut scene = Scene::new();
    let step = scene.challenge(&Challenge {
        wrong_autn: true,
        ..Challenge::default()
    });
    assert!(step.is_authentication_reject());
    assert_eq!(
        scene.failure(10).done,
        [Outcome::Failure(Reason::AuthenticationReject(
            AuthenticationReject::Autn
        ))]
    );
}

#[test]
fn a_wrong_autn_is_rejected_even_when_the_mac_is_wrong_too() {
    let challenge = Challenge {
        wrong_autn: true,
        wrong_mac: true,
        ..Challenge::default()
    };
    assert!(
        Scene::new()
            .challenge(&challenge)
            .is_authentication_reject()
    );
}

#[test]
fn a_missing_separation_bit_counts_as_a_wrong_autn() {
    let challenge = Challenge {
        amf: [0, 0],
        ..Challenge::default()
    };
    assert!(
        Scene::new()
            .challenge(&challenge)
            .is_authentication_reject()
    );
}

#[test]
fn a_wrong_mac_is_a_client_error_and_res_stays_inside() {
    let mut scene = Scene::new();
    let step = scene.challenge(&Challenge {
        wrong_mac: true,
        ..Challenge::default()
    });
    assert!(step.is_client_error());
    assert_eq!(scene.sim.usim, up_to(0));
    assert!(scene.success(10).is_silence());
    assert_eq!(
        scene.failure(10).done,
        [Outcome::Failure(Reason::Unprocessable(Unprocessable::Mac))]
    );
}

#[test]
fn a_challenge_without_rand_autn_or_mac_is_unprocessable_and_never_reaches_the_sim() {
    for kind in [Kind::RAND, Kind::AUTN, Kind::MAC] {
        let mut scene = Scene::new();
        let step = scene.challenge(&Challenge {
            omitted: Some(kind.0),
            ..Challenge::default()
        });
        assert!(step.is_client_error() && step.asks.is_empty(), "{kind}");
    }
}

#[test]
fn an_agreed_key_derivation_function_needs_no_negotiation() {
    let step = Scene::new().challenge(&Challenge {
        kdfs: vec![1, 2],
        ..Challenge::default()
    });
    assert_eq!(step.response().1, "AT_RES AT_MAC");
}

#[test]
fn choice_of_our_function_is_at_kdf_alone_before_aka_runs() {
    let mut scene = Scene::new();
    let step = scene.challenge(&Challenge {
        kdfs: vec![2, 1],
        ..Challenge::default()
    });
    assert_eq!(step.response(), (Subtype::Challenge, "AT_KDF".to_owned()));
    let response = Packet::parse(step.bytes()).unwrap().aka().unwrap();
    assert!(response.kdfs().eq([1]));
    assert_eq!(scene.sim.runs, 0);
    let again = Challenge {
        identifier: 11,
        kdfs: vec![1, 2, 1],
        ..Challenge::default()
    };
    assert_eq!(scene.challenge(&again).response().1, "AT_RES AT_MAC");
    assert!(scene.success(11).succeeded());
}

#[test]
fn at_kdf_list_that_is_not_choice_plus_original_list_is_a_client_error() {
    for kdfs in [
        vec![1],
        vec![1, 2],
        vec![1, 1, 2],
        vec![2, 1],
        vec![1, 2, 1, 3],
    ] {
        let mut scene = Scene::new();
        scene.challenge(&Challenge {
            kdfs: vec![2, 1],
            ..Challenge::default()
        });
        let step = scene.challenge(&Challenge {
            identifier: 11,
            kdfs: kdfs.clone(),
            ..Challenge::default()
        });
        assert!(step.is_client_error() && scene.sim.runs == 0, "{kdfs:?}");
    }
}

#[test]
fn missing_duplicate_or_unsupported_at_kdf_is_an_authentication_reject() {
    for (kdfs, why) in [
        (vec![], AuthenticationReject::NoKdf),
        (vec![1, 2, 1], AuthenticationReject::DuplicateKdf),
        (vec![2, 3], AuthenticationReject::UnsupportedKdf),
    ] {
        let mut scene = Scene::new();
        let step = scene.challenge(&Challenge {
            kdfs,
            ..Challenge::default()
        });
        assert!(step.is_authentication_reject() && scene.sim.runs == 0);
        assert_eq!(
            scene.failure(10).done,
            [Outcome::Failure(Reason::AuthenticationReject(why))]
        );
    }
}

#[test]
fn a_missing_or_empty_network_name_counts_as_a_wrong_autn() {
    for network_name in [None, Some(&b""[..])] {
        let mut scene = Scene::new();
        let step = scene.challenge(&Challenge {
            network_name: network_name.map(<[u8]>::to_vec),
            ..Challenge::default()
        });
        assert!(step.is_authentication_reject() && scene.sim.runs == 0);
    }
}

#[test]
fn the_network_name_is_held_against_the_one_we_know_by_fields_between_colons() {
    let five_g = "5G:mnc001.mcc001.3gppnetwork.org";
    for (expected, received, same) in [
        ("WLAN", "WLAN", true),
        ("WLAN", "WLAN:more", true),
        ("WLAN:more", "WLAN", true),
        ("WLAN", "ETHERNET", false),
        ("WLAN", "WLANX", false),
        ("WLAN", "wlan", false),
        ("WLAN:a", "WLAN:b", false),
        (five_g, "5G:mnc001.mcc001.3gppnetwork.org:0123456789a", true),
        (five_g, "5G:mnc002.mcc001.3gppnetwork.org", false),
        (five_g, "EVIL:network", false),
    ] {
        assert_eq!(
            NetworkName::new(expected)
                .unwrap()
                .matches(received.as_bytes()),
            same,
            "{expected} {received}"
        );
    }
}

#[test]
fn another_network_name_is_ignored_noted_or_noted_and_rejected_before_aka_runs() {
    for (policy, accepted, noted) in [
        (NetworkNamePolicy::Ignore, true, false),
        (NetworkNamePolicy::Warn, true, true),
        (NetworkNamePolicy::Fail, false, true),
    ] {
        let mut config = Config::new();
        config.network_name_policy = policy;
        let mut scene = Scene::with(config);
        let step = scene.challenge(&Challenge {
            network_name: Some(b"EVIL:network".to_vec()),
            ..Challenge::default()
        });
        assert_eq!(step.is_authentication_reject(), !accepted, "{policy:?}");
        assert_eq!(scene.sim.runs, usize::from(accepted), "{policy:?}");
        let remark = "expected the network name WLAN, got EVIL:network";
        assert_eq!(
            step.notes[0].remark.as_deref() == Some(remark),
            noted,
            "{policy:?}"
        );
        assert_eq!(step.notes[0].is_warning, noted, "{policy:?}");
    }
}

#[test]
fn the_keys_are_derived_for_the_network_name_as_received() {
    let mut config = Config::new();
    config.network_name = NetworkName::new("WLAN:more").unwrap();
    let mut scene = Scene::with(config);
    let step = scene.challenge(&Challenge::default());
    assert!(scene.network.session().verifies(step.bytes()));
}

#[test]
fn the_checkcode_covers_every_identity_round_and_is_given_back() {
    let mut scene = Scene::new();
    for (identifier, wanted) in [(1, Attribute::AnyIdReq), (2, Attribute::PermanentIdReq)] {
        let request = aka_identity(identifier, &[wanted]);
        let step = scene.feed(&request);
        scene.network.round(&request, step.bytes());
    }
    let checkcode = scene.network.checkcode();
    let step = scene.challenge(&Challenge {
        checkcode: Some(checkcode.clone()),
        ..Challenge::default()
    });
    assert_eq!(step.response().1, "AT_RES AT_CHECKCODE AT_MAC");
    assert_eq!(
        Packet::parse(step.bytes())
            .unwrap()
            .aka()
            .unwrap()
            .checkcode(),
        Some(&checkcode[..])
    );
}

#[test]
fn the_checkcode_is_empty_without_identity_rounds() {
    let mut scene = Scene::new();
    scene.feed(&typed(1, Type::Identity, b""));
    let step = scene.challenge(&Challenge {
        checkcode: Some(vec![]),
        ..Challenge::default()
    });
    assert_eq!(step.response().1, "AT_RES AT_CHECKCODE AT_MAC");
}

#[test]
fn a_wrong_checkcode_is_a_client_error() {
    for (round, checkcode) in [
        (false, vec![0; 32]),
        (true, vec![]),
        (true, vec![0; 32]),
        (true, vec![0; 20]),
    ] {
        let mut scene = Scene::new();
        if round {
            scene.feed(&aka_identity(1, &[Attribute::AnyIdReq]));
        }
        let step = scene.challenge(&Challenge {
            checkcode: Some(checkcode),
            ..Challenge::default()
        });
        assert!(step.is_client_error() && scene.sim.runs == 0);
    }
}

#[test]
fn result_indications_are_used_when_both_sides_want_them() {
    let mut unwilling = Config::new();
    unwilling.result_indication = false;
    for (config, offered, names) in [
        (Config::new(), true, "AT_RES AT_RESULT_IND AT_MAC"),
        (Config::new(), false, "AT_RES AT_MAC"),
        (unwilling, true, "AT_RES AT_MAC"),
    ] {
        let step = Scene::with(config).challenge(&Challenge {
            result_ind: offered,
            ..Challenge::default()
        });
        assert_eq!(step.response().1, names);
    }
}

#[test]
fn at_bidding_in_eap_aka_prime_and_unknown_skippable_attributes_are_ignored() {
    let extra = [
        number(AT_BIDDING, 0x8000),
        reserved(AT_IV, &[0; 16]),
        reserved(AT_ENCR_DATA, &[0; 16]),
        number(255, 0),
    ];
    let mut scene = Scene::verified(&Challenge {
        extra: extra.concat(),
        ..Challenge::default()
    });
    assert!(scene.success(10).succeeded());
}

#[test]
fn encrypted_data_and_its_initialisation_vector_come_together() {
    for kind in [AT_IV, AT_ENCR_DATA] {
        let mut scene = Scene::new();
        let step = scene.challenge(&Challenge {
            extra: reserved(kind, &[0; 16]),
            ..Challenge::default()
        });
        assert!(step.is_client_error() && scene.sim.runs == 0);
    }
}

#[test]
fn challenge_before_any_identity_is_a_client_error() {
    let mut scene = Scene::unasked(Config::new());
    assert!(scene.challenge(&Challenge::default()).is_client_error());
    assert_eq!(scene.sim.runs, 0);
    assert_eq!(
        scene.failure(10).done,
        [Outcome::Failure(Reason::Unprocessable(
            Unprocessable::NoIdentity
        ))]
    );
}

#[test]
fn a_second_challenge_after_the_verified_one_is_unprocessable() {
    let mut scene = Scene::verified(&Challenge::default());
    let step = scene.challenge(&Challenge {
        identifier: 11,
        ..Challenge::default()
    });
    assert!(step.is_client_error());
    assert_eq!(scene.sim.runs, 1);
}

/// Runs a challenge up to the SIM, and gives it this answer.
fn answered(answer: Answer) -> (Scene, Step) {
    let mut scene = Scene::new();
    let packet = scene.network.challenge(&Challenge::default());
    scene.peer.handle_packet(&packet);
    while let Some(output) = scene.peer.poll() {
        assert!(!matches!(output, Output::Send(_) | Output::Done(_)));
    }
    scene.peer.answer(answer);
    let step = scene.settle();
    (scene, step)
}

#[test]
fn res_is_counted_in_bits_and_padded_with_zeros() {
    for (octets, bits) in [(4, 32), (5, 33), (5, 40), (8, 64), (16, 121), (16, 128)] {
        let mut scene = Scene::new();
        let packet = scene.network.challenge(&Challenge::default());
        scene.peer.handle_packet(&packet);
        while scene.peer.poll().is_some() {}
        scene
            .peer
            .answer(Answer::Challenge(ChallengeAnswer::Success {
                res: vec![0xee; octets],
                res_bits: bits,
                public_key: None,
            }));
        while scene.peer.poll().is_some() {}
        scene.peer.answer(Answer::Mac([7; 16]));
        let step = scene.settle();
        let message = Packet::parse(step.bytes()).unwrap();
        assert_eq!(
            message.aka().unwrap().res(),
            Some((bits, &vec![0xee; octets][..]))
        );
        let padded = [
            vec![0xee; octets],
            vec![0; octets.next_multiple_of(4) - octets],
        ]
        .concat();
        assert_eq!(step.bytes()[12..12 + padded.len()], padded);
    }
}

#[test]
fn a_sim_that_gives_no_usable_answer_is_a_client_error() {
    let res = |octets, res_bits| {
        Answer::Challenge(ChallengeAnswer::Success {
            res: vec![0; octets],
            res_bits,
            public_key: None,
        })
    };
    for answer in [
        Answer::Unavailable,
        res(3, 24),
        res(17, 136),
        res(8, 65),
        res(8, 56),
        res(0, 0),
        res(32, 256),
    ] {
        let (mut scene, step) = answered(answer);
        assert!(step.is_client_error());
        assert_eq!(
            scene.failure(10).done,
            [Outcome::Failure(Reason::Unprocessable(Unprocessable::Sim))]
        );
    }
}

#[test]
fn sim_answer_without_a_question_changes_nothing() {
    let mut scene = Scene::new();
    for answer in [
        Answer::Mac([0; 16]),
        Answer::Verify(true),
        Answer::Unavailable,
    ] {
        scene.peer.answer(answer);
        assert!(scene.settle().is_silence());
    }
    for answer in [Answer::Mac([0; 16]), Answer::Verify(true)] {
        let (mut scene, step) = answered(answer);
        assert!(step.is_silence());
        scene
            .peer
            .answer(Answer::Challenge(ChallengeAnswer::AutnRejected));
        assert!(scene.settle().is_authentication_reject());
    }
}

#[test]
fn packets_that_come_while_the_sim_is_asked_change_nothing() {
    let mut scene = Scene::new();
    let challenge = scene.network.challenge(&Challenge::default());
    scene.peer.handle_packet(&challenge);
    let other = scene.network.challenge(&Challenge {
        identifier: 11,
        ..Challenge::default()
    });
    let late = [
        &challenge[..],
        &other,
        &packet::success(10),
        &packet::failure(10),
        &typed(3, Type::Identity, b""),
    ];
    late.iter()
        .for_each(|packet| scene.peer.handle_packet(packet));
    let step = scene.settle();
    assert_eq!(
        (step.sent.len(), scene.sim.runs, step.done.len()),
        (1, 1, 0)
    );
    assert!(scene.success(10).succeeded());
}
