//! A server of 5GS: network names, SUCI, and the keys derived from K_AUSF.

use softsim_aka::agreement::{Group, PrivateKey};
use softsim_aka::fiveg;
use softsim_eap::{
    Config as PeerConfig, IdentityKind, NetworkName, Outcome, OuterIdentity, Reason,
};
use softsim_lab_simulators::eap_server::{self, Config, SuciKey, SuciKeys};
use softsim_testkit::exchange::{End, converse_as};
use softsim_testkit::sim::{IMSI, Sim, home};
use softsim_usim::Realm;

use super::{assert_success, pass};

const SERVING_NETWORK: &str = "5G:mnc001.mcc001.3gppnetwork.org";

fn key(group: Group) -> PrivateKey {
    PrivateKey::from_octets(group, &[0x5c; 32]).unwrap()
}

fn run(network_name: &str, server: Config, sim: &mut Sim) -> End {
    let peer = PeerConfig {
        outer: OuterIdentity::Suci,
        network_name: NetworkName::new(network_name).unwrap(),
        ..PeerConfig::new()
    };
    let server = Config {
        network_name: network_name.into(),
        ..server
    };
    converse_as(peer, server, &mut home(), sim, pass)
}

#[test]
fn a_suci_of_either_profile_names_the_subscriber_to_the_home_network_alone() {
    for group in [Group::X25519, Group::P256] {
        let mut sim = Sim::new(0);
        sim.realm = Realm::NaiFiveGc;
        sim.suci_key = Some((27, key(group).public_key()));
        let server = Config {
            suci_keys: SuciKeys::new([SuciKey {
                id: 27,
                key: key(group),
            }]),
            ..Config::default()
        };
        let end = run(SERVING_NETWORK, server, &mut sim);
        assert_success(&end, &sim);
        assert_eq!(end.session().imsi, IMSI);
        assert!(sim.shown.iter().all(|kind| *kind == IdentityKind::Suci));
    }
}

#[test]
fn the_null_scheme_is_understood_too() {
    let mut sim = Sim::new(0);
    sim.realm = Realm::FiveGc;
    let end = run(SERVING_NETWORK, Config::default(), &mut sim);
    assert_success(&end, &sim);
    assert_eq!(end.session().imsi, IMSI);
}

#[test]
fn a_suci_to_another_key_names_nobody() {
    let mut sim = Sim::new(0);
    sim.suci_key = Some((27, key(Group::X25519).public_key()));
    let other = PrivateKey::from_octets(Group::X25519, &[1; 32]).unwrap();
    let server = Config {
        suci_keys: SuciKeys::new([SuciKey { id: 27, key: other }]),
        ..Config::default()
    };
    let end = run(SERVING_NETWORK, server, &mut sim);
    assert_eq!(end.reason(), eap_server::Reason::UnknownIdentity);
    assert!(matches!(
        end.peer,
        Some(Outcome::Failure(Reason::Notified(_)))
    ));
}

/// RFC 9048 §5.3.1, TS 33.501 F.3: the keys are the same whatever identity was shown, so both sides
/// know the rule.
#[test]
fn the_same_k_ausf_stands_on_both_sides_and_leads_to_the_same_application_keys() {
    let mut sim = Sim::new(0);
    let end = run(SERVING_NETWORK, Config::default(), &mut sim);
    assert_success(&end, &sim);
    let (ours, theirs) = (
        sim.k_ausf().unwrap(),
        end.session().k_ausf.as_ref().unwrap(),
    );
    assert_eq!(ours, theirs);
    let keys = |k_ausf| {
        let k_akma = fiveg::k_akma(k_ausf, IMSI.as_bytes());
        let k_af = fiveg::k_af(&k_akma, b"af.example.com\x01\x00\x00\x00\x02");
        (fiveg::a_tid(k_ausf, IMSI.as_bytes()), k_af)
    };
    assert_eq!(keys(ours), keys(theirs));
}

#[test]
fn offload_and_plain_wlan_anchor_no_k_ausf() {
    for name in ["5G:NSWO", "WLAN"] {
        let mut sim = Sim::new(0);
        sim.realm = Realm::Nswo;
        let end = run(name, Config::default(), &mut sim);
        assert_success(&end, &sim);
        assert!(end.session().k_ausf.is_none(), "{name}");
        assert!(sim.k_ausf().is_none(), "{name}");
    }
}
