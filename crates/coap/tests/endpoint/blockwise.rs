//! RFC 7959: bodies in blocks, in both directions and both roles.

use std::time::{Duration, Instant};

use softsim_coap::{
    BlockSize, Code, Config, Endpoint, Event, FailureReason, Method, Request, Response,
};

use crate::common::*;

/// Blocks of 16 octets and bodies of up to 100.
fn small() -> Endpoint {
    Endpoint::new(
        Config {
            block_size: BlockSize::MIN,
            max_body: 100,
            ..Config::default()
        },
        3,
    )
}

fn put(mid: u16, block1: [u8; 1], payload: &[u8]) -> Vec<u8> {
    message(
        CON,
        (0, 3),
        mid,
        &[mid as u8],
        &[(URI_PATH, b"options"), (BLOCK1, &block1)],
        payload,
    )
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|index| index as u8).collect()
}

#[test]
fn an_upload_goes_as_in_rfc_7959_figure_7() {
    let now = Instant::now();
    let mut server = endpoint();
    let body = body(300);
    // 1:0/1/128, 1:1/1/128, 1:2/0/128.
    for (number, part) in [&body[..128], &body[128..256]].into_iter().enumerate() {
        server
            .handle_datagram(
                now,
                &put(1234 + number as u16, block(number as u8, true, 3), part),
            )
            .unwrap();
        let answer = only(&mut server);
        assert_eq!((answer.kind, answer.code), (ACK, (2, 31)));
        assert_eq!(
            answer.option(BLOCK1),
            Some(&block(number as u8, true, 3)[..])
        );
    }
    server
        .handle_datagram(now, &put(1236, block(2, false, 3), &body[256..]))
        .unwrap();
    let (exchange, request) = requested(&mut server);
    assert_eq!(request.payload, body);
    server.respond(now, exchange, Response::new(Code::CHANGED));
    let answer = only(&mut server);
    assert_eq!(
        (answer.code, answer.option(BLOCK1)),
        ((2, 4), Some(&block(2, false, 3)[..]))
    );
}

#[test]
fn a_gap_in_an_upload_is_4_08_and_the_upload_can_go_on() {
    let now = Instant::now();
    let mut server = small();
    let body = body(48);
    server
        .handle_datagram(now, &put(1, block(0, true, 0), &body[..16]))
        .unwrap();
    assert_eq!(only(&mut server).code, (2, 31));
    server
        .handle_datagram(now, &put(2, block(2, false, 0), &body[32..]))
        .unwrap();
    assert_eq!(only(&mut server).code, (4, 8));
    server
        .handle_datagram(now, &put(3, block(1, true, 0), &body[16..32]))
        .unwrap();
    assert_eq!(only(&mut server).code, (2, 31));
    server
        .handle_datagram(now, &put(4, block(2, false, 0), &body[32..]))
        .unwrap();
    assert_eq!(requested(&mut server).1.payload, body);
}

#[test]
fn an_upload_that_starts_in_the_middle_is_4_08() {
    let mut server = small();
    server
        .handle_datagram(Instant::now(), &put(1, block(1, true, 0), &[0; 16]))
        .unwrap();
    assert_eq!(only(&mut server).code, (4, 8));
}

#[test]
fn blocks_of_another_target_are_another_upload() {
    let now = Instant::now();
    let mut server = small();
    server
        .handle_datagram(now, &put(1, block(0, true, 0), &[1; 16]))
        .unwrap();
    let other = message(
        CON,
        (0, 3),
        2,
        &[2],
        &[(URI_PATH, b"other"), (BLOCK1, &block(1, false, 0))],
        &[2; 4],
    );
    transmitted(&mut server);
    server.handle_datagram(now, &other).unwrap();
    assert_eq!(only(&mut server).code, (4, 8));
}

#[test]
fn a_first_block_begins_the_upload_anew() {
    let now = Instant::now();
    let mut server = small();
    server
        .handle_datagram(now, &put(1, block(0, true, 0), &[1; 16]))
        .unwrap();
    server
        .handle_datagram(now, &put(2, block(0, true, 0), &[2; 16]))
        .unwrap();
    server
        .handle_datagram(now, &put(3, block(1, false, 0), &[3; 1]))
        .unwrap();
    assert_eq!(
        requested(&mut server).1.payload,
        [vec![2; 16], vec![3]].concat()
    );
}

