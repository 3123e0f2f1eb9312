//! `Wait`: what is told to a client that waits, and when.

use softsim_keyd::Client;
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    IdentityRequest, MAX_ANSWER, ProfileState, Role, StatusAnswer, decode_answer, encode_request,
};
use softsim_testkit::device::*;
use softsim_testkit::home_network::IDENTITY;

use crate::support::{ask, assign_pseudonym};

const OTHER: &str = "8988211000000000029";

fn changes(device: &mut Device) -> u64 {
    device.ask(Role::Admin, &Status {}).unwrap().changes
}

/// Has a client wait, and returns what keyd answers at once.
fn wait(device: &mut Device, client: &mut Client, seen: u64) -> Option<StatusAnswer> {
    let mut buffer = [0; 16];
    let datagram = encode_request(&Wait { seen }, &mut buffer).unwrap();
    let answer = device.exchange(client, datagram);
    (!answer.is_empty()).then(|| decode_answer::<Wait>(answer).unwrap().unwrap())
}

/// What keyd tells a client that waits.
fn told(device: &Device, client: &mut Client) -> Option<StatusAnswer> {
    let mut answer = [0; MAX_ANSWER];
    let length = device.keyd.tell(client, &mut answer);
    (length > 0).then(|| decode_answer::<Wait>(&answer[..length]).unwrap().unwrap())
}

#[test]
fn whoever_waits_gets_the_status_at_the_next_change_once_or_at_once_if_there_was_one() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let seen = wait(&mut device, &mut netd, 0).unwrap().changes;
    assert!(wait(&mut device, &mut netd, seen).is_none());
    assert!(netd.is_waiting() && told(&device, &mut netd).is_none());

    device.ask(Role::Admin, &Disable { iccid: ICCID }).unwrap();
    let status = told(&device, &mut netd).unwrap();
    assert_eq!(status.changes, seen + 1);
    assert_eq!(status.profile.unwrap().state, ProfileState::Disabled);
    assert!(!netd.is_waiting() && told(&device, &mut netd).is_none());

    let status = wait(&mut device, &mut netd, seen).unwrap();
    assert_eq!(status.changes, seen + 1);
    assert!(!netd.is_waiting());
}

#[test]
fn each_change_that_a_client_acts_upon_is_told_and_a_refused_one_or_an_authentication_is_not() {
    let mut device = Device::blank();
    let mut last = changes(&mut device);
    assert_eq!(last, 1, "0 stands for a client that has seen nothing");
    let mut rises = move |device: &mut Device, what: &str, expected: bool| {
        let now = changes(device);
        assert_eq!(now > last, expected, "{what}");
        last = now;
    };
    device.enrol();
    rises(&mut device, "keys and certificate", true);
    let operator = Operator::generate();
    device.trust(&operator);
    rises(&mut device, "an operator", true);
    let package = operator.seal(&mut device, profile(ICCID), 1);
    device.install(&package, [1; 16]).unwrap();
    rises(&mut device, "a profile", true);
    let package = operator.seal(&mut device, other_profile(OTHER), 2);
    device.install(&package, [2; 16]).unwrap();
    rises(&mut device, "another profile", true);

    assign_pseudonym(&mut device, 32, IDENTITY, "7alice");
    ask(&mut device, IdentityRequest::Any).unwrap();
    rises(&mut device, "an authentication", false);
    let seconds = u64::MAX;
    let refused = device.ask(Role::Admin, &SetTimeBack { seconds });
    assert!(refused.is_err());
    device.ask(Role::Network, &DeviceCertificate {}).unwrap();
    rises(&mut device, "a refused change, and a question", false);

    let iccid = None;
    (device.ask(Role::Admin, &ForgetIdentities { iccid })).unwrap();
    rises(&mut device, "identities", true);
    device.ask(Role::Admin, &Enable { iccid: OTHER }).unwrap();
    rises(&mut device, "enabled", true);
    device.ask(Role::Admin, &Disable { iccid: OTHER }).unwrap();
    rises(&mut device, "disabled", true);
    device.ask(Role::Admin, &Delete { iccid: OTHER }).unwrap();
    rises(&mut device, "deleted", true);
    let issuer = &operator.spki()[..];
    (device.ask(Role::Admin, &RemoveTrustAnchor { issuer })).unwrap();
    rises(&mut device, "no operator", true);
}
