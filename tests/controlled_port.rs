//! The controlled port: nothing but EAPOL passes an interface before netd is authorised on it, nor
//! after it has logged off, failed or been killed. The other end is a wired hostapd.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use softsim_client::netd::{AccessState, Direction, Event, Port};
use softsim_lab_harness::gateway;
use softsim_lab_harness::home::{Home, Options};
use softsim_lab_harness::hostapd::{self, Hostapd, Identities};
use softsim_lab_harness::netns::{self, AUTHENTICATOR, Cable, GATEWAY, INTERFACE, Namespace};
use softsim_lab_harness::prerequisite::skip;
use softsim_lab_harness::processes::binaries;
use softsim_lab_harness::supplicant::find;
use softsim_link::ethernet::{FrameSocket, index};
use softsim_netd::access::port::keeper::SUBCOMMAND;
use softsim_testkit::processes::{A_WHILE, built, stranger, udp, wired_access};

/// How long the test waits for an event that happens soon or never.
const PATIENCE: Duration = Duration::from_secs(30);

const PAE_GROUP_ADDRESS: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 3];

/// A gateway and a hostapd on the two ends of a cable.
struct Scene {
    home: Home,
    hostapd: Hostapd,
    cable: Arc<Cable>,
    folder: tempfile::TempDir,
}

fn ready(test: &str) -> bool {
    let program = |name: &str| find(name).is_none().then(|| format!("{name} is missing"));
    let missing = program("hostapd").or_else(|| program("nft"));
    if let Some(missing) = missing.or_else(|| netns::missing().map(str::to_owned)) {
        skip(&format!("{test}: {missing}"));
        return false;
    }
    built(test, &["softsim-keyd", "softsim-netd"])
}

impl Scene {
    fn new(options: hostapd::Options, access: &str) -> Self {
        Self::with_patience(options, access, None)
    }

    /// With keyd's `--identity-patience`.
    fn with_patience(options: hostapd::Options, access: &str, patience: Option<u32>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cable = Arc::new(Cable::new().unwrap());
        let lab = Options {
            gateway: gateway::Options {
                accesses: wired_access("nftables", access),
                cable: Some(cable.clone()),
                identity_patience: patience,
                ..gateway::Options::default()
            },
            ..Options::default()
        };
        let home = Home::installed(&folder.path().join("lab"), lab).unwrap();
        let hostapd = home.wired_hostapd(&cable, options).unwrap();
        Self {
            home,
            hostapd,
            cable,
            folder,
        }
    }

    fn start_netd(&mut self) {
        self.home.gateway_mut().start_netd(None).unwrap();
    }

    fn connect(&self) -> AccessState {
        self.home.gateway().connect().unwrap().0.state
    }

    fn port_status(&self) -> Option<Port> {
        self.home.gateway().access().unwrap().port
    }

    /// The kinds of traffic that pass the cable now.
    fn passing(&self) -> Vec<&'static str> {
        let (here, there) = (&self.cable.gateway, &self.cable.authenticator);
        let probes = [
            ("UDP out", udp(here, there, AUTHENTICATOR)),
            ("UDP in", udp(there, here, GATEWAY)),
            ("TCP out", tcp(here, there, AUTHENTICATOR)),
            ("TCP in", tcp(there, here, GATEWAY)),
            ("ping", ping(here, AUTHENTICATOR)),
        ];
        let passing = probes.into_iter().filter(|(_, passes)| *passes);
        passing.map(|(name, _)| name).collect()
    }

    #[track_caller]
    fn is_open(&self) {
        let all = ["UDP out", "UDP in", "TCP out", "TCP in", "ping"];
        assert_eq!(self.passing(), all);
    }

    #[track_caller]
    fn is_closed(&self) {
        assert_eq!(self.passing(), [""; 0]);
    }
}