#[test]
fn an_upload_beyond_the_limit_is_4_13_with_the_limit() {
    let now = Instant::now();
    let mut server = small();
    for number in 0..6 {
        server
            .handle_datagram(now, &put(number, block(number as u8, true, 0), &[0; 16]))
            .unwrap();
        assert_eq!(only(&mut server).code, (2, 31));
    }
    server
        .handle_datagram(now, &put(6, block(6, true, 0), &[0; 16]))
        .unwrap();
    let answer = only(&mut server);
    assert_eq!(
        (answer.code, answer.option(SIZE1)),
        ((4, 13), Some(&[100][..]))
    );
    // The endpoint has discarded the blocks.
    server
        .handle_datagram(now, &put(7, block(6, false, 0), &[0; 1]))
        .unwrap();
    assert_eq!(only(&mut server).code, (4, 8));
}

#[test]
fn an_announced_size_beyond_the_limit_is_4_13_at_once() {
    let mut server = small();
    let options: [(u16, &[u8]); 3] = [
        (URI_PATH, b"options"),
        (BLOCK1, &block(0, true, 0)),
        (SIZE1, &[101]),
    ];
    server
        .handle_datagram(
            Instant::now(),
            &message(CON, (0, 3), 1, &[], &options, &[0; 16]),
        )
        .unwrap();
    let answer = only(&mut server);
    assert_eq!(
        (answer.code, answer.option(SIZE1)),
        ((4, 13), Some(&[100][..]))
    );
}

#[test]
fn a_block_whose_length_contradicts_its_option_is_4_00() {
    for (block1, length) in [
        (block(0, true, 0), 15),
        (block(0, true, 0), 17),
        (block(0, false, 0), 17),
    ] {
        let mut server = small();
        server
            .handle_datagram(Instant::now(), &put(1, block1, &vec![0; length]))
            .unwrap();
        assert_eq!(only(&mut server).code, (4, 0));
        assert!(events(&mut server).is_empty());
    }
}

#[test]
fn an_upload_that_falls_silent_is_forgotten() {
    let now = Instant::now();
    let mut server = small();
    server
        .handle_datagram(now, &put(1, block(0, true, 0), &[0; 16]))
        .unwrap();
    transmitted(&mut server);
    server
        .handle_datagram(
            now + Duration::from_secs(248),
            &put(2, block(1, false, 0), &[0]),
        )
        .unwrap();
    assert_eq!(only(&mut server).code, (4, 8));
}

#[test]
fn at_most_four_uploads_are_kept_and_the_oldest_goes_first() {
    let now = Instant::now();
    let mut server = small();
    let part = |mid: u16, name: u8, block1: [u8; 1], payload: &[u8]| {
        message(
            CON,
            (0, 3),
            mid,
            &[],
            &[(URI_PATH, &[name]), (BLOCK1, &block1)],
            payload,
        )
    };
    for name in b'a'..=b'e' {
        server
            .handle_datagram(
                now,
                &part(name.into(), name, block(0, true, 0), &[name; 16]),
            )
            .unwrap();
    }
    transmitted(&mut server);
    server
        .handle_datagram(now, &part(200, b'a', block(1, false, 0), b"!"))
        .unwrap();
    assert_eq!(only(&mut server).code, (4, 8));
    server
        .handle_datagram(now, &part(201, b'e', block(1, false, 0), b"!"))
        .unwrap();
    assert_eq!(
        requested(&mut server).1.payload,
        [&[b'e'; 16][..], b"!"].concat()
    );
}

