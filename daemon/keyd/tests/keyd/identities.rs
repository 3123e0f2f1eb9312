//! Which identity keyd shows, and that keyd decides it.

use std::time::Duration;

use softsim_aka::agreement::{Group, PrivateKey};
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    AkaAnswer, IdentityAnswer, IdentityKind, IdentityPrivacy, IdentityRequest, Method, Realm,
    Refusal, Role,
};
use softsim_profile::{HomeNetworkKey, HomeNetworkKeys, PrivacyDemand, Profile, RoutingIndicator};
use softsim_sandbox::random::SystemRng;
use softsim_testkit::device::*;
use softsim_testkit::home_network::*;
use softsim_testkit::requests::*;
use softsim_usim::ecies;

use crate::support::{ask, assign_pseudonym, authenticated, concealable, with};

const HOME: &str = "mnc001.mcc001.3gppnetwork.org";

const NULL_SUCI: &[u8] =
    b"type0.rid0.schid0.userid0000000001@5gc-nswo.mnc001.mcc001.3gppnetwork.org";

const SUCI: &[u8] =
    b"type0.rid0.schid1.hnkey1.ecckey00.cip00.mac00@5gc-nswo.mnc001.mcc001.3gppnetwork.org";

#[test]
fn the_permanent_identity_tells_the_method_and_the_realm_where_it_is_shown() {
    let (mut device, _) = Device::provisioned();
    for (method, realm, expected) in [
        (Method::AkaPrime, Realm::Wlan, "6001010000000001@wlan."),
        (Method::Aka, Realm::Wlan, "0001010000000001@wlan."),
        (Method::AkaPrime, Realm::Epc, "6001010000000001@nai.epc."),
    ] {
        let request = Identity {
            method,
            realm,
            ..identity(IdentityRequest::Permanent)
        };
        let answer = device.ask(Role::Network, &request).unwrap();
        assert_eq!(answer.nai, format!("{expected}{HOME}"));
        assert_eq!(answer.kind, IdentityKind::Permanent);
    }
    let counters = device
        .ask(Role::Admin, &Status {})
        .unwrap()
        .counters
        .unwrap();
    assert_eq!(counters.permanent_identities, 3);
}

#[test]
fn an_anonymous_identity_says_the_realm_only_and_is_not_counted() {
    let (mut device, _) = Device::provisioned();
    for (realm, prefix) in [
        (Realm::Wlan, "wlan"),
        (Realm::FiveGc, "5gc"),
        (Realm::NaiFiveGc, "nai.5gc"),
        (Realm::N5cw, "nai.5gc-nn"),
        (Realm::Nswo, "5gc-nswo"),
    ] {
        let request = Identity {
            realm,
            ..identity(IdentityRequest::Anonymous)
        };
        let answer = device.ask(Role::Network, &request).unwrap();
        assert_eq!(answer.nai, format!("anonymous@{prefix}.{HOME}"));
        assert_eq!(answer.kind, IdentityKind::Anonymous);
    }
    let counters = device
        .ask(Role::Admin, &Status {})
        .unwrap()
        .counters
        .unwrap();
    assert_eq!(counters.permanent_identities, 0);
}

#[test]
fn a_pseudonym_is_shown_with_the_realm_until_another_one_comes_also_over_restarts() {
    let (mut device, _) = Device::provisioned();
    for (sqn, name) in [(32, "7alice"), (64, "7bob")] {
        assign_pseudonym(&mut device, sqn, IDENTITY, name);
        for kind in [IdentityRequest::Any, IdentityRequest::FullAuthentication] {
            let answer = ask(&mut device, kind).unwrap();
            assert_eq!(answer.nai, format!("{name}@wlan.{HOME}"));
            assert_eq!(answer.kind, IdentityKind::Pseudonym);
        }
        device = device.restarted();
    }
    // An authentication without a new pseudonym leaves the old one.
    let sent = HomeNetwork::default().challenge(96);
    let mut netd = device.client(Role::Network);
    let answer = device.call(&mut netd, &challenge(&sent.packet, IDENTITY));
    let Ok(AkaAnswer::Success { handle, .. }) = answer else {
        panic!("expected Success, got {answer:?}");
    };
    device
        .call(&mut netd, &Confirm { handle, msk: None })
        .unwrap();
    let answer = ask(&mut device, IdentityRequest::Any).unwrap();
    assert_eq!(answer.nai, format!("7bob@wlan.{HOME}"));
}

