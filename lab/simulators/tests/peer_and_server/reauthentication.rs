//! Pseudonyms and fast re-authentication, and what happens when one side has lost them.

use softsim_eap::{
    Config as PeerConfig, IdentityKind, Method, Outcome, OuterIdentity, Reason, Unprocessable,
};
use softsim_eap_packet::{Notification, Packet, Subtype};
use softsim_lab_simulators::auc::Auc;
use softsim_lab_simulators::eap_server::{self, Config, IdentityRequest};
use softsim_testkit::exchange::{End, converse_as};
use softsim_testkit::sim::{Permanent, Sim, auc};

use super::{assert_success, pass};

fn config(method: Method) -> Config {
    Config {
        methods: vec![method],
        pseudonyms: true,
        reauthentication: true,
        ..Config::default()
    }
}

fn home(method: Method) -> Auc {
    match method {
        Method::Aka => auc(0x46, [0, 0]),
        Method::AkaPrime => auc(0x46, [0x80, 0]),
    }
}

/// With a peer of the server's method only: pseudonyms of one are no identities of the other.
fn converse(
    config: Config,
    home: &mut Auc,
    sim: &mut Sim,
    on_the_way: impl FnMut(usize, &mut Vec<u8>),
) -> End {
    let peer = PeerConfig {
        methods: config.methods.clone(),
        ..PeerConfig::new()
    };
    converse_as(peer, config, home, sim, on_the_way)
}

/// The conversation, and the subtypes that the server sent.
fn subtypes(config: &Config, home: &mut Auc, sim: &mut Sim) -> (End, Vec<Subtype>) {
    let mut sent = Vec::new();
    let end = converse(config.clone(), home, sim, |number, packet| {
        let parsed = Packet::parse(packet).unwrap();
        if number % 2 == 1
            && let Ok(message) = parsed.aka()
        {
            sent.push(message.subtype);
        }
    });
    (end, sent)
}

const METHODS: [Method; 2] = [Method::Aka, Method::AkaPrime];

#[test]
fn fast_reauthentications_follow_each_other_without_using_a_sequence_number() {
    for method in METHODS {
        for result_indication in [false, true] {
            let (mut home, mut sim) = (home(method), Sim::new(0));
            let config = Config {
                result_indication,
                ..config(method)
            };
            let (end, _) = subtypes(&config, &mut home, &mut sim);
            assert_success(&end, &sim);
            assert!(!end.session().reauthenticated);
            let (sqn, mut msks) = (sim.usim.clone(), vec![*sim.msk().as_bytes()]);
            for _ in 0..3 {
                let (end, sent) = subtypes(&config, &mut home, &mut sim);
                assert_success(&end, &sim);
                assert!(end.session().reauthenticated);
                assert!(sent.contains(&Subtype::Reauthentication), "{sent:?}");
                assert!(!sent.contains(&Subtype::Challenge), "{sent:?}");
                msks.push(*sim.msk().as_bytes());
            }
            assert_eq!(sim.usim, sqn);
            msks.sort_unstable();
            msks.dedup();
            assert_eq!(msks.len(), 4, "every one has keys of its own");
        }
    }
}

#[test]
fn a_pseudonym_stands_for_the_permanent_identity_in_the_next_full_authentication() {
    for method in METHODS {
        let (mut home, mut sim) = (home(method), Sim::new(0));
        let config = Config {
            reauthentication: false,
            ..config(method)
        };
        assert_success(&converse(config.clone(), &mut home, &mut sim, pass), &sim);
        sim.shown.clear();
        for _ in 0..3 {
            assert_success(&converse(config.clone(), &mut home, &mut sim, pass), &sim);
        }
        let mut kinds = sim.shown.iter();
        assert!(
            kinds.all(|kind| *kind == IdentityKind::Pseudonym),
            "{:?}",
            sim.shown
        );
    }
}

#[test]
fn a_server_that_lost_everything_is_told_who_it_is_where_policy_lets_it() {
    for liberal in [true, false] {
        let (mut home, mut sim) = (home(Method::AkaPrime), Sim::new(0));
        let config = config(Method::AkaPrime);
        assert_success(&converse(config.clone(), &mut home, &mut sim, pass), &sim);
        config.register.forget_pseudonyms();
        config.register.forget_reauthentications();
        sim.permanent = match liberal {
            true => Permanent::Always,
            false => Permanent::WithoutPseudonym,
        };
        let end = converse(config, &mut home, &mut sim, pass);
        if liberal {
            assert_success(&end, &sim);
        } else {
            let withheld = Reason::Unprocessable(Unprocessable::IdentityWithheld);
            assert_eq!(end.peer, Some(Outcome::Failure(withheld)));
            assert_eq!(end.reason(), eap_server::Reason::ClientError(0));
        }
    }
}

