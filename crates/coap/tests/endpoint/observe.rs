//! RFC 7641: observers, notifications, and the end of an observation.

use std::time::{Duration, Instant};

use softsim_coap::{
    BlockSize, Code, Config, Endpoint, Event, ExchangeId, Method, Reliability, Request, Response,
};

use crate::common::*;

fn state(text: &str) -> Response {
    Response::content(0, text)
}

/// A server that token 7 observes.
fn observed(now: Instant) -> (Endpoint, ExchangeId) {
    let mut server = endpoint();
    server
        .handle_datagram(
            now,
            &message(
                CON,
                (0, 1),
                1,
                &[7],
                &[(OBSERVE, b""), (URI_PATH, b"s")],
                b"",
            ),
        )
        .unwrap();
    let (exchange, _) = requested(&mut server);
    assert!(server.respond_observed(now, exchange, state("a")));
    assert_eq!(only(&mut server).option(OBSERVE), Some(&[1][..]));
    (server, exchange)
}

#[test]
fn an_observer_is_told_of_changes_with_rising_numbers() {
    let now = Instant::now();
    let (mut server, exchange) = observed(now);
    for (number, text) in [(2, "b"), (3, "c")] {
        server.notify(now, exchange, state(text), Reliability::Confirmable);
        let sent = only(&mut server);
        assert_eq!(
            (sent.kind, sent.token.as_slice(), sent.payload.as_slice()),
            (CON, &[7][..], text.as_bytes())
        );
        assert_eq!(sent.option(OBSERVE), Some(&[number][..]));
        server
            .handle_datagram(now, &message(ACK, (0, 0), sent.mid, &[], &[], b""))
            .unwrap();
    }
}

#[test]
fn while_a_notification_is_unacknowledged_only_the_newest_state_waits() {
    let now = Instant::now();
    let (mut server, exchange) = observed(now);
    for text in ["b", "c", "d"] {
        server.notify(now, exchange, state(text), Reliability::Confirmable);
    }
    let first = only(&mut server);
    assert_eq!(first.payload, b"b");
    server
        .handle_datagram(now, &message(ACK, (0, 0), first.mid, &[], &[], b""))
        .unwrap();
    assert_eq!(only(&mut server).payload, b"d");
}

#[test]
fn an_observer_that_resets_a_notification_is_gone() {
    let now = Instant::now();
    for reliability in [Reliability::Confirmable, Reliability::NonConfirmable] {
        let (mut server, exchange) = observed(now);
        server.notify(now, exchange, state("b"), reliability);
        let sent = only(&mut server);
        server
            .handle_datagram(now, &message(RST, (0, 0), sent.mid, &[], &[], b""))
            .unwrap();
        assert_eq!(events(&mut server), [Event::ObserverGone { exchange }]);
        server.notify(now, exchange, state("c"), reliability);
        assert!(transmitted(&mut server).is_empty());
    }
}

#[test]
fn an_observer_that_never_acknowledges_is_gone() {
    let now = Instant::now();
    let (mut server, exchange) = observed(now);
    server.notify(now, exchange, state("b"), Reliability::Confirmable);
    while let Some(due) = server.poll_timeout() {
        server.handle_timeout(due);
    }
    assert_eq!(events(&mut server), [Event::ObserverGone { exchange }]);
}

#[test]
fn an_observer_that_asks_to_go_is_gone() {
    let now = Instant::now();
    let (mut server, exchange) = observed(now);
    server
        .handle_datagram(
            now,
            &message(
                CON,
                (0, 1),
                2,
                &[7],
                &[(OBSERVE, b"\x01"), (URI_PATH, b"s")],
                b"",
            ),
        )
        .unwrap();
    let happened = events(&mut server);
    assert_eq!(happened[0], Event::ObserverGone { exchange });
    let Event::Request { exchange: last, .. } = &happened[1] else {
        panic!("{happened:?}")
    };
    assert!(!server.respond_observed(now, *last, state("a")));
    assert_eq!(only(&mut server).option(OBSERVE), None);
}

#[test]
fn an_error_ends_the_observation_and_says_so_without_a_number() {
    let now = Instant::now();
    let (mut server, exchange) = observed(now);
    server.notify(
        now,
        exchange,
        Response::new(Code::NOT_FOUND),
        Reliability::Confirmable,
    );
    let sent = only(&mut server);
    assert_eq!((sent.code, sent.option(OBSERVE)), ((4, 4), None));
    server
        .handle_datagram(now, &message(ACK, (0, 0), sent.mid, &[], &[], b""))
        .unwrap();
    server.notify(now, exchange, state("b"), Reliability::Confirmable);
    assert!(transmitted(&mut server).is_empty());
}

#[test]
fn a_refused_request_does_not_observe() {
    let now = Instant::now();
    let mut server = endpoint();
    server
        .handle_datagram(
            now,
            &message(
                CON,
                (0, 1),
                1,
                &[7],
                &[(OBSERVE, b""), (URI_PATH, b"s")],
                b"",
            ),
        )
        .unwrap();
    let (exchange, _) = requested(&mut server);
    assert!(!server.respond_observed(now, exchange, Response::new(Code::NOT_FOUND)));
}

