//! How netd confines itself before it receives anything from a network: it gives up all files but
//! its own, all capabilities, and nearly all system calls.

use std::path::Path;

use softsim_sandbox::landlock::{self, PathAccess, PathRule};
use softsim_sandbox::process;
use softsim_sandbox::seccomp::{self, Filter};

/// What is enforced; zeros where nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enforced {
    /// The landlock ABI.
    pub landlock_abi: u8,
    /// How many system calls are left.
    pub seccomp_calls: u16,
}

/// Why netd isn't confined.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Dumps can't be denied.
    #[error("core dumps can't be denied: {0}")]
    Dumps(#[source] std::io::Error),
    /// Capabilities can't be given up.
    #[error("capabilities can't be given up: {0}")]
    Capabilities(#[source] std::io::Error),
    /// Landlock.
    #[error(transparent)]
    Landlock(#[from] landlock::Error),
    /// Seccomp.
    #[error(transparent)]
    Seccomp(#[from] seccomp::Error),
}

impl SandboxError {
    /// Whether it lies with the kernel, and not with a path that isn't there.
    pub(crate) fn is_the_kernels(&self) -> bool {
        !matches!(self, Self::Landlock(landlock::Error::Path(..)))
    }
}

/// Confines this process for good; no other thread may have been started.
pub fn enter(state_directory: &Path) -> Result<Enforced, SandboxError> {
    process::deny_dumps().map_err(SandboxError::Dumps)?;
    let rule = PathRule {
        path: state_directory,
        access: PathAccess::ReadWrite,
    };
    let abi = landlock::restrict(&[rule])?;
    // What they were for is open: sockets, and the helper processes.
    process::keep_capabilities(&[]).map_err(SandboxError::Capabilities)?;
    seccomp::install(Filter::Netd)?;
    Ok(Enforced {
        landlock_abi: abi.number().try_into().unwrap_or(u8::MAX),
        seccomp_calls: Filter::Netd.calls().len().try_into().unwrap_or(u16::MAX),
    })
}