#[test]
fn one_that_could_never_be_shown_is_dropped_when_it_comes() {
    let (mut device, _) = Device::provisioned();
    let realm = "wlan.".len() + HOME.len();
    let longest = 253 - 1 - realm;
    assert_eq!(longest, 218);
    for (sqn, name, expected) in [
        (1, "7".repeat(longest + 1), None),
        (2, "7".repeat(253), None),
        (3, "7carol@visited".to_owned(), None),
        (4, format!("7{IMSI}"), Some(format!("7{IMSI}"))),
        (5, "7".repeat(longest), Some("7".repeat(longest))),
        (6, "7".repeat(longest + 1), Some("7".repeat(longest))),
        (7, "7@".to_owned(), Some("7".repeat(longest))),
    ] {
        assign_pseudonym(&mut device, 32 * sqn, IDENTITY, &name);
        let answer = ask(&mut device, IdentityRequest::FullAuthentication).unwrap();
        match expected {
            Some(name) => assert_eq!(answer.nai, format!("{name}@wlan.{HOME}")),
            None => assert_eq!(answer.kind, IdentityKind::Permanent, "nothing was kept"),
        }
    }
}

#[test]
fn under_the_strict_policy_no_identity_with_the_imsi_in_it_is_taken() {
    let mut device = with(IdentityPrivacy::Strict, profile(ICCID));
    assign_pseudonym(&mut device, 32, IDENTITY, "7alice");
    assign_pseudonym(&mut device, 64, IDENTITY, &format!("7{IMSI}x"));
    let answer = ask(&mut device, IdentityRequest::FullAuthentication).unwrap();
    assert_eq!(answer.nai, format!("7alice@wlan.{HOME}"));
    for (sqn, name, expected) in [
        (96, format!("8{IMSI}@home"), IdentityKind::Pseudonym),
        (128, "8fast@home".to_owned(), IdentityKind::Reauthentication),
    ] {
        let home = HomeNetwork::naming(None, Some(&name));
        authenticated(&mut device, &home, sqn);
        let answer = ask(&mut device, IdentityRequest::Any).unwrap();
        assert_eq!(answer.kind, expected, "{name}");
    }
    // What was taken under another policy isn't shown under this one.
    let mut device = device.with_privacy(IdentityPrivacy::Liberal);
    let home = HomeNetwork::naming(Some(&format!("7{IMSI}x")), Some(&format!("8{IMSI}@home")));
    authenticated(&mut device, &home, 160);
    let mut device = device.with_privacy(IdentityPrivacy::Strict);
    for kind in [IdentityRequest::Any, IdentityRequest::FullAuthentication] {
        let answer = ask(&mut device, kind).unwrap();
        assert_eq!(answer.nai, format!("7alice@wlan.{HOME}"), "the stand-by");
    }
}

#[test]
fn pseudonym_assigned_after_a_suci_is_used_once_even_across_a_restart() {
    let mut device = with(IdentityPrivacy::default(), concealable());
    for (sqn, name) in [(32, "7one"), (64, "7other")] {
        assign_pseudonym(&mut device, sqn, SUCI, name);
        let answer = ask(&mut device, IdentityRequest::FullAuthentication).unwrap();
        assert_eq!(answer.nai, format!("{name}@wlan.{HOME}"));
        for _ in 0..2 {
            let answer = ask(&mut device, IdentityRequest::Any).unwrap();
            assert_eq!(answer.kind, IdentityKind::Suci);
            device = device.restarted();
        }
    }
}

