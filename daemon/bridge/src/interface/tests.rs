//! An interface against a wpa_supplicant that the test plays, with a SIM that answers what it is
//! told to.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::ErrorKind;

use softsim_client::proto::{AutnFault, Refusal, SecretBytes};
use tempfile::TempDir;

use super::*;

const REQUEST: &str = "UMTS-AUTH:000102030405060708090a0b0c0d0e0f:101112131415161718191a1b1c1d1e1f \
                       needed for SSID x";

/// Answers with keys made of the first octet of AUTN; refuses those that the test names.
#[derive(Default)]
struct Card {
    asked: usize,
    stale: bool,
    refuses: bool,
    lost: bool,
}

impl Sim for Card {
    fn authenticate(&mut self, rand: [u8; 16], autn: [u8; 16]) -> Result<UmtsAnswer, Failure> {
        self.asked += 1;
        assert_eq!((rand[1], autn[1]), (0x01, 0x11));
        if self.lost {
            return Err(Failure::Lost(softsim_client::keyd::Error::Closed));
        }
        if self.refuses {
            return Err(Failure::Refused(Refusal::Autn(AutnFault::Mac)));
        }
        if self.stale {
            return Ok(UmtsAnswer::SynchronisationFailure { auts: [0xa5; 14] });
        }
        let secret = |octet, length| SecretBytes::new(vec![octet; length]);
        Ok(UmtsAnswer::Success {
            res: secret(0x0e, 8),
            ck: secret(0xcc, 16),
            ik: secret(0x1c, 16),
        })
    }
}

/// The two ends, and a clock that the test sets.
struct Scene {
    folder: TempDir,
    interface: Interface,
    card: Card,
    now: Duration,
}

/// wpa_supplicant's end, with whom it was told to tell.
struct Supplicant {
    socket: UnixDatagram,
    peer: Option<PathBuf>,
}

fn open(folder: &Path, control: &Path) -> io::Result<Interface> {
    Interface::open(folder, control, |socket, control| {
        Ok(Finder::in_thread(socket, control))
    })
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let interface = open(folder.path(), &folder.path().join("wlan0")).unwrap();
        Self {
            folder,
            interface,
            card: Card::default(),
            now: Duration::from_secs(1000),
        }
    }

    fn start_supplicant(&self) -> Supplicant {
        let path = self.folder.path().join("wlan0");
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Supplicant { socket, peer: None }
    }

    /// Lets the interface do what is due after a while, and read.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.interface.tick(self.now).unwrap();
        self.interface.receive(self.now, &mut self.card).unwrap();
    }

    fn attach(&mut self, supplicant: &mut Supplicant) {
        self.pass(SEARCH_INTERVAL);
        assert_eq!(supplicant.receive(), "DETACH");
        supplicant.say("FAIL\n");
        assert_eq!(supplicant.receive(), "ATTACH");
        supplicant.say("OK\n");
        self.pass(Duration::ZERO);
        assert_eq!(self.interface.state, State::Attached);
    }
}