#[test]
fn the_server_asks_for_smaller_blocks_and_the_client_obeys() {
    let now = Instant::now();
    let mut client = Endpoint::new(
        Config {
            block_size: BlockSize::from_szx(1).unwrap(),
            ..Config::default()
        },
        3,
    );
    let body = body(50);
    let token = client.request(now, Request::new(Method::Put, ["x"]).body(42, body.clone()));
    let first = only(&mut client);
    assert_eq!(
        (first.option(BLOCK1), first.option(SIZE1)),
        (Some(&block(0, true, 1)[..]), Some(&[50][..]))
    );
    assert_eq!(first.payload, body[..32]);
    let answer = message(
        ACK,
        (2, 31),
        first.mid,
        &first.token,
        &[(BLOCK1, &block(0, true, 0))],
        b"",
    );
    client.handle_datagram(now, &answer).unwrap();
    for (number, range) in [(2, 32..48), (3, 48..50)] {
        let next = only(&mut client);
        let more = number == 2;
        assert_eq!(next.option(BLOCK1), Some(&block(number, more, 0)[..]));
        assert_eq!(next.payload, body[range]);
        assert_ne!(next.token, first.token);
        let code = if more { (2, 31) } else { (2, 4) };
        let answer = message(
            ACK,
            code,
            next.mid,
            &next.token,
            &[(BLOCK1, &block(number, more, 0))],
            b"",
        );
        client.handle_datagram(now, &answer).unwrap();
    }
    assert_eq!(
        events(&mut client),
        [Event::Response {
            token,
            response: Response::new(Code::CHANGED)
        }]
    );
}

#[test]
fn a_4_13_with_a_smaller_size_makes_the_client_begin_again() {
    let now = Instant::now();
    let mut client = endpoint();
    client.request(now, Request::new(Method::Put, ["x"]).body(42, body(40)));
    let first = only(&mut client);
    assert_eq!(first.option(BLOCK1), None);
    let answer = message(
        ACK,
        (4, 13),
        first.mid,
        &first.token,
        &[(BLOCK1, &block(0, false, 1))],
        b"",
    );
    client.handle_datagram(now, &answer).unwrap();
    assert_eq!(
        only(&mut client).option(BLOCK1),
        Some(&block(0, true, 1)[..])
    );
}

