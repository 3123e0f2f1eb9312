//! Processes of this program that stand beside netd, each at the other end of a socket that is its
//! standard input.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use softsim_sandbox::seqpacket::{Connection, pair};

/// Starts one, with these arguments and no environment but what `with` gives it; our end of its
/// socket.
///
/// # Errors
/// There is no room for another process or socket.
pub fn start(arguments: &[&str], with: impl FnOnce(&mut Command)) -> io::Result<Connection> {
    let (ours, theirs) = pair()?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("softsim-netd")
        .args(arguments)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null());
    with(&mut command);
    // Its end of the socket is its own alone: ours goes with the command.
    command.spawn().map(|_| ours)
}
