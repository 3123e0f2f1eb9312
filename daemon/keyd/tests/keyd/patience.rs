//! Networks that refuse pseudonyms: the stand-by, and the permanent identity after ten minutes.

use std::time::Duration;

use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    Counters, IdentityKind, IdentityPrivacy, IdentityRequest, IdentityStatus, Refusal, Role,
};
use softsim_profile::Profile;
use softsim_testkit::device::*;
use softsim_testkit::home_network::*;
use softsim_testkit::requests::*;

use crate::support::{ask, assign_pseudonym, challenged, naming, refused_by};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// The username that the device shows first in an attempt, and to a server that then asks for the
/// permanent identity.
fn attempt(device: &mut Device) -> (String, Result<IdentityKind, Refusal>) {
    let first = ask(device, IdentityRequest::Any).unwrap().nai;
    let answer = ask(device, IdentityRequest::Permanent);
    let username = first.split('@').next().unwrap().to_owned();
    (username, answer.map(|answer| answer.kind))
}

/// Attempts every few seconds until the permanent identity is shown; how long that took, if it
/// took less than `most`.
fn seconds_until_shown(device: &mut Device, every: u64, most: u64) -> Option<u64> {
    let mut passed = 0;
    while passed <= most {
        // Each of the two requests of an attempt takes a second.
        if attempt(device).1 == Ok(IdentityKind::Permanent) {
            return Some(passed);
        }
        device.wait(Duration::from_secs(every - 2));
        passed += every;
    }
    None
}

/// A device that knows a pseudonym.
fn known() -> Device {
    let (mut device, _) = Device::provisioned();
    assign_pseudonym(&mut device, 32, IDENTITY, "7alice");
    device
}

fn counters(device: &mut Device) -> Counters {
    let status = device.ask(Role::Admin, &Status {}).unwrap();
    status.counters.unwrap()
}

fn state(device: &mut Device) -> IdentityStatus {
    let status = device.ask(Role::Admin, &Status {}).unwrap();
    status.identities.unwrap()
}

#[test]
fn a_pseudonym_whose_response_got_lost_is_a_stand_by_and_shown_after_a_refusal() {
    let mut device = known();
    challenged(&mut device, &naming(b"7alice@wlan.home", "7bob"), 64);
    let mut device = device.restarted();
    // Whatever was lost, the proven one comes first, and silence doesn't change that.
    for _ in 0..3 {
        let answer = ask(&mut device, IdentityRequest::Any).unwrap();
        assert!(answer.nai.starts_with("7alice@"));
    }
    for expected in ["7alice", "7bob", "7alice", "7bob"] {
        let (shown, refused) = attempt(&mut device);
        assert_eq!(
            (&*shown, refused),
            (expected, Err(Refusal::IdentityWithheld))
        );
    }
    // The response had arrived: the server knows the stand-by only.
    let _ = attempt(&mut device);
    challenged(&mut device, &naming(b"7bob@wlan.home", "7carol"), 96);
    for expected in ["7bob", "7carol", "7bob"] {
        assert_eq!(attempt(&mut device).0, expected);
    }
}

#[test]
fn a_forged_success_leaves_the_pseudonym_that_the_server_knows() {
    let mut device = known();
    // The response never arrived, and the success is somebody else's.
    assign_pseudonym(&mut device, 64, b"7alice@wlan.home", "7bob");
    assert_eq!(attempt(&mut device).0, "7bob");
    assert_eq!(attempt(&mut device).0, "7alice");
    challenged(&mut device, &naming(b"7alice@wlan.home", "7carol"), 96);
    assert_eq!(attempt(&mut device).0, "7alice");
}

#[test]
fn after_a_first_contact_that_failed_the_permanent_identity_is_not_withheld() {
    let (mut device, _) = Device::provisioned();
    challenged(&mut device, &naming(IDENTITY, "7alice"), 32);
    let (shown, permanent) = attempt(&mut device);
    assert_eq!(
        (&*shown, permanent),
        ("7alice", Ok(IdentityKind::Permanent))
    );
}

#[test]
fn refused_for_ten_minutes_the_permanent_identity_is_shown_in_single_attempts() {
    for every in [3, 30, 100, 150] {
        let mut device = known();
        let first = seconds_until_shown(&mut device, every, HOUR).unwrap();
        assert!(
            (10 * MINUTE..=10 * MINUTE + every).contains(&first),
            "{first}"
        );
        let mut rests = Vec::new();
        for _ in 0..6 {
            device.wait(Duration::from_secs(every - 2));
            rests.push(seconds_until_shown(&mut device, every, 48 * HOUR).unwrap() + every);
        }
        let expected = [10 * MINUTE, HOUR, 6 * HOUR, 24 * HOUR, 24 * HOUR, 24 * HOUR];
        for (rest, expected) in rests.into_iter().zip(expected) {
            let late = 4 * every;
            assert!(
                (expected..=expected + late).contains(&rest),
                "{rest}, {expected}"
            );
        }
        let counters = counters(&mut device);
        assert_eq!(
            (counters.patience_over, counters.permanent_identities),
            (7, 7)
        );
        assert!(counters.pseudonyms_refused > 100);
    }
}

