//! The keeper of a port: a process that holds one interface's frame socket and the packet filter's
//! rules.
//!
//! It relays EAPOL between netd and the interface that its command line names, and opens and closes
//! the controlled port. netd can send it only the messages of [`wire`](super::wire). It closes the
//! port at its start, and again when netd ends, even if netd is killed. Until then it restores the
//! rules if another program removes them (firewalls begin with `flush ruleset`), and changes them
//! when the interface is renamed.
//!
//! Its standard input is netd, which has started it and with which it ends; or a listening socket
//! of a service manager. Then the keeper is a service of its own. It closes the port before a netd
//! has begun, keeps it closed between one netd and the next, and serves one netd at a time: the
//! owner and the mode of the socket say who may connect. If the interface isn't there, it waits for
//! it. It ends if the interface vanishes, and on SIGTERM.
//!
//! Once its sockets are open, it opens no file, starts no process and allocates no memory.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use softsim_carriers::eapol::{Address, ETHERTYPE, Frame, Kind, PAE_GROUP_ADDRESS};
use softsim_link::ethernet::{self, FrameSocket, Link, LinkMonitor, Name};
use softsim_link::netfilter::{News, TableMonitor};
use softsim_sandbox::notify::Notify;
use softsim_sandbox::poll::{self, Entry};
use softsim_sandbox::process::{self, Capability, Termination};
use softsim_sandbox::seccomp::{self, Filter};
use softsim_sandbox::seqpacket::{Connection, Listener, Received};
use softsim_sandbox::{clock, exit_status, landlock, log};

use super::rules::{Rules, Table};
use super::wire::{MAX_MESSAGE, MAX_PDU, Malformed, Message, Order, Reason, Refused, Request};

/// The first argument of the process. The interface follows, and [`WITHOUT_PORT`] if the keeper
/// keeps no port.
pub const SUBCOMMAND: &str = "port-keeper";

/// The keeper only relays EAPOL.
pub const WITHOUT_PORT: &str = "--controlled-port=none";

/// How long the keeper rests after it has put rules back, so that a program that removes them again
/// and again doesn't keep it busy.
const REPAIR_PAUSE: Duration = Duration::from_millis(20);

/// The time between two attempts if the packet filter refuses.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// How often the keeper tries to close the port once netd is gone.
const CLOSING_ATTEMPTS: usize = 10;

/// How often the keeper writes the rules if another program changes them at the same moment.
const WRITE_ATTEMPTS: usize = 8;

/// How often the keeper removes rules that another program puts back on an open port, each time
/// within [`CONTEST_WINDOW`] of the last. A program that goes on is another keeper, whose port is
/// closed; an interface can have only one.
const MAX_CONTESTS: u32 = 8;
const CONTEST_WINDOW: Duration = Duration::from_secs(1);

/// The code of an EAP-Response (RFC 3748 §4).
const RESPONSE: u8 = 2;

/// Why a keeper can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its command line or its standard input isn't what netd passes.
    #[error("port-keeper: expected {0}")]
    Usage(&'static str),
    /// It can't open what it needs.
    #[error("port-keeper: {0}: {1}")]
    Open(&'static str, #[source] io::Error),
    /// It lacks a capability for what it needs.
    #[error("port-keeper: {what}: expected the capability {capability}, which this process lacks")]
    Lacking {
        /// What it needs.
        what: &'static str,
        /// The capability.
        capability: &'static str,
    },
    /// It can't confine itself.
    #[error("port-keeper: {0}")]
    Confinement(String),
}

/// Keeps the port that the command line names, until netd or the service manager ends it. It
/// returns only if the keeper can't start.
pub fn run(arguments: &[OsString]) -> Result<(), Error> {
    open(arguments)?.keep()
}

/// Opens everything, and confines this process.
fn open(arguments: &[OsString]) -> Result<Keeper, Error> {
    let (interface, with_port) = match arguments {
        [interface] => (interface, true),
        [interface, without] if without == WITHOUT_PORT => (interface, false),
        _ => return Err(Error::Usage("the name of an interface")),
    };
    let interface = interface
        .to_str()
        .filter(|name| Name::new(name.as_bytes()).is_some())
        .ok_or(Error::Usage("the name of an interface"))?;
    let failed = |what| move |error| Error::Open(what, error);
    let (netd, mut manager) = match Connection::standard_input() {
        Ok(netd) => (Some(netd), None),
        Err(_) => (None, Some(Manager::open()?)),
    };
    let index = match &mut manager {
        None => ethernet::index(interface),
        Some(manager) => manager.await_interface(interface),
    };
    let index = index.map_err(failed("the interface"))?;
    let frames = FrameSocket::open(index, ETHERTYPE, PAE_GROUP_ADDRESS)
        .map_err(|error| lacking("EAPOL", "CAP_NET_RAW", error))?;
    let link_monitor = LinkMonitor::open(index).map_err(failed("its link"))?;
    // The command line may have an alternative name, which no rule matches.
    let (link, name) = present(&link_monitor).map_err(failed("its link"))?;
    let port = with_port
        .then(|| Port::open(index))
        .transpose()
        .map_err(|error| lacking("the packet filter", "CAP_NET_ADMIN", error))?;
    confine(with_port, manager.is_some()).map_err(Error::Confinement)?;
    Ok(Keeper {
        manager,
        netd,
        frames,
        link_monitor,
        link,
        name,
        port,
        authenticator: None,
        answer: None,
        link_sent: false,
    })
}

/// Why it can't open what takes a capability: the lack of that, or another reason.
fn lacking(what: &'static str, capability: &'static str, error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::PermissionDenied => Error::Lacking { what, capability },
        _ => Error::Open(what, error),
    }
}

