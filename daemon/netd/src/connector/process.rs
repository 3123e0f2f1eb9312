//! The connector: a helper process that opens for netd what netd can't open any more, and tells the
//! service manager how netd is. It parses no octet from a network.
//!
//! A process that may create AF_UNIX sockets reaches every socket of the host that its user may
//! connect to: root's control sockets, or the system's log. netd, which parses what networks send,
//! must not be able to do that, but it needs new connections when keyd has restarted. So the path
//! of keyd's socket is in this process's command line, and netd can ask for a connection, but not
//! say to whom. Likewise it names the sockets of port keepers, and the files that netd reads again
//! on SIGHUP, by their places in the command line: those of the configuration at netd's start.
//! Since the service manager gets its messages from a process other than the main one, the unit
//! sets `NotifyAccess=all`.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use softsim_client::keyd;
use softsim_sandbox::landlock::{self, PathAccess, PathRule};
use softsim_sandbox::notify::Notify;
use softsim_sandbox::seccomp::{self, Filter};
use softsim_sandbox::secret_file::Access;
use softsim_sandbox::seqpacket::{Connection, Received};
use softsim_sandbox::{passing, poll, process, regular_file};

use super::wire::{self, CONNECTED, MAX, READY, Request};

/// The first argument of the process. The paths of keyd's socket, of the configuration, and of the
/// other files follow, and anywhere among them [`KEEPER`] with the path of each port keeper.
pub const SUBCOMMAND: &str = "connector";

/// The start of an argument that names the socket of a port keeper.
pub const KEEPER: &str = "--keeper=";

/// How long keyd may let the connector wait, which serves nobody meanwhile. netd asks again later.
const PATIENCE: Duration = Duration::from_millis(100);

/// Serves until netd ends.
///
/// # Errors
/// It can't begin: netd and its log learn why.
pub fn run(arguments: &[OsString]) -> Result<(), String> {
    let (mut paths, mut keepers) = (Vec::new(), Vec::new());
    for argument in arguments {
        match argument.as_bytes().strip_prefix(KEEPER.as_bytes()) {
            Some(keeper) => keepers.push(PathBuf::from(OsStr::from_bytes(keeper))),
            None => paths.push(PathBuf::from(argument)),
        }
    }
    let [keyd, files @ ..] = &paths[..] else {
        return Err("connector: expected the path of keyd's socket".into());
    };
    let netd = Connection::standard_input().map_err(described("standard input"))?;
    let notify = Notify::from_env().and_then(Notify::replace_standard_output);
    let notify = notify.map_err(described("NOTIFY_SOCKET"))?;
    confine(keyd, &keepers, files)?;
    if netd.send(READY).is_ok() {
        while let Some(request) = receive(&netd) {
            // If the service manager doesn't read, the connector can do nothing about it.
            match request {
                Request::Ready => drop(notify.ready()),
                Request::Reloading(since) => {
                    drop(notify.reloading(Duration::from_micros(since)));
                }
                Request::Alive => drop(notify.watchdog()),
                Request::Stopping => drop(notify.stopping()),
                Request::Keyd => answer(&netd, connect(keyd)),
                Request::Keeper(place) => answer(&netd, connect_to_keeper(&keepers, place)),
                Request::File(place) => answer(&netd, open(files, place)),
            }
        }
    }
    // The filter forbids the calls that an orderly end would make.
    process::exit(0)
}

fn described<E: Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("connector: {what}: {error}")
}

/// Gives up everything but connecting to what is in the folders of the sockets, where the kernel
/// can tell them from other folders, and reading what is in the folders of the files.
fn confine(keyd: &Path, keepers: &[PathBuf], files: &[PathBuf]) -> Result<(), String> {
    // The connector ignores the service manager's signals, and ends when netd does.
    process::ignore_termination().map_err(described("signals"))?;
    process::deny_dumps().map_err(described("core dumps"))?;
    process::keep_capabilities(&[]).map_err(described("capabilities"))?;
    restrict_paths(keyd, keepers, files).map_err(described("landlock"))?;
    seccomp::install(Filter::Connector).map_err(described("seccomp"))
}

/// Gives up other paths. What it allocates is freed before the filter is installed: musl returns
/// pages to the kernel, which the filter forbids.
fn restrict_paths(
    keyd: &Path,
    keepers: &[PathBuf],
    files: &[PathBuf],
) -> Result<(), landlock::Error> {
    let keepers = keepers.iter().map(PathBuf::as_path);
    let sockets = [keyd].into_iter().chain(keepers);
    // Others may put another socket at the path: it is the folder that stays.
    let sockets: BTreeSet<_> = sockets.map(|path| path.parent().unwrap_or(path)).collect();
    let readable: BTreeSet<_> = files.iter().flat_map(|file| readable(file)).collect();
    let rules: Vec<_> = (sockets.into_iter().map(|path| (path, PathAccess::Connect)))
        .chain(readable.iter().map(|path| (&**path, PathAccess::Read)))
        .map(|(path, access)| PathRule { path, access })
        .collect();
    landlock::restrict(&rules).map(drop)
}

/// What the connector may read for a file, and for what it links to.
///
/// Others may put another file at the path: it is the folder that stays, and a rule of landlock
/// can't name a file that isn't there yet. But the rule of a folder holds for all that is below it.
fn readable(file: &Path) -> [PathBuf; 2] {
    let linked = fs::canonicalize(file).unwrap_or_else(|_| file.into());
    [file, &linked].map(|path| match shared_folder(path) {
        Some(_) => path.into(),
        None => path.parent().unwrap_or(path).into(),
    })
}

/// The folder of a file, if it is the root or directly below it, as /etc is. Such a folder holds
/// what is nobody's business here, so that only the file of the start can be read in it.
pub(crate) fn shared_folder(file: &Path) -> Option<PathBuf> {
    let file = std::path::absolute(file).ok()?;
    let folder = fs::canonicalize(file.parent()?).ok()?;
    (folder.components().count() <= 2).then_some(folder)
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

/// Something to pass, and what to say of it.
type Opened<const N: usize> = io::Result<(OwnedFd, [u8; N])>;

fn connect(keyd: &Path) -> Opened<1> {
    Ok((keyd::open(keyd, PATIENCE)?, CONNECTED))
}

fn connect_to_keeper(keepers: &[PathBuf], place: u16) -> Opened<1> {
    let path = keepers.get(usize::from(place));
    let keeper = Connection::connect(path.ok_or(io::ErrorKind::InvalidInput)?)?;
    Ok((keeper.into(), CONNECTED))
}

fn open(files: &[PathBuf], place: u16) -> Opened<13> {
    let path = files.get(usize::from(place));
    let file = regular_file::open(path.ok_or(io::ErrorKind::InvalidInput)?)?;
    let access = Access::from(file.metadata()?);
    Ok((file.into(), wire::opened(access)))
}

/// Answers netd. The next wait notices a netd that has ended.
fn answer<const N: usize>(netd: &Connection, opened: Opened<N>) {
    let passed = opened.and_then(|(descriptor, said)| passing::pass(&said, &descriptor));
    if let Err(error) = passed {
        let _: io::Result<()> = netd.send(&wire::failed(&error));
    }
}
