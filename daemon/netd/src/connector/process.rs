//! The connector: a helper process that connects sockets to keyd, passes them to netd, and tells
//! the service manager how netd is. It parses no octet from a network.
//!
//! A process that may create AF_UNIX sockets reaches every socket of the host that its user may
//! connect to: root's control sockets, or the system's log. netd, which parses what networks send,
//! must not be able to do that, but it needs new connections when keyd has restarted. So the path
//! of keyd's socket is in this process's command line, and netd can ask for a connection, but not
//! say to whom. Since the service manager gets its messages from a process other than the main one,
//! the unit sets `NotifyAccess=all`.

use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use softsim_client::keyd;
use softsim_sandbox::landlock::{self, PathAccess, PathRule};
use softsim_sandbox::notify::Notify;
use softsim_sandbox::seccomp::{self, Filter};
use softsim_sandbox::seqpacket::{Connection, Received};
use softsim_sandbox::{passing, poll, process};

use super::wire::{self, MAX, PASSED, READY, Request};

/// The first argument of the process. The path of keyd's socket follows.
pub const SUBCOMMAND: &str = "connector";

/// Serves until netd ends.
///
/// # Errors
/// It can't begin: netd and its log learn why.
pub fn run(arguments: &[OsString]) -> Result<(), String> {
    let [keyd] = arguments else {
        return Err("connector: expected the path of keyd's socket".into());
    };
    let keyd = PathBuf::from(keyd);
    let netd = Connection::standard_input().map_err(described("standard input"))?;
    let notify = Notify::from_env().map_err(described("NOTIFY_SOCKET"))?;
    confine(&keyd)?;
    if netd.send(READY).is_ok() {
        while let Some(request) = receive(&netd) {
            // If the service manager doesn't read, the connector can do nothing about it.
            match request {
                Request::Ready => drop(notify.ready()),
                Request::Alive => drop(notify.watchdog()),
                Request::Stopping => drop(notify.stopping()),
                Request::Keyd => connect(&keyd, &netd),
            }
        }
    }
    // The filter forbids the calls that an orderly end would make.
    process::exit(0)
}

fn described<E: Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("connector: {what}: {error}")
}

/// Gives up everything but connecting to what is in the folder of keyd's socket, where the kernel
/// can tell that from other folders.
fn confine(keyd: &Path) -> Result<(), String> {
    // The connector ignores the service manager's signals, and ends when netd does.
    process::ignore_termination().map_err(described("signals"))?;
    process::deny_dumps().map_err(described("core dumps"))?;
    process::keep_capabilities(&[]).map_err(described("capabilities"))?;
    // keyd may create another socket at this path.
    let rule = PathRule {
        path: keyd.parent().unwrap_or(keyd),
        access: PathAccess::Connect,
    };
    landlock::restrict(&[rule]).map_err(described("landlock"))?;
    seccomp::install(Filter::Connector).map_err(described("seccomp"))
}

/// The next request of netd; none if netd has ended, or has sent something else.
fn receive(netd: &Connection) -> Option<Request> {
    loop {
        poll::wait(&mut [poll::Entry::readable(netd)], None).ok()?;
        let mut datagram = [0; MAX];
        match netd.receive(&mut datagram).ok()? {
            Received::Datagram(length) => return Request::decode(&datagram[..length]),
            Received::Nothing => {}
            Received::Truncated | Received::Closed => return None,
        }
    }
}

/// Connects to keyd, and passes the connection. The next wait notices a netd that has ended.
fn connect(path: &Path, netd: &Connection) {
    let passed = keyd::open(path).and_then(|socket| passing::pass(PASSED, &socket));
    if let Err(error) = passed {
        let _: io::Result<()> = netd.send(&wire::failed(&error));
    }
}
