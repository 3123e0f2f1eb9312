//! Bootstrap: what the server may do, and that nothing takes effect before the commit after
//! Bootstrap-Finish.

use std::time::Duration;

use softsim_coap::{Code, Method, Request, Response};
use softsim_lwm2m::codec::{SECURITY, decode};
use softsim_lwm2m::{
    BootstrapFailure, Config, ContentFormat, Event, Instance, Path, SecurityMode, ServerRole,
    SimResult,
};

use crate::common::*;

const URI: &str = "coaps://dm.example:5684";

fn begun() -> World {
    World::new(config(), factory(), BOOTSTRAP)
}

fn text(response: &Response) -> &str {
    std::str::from_utf8(&response.payload).unwrap()
}

#[test]
fn the_request_names_the_endpoint_and_the_preferred_format() {
    let world = begun();
    assert_eq!(
        world.requests,
        [Request::new(Method::Post, ["bs"])
            .query("ep=gw1")
            .query("pct=112")]
    );
}

#[test]
fn a_bootstrap_puts_its_accounts_in_force() {
    let mut world = begun();
    world.bootstrap_with(URI, SSID);
    let servers = world.client.accounts().servers();
    assert_eq!(
        (servers.len(), servers[0].ssid, servers[0].lifetime),
        (1, SSID, 300)
    );
    let security = &servers[0].security;
    assert_eq!(
        (security.uri.as_str(), security.mode),
        (URI, SecurityMode::Certificate)
    );
    assert_eq!(
        (
            security.server_certificate.as_slice(),
            security.certificate_usage
        ),
        (&[0x30, 0x82][..], 3)
    );
    assert_eq!(world.client.accounts().bootstrap(), factory().bootstrap());
    let [
        Event::StagePackage {
            source: ServerRole::Bootstrap,
            package: staged,
        },
        Event::Commit { accounts, keys },
        Event::Bootstrapped,
    ] = world.events.as_slice()
    else {
        panic!("{:?}", world.events);
    };
    assert_eq!(*staged, package());
    assert_eq!(accounts, world.client.accounts());
    assert!(
        keys.is_empty(),
        "the key lives in the key process, and a dummy in /0/x/5 means nothing"
    );
}

#[test]
fn a_bootstrap_that_ends_at_any_step_leaves_the_old_accounts() {
    let old = bootstrapped();
    let script = bootstrap_script("coaps://other.example", 7);
    for steps in 0..script.len() {
        for silent in [false, true] {
            let mut world = World::new(config(), old.clone(), BOOTSTRAP);
            script[..steps]
                .iter()
                .for_each(|request| assert!(world.ask(request.clone()).code.is_success()));
            assert_eq!(*world.client.accounts(), old);
            let reason = if silent {
                world.wait(Duration::from_secs(248));
                BootstrapFailure::Timeout
            } else {
                world.client.session_closed(world.now, BOOTSTRAP);
                world.run();
                BootstrapFailure::SessionClosed
            };
            assert_eq!(
                *world.last_event(),
                Event::BootstrapFailed(reason),
                "after {steps} steps"
            );
            assert_eq!(*world.client.accounts(), old, "after {steps} steps");
        }
    }
}

#[test]
fn a_bootstrap_server_that_refuses_or_is_silent_leaves_the_old_accounts() {
    let old = bootstrapped();
    let mut world = World::answering(
        config(),
        old.clone(),
        BOOTSTRAP,
        [Response::new(Code::BAD_REQUEST)],
    );
    assert_eq!(
        world.events,
        [Event::BootstrapFailed(BootstrapFailure::Refused(
            Code::BAD_REQUEST
        ))]
    );
    assert_eq!(*world.client.accounts(), old);
    // The client ignores what the server sends afterwards.
    assert_eq!(world.ask(delete("/")).code, Code::UNAUTHORIZED);
    assert_eq!(*world.client.accounts(), old);
}

