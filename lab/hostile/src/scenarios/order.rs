//! EAP itself: results that come too early, retransmissions, other types and malformed packets (RFC
//! 3748 §4 and §5).

use softsim_eap::Method;
use softsim_eap_packet::{Code, Type, typed};
use softsim_lab_simulators::auc::Auc;
use softsim_lab_simulators::eap_server::IdentityRequest::Any;

use super::{challenge, challenged, identified, identity, too_far_ahead};
use crate::{Reaction, Scenario, Setting, Stage};

fn early_success(stage: &mut Stage, _: &mut Auc) -> Vec<u8> {
    stage.early_success(0)
}

fn early_failure(stage: &mut Stage, _: &mut Auc) -> Vec<u8> {
    stage.early_failure(0)
}

fn again(stage: &mut Stage, _: &mut Auc) -> Vec<u8> {
    stage.again()
}

/// A request of any type, with the next identifier.
fn of_type(
    kind: u8,
    data: &'static [u8],
) -> impl Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync + 'static {
    move |stage, _| {
        let identifier = stage.identifier.wrapping_add(1);
        typed(Code::Request, identifier, Type::from(kind), data).expect("it is short")
    }
}

/// A scenario in which the peer discards a challenge that was changed in this way, and answers the
/// next one.
fn discarded(name: &str, clause: &'static str, change: fn(&mut Vec<u8>)) -> Scenario {
    identified(name, clause)
        .ask(
            move |stage, auc| {
                let mut packet = challenge(stage, auc);
                change(&mut packet);
                packet
            },
            Reaction::Silence,
        )
        .ask(challenge, Reaction::Challenge)
        .success()
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = early();
    scenarios.extend(retransmissions());
    scenarios.extend(other_types());
    scenarios.extend(broken());
    scenarios
}

fn early() -> Vec<Scenario> {
    const CLAUSE: &str = "RFC 3748 §4.2";
    let mut scenarios = Vec::new();
    for (what, result) in [
        (
            "EAP-Success",
            early_success as fn(&mut Stage, &mut Auc) -> Vec<u8>,
        ),
        ("EAP-Failure", early_failure),
    ] {
        scenarios.push(
            Scenario::new(
                format!("sends {what} before anything else (CVE-2021-45079)"),
                CLAUSE,
            )
            .ask(result, Reaction::Silence)
            .ask(identity(&[Any]), Reaction::Identity)
            .ask(challenge, Reaction::Challenge)
            .success(),
        );
        scenarios.push(
            identified(
                format!("sends {what} before the challenge (CVE-2021-45079)"),
                CLAUSE,
            )
            .ask(result, Reaction::Silence)
            .ask(challenge, Reaction::Challenge)
            .success(),
        );
    }
    scenarios.push(
        identified("sends EAP-Success to a Client-Error", CLAUSE)
            .ask(identity(&[Any]), Reaction::ClientError)
            .ask(early_success, Reaction::Silence),
    );
    for off in [1, 255] {
        scenarios.push(
            challenged(
                format!("sends results whose identifier is {off} off"),
                CLAUSE,
            )
            .ask(move |stage, _| stage.early_failure(off), Reaction::Silence)
            .ask(move |stage, _| stage.early_success(off), Reaction::Silence)
            .success(),
        );
    }
    scenarios.push(challenged(
        "refuses with EAP-Failure after the challenge",
        CLAUSE,
    ));
    scenarios
}

fn retransmissions() -> Vec<Scenario> {
    const CLAUSE: &str = "RFC 3748 §4.1";
    vec![
        identified("repeats AKA-Identity", CLAUSE)
            .ask(again, Reaction::Same)
            .ask(challenge, Reaction::Challenge)
            .success(),
        challenged(
            "repeats the challenge: one answer, one sequence number",
            CLAUSE,
        )
        .ask(again, Reaction::Same)
        .ask(again, Reaction::Same)
        .success(),
        identified("sends another challenge under the same identifier", CLAUSE)
            .ask(challenge, Reaction::Challenge)
            .ask(
                |stage, auc| {
                    stage.identifier = stage.identifier.wrapping_sub(1);
                    challenge(stage, auc)
                },
                Reaction::Same,
            )
            .uses_sqn(),
    ]
}