/// The present link and name of an interface, which the kernel reports first.
fn present(link_monitor: &LinkMonitor) -> io::Result<(Link, Name)> {
    loop {
        // Events of other interfaces may come first.
        if let Some(state) = link_monitor.receive()? {
            let name = state.name.ok_or(ErrorKind::NotFound)?;
            return Ok((state.link, name));
        }
    }
}

/// Gives up what the keeper doesn't need any more. One that netd has started ignores the service
/// manager's signals: the port is closed when netd is gone, and not before.
fn confine(with_port: bool, is_service: bool) -> Result<(), String> {
    let ignored = match is_service {
        true => process::ignore_hangup(),
        false => process::ignore_termination(),
    };
    ignored.map_err(|error| error.to_string())?;
    process::deny_dumps().map_err(|error| error.to_string())?;
    // The packet filter checks it for every message.
    let kept: &[_] = if with_port {
        &[Capability::NetAdmin]
    } else {
        &[]
    };
    process::keep_capabilities(kept).map_err(|error| format!("CAP_NET_ADMIN: {error}"))?;
    landlock::restrict(&[]).map_err(|error| error.to_string())?;
    seccomp::install(Filter::PortKeeper).map_err(|error| error.to_string())
}

/// What a service manager passes to a keeper that is a service of its own.
struct Manager {
    listener: Listener,
    termination: Termination,
    /// Until the keeper is ready.
    notify: Option<Notify>,
}

impl Manager {
    fn open() -> Result<Self, Error> {
        const EXPECTED: &str = "netd's socket, or one that listens for netd, AF_UNIX and \
                                SOCK_SEQPACKET, as standard input";
        let failed = |what| move |error| Error::Open(what, error);
        Ok(Self {
            listener: Listener::standard_input().map_err(|_| Error::Usage(EXPECTED))?,
            termination: Termination::hold().map_err(failed("signals"))?,
            notify: Some(Notify::from_env().map_err(failed("NOTIFY_SOCKET"))?),
        })
    }

    /// Waits for the interface. Until it appears there is nothing to close, and whoever starts the
    /// network after the keeper needn't wait.
    fn await_interface(&mut self, interface: &str) -> io::Result<u32> {
        if ethernet::index(interface).is_err() {
            log::line(5, format_args!("port-keeper: waits for {interface}"));
            self.ready();
        }
        match ethernet::appearance(interface, &self.termination)? {
            Some(index) => Ok(index),
            None => process::exit(0),
        }
    }

    /// Closes the socket, too, which reaches more than the keeper may reach later.
    fn ready(&mut self) {
        if let Some(notify) = self.notify.take() {
            // A service manager that gets no message ends this process and starts another.
            let _ = notify.ready();
        }
    }
}

struct Keeper {
    /// None if netd has started this process.
    manager: Option<Manager>,
    /// None while the keeper waits for a netd.
    netd: Option<Connection>,
    frames: FrameSocket,
    link_monitor: LinkMonitor,
    link: Link,
    name: Name,
    port: Option<Port>,
    /// The station that last sent a frame to this interface alone.
    authenticator: Option<Address>,
    /// The answer that netd has not yet taken.
    answer: Option<Message<'static>>,
    /// Whether netd has the present link and name.
    link_sent: bool,
}