#[test]
fn an_inconsistent_bootstrap_is_4_06_and_may_be_corrected() {
    let mut world = begun();
    world.ask(write("/0/1", certificate_account(URI, SSID)));
    let refused = world.ask(finish());
    assert_eq!(refused.code, Code::NOT_ACCEPTABLE);
    assert_eq!(
        text(&refused),
        "expected short server id 123 in one instance each of /0 and /1, got 1 and 0"
    );
    assert_eq!(*world.client.accounts(), factory());
    world.ask(write("/1/0", server_account(SSID, 300)));
    assert_eq!(world.ask(finish()).code, Code::CHANGED);
    assert_eq!(world.client.accounts().servers().len(), 1);
}

#[test]
fn each_inconsistency_is_named() {
    let security = || certificate_account(URI, SSID);
    let server = || server_account(SSID, 300);
    let without = |mut instance: Instance, resource| {
        instance.0.remove(&resource);
        instance
    };
    let psk = |key: &[u8]| {
        security()
            .with(2, 0)
            .with(3, b"id".to_vec())
            .with(5, key.to_vec())
    };
    let table: Vec<(Instance, Instance, &str)> = vec![
        (without(security(), 0), server(), "expected a URI in /0/1/0"),
        (
            security().with(0, "coap://dm.example"),
            server(),
            "expected a URI whose scheme fits the security mode in /0/1/0",
        ),
        (
            security().with(0, "coaps://"),
            server(),
            "expected a URI whose scheme fits the security mode in /0/1/0",
        ),
        (
            security().with(1, true),
            server(),
            "expected at most 1 bootstrap account, got 2",
        ),
        (
            without(security(), 2),
            server(),
            "expected security mode 0 (PSK), 2 (certificate) or 3 (NoSec) in /0/1/2",
        ),
        (
            security().with(2, 1),
            server(),
            "expected security mode 0 (PSK), 2 (certificate) or 3 (NoSec) in /0/1/2",
        ),
        (
            security().with(2, 3),
            server(),
            "expected a security mode other than NoSec in /0/1/2",
        ),
        (
            security().with(4, vec![]),
            server(),
            "expected the server's certificate in /0/1/4",
        ),
        (
            security().with(15, 4),
            server(),
            "expected a certificate usage of 0 to 3 in /0/1/15",
        ),
        (
            without(security(), 10),
            server(),
            "expected a short server id of 1 to 65534 in /0/1/10",
        ),
        (
            security().with(10, 0),
            server(),
            "expected a short server id of 1 to 65534 in /0/1/10",
        ),
        (
            security().with(10, 65535),
            server(),
            "expected a short server id of 1 to 65534 in /0/1/10",
        ),
        (
            security().with(10, 5),
            server(),
            "expected short server id 5 in one instance each of /0 and /1, got 1 and 0",
        ),
        (
            security(),
            without(server(), 0),
            "expected short server id 123 in one instance each of /0 and /1, got 1 and 0",
        ),
        (
            security(),
            server().with(1, 0),
            "expected a lifetime of 1 to 4294967295 seconds in /1/0/1",
        ),
        (
            security(),
            without(server(), 1),
            "expected a lifetime of 1 to 4294967295 seconds in /1/0/1",
        ),
        (
            security(),
            server().with(7, "T"),
            "expected a binding with U in /1/0/7",
        ),
        (
            psk(&[1; 15]),
            server(),
            "expected a key of 16 octets or more in /0/1/5, got 15",
        ),
        (
            without(psk(&[]), 5),
            server(),
            "expected a key of 16 octets or more in /0/1/5, got 0",
        ),
        (
            psk(&[1; 16]).with(3, vec![]),
            server(),
            "expected a PSK identity in /0/1/3",
        ),
    ];
    for (security, server, expected) in table {
        let mut world = begun();
        assert!(world.ask(write("/0/1", security)).code.is_success());
        assert!(world.ask(write("/1/0", server)).code.is_success());
        let refused = world.ask(finish());
        assert_eq!(
            (refused.code, text(&refused)),
            (Code::NOT_ACCEPTABLE, expected)
        );
        assert_eq!(
            (world.client.accounts(), world.events.len()),
            (&factory(), 0)
        );
    }
}

