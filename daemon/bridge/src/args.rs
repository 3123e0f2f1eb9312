//! The command line.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::{error, fmt};

use softsim_client::proto::Method;

/// The usage of `softsim-bridge`.
pub const USAGE: &str = "\
usage: softsim-bridge --keyd PATH --sockets DIR --control PATH... [--sandbox=require|off]
       softsim-bridge --keyd PATH --print-identity=aka|aka-prime

  --keyd PATH       the key process's socket for the role supplicant
  --sockets DIR     where the bridge makes a socket of its own for each interface
  --control PATH    wpa_supplicant's control socket of one interface, such as /run/wpa_supplicant/wlan0;
                    it needs not be there yet
  --print-identity  prints the permanent identity, for `identity=` in wpa_supplicant's configuration

wpa_supplicant needs `external_sim=1` and a `ctrl_interface` that the bridge may use.
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// Print the usage.
    Help,
    /// Print the identity for a method.
    PrintIdentity {
        /// The key process's socket.
        keyd: PathBuf,
        /// The method that it is for.
        method: Method,
    },
    /// Serve.
    Serve(Settings),
}

/// The settings for serving.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    /// The key process's socket.
    pub keyd: PathBuf,
    /// The directory for the bridge's own sockets.
    pub sockets: PathBuf,
    /// wpa_supplicant's control sockets.
    pub controls: Vec<PathBuf>,
    /// Whether the bridge may run unconfined.
    pub sandbox: Sandbox,
}

/// `--sandbox`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// The bridge starts only if landlock and seccomp confine it.
    #[default]
    Require,
    /// The bridge runs unconfined.
    Off,
}

/// The errors of the command line.
#[derive(Debug, PartialEq, Eq)]
pub enum ArgsError {
    /// There is no such flag.
    Unknown(String),
    /// A flag was given twice.
    Twice(&'static str),
    /// A flag's value is missing.
    NoValue(&'static str),
    /// A flag's value is invalid.
    BadValue {
        /// The flag.
        flag: &'static str,
        /// The values that it takes.
        expected: &'static str,
        /// The value that was given.
        got: String,
    },
    /// A flag is missing.
    Missing(&'static str),
}

impl error::Error for ArgsError {}

impl fmt::Display for ArgsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(flag) => write!(f, "no flag is called {flag}"),
            Self::Twice(flag) => write!(f, "{flag} was given twice"),
            Self::NoValue(flag) => write!(f, "{flag}: expected a value, got none"),
            Self::BadValue {
                flag,
                expected,
                got,
            } => write!(f, "{flag}: expected {expected}, got {got}"),
            Self::Missing(flag) => write!(f, "{flag} is missing"),
        }
    }
}

/// Parses the command line, without the program's name. `--flag VALUE` and `--flag=VALUE` are the
/// same.
///
/// # Errors
/// [`ArgsError`], which names the flag.
pub fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Task, ArgsError> {
    let mut seen = Given::default();
    while let Some(argument) = args.next() {
        let octets = argument.as_bytes();
        let (name, value) = match octets.iter().position(|&octet| octet == b'=') {
            Some(at) => (&octets[..at], Some(OsStr::from_bytes(&octets[at + 1..]))),
            None => (octets, None),
        };
        if name == b"--help" || name == b"-h" {
            return Ok(Task::Help);
        }
        let flag = FLAGS
            .into_iter()
            .find(|flag| flag.as_bytes() == name)
            .ok_or_else(|| ArgsError::Unknown(String::from_utf8_lossy(name).into_owned()))?;
        let value = value
            .map(OsStr::to_owned)
            .or_else(|| args.next())
            .filter(|value| !value.is_empty())
            .ok_or(ArgsError::NoValue(flag))?;
        seen.take(flag, value)?;
    }
    seen.task()
}

const KEYD: &str = "--keyd";
const SOCKETS: &str = "--sockets";
const CONTROL: &str = "--control";
const SANDBOX: &str = "--sandbox";
const PRINT_IDENTITY: &str = "--print-identity";
const FLAGS: [&str; 5] = [KEYD, SOCKETS, CONTROL, SANDBOX, PRINT_IDENTITY];

