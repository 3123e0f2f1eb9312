//! The start of keyd: it opens everything that it will use, and then gives up the right to open
//! anything.

use core::convert::Infallible;
use core::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use softsim_keyd_proto::{Enforcement, KekSource, KeyMemory, Overwrites, Role};
use softsim_sandbox::file_system::{self, FileSystem};
use softsim_sandbox::landlock::{PathAccess, PathRule};
use softsim_sandbox::notify::{Notify, Watchdog};
use softsim_sandbox::peer::Overflow;
use softsim_sandbox::seqpacket::Listener;
use softsim_sandbox::{clock, exit_status, inherited, landlock, log, memory, process, seccomp};

use crate::anchor_socket::AnchorSocket;
use crate::args::{
    self, AnchorChoice, ArgsError, DEFAULT_CAPACITY, KekChoice, Key, KeyMemoryPolicy, Once,
    Sandbox, Settings, Task,
};
use crate::event::Event;
use crate::keyd::{Keyd, Service};
use crate::serve::{self, ServeError};
use crate::users::{self, Users, UsersError};
use crate::vault::{Anchor, AnchorFile, FileStorage, Kek, KekError, KekInput, OpenError, Vault};
use crate::{check, roles};

/// The heap that the program starts with, in octets.
pub const HEAP: usize = 128 << 10;

/// The heap that is needed besides the vault's records, in octets: for sessions, staged packages,
/// requests and answers, and for reading the vault at start.
const HEAP_FOR_THE_REST: usize = 384 << 10;

/// Runs the key process to its end.
pub fn run(args: softsim_sandbox::Args) -> ! {
    log::begin();
    match start(args) {
        Ok(never) => match never {},
        Err(error) => end(&error),
    }
}

fn end(error: &StartError) -> ! {
    Event::Fatal(error).log();
    process::exit(error.exit_status().into())
}

/// Why keyd didn't start, or why it ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("{0}; {usage}", usage = args::USAGE)]
    Args(ArgsError),
    #[error(
        "expected an inherited socket, --network, --admin, --app or --supplicant, got none of them"
    )]
    NoSocket,
    #[error("{0}")]
    Users(UsersError),
    #[error("--{role}: can't open the {role} socket{path}: {error}", path = of(.path))]
    Socket {
        role: Role,
        /// None if it is inherited.
        path: Option<PathBuf>,
        error: io::Error,
    },
    #[error("can't reach the service manager: {0}")]
    Notify(io::Error),
    #[error("--state: {path}: {1}", path = .0.display())]
    State(PathBuf, io::Error),
    #[error(
        "--state: {path}: expected a directory of this user that nobody else may read or write, got mode {1:o}",
        path = .0.display()
    )]
    StateMode(PathBuf, u32),
    #[error("--state: {path}: expected a directory of uid {own}, which runs softsim-keyd, got one of uid {1}", own = process::uid(), path = .0.display())]
    StateOwner(PathBuf, u32),
    #[error("--state: {path}: expected a vault, got a directory without one", path = .0.display())]
    NoVault(PathBuf),
    #[error(fmt = refused_kek)]
    Kek {
        setting: &'static str,
        /// The file or the credential, if it is one.
        path: Option<PathBuf>,
        error: KekError,
    },
    #[error(fmt = refused_vault)]
    Vault { state: PathBuf, error: OpenError },
    #[error("--anchor-file: {path}: {error}", path = .path.display())]
    AnchorFile { path: PathBuf, error: OpenError },
    #[error("--anchor-socket: the anchor's socket: {path}: {error}", path = .path.display())]
    AnchorSocket { path: PathBuf, error: io::Error },
    #[error(fmt = key_memory_missing)]
    KeyMemory(memory::KeyMemory),
    #[error("{0}; --sandbox=off runs without a sandbox")]
    Landlock(landlock::Error),
    #[error("{0}; --sandbox=off runs without a sandbox")]
    Seccomp(seccomp::Error),
    #[error("{0}")]
    Heap(memory::NoMemory),
    #[error("can't give up privileges: {0}")]
    System(io::Error),
    #[error("{0}")]
    Serve(ServeError),
}

impl StartError {
    /// An error of the anchor's file.
    pub(crate) fn anchor_file(path: &Path, error: io::Error) -> Self {
        Self::AnchorFile {
            path: path.to_path_buf(),
            error: OpenError::Anchor(error),
        }
    }

