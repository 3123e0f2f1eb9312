//! What could keep a gateway out of its network for ever, although the network knows one of its
//! pseudonyms.

use std::time::Duration;

use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{IdentityKind, IdentityPrivacy, IdentityRequest, Refusal, Role};
use softsim_testkit::device::*;
use softsim_testkit::home_network::*;
use softsim_testkit::requests::*;

use crate::support::{
    ask, assign_pseudonym, authenticated, challenged, concealable, naming, refused_by, with,
};

/// A device that knows the pseudonym `7alice`.
fn known() -> Device {
    let (mut device, _) = Device::provisioned();
    assign_pseudonym(&mut device, 32, IDENTITY, "7alice");
    device
}

/// The usernames that two attempts show to a server which refuses both.
fn shown(device: &mut Device) -> [String; 2] {
    [(); 2].map(|()| {
        let nai = ask(device, IdentityRequest::Any).unwrap().nai;
        let _ = ask(device, IdentityRequest::Permanent);
        nai.split('@').next().unwrap().to_owned()
    })
}

#[test]
fn of_two_accesses_to_one_server_the_later_success_takes_away_no_pseudonym_of_the_other() {
    for late_first in [false, true] {
        let mut device = known();
        let alice = b"7alice@wlan.home";
        let (mut one, of_one) = challenged(&mut device, &naming(alice, "7bob"), 64);
        let (mut other, of_other) = challenged(&mut device, &naming(alice, "7carol"), 96);
        // The server keeps the pseudonym whose response arrives last; of the two successes, either
        // may arrive first.
        let confirm = |device: &mut Device, client, handle| {
            let confirm = Confirm { handle, msk: None };
            device.call(client, &confirm).unwrap();
            device.keyd.flush().unwrap();
        };
        if late_first {
            confirm(&mut device, &mut other, of_other);
            confirm(&mut device, &mut one, of_one);
        } else {
            confirm(&mut device, &mut one, of_one);
            confirm(&mut device, &mut other, of_other);
        }
        let mut shown = shown(&mut device);
        shown.sort();
        assert_eq!(shown, ["7bob", "7carol"]);
    }
}

/// The network of one access refuses whatever it sees, while the other's waits for a repair.
#[test]
fn a_rogue_on_one_access_does_not_choose_the_pseudonym_of_another() {
    let mut device = known();
    challenged(&mut device, &naming(b"7alice@wlan.home", "7bob"), 64);
    let mut rogue = device.client(Role::Network);
    for n in 0..20 {
        let expected = ["7alice", "7bob"][n % 2];
        assert_eq!(refused_by(&mut device, &mut rogue).0, expected);
        let nai = ask(&mut device, IdentityRequest::Any).unwrap().nai;
        assert!(nai.starts_with("7alice@"), "{nai}");
        device.wait(Duration::from_secs(10));
    }
}

#[test]
fn what_proves_or_replaces_an_identity_on_one_connection_voids_the_refusals_of_all_others() {
    type Void = fn(&mut Device, &Operator);
    let voided: [(Void, &str); 3] = [
        (
            |device, _| {
                challenged(device, &naming(b"7alice@wlan.home", "7carol"), 96);
            },
            "7alice",
        ),
        (
            |device, _| {
                let forget = ForgetIdentities { iccid: None };
                device.ask(Role::Admin, &forget).unwrap();
                challenged(device, &naming(IDENTITY, "7alice"), 96);
                challenged(device, &naming(b"7alice@wlan.home", "7bob"), 128);
            },
            "7alice",
        ),
        (
            |device, operator| {
                let package = operator.seal(device, profile(ICCID), 2);
                device.install(&package, [2; 16]).unwrap();
                challenged(device, &naming(IDENTITY, "7carol"), 96);
            },
            "7carol",
        ),
    ];
    for (void, expected) in voided {
        let (mut device, operator) = Device::provisioned();
        assign_pseudonym(&mut device, 32, IDENTITY, "7alice");
        challenged(&mut device, &naming(b"7alice@wlan.home", "7bob"), 64);
        let mut access = device.client(Role::Network);
        assert_eq!(refused_by(&mut device, &mut access).0, "7alice");
        void(&mut device, &operator);
        assert_eq!(refused_by(&mut device, &mut access).0, expected);
    }
}

