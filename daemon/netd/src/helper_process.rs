//! The helper processes: processes of this program that do for netd what netd itself may not do.
//! The standard input of each is a socket to netd.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::{env, io};

use softsim_sandbox::seqpacket::{Connection, pair};

/// The variable that tells a process whether its standard error goes to the journal.
const JOURNAL: &str = "JOURNAL_STREAM";

/// Starts a helper process with these arguments, and with an empty environment except for
/// [`JOURNAL`] and what `configure` adds. Returns netd's end of the socket.
///
/// # Errors
/// The kernel has no room for another process or socket.
pub(crate) fn start(
    arguments: &[impl AsRef<OsStr>],
    configure: impl FnOnce(&mut Command),
) -> io::Result<Connection> {
    let (ours, theirs) = pair()?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("softsim-netd")
        .args(arguments)
        .env_clear()
        .envs(env::var_os(JOURNAL).map(|stream| (JOURNAL, stream)))
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null());
    configure(&mut command);
    // Here the command closes its copy of the helper's end; from now on, only the helper has it.
    command.spawn().map(|_| ours)
}
