//! Properties that hold for any packets in any order and under any configuration.

use std::collections::HashSet;

use proptest::prelude::*;
use softsim_eap::{
    Ask, Config, ForwardSecrecy, Group, IdentityKind, Method, NetworkNamePolicy, Outcome,
    OuterIdentity,
};
use softsim_eap_packet::{Attribute, Packet, Subtype, Type};
use softsim_testkit::home_network::{AT_BIDDING, number};
use softsim_testkit::scene::*;

/// A packet of a hostile or faulty server.
#[derive(Debug, Clone)]
enum Move {
    Octets(Vec<u8>),
    MethodOctets(u8, Method, Vec<u8>),
    EapIdentity(u8),
    EapNotification(u8),
    OtherMethod(u8, u8),
    Identity(u8, Method, u8),
    Challenge(Given),
    Reauthentication {
        identifier: u8,
        counter: u16,
        next: bool,
        altered: u8,
    },
    Old(usize),
    Notification {
        identifier: u8,
        code: u16,
        mac: bool,
    },
    Success(u8),
    Failure(u8),
    CarrierFailed,
}

/// The contents of a challenge.
#[derive(Debug, Clone)]
struct Given {
    identifier: u8,
    method: Method,
    kdfs: Vec<u16>,
    kdfs_fs: Vec<u16>,
    next: bool,
    altered: u8,
    stale: bool,
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![3 => Just(Method::AkaPrime), 1 => Just(Method::Aka)]
}

fn given() -> impl Strategy<Value = Given> {
    let kdfs = prop_oneof![4 => Just(vec![1]), 1 => Just(vec![2, 1]), 1 => Just(vec![1, 2, 1])];
    let kdfs_fs = prop_oneof![
        3 => Just(vec![]),
        2 => Just(vec![1]),
        1 => Just(vec![2, 1]),
        1 => Just(vec![9, 2]),
        1 => Just(vec![2, 9, 2]),
    ];
    (
        0u8..4,
        method(),
        kdfs,
        kdfs_fs,
        any::<bool>(),
        0u8..8,
        prop::bool::weighted(0.2),
    )
        .prop_map(
            |(identifier, method, kdfs, kdfs_fs, next, altered, stale)| Given {
                identifier,
                method,
                kdfs,
                kdfs_fs,
                next,
                altered,
                stale,
            },
        )
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let identifier = || 0u8..4;
    let octets = || proptest::collection::vec(any::<u8>(), 0..64);
    let code = prop_oneof![
        Just(0u16),
        Just(1026),
        Just(16384),
        Just(32768),
        any::<u16>()
    ];
    let one = prop_oneof![
        1 => octets().prop_map(Move::Octets),
        2 => (identifier(), method(), octets()).prop_map(|(i, m, o)| Move::MethodOctets(i, m, o)),
        3 => identifier().prop_map(Move::EapIdentity),
        1 => identifier().prop_map(Move::EapNotification),
        1 => (identifier(), any::<u8>()).prop_map(|(i, kind)| Move::OtherMethod(i, kind)),
        3 => (identifier(), method(), 0u8..8).prop_map(|(i, m, wanted)| Move::Identity(i, m, wanted)),
        6 => given().prop_map(Move::Challenge),
        4 => (identifier(), 0u16..4, any::<bool>(), 0u8..4)
            .prop_map(|(identifier, counter, next, altered)| Move::Reauthentication { identifier, counter, next, altered }),
        2 => (0usize..8).prop_map(Move::Old),
        3 => (identifier(), code, any::<bool>()).prop_map(|(identifier, code, mac)| Move::Notification { identifier, code, mac }),
        5 => identifier().prop_map(Move::Success),
        2 => identifier().prop_map(Move::Failure),
        1 => Just(Move::CarrierFailed),
    ];
    // Some sequences contain a complete authentication, so that other packets arrive in every
    // state.
    let run = prop_oneof![
        5 => one.prop_map(|one| vec![one]),
        1 => good().prop_map(|given| vec![Move::EapIdentity(0), Move::Challenge(given), Move::Success(1)]),
        1 => (1u16..6, any::<bool>()).prop_map(|(counter, next)| vec![
            Move::EapIdentity(2),
            Move::Reauthentication { identifier: 3, counter, next, altered: 0 },
            Move::Success(3),
        ]),
    ];
    proptest::collection::vec(run, 0..15).prop_map(|runs| runs.concat())
}