    /// The exit status.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Args(_) | Self::NoSocket | Self::Users(_) => exit_status::USAGE,
            Self::AnchorSocket { .. } => exit_status::UNAVAILABLE,
            Self::KeyMemory(_)
            | Self::Landlock(_)
            | Self::Seccomp(_)
            | Self::Heap(_)
            | Self::System(_) => exit_status::SYSTEM,
            Self::Socket { .. } | Self::State(..) | Self::Notify(_) => exit_status::CANNOT_CREATE,
            // The next start may succeed.
            Self::Serve(_)
            | Self::Vault {
                error: OpenError::Io(_) | OpenError::Anchor(_),
                ..
            }
            | Self::AnchorFile {
                error: OpenError::Io(_) | OpenError::Anchor(_),
                ..
            } => exit_status::IO,
            Self::StateMode(..)
            | Self::StateOwner(..)
            | Self::NoVault(_)
            | Self::Kek { .. }
            | Self::Vault { .. }
            | Self::AnchorFile { .. } => exit_status::CONFIGURATION,
        }
    }
}

/// The path of a socket, if it has one.
fn of(path: &Option<PathBuf>) -> String {
    path.as_ref()
        .map_or_else(String::new, |path| format!(" {}", path.display()))
}

/// With the path, unless the error names it.
fn refused_kek(
    setting: &&'static str,
    path: &Option<PathBuf>,
    error: &KekError,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    match path {
        Some(path) if !matches!(error, KekError::File(_)) => {
            write!(f, "{setting}: {}: {error}", path.display())
        }
        _ => write!(f, "{setting}: {error}"),
    }
}

/// With the advice that some errors have.
fn refused_vault(state: &Path, error: &OpenError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "--state: {}: {error}", state.join("vault").display())?;
    match error.advice() {
        Some(advice) => write!(f, "; {advice}"),
        None => Ok(()),
    }
}

/// An error of the vault in this directory.
fn vault_error(state: &Path) -> impl Fn(OpenError) -> StartError {
    |error| StartError::Vault {
        state: state.to_path_buf(),
        error,
    }
}

/// With what the kernel says, and the limit to raise.
fn key_memory_missing(kind: &memory::KeyMemory, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "key memory: expected memfd_secret, got {kind}")?;
    if let Some(why) = memory::why_not_secret() {
        write!(f, " ({why})")?;
    }
    let needed = memory::lock_limit_needed();
    write!(
        f,
        "; it needs RLIMIT_MEMLOCK (LimitMEMLOCK=) of {needed} octets"
    )
}

/// Prints a text and ends the process.
fn print(text: &str) -> ! {
    let printed = process::print(text);
    process::exit(printed.map_or(exit_status::IO, |()| 0).into())
}

/// Opens files and sockets, confines the process, decrypts the vault, and serves.
fn start(args: softsim_sandbox::Args) -> Result<Infallible, StartError> {
    let settings = match args::parse(args).map_err(StartError::Args)? {
        Task::Help => print(args::HELP),
        Task::Version => print(args::VERSION),
        Task::Check(settings) => process::exit(check::run(&settings).into()),
        Task::Run(settings) => settings,
    };
    key_memory(&settings)?;
    match &settings.once {
        Some(Once::Rekey(new)) => {
            rekey(&settings, new)?;
            process::exit(0);
        }
        Some(Once::Accept) => {
            accept(&settings)?;
            process::exit(0);
        }
        None => {}
    }
    // This comes first, because inherited descriptors are known by their numbers only.
    let users = users::of(&settings, process::uid(), Overflow::of_this_system());
    let users = users.map_err(StartError::Users)?;
    let listeners = listeners(&settings, &users)?;
    let notify = Notify::from_env().map_err(StartError::Notify)?;
    let mut input = None;
    let (kek, kek_source) = kek(&settings.kek, Key::Current, &mut input)?;
    end_of(input, &settings.kek, Key::Current)?;
    let storage = storage(&settings, &kek)?;
    let file_system = storage.file_system();
    let file_system =
        file_system.map_err(|error| StartError::State(settings.state.clone(), error))?;
    let key_memory = room_for(&storage, &settings)?;
    let anchor = anchor(&settings)?;
    process::deny_dumps().map_err(StartError::System)?;
    process::ignore_hangup().map_err(StartError::System)?;

    let confined = settings.sandbox == Sandbox::Require;
    let landlock_abi = if confined {
        let abi = landlock::restrict(&[]).map_err(StartError::Landlock)?;
        abi.number() as u8
    } else {
        0
    };
    let vault = Vault::open(storage, &kek);
    let mut vault = vault.map_err(vault_error(&settings.state))?;
    drop(kek);
    log_damage(&vault);
    if let Some(anchor) = anchor {
        compare(&mut vault, anchor, &settings)?;
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
        overwrites: overwrites(file_system),
        identity_privacy: settings.identity_privacy,
        identity_patience: settings.identity_patience.get(),
        supplicant: listeners.iter().any(|(role, _)| *role == Role::Supplicant),
        test_profiles: settings.test_profiles,
    };
    log_enforcement(&enforcement);
    if enforcement.overwrites != Overwrites::InPlace {
        Event::KeepsOldOctets(file_system).log();
    }
    for (role, _) in &listeners {
        if users.admit_nobody(*role) {
            Event::RoleWithoutUsers(*role).log();
        }
    }
    let service = Service {
        enforcement,
        policies: roles::COMPILED,
        users,
        afs: settings.afs,
        realtime: clock::realtime,
    };
    let mut keyd = Keyd::new(vault, service);
    notify.ready().map_err(StartError::Notify)?;
    let mut watchdog = Watchdog::from(notify);
    let error = serve::serve(&mut keyd, &listeners, &mut watchdog);
    // Ends here, so that nothing is dropped: std closes files with calls that the filter doesn't
    // allow.
    end(&StartError::Serve(error))
}