#[test]
fn a_bootstrap_without_a_management_server_is_4_06() {
    let mut world = begun();
    let refused = world.ask(finish());
    assert_eq!(
        (refused.code, text(&refused)),
        (
            Code::NOT_ACCEPTABLE,
            "expected a management server, got none"
        )
    );
}

#[test]
fn the_answer_to_finish_waits_until_the_accounts_are_durable() {
    let mut world = begun();
    world.commit_verdict = None;
    let mut script = bootstrap_script(URI, SSID);
    let finish = script.pop().unwrap();
    script
        .into_iter()
        .for_each(|request| assert!(world.ask(request).code.is_success()));
    assert_eq!(world.try_ask(finish), None);
    assert!(matches!(world.last_event(), Event::Commit { .. }));
    assert_eq!(*world.client.accounts(), factory());
    world.client.committed(world.now, Ok(()));
    assert_eq!(world.client.accounts().servers().len(), 1);
    world.run();
    assert_eq!(*world.last_event(), Event::Bootstrapped);
}

#[test]
fn a_commit_that_fails_is_4_06_and_the_server_may_finish_again() {
    let mut world = begun();
    world.commit_verdict = Some(Err(SimResult::StorageError));
    let mut script = bootstrap_script(URI, SSID);
    let last = script.pop().unwrap();
    script
        .into_iter()
        .for_each(|request| assert!(world.ask(request).code.is_success()));
    let refused = world.ask(last.clone());
    assert_eq!(
        (refused.code, text(&refused)),
        (Code::NOT_ACCEPTABLE, "storage error")
    );
    assert_eq!(*world.client.accounts(), factory());
    world.commit_verdict = Some(Ok(()));
    assert_eq!(world.ask(last).code, Code::CHANGED);
    assert_eq!(world.client.accounts().servers().len(), 1);
}

#[test]
fn a_commit_counts_even_if_the_session_ended_meanwhile() {
    let mut world = begun();
    world.commit_verdict = None;
    let mut script = bootstrap_script(URI, SSID);
    let last = script.pop().unwrap();
    script
        .into_iter()
        .for_each(|request| assert!(world.ask(request).code.is_success()));
    world.try_ask(last);
    world.client.session_closed(world.now, BOOTSTRAP);
    world.client.committed(world.now, Ok(()));
    world.run();
    assert_eq!(*world.last_event(), Event::Bootstrapped);
    assert_eq!(world.client.accounts().servers().len(), 1);
}

#[test]
fn a_refused_package_is_answered_with_its_reason_and_the_bootstrap_goes_on() {
    let mut world = begun();
    world.package_verdict = Some(Err(SimResult::OldSequence));
    let refused = world.ask(write_package());
    assert_eq!(
        (refused.code, text(&refused)),
        (Code::BAD_REQUEST, "replayed or older sequence")
    );
    world.package_verdict = Some(Ok(()));
    world.bootstrap_with(URI, SSID);
}

#[test]
fn a_package_comes_through_every_format_that_carries_opaque_octets() {
    let in_instance = Instance::default()
        .with(3, package())
        .with(0, 4)
        .with(17, 99);
    let senml = |format| {
        let instances = [(0, Instance::default().with(3, package()))].into();
        let payload =
            softsim_lwm2m::codec::encode(format, Path::Resource(26241, 0, 3), &instances).unwrap();
        Request::new(Method::Put, segments("/26241/0/3")).body(format.id(), payload)
    };
    let requests = [
        write_package(),
        // The write contains the whole instance, whose read-only resources have no effect.
        write("/26241/0", in_instance),
        senml(ContentFormat::Tlv),
        senml(ContentFormat::OldTlv),
        senml(ContentFormat::SenmlCbor),
        senml(ContentFormat::SenmlJson),
        senml(ContentFormat::Cbor),
        senml(ContentFormat::Text),
    ];
    for request in requests {
        let mut world = begun();
        assert_eq!(world.ask(request).code, Code::CHANGED);
        assert_eq!(
            world.events,
            [Event::StagePackage {
                source: BOOTSTRAP,
                package: package()
            }]
        );
    }
}

