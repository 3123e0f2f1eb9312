//! The finder: a helper process of the bridge that connects one socket to one path, and does
//! nothing else.
//!
//! wpa_supplicant creates its control socket each time it starts, so somebody has to connect to its
//! path again and again. The bridge, which parses what wpa_supplicant sends, must not be able to do
//! that, because connect(2) reaches every socket of the host. Therefore the bridge and the finder
//! both hold the bridge's socket of the interface, and the path is in the finder's command line.
//! The bridge sends a datagram with the octet `ASK`; the finder answers `FOUND` or
//! `NOT_FOUND`. The finder ends when the bridge ends.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use softsim_sandbox::poll::{self, Entry};
use softsim_sandbox::process;
use softsim_sandbox::seqpacket::{Connection, Received, pair};

use crate::args::Sandbox;
use crate::sandbox::{self, SandboxError};

/// The first argument of the process. The path follows, and `--sandbox=off` if the process must not
/// confine itself.
pub const SUBCOMMAND: &str = "finder";

const UNCONFINED: &str = "--sandbox=off";

/// The request to connect.
const ASK: u8 = b'?';
/// The socket is connected to whoever listens at the path now.
const FOUND: u8 = b'y';
/// Nobody listens there, or the finder may not connect.
const NOT_FOUND: u8 = b'n';

/// How long the bridge waits for an answer, which takes microseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The bridge's end of the connection to a finder.
#[derive(Debug)]
pub struct Finder(Connection);

/// The finder ended or broke its protocol, so that the bridge would never find wpa_supplicant
/// again.
#[derive(Debug)]
pub struct FinderLost;

impl Finder {
    /// Starts the process that connects `socket` to `control`.
    ///
    /// # Errors
    /// There is no room for another process or socket.
    pub fn start(socket: &UnixDatagram, control: &Path, sandbox: Sandbox) -> io::Result<Self> {
        let (ours, theirs) = pair()?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0("softsim-bridge").arg(SUBCOMMAND).arg(control);
        if sandbox == Sandbox::Off {
            command.arg(UNCONFINED);
        }
        command
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(socket.as_fd().try_clone_to_owned()?))
            .spawn()?;
        Ok(Self(ours))
    }

    /// Connects the socket to the path. Returns whether somebody listens there.
    ///
    /// # Errors
    /// [`FinderLost`].
    pub fn find(&self) -> Result<bool, FinderLost> {
        self.0.send(&[ASK]).map_err(|_| FinderLost)?;
        let mut answer = [0];
        let mut entries = [Entry::readable(&self.0)];
        poll::wait(&mut entries, Some(ANSWER_TIMEOUT)).map_err(|_| FinderLost)?;
        match self.0.receive(&mut answer) {
            Ok(Received::Datagram(_)) if answer == [FOUND] => Ok(true),
            Ok(Received::Datagram(_)) if answer == [NOT_FOUND] => Ok(false),
            _ => Err(FinderLost),
        }
    }
}

/// Why a finder can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its command line, standard input or standard output isn't what the bridge passes.
    #[error("finder: expected {0}")]
    Usage(&'static str),
    /// It can't be confined.
    #[error("finder: {0}")]
    Sandbox(#[from] SandboxError),
}

/// Serves the bridge until it ends. `arguments` are those after [`SUBCOMMAND`]. It returns only if
/// the finder can't start.
///
/// # Errors
/// See [`Error`].
pub fn run(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<(), Error> {
    // The kernel has named the process `exe`, after /proc/self/exe. If it can't be renamed, it
    // still serves.
    let _ = process::set_name(c"softsim-finder");
    let control = arguments.next().map(PathBuf::from);
    let control = control.ok_or(Error::Usage("the path of a control socket"))?;
    let bridge = Connection::standard_input()
        .map_err(|_| Error::Usage("the bridge's socket as standard input"))?;
    let socket = io::stdout().as_fd().try_clone_to_owned();
    let socket = socket.map(UnixDatagram::from);
    let socket = socket.map_err(|_| Error::Usage("the socket to connect as standard output"))?;
    if arguments
        .next()
        .is_none_or(|argument| argument != UNCONFINED)
    {
        sandbox::confine_finder(&control)?;
    }
    serve(&bridge, &socket, &control);
    // The filter forbids the calls that an orderly end would make.
    process::exit(0)
}

/// Answers until the other end is gone, or sends what is no request.
fn serve(bridge: &Connection, socket: &UnixDatagram, control: &Path) {
    let mut asked = [0];
    loop {
        match bridge.receive(&mut asked) {
            Ok(Received::Datagram(_)) if asked == [ASK] => {
                let answer = match socket.connect(control) {
                    Ok(()) => FOUND,
                    Err(_) => NOT_FOUND,
                };
                if bridge.send(&[answer]).is_err() {
                    return;
                }
            }
            Ok(Received::Nothing) => {
                // The next read reports an error of the wait.
                let _ = poll::wait(&mut [Entry::readable(bridge)], None);
            }
            _ => return,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    impl Finder {
        /// One that works in a thread of this process.
        pub(crate) fn in_thread(socket: &UnixDatagram, control: &Path) -> Self {
            let (ours, theirs) = pair().unwrap();
            let (socket, control) = (socket.try_clone().unwrap(), control.to_owned());
            std::thread::spawn(move || serve(&theirs, &socket, &control));
            Self(ours)
        }
    }

    #[test]
    fn a_bridge_that_sends_no_request_is_served_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        let socket = UnixDatagram::unbound().unwrap();
        let finder = Finder::in_thread(&socket, &path);
        assert!(!finder.find().unwrap());
        let _control = UnixDatagram::bind(&path).unwrap();
        assert!(finder.find().unwrap());
        finder.0.send(b"x").unwrap();
        assert!(finder.find().is_err());
    }
}