impl Supplicant {
    fn receive(&mut self) -> String {
        let mut buffer = [0; 512];
        let (length, peer) = self.socket.recv_from(&mut buffer).unwrap();
        self.peer = peer.as_pathname().map(Path::to_owned);
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn hears_nothing(&self) -> bool {
        let received = self.socket.recv(&mut [0; 16]);
        matches!(received, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    fn say(&self, text: &str) {
        let peer = self.peer.as_ref().unwrap();
        self.socket.send_to(text.as_bytes(), peer).unwrap();
    }

    fn ask(&self, id: u32) {
        self.say(&format!("<3>CTRL-REQ-SIM-{id}:{REQUEST}"));
    }
}

#[test]
fn a_supplicant_that_starts_later_is_found_and_served() {
    let mut scene = Scene::new();
    for _ in 0..3 {
        scene.pass(SEARCH_INTERVAL);
    }
    let mut supplicant = scene.start_supplicant();
    scene.attach(&mut supplicant);
    supplicant.ask(4);
    scene.pass(Duration::ZERO);
    let expected = format!(
        "CTRL-RSP-SIM-4:UMTS-AUTH:{}:{}:{}",
        "1c".repeat(16),
        "cc".repeat(16),
        "0e".repeat(8)
    );
    assert_eq!(supplicant.receive(), expected);
}

#[test]
fn outstanding_requests_are_answered_in_order_each_under_its_number() {
    let mut scene = Scene::new();
    let mut supplicant = scene.start_supplicant();
    scene.attach(&mut supplicant);
    for id in [9, 2, 5] {
        supplicant.ask(id);
    }
    scene.pass(Duration::ZERO);
    for id in [9, 2, 5] {
        let prefix = format!("CTRL-RSP-SIM-{id}:UMTS-AUTH:");
        assert!(supplicant.receive().starts_with(&prefix), "{id}");
    }
    assert_eq!(scene.card.asked, 3);
}

#[test]
fn a_stale_sqn_a_refusal_and_gsm_each_have_their_answer() {
    let mut scene = Scene::new();
    let mut supplicant = scene.start_supplicant();
    scene.attach(&mut supplicant);
    scene.card.stale = true;
    supplicant.ask(1);
    scene.pass(Duration::ZERO);
    let auts = format!("CTRL-RSP-SIM-1:UMTS-AUTS:{}", "a5".repeat(14));
    assert_eq!(supplicant.receive(), auts);
    scene.card.refuses = true;
    supplicant.ask(1);
    scene.pass(Duration::ZERO);
    assert_eq!(supplicant.receive(), "CTRL-RSP-SIM-1:UMTS-FAIL");
    supplicant.say("<3>CTRL-REQ-SIM-1:GSM-AUTH:00:11:22 needed for SSID x");
    scene.pass(Duration::ZERO);
    assert_eq!(supplicant.receive(), "CTRL-RSP-SIM-1:GSM-FAIL");
    assert_eq!(scene.card.asked, 2, "the SIM was not asked for GSM");
}

#[test]
fn odd_messages_are_passed_over_and_the_next_request_is_served() {
    let mut scene = Scene::new();
    let mut supplicant = scene.start_supplicant();
    scene.attach(&mut supplicant);
    for odd in [
        "OK\n",
        "FAIL\n",
        "PONG\n",
        "",
        "<3>CTRL-REQ-SIM-x:UMTS-AUTH:00:11 needed for SSID x",
        "<3>CTRL-EVENT-EAP-STARTED EAP authentication started",
        &format!("<3>CTRL-REQ-SIM-1:{REQUEST}{}", "x".repeat(4000)),
    ] {
        supplicant.say(odd);
        scene.pass(Duration::ZERO);
    }
    assert!(supplicant.hears_nothing());
    assert_eq!(scene.card.asked, 0);
    supplicant.ask(1);
    scene.pass(Duration::ZERO);
    assert!(
        supplicant
            .receive()
            .starts_with("CTRL-RSP-SIM-1:UMTS-AUTH:")
    );
}

#[test]
fn a_restarted_supplicant_is_found_again() {
    let mut scene = Scene::new();
    let mut supplicant = scene.start_supplicant();
    scene.attach(&mut supplicant);
    drop(supplicant);
    // The next sign of life can't be asked for.
    scene.pass(PING_INTERVAL);
    assert_eq!(scene.interface.state, State::Absent);
    let mut supplicant = scene.start_supplicant();
    scene.attach(&mut supplicant);
    supplicant.ask(1);
    scene.pass(Duration::ZERO);
    assert!(
        supplicant
            .receive()
            .starts_with("CTRL-RSP-SIM-1:UMTS-AUTH:")
    );
}

#[test]
fn a_supplicant_that_says_that_it_ends_is_looked_for_at_once() {
    let mut scene = Scene::new();
    let mut supplicant = scene.start_supplicant();
    scene.attach(&mut supplicant);
    supplicant.say("<2>CTRL-EVENT-TERMINATING ");
    scene.pass(Duration::ZERO);
    assert!(scene.interface.due() <= scene.now + SEARCH_INTERVAL);
    drop(supplicant);
    let mut supplicant = scene.start_supplicant();
    scene.attach(&mut supplicant);
}

#[test]
fn a_silent_supplicant_is_attached_to_anew_and_tells_everything_once() {
    let mut scene = Scene::new();
    let mut supplicant = scene.start_supplicant();
    scene.attach(&mut supplicant);
    scene.pass(PING_INTERVAL);
    assert_eq!(supplicant.receive(), "PING");
    scene.pass(ANSWER_TIMEOUT);
    scene.pass(SEARCH_INTERVAL);
    assert_eq!(supplicant.receive(), "DETACH");
    assert_eq!(supplicant.receive(), "ATTACH");
    // Late, and then in order.
    for answer in ["PONG\n", "OK\n", "OK\n"] {
        supplicant.say(answer);
    }
    scene.pass(Duration::ZERO);
    assert_eq!(scene.interface.state, State::Attached);
}

#[test]
fn a_supplicant_that_answers_is_left_alone() {
    let mut scene = Scene::new();
    let mut supplicant = scene.start_supplicant();
    scene.attach(&mut supplicant);
    for _ in 0..5 {
        scene.pass(PING_INTERVAL);
        assert_eq!(supplicant.receive(), "PING");
        supplicant.say("PONG\n");
        scene.pass(Duration::ZERO);
        assert_eq!(scene.interface.state, State::Attached);
    }
}

#[test]
fn messages_of_other_senders_are_refused_by_the_kernel() {
    let mut scene = Scene::new();
    let mut supplicant = scene.start_supplicant();
    scene.attach(&mut supplicant);
    let stranger = UnixDatagram::unbound().unwrap();
    let request = format!("<3>CTRL-REQ-SIM-1:{REQUEST}");
    let refused = stranger.send_to(request.as_bytes(), supplicant.peer.as_ref().unwrap());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[test]
fn what_anybody_wrote_before_the_socket_was_connected_is_not_served() {
    let mut scene = Scene::new();
    let own = scene.folder.path().join(own_name(&scene.interface.control));
    let stranger = UnixDatagram::unbound().unwrap();
    let write = |text: &str| {
        stranger.send_to(text.as_bytes(), &own).unwrap();
    };
    let request = format!("<3>CTRL-REQ-SIM-1:{REQUEST}");
    write(&request);
    scene.pass(SEARCH_INTERVAL);
    // Nor does it keep us from looking for wpa_supplicant.
    let due = scene.interface.due();
    for text in [&request, "<2>CTRL-EVENT-TERMINATING ", "OK\n"] {
        write(text);
    }
    scene.pass(Duration::ZERO);
    assert_eq!(scene.interface.due(), due);

    for text in [&request, "OK\n", "OK\n"] {
        write(text);
    }
    let mut supplicant = scene.start_supplicant();
    scene.attach(&mut supplicant);
    assert_eq!(scene.card.asked, 0);
    // One that is gone leaves the socket unconnected again.
    drop(supplicant);
    scene.pass(PING_INTERVAL);
    write(&request);
    scene.pass(Duration::ZERO);
    assert_eq!(scene.card.asked, 0);
}

#[test]
fn a_request_that_comes_before_the_answer_to_attach_is_served() {
    let mut scene = Scene::new();
    let mut supplicant = scene.start_supplicant();
    scene.pass(SEARCH_INTERVAL);
    assert_eq!(supplicant.receive(), "DETACH");
    assert_eq!(supplicant.receive(), "ATTACH");
    supplicant.say("FAIL\n");
    supplicant.ask(1);
    supplicant.say("OK\n");
    scene.pass(Duration::ZERO);
    assert!(
        supplicant
            .receive()
            .starts_with("CTRL-RSP-SIM-1:UMTS-AUTH:")
    );
    assert_eq!(scene.interface.state, State::Attached);
}

#[test]
fn a_lost_key_process_ends_the_bridge() {
    let mut scene = Scene::new();
    let mut supplicant = scene.start_supplicant();
    scene.attach(&mut supplicant);
    scene.card.lost = true;
    supplicant.ask(1);
    let outcome = scene.interface.receive(scene.now, &mut scene.card);
    assert!(matches!(outcome, Err(Failure::Lost(_))));
}

#[test]
fn our_socket_of_an_earlier_run_is_replaced_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let control = folder.path().join("wlan0");
    let own = folder.path().join(own_name(&control));
    drop(open(folder.path(), &control).unwrap());
    let live = open(folder.path(), &control).unwrap();
    let taken = open(folder.path(), &control).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    drop(live);
    fs::remove_file(&own).unwrap();
    fs::write(&own, b"a file").unwrap();
    let taken = open(folder.path(), &control).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
}

#[test]
fn interfaces_of_two_directories_have_sockets_of_their_own() {
    let names = ["/run/a/wlan0", "/run/b/wlan0", "run/c/wlan0"].map(|path| own_name(path.as_ref()));
    assert_eq!(names[0], Path::new("run-a-wlan0"));
    assert!(names[0] != names[1] && names[1] != names[2]);
}