/// Whether a connection is made, and an octet arrives through it.
fn tcp(from: &Namespace, to: &Namespace, address: Ipv4Addr) -> bool {
    let listener = to.enter(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)));
    let listener = listener.unwrap().unwrap();
    let to = SocketAddr::from((address, listener.local_addr().unwrap().port()));
    let connected = from.enter(|| TcpStream::connect_timeout(&to, A_WHILE));
    let Ok(mut stream) = connected.unwrap() else {
        return false;
    };
    // The port may close before the last message of the handshake, and the client wouldn't notice.
    SockRef::from(&listener)
        .set_read_timeout(Some(A_WHILE))
        .unwrap();
    let Ok((mut accepted, _)) = listener.accept() else {
        return false;
    };
    std::io::Write::write_all(&mut accepted, b"x").unwrap();
    stream.set_read_timeout(Some(A_WHILE)).unwrap();
    stream.read_exact(&mut [0]).is_ok()
}

/// Whether an echo comes back.
fn ping(from: &Namespace, address: Ipv4Addr) -> bool {
    let socket = from.enter(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)));
    let socket = socket.unwrap().unwrap();
    socket.set_read_timeout(Some(A_WHILE)).unwrap();
    // An ICMP echo request: type, code, checksum, and zeros.
    let request = [8, 0, 0xf7, 0xff, 0, 0, 0, 0];
    let to = SockAddr::from(SocketAddr::from((address, 0)));
    if socket.send_to(&request, &to).is_err() {
        return false;
    }
    let mut packet = [MaybeUninit::new(0); 128];
    socket.recv(&mut packet).is_ok()
}

#[test]
fn without_netd_the_cable_carries_everything() {
    if ready("the cable") {
        Scene::new(hostapd::Options::default(), "").is_open();
    }
}

#[test]
fn the_port_opens_with_success_and_closes_with_the_logoff() {
    if !ready("logoff") {
        return;
    }
    let mut scene = Scene::new(hostapd::Options::default(), "");
    scene.start_netd();
    assert_eq!(scene.port_status(), Some(Port::Unauthorised));
    scene.is_closed();
    for _ in 0..2 {
        assert_eq!(scene.connect(), AccessState::Authorised);
        assert_eq!(scene.port_status(), Some(Port::Authorised));
        scene.is_open();
        scene.home.gateway().disconnect().unwrap();
        assert_eq!(scene.port_status(), Some(Port::Unauthorised));
        scene.is_closed();
    }
}

#[test]
fn the_port_stays_closed_after_a_failure() {
    if !ready("failure") {
        return;
    }
    let mut scene = Scene::new(hostapd::Options::default(), "");
    scene.home.subscription().replace(stranger());
    scene.start_netd();
    let state = scene.connect();
    assert!(matches!(state, AccessState::Held { .. }), "{state}");
    scene.is_closed();
}

#[test]
fn a_failed_re_authentication_closes_the_port() {
    if !ready("failed re-authentication") {
        return;
    }
    let mut scene = Scene::new(hostapd::Options::default(), "");
    scene.start_netd();
    assert_eq!(scene.connect(), AccessState::Authorised);
    scene.home.subscription().replace(stranger());
    let state = scene.connect();
    assert!(matches!(state, AccessState::Held { .. }), "{state}");
    scene.is_closed();
}

#[test]
fn the_port_stays_open_while_keyd_restarts_and_netd_authenticates_with_the_next_one() {
    if !ready("keyd restarts") {
        return;
    }
    let mut scene = Scene::new(hostapd::Options::default(), "");
    scene.start_netd();
    let netd = scene.home.gateway().netd().unwrap().id();
    assert_eq!(scene.connect(), AccessState::Authorised);
    for _ in 0..3 {
        scene.home.gateway_mut().stop_keyd();
        scene.is_open();
        assert_eq!(scene.port_status(), Some(Port::Authorised));
        scene.home.gateway_mut().start_keyd().unwrap();
        // The command waits until netd has found keyd.
        assert_eq!(scene.connect(), AccessState::Authorised);
        scene.is_open();
    }
    assert_eq!(scene.home.gateway().netd().unwrap().id(), netd);
}

#[test]
fn the_port_closes_when_netd_is_killed() {
    if !ready("netd killed") {
        return;
    }
    let mut scene = Scene::new(hostapd::Options::default(), "");
    scene.start_netd();
    assert_eq!(scene.connect(), AccessState::Authorised);
    scene.is_open();
    let netd = scene.home.gateway().netd().unwrap().id().to_string();
    let killed = Command::new("kill").args(["-s", "KILL", &netd]).status();
    assert!(killed.unwrap().success());
    // The port keeper must first notice that netd has ended.
    let end = Instant::now() + PATIENCE;
    while !scene.passing().is_empty() {
        assert!(Instant::now() < end, "the port stays open");
    }
    scene.is_closed();

    scene.home.gateway_mut().stop_netd();
    scene.start_netd();
    scene.is_closed();
    assert_eq!(scene.connect(), AccessState::Authorised);
    scene.is_open();
}

