//! Landlock: no files but those named, no TCP, no signals and no abstract sockets to the outside.
//!
//! The rule set forbids everything that the running kernel can forbid. If a kernel or a container
//! refuses landlock, that is an error, never a silent success.

use std::path::{Path, PathBuf};
use std::{fmt, io, ptr};

use ::landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    PathFd, PathFdError, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope,
};

use crate::sys;

/// The access that is allowed below a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathAccess {
    /// Read files and list directories.
    Read,
    /// Also run programs.
    Execute,
    /// Read, and also write, create, truncate, rename (within its directory) and remove regular
    /// files.
    ReadWrite,
    /// Connect and send to pathname sockets, which ABI 9 and later can forbid.
    Connect,
}

/// One path, a directory or a file, that the process may still access.
#[derive(Clone, Copy, Debug)]
pub struct PathRule<'a> {
    /// The path, which must exist.
    pub path: &'a Path,
    /// The access to the path and, if it is a directory, to everything below it.
    pub access: PathAccess,
}

/// The landlock ABI that is enforced. 1 to 3 cover files, 4 and later also TCP, 6 and later also
/// signals and abstract sockets, 9 also connecting to pathname sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Abi(u32);

impl Abi {
    /// The newest one that the kernel and this build know.
    ///
    /// # Errors
    /// The kernel, or a container's seccomp filter, refuses landlock.
    pub fn newest() -> io::Result<Self> {
        newest_common_abi().map(|abi| Self(abi as u32))
    }

    /// Its number.
    pub fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why landlock enforces nothing, or too little.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel has no landlock (`ENOSYS`, `EOPNOTSUPP`), or a filter forbids it (`EPERM`).
    #[error("landlock is not available: {0}")]
    Unavailable(#[source] io::Error),
    /// A path of the rules can't be opened.
    #[error("can't open {0} for a landlock rule: {1}")]
    Path(PathBuf, #[source] PathFdError),
    /// The kernel refused the rules.
    #[error("the kernel refused the landlock rules: {0}")]
    Refused(#[source] RulesetError),
    /// The kernel accepted the rules, but enforces only a part of them.
    #[error("landlock enforces only a part of the rules")]
    NotFullyEnforced,
}

/// Confines the calling thread, and the threads it will start, to the given paths for good.
///
/// Without rules, no path can be accessed. Descriptors that are open already stay usable. Call it
/// before any thread is started, because threads that run already aren't confined.
///
/// # Errors
/// See [`Error`]; nothing is then enforced, except after [`Error::NotFullyEnforced`].
pub fn restrict(rules: &[PathRule<'_>]) -> Result<Abi, Error> {
    restrict_but_for(rules, &[])
}

/// Like [`restrict`], but still allows TCP connections to these ports; ABI 4 and later forbid all
/// others.
///
/// # Errors
/// As [`restrict`].
pub fn restrict_but_for(rules: &[PathRule<'_>], tcp_ports: &[u16]) -> Result<Abi, Error> {
    let abi = newest_common_abi().map_err(Error::Unavailable)?;
    let mut ruleset = handling_everything(abi)
        .and_then(Ruleset::create)
        .map_err(Error::Refused)?;
    for rule in rules {
        let path =
            PathFd::new(rule.path).map_err(|error| Error::Path(rule.path.to_path_buf(), error))?;
        let mut access = rule.access.rights(abi);
        if !rule.path.is_dir() {
            access &= AccessFs::from_file(abi);
        }
        // This kernel can't forbid the access, so it needs no rule.
        if access.is_empty() {
            continue;
        }
        ruleset = ruleset
            .add_rule(PathBeneath::new(path, access))
            .map_err(Error::Refused)?;
    }
    if abi >= ABI::V4 {
        for port in tcp_ports {
            let rule = NetPort::new(*port, AccessNet::ConnectTcp);
            ruleset = ruleset.add_rule(rule).map_err(Error::Refused)?;
        }
    }
    let status = ruleset.restrict_self().map_err(Error::Refused)?;
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(Abi(abi as u32)),
        _ => Err(Error::NotFullyEnforced),
    }
}

/// A rule set that forbids, and requires the kernel to forbid, everything that this ABI can forbid.
fn handling_everything(abi: ABI) -> Result<Ruleset, RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))?;
    if abi >= ABI::V4 {
        ruleset = ruleset.handle_access(AccessNet::from_all(abi))?;
    }
    if abi >= ABI::V6 {
        ruleset = ruleset.scope(Scope::from_all(abi))?;
    }
    Ok(ruleset)
}

impl PathAccess {
    fn rights(self, abi: ABI) -> BitFlags<AccessFs> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let write =
            AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::RemoveFile | AccessFs::Truncate;
        match self {
            PathAccess::Read => read,
            PathAccess::Execute => read | AccessFs::Execute,
            PathAccess::ReadWrite => (read | write) & AccessFs::from_all(abi),
            PathAccess::Connect => AccessFs::from_all(abi) & AccessFs::ResolveUnix,
        }
    }
}

/// The kernel's ABI, but at most the newest one that this build knows.
fn newest_common_abi() -> io::Result<ABI> {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the kernel takes a null pointer, and returns a number.
    let kernel = sys::check(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            ptr::null::<libc::c_void>(),
            0,
            VERSION,
        )
    })?;
    Ok(match kernel {
        ..=1 => ABI::V1,
        2 => ABI::V2,
        3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        6 => ABI::V6,
        7 => ABI::V7,
        8 => ABI::V8,
        9.. => ABI::V9,
    })
}
