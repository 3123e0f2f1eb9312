//! Our peer with the lab's server, in memory: each understands the other, and nobody in between can
//! make them agree on different keys.
#![allow(clippy::unwrap_used, clippy::panic)]

mod fiveg;
mod forward_secrecy;
mod methods;
mod reauthentication;

use proptest::prelude::*;
use softsim_aka::{Credentials, K, K256, ResLength, Topc, TuakKey, TuakParameters};
use softsim_eap::{AuthenticationReject, Outcome, Reason, Unprocessable};
use softsim_eap_packet::{Notification, Packet, Subtype};
use softsim_lab_simulators::eap_server::{self, Config};
use softsim_testkit::exchange::{End, converse};
use softsim_testkit::sim::{Sim, auc, auc_of, home};

pub(crate) fn pass(_: usize, _: &mut Vec<u8>) {}

#[track_caller]
pub(crate) fn assert_success(end: &End, sim: &Sim) {
    let Some(Outcome::Success(success)) = &end.peer else {
        panic!("{:?}, {:?}", end.peer, end.server);
    };
    let session = end.session();
    assert_eq!(&session.msk, sim.msk());
    assert_eq!(success.session_id[..], session.session_id);
    assert_eq!(success.method, session.method);
    assert_eq!(success.reauthenticated, session.reauthenticated);
    assert_eq!(success.forward_secrecy, session.forward_secrecy.is_some());
}

#[test]
fn a_full_authentication_takes_three_round_trips_and_leaves_one_msk() {
    let mut sim = Sim::new(0);
    let end = converse(Config::default(), &mut home(), &mut sim, pass);
    assert_success(&end, &sim);
    assert_eq!(end.packets, 6);
}

#[test]
fn result_indications_add_a_protected_round() {
    let mut sim = Sim::new(0);
    let config = Config {
        result_indication: true,
        ..Config::default()
    };
    let end = converse(config, &mut home(), &mut sim, pass);
    assert_success(&end, &sim);
    assert_eq!(end.packets, 8);
}

#[test]
fn an_unknown_function_on_offer_is_negotiated_away_without_using_a_sequence_number() {
    let mut sim = Sim::new(0);
    let config = Config {
        kdfs: vec![7, 1],
        ..Config::default()
    };
    let end = converse(config, &mut home(), &mut sim, pass);
    assert_success(&end, &sim);
    assert_eq!(
        sim.usim.sqn_ms().value(),
        1 << 5 | 1,
        "one vector, used once"
    );
}

#[test]
fn a_sim_ahead_of_the_auc_is_followed() {
    let mut sim = Sim::new(1 << 40);
    let end = converse(Config::default(), &mut home(), &mut sim, pass);
    assert_success(&end, &sim);
    assert_eq!(end.packets, 8);
}

#[test]
fn a_sim_ahead_of_the_auc_keeps_the_negotiated_function() {
    let mut sim = Sim::new(1 << 40);
    let config = Config {
        kdfs: vec![7, 1],
        ..Config::default()
    };
    assert_success(&converse(config, &mut home(), &mut sim, pass), &sim);
}

/// Each with the length of RES that it makes, and once out of step, so that every function is used.
#[test]
fn tuak_and_xor_authenticate_as_milenage_does() {
    let tuak = |k, res| Credentials::Tuak {
        k,
        topc: Topc::new([0xbd; 32]),
        parameters: TuakParameters {
            res,
            ..TuakParameters::default()
        },
    };
    let (k, k256) = (|| K::new([0x46; 16]), || K256::new([0x47; 32]));
    for credentials in [
        tuak(TuakKey::K(k()), ResLength::Bits32),
        tuak(TuakKey::K(k()), ResLength::Bits64),
        tuak(TuakKey::K256(k256()), ResLength::Bits128),
        Credentials::Xor { k: k() },
    ] {
        let mut home = auc_of(&credentials, [0x80, 0]);
        for floor in [0, 1 << 40] {
            let mut sim = Sim::with(&credentials, floor);
            let end = converse(Config::default(), &mut home, &mut sim, pass);
            assert_success(&end, &sim);
        }
        let another = auc(0x5a, [0x80, 0]);
        let mut sim = Sim::with(&credentials, 0);
        let end = converse(Config::default(), &mut { another }, &mut sim, pass);
        assert!(matches!(end.peer, Some(Outcome::Failure(_))));
    }
}