#[test]
fn deleting_everything_takes_back_the_staged_package_and_spares_the_bootstrap_account() {
    for path in ["/", "/26241", "/26241/0"] {
        let mut world = World::new(config(), bootstrapped(), BOOTSTRAP);
        world.ask(write_package());
        assert_eq!(world.ask(delete(path)).code, Code::DELETED);
        assert_eq!(*world.last_event(), Event::DiscardPackage);
        let links = world.ask(get("/").accept(40));
        let expected = if path == "/" {
            r#"</>;lwm2m=1.1,</0/0>;uri="coaps://bootstrap.example:5684",</1>,</3/0>,</26241/0>"#
        } else {
            r#"</>;lwm2m=1.1,</0/0>;uri="coaps://bootstrap.example:5684",</0/1>;ssid=123;uri="coaps://dm.example:5684",</1/0>;ssid=123,</3/0>,</26241/0>"#
        };
        assert_eq!(text(&links), expected);
        // The client has discarded the staged changes.
        world.ask(delete(path));
        assert_eq!(world.events.len(), 2);
    }
}

#[test]
fn discover_can_be_narrowed_to_an_object() {
    let mut world = World::new(config(), bootstrapped(), BOOTSTRAP);
    assert_eq!(
        text(&world.ask(get("/1").accept(40))),
        "</>;lwm2m=1.1,</1/0>;ssid=123"
    );
    assert_eq!(
        text(&world.ask(get("/3").accept(40))),
        "</>;lwm2m=1.1,</3/0>"
    );
    assert_eq!(world.ask(get("/7").accept(40)).code, Code::NOT_FOUND);
    assert_eq!(world.ask(get("/1/0").accept(40)).code, Code::BAD_REQUEST);
}

#[test]
fn only_the_server_object_can_be_read() {
    let mut world = World::new(config(), bootstrapped(), BOOTSTRAP);
    for path in ["/0", "/0/0", "/0/1/5", "/3/0", "/26241/0/14", "/"] {
        assert_eq!(
            world.ask(get(path)).code,
            Code::METHOD_NOT_ALLOWED,
            "{path}"
        );
    }
    let read = world.ask(get("/1/0").accept(112));
    assert_eq!((read.code, read.content_format), (Code::CONTENT, Some(112)));
    assert_eq!(world.ask(get("/1/9")).code, Code::NOT_FOUND);
    assert_eq!(world.ask(get("/1").accept(0)).code, Code::NOT_ACCEPTABLE);
}

