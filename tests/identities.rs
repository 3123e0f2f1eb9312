//! A gateway and networks that lose its pseudonyms, or packets: the real daemons with the lab's
//! server and with Debian's hostapd, over RADIUS in real time.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use softsim_client::proto::Counters;
use softsim_lab_harness::gateway;
use softsim_lab_harness::home::{Home, Options};
use softsim_lab_harness::hostapd::{self, Hostapd, Identities};
use softsim_lab_harness::prerequisite::skip;
use softsim_lab_simulators::eap_server::{Config, EapServer, IdentityRequest, Register, Server};
use softsim_testkit::dice::Dice;
use softsim_testkit::processes::{built, thorough};

/// How long the pseudonyms must have been refused here.
const PATIENCE: u32 = 4;

struct Scene {
    home: Home,
    server: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            gateway: gateway::Options {
                identity_patience: Some(PATIENCE),
                ..gateway::Options::default()
            },
            ..Options::default()
        };
        let home = Home::up(&folder.path().join("lab"), options).unwrap();
        Self {
            server: home.radius(),
            home,
            _folder: folder,
        }
    }

    fn with_server(config: Config) -> Self {
        let mut scene = Self::new();
        scene.serve(config);
        scene
    }

    /// Lets a server with this configuration take the place of the one before.
    fn serve(&mut self, config: Config) {
        let open = move || -> Box<dyn EapServer> { Box::new(Server::new(config.clone()).unwrap()) };
        self.server = self.home.radius_played_by(open).unwrap();
    }

    /// One attempt; the first identity that the network saw, if it succeeds.
    fn attempt(&self) -> Option<String> {
        let (report, _) = self.home.eap_test_at(self.server).ok()?;
        Some(report.authentication.identity)
    }

    fn counters(&self) -> Counters {
        self.home.gateway().status().unwrap().counters.unwrap()
    }

    /// Asserts that the gateway is withheld from a server that has lost its pseudonyms, and comes
    /// back by itself when it has refused them for long enough. The IMSI never stands in
    /// EAP-Response/Identity.
    fn comes_back(&self) {
        let shown = self.counters().permanent_identities;
        let begin = Instant::now();
        let identity = loop {
            assert!(begin.elapsed() < Duration::from_secs(60), "locked out");
            if let Some(identity) = self.attempt() {
                break identity;
            }
            sleep(Duration::from_millis(100));
        };
        let patience = Duration::from_secs(PATIENCE.into());
        assert!(begin.elapsed() >= patience, "{:?}", begin.elapsed());
        assert_eq!(identity, "pseudonym", "what EAP-Response/Identity said");
        let counters = self.counters();
        assert_eq!(counters.permanent_identities, shown + 1);
        assert_eq!(counters.patience_over, 1);
        assert!(counters.pseudonyms_refused > 4);
        assert_eq!(self.attempt().unwrap(), "pseudonym", "a new one");
        assert_eq!(
            self.counters().pseudonyms_refused,
            counters.pseudonyms_refused
        );
    }
}

#[test]
fn a_gateway_comes_back_to_a_hostapd_that_lost_its_pseudonyms() {
    if !built("hostapd, patience", &["softsim-keyd", "softsim-netd"]) {
        return;
    }
    if Hostapd::program().is_none() {
        return skip("hostapd, patience: hostapd is not installed");
    }
    let mut scene = Scene::new();
    let options = hostapd::Options {
        identities: Identities::Pseudonyms,
        ..hostapd::Options::default()
    };
    let mut hostapd = scene.home.hostapd(options).unwrap();
    scene.server = hostapd.address();
    assert_eq!(scene.attempt().unwrap(), "permanent identity");
    hostapd.restart().unwrap();
    scene.server = hostapd.address();
    scene.comes_back();
}

#[test]
fn a_gateway_comes_back_to_a_server_that_never_asks_for_the_permanent_identity() {
    if !built("patience, never asked", &["softsim-keyd", "softsim-netd"]) {
        return;
    }
    for ask_identity in [IdentityRequest::FullAuth, IdentityRequest::Any] {
        let register = Register::with_one_pseudonym_each();
        let scene = Scene::with_server(Config {
            pseudonyms: true,
            ask_identity: Some(ask_identity),
            asks_permanent: false,
            register: register.clone(),
            ..Config::default()
        });
        assert_eq!(scene.attempt().unwrap(), "permanent identity");
        register.forget_pseudonyms();
        scene.comes_back();
    }
}

