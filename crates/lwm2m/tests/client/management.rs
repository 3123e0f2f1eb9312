//! Device management: what a server may read, observe, discover and write, and what it never sees.

use std::time::Duration;

use softsim_coap::{Code, Method, Request, Response};
use softsim_lwm2m::codec::{SIM, decode};
use softsim_lwm2m::{
    Algorithm, ContentFormat, Event, Instance, Path, SimResult, SimState, SlotState,
};

use crate::common::*;

fn managed() -> World {
    let mut world = World::new(config(), bootstrapped(), MANAGEMENT);
    world.events.clear();
    world
}

fn sim() -> SimState {
    SimState {
        state: SlotState::Enabled,
        iccid: Some("8988211000000000011".to_owned()),
        last_result: SimResult::Success,
        sealing_statement: Some(vec![8; 1400]),
        accepted_sequence: Some(3),
        algorithm: Some(Algorithm::Milenage),
        supported: vec![Algorithm::Milenage],
        authentications: Some(12),
        failures: Some(0),
        trust_anchors: vec![[9; 32]],
        ..SimState::default()
    }
}

fn text(response: &Response) -> &str {
    std::str::from_utf8(&response.payload).unwrap()
}

#[test]
fn no_management_server_reads_security_or_oscore() {
    let mut world = managed();
    for path in [
        "/0", "/0/0", "/0/1", "/0/1/0", "/0/1/5", "/21", "/21/0", "/21/0/0",
    ] {
        for request in [
            get(path),
            get(path).accept(40),
            get(path).accept(112),
            get(path).observing(),
            Request::new(Method::Put, segments(path)).body(0, *b"x"),
            Request::new(Method::Post, segments(path)),
        ] {
            let answer = world.ask(request);
            assert_eq!(
                (answer.code, answer.payload.len()),
                (Code::UNAUTHORIZED, 0),
                "{path}"
            );
        }
    }
}

#[test]
fn a_server_sees_its_own_account_and_no_other() {
    let mut world = World::new(config(), bootstrapped(), BOOTSTRAP);
    world.ask(write(
        "/0/2",
        certificate_account("coaps://second.example", 7),
    ));
    world.ask(write("/1/5", server_account(7, 60)));
    assert_eq!(world.ask(finish()).code, Code::CHANGED);
    let mut world = World::new(config(), world.client.accounts().clone(), MANAGEMENT);
    let links = world.ask(get("/1").accept(40));
    assert!(!text(&links).contains("</1/5>"));
    assert_eq!(world.ask(get("/1/5")).code, Code::NOT_FOUND);
    assert_eq!(world.ask(get("/1/0/0")).payload, b"123");
    let write = Request::new(Method::Put, segments("/1/5/1")).body(0, *b"9");
    assert_eq!(world.ask(write).code, Code::NOT_FOUND);
}

#[test]
fn the_device_says_what_it_knows_of_itself() {
    let mut world = managed();
    let answer = world.ask(get("/3/0/0"));
    assert_eq!(
        (answer.code, answer.content_format, text(&answer)),
        (Code::CONTENT, Some(0), "softsim")
    );
    assert_eq!(world.ask(get("/3/0/16")).payload, b"U");
    assert_eq!(world.ask(get("/3/0/11/0")).payload, b"0");
    assert_eq!(world.ask(get("/3/0")).content_format, Some(11542));
    for path in ["/3/1", "/3/0/99", "/3/0/11/5", "/3/0/0/0", "/99", "/x"] {
        assert_eq!(world.ask(get(path)).code, Code::NOT_FOUND, "{path}");
    }
    assert_eq!(world.ask(get("/")).code, Code::METHOD_NOT_ALLOWED);
}

