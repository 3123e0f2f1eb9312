//! Hostile datagrams: the endpoint doesn't panic, keeps bounded state, and still serves.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use softsim_coap::{Event, Method, Reliability, Request, Response};

use crate::common::*;

/// Octets that resemble a CoAP message, and are often valid.
fn near_message() -> impl Strategy<Value = Vec<u8>> {
    let option = (
        prop_oneof![
            Just(0_u8),
            Just(6),
            Just(11),
            Just(23),
            Just(27),
            any::<u8>()
        ],
        prop::collection::vec(any::<u8>(), 0..4),
    );
    (
        0_u8..4,
        any::<u8>(),
        0_u16..8,
        prop::collection::vec(0_u8..3, 0..3),
        prop::collection::vec(option, 0..4),
        prop::collection::vec(any::<u8>(), 0..40),
    )
        .prop_map(|(kind, code, mid, token, mut options, payload)| {
            options.sort();
            let options: Vec<(u16, &[u8])> = options
                .iter()
                .map(|(number, value)| (u16::from(*number), value.as_slice()))
                .collect();
            message(
                kind,
                (code >> 5, code & 31),
                mid,
                &token,
                &options,
                &payload,
            )
        })
}

proptest! {
    #[test]
    fn arbitrary_datagrams_never_panic(
        datagrams in prop::collection::vec(prop_oneof![near_message(), prop::collection::vec(any::<u8>(), 0..64)], 1..60),
        seed in any::<u64>(),
    ) {
        let mut now = Instant::now();
        let mut endpoint = softsim_coap::Endpoint::new(softsim_coap::Config::default(), seed);
        endpoint.request(now, Request::new(Method::Get, ["x"]).observing());
        let mut exchanges = Vec::new();
        for datagram in datagrams {
            now += Duration::from_millis(seed % 3000);
            let _ = endpoint.handle_datagram(now, &datagram);
            endpoint.handle_timeout(now);
            while let Some(event) = endpoint.poll_event() {
                if let Event::Request { exchange, request } = event {
                    let response = Response::content(42, vec![0; request.payload.len() * 100]);
                    endpoint.respond_observed(now, exchange, response);
                    exchanges.push(exchange);
                }
            }
            for exchange in &exchanges {
                endpoint.notify(now, *exchange, Response::content(42, vec![0; 2000]), Reliability::NonConfirmable);
            }
            while endpoint.poll_transmit().is_some() {}
        }
        // It still answers.
        now += Duration::from_secs(300);
        endpoint.handle_timeout(now);
        let request = message(CON, (0, 1), 999, &[9], &[(URI_PATH, b"alive")], b"");
        endpoint.handle_datagram(now, &request).unwrap();
        let asked = events(&mut endpoint).iter().any(|event| matches!(event, Event::Request { request, .. } if request.path == ["alive"]));
        prop_assert!(asked);
    }

    #[test]
    fn what_is_read_is_what_was_sent(
        path in prop::collection::vec("[a-z0-9]{0,20}", 0..5),
        query in prop::collection::vec("[ -~]{0,40}", 0..5),
        payload in prop::collection::vec(any::<u8>(), 0..3000),
        content_format in any::<u16>(),
        accept in prop::option::of(any::<u16>()),
    ) {
        let mut sent = Request::new(Method::Put, path).body(content_format, payload);
        sent.query = query;
        sent.accept = accept;
        let mut link = Link::new(softsim_coap::Config::default(), Weather { loss: 0, duplication: 0, reordering: 0 }, 1);
        link.client.request(link.now, sent.clone());
        let mut seen = None;
        link.run(|side, now, _, event| {
            if let Event::Request { exchange, request } = event {
                seen = Some(request);
                side.respond(now, exchange, Response::new(softsim_coap::Code::CHANGED));
            }
        });
        prop_assert_eq!(seen, Some(sent));
    }
}