#[test]
fn under_strict_a_pseudonym_with_the_imsi_does_not_hide_the_other_one() {
    let mut device = known();
    let with_imsi = format!("7{IMSI}x");
    challenged(&mut device, &naming(b"7alice@wlan.home", &with_imsi), 64);
    let mut strict = device.with_privacy(IdentityPrivacy::Strict);
    assert_eq!(shown(&mut strict), ["7alice", "7alice"]);

    let (mut device, _) = Device::provisioned();
    assign_pseudonym(&mut device, 32, IDENTITY, &with_imsi);
    let shown_before = format!("{with_imsi}@wlan.home");
    challenged(&mut device, &naming(shown_before.as_bytes(), "7bob"), 64);
    let mut strict = device.with_privacy(IdentityPrivacy::Strict);
    assert_eq!(shown(&mut strict), ["7bob", "7bob"]);
}

#[test]
fn a_pseudonym_that_came_for_a_fixed_identity_has_room_for_the_realm_too() {
    let (mut device, _) = Device::provisioned();
    let longest = "7".repeat(253 - 1 - "wlan.mnc001.mcc001.3gppnetwork.org".len());
    let longer = format!("{longest}7");
    for (sqn, name, kind) in [
        (32, &longer, IdentityKind::Permanent),
        (64, &longest, IdentityKind::Pseudonym),
    ] {
        authenticated(&mut device, &naming(b"me@home", name), sqn);
        let answer = ask(&mut device, IdentityRequest::Any).unwrap();
        assert_eq!(answer.kind, kind);
    }
}

#[test]
fn a_pseudonym_that_looks_like_a_suci_is_no_one_time_identity() {
    let (mut device, _) = Device::provisioned();
    assign_pseudonym(&mut device, 32, IDENTITY, "typed-7alice");
    assign_pseudonym(&mut device, 64, b"typed-7alice@wlan.home", "7bob");
    for _ in 0..3 {
        let answer = ask(&mut device, IdentityRequest::Any);
        assert!(answer.unwrap().nai.starts_with("7bob@"));
    }
}

/// By this, netd learns that its accesses must authenticate anew.
#[test]
fn each_change_of_the_subscriber_that_networks_see_is_counted() {
    const OTHER: &str = "8988211000000000029";
    let (mut device, operator) = Device::provisioned();
    let mut changes = {
        let mut before = None;
        move |device: &mut Device| {
            let status = device.ask(Role::Admin, &Status {}).unwrap();
            let now = status.counters.unwrap().subscriber_changes;
            now - before.replace(now).unwrap_or(now)
        }
    };
    changes(&mut device);
    let package = operator.seal(&mut device, other_profile(OTHER), 2);
    device.install(&package, [2; 16]).unwrap();
    assert_eq!(changes(&mut device), 0, "installed, and not enabled");
    for (iccid, expected) in [(OTHER, 1), (OTHER, 0), (ICCID, 1)] {
        device.ask(Role::Admin, &Enable { iccid }).unwrap();
        assert_eq!(changes(&mut device), expected, "{iccid}");
    }
    for (iccid, expected) in [(None, 1), (Some(ICCID), 1), (Some(OTHER), 0)] {
        let forget = ForgetIdentities { iccid };
        device.ask(Role::Admin, &forget).unwrap();
        assert_eq!(changes(&mut device), expected, "{iccid:?}");
    }
    let package = operator.seal(&mut device, profile(ICCID), 3);
    device.install(&package, [3; 16]).unwrap();
    assert_eq!(changes(&mut device), 1, "another installation");
    let iccid = ICCID;
    device.ask(Role::Admin, &Disable { iccid }).unwrap();
    assert_eq!(changes(&mut device), 1, "disabled");
    device.ask(Role::Admin, &Delete { iccid }).unwrap();
    assert_eq!(changes(&mut device), 0, "deleted");
}