#[test]
fn a_suci_follows_a_pseudonym_that_was_good_for_one_time() {
    for privacy in [
        IdentityPrivacy::Liberal,
        IdentityPrivacy::Patient,
        IdentityPrivacy::Conservative,
        IdentityPrivacy::Strict,
    ] {
        let mut device = with(privacy, concealable());
        assign_pseudonym(&mut device, 32, SUCI, "7once");
        for (kind, expected) in [
            (IdentityRequest::Any, IdentityKind::Pseudonym),
            (IdentityRequest::Any, IdentityKind::Suci),
            (IdentityRequest::FullAuthentication, IdentityKind::Suci),
        ] {
            assert_eq!(ask(&mut device, kind).unwrap().kind, expected);
        }
        // What follows it is in a pair, once it has proved itself.
        let shown = format!("7once@wlan.{HOME}");
        assign_pseudonym(&mut device, 64, shown.as_bytes(), "7next");
        for _ in 0..2 {
            let answer = ask(&mut device, IdentityRequest::Any).unwrap();
            assert_eq!(answer.nai, format!("7next@wlan.{HOME}"));
        }
        let counters = device
            .ask(Role::Admin, &Status {})
            .unwrap()
            .counters
            .unwrap();
        assert_eq!(counters.permanent_identities, 0);
    }
}

/// It would be the only identity, and a request by anybody would use it up.
#[test]
fn one_that_came_after_a_suci_of_the_null_scheme_is_not_used_up() {
    let (mut device, _) = Device::provisioned();
    assign_pseudonym(&mut device, 32, NULL_SUCI, "7alice");
    for _ in 0..3 {
        let answer = ask(&mut device, IdentityRequest::Any).unwrap();
        assert_eq!(answer.nai, format!("7alice@wlan.{HOME}"));
        device = device.restarted();
    }
}

#[test]
fn out_of_patience_a_suci_goes_if_there_is_a_key_for_it_and_never_the_imsi() {
    for (privacy, expected) in [
        (IdentityPrivacy::Patient, Ok(IdentityKind::Suci)),
        (
            IdentityPrivacy::Conservative,
            Err(Refusal::IdentityWithheld),
        ),
        (IdentityPrivacy::Strict, Err(Refusal::IdentityWithheld)),
    ] {
        let mut device = with(privacy, concealable());
        assign_pseudonym(&mut device, 32, IDENTITY, "7alice");
        for minute in 0..50 {
            let shown = ask(&mut device, IdentityRequest::Any).unwrap();
            assert_eq!(shown.kind, IdentityKind::Pseudonym);
            let answer = ask(&mut device, IdentityRequest::Permanent);
            let withheld = Err(Refusal::IdentityWithheld);
            let expected = if minute < 10 { &withheld } else { &expected };
            assert!(minute == 10 || answer.map(|answer| answer.kind) == *expected);
            device.wait(Duration::from_secs(58));
        }
        let refused = device.ask(Role::Supplicant, &permanent(None));
        assert_eq!(refused, Err(Refusal::IdentityWithheld), "not to a bridge");
        let status = device.ask(Role::Admin, &Status {}).unwrap();
        assert_eq!(status.counters.unwrap().permanent_identities, 0);
        assert_eq!(status.identities.unwrap().shown, 0);
    }
}

#[test]
fn a_profile_may_demand_a_narrower_policy_and_never_a_wider_one() {
    use IdentityPrivacy::{Conservative, Liberal, Patient, Strict};
    for (host, demand, expected) in [
        (Patient, None, Patient),
        (Liberal, Some(PrivacyDemand::Conservative), Conservative),
        (Patient, Some(PrivacyDemand::Conservative), Conservative),
        (Patient, Some(PrivacyDemand::Strict), Strict),
        (Strict, Some(PrivacyDemand::Conservative), Strict),
    ] {
        let subscription = Profile {
            identity_privacy: demand,
            ..profile(ICCID)
        };
        let mut device = with(host, subscription);
        device = device.with_privacy(host);
        let status = device.ask(Role::Admin, &Status {}).unwrap();
        assert_eq!(status.enforcement.identity_privacy, host);
        assert_eq!(status.identities.unwrap().privacy, expected);
        let shown = ask(&mut device, IdentityRequest::Permanent);
        assert_eq!(shown.is_ok(), expected != Strict, "{expected}");
        assign_pseudonym(&mut device, 32, IDENTITY, "7alice");
        let shown = ask(&mut device, IdentityRequest::Permanent);
        assert_eq!(shown.is_ok(), expected == Liberal, "{expected}");
    }
}