#[test]
fn what_may_not_be_done_is_refused_and_changes_nothing() {
    let post = |path: &str| Request::new(Method::Post, segments(path));
    let put = |path: &str, format: u16, payload: &[u8]| {
        Request::new(Method::Put, segments(path)).body(format, payload)
    };
    let table = [
        (delete("/0/0"), Code::BAD_REQUEST),
        (delete("/3"), Code::BAD_REQUEST),
        (delete("/3/0"), Code::BAD_REQUEST),
        (delete("/0/1/3"), Code::BAD_REQUEST),
        (delete("/99"), Code::BAD_REQUEST),
        (post("/3/0/4"), Code::METHOD_NOT_ALLOWED),
        (post("/1/0"), Code::METHOD_NOT_ALLOWED),
        (post("/0"), Code::METHOD_NOT_ALLOWED),
        (
            Request::new(Method::Fetch, segments("/1")),
            Code::METHOD_NOT_ALLOWED,
        ),
        (
            Request::new(Method::IPatch, segments("/1")),
            Code::METHOD_NOT_ALLOWED,
        ),
        (put("/99/0", 11542, b""), Code::NOT_FOUND),
        (put("/x", 11542, b""), Code::NOT_FOUND),
        (put("/", 112, &[0x80]), Code::NOT_FOUND),
        (put("/1/0/99", 0, b"1"), Code::NOT_FOUND),
        (put("/3/0/0", 0, b"mine"), Code::METHOD_NOT_ALLOWED),
        (put("/26241/0/0", 0, b"4"), Code::METHOD_NOT_ALLOWED),
        (put("/26241/1/3", 42, b"package"), Code::NOT_FOUND),
        (
            put("/1/0/1", 11543, b"{}"),
            Code::UNSUPPORTED_CONTENT_FORMAT,
        ),
        (put("/1/0/1", 40, b"</>"), Code::UNSUPPORTED_CONTENT_FORMAT),
        (put("/1/0", 0, b"1"), Code::UNSUPPORTED_CONTENT_FORMAT),
        (
            Request::new(Method::Put, segments("/1/0")),
            Code::UNSUPPORTED_CONTENT_FORMAT,
        ),
        (put("/1/0/1", 0, b"soon"), Code::BAD_REQUEST),
        (put("/1/0", 11542, &[0xc1, 0x01]), Code::BAD_REQUEST),
    ];
    let old = bootstrapped();
    let mut world = World::new(config(), old.clone(), BOOTSTRAP);
    let before = world.ask(get("/").accept(40));
    let server_before = world.ask(get("/1"));
    for (request, expected) in table {
        assert_eq!(world.ask(request.clone()).code, expected, "{request:?}");
    }
    assert_eq!(
        (world.ask(get("/").accept(40)), world.ask(get("/1"))),
        (before, server_before)
    );
    assert_eq!(world.ask(finish()).code, Code::CHANGED);
    assert_eq!(*world.client.accounts(), old);
}

#[test]
fn single_resources_and_whole_objects_can_be_written() {
    let mut world = World::new(config(), bootstrapped(), BOOTSTRAP);
    let lifetime = Request::new(Method::Put, segments("/1/0/1")).body(0, *b"86400");
    assert_eq!(world.ask(lifetime).code, Code::CHANGED);
    // The write contains two instances.
    let object = hex::decode(concat!(
        "0800", "0a", "c1007b", "c2012c01", "c10755", "0801", "07", "c10005", "c4010000", "0001"
    ))
    .unwrap();
    let refused = world.ask(Request::new(Method::Put, segments("/1")).body(11542, object));
    assert_eq!(refused.code, Code::BAD_REQUEST);
    assert_eq!(world.ask(finish()).code, Code::CHANGED);
    assert_eq!(world.client.accounts().servers()[0].lifetime, 86400);
}

#[test]
fn an_instance_that_is_written_is_replaced() {
    let mut world = World::new(config(), bootstrapped(), BOOTSTRAP);
    world.ask(write(
        "/1/0",
        Instance::default().with(0, i64::from(SSID)).with(1, 60),
    ));
    world.ask(finish());
    let read = World::new(config(), world.client.accounts().clone(), MANAGEMENT).ask(get("/1/0"));
    assert_eq!(hex::encode(read.payload), "c1007bc1013c");
}

