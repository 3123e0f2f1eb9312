//! The command line. It consists of flags, each of which can only restrict what the program does.

use core::num::NonZeroU32;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

pub use softsim_args::{ArgsError, Sandbox};
use softsim_args::{Asked, Flag as _, Value, once, read};
use softsim_keyd_proto::{IdentityPrivacy, Role};
use softsim_sandbox::passwd::{self, NameError};

use crate::akma::is_domain_name;
use crate::roles::PerRole;
use crate::vault::MAX_CAPACITY;

/// The usage of `softsim-keyd`.
pub const USAGE: &str = "usage: softsim-keyd --state DIR KEK [OPTION]..., see --help";

/// The text of `--help`.
pub const HELP: &str = "\
usage: softsim-keyd --state DIR KEK [OPTION]...

  @FILE                   a file with more of these flags, one in each line: --flag VALUE; # begins a comment
  --state DIR             the directory of the vault
KEK, the key that encrypts the vault, is one of
  --kek-file FILE         32 octets in a file that only its owner may read
  --kek-credential NAME   a credential of the service manager
  --kek-stdin             32 octets on standard input
  --development-key       a fixed key, for development
With --new-kek-file FILE, --new-kek-credential NAME, --new-kek-stdin or --new-development-key as well,
keyd encrypts the vault under that key, with a new data key, and exits. Name the vault's anchor as well.
With --accept-vault and an anchor, keyd takes a vault that the anchor refuses as it is, and exits: what
was used, deleted or distrusted since that copy was made comes back.

  --network PATH, --admin PATH, --app PATH, --supplicant PATH
                          the sockets of the roles
  --network-user USER, --admin-user USER, --app-user USER, --supplicant-user USER
                          a user that may connect, by name or number; up to eight users per role
  --network-group GROUP, --admin-group GROUP, --app-group GROUP, --supplicant-group GROUP
                          a group whose members may connect; up to eight groups per role
  --same-user             a user may have several roles, and keyd's own user every role without users
  --app-af USER=DOMAIN    an application function whose key this user of the role app may get
  --identity-privacy=liberal|patient|conservative|strict
                          when an access network may see who the subscriber is [patient]
  --identity-patience N   patient: for how many seconds it must have refused every pseudonym [600]
  --anchor-file FILE      keyd stores the vault's epoch here, where nobody can set it back
  --anchor-socket PATH    the socket of softsim-anchord, which keeps the epoch in a TPM
  --anchor-interval N     changes of sequence numbers for each epoch [1]
  --capacity N            the number of profiles that a new vault can hold [16]
  --sandbox=require|off   whether keyd may run unconfined [require]
  --key-memory=best|require
                          whether keyd may run without secret memory [best]
  --check                 say what a start would find right and wrong, change nothing, and end with the
                          exit status that the start would have
  --allow-test-profiles   keyd accepts profiles whose algorithm set protects nothing
  -h, --help, -V, --version

See \"As a gateway builder\" in softsim's README.md.
";

/// The text of `--version`.
pub const VERSION: &str = concat!("softsim-keyd ", env!("CARGO_PKG_VERSION"), "\n");

/// The number of profiles that a new vault has room for.
pub const DEFAULT_CAPACITY: u32 = 16;
/// How long every pseudonym must have been refused before the permanent identity is shown, in
/// seconds.
pub const DEFAULT_PATIENCE: NonZeroU32 = NonZeroU32::new(600).expect("it isn't zero");
/// The number of users and that of groups per role. Together with the limits on connections, it
/// bounds the number of descriptors.
const MAX_NAMED: usize = 8;
/// The number of application functions of all users together.
const MAX_AFS: usize = 64;

/// The task that the command line gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// Print [`HELP`].
    Help,
    /// Print [`VERSION`].
    Version,
    /// Serve, or do one thing to the vault.
    Run(Settings),
    /// Say what serving would find right and wrong.
    Check(Settings),
}

/// What a run does to the vault instead of serving.
#[derive(Debug, PartialEq, Eq)]
pub enum Once {
    /// Encrypt it under this key, and a new data key.
    Rekey(KekChoice),
    /// Take it as it is, although its anchor refuses it.
    Accept,
}