#[test]
fn once_a_pseudonym_is_known_the_permanent_identity_is_withheld_by_default() {
    let (mut device, _) = Device::provisioned();
    assign_pseudonym(&mut device, 32, IDENTITY, "7alice");
    for _ in 0..2 {
        let refused = ask(&mut device, IdentityRequest::Permanent);
        assert_eq!(refused, Err(Refusal::IdentityWithheld));
        device = device.restarted();
    }
    let refused = device.ask(Role::Supplicant, &permanent(None));
    assert_eq!(refused, Err(Refusal::IdentityWithheld), "nor for a bridge");
    let status = device.ask(Role::Admin, &Status {}).unwrap();
    assert_eq!(status.counters.unwrap().identities_withheld, 1);
    assert_eq!(
        status.enforcement.identity_privacy,
        IdentityPrivacy::Patient
    );

    let mut device = device.with_privacy(IdentityPrivacy::Liberal);
    assert!(ask(&mut device, IdentityRequest::Permanent).is_ok());
}

#[test]
fn under_the_strict_policy_the_imsi_never_leaves_in_clear() {
    let mut device = with(IdentityPrivacy::Strict, profile(ICCID));
    for (kind, expected) in [
        (IdentityRequest::Any, Refusal::IdentityWithheld),
        (
            IdentityRequest::FullAuthentication,
            Refusal::IdentityWithheld,
        ),
        (IdentityRequest::Permanent, Refusal::IdentityWithheld),
        (IdentityRequest::Suci, Refusal::NoHomeNetworkKey),
    ] {
        assert_eq!(ask(&mut device, kind), Err(expected));
    }
    assert!(ask(&mut device, IdentityRequest::Anonymous).is_ok());
    let counters = device
        .ask(Role::Admin, &Status {})
        .unwrap()
        .counters
        .unwrap();
    assert_eq!(
        (counters.permanent_identities, counters.identities_withheld),
        (0, 4)
    );
}

#[test]
fn forget_identities_deletes_the_pseudonym_and_releases_the_permanent_identity() {
    let (mut device, _) = Device::provisioned();
    for iccid in [None, Some(ICCID)] {
        let sqn = 32 * (1 + u64::from(iccid.is_some()));
        assign_pseudonym(&mut device, sqn, IDENTITY, "7alice");
        device
            .ask(Role::Admin, &ForgetIdentities { iccid })
            .unwrap();
        device.keyd.flush().unwrap();
        device = device.restarted();
        let answer = ask(&mut device, IdentityRequest::Any).unwrap();
        assert_eq!(answer.kind, IdentityKind::Permanent);
    }
    let unknown = device.ask(Role::Admin, &ForgetIdentities { iccid: Some("1") });
    assert_eq!(unknown, Err(Refusal::UnknownProfile));
}

#[test]
fn identities_outlive_a_disabled_profile_and_end_with_a_deleted_one() {
    const OTHER: &str = "8988211000000000029";
    let (mut device, operator) = Device::provisioned();
    let package = operator.seal(&mut device, other_profile(OTHER), 2);
    device.install(&package, [2; 16]).unwrap();
    assign_pseudonym(&mut device, 32, IDENTITY, "7alice");
    device.ask(Role::Admin, &Enable { iccid: OTHER }).unwrap();
    assert_eq!(
        ask(&mut device, IdentityRequest::Any).unwrap().kind,
        IdentityKind::Permanent
    );
    device.ask(Role::Admin, &Enable { iccid: ICCID }).unwrap();
    let mut device = device.restarted();
    assert_eq!(
        ask(&mut device, IdentityRequest::Any).unwrap().kind,
        IdentityKind::Pseudonym
    );

    device.ask(Role::Admin, &Disable { iccid: ICCID }).unwrap();
    device.ask(Role::Admin, &Delete { iccid: ICCID }).unwrap();
    let package = operator.seal(&mut device, profile(ICCID), 3);
    device.install(&package, [3; 16]).unwrap();
    assert_eq!(
        ask(&mut device, IdentityRequest::Any).unwrap().kind,
        IdentityKind::Permanent
    );
}

