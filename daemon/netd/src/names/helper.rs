//! The names helper: a helper process that asks the C library for addresses, and does nothing else.
//!
//! netd starts it before it confines itself, and holds the other end of its socket, which is its
//! only descriptor. Each look-up is a copy of this process, with a narrower filter and a landlock
//! rule set for the resolver's files and sockets of that moment. The copy answers once and ends. If
//! the kernel kills it, or it takes too long, the helper answers the request with the reason. A
//! copy knows nothing of other look-ups.

use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use softsim_sandbox::child::{Child, Limits, SingleThreaded};
use softsim_sandbox::landlock::{self, PathAccess, PathRule};
use softsim_sandbox::seccomp::{self, Filter};
use softsim_sandbox::seqpacket::{Connection, Received};
use softsim_sandbox::{clock, poll, process};

use super::wire::{Answer, MAX, Name, READY, Request};

/// The first argument of the process.
pub const SUBCOMMAND: &str = "names";

/// The number of look-ups at once.
pub const MAX_LOOK_UPS: usize = 8;

/// The time that a look-up has. glibc asks three servers twice, with five seconds each.
pub const TIMEOUT: Duration = Duration::from_secs(32);

/// The limits of this process and of each look-up.
const LIMITS: Limits = Limits {
    memory: 512 << 20,
    descriptors: 64,
};

/// The port of name servers, which answer over TCP if an answer is too long for UDP.
const DNS: u16 = 53;

/// Debian's user `nobody`. As that user, a look-up reaches less than as root.
const NOBODY: u32 = 65534;

/// The libraries that the resolver loads when it first needs them.
const LIBRARIES: [&str; 4] = ["/usr", "/lib", "/lib64", "/nix/store"];

/// The files that the resolver reads, if they exist.
const FILES: [&str; 11] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/hostname",
    "/etc/services",
    "/etc/mdns.allow",
    "/etc/ld.so.cache",
    "/proc/sys/net",
    "/sys/class/net",
];

/// The services that the resolver asks: systemd-resolved, Avahi and nscd.
const SERVICES: [&str; 3] = ["/run/systemd/resolve", "/run/avahi-daemon", "/run/nscd"];

/// Serves until netd ends. If it can't serve, it tells netd why.
pub fn run() -> Result<(), String> {
    let netd = Connection::standard_input().map_err(|error| format!("standard input: {error}"))?;
    let single = match confine() {
        Ok(single) => single,
        Err(reason) => {
            let sent = netd.send(&Answer::failed(&reason).encode(0));
            return sent.map_err(|_| reason);
        }
    };
    if netd.send(READY).is_ok() {
        let mut helper = Helper {
            netd,
            single,
            look_ups: Vec::new(),
        };
        while helper.turn() {}
    }
    // The filter forbids the calls that an orderly end would make.
    process::exit(0)
}

/// Gives up everything that neither a look-up nor the creation of a copy needs.
fn confine() -> Result<SingleThreaded, String> {
    fn described<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> String {
        move |error| format!("{what}: {error}")
    }
    // The helper ignores the service manager's signals, and ends when netd does.
    process::ignore_termination().map_err(described("signals"))?;
    let single = SingleThreaded::check().map_err(described("threads"))?;
    LIMITS.set().map_err(described("limits"))?;
    if process::uid() == 0 {
        process::drop_user(NOBODY, NOBODY).map_err(described("becoming nobody"))?;
    }
    process::deny_dumps().map_err(described("core dumps"))?;
    process::keep_capabilities(&[]).map_err(described("capabilities"))?;
    let readable = ["/etc", "/run", "/proc/sys/net", "/sys/class/net"].map(Path::new);
    restrict(&readable, &[Path::new("/run")]).map_err(described("landlock"))?;
    seccomp::install(Filter::Names).map_err(described("seccomp"))?;
    Ok(single)
}

/// Leaves the libraries and these paths, as far as they exist.
fn restrict(readable: &[&Path], connectable: &[&Path]) -> Result<(), landlock::Error> {
    let libraries = LIBRARIES.map(Path::new);
    let readable = libraries.iter().chain(readable);
    let rules: Vec<_> = readable
        .map(|path| (path, PathAccess::Read))
        .chain(connectable.iter().map(|path| (path, PathAccess::Connect)))
        .filter(|(path, _)| path.exists())
        .map(|(path, access)| PathRule { path, access })
        .collect();
    landlock::restrict_but_for(&rules, &[DNS]).map(drop)
}

