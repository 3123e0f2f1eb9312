//! A cable with a port keeper at one end; the test holds netd's end of the port keeper's socket.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use softsim_lab_harness::netns::{self, AUTHENTICATOR, Cable, GATEWAY, INTERFACE, Namespace};
use softsim_lab_harness::prerequisite::skip;
use softsim_lab_harness::processes::binaries;
use softsim_lab_harness::supplicant::find;
use softsim_link::ethernet::{Address, FrameSocket, Link, Name, index};
use softsim_netd::access::port::keeper::SUBCOMMAND;
use softsim_netd::access::port::wire::{MAX_MESSAGE, Message, Order, Refused, Request};
use softsim_sandbox::poll::{self, Entry};
use softsim_sandbox::seqpacket::{Connection, Received, pair};
use softsim_testkit::processes::{A_WHILE, built, udp};

/// For what happens soon, or never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The EtherTypes of EAPOL, of an 802.1Q tag, and of every frame there is.
pub(crate) const EAPOL: u16 = 0x888e;
pub(crate) const TAG: u16 = 0x8100;
const EVERY: u16 = 0x0003;

/// The group that port access entities listen to.
pub(crate) const GROUP: Address = [0x01, 0x80, 0xc2, 0, 0, 3];

/// The two ends of the cable.
pub(crate) const STATION: Address = [2, 0, 0, 0, 0, 1];
pub(crate) const OURS: Address = [2, 0, 0, 0, 0, 2];

/// What the keeper said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Done(Order),
    Refused(Refused),
    Frame {
        source: Address,
        unicast: bool,
        pdu: Vec<u8>,
    },
    Link(Link, Name),
    /// It is gone.
    Gone,
}

pub(crate) struct Scene {
    pub(crate) cable: Cable,
    pub(crate) keeper: Child,
    pub(crate) netd: Option<Connection>,
    /// The keeper's standard error.
    pub(crate) log: tempfile::NamedTempFile,
}

/// A cable, where this test can have one and its programs are there.
pub(crate) fn cable(test: &str) -> Option<Cable> {
    let nft = find("nft").is_none().then(|| "nft is missing".to_owned());
    if let Some(missing) = netns::missing().map(str::to_owned).or(nft) {
        skip(&format!("{test}: {missing}"));
        return None;
    }
    built(test, &["softsim-netd"]).then(|| Cable::new().unwrap())
}

/// An interface's name.
pub(crate) fn name(name: &str) -> Name {
    Name::new(name.as_bytes()).unwrap()
}

pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "not in time: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

impl Scene {
    /// A keeper that has begun.
    pub(crate) fn new(test: &str) -> Option<Self> {
        Self::on(cable(test)?, &[INTERFACE])
    }

    /// One with these arguments.
    pub(crate) fn on(cable: Cable, arguments: &[&str]) -> Option<Self> {
        let scene = Self::starting(cable, arguments);
        assert_eq!(scene.hear(), Said::Link(Link::Up, name(INTERFACE)));
        Some(scene)
    }

    /// One that may not begin.
    pub(crate) fn starting(cable: Cable, arguments: &[&str]) -> Self {
        let (ours, theirs) = pair().unwrap();
        let log = tempfile::NamedTempFile::new().unwrap();
        let stderr = appending(&log);
        Self {
            keeper: start(&cable, arguments, theirs.into(), stderr),
            cable,
            netd: Some(ours),
            log,
        }
    }

    /// Another keeper, for another netd, after this one has ended.
    #[track_caller]
    pub(crate) fn again(&mut self, interface: &str) {
        self.netd = None;
        assert!(self.ended());
        let (ours, theirs) = pair().unwrap();
        let stderr = appending(&self.log);
        self.keeper = start(&self.cable, &[interface], theirs.into(), stderr);
        self.netd = Some(ours);
        assert!(matches!(self.hear(), Said::Link(..)));
    }

    pub(crate) fn netd(&self) -> &Connection {
        self.netd.as_ref().unwrap()
    }

    pub(crate) fn say(&self, request: &Request<'_>) {
        let octets = request.encode().unwrap();
        self.netd().send(octets.as_slice()).unwrap();
    }

    /// What the keeper says next.
    pub(crate) fn hear(&self) -> Said {
        hear(self.netd()).expect("the keeper says nothing")
    }

    /// What the keeper has written down.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }

    /// Says nothing for a while.
    pub(crate) fn is_silent(&self) -> bool {
        poll::wait(&mut [Entry::readable(self.netd())], Some(A_WHILE)).unwrap() == 0
    }

    #[track_caller]
    pub(crate) fn order(&self, order: Order) {
        self.say(&Request::Order(order));
        assert_eq!(self.hear(), Said::Done(order));
    }

    /// Runs a program at the keeper's end, and gives what it prints.
    #[track_caller]
    pub(crate) fn run(&self, command: &str) -> String {
        run(&self.cable.gateway, command)
    }

    /// All rules, as `nft` prints them.
    pub(crate) fn rules(&self) -> String {
        self.run("nft list ruleset")
    }

    /// All rules, as `nft` prints those of a port of that index that is closed under that name.
    pub(crate) fn closed(&self, index: u32, name: &str) -> String {
        let guards: String = [
            ("inet", "prerouting", "postrouting"),
            ("arp", "input", "output"),
            ("bridge", "prerouting", "postrouting"),
        ]
        .map(|(family, inwards, outwards)| guard(family, index, name, inwards, outwards))
        .concat();
        guards + &port(index, name)
    }

