//! Complete bootstraps over a link that loses, duplicates and reorders: each takes effect
//! completely or not at all.

use std::time::{Duration, Instant};

use softsim_coap::{Code, Endpoint, Event as Coap, Response};
use softsim_lwm2m::{Client, Event, Output};

use crate::common::*;

/// A link with its own random numbers.
struct Weather(u64);

impl Weather {
    fn chance(&mut self, percent: u64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % 100 < percent
    }

    /// When the copies of a datagram arrive: none, one or two of them, early or late.
    fn arrivals(&mut self, now: Instant) -> Vec<Instant> {
        let copies = if self.chance(10) { 2 } else { 1 };
        let mut arrivals = Vec::new();
        for _ in 0..copies {
            if !self.chance(15) {
                let delay = if self.chance(20) { 700 } else { 20 };
                arrivals.push(now + Duration::from_millis(delay));
            }
        }
        arrivals
    }
}

/// The result of a bootstrap: the client's last event, and its actions before.
struct Outcome {
    client: Client,
    events: Vec<Event>,
}

fn bootstrap(seed: u64) -> Outcome {
    let mut now = Instant::now();
    let (mut client, mut server) = (Client::new(config(), factory(), seed), server_endpoint());
    let mut weather = Weather(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut script = bootstrap_script("coaps://dm.example", SSID).into_iter();
    let (mut in_flight, mut events) = (Vec::<(Instant, bool, Vec<u8>)>::new(), Vec::new());
    client.session_opened(now, BOOTSTRAP);
    for _ in 0..10_000 {
        while let Some(event) = server.poll_event() {
            advance(&mut server, now, event, &mut script);
        }
        while let Some(output) = client.poll_output() {
            match output {
                Output::Transmit { datagram, .. } => {
                    in_flight.extend(
                        weather
                            .arrivals(now)
                            .into_iter()
                            .map(|at| (at, true, datagram.clone())),
                    );
                }
                Output::Event(event) => {
                    match event {
                        Event::StagePackage { .. } => client.staged(now, Ok(())),
                        Event::Commit { .. } => client.committed(now, Ok(())),
                        _ => {}
                    }
                    events.push(event);
                }
            }
        }
        while let Some(datagram) = server.poll_transmit() {
            in_flight.extend(
                weather
                    .arrivals(now)
                    .into_iter()
                    .map(|at| (at, false, datagram.clone())),
            );
        }
        let timers = [client.poll_timeout(), server.poll_timeout()]
            .into_iter()
            .flatten();
        let Some(next) = in_flight.iter().map(|(at, ..)| *at).chain(timers).min() else {
            return Outcome { client, events };
        };
        now = now.max(next);
        while let Some(index) = in_flight.iter().position(|(at, ..)| *at <= now) {
            let (_, to_server, datagram) = in_flight.swap_remove(index);
            if to_server {
                server.handle_datagram(now, &datagram).unwrap();
            } else {
                client.handle_datagram(now, BOOTSTRAP, &datagram);
            }
        }
        client.handle_timeout(now);
        server.handle_timeout(now);
    }
    panic!("the bootstrap never ends");
}

/// The bootstrap server, which sends one request after the other, and stops when one fails.
fn advance(
    server: &mut Endpoint,
    now: Instant,
    event: Coap,
    script: &mut impl Iterator<Item = softsim_coap::Request>,
) {
    match event {
        Coap::Request { exchange, .. } => {
            server.respond(now, exchange, Response::new(Code::CHANGED))
        }
        Coap::Response { response, .. } => assert!(response.code.is_success(), "{response:?}"),
        _ => return,
    }
    if let Some(request) = script.next() {
        server.request(now, request);
    }
}

#[test]
fn a_bootstrap_over_a_bad_link_happens_whole_or_not_at_all() {
    let mut succeeded = 0;
    for seed in 1..=100 {
        let Outcome { client, events } = bootstrap(seed);
        let commits = events
            .iter()
            .filter(|event| matches!(event, Event::Commit { .. }))
            .count();
        let packages = events
            .iter()
            .filter(|event| matches!(event, Event::StagePackage { .. }))
            .count();
        assert!(packages <= 1 && commits <= 1, "seed {seed}: acted on twice");
        match events.last() {
            Some(Event::Bootstrapped) => {
                assert_eq!(
                    (client.accounts().servers().len(), packages, commits),
                    (1, 1, 1)
                );
                succeeded += 1;
            }
            Some(Event::BootstrapFailed(_)) => {
                assert_eq!(*client.accounts(), factory(), "seed {seed}")
            }
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!(succeeded >= 95, "{succeeded} of 100");
}