/// What has ended.
#[derive(PartialEq, Eq)]
enum End {
    /// netd: it is gone or has broken the protocol, or the interface belongs to another netd.
    Netd,
    /// The service: its manager stops it, or the interface is gone.
    Service,
}

impl Keeper {
    fn keep(&mut self) -> ! {
        if let Some(port) = &mut self.port
            && let Err(error) = port.change(true, &self.name, self.link)
        {
            refused(&self.name, &error);
            process::exit(exit_status::SYSTEM.into());
        }
        if let Some(manager) = &mut self.manager {
            manager.ready();
        }
        loop {
            let Err(end) = self.turn() else {
                continue;
            };
            match self.close_behind() {
                Ok(()) if self.manager.is_some() && end == End::Netd => self.forget_netd(),
                Ok(()) => process::exit(0),
                Err(_) => process::exit(exit_status::SYSTEM.into()),
            }
        }
    }

    /// Waits for the next netd.
    fn forget_netd(&mut self) {
        self.netd = None;
        self.answer = None;
        self.link_sent = false;
        self.authenticator = None;
    }

    /// Accepts a netd. The one before may have left the port open.
    fn accept(&mut self) -> Result<(), End> {
        let Some(manager) = &self.manager else {
            return Ok(());
        };
        self.netd = manager.listener.accept().map_err(|_| End::Service)?;
        self.close_behind().map_err(|_| End::Service)
    }

    /// Waits until there is work, and does a limited amount of it.
    fn turn(&mut self) -> Result<(), End> {
        self.flush()?;
        let waits = self.netd.is_some() && (self.answer.is_some() || !self.link_sent);
        let watched = self.port.as_ref().filter(|port| port.due.is_none());
        let manager = self.manager.as_ref();
        let mut entries = [
            match (&self.netd, manager) {
                (Some(netd), _) if waits => Entry::writable(netd),
                (Some(netd), _) => Entry::readable(netd),
                (None, Some(manager)) => Entry::readable(&manager.listener),
                // Without a manager, the keeper ends with its netd.
                (None, None) => Entry::none(),
            },
            Entry::readable(&self.link_monitor),
            if waits {
                Entry::none()
            } else {
                Entry::readable(&self.frames)
            },
            watched.map_or_else(Entry::none, |port| Entry::readable(&port.monitor)),
            manager.map_or_else(Entry::none, |it| Entry::readable(&it.termination)),
        ];
        let due = self.port.as_ref().and_then(|port| port.due);
        let timeout = due.map(|due| due.saturating_sub(clock::boottime()));
        // Only a lack of memory makes the wait itself fail; a read tells that netd is gone.
        let _ = poll::wait(&mut entries, timeout);
        let [netd, news, frames, monitor, termination] = entries.map(|entry| entry.ready());
        if news {
            self.receive_link();
        }
        let is_gone = self.manager.is_some() && self.link == Link::Gone;
        if is_gone || termination {
            // netd learns why, if it listens.
            let _ = self.flush();
            return Err(End::Service);
        }
        if let Some(port) = &mut self.port {
            port.repair(monitor, &self.name, self.link)?;
        }
        match self.netd {
            Some(_) if netd && !waits => self.receive_request()?,
            None if netd => self.accept()?,
            _ => {}
        }
        if frames {
            self.relay_frame()?;
        }
        Ok(())
    }

    /// Sends netd what it has not yet taken, as far as the socket has room.
    fn flush(&mut self) -> Result<(), End> {
        if let Some(answer) = self.answer
            && self.send_message(&answer)?
        {
            self.answer = None;
        }
        let (link, name) = (self.link, self.name);
        if !self.link_sent {
            self.link_sent = self.send_message(&Message::Link { link, name })?;
        }
        Ok(())
    }

    /// Returns whether there is a netd, and the socket had room.
    fn send_message(&self, message: &Message<'_>) -> Result<bool, End> {
        let Some(netd) = &self.netd else {
            return Ok(false);
        };
        let octets = message.encode().ok_or(End::Netd)?;
        match netd.send(octets.as_slice()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(_) => Err(End::Netd),
        }
    }

    /// Takes link and name from the kernel. The rules follow the name before netd learns it.
    fn receive_link(&mut self) {
        let before = (self.link, self.name);
        loop {
            match self.link_monitor.receive() {
                Ok(Some(news)) => {
                    self.link = news.link;
                    self.name = news.name.unwrap_or(self.name);
                }
                Ok(None) => {}
                Err(_) => break,
            }
        }
        if before == (self.link, self.name) {
            return;
        }
        self.link_sent = false;
        if self.link != Link::Up {
            self.authenticator = None;
        }
        if let Some(port) = &mut self.port
            && (before.1 != self.name || self.link == Link::Gone)
        {
            log::line(
                4,
                format_args!(
                    "port-keeper: {} is {}",
                    before.1,
                    Now(&self.name, self.link)
                ),
            );
            if let Err(error) = port.change(port.closed, &self.name, self.link) {
                refused(&self.name, &error);
            }
        }
    }

