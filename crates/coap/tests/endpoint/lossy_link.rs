//! Two endpoints over a link that loses, duplicates and reorders: every request has one outcome,
//! and bodies arrive complete.

use std::collections::BTreeMap;

use softsim_coap::{
    BlockSize, Code, Config, Event, FailureReason, Method, Reliability, Request, Response,
};

use crate::common::*;

fn small_blocks() -> Config {
    Config {
        block_size: BlockSize::from_szx(2).unwrap(),
        ..Config::default()
    }
}

/// Uploads a body in blocks, which the server returns reversed in blocks. Returns the client's
/// events and the number of requests that the server received.
fn echo(weather: Weather, seed: u64, length: usize) -> (Vec<Event>, usize) {
    let mut link = Link::new(small_blocks(), weather, seed);
    let body: Vec<u8> = (0..length).map(|index| (index * 7) as u8).collect();
    link.client.request(
        link.now,
        Request::new(Method::Post, ["echo"]).body(42, body.clone()),
    );
    let (mut outcomes, mut served) = (Vec::new(), 0);
    link.run(|side, now, at_server, event| match event {
        Event::Request { exchange, request } => {
            served += 1;
            assert_eq!(request.payload, body);
            let reversed: Vec<u8> = request.payload.into_iter().rev().collect();
            side.respond(
                now,
                exchange,
                Response {
                    content_format: Some(42),
                    payload: reversed,
                    ..Response::new(Code::CHANGED)
                },
            );
        }
        event => {
            assert!(!at_server);
            outcomes.push(event);
        }
    });
    (outcomes, served)
}

#[test]
fn bodies_survive_loss_duplication_and_reordering() {
    let mut succeeded = 0;
    for seed in 1..=200 {
        let weather = Weather {
            loss: 15,
            duplication: 10,
            reordering: 20,
        };
        let (outcomes, served) = echo(weather, seed, 1000);
        assert!(served <= 1, "a request is acted on once");
        match outcomes.as_slice() {
            [Event::Response { response, .. }] => {
                let reversed: Vec<u8> = (0..1000).map(|index| (index * 7) as u8).rev().collect();
                assert_eq!(response.payload, reversed);
                assert_eq!(served, 1);
                succeeded += 1;
            }
            [
                Event::Failed {
                    reason: FailureReason::Timeout,
                    ..
                },
            ] => {}
            other => panic!("seed {seed}: expected one outcome, got {other:?}"),
        }
    }
    // A message is lost for good only if it, or its answer, is lost five times in a row.
    assert!(succeeded >= 190, "{succeeded} of 200");
}

#[test]
fn on_a_clear_link_nothing_fails() {
    for length in [0, 1, 63, 64, 65, 128, 4000] {
        let weather = Weather {
            loss: 0,
            duplication: 0,
            reordering: 0,
        };
        let (outcomes, served) = echo(weather, 1, length);
        assert!(
            matches!(outcomes.as_slice(), [Event::Response { .. }]),
            "{length}: {outcomes:?}"
        );
        assert_eq!(served, 1);
    }
}

#[test]
fn on_a_dead_link_every_request_fails_once() {
    let weather = Weather {
        loss: 100,
        duplication: 0,
        reordering: 0,
    };
    let (outcomes, served) = echo(weather, 1, 1000);
    assert!(matches!(
        outcomes.as_slice(),
        [Event::Failed {
            reason: FailureReason::Timeout,
            ..
        }]
    ));
    assert_eq!(served, 0);
}

#[test]
fn an_observer_ends_up_with_the_last_state() {
    for seed in 1..=100 {
        let weather = Weather {
            loss: 10,
            duplication: 15,
            reordering: 30,
        };
        let mut link = Link::new(small_blocks(), weather, seed);
        link.client
            .request(link.now, Request::new(Method::Get, ["state"]).observing());
        let long = |number: u32| format!("{number:0>200}");
        let (mut shown, mut number, mut gone) = (BTreeMap::new(), 0, false);
        link.run(|side, now, _, event| match event {
            Event::Request { exchange, .. } if number == 0 => {
                side.respond_observed(now, exchange, Response::content(0, long(0)));
                for _ in 0..5 {
                    number += 1;
                    side.notify(
                        now,
                        exchange,
                        Response::content(0, long(number)),
                        Reliability::Confirmable,
                    );
                }
            }
            Event::Request { exchange, .. } => {
                side.respond(now, exchange, Response::content(0, long(number)))
            }
            Event::Response { response, .. } | Event::Notification { response, .. } => {
                shown.insert(shown.len(), response.payload);
            }
            Event::Failed { .. } | Event::ObserverGone { .. } => gone = true,
        });
        if !gone {
            assert_eq!(
                shown.values().last(),
                Some(&long(5).into_bytes()),
                "seed {seed}"
            );
        }
    }
}
