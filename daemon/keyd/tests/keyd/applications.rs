//! What an application learns, and the keys of the application functions that its user may have.

use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{AkaAnswer, Refusal, Role};
use softsim_testkit::device::*;
use softsim_testkit::home_network::*;
use softsim_testkit::requests::*;

fn key_of(af: &str) -> AkmaKey<'_> {
    AkmaKey {
        af,
        ua_star: [1, 0, 0, 0, 2],
    }
}

#[test]
fn an_application_is_told_what_keyd_enforces_and_nothing_of_the_sim() {
    let (mut device, _) = Device::provisioned();
    let to_admin = device.ask(Role::Admin, &Status {}).unwrap();
    assert_eq!(to_admin.profile.unwrap().iccid, ICCID);
    assert!(to_admin.counters.is_some());
    let mut app = device.client(Role::App);
    let answer = device.exchange(&mut app, &[0x01]).to_vec();
    let octets = ICCID.as_bytes();
    assert!(!answer.windows(octets.len()).any(|window| window == octets));
    let to_app = device.call(&mut app, &Status {}).unwrap();
    assert_eq!(to_app.enforcement, to_admin.enforcement);
    assert_eq!((to_app.profile, to_app.counters), (None, None));
    assert_eq!((to_app.committed, to_app.accounts), (None, None));
}

#[test]
fn a_user_gets_keys_of_its_application_functions_and_of_no_others() {
    let (mut device, _) = Device::provisioned();
    let home = HomeNetwork {
        identity: IMSI.into(),
        ..HomeNetwork::sending(Challenge::of_network(b"5G:mnc001.mcc001.3gppnetwork.org"))
    };
    let mut netd = device.client(Role::Network);
    let sent = home.challenge(32);
    let answer = device.call(&mut netd, &challenge(&sent.packet, IDENTITY));
    let Ok(AkaAnswer::Success { handle, .. }) = answer else {
        panic!("expected Success, got {answer:?}");
    };
    let confirm = Confirm { handle, msk: None };
    device.call(&mut netd, &confirm).unwrap();

    for af in AFS {
        assert!(device.ask(Role::App, &key_of(af)).is_ok(), "{af}");
    }
    // keyd compares domains octet by octet: it refuses subdomains, parent domains and other cases
    // of the letters.
    for af in [
        "stranger.example.com",
        "sub.af.example.com",
        "example.com",
        "AF.example.com",
    ] {
        let refused = device.ask(Role::App, &key_of(af)).unwrap_err();
        assert_eq!(refused, Refusal::ApplicationFunction, "{af}");
    }
    let mut other = device.keyd.connect(Role::App, 0).unwrap();
    let refused = device.call(&mut other, &key_of(AFS[0])).unwrap_err();
    assert_eq!(refused, Refusal::ApplicationFunction, "another user");
}
