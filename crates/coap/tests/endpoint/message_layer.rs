//! RFC 7252: messages, acknowledgements, retransmission, deduplication, and rejection.

use std::time::{Duration, Instant};

use softsim_coap::{
    Code, Event, FailureReason, FormatError, Method, Observe, Reliability, Request, Response,
};

use crate::common::*;

const TEMPERATURE: [(u16, &[u8]); 1] = [(URI_PATH, b"temperature")];

fn content(payload: &[u8]) -> Response {
    Response {
        payload: payload.to_vec(),
        ..Response::new(Code::CONTENT)
    }
}

#[test]
fn a_request_is_answered_as_in_rfc_7252_figure_16() {
    let now = Instant::now();
    let mut server = endpoint();
    let request = hex::decode("40017d34bb74656d7065726174757265").unwrap();
    server.handle_datagram(now, &request).unwrap();
    let (exchange, request) = requested(&mut server);
    assert_eq!(request, Request::new(Method::Get, ["temperature"]));
    server.respond(now, exchange, content(b"22.3 C"));
    assert_eq!(
        hex::encode(server.poll_transmit().unwrap()),
        "60457d34ff32322e332043"
    );
}

#[test]
fn a_token_is_given_back_as_in_rfc_7252_figure_17() {
    let now = Instant::now();
    let mut server = endpoint();
    let request = hex::decode("41017d3520bb74656d7065726174757265").unwrap();
    server.handle_datagram(now, &request).unwrap();
    let (exchange, _) = requested(&mut server);
    server.respond(now, exchange, content(b"22.3 C"));
    assert_eq!(
        hex::encode(server.poll_transmit().unwrap()),
        "61457d3520ff32322e332043"
    );
}

#[test]
fn a_repeated_request_is_acted_on_once_and_answered_alike() {
    let now = Instant::now();
    let mut server = endpoint();
    let request = message(CON, (0, 2), 9, &[1], &TEMPERATURE, b"");
    server.handle_datagram(now, &request).unwrap();
    let (exchange, _) = requested(&mut server);
    server.respond(now, exchange, content(b"once"));
    let answer = only(&mut server);
    for _ in 0..3 {
        server.handle_datagram(now, &request).unwrap();
        assert_eq!(only(&mut server), answer);
        assert!(events(&mut server).is_empty());
    }
}

#[test]
fn a_message_id_may_come_again_after_the_exchange_lifetime() {
    let now = Instant::now();
    let mut server = endpoint();
    let request = message(CON, (0, 1), 9, &[1], &TEMPERATURE, b"");
    server.handle_datagram(now, &request).unwrap();
    requested(&mut server);
    server
        .handle_datagram(now + Duration::from_secs(248), &request)
        .unwrap();
    requested(&mut server);
}

#[test]
fn a_slow_answer_comes_separately_and_is_retransmitted_until_it_is_acknowledged() {
    let now = Instant::now();
    let mut server = endpoint();
    server
        .handle_datagram(now, &message(CON, (0, 1), 9, &[5], &TEMPERATURE, b""))
        .unwrap();
    let (exchange, _) = requested(&mut server);
    let due = server.poll_timeout().unwrap();
    assert_eq!(due, now + Duration::from_millis(500));
    server.handle_timeout(due);
    let acknowledgement = only(&mut server);
    assert_eq!(
        (
            acknowledgement.kind,
            acknowledgement.code,
            acknowledgement.mid
        ),
        (ACK, (0, 0), 9)
    );

    server.respond(due, exchange, content(b"late"));
    let answer = only(&mut server);
    assert_eq!(
        (answer.kind, answer.code, answer.token.as_slice()),
        (CON, (2, 5), &[5][..])
    );
    let due = server.poll_timeout().unwrap();
    server.handle_timeout(due);
    assert_eq!(only(&mut server), answer);
    server
        .handle_datagram(due, &message(ACK, (0, 0), answer.mid, &[], &[], b""))
        .unwrap();
    assert_eq!(server.poll_timeout(), None);
}

#[test]
fn a_request_repeated_before_its_answer_is_acknowledged() {
    let now = Instant::now();
    let mut server = endpoint();
    let request = message(CON, (0, 1), 9, &[5], &TEMPERATURE, b"");
    server.handle_datagram(now, &request).unwrap();
    server.handle_datagram(now, &request).unwrap();
    assert_eq!(
        only(&mut server),
        look(&message(ACK, (0, 0), 9, &[], &[], b""))
    );
    assert_eq!(events(&mut server).len(), 1);
}

