//! Roles and limits over the program's sockets: no role can make another's requests, and no client
//! can hold up another, however badly it behaves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io;

use softsim_client::keyd::Connection;
use softsim_keyd::roles::COMPILED;
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    AkaAnswer, IdentityRequest, MAX_ANSWER, MAX_HANDLES, Method, PROTOCOL_VERSION, Realm, Refusal,
    RequestKind, Role, decode_answer, encode_request,
};
use softsim_sandbox::poll;
use softsim_sandbox::seqpacket::{self, Received};
use softsim_testkit::device::{ICCID, Operator};
use softsim_testkit::home_network::{HomeNetwork, IDENTITY};
use softsim_testkit::host::{Host, receive};
use softsim_testkit::over_the_socket::provision;
use softsim_testkit::requests::cases;

const PROGRAM: &str = env!("CARGO_BIN_EXE_softsim-keyd");

/// The limit on connections of one uid to one socket.
const CONNECTIONS: usize = 16;

/// How many requests a well-behaved client makes next to a misbehaving one.
const REQUESTS: u64 = 200;

/// The number of refusals, each of which would log a line. Their lines fit into the pipe, which
/// nobody reads.
const PROVOKED: u64 = 1000;

const HELLO: [u8; 2] = [RequestKind::Hello as u8, PROTOCOL_VERSION as u8];
const STATUS: [u8; 1] = [RequestKind::Status as u8];
/// A request with an unknown first octet.
const UNKNOWN: [u8; 1] = [0xff];

/// A client that authenticates with a profile of keyd.
struct WellBehaved {
    netd: Connection,
    sqn: u64,
}

impl WellBehaved {
    fn on(host: &Host) -> Self {
        provision(&mut host.connect(Role::Admin), &Operator::generate());
        Self {
            netd: host.connect(Role::Network),
            sqn: 0,
        }
    }

    fn authenticate(&mut self) {
        self.sqn += 32;
        let packet = &HomeNetwork::default().challenge(self.sqn).packet[..];
        let challenge = AkaPrimeChallenge {
            iccid: None,
            identity: IDENTITY,
            packet,
            forward_secrecy: None,
        };
        let AkaAnswer::Success { handle, .. } = self.netd.call(&challenge).unwrap() else {
            panic!("a fresh AUTN was refused");
        };
        self.netd.call(&CloseSession { handle }).unwrap();
    }

    /// Asserts that keyd serves this client without delay while another client makes `requests`.
    fn is_served(&mut self, mut requests: impl FnMut()) {
        for _ in 0..REQUESTS {
            requests();
            self.authenticate();
        }
    }
}

fn crowd(host: &Host, role: Role, size: usize) -> Vec<seqpacket::Connection> {
    // Each client waits until it is admitted or refused, because the socket's queue is short. A
    // connection that was closed may count for a moment longer, because a child process of another
    // test may hold a copy of it.
    let connection = |_| loop {
        let connection = host.raw(role);
        if is_admitted(&connection) {
            break connection;
        }
    };
    (0..size).map(connection).collect()
}

fn is_admitted(connection: &seqpacket::Connection) -> bool {
    if connection.send(&HELLO).is_err() {
        return false;
    }
    poll::wait(&mut [poll::Entry::readable(connection)], None).unwrap();
    let mut answer = vec![0; MAX_ANSWER];
    match connection.receive(&mut answer) {
        Ok(Received::Datagram(length)) => {
            decode_answer::<Hello>(&answer[..length]).is_ok_and(|hello| hello.is_ok())
        }
        _ => false,
    }
}

#[test]
fn a_well_formed_request_gets_its_own_answer_on_its_sockets_and_on_no_other() {
    let issuer = Operator::generate().spki();
    for role in Role::ALL {
        let host = Host::new(PROGRAM);
        let _running = host.start();
        let client = host.raw(role);
        for case in cases(&issuer) {
            client.send(&case.datagram).unwrap();
            let answer = receive(&client);
            if COMPILED[role].group_of(case.kind).is_some() {
                case.is_answered(&answer);
            } else {
                let request = case.kind;
                let refusal = decode_answer::<Status>(&answer).unwrap();
                assert_eq!(refusal, Err(Refusal::NotPermitted { request, role }));
            }
        }
    }
}

#[test]
fn silent_client_delays_no_other() {
    let host = Host::new(PROGRAM);
    let _running = host.start();
    let mut good = WellBehaved::on(&host);
    let _silent = Role::ALL.map(|role| match role {
        // The well-behaved client has one of the uid's connections.
        Role::Network => Vec::new(),
        _ => crowd(&host, role, CONNECTIONS),
    });
    good.is_served(|| {});
}

