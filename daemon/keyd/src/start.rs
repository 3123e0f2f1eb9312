//! What happens before the first request: everything is opened that will be used, and then the right to
//! open anything is given up.

use core::convert::Infallible;
use core::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use softsim_keyd_proto::{Enforcement, KekSource, KeyMemory, Role};
use softsim_sandbox::notify::{self, Notify};
use softsim_sandbox::random::SystemRng;
use softsim_sandbox::seqpacket::Listener;
use softsim_sandbox::{clock, inherited, landlock, memory, process, seccomp};

use crate::args::{self, ArgsError, KekChoice, KeyMemoryPolicy, Sandbox, Settings};
use crate::event::Event;
use crate::keyd::{Keyd, Service};
use crate::roles::{self, PerRole};
use crate::serve::{self, ServeError, Watchdog};
use crate::vault::{FileStorage, Kek, KekError, OpenError, Vault};

/// Runs the key process to its end.
pub fn run(args: softsim_sandbox::Args) -> ! {
    match start(args) {
        Ok(never) => match never {},
        Err(error) => end(&error),
    }
}

fn end(error: &StartError) -> ! {
    Event::Fatal(error).log();
    process::exit(error.exit_code())
}

/// Why keyd didn't start, or why it ended.
#[derive(Debug)]
enum StartError {
    Args(ArgsError),
    NoSocket,
    Socket(Role, io::Error),
    Notify(io::Error),
    State(PathBuf, io::Error),
    StateMode(PathBuf, u32),
    Kek(KekError),
    Vault(OpenError),
    KeyMemory(memory::KeyMemory),
    Landlock(landlock::Error),
    Seccomp(seccomp::Error),
    System(io::Error),
    Serve(ServeError),
}

impl StartError {
    /// As sysexits.h counts.
    fn exit_code(&self) -> i32 {
        match self {
            Self::Args(_) | Self::NoSocket => 64,
            Self::KeyMemory(_) | Self::Landlock(_) | Self::Seccomp(_) | Self::System(_) => 71,
            Self::Socket(..) | Self::State(..) | Self::Notify(_) => 73,
            Self::Serve(_) => 74,
            Self::StateMode(..) | Self::Kek(_) | Self::Vault(_) => 78,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Args(error) => write!(f, "{error}; {}", args::USAGE),
            Self::NoSocket => f.write_str(
                "expected an inherited socket, --network, --admin or --app, came none of them",
            ),
            Self::Socket(role, error) => write!(f, "can't open the {role} socket: {error}"),
            Self::Notify(error) => write!(f, "can't reach the service manager: {error}"),
            Self::State(path, error) => write!(f, "{}: {error}", path.display()),
            Self::StateMode(path, mode) => write!(
                f,
                "{}: expected a directory of this user that nobody else may write, came mode {mode:o}",
                path.display()
            ),
            Self::Kek(error) => error.fmt(f),
            Self::Vault(error) => error.fmt(f),
            Self::KeyMemory(kind) => {
                write!(f, "key memory: expected memfd_secret, came {kind}")?;
                match memory::why_not_secret() {
                    Some(why) => write!(f, " ({why})"),
                    None => Ok(()),
                }
            }
            Self::Landlock(error) => write!(f, "{error}; --sandbox=off runs without"),
            Self::Seccomp(error) => write!(f, "{error}; --sandbox=off runs without"),
            Self::System(error) => write!(f, "can't give up privileges: {error}"),
            Self::Serve(error) => error.fmt(f),
        }
    }
}

