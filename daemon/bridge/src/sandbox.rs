//! The confinement of the bridge: once its sockets are open, it gives up every file and nearly
//! every system call.

use std::io;
use std::path::Path;

use softsim_sandbox::landlock::{self, PathAccess, PathRule};
use softsim_sandbox::process;
use softsim_sandbox::seccomp::{self, Filter};

/// Why the bridge can't be confined.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Dumps can't be denied.
    #[error("core dumps can't be denied: {0}")]
    Dumps(#[source] io::Error),
    /// Landlock.
    #[error(transparent)]
    Landlock(#[from] landlock::Error),
    /// Seccomp.
    #[error(transparent)]
    Seccomp(#[from] seccomp::Error),
}

/// Forbids core dumps, and keeps other processes of the same user from reading our memory. Call it
/// before the first key arrives.
///
/// # Errors
/// Never on a working kernel.
pub(crate) fn deny_dumps() -> Result<(), SandboxError> {
    process::deny_dumps().map_err(SandboxError::Dumps)
}

/// Confines the bridge for good, without access to any file.
///
/// # Errors
/// See [`SandboxError`].
pub(crate) fn enter() -> Result<(), SandboxError> {
    landlock::restrict(&[])?;
    Ok(seccomp::install(Filter::Bridge)?)
}

/// Confines a finder for good. If the kernel supports it, the finder may only connect to sockets
/// below one directory. Since wpa_supplicant creates the control socket's directory when it starts,
/// that is the directory above it.
///
/// # Errors
/// See [`SandboxError`].
pub(crate) fn confine_finder(control: &Path) -> Result<(), SandboxError> {
    deny_dumps()?;
    let rule = PathRule {
        path: grandparent(control),
        access: PathAccess::Connect,
    };
    landlock::restrict(&[rule])?;
    Ok(seccomp::install(Filter::Finder)?)
}

/// The directory above the one that the socket is in.
fn grandparent(control: &Path) -> &Path {
    let ancestors = control.ancestors().skip(1).take(2);
    let not_empty = ancestors.filter(|path| !path.as_os_str().is_empty());
    not_empty.last().unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_that_outlives_wpa_supplicant_is_left_open() {
        for (control, expected) in [
            ("/run/wpa_supplicant/wlan0", "/run"),
            ("/run/wlan0", "/"),
            ("control/wlan0", "control"),
            ("wlan0", "."),
        ] {
            assert_eq!(grandparent(Path::new(control)), Path::new(expected));
        }
    }
}