#[test]
fn a_request_is_retransmitted_four_times_with_doubling_intervals_and_given_up() {
    let start = Instant::now();
    let mut client = endpoint();
    let token = client.request(start, Request::new(Method::Get, ["temperature"]));
    let first = only(&mut client);
    let (mut at, mut intervals) = (start, Vec::new());
    while let Some(due) = client.poll_timeout() {
        intervals.push(due - at);
        at = due;
        client.handle_timeout(at);
        assert!(
            transmitted(&mut client)
                .iter()
                .all(|repeated| *repeated == first)
        );
    }
    assert_eq!(intervals.len(), 5);
    assert_eq!(client.retransmissions(), 4);
    // ACK_TIMEOUT 2 s, ACK_RANDOM_FACTOR 1.5.
    assert!((2.0..3.0).contains(&intervals[0].as_secs_f64()));
    assert!(intervals.windows(2).all(|pair| pair[1] == pair[0] * 2));
    assert_eq!(
        events(&mut client),
        [Event::Failed {
            token,
            reason: FailureReason::Timeout
        }]
    );
}

#[test]
fn jitter_and_tokens_come_from_the_seed() {
    let now = Instant::now();
    let run = |seed| {
        let mut client = softsim_coap::Endpoint::new(softsim_coap::Config::default(), seed);
        client.request(now, Request::new(Method::Get, ["x"]));
        (only(&mut client), client.poll_timeout())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn an_acknowledged_request_waits_for_its_separate_response() {
    let now = Instant::now();
    let mut client = endpoint();
    let token = client.request(now, Request::new(Method::Get, ["temperature"]));
    let sent = only(&mut client);
    client
        .handle_datagram(now, &message(ACK, (0, 0), sent.mid, &[], &[], b""))
        .unwrap();
    assert!(events(&mut client).is_empty());
    client
        .handle_datagram(now, &message(CON, (2, 5), 77, &sent.token, &[], b"22"))
        .unwrap();
    assert_eq!(
        only(&mut client),
        look(&message(ACK, (0, 0), 77, &[], &[], b""))
    );
    assert_eq!(
        events(&mut client),
        [Event::Response {
            token,
            response: content(b"22")
        }]
    );
    // The message is repeated, because the acknowledgement was lost.
    client
        .handle_datagram(now, &message(CON, (2, 5), 77, &sent.token, &[], b"22"))
        .unwrap();
    assert_eq!(only(&mut client).kind, ACK);
    assert!(events(&mut client).is_empty());
}

#[test]
fn a_separate_response_stands_for_the_acknowledgement_that_was_lost() {
    let now = Instant::now();
    let mut client = endpoint();
    client.request(now, Request::new(Method::Get, ["temperature"]));
    let sent = only(&mut client);
    client
        .handle_datagram(now, &message(NON, (2, 5), 77, &sent.token, &[], b"22"))
        .unwrap();
    assert_eq!(events(&mut client).len(), 1);
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn an_acknowledged_request_without_a_response_fails_in_the_end() {
    let now = Instant::now();
    let mut client = endpoint();
    let token = client.request(now, Request::new(Method::Get, ["temperature"]));
    let sent = only(&mut client);
    client
        .handle_datagram(now, &message(ACK, (0, 0), sent.mid, &[], &[], b""))
        .unwrap();
    let due = client.poll_timeout().unwrap();
    client.handle_timeout(due);
    assert_eq!(
        events(&mut client),
        [Event::Failed {
            token,
            reason: FailureReason::Timeout
        }]
    );
}

#[test]
fn a_reset_request_fails() {
    let now = Instant::now();
    let mut client = endpoint();
    let token = client.request(now, Request::new(Method::Get, ["temperature"]));
    let sent = only(&mut client);
    client
        .handle_datagram(now, &message(RST, (0, 0), sent.mid, &[], &[], b""))
        .unwrap();
    assert_eq!(
        events(&mut client),
        [Event::Failed {
            token,
            reason: FailureReason::Reset
        }]
    );
}

#[test]
fn one_confirmable_message_is_in_flight_at_a_time() {
    let now = Instant::now();
    let mut client = endpoint();
    client.request(now, Request::new(Method::Get, ["a"]));
    client.request(now, Request::new(Method::Get, ["b"]));
    let first = only(&mut client);
    client
        .handle_datagram(
            now,
            &message(ACK, (2, 5), first.mid, &first.token, &[], b"1"),
        )
        .unwrap();
    assert_eq!(only(&mut client).option(URI_PATH), Some(&b"b"[..]));
}

#[test]
fn an_acknowledgement_with_a_foreign_token_or_message_id_changes_nothing() {
    let now = Instant::now();
    let mut client = endpoint();
    client.request(now, Request::new(Method::Get, ["a"]));
    let sent = only(&mut client);
    for (mid, token) in [(sent.mid, &[9_u8][..]), (sent.mid ^ 1, &sent.token)] {
        client
            .handle_datagram(now, &message(ACK, (2, 5), mid, token, &[], b"x"))
            .unwrap();
    }
    assert!(events(&mut client).is_empty() && transmitted(&mut client).is_empty());
    client
        .handle_datagram(now, &message(ACK, (2, 5), sent.mid, &sent.token, &[], b"y"))
        .unwrap();
    assert_eq!(events(&mut client).len(), 1);
}

#[test]
fn a_non_confirmable_request_is_answered_non_confirmably() {
    let now = Instant::now();
    let mut server = endpoint();
    server
        .handle_datagram(now, &message(NON, (0, 1), 9, &[5], &TEMPERATURE, b""))
        .unwrap();
    let (exchange, request) = requested(&mut server);
    assert_eq!(request.reliability, Reliability::NonConfirmable);
    server.respond(now, exchange, content(b"22"));
    let answer = only(&mut server);
    assert_eq!((answer.kind, answer.token.as_slice()), (NON, &[5][..]));
}

#[test]
fn a_ping_is_reset() {
    let mut server = endpoint();
    server
        .handle_datagram(Instant::now(), &message(CON, (0, 0), 9, &[], &[], b""))
        .unwrap();
    assert_eq!(
        only(&mut server),
        look(&message(RST, (0, 0), 9, &[], &[], b""))
    );
}

#[test]
fn a_response_that_nobody_asked_for_is_reset() {
    let mut client = endpoint();
    client
        .handle_datagram(Instant::now(), &message(CON, (2, 5), 9, &[1], &[], b"x"))
        .unwrap();
    assert_eq!(only(&mut client).kind, RST);
    assert!(events(&mut client).is_empty());
}

#[test]
fn malformed_messages_are_told_apart_and_confirmable_ones_are_reset() {
    let malformed = |mid| FormatError::Malformed { mid };
    let table: &[(&str, FormatError, bool)] = &[
        ("", FormatError::TooShort { length: 0 }, false),
        ("4001", FormatError::TooShort { length: 2 }, false),
        ("00010001", FormatError::Version { version: 0 }, false),
        ("80010001", FormatError::Version { version: 2 }, false),
        // Octets after the header of an empty message.
        ("4000000100", FormatError::NotEmpty { mid: 1 }, true),
        ("60000001ff", FormatError::NotEmpty { mid: 1 }, false),
        // A token of nine octets, and a missing token.
        ("49010002010203040506070809", malformed(2), true),
        ("4201000201", malformed(2), true),
        // A payload marker without a payload.
        ("40010003ff", malformed(3), true),
        ("50010003ff", malformed(3), false),
        // An option longer than the message, the reserved nibbles, a missing extension, and a
        // number above 65535.
        ("40010004b5616263", malformed(4), true),
        ("40010004f0", malformed(4), true),
        ("400100040f", malformed(4), true),
        ("40010004d0", malformed(4), true),
        ("40010004e0ff", malformed(4), true),
        ("40010004e0ffff", malformed(4), true),
    ];
    for (octets, expected, reset) in table {
        let mut endpoint = endpoint();
        let error = endpoint
            .handle_datagram(Instant::now(), &hex::decode(octets).unwrap())
            .unwrap_err();
        assert_eq!(error, *expected, "{octets}");
        let answers = transmitted(&mut endpoint);
        assert_eq!(
            answers.iter().map(|answer| answer.kind).collect::<Vec<_>>(),
            vec![RST; usize::from(*reset)]
        );
        assert!(events(&mut endpoint).is_empty());
    }
}

#[test]
fn critical_options_that_are_not_understood_are_refused_and_elective_ones_passed_over() {
    let long = [b'x'; 12];
    let table: &[(Options<'_>, Option<(u8, u8)>)] = &[
        // Unknown: 9 is OSCORE, 13 and 65001 are free; 14 is Max-Age, 2048 and 65000 are elective.
        (&[(9, b"")], Some((4, 2))),
        (&[(13, b"x")], Some((4, 2))),
        (&[(14, b"x")], None),
        (&[(100, b"x")], None),
        // Conditions are not supported: If-Match, If-None-Match.
        (&[(1, b"")], Some((4, 2))),
        (&[(5, b"")], Some((4, 2))),
        // Accept twice, and too long.
        (&[(17, b"\x28"), (17, b"\x28")], Some((4, 2))),
        (&[(17, b"\0\0\x28")], Some((4, 2))),
        // Content-Format twice, and too long: elective.
        (&[(12, b"\x28"), (12, b"\x28")], None),
        (&[(12, b"\0\0\x28")], None),
        // A path that isn't UTF-8, and host and port, which the endpoint ignores.
        (&[(11, b"\xff")], Some((4, 2))),
        (&[(3, &long), (7, b"\x16\x33")], None),
        (&[(3, b"")], Some((4, 2))),
        // SZX 7, and a block number of more than 20 bits.
        (&[(27, b"\x07")], Some((4, 0))),
        (&[(23, b"\x07")], Some((4, 0))),
        (&[(23, b"\0\0\0\0")], Some((4, 0))),
        // A request for a proxy.
        (&[(35, b"coap://x")], Some((5, 5))),
        (&[(39, b"coap")], Some((5, 5))),
    ];
    for (options, refusal) in table {
        let mut server = endpoint();
        server
            .handle_datagram(Instant::now(), &message(CON, (0, 1), 1, &[2], options, b""))
            .unwrap();
        let answers = transmitted(&mut server);
        assert_eq!(
            answers.iter().map(|answer| answer.code).collect::<Vec<_>>(),
            Vec::from_iter(*refusal),
            "{options:?}"
        );
        assert_eq!(
            events(&mut server).len(),
            usize::from(refusal.is_none()),
            "{options:?}"
        );
        // A non-confirmable request has no acknowledgement that could carry the refusal, so the
        // endpoint ignores it.
        let mut server = endpoint();
        server
            .handle_datagram(Instant::now(), &message(NON, (0, 1), 1, &[2], options, b""))
            .unwrap();
        assert!(transmitted(&mut server).is_empty());
        assert_eq!(events(&mut server).len(), usize::from(refusal.is_none()));
    }
}

#[test]
fn an_unknown_method_is_not_allowed() {
    let mut server = endpoint();
    server
        .handle_datagram(Instant::now(), &message(CON, (0, 30), 1, &[2], &[], b""))
        .unwrap();
    assert_eq!(only(&mut server).code, (4, 5));
}

#[test]
fn codes_of_reserved_classes_are_rejected() {
    for class in [1, 3, 6, 7] {
        let mut server = endpoint();
        server
            .handle_datagram(Instant::now(), &message(CON, (class, 1), 1, &[2], &[], b""))
            .unwrap();
        assert_eq!(only(&mut server).kind, RST);
        server
            .handle_datagram(Instant::now(), &message(NON, (class, 1), 2, &[2], &[], b""))
            .unwrap();
        assert!(transmitted(&mut server).is_empty() && events(&mut server).is_empty());
    }
}

#[test]
fn a_response_with_an_unknown_critical_option_fails_its_request() {
    let now = Instant::now();
    let mut client = endpoint();
    let token = client.request(now, Request::new(Method::Get, ["a"]));
    let sent = only(&mut client);
    client
        .handle_datagram(
            now,
            &message(ACK, (2, 5), sent.mid, &sent.token, &[(13, b"x")], b""),
        )
        .unwrap();
    assert_eq!(
        events(&mut client),
        [Event::Failed {
            token,
            reason: FailureReason::Unintelligible
        }]
    );
}

#[test]
fn no_more_than_sixteen_requests_wait_for_the_application() {
    let now = Instant::now();
    let mut server = endpoint();
    for mid in 0..20 {
        server
            .handle_datagram(now, &message(CON, (0, 1), mid, &[2], &[], b""))
            .unwrap();
    }
    assert_eq!(events(&mut server).len(), 16);
    assert!(
        transmitted(&mut server)
            .iter()
            .all(|answer| answer.code == (5, 3))
    );
}

#[test]
fn a_request_says_what_the_application_put_into_it() {
    let now = Instant::now();
    let mut client = endpoint();
    client.request(
        now,
        Request::new(Method::Post, ["rd"])
            .query("ep=gw1")
            .query("lt=300")
            .body(40, *b"</>")
            .accept(60),
    );
    let sent = only(&mut client);
    assert_eq!((sent.kind, sent.code), (CON, (0, 2)));
    let expected: [(u16, &[u8]); 5] = [
        (URI_PATH, b"rd"),
        (CONTENT_FORMAT, b"\x28"),
        (15, b"ep=gw1"),
        (15, b"lt=300"),
        (17, b"\x3c"),
    ];
    assert_eq!(
        sent.options,
        expected.map(|(number, value)| (number, value.to_vec()))
    );
    assert_eq!(sent.payload, b"</>");
}

#[test]
fn what_a_request_carries_is_what_the_application_sees() {
    let now = Instant::now();
    let mut server = endpoint();
    let options: [(u16, &[u8]); 6] = [
        (OBSERVE, b""),
        (URI_PATH, b"1"),
        (URI_PATH, b"0"),
        (CONTENT_FORMAT, b"\x2d\x16"),
        (15, b"pmin=1"),
        (17, b"\x70"),
    ];
    server
        .handle_datagram(now, &message(NON, (0, 5), 1, &[], &options, b"body"))
        .unwrap();
    let (_, request) = requested(&mut server);
    let expected = Request {
        observe: Some(Observe::Register),
        reliability: Reliability::NonConfirmable,
        ..Request::new(Method::Fetch, ["1", "0"])
            .body(11542, *b"body")
            .query("pmin=1")
            .accept(112)
    };
    assert_eq!(request, expected);
}
