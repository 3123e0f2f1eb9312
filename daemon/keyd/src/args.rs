//! The command line: flags only, each of which can only narrow what the program does.

use core::fmt;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use softsim_keyd_proto::Role;

use crate::roles::PerRole;

/// How `softsim-keyd` is called.
pub const USAGE: &str = "usage: softsim-keyd --state DIR (--kek-file FILE | --development-key) \
    [--network PATH] [--admin PATH] [--app PATH] \
    [--network-uid UID]... [--admin-uid UID]... [--app-uid UID]... \
    [--capacity N] [--sandbox=require|off] [--key-memory=best|require]";

/// Profiles that a new vault has room for.
const DEFAULT_CAPACITY: u32 = 16;
/// The most there may be.
const MAX_CAPACITY: u32 = 16_384;
/// Uids per role: with the limit on connections of each, this bounds the descriptors.
const MAX_UIDS: usize = 8;

/// What the command line says.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the vault lies.
    pub state: PathBuf,
    /// The key of the vault.
    pub kek: KekChoice,
    /// Where keyd opens the sockets that it doesn't inherit.
    pub sockets: PerRole<Option<PathBuf>>,
    /// Who may connect; where it is empty, keyd's own user and root.
    pub uids: PerRole<Vec<u32>>,
    /// How many profiles a new vault has room for.
    pub capacity: u32,
    /// Whether keyd may run unconfined.
    pub sandbox: Sandbox,
    /// Whether keyd may run in ordinary memory.
    pub key_memory: KeyMemoryPolicy,
}

/// Where the key that encrypts the vault comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum KekChoice {
    /// A file that only its owner may read.
    File(PathBuf),
    /// The fixed key for development.
    Development,
}

/// `--sandbox`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sandbox {
    /// Landlock and seccomp, or no start.
    Require,
    /// Neither.
    Off,
}

/// `--key-memory`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyMemoryPolicy {
    /// The best that the kernel gives.
    Best,
    /// memfd_secret(2), or no start.
    Require,
}

/// What is wrong with the command line.
#[derive(Debug, PartialEq, Eq)]
pub enum ArgsError {
    /// No flag is called so.
    Unknown(String),
    /// A flag came a second time.
    Twice(&'static str),
    /// A flag's value is missing.
    NoValue(&'static str),
    /// A flag takes no value.
    Value(&'static str),
    /// A flag's value is not one that it takes.
    BadValue {
        /// The flag.
        flag: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What came.
        came: String,
    },
    /// A flag is missing.
    Missing(&'static str),
    /// `--kek-file` and `--development-key` exclude each other.
    TwoKeys,
}

impl fmt::Display for ArgsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(flag) => write!(f, "no flag is called {flag}"),
            Self::Twice(flag) => write!(f, "{flag} came twice"),
            Self::NoValue(flag) => write!(f, "{flag}: expected a value, came none"),
            Self::Value(flag) => write!(f, "{flag}: expected no value, came one"),
            Self::BadValue {
                flag,
                expected,
                came,
            } => write!(f, "{flag}: expected {expected}, came {came}"),
            Self::Missing(flag) => write!(f, "{flag} is missing"),
            Self::TwoKeys => f.write_str("expected --kek-file or --development-key, came both"),
        }
    }
}

impl core::error::Error for ArgsError {}

/// Reads the command line without the program's name; `--flag VALUE` and `--flag=VALUE` are the same.
///
/// # Errors
/// [`ArgsError`], which names the flag.
pub fn parse<'a>(args: impl Iterator<Item = &'a [u8]>) -> Result<Settings, ArgsError> {
    let mut args = args;
    let mut seen = Seen::default();
    while let Some(argument) = args.next() {
        let (name, value) = match argument.iter().position(|&octet| octet == b'=') {
            Some(at) => (&argument[..at], Some(&argument[at + 1..])),
            None => (argument, None),
        };
        let flag = Flag::ALL
            .into_iter()
            .find(|flag| flag.name().as_bytes() == name)
            .ok_or_else(|| ArgsError::Unknown(lossy(name)))?;
        if flag == Flag::DevelopmentKey {
            if value.is_some() {
                return Err(ArgsError::Value(flag.name()));
            }
            seen.development_key = true;
            continue;
        }
        let value = value
            .or_else(|| args.next())
            .filter(|value| !value.is_empty())
            .ok_or(ArgsError::NoValue(flag.name()))?;
        seen.take(flag, value)?;
    }
    seen.settings()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    State,
    KekFile,
    DevelopmentKey,
    Socket(Role),
    Uid(Role),
    Capacity,
    Sandbox,
    KeyMemory,
}