/// The settings of the command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    /// The directory of the vault.
    pub state: PathBuf,
    /// The key of the vault.
    pub kek: KekChoice,
    /// What the run does instead of serving.
    pub once: Option<Once>,
    /// The paths of the sockets that keyd doesn't inherit.
    pub sockets: PerRole<Option<PathBuf>>,
    /// The users that may connect. Root and keyd's own user may also connect to the role admin.
    pub users: PerRole<Vec<u32>>,
    /// The groups whose members may connect.
    pub groups: PerRole<Vec<u32>>,
    /// Whether one user may have several roles, and keyd's own user those roles whose users aren't
    /// named.
    pub same_user: bool,
    /// The application functions whose keys a user may have. If only a group admits that user, it
    /// has them as long as it is a member.
    pub afs: Vec<(u32, String)>,
    /// The place of the vault's epoch outside of the vault.
    pub anchor: Option<AnchorChoice>,
    /// The number of passes that change sequence numbers in each epoch.
    pub anchor_interval: NonZeroU32,
    /// How many profiles a new vault has room for.
    pub capacity: Option<u32>,
    /// Whether keyd may run unconfined.
    pub sandbox: Sandbox,
    /// Whether keyd may run in ordinary memory.
    pub key_memory: KeyMemoryPolicy,
    /// When an access network may see the permanent identity.
    pub identity_privacy: IdentityPrivacy,
    /// How long every pseudonym must have been refused under the policy `patient`, in seconds.
    pub identity_patience: NonZeroU32,
    /// Whether keyd accepts profiles for laboratories, such as those whose algorithm set protects
    /// nothing.
    pub test_profiles: bool,
}

/// The source of the key that encrypts the vault.
#[derive(Debug, PartialEq, Eq)]
pub enum KekChoice {
    /// A file that only its owner may read.
    File(PathBuf),
    /// A credential that systemd gives the service.
    Credential(String),
    /// Standard input, to which softsimctl writes a key that it derives from a passphrase.
    StandardInput,
    /// The fixed key for development.
    Development,
}

/// The place of the vault's epoch outside of the vault.
#[derive(Debug, PartialEq, Eq)]
pub enum AnchorChoice {
    /// A file.
    File(PathBuf),
    /// The socket of softsim-anchord.
    Socket(PathBuf),
}

/// `--key-memory`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyMemoryPolicy {
    /// keyd uses the best memory that the kernel gives.
    Best,
    /// keyd starts only with memfd_secret(2).
    Require,
}

/// Parses the command line, without the program's name, and looks names of users and groups up.
///
/// # Errors
/// [`ArgsError`], which names the flag.
pub fn parse<'a>(args: impl Iterator<Item = &'a [u8]>) -> Result<Task, ArgsError> {
    let mut given = Given::default();
    let args = args.map(OsStr::from_bytes);
    match read(args, |flag, value| given.take(flag, value))? {
        Asked::Help => Ok(Task::Help),
        Asked::Version => Ok(Task::Version),
        Asked::Run => given.task(),
    }
}

/// Which of the vault's keys a flag names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// The key that the vault is under.
    Current,
    /// The key that the vault is put under, by a run that rekeys it.
    New,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    State,
    KekFile(Key),
    KekCredential(Key),
    KekStdin(Key),
    DevelopmentKey(Key),
    Socket(Role),
    User(Role),
    Group(Role),
    SameUser,
    AppAf,
    AcceptVault,
    Check,
    AnchorFile,
    AnchorSocket,
    AnchorInterval,
    Capacity,
    Sandbox,
    KeyMemory,
    IdentityPrivacy,
    IdentityPatience,
    TestProfiles,
}

