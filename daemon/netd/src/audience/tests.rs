#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use softsim_client::netd::{Bootstrap, RadiusSecret};

use super::*;

/// What must not reach an observer, wherever it stands.
const PRIVATE: &str = "private";

fn an_access(state: Value) -> Value {
    json!({
        "name": "uplink", "carrier": "wired", "at": "eth1", "server": "a:1", "renamed": "eth0",
        "automatic": true, "state": state, "seconds": 17, "next_seconds": 3, "port": "authorised",
        "authentication": {
            "method": "EAP-AKA'", "identity": "pseudonym", "reauthenticated": false,
            "forward_secrecy": true, "session_id": PRIVATE,
        },
        "counters": {
            "attempts": 1, "successes": 1, "reauthentications": 0, "failures": 0, "ignored": 0,
        },
    })
}

/// Every event, and in it every text that may be about the device or the subscriber.
fn events() -> Vec<Value> {
    let states = [
        json!({ "is": "idle", "reason": PRIVATE }),
        json!({ "is": "held", "reason": PRIVATE }),
        json!({ "is": "authorised" }),
    ];
    let accesses: Vec<_> = states.into_iter().map(an_access).collect();
    let management = [
        json!({ "state": "not-bootstrapped", "reason": PRIVATE }),
        json!({ "state": "unregistered", "reason": PRIVATE }),
        json!({ "state": "registered", "server": "coaps://x", "location": PRIVATE }),
    ];
    let mut events = Vec::new();
    let mut happened = |mut what: Value| {
        what["event"] = "happened".into();
        what["time"] = 17.into();
        events.push(what);
    };
    for access in &accesses {
        happened(json!({ "what": "access", "access": access }));
    }
    for management in &management {
        happened(json!({ "what": "management", "management": management }));
    }
    happened(json!({
        "what": "message", "access": "uplink", "direction": "sent",
        "text": format!("AKA'-Challenge AT_MAC AT_KDF_INPUT={PRIVATE}"),
        "remark": PRIVATE,
    }));
    happened(json!({ "what": "keyd", "lost": PRIVATE }));
    happened(json!({ "what": "accounts", "transaction": "17", "fault": PRIVATE }));
    happened(json!({ "what": "reload", "fault": PRIVATE }));
    happened(json!({ "what": "missed", "events": 3 }));
    for access in &accesses {
        events.push(json!({ "event": "access", "microseconds": 1, "access": access }));
    }
    events.push(json!({
        "event": "message", "microseconds": 1, "direction": "received",
        "text": format!("AKA'-Challenge AT_MAC AT_KDF_INPUT={PRIVATE}"),
        "remark": PRIVATE, "access": "uplink",
    }));
    let report = json!({ "of": "access", "accesses": accesses });
    events.push(json!({ "event": "done", "report": report }));
    for management in &management {
        let report = json!({
            "of": "status", "release": "0.1.0", "uptime": 17, "endpoint": PRIVATE, "landlock_abi": 7, "seccomp_calls": 47,
            "keyd_lost": PRIVATE, "accounts": "17", "accounts_fault": PRIVATE,
            "management": management, "accesses": accesses,
        });
        events.push(json!({ "event": "done", "report": report }));
    }
    events
}

fn said(event: &Event) -> String {
    serde_json::to_string(event).unwrap()
}

#[test]
fn no_text_about_the_device_or_the_subscriber_reaches_an_observer() {
    for value in events() {
        let event: Event = serde_json::from_value(value).unwrap();
        let shown = said(&Audience::Observers.shown(event.clone()));
        assert!(!shown.contains(PRIVATE), "{shown}");
        let whole = said(&Audience::Administrators.shown(event.clone()));
        assert_eq!(whole, said(&event));
    }
}

/// Without what is withheld, both see the same.
#[test]
fn an_observer_sees_everything_else() {
    for value in events() {
        let event: Event = serde_json::from_value(value).unwrap();
        let shown = said(&Audience::Observers.shown(event.clone()));
        let whole = said(&event).replace(&format!("={PRIVATE}"), "");
        let whole = whole.replace(PRIVATE, WITHHELD);
        let whole = whole.replace(&format!(",\"remark\":\"{WITHHELD}\""), "");
        assert_eq!(shown, whole);
    }
}

#[test]
fn what_an_order_brings_is_nothing_for_observers() {
    let bootstrap = Bootstrap {
        transaction: "17".into(),
        package: Some(PRIVATE.into()),
        management: Management::Bootstrapping,
    };
    let step = Event::Step {
        microseconds: 1,
        text: PRIVATE.into(),
    };
    for event in [done(Report::Bootstrap(bootstrap)), step] {
        let shown = Audience::Observers.shown(event);
        assert_eq!(shown, failed(not_for_observers()));
    }
}

#[test]
fn an_observer_looks_and_gives_no_order() {
    let name = || None::<String>;
    let orders = [
        Command::Bootstrap {},
        Command::AccountsReset {},
        Command::EapTest {
            radius: "a:1".into(),
            secret: RadiusSecret::new(b"secret".into()),
            identity: None,
        },
        Command::AccessConnect { name: name() },
        Command::AccessDisconnect { name: name() },
    ];
    for command in orders {
        let refused = Audience::Observers.admit(command).unwrap_err();
        assert_eq!(refused, not_for_observers());
    }
    let looks = [
        Command::Status {},
        Command::AccessStatus { name: name() },
        Command::AccessWatch { name: name() },
        Command::Events {},
    ];
    for command in looks {
        Audience::Observers.admit(command).unwrap();
    }
    Audience::Administrators
        .admit(Command::Bootstrap {})
        .unwrap();
}