/// An access with `forward_secrecy = "require"` never shows the permanent identity.
#[test]
fn without_patience_the_other_pseudonym_is_shown_all_the_same() {
    let mut device = known();
    challenged(&mut device, &naming(b"7alice@wlan.home", "7bob"), 64);
    let refused = IdentityRefused {
        iccid: None,
        counts: false,
    };
    let early = device.ask_on_access(&refused);
    assert_eq!(early, Err(Refusal::NothingRefused));
    for n in 0..1_000 {
        let answer = ask(&mut device, IdentityRequest::FullAuthentication).unwrap();
        assert_eq!(answer.kind, IdentityKind::Pseudonym);
        assert!(answer.nai.starts_with(["7alice@", "7bob@"][n % 2]));
        device.ask_on_access(&refused).unwrap();
        device.wait(Duration::from_secs(60));
    }
    let status = device.ask(Role::Admin, &Status {}).unwrap();
    assert_eq!(status.identities.unwrap().quarters, 0, "nothing is written");
}

/// A server that rejects whom it doesn't know, before its method begins.
#[test]
fn a_server_that_never_begins_a_method_with_strangers_sees_the_other_identity_too() {
    let refused = IdentityRefused {
        iccid: None,
        counts: false,
    };
    let outside = Identity {
        inside: false,
        ..identity(IdentityRequest::Any)
    };
    // The response to the first challenge of all was lost: the server knows the IMSI only.
    let (mut device, _) = Device::provisioned();
    challenged(&mut device, &naming(IDENTITY, "7alice"), 32);
    let answer = device.ask_on_access(&outside).unwrap();
    assert_eq!(answer.kind, IdentityKind::Pseudonym);
    device.ask_on_access(&refused).unwrap();
    let answer = device.ask_on_access(&outside).unwrap();
    assert_eq!(answer.kind, IdentityKind::Permanent);

    // Later, the other pseudonym comes, and then none, so that the method may begin. The permanent
    // identity never comes, however long it takes.
    let mut device = known();
    challenged(&mut device, &naming(b"7alice@wlan.home", "7bob"), 64);
    for _ in 0..300 {
        for expected in ["7alice@", "7bob@"] {
            let answer = device.ask_on_access(&outside).unwrap();
            assert!(answer.nai.starts_with(expected), "{}", answer.nai);
            device.ask_on_access(&refused).unwrap();
        }
        let withheld = device.ask_on_access(&outside);
        assert_eq!(withheld, Err(Refusal::IdentityWithheld));
        device.wait(Duration::from_secs(60));
    }
    let status = device.ask(Role::Admin, &Status {}).unwrap();
    assert_eq!(status.identities.unwrap().quarters, 0, "nothing counts");
}

#[test]
fn in_place_of_pseudonyms_that_were_refused_before_the_method_the_policy_has_its_way() {
    let refused = IdentityRefused {
        iccid: None,
        counts: false,
    };
    let outside = Identity {
        inside: false,
        ..identity(IdentityRequest::Any)
    };
    let withheld = Err(Refusal::IdentityWithheld);
    for (privacy, profile, expected) in [
        (
            IdentityPrivacy::Liberal,
            profile(ICCID),
            Ok(IdentityKind::Permanent),
        ),
        (IdentityPrivacy::Patient, profile(ICCID), withheld.clone()),
        (
            IdentityPrivacy::Conservative,
            profile(ICCID),
            withheld.clone(),
        ),
        (IdentityPrivacy::Strict, profile(ICCID), withheld),
        (
            IdentityPrivacy::Patient,
            concealable(),
            Ok(IdentityKind::Suci),
        ),
    ] {
        let mut device = with(privacy, profile);
        assign_pseudonym(&mut device, 32, IDENTITY, "7alice");
        for _ in 0..2 {
            let shown = device.ask_on_access(&outside).unwrap();
            assert_eq!(shown.kind, IdentityKind::Pseudonym);
            device.ask_on_access(&refused).unwrap();
            let shown = device.ask_on_access(&outside);
            assert_eq!(shown.map(|shown| shown.kind), expected, "{privacy}");
        }
        // Inside the method, it is the pseudonym's turn in any case.
        device.ask_on_access(&outside).unwrap();
        device.ask_on_access(&refused).unwrap();
        let shown = ask(&mut device, IdentityRequest::FullAuthentication);
        assert_eq!(shown.unwrap().kind, IdentityKind::Pseudonym);
    }
}