struct Helper {
    netd: Connection,
    single: SingleThreaded,
    look_ups: Vec<LookUp>,
}

/// A look-up that runs.
struct LookUp {
    id: u32,
    child: Child,
    /// On the boot clock.
    deadline: Duration,
}

impl Helper {
    /// Waits for work and does it. Returns false when the helper has to end.
    fn turn(&mut self) -> bool {
        let mut entries = vec![poll::Entry::readable(&self.netd)];
        entries.extend(
            self.look_ups
                .iter()
                .map(|one| poll::Entry::readable(&one.child)),
        );
        let now = clock::boottime();
        let next = self
            .look_ups
            .iter()
            .map(|one| one.deadline.saturating_sub(now))
            .min();
        if poll::wait(&mut entries, next).is_err() {
            return false;
        }
        let now = clock::boottime();
        let mut ready = entries[1..].iter().map(poll::Entry::ready);
        let over = |one: &mut LookUp| ready.next() == Some(true) || one.deadline <= now;
        let over: Vec<_> = self.look_ups.extract_if(.., over).collect();
        for LookUp { id, child, .. } in over {
            let answer = answer_of(child);
            if self.netd.send(&answer.encode(id)).is_err() {
                return false;
            }
        }
        !entries[0].ready() || self.serve()
    }

    /// Handles a request of netd. Returns false when the helper has to end.
    fn serve(&mut self) -> bool {
        let mut datagram = [0; MAX];
        let request = match self.netd.receive(&mut datagram) {
            Ok(Received::Datagram(length)) => Request::decode(&datagram[..length]),
            Ok(Received::Nothing) => return true,
            Ok(Received::Truncated) => None,
            Ok(Received::Closed) | Err(_) => return false,
        };
        // A process that sends anything else isn't a working netd.
        let Some(Request { id, name }) = request else {
            return false;
        };
        if self.look_ups.len() == MAX_LOOK_UPS {
            return self
                .netd
                .send(&Answer::failed("too many look-ups at once").encode(id))
                .is_ok();
        }
        match self.single.copy(|helper| look_up(&name, helper, id)) {
            Ok(child) => {
                let deadline = clock::boottime() + TIMEOUT;
                self.look_ups.push(LookUp {
                    id,
                    child,
                    deadline,
                });
                true
            }
            Err(error) => {
                let failed = Answer::failed(format_args!("no look-up could be started: {error}"));
                self.netd.send(&failed.encode(id)).is_ok()
            }
        }
    }
}

/// The answer of a look-up, or how it ended.
fn answer_of(child: Child) -> Answer {
    let mut datagram = [0; MAX];
    match child.socket().receive(&mut datagram) {
        Ok(Received::Datagram(length)) => match Answer::decode(&datagram[..length]) {
            Some((_, answer)) => answer,
            None => Answer::failed("the look-up gave no answer that can be understood"),
        },
        Ok(Received::Nothing) => Answer::failed("no answer in time"),
        _ => match child.end() {
            Some(signal) => Answer::failed(format_args!(
                "the look-up was ended by signal {signal}; 31 is a system call that policies/seccomp/look-up.json doesn't allow"
            )),
            None => Answer::failed("the look-up ended without an answer"),
        },
    }
}

/// The work of the copy.
fn look_up(name: &Name, helper: &Connection, id: u32) {
    let confined = confine_look_up();
    let answer = match confined {
        Ok(()) => match (name.as_str(), 0).to_socket_addrs() {
            Ok(addresses) => Answer::addresses(addresses),
            Err(error) => Answer::failed(error),
        },
        Err(reason) => Answer::failed(reason),
    };
    // If the helper has ended, nobody waits for the answer.
    let _ = helper.send(&answer.encode(id));
}

/// Confines a look-up. If a file was replaced, this look-up uses the new one.
fn confine_look_up() -> Result<(), String> {
    let of_resolv_conf = folder_of_resolv_conf();
    let services = SERVICES.map(Path::new);
    let readable: Vec<_> = FILES
        .map(Path::new)
        .into_iter()
        .chain(services)
        .chain(of_resolv_conf.as_deref())
        .collect();
    restrict(&readable, &services).map_err(|error| error.to_string())?;
    seccomp::install(Filter::LookUp).map_err(|error| error.to_string())
}

/// The folder of resolv.conf, if it is a link to a file elsewhere.
fn folder_of_resolv_conf() -> Option<PathBuf> {
    let file = std::fs::canonicalize(FILES[0]).ok()?;
    let folder = file.parent()?;
    folder.starts_with("/run").then(|| folder.to_path_buf())
}