#[test]
fn an_upload_whose_answers_do_not_fit_fails() {
    let answers: [(Options<'_>, (u8, u8)); 4] = [
        (&[], (2, 31)),
        (&[(BLOCK1, &[0x18])], (2, 31)),
        // A success before the last block.
        (&[(BLOCK1, &[0x08])], (2, 4)),
        (&[], (2, 4)),
    ];
    for (options, code) in answers {
        let now = Instant::now();
        let mut client = small();
        let token = client.request(now, Request::new(Method::Put, ["x"]).body(42, body(40)));
        let first = only(&mut client);
        client
            .handle_datagram(
                now,
                &message(ACK, code, first.mid, &first.token, options, b""),
            )
            .unwrap();
        assert_eq!(
            events(&mut client),
            [Event::Failed {
                token,
                reason: FailureReason::BlockMismatch
            }]
        );
    }
}

#[test]
fn an_error_in_the_middle_of_an_upload_is_its_answer() {
    let now = Instant::now();
    let mut client = small();
    let token = client.request(now, Request::new(Method::Put, ["x"]).body(42, body(40)));
    let first = only(&mut client);
    client
        .handle_datagram(
            now,
            &message(ACK, (4, 1), first.mid, &first.token, &[], b""),
        )
        .unwrap();
    assert_eq!(
        events(&mut client),
        [Event::Response {
            token,
            response: Response::new(Code::UNAUTHORIZED)
        }]
    );
}

fn get(mid: u16, block2: Option<[u8; 1]>) -> Vec<u8> {
    let block2 = block2.as_ref().map(|value| (BLOCK2, &value[..]));
    let options: Vec<(u16, &[u8])> = [(URI_PATH, &b"status"[..])]
        .into_iter()
        .chain(block2)
        .collect();
    message(CON, (0, 1), mid, &[mid as u8], &options, b"")
}

#[test]
fn a_long_answer_is_served_block_by_block_as_in_rfc_7959_figure_2() {
    let now = Instant::now();
    let mut server = small();
    let body = body(40);
    server.handle_datagram(now, &get(1, None)).unwrap();
    let (exchange, _) = requested(&mut server);
    server.respond(now, exchange, Response::content(42, body.clone()));
    let first = only(&mut server);
    assert_eq!(
        (first.code, first.option(BLOCK2)),
        ((2, 5), Some(&block(0, true, 0)[..]))
    );
    let etag = first.option(4).unwrap().to_vec();
    let mut received = first.payload;
    for number in 1..3 {
        server
            .handle_datagram(
                now,
                &get(1 + u16::from(number), Some(block(number, false, 0))),
            )
            .unwrap();
        let next = only(&mut server);
        assert_eq!(next.option(BLOCK2), Some(&block(number, number < 2, 0)[..]));
        assert_eq!(next.option(4), Some(&etag[..]));
        received.extend(next.payload);
    }
    assert_eq!(received, body);
    assert!(
        events(&mut server).is_empty(),
        "the application is asked once"
    );
}

#[test]
fn the_client_may_ask_for_smaller_blocks() {
    let now = Instant::now();
    let mut server = endpoint();
    server
        .handle_datagram(now, &get(1, Some(block(0, false, 0))))
        .unwrap();
    let (exchange, _) = requested(&mut server);
    server.respond(now, exchange, Response::content(42, body(40)));
    let first = only(&mut server);
    assert_eq!(
        (first.option(BLOCK2), first.payload.len()),
        (Some(&block(0, true, 0)[..]), 16)
    );
}

#[test]
fn a_block_behind_the_end_is_4_00() {
    let now = Instant::now();
    let mut server = small();
    server
        .handle_datagram(now, &get(1, Some(block(3, false, 0))))
        .unwrap();
    let (exchange, _) = requested(&mut server);
    server.respond(now, exchange, Response::content(42, body(40)));
    assert_eq!(only(&mut server).code, (4, 0));
}

#[test]
fn an_error_is_not_cut_into_blocks() {
    let now = Instant::now();
    let mut server = small();
    server
        .handle_datagram(now, &get(1, Some(block(3, false, 0))))
        .unwrap();
    let (exchange, _) = requested(&mut server);
    server.respond(now, exchange, Response::new(Code::NOT_FOUND));
    assert_eq!(only(&mut server).code, (4, 4));
}

#[test]
fn a_long_answer_whose_blocks_do_not_fit_fails() {
    let etag: (u16, &[u8]) = (4, b"e");
    let cases: [(Options<'_>, usize, FailureReason); 5] = [
        // A gap, a repeated block, another representation, a short block, and no block.
        (&[etag, (BLOCK2, &[0x20])], 4, FailureReason::BlockMismatch),
        (&[etag, (BLOCK2, &[0x08])], 16, FailureReason::BlockMismatch),
        (
            &[(4, b"f"), (BLOCK2, &[0x10])],
            4,
            FailureReason::BlockMismatch,
        ),
        (&[etag, (BLOCK2, &[0x18])], 4, FailureReason::BlockMismatch),
        (&[etag], 4, FailureReason::BlockMismatch),
    ];
    for (options, length, reason) in cases {
        let now = Instant::now();
        let mut client = small();
        let token = client.request(now, Request::new(Method::Get, ["x"]));
        let first = only(&mut client);
        let begun = message(
            ACK,
            (2, 5),
            first.mid,
            &first.token,
            &[etag, (BLOCK2, &[0x08])],
            &[0; 16],
        );
        client.handle_datagram(now, &begun).unwrap();
        let next = only(&mut client);
        assert_eq!(next.option(BLOCK2), Some(&block(1, false, 0)[..]));
        client
            .handle_datagram(
                now,
                &message(
                    ACK,
                    (2, 5),
                    next.mid,
                    &next.token,
                    options,
                    &vec![0; length],
                ),
            )
            .unwrap();
        assert_eq!(
            events(&mut client),
            [Event::Failed { token, reason }],
            "{options:?}"
        );
    }
}

#[test]
fn an_answer_beyond_the_limit_fails() {
    let now = Instant::now();
    let mut client = small();
    let token = client.request(now, Request::new(Method::Get, ["x"]));
    for number in 0..7 {
        let asked = only(&mut client);
        let answer = message(
            ACK,
            (2, 5),
            asked.mid,
            &asked.token,
            &[(BLOCK2, &block(number, true, 0))],
            &[0; 16],
        );
        client.handle_datagram(now, &answer).unwrap();
    }
    assert_eq!(
        events(&mut client),
        [Event::Failed {
            token,
            reason: FailureReason::TooLarge
        }]
    );
}