/// A port keeper on a socket that the test listens on, as a service manager does.
fn keeper(cable: &Cable, listener: &Socket) -> Child {
    let program = binaries().unwrap().join("softsim-netd");
    let mut command = cable.gateway.command(program);
    let input = OwnedFd::from(listener.try_clone().unwrap());
    command.args([SUBCOMMAND, INTERFACE]).stdin(input);
    command.spawn().unwrap()
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn netd_and_a_port_keeper_that_is_a_service_outlive_each_other_and_the_port_is_closed_between() {
    if !ready("port keeper as a service") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("eth1.sock");
    let listener = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(4).unwrap();
    let access = format!("keeper_socket = '{}'\n", path.display());
    let mut scene = Scene::new(hostapd::Options::default(), &access);
    let mut first = keeper(&scene.cable, &listener);
    wait_until("a closed port", || scene.passing().is_empty());

    scene.start_netd();
    let netd = scene.home.gateway().netd().unwrap().id();
    wait_until("an authentication", || {
        scene.connect() == AccessState::Authorised
    });
    scene.is_open();
    let children = fs::read_to_string(format!("/proc/{netd}/task/{netd}/children")).unwrap();
    for child in children.split_whitespace() {
        let line = fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap();
        assert!(!line.contains(SUBCOMMAND), "{line}");
    }

    first.kill().unwrap();
    first.wait().unwrap();
    let status = || scene.home.gateway().access().unwrap();
    wait_until("a lost keeper", || {
        status().port == Some(Port::Unauthorised)
    });
    let before = status().counters.attempts;
    let mut second = keeper(&scene.cable, &listener);
    wait_until("an authentication without a command", || {
        status().port == Some(Port::Authorised)
    });
    assert!(status().counters.attempts > before);
    assert_eq!(scene.home.gateway().netd().unwrap().id(), netd);
    scene.is_open();

    scene.home.gateway_mut().stop_netd();
    wait_until("a closed port", || scene.passing().is_empty());
    scene.start_netd();
    wait_until("an authentication", || {
        scene.connect() == AccessState::Authorised
    });
    scene.is_open();
    assert!(second.try_wait().unwrap().is_none());
    second.kill().unwrap();
    second.wait().unwrap();
}

#[test]
fn a_renamed_interface_is_told_and_its_port_stays_what_it_is() {
    if !ready("renamed interface") {
        return;
    }
    let mut scene = Scene::new(hostapd::Options::default(), "");
    scene.start_netd();
    let rename = |old: &str, new: &str| {
        let mut ip = scene.cable.gateway.command("ip");
        let renamed = ip.args(["link", "set", "dev", old, "name", new]).status();
        assert!(renamed.unwrap().success());
        let end = Instant::now() + PATIENCE;
        while scene.home.gateway().access().unwrap().at != new {
            assert!(Instant::now() < end, "{new} is not reported");
        }
        let access = scene.home.gateway().access().unwrap();
        assert_eq!(access.renamed.as_deref(), Some(netns::INTERFACE));
    };
    rename(netns::INTERFACE, "wan0");
    scene.is_closed();
    assert_eq!(scene.connect(), AccessState::Authorised);
    scene.is_open();
    rename("wan0", "wan1");
    assert_eq!(scene.port_status(), Some(Port::Authorised));
    scene.is_open();
    scene.home.gateway().disconnect().unwrap();
    scene.is_closed();
    let log = fs::read_to_string(scene.folder.path().join("lab/netd.log")).unwrap();
    assert!(log.contains("the interface was renamed"), "{log}");
}

/// The inodes of all sockets of a kind in a process's network namespace, as proc(5) lists them.
fn sockets(process: u32, kind: &str) -> BTreeSet<String> {
    let list = fs::read_to_string(format!("/proc/{process}/net/{kind}")).unwrap();
    let (head, rest) = list.split_once('\n').unwrap();
    let column = head.split_whitespace().position(|name| name == "Inode");
    let inode = |line: &str| {
        line.split_whitespace()
            .nth(column.unwrap())
            .map(str::to_owned)
    };
    rest.lines().filter_map(inode).collect()
}

/// The inodes of a process's sockets.
fn held(process: u32) -> BTreeSet<String> {
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let links = descriptors.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    links
        .filter_map(|link| {
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect()
}

#[test]
fn netd_holds_no_socket_that_reaches_past_its_keeper() {
    for controlled_port in ["nftables", "none"] {
        if !ready("netd's sockets") {
            return;
        }
        let mut scene = Scene::new(hostapd::Options::default(), "");
        let accesses = wired_access(controlled_port, "");
        scene.home.gateway_mut().set_accesses(accesses);
        scene.start_netd();
        assert_eq!(scene.connect(), AccessState::Authorised);
        let netd = scene.home.gateway().netd().unwrap().id();
        let children = format!("/proc/{netd}/task/{netd}/children");
        let children = fs::read_to_string(children).unwrap();
        for kind in ["packet", "netlink"] {
            let there: BTreeSet<_> = sockets(netd, kind);
            assert_eq!(held(netd).intersection(&there).next(), None, "{kind}");
            // The sockets must belong to a port keeper.
            let keepers = children.split_whitespace();
            let mut keepers = keepers.map(|keeper| held(keeper.parse().unwrap()));
            assert!(keepers.any(|held| !held.is_disjoint(&there)), "{kind}");
        }
    }
}

#[test]
fn the_port_stays_open_while_hostapd_re_authenticates() {
    if !ready("re-authentication by hostapd") {
        return;
    }
    let options = hostapd::Options {
        again_after: Some(1),
        identities: Identities::Reauthentication,
        ..hostapd::Options::default()
    };
    let mut scene = Scene::new(options, "");
    scene.start_netd();
    assert_eq!(scene.connect(), AccessState::Authorised);
    let end = Instant::now() + PATIENCE;
    let access = || scene.home.gateway().access().unwrap();
    while access().counters.reauthentications < 3 {
        assert!(Instant::now() < end, "{:#?}", access());
        assert_eq!(access().port, Some(Port::Authorised));
        assert!(udp(
            &scene.cable.gateway,
            &scene.cable.authenticator,
            AUTHENTICATOR
        ));
        std::thread::sleep(Duration::from_millis(10));
    }
    scene.is_open();
}

/// A station on the cable, beside hostapd.
fn station(cable: &Cable) -> FrameSocket {
    let open = || FrameSocket::open(index(INTERFACE)?, 0x888e, PAE_GROUP_ADDRESS);
    cable.authenticator.enter(open).unwrap().unwrap()
}

/// A request of a method that netd doesn't speak, and the failure that follows its Nak.
#[test]
fn two_forged_frames_leave_the_port_open_and_hostapd_is_asked_whether_it_still_is() {
    if !ready("two forged frames") {
        return;
    }
    let mut scene = Scene::new(hostapd::Options::default(), "held_period = 1\n");
    scene.start_netd();
    assert_eq!(scene.connect(), AccessState::Authorised);
    let access = || scene.home.gateway().access().unwrap();
    let before = access().counters;
    let station = station(&scene.cable);
    for pdu in [
        &[2, 0, 0, 6, 1, 99, 0, 6, 13, 0x20][..],
        &[2, 0, 0, 4, 4, 99, 0, 4],
    ] {
        station.send(PAE_GROUP_ADDRESS, pdu).unwrap();
    }
    let end = Instant::now() + PATIENCE;
    // hostapd answers the EAPOL-Start with an authentication.
    while access().counters.successes == before.successes {
        assert!(Instant::now() < end, "{:#?}", access());
        assert_eq!(access().port, Some(Port::Authorised));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(access().counters.failures, before.failures + 1);
    scene.is_open();
}

/// hostapd keeps pseudonyms in memory only. It ignores us for a minute after each failure, unless
/// it is restarted.
#[test]
fn a_gateway_whose_authenticator_has_lost_its_pseudonyms_comes_back_by_itself() {
    if !ready("lost pseudonyms") {
        return;
    }
    let options = hostapd::Options {
        identities: Identities::Pseudonyms,
        ..hostapd::Options::default()
    };
    let access = "held_period = 1\nretry_after = 1\n";
    let mut scene = Scene::with_patience(options, access, Some(4));
    scene.start_netd();
    assert_eq!(scene.connect(), AccessState::Authorised);
    let first = scene.home.gateway().access().unwrap().counters;
    scene.hostapd.restart().unwrap();
    // An authenticator that starts reports that nobody is authorised.
    let station = station(&scene.cable);
    station
        .send(PAE_GROUP_ADDRESS, &[2, 0, 0, 4, 4, 99, 0, 4])
        .unwrap();
    let end = Instant::now() + 4 * PATIENCE;
    let (mut failures, mut closed) = (first.failures, false);
    loop {
        let access = scene.home.gateway().access().unwrap();
        if access.counters.successes > first.successes {
            break;
        }
        assert!(Instant::now() < end, "{access:#?}");
        closed |= access.port == Some(Port::Unauthorised);
        if access.counters.failures > failures {
            failures = access.counters.failures;
            scene.hostapd.restart().unwrap();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(closed, "the port stayed open");
    scene.is_open();
}

#[test]
fn a_frame_that_carries_no_eap_packet_is_counted_and_leaves_the_port_open() {
    if !ready("no EAP packet") {
        return;
    }
    let mut scene = Scene::new(hostapd::Options::default(), "");
    scene.start_netd();
    assert_eq!(scene.connect(), AccessState::Authorised);
    let before = scene.home.gateway().access().unwrap().counters;
    let station = station(&scene.cable);
    // A request without a type, a request that claims more than there is, a response, no code of
    // EAP, and no body.
    let frames: [&[u8]; 5] = [
        &[2, 0, 0, 1, 1],
        &[2, 0, 0, 5, 1, 9, 0, 200, 50],
        &[2, 0, 0, 5, 2, 9, 0, 5, 1],
        &[2, 0, 0, 5, 9, 9, 0, 5, 1],
        &[2, 0, 0, 0],
    ];
    for pdu in frames {
        station.send(PAE_GROUP_ADDRESS, pdu).unwrap();
    }
    let end = Instant::now() + PATIENCE;
    let access = || scene.home.gateway().access().unwrap();
    while access().counters.ignored < before.ignored + frames.len() as u64 {
        assert!(Instant::now() < end, "{:#?}", access());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(access().state, AccessState::Authorised);
    assert_eq!(access().counters.attempts, before.attempts);
    scene.is_open();
}

#[test]
fn without_an_authenticator_each_eapol_start_is_told() {
    if !ready("EAPOL-Start") {
        return;
    }
    let access = "start_period = 1\nmax_start = 2\n";
    let mut scene = Scene::new(hostapd::Options::default(), access);
    scene.start_netd();
    let hostapd = scene.hostapd.id().to_string();
    let stopped = Command::new("kill").args(["-s", "STOP", &hostapd]).status();
    assert!(stopped.unwrap().success());
    let (access, events) = scene.home.gateway().connect().unwrap();
    assert!(
        matches!(access.state, AccessState::Held { .. }),
        "{access:?}"
    );
    let starts: Vec<_> = (events.iter())
        .filter_map(|event| match event {
            Event::Message {
                text,
                direction: Direction::Sent,
                ..
            } => Some(&**text),
            _ => None,
        })
        .collect();
    assert_eq!(starts, ["EAPOL-Start 1/2", "EAPOL-Start 2/2"]);
}

#[test]
fn an_access_that_begins_by_itself_comes_up_when_its_authenticator_does() {
    if !ready("automatic") {
        return;
    }
    let access = "start_period = 1\nmax_start = 10\n";
    let mut scene = Scene::new(hostapd::Options::default(), access);
    let accesses = wired_access("nftables", access).replace("automatic = false\n", "");
    scene.home.gateway_mut().set_accesses(accesses);
    scene.start_netd();
    let end = Instant::now() + PATIENCE;
    while scene.home.gateway().access().unwrap().state != AccessState::Authorised {
        assert!(Instant::now() < end, "{:?}", scene.hostapd.said());
        std::thread::sleep(Duration::from_millis(10));
    }
    scene.is_open();
}