/// A challenge under identifier 1 that a peer of both methods accepts.
fn good() -> impl Strategy<Value = Given> {
    given().prop_map(|given| Given {
        identifier: 1,
        kdfs: vec![1],
        next: true,
        altered: 0,
        stale: false,
        ..given
    })
}

fn configs() -> impl Strategy<Value = Config> {
    let outer = prop_oneof![
        2 => Just(OuterIdentity::Any),
        1 => Just(OuterIdentity::PseudonymOrPermanent),
        1 => Just(OuterIdentity::Anonymous),
        1 => Just(OuterIdentity::Suci),
        1 => Just(OuterIdentity::Fixed(identity("box17@operator.example", IdentityKind::Anonymous))),
    ];
    let policy = [
        ForwardSecrecy::Off,
        ForwardSecrecy::Allow,
        ForwardSecrecy::Require,
    ];
    let methods = [
        vec![Method::AkaPrime, Method::Aka],
        vec![Method::Aka, Method::AkaPrime],
        vec![Method::AkaPrime],
    ];
    (
        outer,
        prop::sample::select(policy.to_vec()),
        prop::sample::select(methods.to_vec()),
        any::<bool>(),
    )
        .prop_map(
            |(outer, forward_secrecy, methods, result_indication)| Config {
                outer,
                forward_secrecy,
                methods,
                result_indication,
                decoration: result_indication.then(|| "visited.example".to_owned()),
                network_name_policy: NetworkNamePolicy::Warn,
                ..Config::new()
            },
        )
}

fn challenge(network: &mut Network, given: &Given) -> Vec<u8> {
    network.sqn = if given.stale { 0 } else { network.sqn + 0x20 };
    let altered = given.altered;
    let plain = match given.method {
        Method::Aka => Challenge::aka(),
        Method::AkaPrime => Challenge {
            kdfs: given.kdfs.clone(),
            kdfs_fs: given.kdfs_fs.clone(),
            group: given
                .kdfs_fs
                .first()
                .map(|kdf| Group::from_number(*kdf).unwrap_or(Group::P256)),
            ..Challenge::default()
        },
    };
    network.challenge(&Challenge {
        identifier: given.identifier,
        next_reauth_id: given.next.then(|| REAUTHENTICATION_ID.into()),
        next_pseudonym: given.next.then(|| PSEUDONYM.into()),
        wrong_autn: altered == 1,
        wrong_mac: altered == 2,
        result_ind: altered == 3,
        checkcode: (altered == 4).then(Vec::new),
        extra: match altered {
            5 => number(AT_BIDDING, 0x8000),
            _ => Vec::new(),
        },
        ..plain
    })
}