#[test]
fn every_known_pseudonym_must_have_been_refused() {
    let mut device = known();
    challenged(&mut device, &naming(b"7alice@wlan.home", "7bob"), 64);
    // A server that answers to the second pseudonym isn't shown the permanent identity.
    for _ in 0..10 {
        let answer = ask(&mut device, IdentityRequest::Any).unwrap();
        assert!(answer.nai.starts_with("7alice@"));
        device.wait(Duration::from_secs(HOUR));
    }
    assert_eq!(seconds_until_shown(&mut device, 100, HOUR), Some(600));
}

#[test]
fn two_accesses_make_no_wait_pass_faster_than_one() {
    let mut device = known();
    let mut accesses = [(); 2].map(|()| device.client(Role::Network));
    let mut waits = Vec::new();
    let mut passed = 0;
    while waits.len() < 3 {
        for access in &mut accesses {
            let shown = refused_by(&mut device, access).1 == Ok(IdentityKind::Permanent);
            if shown {
                waits.push(std::mem::take(&mut passed));
            }
            // Each of the two requests of an attempt took a second.
            device.wait(Duration::from_secs(8));
            passed += 10;
        }
    }
    for (wait, expected) in waits.iter().zip([10 * MINUTE, 10 * MINUTE, HOUR]) {
        assert!(
            (expected..=expected + MINUTE).contains(wait),
            "{wait}, {expected}"
        );
    }
}

#[test]
fn each_access_must_have_refused_every_pseudonym_itself() {
    let mut device = known();
    challenged(&mut device, &naming(b"7alice@wlan.home", "7bob"), 64);
    // The network of one access refuses for ten minutes, and leaves when the wait is over.
    let mut rogue = device.client(Role::Network);
    let refused = IdentityRefused {
        iccid: None,
        counts: true,
    };
    for _ in 0..=10 * MINUTE / 15 {
        let answer = device.call(&mut rogue, &identity(IdentityRequest::FullAuthentication));
        assert_eq!(answer.unwrap().kind, IdentityKind::Pseudonym);
        device.call(&mut rogue, &refused).unwrap();
        device.wait(Duration::from_secs(13));
    }
    assert_eq!(state(&mut device).quarters, 3, "the last isn't stored");
    let withheld = Err(Refusal::IdentityWithheld);
    assert_eq!(attempt(&mut device), ("7alice".to_owned(), withheld));
    let shown = Ok(IdentityKind::Permanent);
    assert_eq!(attempt(&mut device), ("7bob".to_owned(), shown));
}

#[test]
fn silence_and_requests_before_the_method_never_count() {
    let mut device = known();
    let outside = |kind| Identity {
        inside: false,
        ..identity(kind)
    };
    for _ in 0..1_000 {
        device.wait(Duration::from_secs(MINUTE));
        for request in [
            outside(IdentityRequest::Any),
            outside(IdentityRequest::Permanent),
            identity(IdentityRequest::Any),
            identity(IdentityRequest::FullAuthentication),
        ] {
            let answer = device.ask_on_access(&request);
            assert_ne!(
                answer.map(|answer| answer.kind),
                Ok(IdentityKind::Permanent)
            );
        }
        // Nor what a bridge asks for, which can't know what a method said.
        let refused = device.ask(Role::Supplicant, &permanent(None));
        assert_eq!(refused, Err(Refusal::IdentityWithheld));
    }
    assert_eq!(counters(&mut device).pseudonyms_refused, 0);
    // An outage between two refusals doesn't count, either.
    for _ in 0..3 {
        let _ = attempt(&mut device);
        device.wait(Duration::from_secs(24 * HOUR));
    }
    assert_eq!(attempt(&mut device).1, Err(Refusal::IdentityWithheld));
}

#[test]
fn the_permanent_identity_is_shown_inside_the_method_only() {
    let mut device = known();
    for _ in 0..100 {
        let _ = attempt(&mut device);
        device.wait(Duration::from_secs(3));
    }
    for _ in 0..20 {
        let outside = Identity {
            inside: false,
            ..identity(IdentityRequest::Any)
        };
        let answer = device.ask_on_access(&outside).unwrap();
        assert_eq!(answer.kind, IdentityKind::Pseudonym);
        device.wait(Duration::from_secs(50));
    }
    let refused = device.ask(Role::Supplicant, &permanent(None));
    assert_eq!(refused, Err(Refusal::IdentityWithheld));
    assert_eq!(attempt(&mut device).1, Ok(IdentityKind::Permanent));
    assert_eq!(
        attempt(&mut device).1,
        Err(Refusal::IdentityWithheld),
        "once"
    );
}

