//! A cable with a port keeper at one end. The test holds netd's end of the port keeper's socket.

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

/// How long the test waits for an event that happens soon or never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The EtherTypes of EAPOL and of an 802.1Q tag.
pub(crate) const EAPOL: u16 = 0x888e;
pub(crate) const TAG: u16 = 0x8100;

/// The group address of port access entities.
pub(crate) const GROUP: Address = [0x01, 0x80, 0xc2, 0, 0, 3];

/// The two ends of the cable.
pub(crate) const STATION: Address = [2, 0, 0, 0, 0, 1];
pub(crate) const OURS: Address = [2, 0, 0, 0, 0, 2];

/// A message of the keeper, or the end of its connection.
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
    /// The keeper has closed the connection.
    Gone,
}

pub(crate) struct Scene {
    pub(crate) cable: Cable,
    pub(crate) keeper: Child,
    pub(crate) netd: Option<Connection>,
    /// The keeper's standard error.
    pub(crate) log: tempfile::NamedTempFile,
}

/// Makes a cable; `None` if the test lacks privileges or programs for it.
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
    /// Starts a keeper, and waits until it serves.
    pub(crate) fn new(test: &str) -> Option<Self> {
        Self::on(cable(test)?, &[INTERFACE])
    }

    /// Starts a keeper with these arguments on this cable, and waits until it serves.
    pub(crate) fn on(cable: Cable, arguments: &[&str]) -> Option<Self> {
        let scene = Self::starting(cable, arguments);
        assert_eq!(scene.hear(), Said::Link(Link::Up, name(INTERFACE)));
        Some(scene)
    }

    /// Starts a keeper that may refuse to serve.
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

    /// Starts another keeper, for another netd, after this one has ended.
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

    /// Receives the keeper's next message.
    pub(crate) fn hear(&self) -> Said {
        hear(self.netd()).expect("the keeper says nothing")
    }

    /// The keeper's log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }

    /// Whether the keeper sends nothing for a while.
    pub(crate) fn is_silent(&self) -> bool {
        poll::wait(&mut [Entry::readable(self.netd())], Some(A_WHILE)).unwrap() == 0
    }

    #[track_caller]
    pub(crate) fn order(&self, order: Order) {
        self.say(&Request::Order(order));
        assert_eq!(self.hear(), Said::Done(order));
    }

    /// Runs a program at the keeper's end, and returns its output.
    #[track_caller]
    pub(crate) fn run(&self, command: &str) -> String {
        run(&self.cable.gateway, command)
    }

    /// All rules, as `nft` prints them.
    pub(crate) fn rules(&self) -> String {
        self.run("nft list ruleset")
    }

    /// The rules that `nft` prints for a closed port on an interface with this index and name.
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

    /// Opens a socket for frames of an EtherType at the far end.
    pub(crate) fn station(&self, ethertype: u16) -> FrameSocket {
        frames(&self.cable.authenticator, ethertype)
    }

    /// How many frames have arrived at the far end.
    pub(crate) fn arrived(&self) -> String {
        let counter = format!("cat /sys/class/net/{INTERFACE}/statistics/rx_packets");
        run(&self.cable.authenticator, &counter)
    }

    /// Whether a datagram arrives in each direction, outwards and inwards.
    pub(crate) fn passes(&self) -> [bool; 2] {
        let (here, there) = (&self.cable.gateway, &self.cable.authenticator);
        [udp(here, there, AUTHENTICATOR), udp(there, here, GATEWAY)]
    }

    /// Waits until the keeper has ended, and returns whether it ended with status 0.
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

/// Starts a keeper at the gateway's end, with this standard input and standard error.
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

/// Receives a keeper's next message; `None` if it sends nothing.
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

/// Runs a program in a namespace, and returns its output.
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

/// Opens a socket for frames of an EtherType at one end of the cable.
pub(crate) fn frames(end: &Namespace, ethertype: u16) -> FrameSocket {
    let open = || FrameSocket::open(index(INTERFACE)?, ethertype, GROUP);
    end.enter(open).unwrap().unwrap()
}

/// Receives the next frame and its sender; `None` if no frame comes for a while.
pub(crate) fn receive(frames: &FrameSocket) -> Option<(Address, Vec<u8>)> {
    let end = Instant::now() + A_WHILE;
    let mut buffer = [0; MAX_MESSAGE];
    loop {
        match frames.receive(&mut buffer) {
            Ok(frame) => return Some((frame.source, buffer[..frame.length].to_vec())),
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

/// The rules of a closed port for frames of every EtherType, as `nft` prints them.
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