/// Opens, confines, unseals, serves: in this order.
fn start(args: softsim_sandbox::Args) -> Result<Infallible, StartError> {
    let settings = args::parse(args).map_err(StartError::Args)?;
    let key_memory = memory::key_memory();
    if settings.key_memory == KeyMemoryPolicy::Require
        && key_memory != memory::KeyMemory::SecretMemory
    {
        return Err(StartError::KeyMemory(key_memory));
    }
    // First of all, as inherited descriptors are known by their numbers only.
    let uids = allowed_uids(&settings);
    let listeners = listeners(&settings, &uids)?;
    let notify = Notify::from_env().map_err(StartError::Notify)?;
    let (kek, kek_source) = kek(&settings.kek)?;
    let storage = storage(&settings, &kek)?;
    process::deny_dumps().map_err(StartError::System)?;

    let confined = settings.sandbox == Sandbox::Require;
    let landlock_abi = if confined {
        let abi = landlock::restrict(&[]).map_err(StartError::Landlock)?;
        abi.number() as u8
    } else {
        0
    };
    let vault = Vault::open(storage, &kek).map_err(StartError::Vault)?;
    drop(kek);
    for damage in vault.damage() {
        Event::Damaged(damage).log();
    }
    let seccomp_calls = if confined {
        seccomp::install(seccomp::Filter::Keyd).map_err(StartError::Seccomp)?;
        seccomp::Filter::Keyd.calls().len() as u8
    } else {
        0
    };

    let enforcement = Enforcement {
        landlock_abi,
        seccomp_calls,
        key_memory: match key_memory {
            memory::KeyMemory::SecretMemory => KeyMemory::SecretMemory,
            memory::KeyMemory::Locked => KeyMemory::Locked,
            memory::KeyMemory::Plain => KeyMemory::Plain,
        },
        kek_source,
    };
    tell(&enforcement);
    let service = Service {
        enforcement,
        policies: roles::COMPILED,
        uids,
        realtime: clock::realtime,
    };
    let mut keyd = Keyd::new(vault, service);
    notify.ready().map_err(StartError::Notify)?;
    let mut watchdog = Watchdog::new(notify, notify::watchdog_period());
    let error = serve::serve(&mut keyd, &listeners, &mut watchdog);
    // Here, where nothing is dropped: std closes files with calls that the filter doesn't allow.
    end(&StartError::Serve(error))
}

/// The one line about what is enforced.
fn tell(enforcement: &Enforcement) {
    let why = memory::why_not_secret();
    Event::Enforcing {
        enforcement,
        why_not_secret: why.as_ref().map(|why| why as &dyn fmt::Display),
    }
    .log();
}

/// Without a list, keyd's own user and root.
fn allowed_uids(settings: &Settings) -> PerRole<Vec<u32>> {
    PerRole::from_fn(|role| {
        let mut uids = settings.uids[role].clone();
        if uids.is_empty() {
            uids.extend([process::uid(), 0]);
        }
        uids.sort_unstable();
        uids.dedup();
        uids
    })
}

/// The sockets that were handed over, and those that are opened here.
fn listeners(
    settings: &Settings,
    uids: &PerRole<Vec<u32>>,
) -> Result<Vec<(Role, Listener)>, StartError> {
    let mut listeners = Vec::with_capacity(Role::ALL.len());
    let inherited = Role::ALL.map(|role| (role, inherited::named(role.name())));
    for (role, inherited) in inherited {
        let listener = match (inherited, &settings.sockets[role]) {
            (Some(socket), _) => Listener::from_inherited(socket),
            (None, Some(path)) => Listener::bind(path, socket_mode(&uids[role])),
            (None, None) => continue,
        };
        listeners.push((
            role,
            listener.map_err(|error| StartError::Socket(role, error))?,
        ));
    }
    if listeners.is_empty() {
        return Err(StartError::NoSocket);
    }
    Ok(listeners)
}

/// Open to others only where others are on the list; which of them is told by SO_PEERCRED.
fn socket_mode(uids: &[u32]) -> u32 {
    let own = process::uid();
    if uids.iter().all(|&uid| uid == own || uid == 0) {
        0o600
    } else {
        0o666
    }
}

fn kek(choice: &KekChoice) -> Result<(Kek, KekSource), StartError> {
    match choice {
        KekChoice::File(path) => {
            let kek = Kek::read(path).map_err(StartError::Kek)?;
            Ok((kek, KekSource::KeyFile))
        }
        KekChoice::Development => Ok((Kek::development(), KekSource::Development)),
    }
}

/// The vault's file, made at the first start.
fn storage(settings: &Settings, kek: &Kek) -> Result<FileStorage, StartError> {
    let state = &settings.state;
    prepare(state)?;
    match FileStorage::open(state).map_err(StartError::Vault)? {
        Some(storage) => Ok(storage),
        None => FileStorage::create(state, kek, settings.capacity, &mut SystemRng)
            .map_err(StartError::Vault),
    }
}

/// Makes the state directory where it is missing; one that others may write is not taken.
fn prepare(state: &Path) -> Result<(), StartError> {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    let failed = |error| StartError::State(state.to_path_buf(), error);
    match DirBuilder::new().mode(0o700).create(state) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let metadata = fs::metadata(state).map_err(failed)?;
    let mode = metadata.mode() & 0o7777;
    if metadata.uid() != process::uid() || mode & WRITABLE_BY_OTHERS != 0 {
        return Err(StartError::StateMode(state.to_path_buf(), mode));
    }
    Ok(())
}