impl Flag {
    const ALL: [Self; 12] = [
        Self::State,
        Self::KekFile,
        Self::DevelopmentKey,
        Self::Socket(Role::Network),
        Self::Socket(Role::Admin),
        Self::Socket(Role::App),
        Self::Uid(Role::Network),
        Self::Uid(Role::Admin),
        Self::Uid(Role::App),
        Self::Capacity,
        Self::Sandbox,
        Self::KeyMemory,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::State => "--state",
            Self::KekFile => "--kek-file",
            Self::DevelopmentKey => "--development-key",
            Self::Socket(Role::Network) => "--network",
            Self::Socket(Role::Admin) => "--admin",
            Self::Socket(Role::App) => "--app",
            Self::Uid(Role::Network) => "--network-uid",
            Self::Uid(Role::Admin) => "--admin-uid",
            Self::Uid(Role::App) => "--app-uid",
            Self::Capacity => "--capacity",
            Self::Sandbox => "--sandbox",
            Self::KeyMemory => "--key-memory",
        }
    }
}

#[derive(Default)]
struct Seen {
    state: Option<PathBuf>,
    kek_file: Option<PathBuf>,
    development_key: bool,
    sockets: PerRole<Option<PathBuf>>,
    uids: PerRole<Vec<u32>>,
    capacity: Option<u32>,
    sandbox: Option<Sandbox>,
    key_memory: Option<KeyMemoryPolicy>,
}

impl Seen {
    fn take(&mut self, flag: Flag, value: &[u8]) -> Result<(), ArgsError> {
        let path = || PathBuf::from(OsStr::from_bytes(value));
        let bad = |expected| ArgsError::BadValue {
            flag: flag.name(),
            expected,
            came: lossy(value),
        };
        match flag {
            Flag::State => once(flag, &mut self.state, path()),
            Flag::KekFile => once(flag, &mut self.kek_file, path()),
            Flag::Socket(role) => once(flag, &mut self.sockets[role], path()),
            Flag::Uid(role) => {
                let uid = number(value).ok_or_else(|| bad("a user id"))?;
                if self.uids[role].len() == MAX_UIDS {
                    return Err(bad("at most 8 user ids"));
                }
                self.uids[role].push(uid);
                Ok(())
            }
            Flag::Capacity => {
                let capacity = number(value)
                    .filter(|capacity| (1..=MAX_CAPACITY).contains(capacity))
                    .ok_or_else(|| bad("1 to 16384 profiles"))?;
                once(flag, &mut self.capacity, capacity)
            }
            Flag::Sandbox => {
                let sandbox = match value {
                    b"require" => Sandbox::Require,
                    b"off" => Sandbox::Off,
                    _ => return Err(bad("require or off")),
                };
                once(flag, &mut self.sandbox, sandbox)
            }
            Flag::KeyMemory => {
                let policy = match value {
                    b"best" => KeyMemoryPolicy::Best,
                    b"require" => KeyMemoryPolicy::Require,
                    _ => return Err(bad("best or require")),
                };
                once(flag, &mut self.key_memory, policy)
            }
            Flag::DevelopmentKey => Err(ArgsError::Value(flag.name())),
        }
    }

    fn settings(self) -> Result<Settings, ArgsError> {
        let kek = match (self.kek_file, self.development_key) {
            (Some(file), false) => KekChoice::File(file),
            (None, true) => KekChoice::Development,
            (Some(_), true) => return Err(ArgsError::TwoKeys),
            (None, false) => return Err(ArgsError::Missing("--kek-file")),
        };
        Ok(Settings {
            state: self.state.ok_or(ArgsError::Missing("--state"))?,
            kek,
            sockets: self.sockets,
            uids: self.uids,
            capacity: self.capacity.unwrap_or(DEFAULT_CAPACITY),
            sandbox: self.sandbox.unwrap_or(Sandbox::Require),
            key_memory: self.key_memory.unwrap_or(KeyMemoryPolicy::Best),
        })
    }
}