fn packet(what: Move, network: &mut Network, old: &mut Vec<Vec<u8>>) -> Option<Vec<u8>> {
    Some(match what {
        Move::Octets(octets) => octets,
        Move::MethodOctets(identifier, method, octets) => typed(identifier, method.into(), &octets),
        Move::EapIdentity(identifier) => typed(identifier, Type::Identity, b""),
        Move::EapNotification(identifier) => typed(identifier, Type::Notification, b"text"),
        Move::OtherMethod(identifier, kind) => typed(identifier, Type::from(kind), &[1]),
        Move::Identity(identifier, method, wanted) => {
            let all = [
                Attribute::AnyIdReq,
                Attribute::FullauthIdReq,
                Attribute::PermanentIdReq,
            ];
            let wanted: Vec<_> = (0..3)
                .filter(|bit| wanted & (1 << bit) != 0)
                .map(|bit| all[bit])
                .collect();
            request_of(method, identifier, Subtype::Identity, &wanted).into_bytes()
        }
        Move::Challenge(given) => {
            let packet = challenge(network, &given);
            old.push(packet.clone());
            packet
        }
        Move::Reauthentication {
            identifier,
            counter,
            next,
            altered,
        } if network.session.is_some() => {
            let packet = network.reauthentication(&Reauthentication {
                identifier,
                counter,
                next_reauth_id: next.then(|| REAUTHENTICATION_ID.into()),
                wrong_mac: altered == 1,
                result_ind: altered == 2,
                ..Reauthentication::default()
            });
            old.push(packet.clone());
            packet
        }
        Move::Reauthentication { .. } => return None,
        Move::Old(which) => old.get(which)?.clone(),
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

fn shows(octets: &[u8], what: &str) -> bool {
    octets
        .windows(what.len())
        .any(|window| window == what.as_bytes())
}

/// The part of an identity that reveals the subscriber.
const MSIN: &str = "0123456789";

/// The server uses the identity that the peer sent, so that its packets are valid where it wants
/// them to be.
fn follow(network: &mut Network, sent: &[u8]) {
    let packet = Packet::parse(sent).expect("the peer sends EAP");
    match (packet.typed, packet.aka()) {
        (Some((Type::Identity, said)), _) => network.identity = undecorated(said),
        (_, Ok(message)) => {
            if let Some(said) = message.identity() {
                network.identity = said.to_vec();
            }
        }
        _ => {}
    }
}

/// The identity as an intermediate realm forwards it, without its decoration.
fn undecorated(said: &[u8]) -> Vec<u8> {
    let said = String::from_utf8_lossy(said).into_owned();
    match said.split_once('!') {
        Some((home, rest)) => {
            let (user, _) = rest
                .split_once('@')
                .expect("decorated identities have a realm");
            format!("{user}@{home}").into_bytes()
        }
        None => said.into_bytes(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn whatever_comes_aka_runs_once_success_needs_proof_and_no_identity_is_shown_against_policy(
        config in configs(),
        conservative in any::<bool>(),
        known in any::<bool>(),
        moves in moves(),
    ) {
        let mut scene = Scene::unasked(config.clone());
        if conservative {
            scene.sim.permanent = Permanent::Never;
        }
        if !known {
            scene.sim.suci_key = None;
        }
        if known {
            scene.sim.pseudonym = Some((Method::AkaPrime, PSEUDONYM.to_owned()));
        }
        let mut old = Vec::new();
        let mut asked_packets = HashSet::new();
        // Identifiers under which the SIM was asked in this conversation. A conversation may end
        // with an outcome, an identity request, another method or a failure of ours.
        let mut asked_identifiers = HashSet::new();
        let mut successes = 0;
        for what in moves {
            if matches!(what, Move::EapIdentity(_) | Move::OtherMethod(..)) {
                asked_identifiers.clear();
            }
            let carrier_failed = matches!(what, Move::CarrierFailed);
            let received = packet(what, &mut scene.network, &mut old);
            let step = match &received {
                Some(packet) => scene.feed(packet),
                None if carrier_failed => {
                    scene.peer.carrier_failed();
                    scene.settle()
                }
                None => continue,
            };
            prop_assert!(step.sent.len() <= 1 && step.done.len() <= 1);
            for ask in &step.asks {
                if let Ask::Challenge { packet, .. } | Ask::Reauthentication { packet, .. } = ask {
                    prop_assert!(asked_packets.insert(packet.clone()), "AKA ran twice for one challenge");
                    prop_assert!(asked_identifiers.insert(packet[1]), "AKA ran twice for one identifier");
                }
            }
            for sent in &step.sent {
                follow(&mut scene.network, sent);
                prop_assert_eq!((sent[0], Some(&sent[1])), (2, received.as_ref().map(|packet| &packet[1])));
                let named = shows(sent, MSIN);
                let withheld = conservative && config.outer != OuterIdentity::Suci;
                prop_assert!(!(named && withheld), "the holder of the SIM withheld it");
                prop_assert!(!(named && config.forward_secrecy == ForwardSecrecy::Require));
                let outside = sent[4] == Type::Identity.octet();
                let anonymous = config.outer == OuterIdentity::Anonymous;
                prop_assert!(!(named && anonymous && outside), "the name stays inside of the method");
                prop_assert!(outside || !shows(sent, "visited.example"), "decoration stays outside of the method");
                let message = Packet::parse(sent).unwrap().aka();
                if message.is_ok_and(|message| message.res().is_some()) {
                    prop_assert!(scene.sim.verified > 0, "RES without a verified challenge");
                }
            }
            // After an invalid public key, the exchange may begin anew with the same identifiers.
            if !step.done.is_empty() || step.is_client_error() {
                asked_identifiers.clear();
            }
            successes += step.done.iter().filter(|done| matches!(done, Outcome::Success(_))).count();
            prop_assert!(successes <= scene.sim.verified, "success without proof");
            for done in &step.done {
                if let Outcome::Success(success) = done {
                    prop_assert!(config.allows(success.method));
                    let fresh = config.forward_secrecy == ForwardSecrecy::Require && !success.reauthenticated;
                    prop_assert!(!fresh || success.forward_secrecy, "success without the secrecy required");
                }
            }
        }
    }
}