    fn receive_request(&mut self) -> Result<(), End> {
        let Some(netd) = &self.netd else {
            return Ok(());
        };
        let mut buffer = [0; MAX_MESSAGE];
        let request = match netd.receive(&mut buffer) {
            Ok(Received::Datagram(length)) => Request::decode(&buffer[..length]),
            Ok(Received::Truncated) => Err(Malformed),
            Ok(Received::Nothing) => return Ok(()),
            Ok(Received::Closed) | Err(_) => return Err(End::Netd),
        };
        let (order, outcome) = match request {
            Ok(Request::Order(order)) => (Some(order), self.carry_out(order)),
            Ok(Request::Frame { destination, pdu }) => match self.send(destination, pdu) {
                Ok(()) => return Ok(()),
                refused => (None, refused),
            },
            Err(Malformed) => (None, Err(Reason::Malformed)),
        };
        self.answer = match (order, outcome) {
            (Some(order), Ok(())) => Some(Message::Done(order)),
            (order, Err(reason)) => Some(Message::Refused(Refused { order, reason })),
            (None, Ok(())) => None,
        };
        if (order, outcome) == (Some(Order::Leave), Ok(())) {
            // netd may have ended.
            let _ = self.flush();
            match self.manager {
                Some(_) => self.forget_netd(),
                None => process::exit(0),
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, order: Order) -> Result<(), Reason> {
        let Some(port) = &mut self.port else {
            return match order {
                Order::Leave => Ok(()),
                Order::Open | Order::Close => Err(Reason::NoPort),
            };
        };
        port.change(order == Order::Close, &self.name, self.link)
            .map_err(|error| {
                refused(&self.name, &error);
                Reason::PacketFilter
            })
    }

    /// Sends a PDU of a supplicant, to a destination that a supplicant uses. The socket determines
    /// EtherType and interface.
    fn send(&self, destination: Address, pdu: &[u8]) -> Result<(), Reason> {
        if !is_a_supplicants(pdu) {
            return Err(Reason::Pdu);
        }
        if destination != PAE_GROUP_ADDRESS && Some(destination) != self.authenticator {
            return Err(Reason::Destination);
        }
        self.frames
            .send(destination, pdu)
            .map_err(|_| Reason::NotSent)
    }

    /// Relays one frame. If there is no netd or its socket has no room, the frame is lost.
    fn relay_frame(&mut self) -> Result<(), End> {
        let mut buffer = [0; MAX_PDU];
        // If the link is lost, the link monitor reports it.
        let Ok(frame) = self.frames.receive(&mut buffer) else {
            return Ok(());
        };
        // No station has a group address.
        if frame.source[0] & 1 == 1 {
            return Ok(());
        }
        if frame.unicast {
            self.authenticator = Some(frame.source);
        }
        self.send_message(&Message::Frame {
            source: frame.source,
            unicast: frame.unicast,
            pdu: &buffer[..frame.length],
        })?;
        Ok(())
    }

    /// Closes the port after a netd has ended, if the packet filter accepts that.
    fn close_behind(&mut self) -> io::Result<()> {
        let mut attempts = 1;
        loop {
            self.receive_link();
            let Some(port) = &mut self.port else {
                return Ok(());
            };
            match port.change(true, &self.name, self.link) {
                Err(error) if attempts < CLOSING_ATTEMPTS => refused(&self.name, &error),
                outcome => return outcome,
            }
            attempts += 1;
            let _ = poll::wait(&mut [], Some(RETRY_PAUSE));
        }
    }
}

/// Whether a PDU is a complete EAPOL-Start, EAPOL-Logoff or EAP-Response (IEEE 802.1X-2010 §11.3).
fn is_a_supplicants(pdu: &[u8]) -> bool {
    let Ok(frame) = Frame::parse(pdu) else {
        return false;
    };
    // Nothing may follow the body.
    let whole = pdu.ends_with(frame.body) && pdu.len() == frame.body.len() + 4;
    whole
        && match (frame.kind, frame.body) {
            (Kind::Start | Kind::Logoff, []) => true,
            (Kind::Eap, [RESPONSE, _, high, low, _, ..]) => {
                usize::from(u16::from_be_bytes([*high, *low])) == frame.body.len()
            }
            _ => false,
        }
}

/// The controlled port.
struct Port {
    rules: Rules,
    monitor: TableMonitor,
    index: u32,
    /// Whether it is closed, as far as the keeper knows.
    closed: bool,
    /// Whether the packet filter has the rules for that, as far as the keeper knows.
    is_current: bool,
    /// When the keeper tries or checks the rules again. Until then it ignores the packet filter's
    /// news.
    due: Option<Duration>,
    /// How often in a row another program has contested the open port, and when it last did.
    contested: (u32, Duration),
}

impl Port {
    fn open(index: u32) -> io::Result<Self> {
        let rules = Rules::open(index)?;
        for family in rules.missing() {
            log::line(
                5,
                format_args!("port-keeper: the kernel has no rules of the family {family}"),
            );
        }
        Ok(Self {
            monitor: TableMonitor::open()?,
            rules,
            index,
            closed: false,
            is_current: false,
            due: None,
            contested: (0, Duration::ZERO),
        })
    }

    /// Closes or opens the port. If that fails, the port stays as it was, and the keeper tries
    /// again.
    fn change(&mut self, close: bool, name: &Name, link: Link) -> io::Result<()> {
        let outcome = self.write(close, name, link);
        self.is_current = outcome.is_ok();
        if self.is_current {
            self.closed = close;
        }
        self.due = (!self.is_current).then(|| clock::boottime() + RETRY_PAUSE);
        outcome
    }

    /// Writes the rules until no other program has changed them meanwhile. The keeper knows the
    /// last change of its own transaction.
    fn write(&mut self, close: bool, name: &Name, link: Link) -> io::Result<()> {
        let table = Table::of(self.index, name);
        for _ in 0..WRITE_ATTEMPTS {
            self.monitor.news(table.name())?;
            match close {
                true => self.rules.close(name, link == Link::Gone)?,
                false => self.rules.remove(name)?,
            }
            let undisturbed = match self.monitor.news(table.name())? {
                Some(News::RuleAdded) => close,
                Some(News::TableRemoved) | None => !close,
                Some(News::Changed) => false,
            };
            if undisturbed {
                return Ok(());
            }
        }
        Err(ErrorKind::ResourceBusy.into())
    }

    /// Checks and repairs the rules, if it is time to or if the packet filter has news. It gives up
    /// an open port that another keeper closes.
    fn repair(&mut self, news: bool, name: &Name, link: Link) -> Result<(), End> {
        let is_due = self.due.is_some_and(|due| due <= clock::boottime());
        if !news && !is_due {
            return Ok(());
        }
        self.due = None;
        let table = Table::of(self.index, name);
        if self.is_current && matches!(self.monitor.news(table.name()), Ok(None)) {
            return Ok(());
        }
        if !self.closed && self.is_kept_closed() {
            log::line(
                3,
                format_args!(
                    "port-keeper: {name}: another keeper, of another softsim-netd, closes the port"
                ),
            );
            return Err(End::Netd);
        }
        match self.change(self.closed, name, link) {
            Ok(()) => {
                log::line(
                    5,
                    format_args!("port-keeper: {name}: the rules were changed: put back"),
                );
                self.due = Some(clock::boottime() + REPAIR_PAUSE);
            }
            Err(error) => refused(name, &error),
        }
        Ok(())
    }

    /// Counts that another program changed the rules of an open port, and returns whether it goes
    /// on.
    fn is_kept_closed(&mut self) -> bool {
        let now = clock::boottime();
        let (times, last) = self.contested;
        let in_a_row = now.saturating_sub(last) < CONTEST_WINDOW;
        self.contested = (if in_a_row { times + 1 } else { 1 }, now);
        self.contested.0 > MAX_CONTESTS
    }
}

/// Logs that the packet filter refused. The keeper will try again.
fn refused(name: &Name, error: &io::Error) {
    let error = Brief(error);
    log::line(
        4,
        format_args!("port-keeper: {name}: the packet filter refused: {error}"),
    );
}

/// Displays an error as its number, since the standard library would allocate its description.
struct Brief<'a>(&'a io::Error);

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.raw_os_error() {
            Some(number) => write!(f, "errno {number}"),
            None => write!(f, "{}", self.0.kind()),
        }
    }
}

/// Displays what became of an interface.
struct Now<'a>(&'a Name, Link);

impl fmt::Display for Now<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Link::Gone => f.write_str("gone"),
            Link::Up | Link::Down => write!(f, "called {} now", self.0),
        }
    }
}