fn once<T>(flag: Flag, place: &mut Option<T>, value: T) -> Result<(), ArgsError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ArgsError::Twice(flag.name())),
    }
}

fn number(value: &[u8]) -> Option<u32> {
    // `parse` alone would take a plus sign.
    let digits = str::from_utf8(value).ok()?;
    digits
        .bytes()
        .all(|octet| octet.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

fn lossy(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parsed(line: &str) -> Result<Settings, ArgsError> {
        parse(line.split_whitespace().map(str::as_bytes))
    }

    #[test]
    fn a_state_directory_and_a_key_are_enough() {
        let settings = parsed("--state /s --kek-file /k").unwrap();
        assert_eq!(settings.state, PathBuf::from("/s"));
        assert_eq!(settings.kek, KekChoice::File("/k".into()));
        assert_eq!(settings.capacity, DEFAULT_CAPACITY);
        assert_eq!(settings.sandbox, Sandbox::Require);
        assert_eq!(settings.key_memory, KeyMemoryPolicy::Best);
        assert!(
            Role::ALL
                .iter()
                .all(|role| settings.sockets[*role].is_none())
        );
        assert!(Role::ALL.iter().all(|role| settings.uids[*role].is_empty()));
    }

    #[test]
    fn both_spellings_of_a_value_are_the_same() {
        let line = "--state DIR --development-key --app A --app-uid 7 --app-uid 8 --capacity 2 \
                    --sandbox off --key-memory require";
        let joined = "--state=DIR --development-key --app=A --app-uid=7 --app-uid=8 --capacity=2 \
                      --sandbox=off --key-memory=require";
        let settings = parsed(line).unwrap();
        assert_eq!(parsed(joined).unwrap(), settings);
        assert_eq!(settings.uids[Role::App], [7, 8]);
        assert_eq!(settings.sockets[Role::App], Some("A".into()));
    }

    #[test]
    fn every_fault_names_its_flag() {
        let good = "--state s --development-key ";
        for (line, message) in [
            ("--verbose", "no flag is called --verbose"),
            ("stray", "no flag is called stray"),
            ("--state a --state b", "--state came twice"),
            ("--state", "--state: expected a value, came none"),
            ("--state=", "--state: expected a value, came none"),
            (
                "--development-key=1",
                "--development-key: expected no value, came one",
            ),
            ("--development-key", "--state is missing"),
            ("--state s", "--kek-file is missing"),
            (
                "--state s --kek-file k --development-key",
                "expected --kek-file or --development-key, came both",
            ),
        ] {
            assert_eq!(parsed(line).unwrap_err().to_string(), message, "{line}");
        }
        for (flag, message) in [
            (
                "--capacity 0",
                "--capacity: expected 1 to 16384 profiles, came 0",
            ),
            (
                "--capacity 16385",
                "--capacity: expected 1 to 16384 profiles, came 16385",
            ),
            (
                "--capacity +1",
                "--capacity: expected 1 to 16384 profiles, came +1",
            ),
            ("--app-uid root", "--app-uid: expected a user id, came root"),
            (
                "--admin-uid 4294967296",
                "--admin-uid: expected a user id, came 4294967296",
            ),
            (
                "--sandbox no",
                "--sandbox: expected require or off, came no",
            ),
            (
                "--key-memory any",
                "--key-memory: expected best or require, came any",
            ),
        ] {
            let line = format!("{good}{flag}");
            assert_eq!(parsed(&line).unwrap_err().to_string(), message, "{line}");
        }
        let many = format!("{good}{}", "--app-uid 1 ".repeat(9));
        assert_eq!(
            parsed(&many).unwrap_err().to_string(),
            "--app-uid: expected at most 8 user ids, came 1"
        );
    }
}
