//! From the command line to the loop that never ends: opens the sockets, confines the bridge, and
//! waits for all of them at once.

use std::io;
use std::path::{Path, PathBuf};

use softsim_client::keyd::{Connection, Error as KeydError};
use softsim_client::proto::requests::Identity;
use softsim_client::proto::{IdentityRequest, Method, Realm};
use softsim_sandbox::notify::{Notify, Watchdog};
use softsim_sandbox::{clock, exit_status, log, poll, process, seqpacket};

use crate::args::{Sandbox, Settings};
use crate::finder::{Finder, FinderLost};
use crate::interface::Interface;
use crate::sandbox::{self, SandboxError};
use crate::sim::Failure;

/// Why the bridge didn't start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key process can't be reached, or was lost.
    #[error("softsim-keyd: {0}")]
    Keyd(#[from] KeydError),
    /// The key process ended.
    #[error("softsim-keyd ended")]
    KeydEnded,
    /// A process that connects to wpa_supplicant ended.
    #[error("a finder ended")]
    FinderEnded,
    /// The bridge can't create one of its sockets.
    #[error("{path}: {1}", path = .0.display())]
    Socket(PathBuf, #[source] io::Error),
    /// The service manager can't be reached.
    #[error("the service manager: {0}")]
    Notify(#[source] io::Error),
    /// The process can't be confined.
    #[error("{0} (--sandbox=off runs without a sandbox)")]
    Sandbox(#[from] SandboxError),
    /// The wait for messages failed.
    #[error("waiting for messages: {0}")]
    Wait(#[source] io::Error),
}

impl Error {
    /// The exit status.
    pub fn status(&self) -> u8 {
        match self {
            Self::Keyd(_) | Self::KeydEnded => exit_status::UNAVAILABLE,
            Self::Socket(..) | Self::Notify(_) => exit_status::IO,
            Self::Sandbox(_) | Self::FinderEnded | Self::Wait(_) => exit_status::SYSTEM,
        }
    }
}

/// The permanent identity, for the configuration of wpa_supplicant.
///
/// # Errors
/// [`Error::Keyd`].
pub fn identity(keyd: &Path, method: Method) -> Result<String, Error> {
    let mut keyd = Connection::connect(keyd)?;
    let identity = keyd.call(&Identity {
        iccid: None,
        method,
        any_method: false,
        kind: IdentityRequest::Permanent,
        inside: false,
        realm: Realm::Wlan,
        network_name: "",
    });
    Ok(identity?.nai)
}

/// Serves until the key process ends, or the operating system fails.
///
/// # Errors
/// See [`Error`].
pub fn run(settings: &Settings) -> Result<(), Error> {
    sandbox::deny_dumps()?;
    process::ignore_hangup().map_err(Error::Wait)?;
    let notify = Notify::from_env().map_err(Error::Notify)?;
    let mut sim = Connection::connect(&settings.keyd)?;
    // A second connection, on which nothing is sent: it shows that the key process has ended.
    let watched = seqpacket::Connection::connect(&settings.keyd)
        .map_err(|error| Error::Socket(settings.keyd.clone(), error))?;
    let mut interfaces = Vec::new();
    for control in &settings.controls {
        let interface = Interface::open(&settings.sockets, control, |socket, control| {
            Finder::start(socket, control, settings.sandbox)
        });
        interfaces.push(interface.map_err(|error| Error::Socket(control.clone(), error))?);
    }
    if settings.sandbox == Sandbox::Require {
        sandbox::enter()?;
    }
    log::line(5, format_args!("serving {} interfaces", interfaces.len()));
    notify.ready().map_err(Error::Notify)?;
    let mut watchdog = Watchdog::from(notify);
    loop {
        let turned = turn(&mut interfaces, &watched, &mut sim, &mut watchdog);
        if let Err(error) = turned {
            watchdog.stopping();
            return Err(error);
        }
    }
}

/// Waits for messages or for the next timer, and handles both.
fn turn(
    interfaces: &mut [Interface],
    watched: &seqpacket::Connection,
    sim: &mut Connection,
    watchdog: &mut Watchdog,
) -> Result<(), Error> {
    let mut entries: Vec<_> = interfaces.iter().map(poll::Entry::readable).collect();
    entries.push(poll::Entry::readable(watched));
    let next = interfaces.iter().map(Interface::due).min();
    let timeout = next.map(|due| due.saturating_sub(clock::boottime()));
    let timeout = timeout.into_iter().chain(watchdog.interval()).min();
    poll::wait(&mut entries, timeout).map_err(Error::Wait)?;
    watchdog.turn(clock::boottime());
    if entries.last().is_some_and(poll::Entry::ready) {
        return Err(Error::KeydEnded);
    }
    for (interface, entry) in interfaces.iter_mut().zip(&entries) {
        if entry.ready() {
            match interface.receive(clock::boottime(), sim) {
                Ok(()) | Err(Failure::Refused(_)) => {}
                Err(Failure::Lost(error)) => return Err(Error::Keyd(error)),
            }
        }
        let ticked = interface.tick(clock::boottime());
        ticked.map_err(|FinderLost| Error::FinderEnded)?;
    }
    Ok(())
}
