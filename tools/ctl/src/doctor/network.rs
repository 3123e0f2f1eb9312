//! The checks of netd's configuration, and of the interfaces and servers that it names.

use std::io::ErrorKind;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use softsim_client::netd::check::{self, Kind, NamedServer, Severity};

use super::host::Host;
use crate::finding::{Finding, State};

/// How long an ICMP message may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Most addresses of a server that are tried.
const MAX_ADDRESSES: usize = 4;

/// What netd's own checks find.
pub(super) fn configuration(host: &Host) -> Vec<Finding> {
    const NAME: &str = "configuration";
    let checked = match &host.checked {
        Ok(checked) => checked,
        Err(reason) => return vec![Finding::unexamined(NAME, reason)],
    };
    let runs = host.netd.is_ok();
    let findings = checked.findings.iter();
    let findings: Vec<_> = findings.map(|finding| told(NAME, finding, runs)).collect();
    match findings.is_empty() {
        true => {
            let file = host.config.display();
            vec![Finding::fine(NAME, format!("{file}: nothing is wrong"))]
        }
        false => findings,
    }
}

/// A finding of netd's. A netd that runs has found the system as it needs it; its unit may give it
/// rights that the check doesn't have.
fn told(name: &'static str, finding: &check::Finding, runs: bool) -> Finding {
    let state = match (finding.severity, finding.kind) {
        (Severity::Error, Kind::System) if runs => State::Unexamined,
        (Severity::Error, _) => State::Wrong,
        (Severity::Warning, _) => State::Amiss,
    };
    // With a way out, the line ends with it.
    let way_out = finding.way_out.clone();
    let found = match &way_out {
        Some(way_out) => finding.text.trim_end_matches(&**way_out),
        None => &finding.text,
    };
    Finding {
        name,
        state,
        found: found.trim_end_matches(": ").to_owned(),
        advice: way_out.or_else(|| Some("change the configuration, or what it names".into())),
    }
}

/// Whether the interfaces that exist are up and have a carrier. netd's checks tell of those that
/// don't exist.
pub(super) fn interfaces(host: &Host) -> Vec<Finding> {
    let checked = host.checked.iter();
    let named = checked.flat_map(|checked| &checked.interfaces);
    named
        .filter_map(|named| interface(host, &named.name))
        .collect()
}

fn interface(host: &Host, interface: &str) -> Option<Finding> {
    const NAME: &str = "interface";
    /// The interface is up (IFF_UP of netdevice(7)).
    const UP: u32 = 1;
    let attribute = |name: &str| host.read(format!("/sys/class/net/{interface}/{name}"));
    let flags = attribute("flags").ok()?;
    let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).unwrap_or_default();
    Some(if flags & UP == 0 {
        Finding::amiss(
            NAME,
            format!("{interface} is down"),
            format!("ip link set {interface} up, or let the network manager do so"),
        )
    } else {
        match attribute("carrier").as_deref() {
            Ok("1") => Finding::fine(NAME, format!("{interface} is up and has a carrier")),
            _ => Finding::amiss(
                NAME,
                format!("{interface} has no carrier"),
                "check the cable, and the port at its other end",
            ),
        }
    })
}

/// Whether the names of servers resolve, and whether a port is closed: more can't be said without
/// a credential.
pub(super) fn servers(host: &Host) -> Vec<Finding> {
    let checked = host.checked.iter();
    let servers = checked.flat_map(|checked| &checked.servers);
    servers.map(server).collect()
}

fn server(server: &NamedServer) -> Finding {
    const NAME: &str = "server";
    let NamedServer { of, host, port } = server;
    let addresses = match (&**host, *port).to_socket_addrs() {
        Ok(addresses) => addresses.take(MAX_ADDRESSES),
        Err(error) => {
            return Finding::amiss(
                NAME,
                format!("{of}: {host} has no address ({error})"),
                "check the name, and the name servers in /etc/resolv.conf",
            );
        }
    };
    let tried = addresses.map(|address| (address, refusal(address)));
    let (refused, open): (Vec<_>, Vec<_>) = tried.partition(|(_, refusal)| refusal.is_some());
    match (open.first(), refused.first()) {
        (Some((address, _)), _) => Finding::fine(
            NAME,
            format!("{of}: {host} is {address}, and nothing says that the port is closed"),
        ),
        (None, Some((address, reason))) => Finding::amiss(
            NAME,
            format!("{of}: {address}: {}", reason.unwrap_or(ErrorKind::Other)),
            "start the server, or open its port for this gateway in the firewalls between",
        ),
        (None, None) => Finding::amiss(
            NAME,
            format!("{of}: {host} has no address"),
            "check the name, and the name servers in /etc/resolv.conf",
        ),
    }
}

/// What the network says of a port to which an empty datagram is sent, within a second.
fn refusal(address: SocketAddr) -> Option<ErrorKind> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => ([0; 4], 0).into(),
        SocketAddr::V6(_) => ([0; 16], 0).into(),
    };
    let asked = || {
        let socket = UdpSocket::bind(any)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(address)?;
        socket.send(&[])?;
        socket.recv(&mut [0; 1])
    };
    match asked() {
        Ok(_) => None,
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => None,
            kind => Some(kind),
        },
    }
}