#[test]
fn a_gateway_that_is_restarted_every_five_minutes_comes_back_and_writes_four_times_a_wait() {
    let mut device = known();
    let mut waits = Vec::new();
    let mut passed = 0;
    'showings: while waits.len() < 6 {
        // Two operations of the medium for each of four writes.
        device.writes.fail_after(8);
        loop {
            for _ in 0..10 {
                let shown = attempt(&mut device).1 == Ok(IdentityKind::Permanent);
                device.wait(Duration::from_secs(28));
                passed += 30;
                if shown {
                    waits.push(std::mem::take(&mut passed) / MINUTE);
                    continue 'showings;
                }
            }
            let left = device.writes.left();
            device = device.restarted();
            device.writes.fail_after(left.unwrap());
        }
    }
    assert!(
        waits.iter().all(|wait| (10..=25).contains(wait)),
        "{waits:?}"
    );
}

#[test]
fn a_verified_challenge_ends_the_patience() {
    let mut device = known();
    for _ in 0..90 {
        let _ = attempt(&mut device);
        device.wait(Duration::from_secs(4));
    }
    assert_eq!(state(&mut device).quarters, 3);
    challenged(&mut device, &naming(b"7alice@wlan.home", "7bob"), 64);
    let fresh = IdentityStatus {
        privacy: IdentityPrivacy::Patient,
        pseudonyms: 2,
        quarters: 0,
        shown: 0,
    };
    assert_eq!(state(&mut device), fresh);
    let mut device = device.restarted();
    assert_eq!(state(&mut device), fresh);
    assert_eq!(seconds_until_shown(&mut device, 10, HOUR), Some(600));
    assert_eq!(state(&mut device).shown, 1);
    let forget = ForgetIdentities { iccid: None };
    device.ask(Role::Admin, &forget).unwrap();
    assert_eq!(state(&mut device).shown, 0);
}

#[test]
fn conservative_and_strict_have_no_patience() {
    for privacy in [IdentityPrivacy::Conservative, IdentityPrivacy::Strict] {
        let mut device = known().with_privacy(privacy);
        assert_eq!(seconds_until_shown(&mut device, 60, 48 * HOUR), None);
        assert_eq!(state(&mut device).quarters, 0, "nothing is written");
    }
}

/// FreeRADIUS 4 asks for an identity for full authentication twice, and then fails.
#[test]
fn to_a_server_that_never_asks_for_the_permanent_identity_it_is_shown_all_the_same() {
    let mut device = known();
    challenged(&mut device, &naming(b"7alice@wlan.home", "7bob"), 64);
    let refused = IdentityRefused {
        iccid: None,
        counts: true,
    };
    let early = device.ask_on_access(&refused);
    assert_eq!(early, Err(Refusal::NothingRefused));
    ask(&mut device, IdentityRequest::Any).unwrap();
    let early = device.ask_on_access(&refused);
    assert_eq!(
        early,
        Err(Refusal::NothingRefused),
        "not for full authentication"
    );

    let mut passed = 0;
    let shown = loop {
        let answer = ask(&mut device, IdentityRequest::FullAuthentication).unwrap();
        if answer.kind == IdentityKind::Permanent {
            break passed;
        }
        let expected = ["7alice", "7bob"][passed / 30 % 2];
        assert!(answer.nai.starts_with(expected), "{}", answer.nai);
        device.ask_on_access(&refused).unwrap();
        device.wait(Duration::from_secs(28));
        passed += 30;
    };
    assert!((600..=660).contains(&shown), "{shown}");
    let answer = ask(&mut device, IdentityRequest::Any).unwrap();
    assert_eq!(answer.kind, IdentityKind::Pseudonym, "once");
}

#[test]
fn to_a_server_that_never_asks_a_liberal_gateway_opens_with_the_permanent_identity() {
    for (privacy, expected) in [
        (IdentityPrivacy::Liberal, IdentityKind::Permanent),
        (IdentityPrivacy::Conservative, IdentityKind::Pseudonym),
        (IdentityPrivacy::Strict, IdentityKind::Pseudonym),
    ] {
        let mut device = known().with_privacy(privacy);
        ask(&mut device, IdentityRequest::FullAuthentication).unwrap();
        device
            .ask_on_access(&IdentityRefused {
                iccid: None,
                counts: true,
            })
            .unwrap();
        let answer = ask(&mut device, IdentityRequest::Any).unwrap();
        assert_eq!(answer.kind, expected, "{privacy}");
    }
}

#[test]
fn the_refusals_of_one_profile_are_not_those_of_another() {
    const OTHER: &str = "8988211000000000029";
    let (mut device, operator) = Device::provisioned();
    assign_pseudonym(&mut device, 32, IDENTITY, "7alice");
    for _ in 0..200 {
        let _ = attempt(&mut device);
        device.wait(Duration::from_secs(1));
    }
    let package = operator.seal(
        &mut device,
        Profile {
            ..other_profile(OTHER)
        },
        2,
    );
    device.install(&package, [2; 16]).unwrap();
    device.ask(Role::Admin, &Enable { iccid: OTHER }).unwrap();
    assert_eq!(state(&mut device).quarters, 0);
    assert_eq!(attempt(&mut device).1, Ok(IdentityKind::Permanent));
    device.ask(Role::Admin, &Enable { iccid: ICCID }).unwrap();
    assert_eq!(state(&mut device).quarters, 3);
    let shown = seconds_until_shown(&mut device, 10, HOUR).unwrap();
    assert_eq!(shown, 150, "the last quarter begins anew");
}