#[derive(Default)]
struct Given {
    keyd: Option<PathBuf>,
    sockets: Option<PathBuf>,
    controls: Vec<PathBuf>,
    sandbox: Option<Sandbox>,
    identity: Option<Method>,
}

impl Given {
    fn take(&mut self, flag: &'static str, value: OsString) -> Result<(), ArgsError> {
        match flag {
            KEYD => once(flag, &mut self.keyd, value.into()),
            SOCKETS => once(flag, &mut self.sockets, value.into()),
            SANDBOX => once(flag, &mut self.sandbox, sandbox(&value)?),
            PRINT_IDENTITY => once(flag, &mut self.identity, method(&value)?),
            _ => {
                self.controls.push(value.into());
                Ok(())
            }
        }
    }

    fn task(self) -> Result<Task, ArgsError> {
        let keyd = self.keyd.ok_or(ArgsError::Missing(KEYD))?;
        if let Some(method) = self.identity {
            return Ok(Task::PrintIdentity { keyd, method });
        }
        if self.controls.is_empty() {
            return Err(ArgsError::Missing(CONTROL));
        }
        Ok(Task::Serve(Settings {
            keyd,
            sockets: self.sockets.ok_or(ArgsError::Missing(SOCKETS))?,
            controls: self.controls,
            sandbox: self.sandbox.unwrap_or_default(),
        }))
    }
}

fn once<T>(flag: &'static str, place: &mut Option<T>, value: T) -> Result<(), ArgsError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ArgsError::Twice(flag)),
    }
}

fn sandbox(value: &OsStr) -> Result<Sandbox, ArgsError> {
    match value.as_bytes() {
        b"require" => Ok(Sandbox::Require),
        b"off" => Ok(Sandbox::Off),
        _ => Err(bad(SANDBOX, "require or off", value)),
    }
}

fn method(value: &OsStr) -> Result<Method, ArgsError> {
    match value.as_bytes() {
        b"aka" => Ok(Method::Aka),
        b"aka-prime" => Ok(Method::AkaPrime),
        _ => Err(bad(PRINT_IDENTITY, "aka or aka-prime", value)),
    }
}

fn bad(flag: &'static str, expected: &'static str, got: &OsStr) -> ArgsError {
    ArgsError::BadValue {
        flag,
        expected,
        got: got.to_string_lossy().into_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(line: &str) -> Result<Task, ArgsError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn each_interface_is_a_control_socket() {
        let task =
            read("--keyd k --sockets=/run/b --control /run/w/wlan0 --control=/run/w/eth0").unwrap();
        assert_eq!(
            task,
            Task::Serve(Settings {
                keyd: "k".into(),
                sockets: "/run/b".into(),
                controls: vec!["/run/w/wlan0".into(), "/run/w/eth0".into()],
                sandbox: Sandbox::Require,
            })
        );
    }

    #[test]
    fn the_identity_is_printed_for_a_method() {
        for (name, method) in [("aka", Method::Aka), ("aka-prime", Method::AkaPrime)] {
            let task = read(&format!("--print-identity={name} --keyd k")).unwrap();
            let keyd = "k".into();
            assert_eq!(task, Task::PrintIdentity { keyd, method });
        }
    }

    #[test]
    fn help_needs_nothing_else() {
        assert_eq!(read("--help"), Ok(Task::Help));
        assert_eq!(read("-h"), Ok(Task::Help));
    }

    #[test]
    fn an_error_names_the_flag() {
        for (line, flag) in [
            ("", "--keyd"),
            ("--keyd k", "--control"),
            ("--keyd k --control c", "--sockets"),
            ("--keyd", "--keyd"),
            ("--keyd= --control c", "--keyd"),
            ("--keyd k --keyd k", "--keyd"),
            ("--keyd k --sandbox maybe", "--sandbox"),
            ("--keyd k --print-identity sim", "--print-identity"),
            ("--gsm", "--gsm"),
            ("wlan0", "wlan0"),
        ] {
            let error = read(line).unwrap_err().to_string();
            assert!(error.contains(flag), "{line}: {error}");
        }
    }
}
