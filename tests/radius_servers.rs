//! An access with two RADIUS servers, of which one is killed.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use softsim_client::netd::{AccessState, Event};
use softsim_lab_harness::home::{Home, Options};
use softsim_testkit::processes::built;

/// A server that can be killed: it passes on what comes to the lab's server, which keeps the
/// conversations.
struct Mortal {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Mortal {
    fn new(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let (requests, over) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (count, end) = (Arc::clone(&requests), Arc::clone(&over));
        let thread = thread::spawn(move || {
            let behind = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let wait = Some(Duration::from_millis(20));
            socket.set_read_timeout(wait).unwrap();
            behind.set_read_timeout(wait).unwrap();
            let mut datagram = [0; 4096];
            while !end.load(Ordering::SeqCst) {
                let Ok((length, client)) = socket.recv_from(&mut datagram) else {
                    continue;
                };
                count.fetch_add(1, Ordering::SeqCst);
                behind.send_to(&datagram[..length], server).unwrap();
                while let Ok(length) = behind.recv(&mut datagram) {
                    socket.send_to(&datagram[..length], client).unwrap();
                }
            }
        });
        Self {
            address,
            requests,
            over,
            thread: Some(thread),
        }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn kill(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What is told about the servers.
fn told(events: Vec<Event>) -> Vec<String> {
    let texts = events.into_iter().filter_map(|event| match event {
        Event::Message { text, .. } => Some(text),
        _ => None,
    });
    texts.filter(|text| text.contains("127.0.0.1")).collect()
}

#[test]
fn when_the_first_server_is_killed_the_second_one_serves_and_people_are_told() {
    if !built("two RADIUS servers", &["softsim-keyd", "softsim-netd"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut home = Home::installed(&folder.path().join("lab"), Options::default()).unwrap();
    let mut first = Mortal::new(home.radius());
    let second = Mortal::new(home.radius());
    let access = home.radius_access(&[first.address, second.address], "");
    home.gateway_mut().set_accesses(access);
    home.gateway_mut().start_netd(None).unwrap();

    let (access, _) = home.gateway().connect().unwrap();
    assert_eq!(access.state, AccessState::Authorised);
    assert_eq!(access.server, Some(first.address.to_string()));
    assert!(first.requests() > 0);
    assert_eq!(second.requests(), 0);

    first.kill();
    let (access, events) = home.gateway().connect().unwrap();
    assert_eq!(access.state, AccessState::Authorised);
    assert_eq!(access.server, Some(second.address.to_string()));
    assert!(second.requests() > 0);
    let told = told(events);
    let address = first.address;
    for expected in [
        format!("{address}: the network says that nothing listens there"),
        format!("retransmission 1 to {address}"),
        format!("{} is asked next", second.address),
    ] {
        assert!(
            told.iter().any(|text| text.contains(&expected)),
            "{expected}: {told:#?}"
        );
    }

    // The first is dead now: nobody waits for it again.
    let (access, events) = home.gateway().connect().unwrap();
    assert_eq!(access.state, AccessState::Authorised);
    assert_eq!(self::told(events), [""; 0]);
}