impl softsim_args::Flag for Flag {
    const ALL: &[Self] = &[
        Self::State,
        Self::KekFile(Key::Current),
        Self::KekCredential(Key::Current),
        Self::KekStdin(Key::Current),
        Self::DevelopmentKey(Key::Current),
        Self::KekFile(Key::New),
        Self::KekCredential(Key::New),
        Self::KekStdin(Key::New),
        Self::DevelopmentKey(Key::New),
        Self::Socket(Role::Network),
        Self::Socket(Role::Admin),
        Self::Socket(Role::App),
        Self::Socket(Role::Supplicant),
        Self::User(Role::Network),
        Self::User(Role::Admin),
        Self::User(Role::App),
        Self::User(Role::Supplicant),
        Self::Group(Role::Network),
        Self::Group(Role::Admin),
        Self::Group(Role::App),
        Self::Group(Role::Supplicant),
        Self::SameUser,
        Self::AppAf,
        Self::AcceptVault,
        Self::Check,
        Self::AnchorFile,
        Self::AnchorSocket,
        Self::AnchorInterval,
        Self::Capacity,
        Self::Sandbox,
        Self::KeyMemory,
        Self::IdentityPrivacy,
        Self::IdentityPatience,
        Self::TestProfiles,
    ];
    const FILES: bool = true;

    fn name(self) -> &'static str {
        match self {
            Self::State => "--state",
            Self::KekFile(Key::Current) => "--kek-file",
            Self::KekFile(Key::New) => "--new-kek-file",
            Self::KekCredential(Key::Current) => "--kek-credential",
            Self::KekCredential(Key::New) => "--new-kek-credential",
            Self::KekStdin(Key::Current) => "--kek-stdin",
            Self::KekStdin(Key::New) => "--new-kek-stdin",
            Self::DevelopmentKey(Key::Current) => "--development-key",
            Self::DevelopmentKey(Key::New) => "--new-development-key",
            Self::Socket(Role::Network) => "--network",
            Self::Socket(Role::Admin) => "--admin",
            Self::Socket(Role::App) => "--app",
            Self::Socket(Role::Supplicant) => "--supplicant",
            Self::User(Role::Network) => "--network-user",
            Self::User(Role::Admin) => "--admin-user",
            Self::User(Role::App) => "--app-user",
            Self::User(Role::Supplicant) => "--supplicant-user",
            Self::Group(Role::Network) => "--network-group",
            Self::Group(Role::Admin) => "--admin-group",
            Self::Group(Role::App) => "--app-group",
            Self::Group(Role::Supplicant) => "--supplicant-group",
            Self::SameUser => "--same-user",
            Self::AppAf => "--app-af",
            Self::AcceptVault => "--accept-vault",
            Self::Check => "--check",
            Self::AnchorFile => "--anchor-file",
            Self::AnchorSocket => "--anchor-socket",
            Self::AnchorInterval => "--anchor-interval",
            Self::Capacity => "--capacity",
            Self::Sandbox => "--sandbox",
            Self::KeyMemory => "--key-memory",
            Self::IdentityPrivacy => "--identity-privacy",
            Self::IdentityPatience => "--identity-patience",
            Self::TestProfiles => "--allow-test-profiles",
        }
    }
}

impl KekChoice {
    /// The flag that chooses it.
    pub(crate) fn flag(&self, key: Key) -> &'static str {
        let flag = match self {
            Self::File(_) => Flag::KekFile(key),
            Self::Credential(_) => Flag::KekCredential(key),
            Self::StandardInput => Flag::KekStdin(key),
            Self::Development => Flag::DevelopmentKey(key),
        };
        flag.name()
    }
}