/// A network that sends a challenge knows the pseudonym.
#[test]
fn a_network_that_we_reject_has_not_refused_us() {
    if !built("no refusal", &["softsim-keyd", "softsim-netd"]) {
        return;
    }
    let known = Config {
        pseudonyms: true,
        ask_identity: Some(IdentityRequest::FullAuth),
        ..Config::default()
    };
    let mut scene = Scene::with_server(known.clone());
    assert!(scene.attempt().is_some());
    scene.serve(Config {
        network_name: "EVIL".into(),
        ..known.clone()
    });
    for _ in 0..3 {
        assert_eq!(scene.attempt(), None);
    }
    assert_eq!(scene.counters().pseudonyms_refused, 0);
    scene.serve(known);
    assert_eq!(scene.attempt().unwrap(), "pseudonym");
}

/// A relay in front of a server that loses three packets of ten in each direction.
struct LossyRelay {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LossyRelay {
    fn start(server: SocketAddr, mut dice: Dice) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").unwrap();
        front.set_nonblocking(true).unwrap();
        let address = front.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let mut clients = HashMap::<SocketAddr, UdpSocket>::new();
            let mut buffer = [0; 4096];
            while !ends.load(Ordering::Relaxed) {
                while let Some((length, client)) = received(&front, &mut buffer) {
                    let back = clients.entry(client).or_insert_with(|| {
                        let back = UdpSocket::bind("127.0.0.1:0").unwrap();
                        back.set_nonblocking(true).unwrap();
                        back
                    });
                    if dice.below(10) >= 3 {
                        back.send_to(&buffer[..length], server).unwrap();
                    }
                }
                for (client, back) in &clients {
                    while let Some((length, _)) = received(back, &mut buffer) {
                        if dice.below(10) >= 3 {
                            front.send_to(&buffer[..length], client).unwrap();
                        }
                    }
                }
                sleep(Duration::from_millis(1));
            }
        });
        Self {
            address,
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for LossyRelay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn received(socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
    match socket.recv_from(buffer) {
        Ok(received) => Some(received),
        // A datagram that nobody took comes back as an error of a later call.
        Err(error) => {
            let kind = error.kind();
            let expected = [ErrorKind::WouldBlock, ErrorKind::ConnectionRefused];
            assert!(expected.contains(&kind), "{error}");
            None
        }
    }
}

/// Asserts that a gateway always ends authorised within a few attempts, and shows its permanent
/// identity no more.
fn is_never_locked_out(scene: &mut Scene, dice: &mut Dice) {
    while scene.attempt().is_none() {}
    let relay = LossyRelay::start(scene.server, dice.fork());
    let shown = scene.counters().permanent_identities;
    scene.server = relay.address;
    let begin = Instant::now();
    let mut attempts = 0;
    for _ in 0..AUTHENTICATIONS {
        let most = attempts + 50;
        while scene.attempt().is_none() {
            attempts += 1;
            assert!(attempts < most, "locked out");
        }
        attempts += 1;
    }
    let counters = scene.counters();
    println!(
        "{AUTHENTICATIONS} authentications in {attempts} attempts and {:?}, {} refusals",
        begin.elapsed(),
        counters.pseudonyms_refused
    );
    assert_eq!(counters.permanent_identities, shown);
}

/// How often each gateway authenticates over the lossy link.
const AUTHENTICATIONS: usize = 20;

/// It takes minutes, so that it runs in `cargo xtask soak`; the lab's own tests do the same in
/// simulated time.
#[test]
fn with_three_packets_of_ten_lost_each_way_a_gateway_is_never_locked_out() {
    if !thorough() || !built("lossy link", &["softsim-keyd", "softsim-netd"]) {
        return;
    }
    let mut dice = Dice::of_test("lossy link");
    let mut scene = Scene::with_server(Config {
        pseudonyms: true,
        register: Register::with_one_pseudonym_each(),
        ..Config::default()
    });
    is_never_locked_out(&mut scene, &mut dice);
    if Hostapd::program().is_none() {
        return skip("lossy link with hostapd: hostapd is not installed");
    }
    let mut scene = Scene::new();
    let options = hostapd::Options {
        identities: Identities::Pseudonyms,
        ..hostapd::Options::default()
    };
    let hostapd = scene.home.hostapd(options).unwrap();
    scene.server = hostapd.address();
    is_never_locked_out(&mut scene, &mut dice);
}