/// Logs what is enforced.
fn log_enforcement(enforcement: &Enforcement) {
    let why = memory::why_not_secret();
    Event::Enforcing {
        enforcement,
        why_not_secret: why.as_ref().map(|why| why as &dyn fmt::Display),
    }
    .log();
}

/// What becomes of the vault's old octets.
fn overwrites(file_system: FileSystem) -> Overwrites {
    match file_system.overwrites {
        file_system::Overwrites::InPlace => Overwrites::InPlace,
        file_system::Overwrites::Elsewhere => Overwrites::Elsewhere,
        file_system::Overwrites::UpToTheLayerBelow => Overwrites::Unknown,
    }
}

/// Takes the inherited sockets, and opens the others.
fn listeners(settings: &Settings, users: &Users) -> Result<Vec<(Role, Listener)>, StartError> {
    let mut listeners = Vec::with_capacity(Role::ALL.len());
    let inherited = Role::ALL.map(|role| (role, inherited::named(role.name())));
    for (role, inherited) in inherited {
        let listener = match (inherited, &settings.sockets[role]) {
            (Some(socket), _) => Listener::from_inherited(socket),
            (None, Some(path)) => Listener::bind(path, socket_mode(users, role)),
            (None, None) => continue,
        };
        listeners.push((
            role,
            listener.map_err(|error| StartError::Socket {
                role,
                path: settings.sockets[role].clone(),
                error,
            })?,
        ));
    }
    if listeners.is_empty() {
        return Err(StartError::NoSocket);
    }
    Ok(listeners)
}

/// The mode of a socket. It is open to a group only if the role admits others than keyd's own user
/// and root. The group is keyd's, or that of the socket's folder if that has the set-group-ID bit.
/// SO_PEERCRED and SO_PEERGROUPS show who connects.
fn socket_mode(users: &Users, role: Role) -> u32 {
    let keyds_uid = process::uid();
    let mut uids = users.uids[role].iter();
    if users.groups[role].is_empty() && uids.all(|&uid| uid == keyds_uid || uid == 0) {
        0o600
    } else {
        0o660
    }
}

/// Reads the key, and returns it with its source. Keys on standard input come one after the other.
pub(crate) fn kek(
    choice: &KekChoice,
    key: Key,
    input: &mut Option<KekInput>,
) -> Result<(Kek, KekSource), StartError> {
    let (source, path, kek) = match choice {
        KekChoice::File(path) => (KekSource::KeyFile, Some(path.clone()), Kek::read(path)),
        KekChoice::Credential(name) => {
            let kek = Kek::from_credential(name);
            (KekSource::Credential, Some(name.into()), kek)
        }
        KekChoice::StandardInput => {
            let kek = match input {
                Some(input) => input.kek(),
                None => KekInput::standard().and_then(|standard| input.insert(standard).kek()),
            };
            (KekSource::StandardInput, None, kek)
        }
        KekChoice::Development => return Ok((Kek::development(), KekSource::Development)),
    };
    let setting = choice.flag(key);
    let kek = kek.map_err(|error| StartError::Kek {
        setting,
        path,
        error,
    })?;
    Ok((kek, source))
}