#[test]
fn a_server_that_lost_the_reauthentication_takes_the_pseudonym() {
    for method in METHODS {
        let (mut home, mut sim) = (home(method), Sim::new(0));
        let config = config(method);
        assert_success(&converse(config.clone(), &mut home, &mut sim, pass), &sim);
        config.register.forget_reauthentications();
        let end = converse(config, &mut home, &mut sim, pass);
        assert_success(&end, &sim);
        assert!(!end.session().reauthenticated);
        assert_eq!(sim.shown.last(), Some(&IdentityKind::Pseudonym));
    }
}

/// hostap 40af6560b: without an AT_IDENTITY, the identity of the re-authentication goes into the
/// keys.
#[test]
fn a_counter_that_is_too_small_leads_to_a_full_authentication_in_the_same_conversation() {
    for method in METHODS {
        for ask_identity in [None, Some(IdentityRequest::Any)] {
            let (mut home, mut sim) = (home(method), Sim::new(0));
            let config = Config {
                ask_identity,
                ..config(method)
            };
            let (end, _) = subtypes(&config, &mut home, &mut sim);
            assert_success(&end, &sim);
            config.register.set_counters(0);
            let (end, sent) = subtypes(&config, &mut home, &mut sim);
            assert_success(&end, &sim);
            assert!(!end.session().reauthenticated);
            let last: Vec<_> = sent.iter().rev().take(2).collect();
            assert_eq!(last, [&Subtype::Challenge, &Subtype::Reauthentication]);
        }
    }
}

#[test]
fn a_reauthentication_changed_on_the_way_is_refused() {
    let (mut home, mut sim) = (home(Method::AkaPrime), Sim::new(0));
    let config = config(Method::AkaPrime);
    assert_success(&converse(config.clone(), &mut home, &mut sim, pass), &sim);
    let end = converse(config, &mut home, &mut sim, |number, packet| {
        let reauthentication = Packet::parse(packet)
            .unwrap()
            .aka()
            .is_ok_and(|message| message.subtype == Subtype::Reauthentication);
        if reauthentication && number % 2 == 1 {
            *packet.last_mut().unwrap() ^= 1;
        }
    });
    let mac = Reason::Unprocessable(Unprocessable::Mac);
    assert_eq!(end.peer, Some(Outcome::Failure(mac)));
}

#[test]
fn a_notification_after_reauthentication_carries_the_counter_both_ways() {
    for method in METHODS {
        let (mut home, mut sim) = (home(method), Sim::new(0));
        let first = config(method);
        assert_success(&converse(first.clone(), &mut home, &mut sim, pass), &sim);
        let denying = Config {
            deny: Some(Notification(1026)),
            ..first
        };
        let mut encrypted = 0;
        let end = converse(denying, &mut home, &mut sim, |_, packet| {
            let packet = Packet::parse(packet).unwrap();
            if let Ok(message) = packet.aka()
                && message.subtype == Subtype::Notification
            {
                encrypted += usize::from(message.encr_data().is_some());
            }
        });
        assert_eq!(encrypted, 2);
        let code = Notification(1026);
        assert_eq!(end.peer, Some(Outcome::Failure(Reason::Notified(code))));
        assert_eq!(end.reason(), eap_server::Reason::Denied(code));
    }
}

#[test]
fn a_reauthentication_identity_is_shown_once() {
    let (mut home, mut sim) = (home(Method::AkaPrime), Sim::new(0));
    let config = config(Method::AkaPrime);
    assert_success(&converse(config.clone(), &mut home, &mut sim, pass), &sim);
    sim.shown.clear();
    let end = converse(config, &mut home, &mut sim, pass);
    assert_success(&end, &sim);
    let reauthentications = sim
        .shown
        .iter()
        .filter(|kind| **kind == IdentityKind::Reauthentication);
    assert_eq!(reauthentications.count(), 1, "{:?}", sim.shown);
}

#[test]
fn an_anonymous_outer_identity_hides_even_the_reauthentication() {
    let (mut home, mut sim) = (home(Method::AkaPrime), Sim::new(0));
    let config = config(Method::AkaPrime);
    let peer = PeerConfig {
        outer: OuterIdentity::Anonymous,
        ..PeerConfig::new()
    };
    let mut outer = Vec::new();
    for reauthenticated in [false, true, true] {
        let end = converse_as(
            peer.clone(),
            config.clone(),
            &mut home,
            &mut sim,
            |number, packet| {
                if number == 0 {
                    outer.push(packet[5..].to_vec());
                }
            },
        );
        assert_success(&end, &sim);
        assert_eq!(end.session().reauthenticated, reauthenticated);
    }
    let anonymous = b"anonymous@wlan.mnc001.mcc001.3gppnetwork.org";
    assert!(outer.iter().all(|identity| identity == anonymous));
}
