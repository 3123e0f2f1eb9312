//! Complete bootstraps and registrations, recorded from Leshan and replayed to the client.

use std::collections::VecDeque;
use std::time::Instant;

use serde::Deserialize;
use softsim_lwm2m::{
    Accounts, Client, Config, ContentFormat, Event, Output, SecurityMode, ServerAccount, ServerRole,
};
use softsim_testkit::vectors;

use crate::common::{BOOTSTRAP, MANAGEMENT, SSID};

#[derive(Deserialize)]
struct Transcripts {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    security: String,
    pct: Option<u16>,
    messages: Vec<Recorded>,
}

#[derive(Deserialize)]
struct Recorded {
    dir: String,
    hex: String,
    note: String,
    phase: String,
}

/// The fixed part of a CoAP message and what follows its token.
#[derive(Debug, PartialEq, Eq)]
struct Parts {
    code: u8,
    mid: [u8; 2],
    token: Vec<u8>,
    rest: Vec<u8>,
}

fn parts(message: &[u8]) -> Parts {
    let token_end = 4 + usize::from(message[0] & 15);
    Parts {
        code: message[1],
        mid: [message[2], message[3]],
        token: message[4..token_end].to_vec(),
        rest: message[token_end..].to_vec(),
    }
}

fn is_request(message: &[u8]) -> bool {
    message[1] >> 5 == 0
}

/// The server's recorded answer, with the message ID and token of our client's request.
fn redirect(answer: &[u8], ours: &Parts) -> Vec<u8> {
    let theirs = parts(answer);
    let mut out = vec![answer[0] & 0xf0 | ours.token.len() as u8, theirs.code];
    out.extend(ours.mid);
    out.extend(&ours.token);
    out.extend(theirs.rest);
    out
}

struct Player {
    client: Client,
    now: Instant,
    sent: VecDeque<(ServerRole, Vec<u8>)>,
    events: Vec<Event>,
    /// Our client's last request, which corresponds to the recorded client's.
    last_request: Option<Parts>,
}

impl Player {
    fn new(case: &Case) -> Player {
        let scheme = if case.security == "nosec" {
            "coap"
        } else {
            "coaps"
        };
        let port = if case.security == "nosec" {
            16683
        } else {
            16684
        };
        let mode = if case.security == "nosec" {
            SecurityMode::NoSec
        } else {
            SecurityMode::Certificate
        };
        let factory = Accounts::factory(&format!("{scheme}://127.0.0.1:{port}"), mode);
        let config = Config {
            content_format: case.pct.map(|id| ContentFormat::from_id(id).unwrap()),
            allow_no_sec: true,
            ..Config::new("gw1")
        };
        Player {
            client: Client::new(config, factory, 1),
            now: Instant::now(),
            sent: VecDeque::new(),
            events: Vec::new(),
            last_request: None,
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Transmit { server, datagram } => self.sent.push_back((server, datagram)),
                Output::Event(event) => {
                    if let Event::Commit { .. } = event {
                        self.client.committed(self.now, Ok(()));
                    }
                    self.events.push(event);
                }
            }
        }
    }

    fn play(&mut self, case: &Case) {
        for recorded in &case.messages {
            let role = if recorded.phase == "bootstrap" {
                BOOTSTRAP
            } else {
                MANAGEMENT
            };
            let message = hex::decode(&recorded.hex).unwrap();
            if recorded.dir == "server_to_client" {
                let datagram = match &self.last_request {
                    Some(ours) if !is_request(&message) => redirect(&message, ours),
                    _ => message,
                };
                self.client.handle_datagram(self.now, role, &datagram);
            } else {
                self.expect(&message, role, &format!("{}: {}", case.name, recorded.note));
            }
            self.drain();
        }
        assert_eq!(
            self.sent.len(),
            0,
            "{}: more was sent than recorded",
            case.name
        );
    }

    /// Asserts that our client sends what the recorded client sent, apart from necessary
    /// differences.
    fn expect(&mut self, message: &[u8], role: ServerRole, place: &str) {
        if is_request(message) && self.sent.is_empty() {
            match message[1] {
                4 => self.client.deregister(self.now, SSID),
                _ => self.client.session_opened(self.now, role),
            }
            self.drain();
        }
        let (server, ours) = self
            .sent
            .pop_front()
            .unwrap_or_else(|| panic!("nothing sent: {place}"));
        let (theirs, ours) = (parts(message), parts(&ours));
        assert_eq!((server, ours.code), (role, theirs.code), "{place}");
        if is_request(message) {
            // The comparison ends before the payload, which lists each client's own objects.
            let options = |rest: &[u8]| rest.split(|octet| *octet == 0xff).next().unwrap().to_vec();
            assert_eq!(options(&ours.rest), options(&theirs.rest), "{place}");
            self.last_request = Some(ours);
        } else {
            assert_eq!(
                (ours.mid, &ours.token),
                (theirs.mid, &theirs.token),
                "{place}"
            );
            // Our client lists more objects and resources than the recorded one. SenML begins with
            // their number.
            let same = if place.contains(" ct=40") {
                ours.rest.starts_with(&theirs.rest)
            } else if place.contains(" ct=112") {
                ours.rest[..3] == theirs.rest[..3] && ours.rest[4..].starts_with(&theirs.rest[4..])
            } else {
                ours.rest == theirs.rest
            };
            assert!(
                same,
                "{place}: {} instead of {}",
                hex::encode(&ours.rest),
                hex::encode(&theirs.rest)
            );
        }
    }
}

#[test]
fn leshan_bootstraps_and_manages_the_client_in_every_format() {
    let transcripts: Transcripts =
        serde_json::from_str(&vectors::text("leshan_bootstrap_transcripts.json")).unwrap();
    let mut formats = Vec::new();
    for case in &transcripts.cases {
        let mut player = Player::new(case);
        player.play(case);
        let [
            Event::Commit { keys, .. },
            Event::Bootstrapped,
            Event::Registered {
                ssid: SSID,
                location,
            },
            Event::Deregistered { ssid: SSID },
        ] = player.events.as_slice()
        else {
            panic!("{}: {:?}", case.name, player.events);
        };
        assert_eq!(location.first().map(String::as_str), Some("rd"));
        let servers = player.client.accounts().servers();
        let [
            ServerAccount {
                ssid: SSID,
                lifetime: 300,
                binding,
                security,
            },
        ] = servers.as_slice()
        else {
            panic!("{}: {servers:?}", case.name);
        };
        assert_eq!((binding.as_str(), security.instance), ("U", 1));
        if case.security == "psk" {
            assert_eq!(
                (security.mode, security.uri.as_str()),
                (SecurityMode::Psk, "coaps://127.0.0.1:17684")
            );
            let key = keys.first().unwrap();
            assert_eq!(
                (key.instance, key.identity.as_slice(), key.key.as_slice()),
                (1, &b"dm-id"[..], &b"0123456789abcdef"[..])
            );
        } else {
            assert_eq!(
                (security.mode, security.uri.as_str()),
                (SecurityMode::NoSec, "coap://127.0.0.1:17683")
            );
            assert_eq!(keys.as_slice(), []);
        }
        formats.push(case.pct);
    }
    // TLV, SenML JSON and SenML CBOR, with and without security, and without a preference.
    assert_eq!(
        formats,
        [
            Some(11542),
            Some(110),
            Some(112),
            Some(11542),
            Some(110),
            Some(112),
            None
        ]
    );
}