fn other_types() -> Vec<Scenario> {
    const KEEP_ALIVE: &str = "RFC 3748 §5.1, IEEE 802.1X";
    vec![
        Scenario::new(
            "begins with another method, and takes the Nak",
            "RFC 3748 §5.3.1",
        )
        .ask(of_type(13, &[0x20]), Reaction::Nak(vec![50, 23]))
        .ask(identity(&[Any]), Reaction::Identity)
        .ask(challenge, Reaction::Challenge)
        .success(),
        Scenario::new("has no method of this peer", "RFC 3748 §5.3.1")
            .ask(of_type(13, &[0x20]), Reaction::Nak(vec![50, 23])),
        Scenario::new(
            "begins with EAP-AKA', which this peer may not speak",
            "RFC 3748 §5.3.1",
        )
        .with(Setting::Only(Method::Aka))
        .ask(
            of_type(50, &[5, 0, 0, 13, 1, 0, 0]),
            Reaction::Nak(vec![23]),
        ),
        Scenario::new("begins with an expanded type", "RFC 3748 §5.7").ask(
            of_type(254, &[0, 0, 0, 0, 0, 0, 50, 5, 0, 0]),
            Reaction::Nak(vec![50, 23]),
        ),
        identified("displays a text in between", "RFC 3748 §5.2")
            .ask(of_type(2, b"hello"), Reaction::EapNotification)
            .ask(challenge, Reaction::Challenge)
            .success(),
        identified("displays an empty text in between", "RFC 3748 §5.2")
            .ask(of_type(2, b""), Reaction::EapNotification)
            .ask(challenge, Reaction::Challenge)
            .success(),
        challenged(
            "keeps the port alive with identity requests (hostap 52b4cae4c)",
            KEEP_ALIVE,
        )
        .succeed()
        .ask(of_type(1, b""), Reaction::EapIdentity)
        .ask(of_type(1, b""), Reaction::EapIdentity)
        .ask(of_type(1, b""), Reaction::EapIdentity)
        .ask(challenge, Reaction::Challenge)
        .success(),
    ]
}

fn broken() -> Vec<Scenario> {
    const CLAUSE: &str = "RFC 4187 §6.3.1";
    vec![
        identified(
            "sends a method without data: five octets (free5GC 982)",
            CLAUSE,
        )
        .ask(of_type(50, &[]), Reaction::ClientError),
        identified("sends a subtype and nothing else (free5GC 983)", CLAUSE)
            .ask(of_type(50, &[1]), Reaction::ClientError),
        identified("sends an odd number of octets (free5GC 1030)", CLAUSE)
            .ask(of_type(50, &[1, 0, 0, 1, 5, 0]), Reaction::ClientError),
        identified("sends an attribute of length zero (CVE-2026-35330)", CLAUSE)
            .ask(of_type(50, &[1, 0, 0, 1, 0, 0, 0]), Reaction::ClientError),
        identified(
            "sends garbage after a synchronisation failure (FreeRADIUS 4374)",
            CLAUSE,
        )
        .ask(too_far_ahead, Reaction::SynchronizationFailure)
        .ask(
            |stage, auc| {
                stage.resynchronise(auc);
                of_type(50, &[4, 0, 0, 4, 4, 0, 0])(stage, auc)
            },
            Reaction::ClientError,
        ),
        discarded(
            "sends less than the EAP length says",
            "RFC 3748 §4.1",
            |packet| packet.truncate(packet.len() - 4),
        ),
        discarded(
            "sends a code that EAP doesn't have",
            "RFC 3748 §4",
            |packet| packet[0] = 5,
        ),
        discarded("sends a response", "RFC 3748 §4", |packet| packet[0] = 2),
        identified("adds padding of the link", "RFC 3748 §4.1")
            .ask(
                |stage, auc| {
                    let mut packet = challenge(stage, auc);
                    packet.extend([0xee; 9]);
                    packet
                },
                Reaction::Challenge,
            )
            .success(),
    ]
}
