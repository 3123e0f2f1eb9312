//! The checks of an interface: it exists, and this process may use it, or connect to its port
//! keeper.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use softsim_link::ethernet;
use softsim_sandbox::process;
use softsim_sandbox::seqpacket::Connection;

use super::socket::{Cause, obstacle};
use super::{Finding, Kind, Severity};
use crate::access::settings::Settings;

/// A capability that a port keeper needs to start: its name, and its number (capabilities(7)).
type Capability = (&'static str, u32);

const RAW: Capability = ("CAP_NET_RAW", 13);
const ADMIN: Capability = ("CAP_NET_ADMIN", 12);

/// Checks the interface of a wired access. Whether it is up or has a link doesn't matter: that may
/// change.
pub(super) fn check(settings: &Settings) -> Vec<Finding> {
    let Some((interface, with_port)) = settings.interface() else {
        return Vec::new();
    };
    let error = |field, problem| {
        let place = settings.section.place(field);
        Finding::error(Kind::System, place, problem)
    };
    let named = settings.section.has("interface").then_some(interface);
    let missing = named.and_then(|name| ethernet::index(name).err());
    let missing = missing.map(|reason| {
        let expected = "expected an interface of this host";
        error(
            "interface",
            format!("{expected}, got {interface:?} ({reason})"),
        )
        .advise(present())
    });
    if let Some(socket) = settings.keeper_socket() {
        // The port keeper waits for an interface that appears late.
        let missing = missing.map(|finding| Finding {
            severity: Severity::Warning,
            ..finding
        });
        let unreachable = unreachable(settings, socket, interface);
        return missing.into_iter().chain(unreachable).collect();
    }
    let of_port = with_port.then_some(("controlled_port", ADMIN));
    let needed = [("interface", RAW)].into_iter().chain(of_port);
    let effective = effective();
    let lacking = needed.filter(|(_, (_, number))| {
        effective.is_some_and(|capabilities| capabilities & (1 << number) == 0)
    });
    let lacking = lacking.map(|(field, (name, _))| {
        let problem = format!("expected the capability {name}, which this process lacks");
        error(field, problem).advise(grant(name))
    });
    missing.into_iter().chain(lacking).collect()
}

/// Why this process can't connect to a port keeper that is a service of its own.
fn unreachable(settings: &Settings, socket: &Path, interface: &str) -> Option<Finding> {
    let reason = Connection::connect(socket).err()?;
    if reason.kind() == ErrorKind::WouldBlock {
        // It listens; others wait, too.
        return None;
    }
    let (got, cause) = obstacle(socket, &reason);
    let problem = format!("expected a port keeper on {}, got {got}", socket.display());
    let finding = |kind| Finding::error(kind, settings.section.place("keeper_socket"), problem);
    Some(match cause {
        Cause::NotRunning => finding(Kind::System).advise(format!(
            "systemctl enable --now softsim-port@{interface}.socket softsim-port@{interface}.service"
        )),
        Cause::Path => finding(Kind::Configuration).advise("give the path of its socket"),
        Cause::User => {
            finding(Kind::System).advise("run softsim-netd as the user to whom the socket belongs")
        }
        Cause::Other => finding(Kind::System),
    })
}

/// The interfaces that there are.
fn present() -> String {
    let table = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    // Each interface is a line, after two lines that name the columns.
    let names: Vec<_> = (table.lines().skip(2))
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim())
        .collect();
    format!("there are {}", names.join(", "))
}

/// The capabilities in force, as a mask (proc(5), CapEff); none if /proc doesn't tell.
fn effective() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// How this process would get a capability.
fn grant(name: &str) -> String {
    match process::uid() {
        // Only a container or a unit takes a capability from root.
        0 => format!("give {name} to the container or the unit that softsim-netd runs in"),
        _ => format!(
            "systemctl edit softsim-netd, and add {name} to AmbientCapabilities= and \
             CapabilityBoundingSet={}",
            // The frames' socket is of a family that the unit doesn't allow either.
            if name == RAW.0 {
                ", and AF_PACKET to RestrictAddressFamilies="
            } else {
                ""
            }
        ),
    }
}
