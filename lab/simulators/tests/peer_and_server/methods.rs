//! EAP-AKA and EAP-AKA': which method is used, and that nobody can bid it down.

use softsim_eap::{AuthenticationReject, Config as PeerConfig, Method, Outcome, Reason};
use softsim_eap_packet::{Code, Notification, Packet, Subtype, Type};
use softsim_lab_simulators::eap_server::{self, Config};
use softsim_testkit::exchange::{converse, converse_as};
use softsim_testkit::sim::{Sim, auc, home};

use super::{assert_success, pass};

fn aka() -> Config {
    Config {
        methods: vec![Method::Aka],
        ..Config::default()
    }
}

/// Vectors of a home network that doesn't know EAP-AKA'.
fn old_home() -> softsim_lab_simulators::auc::Auc {
    auc(0x46, [0, 0])
}

#[test]
fn eap_aka_authenticates_with_keys_and_a_session_id_of_its_own() {
    for result_indication in [false, true] {
        let mut sim = Sim::new(0);
        let config = Config {
            result_indication,
            ..aka()
        };
        let end = converse(config, &mut old_home(), &mut sim, pass);
        assert_success(&end, &sim);
        assert_eq!(end.session().method, Method::Aka);
        assert_eq!(end.session().session_id[0], 23);
        assert_eq!(end.session().session_id.len(), 33);
    }
}

#[test]
fn eap_aka_resynchronises_without_lists_to_copy() {
    let mut sim = Sim::new(1 << 40);
    let end = converse(aka(), &mut old_home(), &mut sim, pass);
    assert_success(&end, &sim);
}

#[test]
fn a_nak_leads_from_either_method_to_the_other() {
    for (server, peer) in [
        ([Method::Aka, Method::AkaPrime], Method::AkaPrime),
        ([Method::AkaPrime, Method::Aka], Method::Aka),
    ] {
        let config = Config {
            methods: server.to_vec(),
            ..Config::default()
        };
        let mut home = match peer {
            Method::Aka => old_home(),
            Method::AkaPrime => home(),
        };
        let peer = PeerConfig {
            methods: vec![peer],
            ..PeerConfig::new()
        };
        let mut sim = Sim::new(0);
        let mut naks = 0;
        let end = converse_as(peer, config, &mut home, &mut sim, |_, packet| {
            let packet = Packet::parse(packet).unwrap();
            naks += usize::from(matches!(packet.typed, Some((Type::Nak, _))));
        });
        assert_success(&end, &sim);
        assert_eq!(naks, 1);
        assert_eq!(end.session().method, server[1]);
    }
}

#[test]
fn without_a_common_method_both_sides_say_so() {
    let peer = PeerConfig {
        methods: vec![Method::AkaPrime],
        ..PeerConfig::new()
    };
    let mut sim = Sim::new(0);
    let end = converse_as(peer, aka(), &mut old_home(), &mut sim, pass);
    assert_eq!(end.reason(), eap_server::Reason::Nak);
    assert_eq!(
        end.peer,
        Some(Outcome::Failure(Reason::NoCommonMethod { offered: 23 }))
    );
}

#[test]
fn a_peer_of_both_methods_re_authenticates_to_a_server_of_eap_aka_alone() {
    let config = Config {
        ask_identity: None,
        pseudonyms: true,
        reauthentication: true,
        ..aka()
    };
    let (mut home, mut sim) = (old_home(), Sim::new(0));
    for fast in [false, true, true] {
        let end = converse(config.clone(), &mut home, &mut sim, pass);
        assert_success(&end, &sim);
        assert_eq!(end.session().method, Method::Aka);
        assert_eq!(end.session().reauthenticated, fast);
    }
    assert_eq!(sim.runs, 1);
    // Once it is used up, the peer begins with the method that it prefers.
    config.register.forget_reauthentications();
    let both = Config {
        methods: vec![Method::AkaPrime, Method::Aka],
        ..config
    };
    let end = converse(both, &mut softsim_testkit::sim::home(), &mut sim, pass);
    assert_eq!(end.session().method, Method::AkaPrime);
}

/// RFC 9048 §4.
#[test]
fn a_server_that_was_bidden_down_from_eap_aka_prime_is_found_out() {
    let bidden_down = Config {
        bidding: Some(true),
        ..aka()
    };
    let mut sim = Sim::new(0);
    let end = converse(bidden_down.clone(), &mut old_home(), &mut sim, pass);
    assert_eq!(
        end.peer,
        Some(Outcome::Failure(Reason::AuthenticationReject(
            AuthenticationReject::BidDown
        )))
    );
    assert_eq!(end.reason(), eap_server::Reason::AuthenticationReject);
    assert!(!sim.has_session(), "the SIM was not asked");

    let indifferent = Config {
        bidding: Some(false),
        ..aka()
    };
    let end = converse(indifferent, &mut old_home(), &mut sim, pass);
    assert_success(&end, &sim);

    let only_aka = PeerConfig {
        methods: vec![Method::Aka],
        ..PeerConfig::new()
    };
    let end = converse_as(only_aka, bidden_down, &mut old_home(), &mut sim, pass);
    assert_success(&end, &sim);
}

#[test]
fn a_vector_of_eap_aka_prime_serves_eap_aka_only_where_policy_lets_it() {
    for refuse_separation_bit in [true, false] {
        let peer = PeerConfig {
            refuse_separation_bit,
            ..PeerConfig::new()
        };
        let mut sim = Sim::new(0);
        let end = converse_as(peer, aka(), &mut home(), &mut sim, pass);
        assert_eq!(
            matches!(end.peer, Some(Outcome::Success(_))),
            !refuse_separation_bit
        );
    }
}

#[test]
fn a_refusal_after_authentication_is_notified_under_at_mac() {
    for method in [Method::Aka, Method::AkaPrime] {
        let config = Config {
            methods: vec![method],
            deny: Some(Notification(1031)),
            ..Config::default()
        };
        let mut home = match method {
            Method::Aka => old_home(),
            Method::AkaPrime => home(),
        };
        let mut notified = 0;
        let end = converse(config, &mut home, &mut Sim::new(0), |_, packet| {
            let packet = Packet::parse(packet).unwrap();
            if let Ok(message) = packet.aka()
                && message.subtype == Subtype::Notification
            {
                assert!(message.mac().is_some());
                notified += usize::from(packet.code == Code::Response);
            }
        });
        assert_eq!(notified, 1);
        let code = Notification(1031);
        assert_eq!(end.peer, Some(Outcome::Failure(Reason::Notified(code))));
        assert_eq!(end.reason(), eap_server::Reason::Denied(code));
    }
}