    /// The index of the keeper's interface.
    pub(crate) fn index(&self, name: &str) -> u32 {
        self.cable.gateway.enter(|| index(name)).unwrap().unwrap()
    }

    /// Frames of an EtherType at the far end.
    pub(crate) fn station(&self, ethertype: u16) -> FrameSocket {
        frames(&self.cable.authenticator, ethertype)
    }

    /// Every frame that reaches the far end.
    pub(crate) fn every_frame(&self) -> FrameSocket {
        self.station(EVERY)
    }

    /// Whether a datagram arrives, out and in.
    pub(crate) fn passes(&self) -> [bool; 2] {
        let (here, there) = (&self.cable.gateway, &self.cable.authenticator);
        [udp(here, there, AUTHENTICATOR), udp(there, here, GATEWAY)]
    }

    /// Waits until the keeper has ended, and tells whether it was content.
    pub(crate) fn ended(&mut self) -> bool {
        wait_until("the keeper's end", || {
            self.keeper.try_wait().unwrap().is_some()
        });
        self.keeper.wait().unwrap().success()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.netd = None;
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// Starts a keeper at the gateway's end, with that standard input and that standard error.
pub(crate) fn start(cable: &Cable, arguments: &[&str], input: OwnedFd, stderr: Stdio) -> Child {
    let program = binaries().unwrap().join("softsim-netd");
    let mut command = cable.gateway.command(program);
    command
        .arg(SUBCOMMAND)
        .args(arguments)
        .stdin(input)
        .stderr(stderr);
    command.spawn().unwrap()
}

fn appending(log: &tempfile::NamedTempFile) -> Stdio {
    let opened = fs::OpenOptions::new().append(true).open(log.path());
    opened.unwrap().into()
}

/// The next that a keeper says; none where it says nothing.
pub(crate) fn hear(netd: &Connection) -> Option<Said> {
    let mut buffer = [0; MAX_MESSAGE];
    poll::wait(&mut [Entry::readable(netd)], Some(PATIENCE)).unwrap();
    let length = match netd.receive(&mut buffer) {
        Ok(Received::Datagram(length)) => length,
        Ok(Received::Nothing) => return None,
        Ok(Received::Closed) | Err(_) => return Some(Said::Gone),
        Ok(Received::Truncated) => panic!("too long"),
    };
    Some(match Message::decode(&buffer[..length]).unwrap() {
        Message::Done(order) => Said::Done(order),
        Message::Refused(refused) => Said::Refused(refused),
        Message::Link { link, name } => Said::Link(link, name),
        Message::Frame {
            source,
            unicast,
            pdu,
        } => Said::Frame {
            source,
            unicast,
            pdu: pdu.to_vec(),
        },
    })
}

/// Runs a program in a namespace, and gives what it prints.
#[track_caller]
pub(crate) fn run(namespace: &Namespace, command: &str) -> String {
    let mut words = command.split(' ');
    let output = namespace
        .command(words.next().unwrap())
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// Frames of an EtherType at one end of the cable.
pub(crate) fn frames(end: &Namespace, ethertype: u16) -> FrameSocket {
    let open = || FrameSocket::open(index(INTERFACE)?, ethertype, GROUP);
    end.enter(open).unwrap().unwrap()
}

/// The next frame, with its sender; none where none comes for a while.
pub(crate) fn receive(frames: &FrameSocket) -> Option<(Address, Vec<u8>)> {
    let end = Instant::now() + A_WHILE;
    let mut buffer = [0; MAX_MESSAGE];
    loop {
        match frames.receive(&mut buffer) {
            Ok(Some(frame)) => return Some((frame.source, buffer[..frame.length].to_vec())),
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let left = end.checked_duration_since(Instant::now())?;
                poll::wait(&mut [Entry::readable(frames)], Some(left)).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// A guard of a closed port, as `nft` prints it.
fn guard(family: &str, index: u32, name: &str, inwards: &str, outwards: &str) -> String {
    format!(
        "table {family} softsim_port_{index}_{name} {{\n\
         \tchain in {{\n\
         \t\ttype filter hook {inwards} priority -500; policy accept;\n\
         \t\tiif \"{name}\" drop\n\
         \t}}\n\n\
         \tchain out {{\n\
         \t\ttype filter hook {outwards} priority -500; policy accept;\n\
         \t\toif \"{name}\" drop\n\
         \t}}\n\
         }}\n"
    )
}

/// What every frame meets at a closed port, as `nft` prints it.
pub(crate) fn port(index: u32, name: &str) -> String {
    format!(
        "table netdev softsim_port_{index}_{name} {{\n\
         \tchain ingress {{\n\
         \t\ttype filter hook ingress device \"{name}\" priority -500; policy drop;\n\
         \t\tvlan id 0 vlan type 0x888e accept\n\
         \t\tether type 0x888e accept\n\
         \t}}\n\n\
         \tchain egress {{\n\
         \t\ttype filter hook egress device \"{name}\" priority -500; policy drop;\n\
         \t\tether type 0x888e accept\n\
         \t}}\n\
         }}\n"
    )
}