/// Refuses anything after the keys on standard input, if they came from there.
fn end_of(input: Option<KekInput>, last: &KekChoice, key: Key) -> Result<(), StartError> {
    let end = input.map_or(Ok(()), KekInput::end);
    end.map_err(|error| StartError::Kek {
        setting: last.flag(key),
        path: None,
        error,
    })
}

/// The kind of the key memory. Fails if the settings require a better one.
pub(crate) fn key_memory(settings: &Settings) -> Result<memory::KeyMemory, StartError> {
    let key_memory = memory::key_memory();
    if settings.key_memory == KeyMemoryPolicy::Require
        && key_memory != memory::KeyMemory::SecretMemory
    {
        return Err(StartError::KeyMemory(key_memory));
    }
    Ok(key_memory)
}

/// An open anchor.
enum OpenAnchor {
    File(AnchorFile),
    Socket(AnchorSocket),
}

impl OpenAnchor {
    /// The anchor for the vault.
    fn boxed(self) -> Box<dyn Anchor> {
        match self {
            Self::File(file) => Box::new(file),
            Self::Socket(socket) => Box::new(socket),
        }
    }
}

/// Opens the anchor, if there is one.
fn anchor(settings: &Settings) -> Result<Option<OpenAnchor>, StartError> {
    Ok(match &settings.anchor {
        None => None,
        Some(AnchorChoice::File(path)) => {
            let file = AnchorFile::open(path).map_err(|error| StartError::AnchorFile {
                path: path.clone(),
                error,
            })?;
            Some(OpenAnchor::File(file))
        }
        Some(AnchorChoice::Socket(path)) => Some(OpenAnchor::Socket(connect(path)?)),
    })
}

/// Connects to softsim-anchord, and asks for the epoch.
pub(crate) fn connect(path: &Path) -> Result<AnchorSocket, StartError> {
    AnchorSocket::connect(path).map_err(|error| StartError::AnchorSocket {
        path: path.to_path_buf(),
        error,
    })
}

/// Compares the vault with its anchor, which follows it from now on.
fn compare(vault: &mut Vault, anchor: OpenAnchor, settings: &Settings) -> Result<(), StartError> {
    let checked = vault.anchor(anchor.boxed(), settings.anchor_interval);
    checked.map_err(|error| anchor_error(error, settings))
}

/// An error of the vault or its anchor. The service manager starts both again if the anchor is
/// behind a socket.
fn anchor_error(error: OpenError, settings: &Settings) -> StartError {
    match (error, &settings.anchor) {
        (OpenError::Anchor(error), Some(AnchorChoice::Socket(path))) => StartError::AnchorSocket {
            path: path.clone(),
            error,
        },
        (error @ OpenError::Anchor(_), Some(AnchorChoice::File(path))) => StartError::AnchorFile {
            path: path.clone(),
            error,
        },
        (error, _) => vault_error(&settings.state)(error),
    }
}

/// The epoch of a new vault. It is the value of a counter that can't be set; a file begins with the
/// vault.
fn first_epoch(settings: &Settings) -> Result<u64, StartError> {
    Ok(match &settings.anchor {
        Some(AnchorChoice::Socket(path)) => connect(path)?.epoch(),
        Some(AnchorChoice::File(_)) | None => 0,
    })
}

fn log_damage(vault: &Vault) {
    for damage in vault.damage() {
        Event::Damaged(damage).log();
    }
    if vault.sequences_lost() > 0 {
        Event::SequencesLost(vault.sequences_lost()).log();
    }
}

/// Gives the heap room for a full vault while the process can still map memory.
fn room_for(storage: &FileStorage, settings: &Settings) -> Result<memory::KeyMemory, StartError> {
    let needed = Vault::heap_for(storage).map_err(vault_error(&settings.state))?;
    let needed = needed + HEAP_FOR_THE_REST;
    memory::extend_heap(needed.saturating_sub(HEAP)).map_err(StartError::Heap)?;
    key_memory(settings)
}

