//! Which role may make which request: compares every role and request with the table and the role
//! files, and checks the rules for the files.

use softsim_keyd::roles::COMPILED;
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    AkaAnswer, MAX_REQUEST, PacketFault, Refusal, RequestKind, Role, decode_answer, encode_request,
};
use softsim_testkit::device::*;
use softsim_testkit::home_network::{HomeNetwork, IDENTITY};
use softsim_testkit::requests::cases;

#[path = "../../build/policy.rs"]
mod role_file;

#[test]
fn every_request_is_answered_to_the_roles_of_its_policy_and_to_no_other() {
    let mut device = Device::blank();
    for role in Role::ALL {
        for &request in RequestKind::ALL {
            // This body is invalid in every request, so keyd answers a permitted request with an
            // error about its fields.
            let datagram = [request as u8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
            let mut client = device.client(role);
            let answer = device.exchange(&mut client, &datagram);
            let refusal = decode_answer::<Status>(answer).unwrap().unwrap_err();
            let permitted = COMPILED[role].group_of(request).is_some();
            assert!(!permitted || request.roles().contains(&role));
            let expected = if permitted {
                Refusal::Malformed { request }
            } else {
                Refusal::NotPermitted { request, role }
            };
            assert_eq!(refusal, expected, "{role} {request}");
        }
    }
}

#[test]
fn a_well_formed_request_gets_its_own_answer_in_its_roles_and_in_no_other() {
    let issuer = Operator::generate().spki();
    for role in Role::ALL {
        let mut device = Device::blank();
        let mut client = device.client(role);
        for case in cases(&issuer) {
            let answer = device.exchange(&mut client, &case.datagram);
            if COMPILED[role].group_of(case.kind).is_some() {
                case.is_answered(answer);
            } else {
                let request = case.kind;
                let refusal = decode_answer::<Status>(answer).unwrap();
                assert_eq!(refusal, Err(Refusal::NotPermitted { request, role }));
            }
        }
    }
}

#[test]
fn shipped_policies_permit_the_whole_table_except_what_no_client_does_yet() {
    for role in Role::ALL {
        for request in RequestKind::ALL {
            use RequestKind::{PskMasterSecret, StageAccounts, Wait};
            let permitted = COMPILED[role].group_of(*request).is_some();
            let given = request.roles().contains(&role)
                && !matches!(request, PskMasterSecret | StageAccounts)
                && (*request, role) != (Wait, Role::Admin);
            assert_eq!(permitted, given, "{role} {request}");
        }
    }
}

#[test]
fn a_uid_that_is_not_on_the_list_gets_no_connection() {
    let device = Device::blank();
    for role in Role::ALL {
        assert!(device.keyd.connect(role, UID).is_some());
        assert!(device.keyd.connect(role, UID + 1).is_none());
    }
}

#[test]
fn a_client_that_asks_too_often_is_told_when_to_come_back_and_others_are_not() {
    let mut device = Device::blank();
    let mut busy = device.client(Role::Admin);
    let datagram = [RequestKind::Status as u8];
    let refusal = (0..=2000).find_map(|_| {
        decode_answer::<Status>(device.exchange_now(&mut busy, &datagram))
            .unwrap()
            .err()
    });
    assert_eq!(refusal, Some(Refusal::RetryAfter { milliseconds: 1 }));

    let mut root = device.keyd.connect(Role::Admin, 0).unwrap();
    let answer = decode_answer::<Status>(device.exchange_now(&mut root, &datagram)).unwrap();
    assert_eq!(answer.unwrap().counters.unwrap().rate_limited, 1);
    assert!(device.call(&mut busy, &Status {}).is_ok(), "a second later");
}

/// A rogue access point makes authentications fail as often as it likes.
#[test]
fn failures_use_up_a_clients_requests_and_never_lock_the_profile() {
    let (mut device, _) = Device::provisioned();
    let mut exhausted = device.client(Role::Network);
    let mut forged = HomeNetwork::default().challenge(32).packet;
    *forged.last_mut().unwrap() ^= 1;
    let request = |packet| AkaPrimeChallenge {
        iccid: None,
        identity: IDENTITY,
        packet,
        forward_secrecy: None,
    };
    let mut buffer = vec![0; MAX_REQUEST];
    let datagram = encode_request(&request(&forged), &mut buffer).unwrap();
    let mut failures = 0;
    let refusal = loop {
        let answer = device.exchange_now(&mut exhausted, datagram);
        match decode_answer::<AkaPrimeChallenge<'_>>(answer)
            .unwrap()
            .unwrap_err()
        {
            Refusal::Packet(PacketFault::Mac) => failures += 1,
            other => break other,
        }
    };
    assert_eq!(refusal, Refusal::RetryAfter { milliseconds: 1 });

    // At the same time, the limit affects neither this client's other requests nor another client.
    let status = [RequestKind::Status as u8];
    let status = decode_answer::<Status>(device.exchange_now(&mut exhausted, &status)).unwrap();
    let counters = status.unwrap().counters.unwrap();
    assert_eq!(
        (counters.packet_mac_rejected, counters.rate_limited),
        (failures, 1)
    );
    let mut other = device.keyd.connect(Role::Network, 0).unwrap();
    let good = HomeNetwork::default().challenge(32).packet;
    let mut buffer = vec![0; MAX_REQUEST];
    let datagram = encode_request(&request(&good), &mut buffer).unwrap();
    let answer = device.exchange_now(&mut other, datagram);
    let answer = decode_answer::<AkaPrimeChallenge<'_>>(answer).unwrap();
    assert!(matches!(answer, Ok(AkaAnswer::Success { .. })));
}

#[test]
fn what_is_no_request_is_refused_by_its_first_octet_or_length() {
    let mut device = Device::blank();
    let mut client = device.client(Role::Network);
    let long = vec![RequestKind::SignHandshake as u8; 16385];
    for (datagram, expected) in [
        (&[][..], Refusal::UnknownRequest { got: None }),
        (&[7], Refusal::UnknownRequest { got: Some(7) }),
        (
            &[1; 17],
            Refusal::TooLong {
                request: RequestKind::Status,
                limit: 16,
            },
        ),
        (
            &long,
            Refusal::TooLong {
                request: RequestKind::SignHandshake,
                limit: 16384,
            },
        ),
        (
            &[1, 0],
            Refusal::Malformed {
                request: RequestKind::Status,
            },
        ),
    ] {
        let answer = device.exchange(&mut client, datagram);
        assert_eq!(decode_answer::<Status>(answer).unwrap(), Err(expected));
    }
    let status = device.call(&mut client, &Status {}).unwrap();
    assert_eq!(status.counters.unwrap().refused, 5);
}

const GROUP: &str = "[[group]]\nreason = \"r\"\nper_second = 1\nburst = 1\n";

fn file(role: &str, groups: &[&str]) -> String {
    let groups: Vec<_> = groups
        .iter()
        .map(|requests| format!("{GROUP}requests = {requests}\n"))
        .collect();
    format!("role = \"{role}\"\n{}", groups.concat())
}

#[test]
fn a_role_file_can_take_requests_away() {
    let compiled = role_file::compile(Role::App, &file("app", &["[\"Hello\"]"])).unwrap();
    assert!(compiled.contains("RequestKind::Hello,") && !compiled.contains("Sign"));
    assert!(role_file::compile(Role::App, &file("app", &[])).is_ok());
}

#[test]
fn a_role_file_that_gives_more_than_the_table_fails_the_build() {
    for (text, fault) in [
        (
            file("app", &["[\"EapMac\"]"]),
            "the table doesn't give EapMac to the role app",
        ),
        (
            file("app", &["[\"Everything\"]"]),
            "no request is called Everything",
        ),
        (
            file("app", &["[\"Sign\"]", "[\"Sign\"]"]),
            "Sign stands twice",
        ),
        (file("admin", &[]), "expected role App, got \"admin\""),
        (
            file("app", &["[]"]).replace("burst = 1", "burst = 0"),
            "expected rates and bursts of 1 or more, got 0",
        ),
        (
            file("app", &["[]"]) + "per_hour = 1\n",
            "expected per_hour and hourly_burst, got one of them",
        ),
        (
            file("app", &["[]"]).replace("\"r\"", "\"\""),
            "expected a reason for each group, got none",
        ),
    ] {
        assert_eq!(role_file::compile(Role::App, &text).unwrap_err(), fault);
    }
    let unknown = file("app", &[]) + "exec = true\n";
    assert!(role_file::compile(Role::App, &unknown).is_err());
}