#[test]
fn clients_that_wait_delay_no_other_are_told_in_order_and_are_forgotten_when_they_leave() {
    let host = Host::new(PROGRAM);
    let _running = host.start();
    let mut good = WellBehaved::on(&host);
    let seen = host.status().changes;
    let send = |client: &seqpacket::Connection| {
        let mut buffer = [0; 16];
        client
            .send(encode_request(&Wait { seen }, &mut buffer).unwrap())
            .unwrap();
        client.send(&STATUS).unwrap();
    };
    // The well-behaved client has one of the uid's connections.
    let mut waiting = crowd(&host, Role::Network, CONNECTIONS - 1);
    waiting.iter().for_each(send);
    good.is_served(|| {});
    drop(waiting);
    waiting = crowd(&host, Role::Network, CONNECTIONS - 1);
    waiting.iter().for_each(send);
    good.is_served(|| {});
    for client in &waiting {
        let mut answer = [0; 64];
        assert!(matches!(client.receive(&mut answer), Ok(Received::Nothing)));
    }

    let forget = ForgetIdentities { iccid: None };
    host.connect(Role::Admin).call(&forget).unwrap();
    for client in &waiting {
        for answer in [receive(client), receive(client)] {
            let status = decode_answer::<Status>(&answer).unwrap().unwrap();
            assert_eq!(status.changes, seen + 1);
        }
    }
}

#[test]
fn what_a_client_has_sent_after_its_wait_has_no_effect_if_it_leaves() {
    let host = Host::new(PROGRAM);
    let _running = host.start();
    let mut good = WellBehaved::on(&host);
    let shown = || host.status().counters.unwrap().permanent_identities;
    let before = (host.status().changes, shown());
    let mut buffer = [0; 64];
    let leaving = crowd(&host, Role::Network, 1).remove(0);
    let wait = Wait { seen: before.0 };
    (leaving.send(encode_request(&wait, &mut buffer).unwrap())).unwrap();
    let identity = Identity {
        iccid: None,
        method: Method::AkaPrime,
        any_method: false,
        kind: IdentityRequest::Permanent,
        inside: false,
        realm: Realm::Wlan,
        network_name: "WLAN",
    };
    (leaving.send(encode_request(&identity, &mut buffer).unwrap())).unwrap();
    // keyd has read Wait by then.
    good.authenticate();
    drop(leaving);
    good.authenticate();
    good.authenticate();
    assert_eq!(shown(), before.1);
}

#[test]
fn client_of_malformed_requests_delays_no_other() {
    let host = Host::new(PROGRAM);
    let _running = host.start();
    let mut good = WellBehaved::on(&host);
    let bad = host.raw(Role::Network);
    let mut answers = 0;
    let datagrams: [&[u8]; 5] = [
        &UNKNOWN,
        &[RequestKind::Stage as u8; 5000],
        &[RequestKind::SignHandshake as u8; 30_000],
        &[RequestKind::AkaPrimeChallenge as u8, 0, 0xff],
        // A truncated request.
        &[RequestKind::Commit as u8, 1, 2, 3],
    ];
    good.is_served(|| {
        for datagram in datagrams {
            bad.send(datagram).unwrap();
            assert!(decode_answer::<Status>(&receive(&bad)).unwrap().is_err());
            answers += 1;
        }
        // keyd takes an empty datagram for the end of the connection, and closes only this
        // connection.
        host.raw(Role::App).send(b"").unwrap();
    });
    // A malformed request counts against the rate limit, too.
    let counters = host.status().counters.unwrap();
    assert_eq!(counters.refused + counters.rate_limited, answers);
}

#[test]
fn client_that_never_reads_is_dropped_and_delays_no_other() {
    let host = Host::new(PROGRAM);
    let running = host.start();
    let mut good = WellBehaved::on(&host);
    let mut deaf = host.raw(Role::Network);
    let mut dropped = 0;
    good.is_served(|| {
        loop {
            match deaf.send(&STATUS) {
                Ok(()) => {}
                // The connection's queue is full. keyd reads more of it after it has served the
                // others.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    dropped += 1;
                    deaf = host.raw(Role::Network);
                    break;
                }
            }
        }
    });
    assert!(dropped > 0);
    assert!(running.kill().contains("doesn't read its answers: dropped"));
}