#[test]
fn a_value_is_read_in_the_format_that_is_asked_for() {
    let mut world = managed();
    world.client.set_sim(world.now, sim());
    let table = [
        (0, "313233".to_owned()),
        (60, "187b".to_owned()),
        (112, "81a221662f312f302f3002187b".to_owned()),
        (11542, "c1007b".to_owned()),
        (1542, "c1007b".to_owned()),
        (110, hex::encode(r#"[{"bn":"/1/0/0","v":123}]"#)),
    ];
    for (format, expected) in table {
        let answer = world.ask(get("/1/0/0").accept(format));
        assert_eq!(
            (answer.content_format, hex::encode(answer.payload)),
            (Some(format), expected)
        );
    }
    for (path, format) in [
        ("/1/0/0", 42),
        ("/1/0", 0),
        ("/1/0", 60),
        ("/1/0/0", 11543),
        ("/26241/0/4", 0),
    ] {
        assert_eq!(
            world.ask(get(path).accept(format)).code,
            Code::NOT_ACCEPTABLE,
            "{path} {format}"
        );
    }
    assert_eq!(world.ask(get("/26241/0/14")).content_format, Some(42));
    assert_eq!(
        text(&world.ask(get("/26241/0/24/0").accept(0))),
        "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk="
    );
}

#[test]
fn the_sim_shows_what_the_application_pushed_and_nothing_else() {
    let mut world = managed();
    let empty = world.ask(get("/26241/0"));
    let decoded = decode(
        ContentFormat::Tlv,
        &SIM,
        Path::Instance(26241, 0),
        &empty.payload,
    )
    .unwrap();
    let expected = Instance::default()
        .with(0, 0)
        .with_all(4, [1_i64])
        .with(11, 0)
        .with(22, false);
    assert_eq!(decoded[&0], expected);
    world.client.set_sim(world.now, sim());
    let full = world.ask(get("/26241/0").accept(112));
    let decoded = decode(
        ContentFormat::SenmlCbor,
        &SIM,
        Path::Instance(26241, 0),
        &full.payload,
    )
    .unwrap();
    let instance = &decoded[&0];
    assert_eq!(instance.text(1), Some("8988211000000000011"));
    assert_eq!(
        (
            instance.integer(0),
            instance.integer(17),
            instance.integer(20)
        ),
        (Some(4), Some(3), Some(12))
    );
    assert_eq!(instance.opaque(14).map(<[u8]>::len), Some(1400));
}

#[test]
fn a_written_package_is_never_read() {
    let mut world = managed();
    for request in [get("/26241/0/3"), get("/26241/0/3").observing()] {
        assert_eq!(world.ask(request).code, Code::METHOD_NOT_ALLOWED);
    }
}

#[test]
fn discover_lists_what_there_is() {
    let mut world = managed();
    let links = world.ask(get("/3").accept(40));
    assert_eq!(links.content_format, Some(40));
    assert_eq!(
        text(&links),
        "</3>,</3/0>,</3/0/0>,</3/0/11>,</3/0/16>,</3/0/19>"
    );
    assert_eq!(text(&world.ask(get("/3/0/16").accept(40))), "</3/0/16>");
    assert_eq!(
        text(&world.ask(get("/26241/0").accept(40))),
        "</26241/0>,</26241/0/0>,</26241/0/3>,</26241/0/4>,</26241/0/11>,</26241/0/22>"
    );
    assert_eq!(world.ask(get("/3/0/1").accept(40)).code, Code::NOT_FOUND);
}

#[test]
fn a_package_is_installed_before_its_write_is_answered_and_no_other_meanwhile() {
    let mut world = managed();
    world.package_verdict = None;
    let first = world.server.request(world.now, write_package());
    world.run();
    assert_eq!(
        world.events,
        [Event::StagePackage {
            source: MANAGEMENT,
            package: package()
        }]
    );
    // The client acknowledges the block, so that the server continues.
    world.wait(Duration::from_millis(500));
    let second = Request::new(Method::Put, segments("/26241/0/3")).body(42, *b"another");
    assert_eq!(world.ask(second).code, Code::SERVICE_UNAVAILABLE);
    world.client.staged(world.now, Ok(()));
    assert_eq!(world.run_to_answer(first).code, Code::CHANGED);
    assert_eq!(world.events.len(), 1);
}

#[test]
fn a_refused_package_is_answered_with_its_reason() {
    let table = [
        (
            SimResult::WrongDevice,
            Code::BAD_REQUEST,
            "wrong device binding",
        ),
        (
            SimResult::IssuerNotTrusted,
            Code::BAD_REQUEST,
            "issuer not trusted",
        ),
        (SimResult::NoSpace, Code::INTERNAL_SERVER_ERROR, "no space"),
    ];
    for (verdict, code, reason) in table {
        let mut world = managed();
        world.package_verdict = Some(Err(verdict));
        let answer = world.ask(write_package());
        assert_eq!((answer.code, text(&answer)), (code, reason));
    }
}

#[test]
fn what_may_not_be_written_or_executed_is_refused_and_changes_nothing() {
    let put =
        |path: &str, payload: &[u8]| Request::new(Method::Put, segments(path)).body(0, payload);
    let post = |path: &str| Request::new(Method::Post, segments(path));
    let table = [
        (put("/1/0/0", b"5"), Code::METHOD_NOT_ALLOWED),
        (put("/1/0/17", b"5"), Code::METHOD_NOT_ALLOWED),
        (put("/1/0/99", b"5"), Code::NOT_FOUND),
        (put("/1/0/1", b"0"), Code::BAD_REQUEST),
        (put("/1/0/1", b"x"), Code::BAD_REQUEST),
        (put("/1/0/7", b"T"), Code::BAD_REQUEST),
        (put("/1/0", b"5"), Code::UNSUPPORTED_CONTENT_FORMAT),
        (
            write("/1/0", server_account(5, 60)),
            Code::METHOD_NOT_ALLOWED,
        ),
        (put("/3/0/0", b"mine"), Code::METHOD_NOT_ALLOWED),
        (put("/26241/0/0", b"4"), Code::METHOD_NOT_ALLOWED),
        (put("/26241/0/17", b"0"), Code::METHOD_NOT_ALLOWED),
        (post("/3/0/4"), Code::NOT_FOUND),
        (post("/3/0/0"), Code::METHOD_NOT_ALLOWED),
        (post("/26241"), Code::METHOD_NOT_ALLOWED),
        (post("/bs"), Code::NOT_FOUND),
        (delete("/26241/0"), Code::METHOD_NOT_ALLOWED),
        (delete("/1/0"), Code::METHOD_NOT_ALLOWED),
        (
            Request::new(Method::Fetch, ["x"; 0]),
            Code::METHOD_NOT_ALLOWED,
        ),
    ];
    let mut world = managed();
    let old = world.client.accounts().clone();
    for (request, expected) in table {
        assert_eq!(world.ask(request.clone()).code, expected, "{request:?}");
    }
    assert_eq!((world.client.accounts(), world.events.len()), (&old, 0));
}

#[test]
fn an_observer_is_told_when_the_value_changes_and_only_then() {
    let mut world = managed();
    let began = world.ask(get("/26241/0/0").observing());
    assert_eq!(
        (began.code, began.observe, text(&began)),
        (Code::CONTENT, Some(1), "0")
    );
    world.client.set_sim(
        world.now,
        SimState {
            authentications: Some(1),
            ..SimState::default()
        },
    );
    world.run();
    assert!(world.notifications.is_empty());
    world.client.set_sim(world.now, sim());
    world.run();
    assert_eq!(
        world.notifications.iter().map(text).collect::<Vec<_>>(),
        ["4"]
    );
}

#[test]
fn discover_is_not_observed() {
    let mut world = managed();
    let answer = world.ask(get("/26241/0").accept(40).observing());
    assert_eq!((answer.code, answer.observe), (Code::CONTENT, None));
}

#[test]
fn a_long_value_is_observed_block_by_block() {
    let mut world = managed();
    assert_eq!(
        world.ask(get("/26241/0").accept(112).observing()).code,
        Code::CONTENT
    );
    world.client.set_sim(world.now, sim());
    world.run();
    let decoded = decode(
        ContentFormat::SenmlCbor,
        &SIM,
        Path::Instance(26241, 0),
        &world.notifications[0].payload,
    )
    .unwrap();
    assert_eq!(decoded[&0].opaque(14), Some(&[8; 1400][..]));
}

#[test]
fn an_observed_value_that_goes_away_ends_the_observation() {
    let mut world = managed();
    world.client.set_sim(world.now, sim());
    assert_eq!(world.ask(get("/26241/0/1").observing()).code, Code::CONTENT);
    world.client.set_sim(world.now, SimState::default());
    world.run();
    assert_eq!(
        world
            .notifications
            .iter()
            .map(|notification| notification.code)
            .collect::<Vec<_>>(),
        [Code::NOT_FOUND]
    );
    world.client.set_sim(world.now, sim());
    world.run();
    assert_eq!(world.notifications.len(), 1);
}

#[test]
fn an_observation_can_be_cancelled() {
    let mut world = managed();
    let token = world
        .server
        .request(world.now, get("/26241/0/0").observing());
    world.run_to_answer(token);
    world.server.cancel_observation(world.now, token);
    assert_eq!(world.run_to_answer(token).observe, None);
    world.client.set_sim(world.now, sim());
    world.run();
    assert!(world.notifications.is_empty());
}
