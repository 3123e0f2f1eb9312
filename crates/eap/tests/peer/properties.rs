//! What holds whatever comes, in whatever order.

use crate::support::*;
use proptest::prelude::*;
use softsim_eap::packet::{Attribute, Subtype, Type};
use softsim_eap::{Ask, Outcome};
use std::collections::HashSet;

/// One packet of a hostile or confused server.
#[derive(Debug, Clone)]
enum Move {
    Octets(Vec<u8>),
    AkaOctets(u8, Vec<u8>),
    EapIdentity(u8),
    OtherMethod(u8, u8),
    AkaIdentity(u8, u8),
    Challenge {
        identifier: u8,
        kdfs: Vec<u16>,
        bent: u8,
        stale: bool,
    },
    OldChallenge(usize),
    Notification {
        identifier: u8,
        code: u16,
        mac: bool,
    },
    Success(u8),
    Failure(u8),
    CarrierFailed,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let identifier = || 0u8..4;
    let code = || {
        prop_oneof![
            Just(0u16),
            Just(1026),
            Just(16384),
            Just(32768),
            any::<u16>()
        ]
    };
    let one = prop_oneof![
        1 => proptest::collection::vec(any::<u8>(), 0..64).prop_map(Move::Octets),
        2 => (identifier(), proptest::collection::vec(any::<u8>(), 0..64)).prop_map(|(i, o)| Move::AkaOctets(i, o)),
        2 => identifier().prop_map(Move::EapIdentity),
        1 => (identifier(), any::<u8>()).prop_map(|(i, kind)| Move::OtherMethod(i, kind)),
        2 => (identifier(), 0u8..8).prop_map(|(i, wanted)| Move::AkaIdentity(i, wanted)),
        6 => (identifier(), prop_oneof![4 => Just(vec![1]), 1 => Just(vec![2, 1]), 1 => Just(vec![1, 2, 1])], 0u8..8, any::<bool>())
            .prop_map(|(identifier, kdfs, bent, stale)| Move::Challenge { identifier, kdfs, bent, stale }),
        2 => (0usize..8).prop_map(Move::OldChallenge),
        3 => (identifier(), code(), any::<bool>()).prop_map(|(identifier, code, mac)| Move::Notification { identifier, code, mac }),
        4 => identifier().prop_map(Move::Success),
        2 => identifier().prop_map(Move::Failure),
        1 => Just(Move::CarrierFailed),
    ];
    proptest::collection::vec(one, 0..15)
}

fn packet(what: Move, network: &mut Network, challenges: &mut Vec<Vec<u8>>) -> Option<Vec<u8>> {
    Some(match what {
        Move::Octets(octets) => octets,
        Move::AkaOctets(identifier, octets) => typed(identifier, Type::AkaPrime, &octets),
        Move::EapIdentity(identifier) => typed(identifier, Type::Identity, b""),
        Move::OtherMethod(identifier, kind) => typed(identifier, Type::from(kind), &[1]),
        Move::AkaIdentity(identifier, wanted) => {
            let all = [
                Attribute::AnyIdReq,
                Attribute::FullauthIdReq,
                Attribute::PermanentIdReq,
            ];
            let wanted: Vec<_> = (0..3)
                .filter(|bit| wanted & (1 << bit) != 0)
                .map(|bit| all[bit])
                .collect();
            aka_identity(identifier, &wanted)
        }
        Move::Challenge {
            identifier,
            kdfs,
            bent,
            stale,
        } => {
            network.sqn = if stale { 0 } else { network.sqn + 0x20 };
            let packet = network.challenge(&Challenge {
                identifier,
                kdfs,
                wrong_autn: bent == 1,
                wrong_mac: bent == 2,
                result_ind: bent == 3,
                checkcode: (bent == 4).then(Vec::new),
                ..Challenge::default()
            });
            challenges.push(packet.clone());
            packet
        }
        Move::OldChallenge(which) => challenges.get(which)?.clone(),
        Move::Notification {
            identifier,
            code,
            mac,
        } if mac && network.session.is_some() => network.notification(identifier, code),
        Move::Notification {
            identifier, code, ..
        } => request(
            identifier,
            Subtype::Notification,
            &[Attribute::Notification(code)],
        )
        .into_bytes(),
        Move::Success(identifier) => vec![3, identifier, 0, 4],
        Move::Failure(identifier) => vec![4, identifier, 0, 4],
        Move::CarrierFailed => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn whatever_comes_aka_runs_once_a_challenge_and_success_needs_a_verified_one(moves in moves()) {
        let mut scene = Scene::new();
        let mut challenges = Vec::new();
        let mut asked_packets = HashSet::new();
        // Identifiers under which the SIM was asked in this conversation. A conversation may end with an outcome, an identity
        // request or another method.
        let mut asked_identifiers = HashSet::new();
        let mut successes = 0;
        for what in moves {
            if matches!(what, Move::EapIdentity(_) | Move::OtherMethod(..)) {
                asked_identifiers.clear();
            }
            let step = match packet(what, &mut scene.network, &mut challenges) {
                Some(packet) => scene.feed(&packet),
                None => {
                    scene.peer.carrier_failed();
                    scene.settle()
                }
            };
            prop_assert!(step.sent.len() <= 1 && step.done.len() <= 1);
            for ask in &step.asks {
                if let Ask::Challenge { packet, .. } = ask {
                    prop_assert!(asked_packets.insert(packet.clone()), "AKA ran twice for one challenge");
                    prop_assert!(asked_identifiers.insert(packet[1]), "AKA ran twice for one identifier");
                }
            }
            if !step.done.is_empty() {
                asked_identifiers.clear();
            }
            successes += step.done.iter().filter(|done| matches!(done, Outcome::Success(_))).count();
            prop_assert!(successes <= scene.sim.verified, "success without a verified challenge");
        }
    }
}
