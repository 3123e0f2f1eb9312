//! EAP-AKA' with an ephemeral key exchange (RFC 9678).

use softsim_aka::agreement::{Group, PrivateKey};
use softsim_eap::{
    AuthenticationReject, Config as PeerConfig, ForwardSecrecy, Outcome, OuterIdentity, Reason,
};
use softsim_lab_simulators::eap_server::{self, Config, SuciKey, SuciKeys};
use softsim_testkit::exchange::{End, converse_as};
use softsim_testkit::sim::{Sim, home};

use super::{assert_success, pass};

const HOME_NETWORK_KEY: [u8; 32] = [0x5c; 32];

/// A peer that conceals who it is, as RFC 9678 §6.5.2 wants, and a server that can read it.
fn concealed(groups: &[Group]) -> (PeerConfig, Config, Sim) {
    let key = PrivateKey::from_octets(Group::X25519, &HOME_NETWORK_KEY).unwrap();
    let mut sim = Sim::new(0);
    sim.suci_key = Some((7, key.public_key()));
    let server = Config {
        groups: groups.to_vec(),
        suci_keys: SuciKeys::new([SuciKey { id: 7, key }]),
        ..Config::default()
    };
    let peer = PeerConfig {
        outer: OuterIdentity::Suci,
        ..PeerConfig::new()
    };
    (peer, server, sim)
}

fn run(peer: &PeerConfig, server: &Config, sim: &mut Sim) -> End {
    converse_as(peer.clone(), server.clone(), &mut home(), sim, pass)
}

#[test]
fn both_groups_give_one_forward_secret_msk() {
    for group in [Group::X25519, Group::P256] {
        let (peer, server, mut sim) = concealed(&[group]);
        let end = run(&peer, &server, &mut sim);
        assert_success(&end, &sim);
        assert_eq!(end.session().forward_secrecy, Some(group));
    }
}

#[test]
fn of_several_groups_the_first_is_taken_without_negotiation() {
    let (peer, server, mut sim) = concealed(&[Group::P256, Group::X25519]);
    let end = run(&peer, &server, &mut sim);
    assert_success(&end, &sim);
    assert_eq!(end.session().forward_secrecy, Some(Group::P256));
    assert_eq!(end.packets, 6);
}

#[test]
fn negotiation_of_the_kdf_keeps_the_groups() {
    let (peer, server, mut sim) = concealed(&[Group::X25519]);
    let server = Config {
        kdfs: vec![9, 1],
        ..server
    };
    let end = run(&peer, &server, &mut sim);
    assert_success(&end, &sim);
    assert_eq!(end.session().forward_secrecy, Some(Group::X25519));
}

#[test]
fn resynchronisation_keeps_forward_secrecy_with_a_fresh_key() {
    let (peer, server, mut sim) = concealed(&[Group::X25519]);
    sim.usim = Sim::new(1 << 40).usim;
    let mut keys = Vec::new();
    let end = converse_as(peer, server, &mut home(), &mut sim, |_, packet| {
        let packet = softsim_eap_packet::Packet::parse(packet).unwrap();
        if let Ok(message) = packet.aka() {
            keys.extend(message.pub_ecdhe().map(<[u8]>::to_vec));
        }
    });
    assert_success(&end, &sim);
    assert_eq!(end.session().forward_secrecy, Some(Group::X25519));
    assert_eq!(keys.len(), 3, "two of the server, one of the peer");
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn fast_reauthentication_continues_a_forward_secret_authentication() {
    let (peer, server, mut sim) = concealed(&[Group::X25519]);
    let server = Config {
        reauthentication: true,
        ..server
    };
    let mut home = home();
    assert_success(
        &converse_as(peer, server.clone(), &mut home, &mut sim, pass),
        &sim,
    );
    let end = converse_as(PeerConfig::new(), server, &mut home, &mut sim, pass);
    assert_success(&end, &sim);
    assert!(end.session().reauthenticated);
}

#[test]
fn peer_that_sent_its_imsi_gets_no_forward_secrecy() {
    let server = Config {
        groups: vec![Group::X25519],
        ..Config::default()
    };
    let mut sim = Sim::new(0);
    let end = run(&PeerConfig::new(), &server, &mut sim);
    assert_success(&end, &sim);
    assert_eq!(end.session().forward_secrecy, None);
}

#[test]
fn off_ignores_an_offer_and_the_server_may_insist() {
    let (peer, server, mut sim) = concealed(&[Group::X25519]);
    let peer = PeerConfig {
        forward_secrecy: ForwardSecrecy::Off,
        ..peer
    };
    let end = run(&peer, &server, &mut sim);
    assert_success(&end, &sim);
    assert_eq!(end.session().forward_secrecy, None);

    let insisting = Config {
        require_forward_secrecy: true,
        ..server
    };
    let end = run(&peer, &insisting, &mut sim);
    assert_eq!(end.reason(), eap_server::Reason::ForwardSecrecy);
}

#[test]
fn require_refuses_a_server_without() {
    let (peer, server, mut sim) = concealed(&[]);
    let peer = PeerConfig {
        forward_secrecy: ForwardSecrecy::Require,
        ..peer
    };
    let end = run(&peer, &server, &mut sim);
    let refused = Reason::AuthenticationReject(AuthenticationReject::NoForwardSecrecy);
    assert_eq!(end.peer, Some(Outcome::Failure(refused)));
    assert!(!sim.has_session());
}