#[test]
fn refusals_that_a_client_provokes_are_limited_in_the_log() {
    let host = Host::new(PROGRAM);
    let running = host.start();
    let mut good = WellBehaved::on(&host);
    let mut packet = HomeNetwork::default().challenge(32).packet;
    let autn = packet.windows(2).position(|head| head == [2, 5]).unwrap();
    packet[autn + 4] ^= 1;
    let challenge = AkaPrimeChallenge {
        iccid: None,
        identity: IDENTITY,
        packet: &packet,
        forward_secrecy: None,
    };
    for _ in 0..PROVOKED {
        assert!(good.netd.call(&challenge).is_err());
    }
    let counters = host.status().counters.unwrap();
    assert_eq!(counters.autn_rejected, PROVOKED);
    // keyd still logs changes of a profile.
    let mut admin = host.connect(Role::Admin);
    admin.call(&Disable { iccid: ICCID }).unwrap();
    let said = running.kill();
    let lines = said.lines().filter(|line| line.contains("AUTN refused"));
    let lines = lines.count() as u64;
    assert!((1..200).contains(&lines), "{lines} lines");
    assert_eq!(counters.log_lines_dropped, PROVOKED - lines);
    assert!(said.contains("disabled"), "{said}");
}

/// In each pass, keyd answers one request of each connection. However many requests one client has
/// queued, another waits for at most one of each of that client's connections.
#[test]
fn each_connection_is_served_once_before_another_is_served_twice() {
    let host = Host::new(PROGRAM);
    let running = host.start();
    let flood: Vec<_> = [Role::App, Role::Admin]
        .map(|role| crowd(&host, role, CONNECTIONS))
        .into_iter()
        .flatten()
        .collect();
    let good = host.raw(Role::Network);
    good.send(&STATUS).unwrap();
    receive(&good);
    // While keyd is stopped, the queues fill.
    running.signal("-STOP");
    for connection in &flood {
        while connection.send(&UNKNOWN).is_ok() {}
    }
    good.send(&STATUS).unwrap();
    running.signal("-CONT");
    let status = decode_answer::<Status>(&receive(&good)).unwrap().unwrap();
    let before = status.counters.unwrap().refused as usize;
    assert!(before <= 2 * flood.len(), "{before} requests came before");
}

#[test]
fn flooding_client_gets_its_rate_and_others_are_served() {
    let host = Host::new(PROGRAM);
    let _running = host.start();
    let mut good = WellBehaved::on(&host);
    let mut app = host.connect(Role::App);
    let request = Sign {
        context: "",
        message: b"",
    };
    let (mut signed, mut put_off) = (0, 0);
    good.is_served(|| {
        for _ in 0..20 {
            match app.call(&request) {
                Ok(_) => signed += 1,
                Err(softsim_client::keyd::Error::Refused(Refusal::RetryAfter { .. })) => {
                    put_off += 1
                }
                Err(error) => panic!("{error}"),
            }
        }
    });
    assert_eq!(signed + put_off, 20 * REQUESTS);
    assert_eq!(host.status().counters.unwrap().rate_limited, put_off);
}

#[test]
fn connections_and_sessions_are_counted_and_a_place_that_gets_free_is_given_again() {
    let host = Host::new(PROGRAM);
    let _running = host.start();
    let mut good = WellBehaved::on(&host);
    let mut held = crowd(&host, Role::Admin, CONNECTIONS);
    for _ in 0..3 {
        let refused = host.raw(Role::Admin);
        let refusal = decode_answer::<Hello>(&receive(&refused)).unwrap();
        let limit = CONNECTIONS as u8;
        assert_eq!(refusal, Err(Refusal::TooManyConnections { limit }));
    }
    held.pop();
    // A child process of another test holds a copy of the connection until it calls exec.
    let given_again = (0..10_000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(1));
        Connection::connect(&host.path(Role::Admin.name())).is_ok()
    });
    assert!(given_again, "the place of a client that left");

    let mut handles = Vec::new();
    let refusal = loop {
        good.sqn += 32;
        let packet = &HomeNetwork::default().challenge(good.sqn).packet[..];
        let (iccid, identity) = (None, IDENTITY);
        match good.netd.call(&AkaPrimeChallenge {
            iccid,
            identity,
            packet,
            forward_secrecy: None,
        }) {
            Ok(AkaAnswer::Success { handle, .. }) => handles.push(handle),
            Ok(AkaAnswer::SynchronisationFailure { .. }) => panic!("a fresh AUTN was refused"),
            Err(error) => break error.to_string(),
        }
    };
    assert_eq!(handles.len(), MAX_HANDLES);
    let limit = MAX_HANDLES as u8;
    assert!(
        refusal.contains(&Refusal::TooManyHandles { limit }.to_string()),
        "{refusal}"
    );
    // Another connection has sessions of its own.
    good.netd = host.connect(Role::Network);
    good.authenticate();
}
