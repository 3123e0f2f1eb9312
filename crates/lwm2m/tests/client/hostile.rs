//! Hostile servers: the client doesn't panic, and the accounts stay in force until a bootstrap is
//! committed.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use softsim_coap::{Endpoint, Method, Request};
use softsim_lwm2m::{Client, Event, Output, ServerRole, SimResult};

use crate::common::*;

/// A request that resembles those of bootstrap and management servers.
fn near_request() -> impl Strategy<Value = Request> {
    let segment = prop::sample::select(vec![
        "0", "1", "2", "3", "5", "8", "10", "21", "26241", "65535", "bs", "rd", "x",
    ]);
    let method = prop::sample::select(vec![
        Method::Get,
        Method::Post,
        Method::Put,
        Method::Delete,
        Method::Fetch,
    ]);
    let format = prop::sample::select(vec![0_u16, 40, 42, 60, 110, 112, 1542, 11542, 999]);
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        Just(write("/0/1", certificate_account("coaps://evil.example", SSID)).payload),
        Just(write("/1/0", server_account(SSID, 1)).payload),
        Just(b"1".to_vec()),
    ];
    let format = (prop::option::of(format.clone()), prop::option::of(format));
    (
        method,
        prop::collection::vec(segment, 0..5),
        format,
        payload,
        any::<bool>(),
    )
        .prop_map(
            |(method, path, (content_format, accept), payload, observe)| {
                let mut request = Request {
                    content_format,
                    accept,
                    payload,
                    ..Request::new(method, path)
                };
                if observe {
                    request = request.observing();
                }
                request
            },
        )
}

/// Gives the client datagrams of its server, discards what it sends, and commits nothing.
fn bombard(
    client: &mut Client,
    now: Instant,
    role: ServerRole,
    datagrams: impl IntoIterator<Item = Vec<u8>>,
) {
    for datagram in datagrams {
        client.handle_datagram(now, role, &datagram);
        while let Some(output) = client.poll_output() {
            if let Output::Event(Event::StagePackage { .. }) = output {
                client.staged(now, Err(SimResult::EnvelopeMalformed));
            }
        }
    }
}

fn datagrams(requests: Vec<Request>) -> Vec<Vec<u8>> {
    let config = softsim_coap::Config {
        nstart: usize::MAX,
        ..softsim_coap::Config::default()
    };
    let mut server = Endpoint::new(config, 4);
    requests
        .into_iter()
        .for_each(|request| _ = server.request(Instant::now(), request));
    std::iter::from_fn(|| server.poll_transmit()).collect()
}

proptest! {
    #[test]
    fn a_bootstrap_server_changes_no_account_without_a_commit(
        requests in prop::collection::vec(near_request(), 0..20),
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..10),
    ) {
        let now = Instant::now();
        let old = bootstrapped();
        let mut client = Client::new(config(), old.clone(), 1);
        client.session_opened(now, BOOTSTRAP);
        bombard(&mut client, now, BOOTSTRAP, datagrams(requests).into_iter().chain(noise));
        prop_assert_eq!(client.accounts(), &old);
        client.handle_timeout(now + Duration::from_secs(3600));
        client.session_closed(now, BOOTSTRAP);
        prop_assert_eq!(client.accounts(), &old);
    }

    #[test]
    fn a_management_server_changes_nothing_but_its_own_account(
        requests in prop::collection::vec(near_request(), 0..20),
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..10),
    ) {
        let now = Instant::now();
        let old = bootstrapped();
        let mut client = Client::new(config(), old.clone(), 1);
        client.session_opened(now, MANAGEMENT);
        bombard(&mut client, now, MANAGEMENT, datagrams(requests).into_iter().chain(noise));
        prop_assert_eq!(client.accounts().bootstrap(), old.bootstrap());
        prop_assert_eq!(client.accounts().check(false), Ok(()));
        let security = |accounts: &softsim_lwm2m::Accounts| accounts.server(SSID).map(|server| server.security);
        prop_assert_eq!(security(client.accounts()), security(&old));
    }
}
