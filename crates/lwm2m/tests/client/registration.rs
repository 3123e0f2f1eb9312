//! Registration: what the client sends, when, and how it reacts to other answers.

use std::time::Duration;

use softsim_coap::{Code, FailureReason, Method, Request, Response};
use softsim_lwm2m::{Client, Config, Event, RegistrationFailure, Version};

use crate::common::*;

const LINKS: &str = r#"</>;rt="oma.lwm2m";ct="60 110 112 11542",</1/0>,</3/0>,</26241/0>"#;

fn register_request(version: &str) -> Request {
    Request::new(Method::Post, ["rd"])
        .query("ep=gw1")
        .query("lt=300")
        .query(format!("lwm2m={version}"))
        .query("b=U")
        .body(40, LINKS)
}

fn registered() -> World {
    let world = World::new(config(), bootstrapped(), MANAGEMENT);
    let location = vec!["rd".to_owned(), "x".to_owned()];
    assert_eq!(
        world.events,
        [Event::Registered {
            ssid: SSID,
            location
        }]
    );
    world
}

#[test]
fn register_carries_the_endpoint_name_and_the_object_links() {
    assert_eq!(registered().requests, [register_request("1.1")]);
}

#[test]
fn the_registration_is_updated_before_its_lifetime_ends_with_nothing_that_did_not_change() {
    let mut world = registered();
    world.wait(Duration::from_secs(206));
    assert_eq!(world.requests.len(), 1);
    world.wait(Duration::from_secs(2));
    assert_eq!(
        world.requests[1..],
        [Request::new(Method::Post, ["rd", "x"])]
    );
    assert_eq!(*world.last_event(), Event::Updated { ssid: SSID });
    world.wait(Duration::from_secs(207));
    assert_eq!(world.requests.len(), 3);
}

#[test]
fn update_answered_with_4_04_leads_to_a_new_registration() {
    let mut world = registered();
    world.answers.push_back(Response::new(Code::NOT_FOUND));
    world.client.update(world.now, SSID);
    world.run();
    assert_eq!(world.requests[1].path, ["rd", "x"]);
    assert_eq!(world.requests[2], register_request("1.1"));
    assert!(matches!(world.last_event(), Event::Registered { .. }));
}

#[test]
fn a_server_of_lwm2m_1_1_refuses_1_2_and_gets_1_1() {
    let config = Config {
        version: Version::V1_2,
        ..config()
    };
    let refusal = Response::new(Code::PRECONDITION_FAILED);
    let world = World::answering(config, bootstrapped(), MANAGEMENT, [refusal]);
    assert_eq!(
        world.requests,
        [register_request("1.2"), register_request("1.1")]
    );
    assert!(matches!(
        world.events.as_slice(),
        [Event::Registered { .. }]
    ));
}

#[test]
fn a_server_that_refuses_1_1_too_has_refused() {
    let config = Config {
        version: Version::V1_2,
        ..config()
    };
    let refusals = [
        Response::new(Code::PRECONDITION_FAILED),
        Response::new(Code::PRECONDITION_FAILED),
    ];
    let world = World::answering(config, bootstrapped(), MANAGEMENT, refusals);
    let reason = RegistrationFailure::Refused(Code::PRECONDITION_FAILED);
    assert_eq!(
        world.events,
        [Event::RegistrationFailed { ssid: SSID, reason }]
    );
}

#[test]
fn refusals_and_answers_without_a_location_are_failures() {
    let table = [
        (
            Response::new(Code::FORBIDDEN),
            RegistrationFailure::Refused(Code::FORBIDDEN),
        ),
        (
            Response::new(Code::BAD_REQUEST),
            RegistrationFailure::Refused(Code::BAD_REQUEST),
        ),
        (
            Response::new(Code::CHANGED),
            RegistrationFailure::Refused(Code::CHANGED),
        ),
        (
            Response::new(Code::CREATED),
            RegistrationFailure::NoLocation,
        ),
    ];
    for (answer, reason) in table {
        let world = World::answering(config(), bootstrapped(), MANAGEMENT, [answer]);
        assert_eq!(
            world.events,
            [Event::RegistrationFailed { ssid: SSID, reason }]
        );
    }
}

#[test]
fn a_silent_server_is_a_failure() {
    let mut client = Client::new(config(), bootstrapped(), 1);
    let now = std::time::Instant::now();
    client.session_opened(now, MANAGEMENT);
    while let Some(due) = client.poll_timeout() {
        client.handle_timeout(due);
    }
    let last = std::iter::from_fn(|| client.poll_output()).last();
    let reason = RegistrationFailure::NoAnswer(FailureReason::Timeout);
    let failed = Event::RegistrationFailed { ssid: SSID, reason };
    assert_eq!(last, Some(softsim_lwm2m::Output::Event(failed)));
}

#[test]
fn a_server_that_no_account_names_is_not_asked() {
    let world = World::new(config(), factory(), MANAGEMENT);
    assert!(world.requests.is_empty());
    let reason = RegistrationFailure::NoAccount;
    assert_eq!(
        world.events,
        [Event::RegistrationFailed { ssid: SSID, reason }]
    );
}

#[test]
fn deregistering_ends_the_registration() {
    let mut world = registered();
    world.client.deregister(world.now, SSID);
    world.run();
    assert_eq!(world.requests[1], Request::new(Method::Delete, ["rd", "x"]));
    assert_eq!(*world.last_event(), Event::Deregistered { ssid: SSID });
    assert_eq!(world.client.poll_timeout(), None);
}

#[test]
fn changed_lifetime_is_sent_at_once_in_an_update_of_its_own() {
    let mut world = registered();
    let write = Request::new(Method::Put, segments("/1/0/1")).body(0, *b"600");
    assert_eq!(world.ask(write).code, Code::CHANGED);
    assert_eq!(
        world.requests[1..],
        [Request::new(Method::Post, ["rd", "x"]).query("lt=600")]
    );
    assert!(
        matches!(&world.events[1], Event::AccountsChanged(accounts) if accounts.servers()[0].lifetime == 600)
    );
    assert_eq!(world.client.accounts().servers()[0].lifetime, 600);
}

#[test]
fn the_update_trigger_updates() {
    let mut world = registered();
    assert_eq!(
        world
            .ask(Request::new(Method::Post, segments("/1/0/8")))
            .code,
        Code::CHANGED
    );
    assert_eq!(
        world.requests[1..],
        [Request::new(Method::Post, ["rd", "x"])]
    );
}