#[test]
fn a_suci_names_the_subscriber_to_the_home_network_only() {
    for (group, scheme) in [(Group::X25519, 1), (Group::P256, 2)] {
        let home = PrivateKey::generate(group, &mut SystemRng);
        let key = HomeNetworkKey::new(27, scheme, home.public_key().as_bytes()).unwrap();
        let subscription = Profile {
            routing_indicator: RoutingIndicator::new("678").unwrap(),
            home_network_keys: HomeNetworkKeys::new(&[key]).unwrap(),
            ..profile(ICCID)
        };
        let mut device = with(IdentityPrivacy::Strict, subscription);
        let request = Identity {
            realm: Realm::FiveGc,
            ..identity(IdentityRequest::Suci)
        };
        let answers = [(); 2].map(|()| device.ask(Role::Network, &request).unwrap());
        assert_ne!(answers[0].nai, answers[1].nai, "an ephemeral key for each");
        for IdentityAnswer { nai, kind } in answers {
            assert_eq!(kind, IdentityKind::Suci);
            let begin = format!("type0.rid678.schid{scheme}.hnkey27.ecckey");
            let rest = nai.strip_prefix(&begin).unwrap();
            let rest = rest.strip_suffix(&format!("@5gc.{HOME}")).unwrap();
            let (key, rest) = rest.split_once(".cip").unwrap();
            let (cip, mac) = rest.split_once(".mac").unwrap();
            let [key, mut msin, mac] = [key, cip, mac].map(|part| hex::decode(part).unwrap());
            ecies::decrypt(&home, &key, &mut msin, &mac.try_into().unwrap()).unwrap();
            // The MSIN 0000000001, with two digits in each octet.
            assert_eq!(msin, [0, 0, 0, 0, 0x10]);
        }
        let counters = device
            .ask(Role::Admin, &Status {})
            .unwrap()
            .counters
            .unwrap();
        assert_eq!(counters.permanent_identities, 0);
    }
}

#[test]
fn in_a_5g_network_every_identity_is_a_suci_but_the_anonymous_one() {
    let (mut device, _) = Device::provisioned();
    assign_pseudonym(&mut device, 32, IDENTITY, "7alice");
    for (kind, expected) in [
        (IdentityRequest::Any, None),
        (IdentityRequest::FullAuthentication, None),
        (IdentityRequest::Permanent, None),
        (IdentityRequest::Anonymous, Some(IdentityKind::Anonymous)),
    ] {
        for network_name in ["5G:NSWO", "5G:mnc001.mcc001.3gppnetwork.org"] {
            let request = Identity {
                network_name,
                ..identity(kind)
            };
            // A SUCI in the null scheme reveals the permanent identity, which keyd withholds here.
            let expected = expected.ok_or(Refusal::NoHomeNetworkKey);
            let got = device.ask(Role::Network, &request);
            assert_eq!(got.map(|answer| answer.kind), expected, "{kind:?}");
        }
    }
}

#[test]
fn without_a_key_of_the_home_network_the_null_scheme_counts_as_the_permanent_identity() {
    let (mut device, _) = Device::provisioned();
    let request = Identity {
        realm: Realm::Nswo,
        ..identity(IdentityRequest::Suci)
    };
    let answer = device.ask(Role::Network, &request).unwrap();
    assert_eq!(answer.kind, IdentityKind::NullSuci);
    let expected = format!("type0.rid0.schid0.userid0000000001@5gc-nswo.{HOME}");
    assert_eq!(answer.nai, expected);
    let counters = device
        .ask(Role::Admin, &Status {})
        .unwrap()
        .counters
        .unwrap();
    assert_eq!(counters.permanent_identities, 1);
    assign_pseudonym(&mut device, 32, IDENTITY, "7alice");
    let refused = device.ask(Role::Network, &request);
    assert_eq!(refused, Err(Refusal::NoHomeNetworkKey));
}