impl Flag {
    /// The key that a flag without a value chooses.
    fn choice(self) -> Option<KekChoice> {
        match self {
            Self::KekStdin(_) => Some(KekChoice::StandardInput),
            Self::DevelopmentKey(_) => Some(KekChoice::Development),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Given {
    state: Option<PathBuf>,
    kek: Option<(Flag, KekChoice)>,
    new_kek: Option<(Flag, KekChoice)>,
    accept_vault: bool,
    check: bool,
    test_profiles: bool,
    same_user: bool,
    sockets: PerRole<Option<PathBuf>>,
    users: PerRole<Vec<u32>>,
    groups: PerRole<Vec<u32>>,
    afs: Vec<(u32, String)>,
    anchor_file: Option<PathBuf>,
    anchor_socket: Option<PathBuf>,
    anchor_interval: Option<NonZeroU32>,
    capacity: Option<u32>,
    sandbox: Option<Sandbox>,
    key_memory: Option<KeyMemoryPolicy>,
    identity_privacy: Option<IdentityPrivacy>,
    identity_patience: Option<NonZeroU32>,
}

impl Given {
    /// The setting that a flag without a value turns on.
    fn consent(&mut self, flag: Flag) -> Option<&mut bool> {
        match flag {
            Flag::TestProfiles => Some(&mut self.test_profiles),
            Flag::SameUser => Some(&mut self.same_user),
            Flag::AcceptVault => Some(&mut self.accept_vault),
            Flag::Check => Some(&mut self.check),
            _ => None,
        }
    }

    fn take(&mut self, flag: Flag, value: Value<'_>) -> Result<(), ArgsError> {
        if let Some(choice) = flag.choice() {
            self.take_key(flag, choice)
        } else if let Some(consent) = self.consent(flag) {
            *consent = true;
            Ok(())
        } else {
            self.take_value(flag, &value.read()?)
        }
    }

    fn take_value(&mut self, flag: Flag, value: &OsStr) -> Result<(), ArgsError> {
        let octets = value.as_bytes();
        let bad = |expected| ArgsError::bad_value(flag.name(), expected, value);
        match flag {
            Flag::State => once(flag, &mut self.state, value.into()),
            Flag::KekFile(_) => self.take_key(flag, KekChoice::File(value.into())),
            Flag::KekCredential(_) => {
                let name = value.to_str().ok_or_else(|| bad("a name in UTF-8"))?;
                self.take_key(flag, KekChoice::Credential(name.to_owned()))
            }
            Flag::Socket(role) => once(flag, &mut self.sockets[role], value.into()),
            Flag::User(role) => {
                let user = known(flag, passwd::user(value))?;
                add(&mut self.users[role], user).ok_or_else(|| bad("at most 8 users"))
            }
            Flag::Group(role) => {
                let group = known(flag, passwd::group(value))?;
                add(&mut self.groups[role], group).ok_or_else(|| bad("at most 8 groups"))
            }
            Flag::AppAf => {
                let expected = "a user, `=`, and a domain name in lower case";
                let (user, domain) = application_function(octets).ok_or_else(|| bad(expected))?;
                let user = known(flag, passwd::user(user))?;
                if self.afs.len() == MAX_AFS {
                    return Err(bad("at most 64 application functions"));
                }
                self.afs.push((user, domain));
                Ok(())
            }
            Flag::AnchorFile => once(flag, &mut self.anchor_file, value.into()),
            Flag::AnchorSocket => once(flag, &mut self.anchor_socket, value.into()),
            Flag::AnchorInterval => {
                let interval = number(octets).and_then(NonZeroU32::new);
                let interval = interval.ok_or_else(|| bad("1 or more passes"))?;
                once(flag, &mut self.anchor_interval, interval)
            }
            Flag::Capacity => {
                let capacity = number(octets)
                    .filter(|capacity| (1..=MAX_CAPACITY).contains(capacity))
                    .ok_or_else(|| bad("1 to 16384 profiles"))?;
                once(flag, &mut self.capacity, capacity)
            }
            Flag::Sandbox => once(flag, &mut self.sandbox, Sandbox::read(flag, value)?),
            Flag::KeyMemory => {
                let policy = match octets {
                    b"best" => KeyMemoryPolicy::Best,
                    b"require" => KeyMemoryPolicy::Require,
                    _ => return Err(bad("best or require")),
                };
                once(flag, &mut self.key_memory, policy)
            }
            Flag::IdentityPrivacy => {
                let privacy = match octets {
                    b"liberal" => IdentityPrivacy::Liberal,
                    b"patient" => IdentityPrivacy::Patient,
                    b"conservative" => IdentityPrivacy::Conservative,
                    b"strict" => IdentityPrivacy::Strict,
                    _ => return Err(bad("liberal, patient, conservative or strict")),
                };
                once(flag, &mut self.identity_privacy, privacy)
            }
            Flag::IdentityPatience => {
                let patience = number(octets).and_then(NonZeroU32::new);
                let patience = patience.ok_or_else(|| bad("1 or more seconds"))?;
                once(flag, &mut self.identity_patience, patience)
            }
            // These take no value.
            Flag::KekStdin(_)
            | Flag::DevelopmentKey(_)
            | Flag::TestProfiles
            | Flag::SameUser
            | Flag::AcceptVault
            | Flag::Check => Ok(()),
        }
    }

    /// Takes one key of each kind.
    fn take_key(&mut self, flag: Flag, choice: KekChoice) -> Result<(), ArgsError> {
        let place = match flag {
            Flag::KekFile(Key::New)
            | Flag::KekCredential(Key::New)
            | Flag::KekStdin(Key::New)
            | Flag::DevelopmentKey(Key::New) => &mut self.new_kek,
            _ => &mut self.kek,
        };
        match place.replace((flag, choice)) {
            None => Ok(()),
            Some((before, _)) if before == flag => Err(ArgsError::Twice(flag.name())),
            Some((before, _)) => Err(ArgsError::Both(before.name(), flag.name())),
        }
    }

    /// What the run does instead of serving. Such a run has no sockets.
    fn once(&mut self) -> Result<Option<Once>, ArgsError> {
        let accept = self
            .accept_vault
            .then_some((Flag::AcceptVault, Once::Accept));
        let rekey = self.new_kek.take();
        let rekey = rekey.map(|(flag, kek)| (flag, Once::Rekey(kek)));
        let (flag, once) = match (accept, rekey) {
            (Some((accept, _)), Some((rekey, _))) => {
                return Err(ArgsError::Both(accept.name(), rekey.name()));
            }
            (Some(once), None) | (None, Some(once)) => once,
            (None, None) => return Ok(None),
        };
        if self.check {
            return Err(ArgsError::Both(Flag::Check.name(), flag.name()));
        }
        let mut roles = Role::ALL.into_iter();
        match roles.find(|role| self.sockets[*role].is_some()) {
            Some(role) => Err(ArgsError::Both(flag.name(), Flag::Socket(role).name())),
            None => Ok(Some(once)),
        }
    }

    fn task(self) -> Result<Task, ArgsError> {
        let task = match self.check {
            true => Task::Check,
            false => Task::Run,
        };
        self.settings().map(task)
    }

    fn settings(mut self) -> Result<Settings, ArgsError> {
        let once = self.once()?;
        let (_, kek) = self.kek.ok_or(ArgsError::Missing("--kek-file"))?;
        let anchor = match (self.anchor_file, self.anchor_socket) {
            (Some(_), Some(_)) => {
                let [file, socket] = [Flag::AnchorFile, Flag::AnchorSocket];
                return Err(ArgsError::Both(file.name(), socket.name()));
            }
            (file, socket) => file
                .map(AnchorChoice::File)
                .or(socket.map(AnchorChoice::Socket)),
        };
        if once == Some(Once::Accept) && anchor.is_none() {
            return Err(ArgsError::Missing("--anchor-file or --anchor-socket"));
        }
        Ok(Settings {
            state: self.state.ok_or(ArgsError::Missing("--state"))?,
            kek,
            once,
            sockets: self.sockets,
            users: self.users,
            groups: self.groups,
            same_user: self.same_user,
            afs: self.afs,
            anchor,
            anchor_interval: self.anchor_interval.unwrap_or(NonZeroU32::MIN),
            capacity: self.capacity,
            sandbox: self.sandbox.unwrap_or_default(),
            key_memory: self.key_memory.unwrap_or(KeyMemoryPolicy::Best),
            identity_privacy: self.identity_privacy.unwrap_or_default(),
            identity_patience: self.identity_patience.unwrap_or(DEFAULT_PATIENCE),
            test_profiles: self.test_profiles,
        })
    }
}

/// Parses a user and the domain name of one application function. A subdomain of it is another
/// name.
fn application_function(value: &[u8]) -> Option<(&OsStr, String)> {
    let at = value.iter().position(|&octet| octet == b'=')?;
    let domain = str::from_utf8(&value[at + 1..]).ok()?;
    let lower = !domain.bytes().any(|octet| octet.is_ascii_uppercase());
    (lower && is_domain_name(domain)).then_some(())?;
    Some((OsStr::from_bytes(&value[..at]), domain.to_owned()))
}

/// The number of a user or group that was looked up.
fn known(flag: Flag, number: Result<u32, NameError>) -> Result<u32, ArgsError> {
    number.map_err(|error| ArgsError::NotAccepted {
        flag: flag.name(),
        reason: error.to_string(),
    })
}

/// Adds a user or a group of a role; none if it has as many as it may.
fn add(ids: &mut Vec<u32>, id: u32) -> Option<()> {
    (ids.len() < MAX_NAMED).then(|| ids.push(id))
}

fn number(value: &[u8]) -> Option<u32> {
    // `parse` alone would accept a plus sign.
    let digits = str::from_utf8(value).ok()?;
    digits
        .bytes()
        .all(|octet| octet.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    #[test]
    fn the_manual_has_every_flag_and_no_other() {
        softsim_testkit::manual::assert_flags(
            "softsim-keyd.8",
            <Flag as softsim_args::Flag>::ALL
                .iter()
                .map(|flag| flag.name()),
        );
    }

    fn parsed(line: &str) -> Result<Settings, ArgsError> {
        match parse(line.split_whitespace().map(str::as_bytes))? {
            Task::Run(settings) => Ok(settings),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_state_directory_and_a_key_are_enough() {
        let settings = parsed("--state /s --kek-file /k").unwrap();
        assert_eq!(settings.state, PathBuf::from("/s"));
        assert_eq!(settings.kek, KekChoice::File("/k".into()));
        assert_eq!((settings.capacity, settings.once), (None, None));
        assert_eq!(settings.sandbox, Sandbox::Require);
        assert_eq!(settings.key_memory, KeyMemoryPolicy::Best);
        assert!(!settings.test_profiles);
        assert_eq!(settings.identity_privacy, IdentityPrivacy::Patient);
        assert_eq!(settings.identity_patience.get(), 600);
        assert!(
            Role::ALL
                .iter()
                .all(|role| settings.sockets[*role].is_none())
        );
        assert!(
            Role::ALL
                .iter()
                .all(|role| settings.users[*role].is_empty())
        );
        assert!(!settings.same_user && settings.afs.is_empty());
    }

    #[test]
    fn both_spellings_of_a_value_are_the_same() {
        let line = "--state DIR --development-key --app A --app-user 7 --app-user 8 --capacity 2 \
                    --sandbox off --key-memory require --identity-privacy strict --identity-patience 60 --allow-test-profiles \
                    --supplicant S --supplicant-user 9 --app-group root --same-user --app-af root=af.example";
        let joined = "--state=DIR --development-key --app=A --app-user=7 --app-user=8 --capacity=2 \
                      --sandbox=off --key-memory=require --identity-privacy=strict --identity-patience=60 --allow-test-profiles \
                      --supplicant=S --supplicant-user=9 --app-group=root --same-user --app-af=root=af.example";
        let settings = parsed(line).unwrap();
        assert_eq!(parsed(joined).unwrap(), settings);
        assert!(settings.test_profiles && settings.same_user);
        assert_eq!(settings.afs, [(0, "af.example".to_owned())]);
        assert_eq!(settings.users[Role::App], [7, 8]);
        assert_eq!(settings.groups[Role::App], [0]);
        assert_eq!(settings.sockets[Role::App], Some("A".into()));
        assert_eq!(settings.sockets[Role::Supplicant], Some("S".into()));
        assert_eq!(settings.users[Role::Supplicant], [9]);
        assert_eq!(settings.identity_privacy, IdentityPrivacy::Strict);
        assert_eq!(settings.identity_patience.get(), 60);
    }

    #[test]
    fn a_key_comes_from_one_place_and_a_new_one_from_another() {
        for (flags, kek) in [
            ("--kek-file /k", KekChoice::File("/k".into())),
            ("--kek-credential k", KekChoice::Credential("k".into())),
            ("--kek-stdin", KekChoice::StandardInput),
            ("--development-key", KekChoice::Development),
        ] {
            let line = format!("--state s {flags}");
            assert_eq!(parsed(&line).unwrap().kek, kek);
            let new = flags.replacen("--", "--new-", 1);
            let settings = parsed(&format!("--state s --kek-file /old {new}")).unwrap();
            assert_eq!(settings.kek, KekChoice::File("/old".into()));
            assert_eq!(settings.once, Some(Once::Rekey(kek)));
        }
    }

    #[test]
    fn a_vault_is_accepted_under_an_anchor() {
        for anchor in ["--anchor-file a", "--anchor-socket a"] {
            let line = format!("--state s --development-key {anchor} --accept-vault");
            assert_eq!(parsed(&line).unwrap().once, Some(Once::Accept));
        }
    }

    #[test]
    fn an_anchor_is_a_file_or_a_socket() {
        for (flags, anchor) in [
            ("", None),
            ("--anchor-file a", Some(AnchorChoice::File("a".into()))),
            ("--anchor-socket a", Some(AnchorChoice::Socket("a".into()))),
        ] {
            let line = format!("--state s --development-key {flags}");
            assert_eq!(parsed(&line).unwrap().anchor, anchor);
        }
    }

    #[test]
    fn every_fault_names_its_flag() {
        let good = "--state s --development-key ";
        for (line, message) in [
            ("--verbose", "unknown flag --verbose"),
            ("stray", "unknown flag stray"),
            ("--state a --state b", "--state was given twice"),
            ("--state", "--state: expected a value, got none"),
            ("--state=", "--state: expected a value, got none"),
            (
                "--development-key=1",
                "--development-key: expected no value, got one",
            ),
            ("--development-key", "--state is missing"),
            ("--state s", "--kek-file is missing"),
            (
                "--state s --kek-file k --development-key",
                "expected --kek-file or --development-key, got both",
            ),
            (
                "--state s --kek-stdin --kek-credential k",
                "expected --kek-stdin or --kek-credential, got both",
            ),
            (
                "--state s --development-key --development-key",
                "--development-key was given twice",
            ),
            (
                "--state s --kek-stdin --anchor-file f --anchor-socket s",
                "expected --anchor-file or --anchor-socket, got both",
            ),
            (
                "--state s --kek-stdin --new-kek-stdin --admin a",
                "expected --new-kek-stdin or --admin, got both",
            ),
            (
                "--state s --kek-stdin --anchor-file f --accept-vault --admin a",
                "expected --accept-vault or --admin, got both",
            ),
            (
                "--state s --kek-stdin --anchor-file f --accept-vault --new-kek-file k",
                "expected --accept-vault or --new-kek-file, got both",
            ),
            (
                "--state s --kek-stdin --check --new-kek-stdin",
                "expected --check or --new-kek-stdin, got both",
            ),
            (
                "--state s --kek-stdin --accept-vault",
                "--anchor-file or --anchor-socket is missing",
            ),
        ] {
            assert_eq!(parsed(line).unwrap_err().to_string(), message, "{line}");
        }
        for (flag, message) in [
            (
                "--capacity 0",
                "--capacity: expected 1 to 16384 profiles, got 0",
            ),
            (
                "--capacity 16385",
                "--capacity: expected 1 to 16384 profiles, got 16385",
            ),
            (
                "--capacity +1",
                "--capacity: expected 1 to 16384 profiles, got +1",
            ),
            (
                "--app-user nobody-at-all",
                "--app-user: expected a user by number, or by its name in /etc/passwd, got nobody-at-all",
            ),
            (
                "--admin-group 4294967296",
                "--admin-group: expected a group by number, or by its name in /etc/group, got 4294967296",
            ),
            (
                "--anchor-interval 0",
                "--anchor-interval: expected 1 or more passes, got 0",
            ),
            (
                "--app-af 7=AF.example",
                "--app-af: expected a user, `=`, and a domain name in lower case, got 7=AF.example",
            ),
            (
                "--app-af af.example",
                "--app-af: expected a user, `=`, and a domain name in lower case, got af.example",
            ),
            ("--same-user=yes", "--same-user: expected no value, got one"),
            ("--sandbox no", "--sandbox: expected require or off, got no"),
            (
                "--identity-privacy none",
                "--identity-privacy: expected liberal, patient, conservative or strict, got none",
            ),
            (
                "--identity-patience 0",
                "--identity-patience: expected 1 or more seconds, got 0",
            ),
            (
                "--key-memory any",
                "--key-memory: expected best or require, got any",
            ),
        ] {
            let line = format!("{good}{flag}");
            assert_eq!(parsed(&line).unwrap_err().to_string(), message, "{line}");
        }
        for kind in ["user", "group"] {
            let many = format!("{good}{}", format!("--app-{kind} 1 ").repeat(9));
            let error = format!("--app-{kind}: expected at most 8 {kind}s, got 1");
            assert_eq!(parsed(&many).unwrap_err().to_string(), error);
        }
    }
}
