//! The confinement of netd: before it receives anything from a network, it gives up all files but
//! its own, all capabilities, and nearly all system calls.

use std::path::Path;

use softsim_sandbox::landlock::{self, PathAccess, PathRule};
use softsim_sandbox::process;
use softsim_sandbox::seccomp::{self, Filter};

/// What the kernel enforces; zeros if netd runs unconfined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enforced {
    /// The landlock ABI.
    pub landlock_abi: u8,
    /// The number of system calls that are left.
    pub seccomp_calls: u16,
}

/// Why netd can't confine itself.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The kernel doesn't deny core dumps.
    #[error("core dumps can't be denied: {0}")]
    Dumps(#[source] std::io::Error),
    /// netd can't give its capabilities up.
    #[error("capabilities can't be given up: {0}")]
    Capabilities(#[source] std::io::Error),
    /// Landlock failed.
    #[error(transparent)]
    Landlock(#[from] landlock::Error),
    /// Seccomp failed.
    #[error(transparent)]
    Seccomp(#[from] seccomp::Error),
}

impl SandboxError {
    /// Whether the kernel is the reason, and not a path that doesn't exist.
    pub(crate) fn is_the_kernels(&self) -> bool {
        !matches!(self, Self::Landlock(landlock::Error::Path(..)))
    }
}

/// Confines this process for good. It must not have started another thread.
pub fn enter(state_directory: &Path) -> Result<Enforced, SandboxError> {
    process::deny_dumps().map_err(SandboxError::Dumps)?;
    let rule = PathRule {
        path: state_directory,
        access: PathAccess::ReadWrite,
    };
    let abi = landlock::restrict(&[rule])?;
    // netd has used them: for its sockets and its helper processes.
    process::keep_capabilities(&[]).map_err(SandboxError::Capabilities)?;
    seccomp::install(Filter::Netd)?;
    Ok(Enforced {
        landlock_abi: abi.number().try_into().unwrap_or(u8::MAX),
        seccomp_calls: Filter::Netd.calls().len().try_into().unwrap_or(u16::MAX),
    })
}