/// Encrypts the vault under another key and a new data key, and serves nothing. Under an anchor, a
/// vault that the anchor refuses is refused here, too, and the new one begins a new epoch.
fn rekey(settings: &Settings, new: &KekChoice) -> Result<(), StartError> {
    let mut input = None;
    let (old, _) = kek(&settings.kek, Key::Current, &mut input)?;
    let choice = new;
    let (new, source) = kek(choice, Key::New, &mut input)?;
    end_of(input, choice, Key::New)?;
    let (mut vault, anchor) = open_once(settings, &old)?;
    if let Some(anchor) = anchor {
        compare(&mut vault, anchor, settings)?;
    }
    let capacity = settings.capacity.unwrap_or(vault.capacity());
    let rekeyed = vault.rekey(&settings.state, &new, capacity);
    rekeyed.map_err(|error| anchor_error(error, settings))?;
    Event::Rekeyed { source, capacity }.log();
    Ok(())
}

/// Takes the vault as it is, although its anchor refuses it, and serves nothing.
fn accept(settings: &Settings) -> Result<(), StartError> {
    let mut input = None;
    let (kek, _) = kek(&settings.kek, Key::Current, &mut input)?;
    end_of(input, &settings.kek, Key::Current)?;
    let (mut vault, anchor) = open_once(settings, &kek)?;
    let anchor = anchor.expect("the command line names one");
    let accepted = vault.accept(anchor.boxed());
    match accepted.map_err(|error| anchor_error(error, settings))? {
        Some(accepted) => Event::Accepted(accepted).log(),
        None => Event::NothingToAccept.log(),
    }
    Ok(())
}

/// Opens the vault, which must exist, and its anchor, for a run that does one thing. From then on,
/// the process can access the state directory only.
fn open_once(settings: &Settings, kek: &Kek) -> Result<(Vault, Option<OpenAnchor>), StartError> {
    let state = &settings.state;
    check_owner(state)?;
    let storage = FileStorage::open(state).map_err(vault_error(state))?;
    let storage = storage.ok_or_else(|| StartError::NoVault(state.clone()))?;
    room_for(&storage, settings)?;
    let anchor = anchor(settings)?;
    process::deny_dumps().map_err(StartError::System)?;
    if settings.sandbox == Sandbox::Require {
        let rule = PathRule {
            path: state,
            access: PathAccess::ReadWrite,
        };
        landlock::restrict(&[rule]).map_err(StartError::Landlock)?;
    }
    let vault = Vault::open(storage, kek).map_err(vault_error(state))?;
    log_damage(&vault);
    Ok((vault, anchor))
}

/// Opens the vault's file, and creates it at the first start.
fn storage(settings: &Settings, kek: &Kek) -> Result<FileStorage, StartError> {
    let state = &settings.state;
    prepare(state)?;
    match FileStorage::open(state).map_err(vault_error(state))? {
        Some(storage) => Ok(storage),
        None => {
            let capacity = settings.capacity.unwrap_or(DEFAULT_CAPACITY);
            let epoch = first_epoch(settings)?;
            Vault::create(state, kek, (capacity, epoch)).map_err(vault_error(state))
        }
    }
}

/// Creates the state directory if it is missing, and checks its owner.
fn prepare(state: &Path) -> Result<(), StartError> {
    match DirBuilder::new().mode(0o700).create(state) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(StartError::State(state.to_path_buf(), error))
        }
        _ => check_owner(state),
    }
}

/// Refuses a state directory that other users may write to or read: whoever can open it can lock
/// it, and keyd creates a vault under that lock.
pub(crate) fn check_owner(state: &Path) -> Result<(), StartError> {
    const OPEN_TO_OTHERS: u32 = 0o066;
    let metadata = fs::metadata(state);
    let metadata = metadata.map_err(|error| StartError::State(state.to_path_buf(), error))?;
    if metadata.uid() != process::uid() {
        let owner = metadata.uid();
        return Err(StartError::StateOwner(state.to_path_buf(), owner));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & OPEN_TO_OTHERS != 0 {
        return Err(StartError::StateMode(state.to_path_buf(), mode));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The unit starts keyd again after any other status than 64 and 78.
    #[test]
    fn a_medium_that_fails_at_the_start_doesn_t_stop_the_next_start() {
        let failed = || io::Error::other("a bad sector");
        for error in [OpenError::Io(failed()), OpenError::Anchor(failed())] {
            let failed = vault_error(Path::new("s"))(error);
            assert_eq!(failed.exit_status(), exit_status::IO);
        }
        let wrong_key = vault_error(Path::new("s"))(OpenError::WrongKek);
        assert_eq!(wrong_key.exit_status(), exit_status::CONFIGURATION);
    }
}
