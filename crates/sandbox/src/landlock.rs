//! Landlock: no files but those named, no TCP, no signals and no abstract sockets to the outside.
//!
//! Everything the running kernel knows to forbid is forbidden, and nothing less: a kernel or a
//! container that refuses landlock is an error here, never a silent success.

use std::path::{Path, PathBuf};
use std::{error, fmt, io, ptr};

use ::landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    PathFd, PathFdError, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope,
};

use crate::sys;

/// What may be done below a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathAccess {
    /// Read files and list directories.
    Read,
    /// Also run programs.
    Execute,
    /// Read, and also write, create, truncate, rename (within its directory) and remove regular
    /// files.
    ReadWrite,
    /// Connect and send to pathname sockets, which ABI 9 and more forbid elsewhere.
    Connect,
}

/// One path, a directory or a file, that stays open to the process.
#[derive(Clone, Copy, Debug)]
pub struct PathRule<'a> {
    /// It must exist.
    pub path: &'a Path,
    /// For the path and, in a directory, everything below it.
    pub access: PathAccess,
}

/// The landlock ABI that is enforced: 1 to 3 files, 4 and more TCP too, 6 and more also signals and
/// abstract sockets, 9 also connecting to pathname sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Abi(u32);

impl Abi {
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

/// Why nothing, or too little, is enforced.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The kernel has no landlock (`ENOSYS`, `EOPNOTSUPP`), or a filter forbids it (`EPERM`).
    Unavailable(io::Error),
    /// A path of the rules can't be opened.
    Path(PathBuf, PathFdError),
    /// The kernel refused the rules.
    Refused(RulesetError),
    /// The kernel took the rules, but enforces only a part of them.
    NotFullyEnforced,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unavailable(error) => write!(f, "landlock is not available: {error}"),
            Error::Path(path, error) => {
                write!(
                    f,
                    "can't open {} for a landlock rule: {error}",
                    path.display()
                )
            }
            Error::Refused(error) => write!(f, "the kernel refused the landlock rules: {error}"),
            Error::NotFullyEnforced => f.write_str("landlock enforces only a part of the rules"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Error::Unavailable(error) => Some(error),
            Error::Path(_, error) => Some(error),
            Error::Refused(error) => Some(error),
            Error::NotFullyEnforced => None,
        }
    }
}

/// Confines the calling thread, and the threads it will start, to the given paths for good.
///
/// Without rules no path is left. Descriptors that are open already stay usable. Call it before
/// any thread is started: those that run already stay free.
///
/// # Errors
/// See [`Error`]; nothing is then enforced, except after [`Error::NotFullyEnforced`].
pub fn restrict(rules: &[PathRule<'_>]) -> Result<Abi, Error> {
    restrict_but_for(rules, &[])
}

/// As [`restrict`], but TCP connections to these ports are left, which ABI 4 and more forbid
/// elsewhere.
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
        // The kernel doesn't forbid it anywhere.
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

/// A ruleset in which all that this ABI can forbid is forbidden, and has to be.
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

/// The kernel's ABI, or the newest one that this build knows all rights of.
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
