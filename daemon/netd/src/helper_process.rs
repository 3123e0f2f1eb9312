//! The helper processes: processes of this program, each of which does for netd what netd itself
//! may not do, at the other end of a socket that is its standard input.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use softsim_sandbox::seqpacket::{Connection, pair};

/// Starts one with these arguments, and with no environment but what `configure` gives it; returns
/// netd's end of its socket.
///
/// # Errors
/// There is no room for another process or socket.
pub(crate) fn start(
    arguments: &[&str],
    configure: impl FnOnce(&mut Command),
) -> io::Result<Connection> {
    let (ours, theirs) = pair()?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("softsim-netd")
        .args(arguments)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null());
    configure(&mut command);
    // The command holds the helper's end, and drops it here: from now on, only the helper has it.
    command.spawn().map(|_| ours)
}