#[test]
fn a_peer_holds_at_most_thirty_two_observations() {
    let now = Instant::now();
    let mut server = endpoint();
    let mut accepted = 0;
    for token in 0..40_u8 {
        let request = message(
            CON,
            (0, 1),
            token.into(),
            &[token],
            &[(OBSERVE, b""), (URI_PATH, b"s")],
            b"",
        );
        server.handle_datagram(now, &request).unwrap();
        let (exchange, _) = requested(&mut server);
        accepted += usize::from(server.respond_observed(now, exchange, state("a")));
    }
    assert_eq!(accepted, 32);
}

/// An observing client, its token, and the message that began the observation.
fn observing(now: Instant, config: Config) -> (Endpoint, softsim_coap::Token, Seen) {
    let mut client = Endpoint::new(config, 5);
    let token = client.request(now, Request::new(Method::Get, ["s"]).observing());
    let sent = only(&mut client);
    assert_eq!(sent.option(OBSERVE), Some(&[][..]));
    client
        .handle_datagram(
            now,
            &message(
                ACK,
                (2, 5),
                sent.mid,
                &sent.token,
                &[(OBSERVE, b"\x0a")],
                b"a",
            ),
        )
        .unwrap();
    assert!(
        matches!(events(&mut client).as_slice(), [Event::Response { response, .. }] if response.observe == Some(10))
    );
    (client, token, sent)
}

#[test]
fn notifications_come_under_the_request_that_asked_for_them() {
    let now = Instant::now();
    let (mut client, token, sent) = observing(now, Config::default());
    client
        .handle_datagram(
            now,
            &message(CON, (2, 5), 50, &sent.token, &[(OBSERVE, b"\x0b")], b"b"),
        )
        .unwrap();
    assert_eq!(only(&mut client).kind, ACK);
    let happened = events(&mut client);
    assert!(
        matches!(&happened[..], [Event::Notification { token: same, response }] if *same == token && response.payload == b"b")
    );
}

#[test]
fn older_notifications_are_acknowledged_and_dropped() {
    let now = Instant::now();
    let (mut client, _, sent) = observing(now, Config::default());
    // These are older than 10, or newer only by wrapping around 2^24.
    let table: [(&[u8], u64, usize); 5] = [
        (b"\x09", 0, 0),
        (b"\x0a", 0, 0),
        (b"\xff\xff\xff", 0, 0),
        (b"\x0b", 0, 1),
        (b"\x05", 129, 1),
    ];
    for (index, (number, seconds, notifications)) in table.into_iter().enumerate() {
        let at = now + Duration::from_secs(seconds);
        let datagram = message(
            CON,
            (2, 5),
            50 + index as u16,
            &sent.token,
            &[(OBSERVE, number)],
            b"b",
        );
        client.handle_datagram(at, &datagram).unwrap();
        assert_eq!(only(&mut client).kind, ACK);
        assert_eq!(events(&mut client).len(), notifications, "{number:?}");
    }
}

#[test]
fn an_error_notification_ends_the_observation() {
    let now = Instant::now();
    let (mut client, _, sent) = observing(now, Config::default());
    client
        .handle_datagram(now, &message(CON, (4, 4), 50, &sent.token, &[], b""))
        .unwrap();
    assert_eq!(only(&mut client).kind, ACK);
    assert_eq!(events(&mut client).len(), 1);
    client
        .handle_datagram(
            now,
            &message(CON, (2, 5), 51, &sent.token, &[(OBSERVE, b"\x0b")], b"b"),
        )
        .unwrap();
    assert_eq!(only(&mut client).kind, RST);
}

#[test]
fn an_observation_is_cancelled_with_its_own_token() {
    let now = Instant::now();
    let (mut client, token, sent) = observing(now, Config::default());
    client.cancel_observation(now, token);
    let cancel = only(&mut client);
    assert_eq!(cancel.option(OBSERVE), Some(&[1][..]));
    assert_eq!(cancel.token, sent.token);
    client
        .handle_datagram(
            now,
            &message(ACK, (2, 5), cancel.mid, &cancel.token, &[], b"z"),
        )
        .unwrap();
    assert!(
        matches!(events(&mut client).as_slice(), [Event::Response { token: same, .. }] if *same == token)
    );
}

#[test]
fn the_rest_of_a_long_notification_is_fetched_before_it_is_handed_over() {
    let now = Instant::now();
    let config = Config {
        block_size: BlockSize::MIN,
        ..Config::default()
    };
    let (mut client, token, sent) = observing(now, config);
    let options: [(u16, &[u8]); 2] = [(OBSERVE, b"\x0b"), (BLOCK2, &block(0, true, 0))];
    client
        .handle_datagram(
            now,
            &message(CON, (2, 5), 50, &sent.token, &options, &[b'x'; 16]),
        )
        .unwrap();
    assert!(events(&mut client).is_empty());
    let sent = transmitted(&mut client);
    let next = sent.iter().find(|sent| sent.kind == CON).unwrap();
    assert_eq!(
        (next.option(BLOCK2), next.option(OBSERVE)),
        (Some(&block(1, false, 0)[..]), None)
    );
    client
        .handle_datagram(
            now,
            &message(
                ACK,
                (2, 5),
                next.mid,
                &next.token,
                &[(BLOCK2, &block(1, false, 0))],
                b"y",
            ),
        )
        .unwrap();
    let happened = events(&mut client);
    let [
        Event::Notification {
            token: same,
            response,
        },
    ] = &happened[..]
    else {
        panic!("{happened:?}")
    };
    assert_eq!(
        (*same, response.payload.len(), response.observe),
        (token, 17, Some(11))
    );
}