#[test]
fn a_pre_shared_key_leaves_with_the_commit_and_nowhere_else() {
    let key = *b"sixteen octets!!";
    let account = certificate_account(URI, SSID)
        .with(2, 0)
        .with(3, b"id".to_vec())
        .with(5, key.to_vec());
    let mut world = begun();
    world.ask(write("/0/1", account));
    world.ask(write("/1/0", server_account(SSID, 300)));
    let printed = |world: &World| format!("{:?} {:?}", world.events, world.client);
    let absent = |text: String| !text.contains("sixteen") && !text.contains("115, 105, 120");
    assert!(absent(printed(&world)));
    world.ask(finish());
    let Event::Commit { accounts, keys } = &world.events[0] else {
        panic!("{:?}", world.events)
    };
    assert_eq!(
        (
            keys[0].instance,
            keys[0].identity.as_slice(),
            keys[0].key.as_slice()
        ),
        (1, &b"id"[..], &key[..])
    );
    assert!(
        !serde_json::to_string(accounts)
            .unwrap()
            .contains("115,105,120,116,101,101,110")
    );
    assert!(absent(printed(&world)));

    // A bootstrap that doesn't write the account leaves its key unchanged; one that writes it must
    // contain a key.
    let accounts = accounts.clone();
    let mut world = World::new(config(), accounts.clone(), BOOTSTRAP);
    assert_eq!(world.ask(finish()).code, Code::CHANGED);
    let mut world = World::new(config(), accounts, BOOTSTRAP);
    world.ask(write(
        "/0/1",
        certificate_account("coaps://elsewhere.example", SSID)
            .with(2, 0)
            .with(3, b"id".to_vec())
            .with(5, vec![]),
    ));
    assert_eq!(world.ask(finish()).code, Code::NOT_ACCEPTABLE);
}

#[test]
fn accounts_come_back_from_what_they_were_kept_as() {
    let accounts = bootstrapped();
    let kept = serde_json::to_vec(&accounts).unwrap();
    assert_eq!(
        serde_json::from_slice::<softsim_lwm2m::Accounts>(&kept).unwrap(),
        accounts
    );
}

#[test]
fn without_security_only_where_the_configuration_allows_it() {
    let account = certificate_account("coap://dm.example", SSID).with(2, 3);
    for (allow_no_sec, expected) in [(false, Code::NOT_ACCEPTABLE), (true, Code::CHANGED)] {
        let config = Config {
            allow_no_sec,
            ..config()
        };
        let mut world = World::new(config, factory(), BOOTSTRAP);
        world.ask(write("/0/1", account.clone()));
        world.ask(write("/1/0", server_account(SSID, 300)));
        assert_eq!(world.ask(finish()).code, expected);
    }
}

#[test]
fn other_servers_are_ignored_while_a_bootstrap_runs() {
    let mut world = World::new(config(), bootstrapped(), MANAGEMENT);
    assert!(matches!(world.last_event(), Event::Registered { .. }));
    world.client.session_opened(world.now, BOOTSTRAP);
    assert!(world.client.is_bootstrapping());
    assert_eq!(world.try_ask(get("/3/0/0")), None);
    // The client still answers its retransmission after the bootstrap.
    world.client.session_closed(world.now, BOOTSTRAP);
    world.now = world.server.poll_timeout().unwrap();
    world.server.handle_timeout(world.now);
    while let Some(datagram) = world.server.poll_transmit() {
        world
            .client
            .handle_datagram(world.now, MANAGEMENT, &datagram);
    }
    assert!(matches!(
        world.client.poll_output(),
        Some(softsim_lwm2m::Output::Event(_))
    ));
    assert!(matches!(
        world.client.poll_output(),
        Some(softsim_lwm2m::Output::Transmit {
            server: MANAGEMENT,
            ..
        })
    ));
}

#[test]
fn what_leshan_writes_in_an_x_509_account_is_understood() {
    // A dummy private key in /0/x/5, which the decoder reads and the accounts don't store.
    let payload = write("/0/1", certificate_account(URI, SSID)).payload;
    let decoded = decode(
        ContentFormat::Tlv,
        &SECURITY,
        Path::Instance(0, 1),
        &payload,
    )
    .unwrap();
    assert_eq!(decoded[&1].opaque(5), Some(&b"dummy"[..]));
    assert!(
        !serde_json::to_string(&bootstrapped())
            .unwrap()
            .contains("100,117,109,109,121")
    );
}