#[test]
fn one_sim_authenticates_again_and_again() {
    let (mut sim, mut home) = (Sim::new(0), home());
    for _ in 0..70 {
        assert_success(
            &converse(Config::default(), &mut home, &mut sim, pass),
            &sim,
        );
    }
}

#[test]
fn another_k_and_a_missing_separation_bit_are_rejected_by_the_sim() {
    for mut wrong in [auc(0x47, [0x80, 0]), auc(0x46, [0, 0])] {
        let mut sim = Sim::new(0);
        let before = sim.usim.clone();
        let end = converse(Config::default(), &mut wrong, &mut sim, pass);
        assert_eq!(
            end.peer,
            Some(Outcome::Failure(Reason::AuthenticationReject(
                AuthenticationReject::Autn
            )))
        );
        assert_eq!(end.reason(), eap_server::Reason::AuthenticationReject);
        assert_eq!(sim.usim, before);
    }
}

#[test]
fn another_network_name_is_rejected_before_the_sim_is_asked() {
    let mut sim = Sim::new(0);
    let config = Config {
        network_name: "EVIL:network".into(),
        ..Config::default()
    };
    let end = converse(config, &mut home(), &mut sim, pass);
    assert_eq!(
        end.peer,
        Some(Outcome::Failure(Reason::AuthenticationReject(
            AuthenticationReject::NetworkName
        )))
    );
    assert_eq!(end.reason(), eap_server::Reason::AuthenticationReject);
}

#[test]
fn a_subscriber_nobody_knows_is_told_so() {
    let mut nobody = softsim_lab_simulators::auc::Auc::new(|_| ());
    let end = converse(Config::default(), &mut nobody, &mut Sim::new(0), pass);
    assert_eq!(
        end.peer,
        Some(Outcome::Failure(Reason::Notified(Notification::FAILURE)))
    );
    assert_eq!(end.reason(), eap_server::Reason::UnknownIdentity);
}

#[test]
fn a_challenge_changed_on_the_way_uses_no_sequence_number() {
    let mut sim = Sim::new(0);
    let before = sim.usim.clone();
    let end = converse(Config::default(), &mut home(), &mut sim, |_, packet| {
        let parsed = Packet::parse(packet).unwrap();
        let challenge = parsed.code == softsim_eap_packet::Code::Request
            && parsed
                .aka()
                .is_ok_and(|message| message.subtype == Subtype::Challenge);
        if challenge {
            *packet.last_mut().unwrap() ^= 1;
        }
    });
    assert_eq!(
        end.peer,
        Some(Outcome::Failure(Reason::Unprocessable(Unprocessable::Mac)))
    );
    assert_eq!(sim.usim, before);
}

proptest! {
    /// Whoever changes packets on the way can make an authentication fail, and nothing more.
    #[test]
    fn changed_packet_never_leads_to_different_keys(
        at in 0usize..8,
        place: prop::sample::Index,
        mask in 1u8..,
        result_indication: bool,
        kdfs in prop::sample::select(vec![vec![1], vec![7, 1]]),
    ) {
        let mut sim = Sim::new(0);
        let config = Config { result_indication, kdfs, ..Config::default() };
        let end = converse(config, &mut home(), &mut sim, |number, packet| {
            if number == at {
                let place = place.index(packet.len());
                packet[place] ^= mask;
            }
        });
        if let Some(Ok(session)) = end.server {
            prop_assert_eq!(&session.msk, sim.msk());
        }
        if matches!(end.peer, Some(Outcome::Success(_))) {
            prop_assert!(sim.has_session(), "success without a verified challenge");
        }
    }
}
