//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

pub use softsim_args::{ArgsError, Sandbox};
use softsim_args::{Asked, Flag as _, once, read};
use softsim_client::proto::Method;

/// The usage of `softsim-bridge`, which is the text of `--help`.
pub const USAGE: &str = "\
usage: softsim-bridge --keyd PATH --sockets DIR --control PATH... [--sandbox=require|off] [@FILE]
       softsim-bridge --keyd PATH --print-identity=aka|aka-prime

  --keyd PATH       the key process's socket for the role supplicant
  --sockets DIR     the directory in which the bridge makes its own socket for each interface
  --control PATH    wpa_supplicant's control socket of one interface, such as /run/wpa_supplicant/wlan0;
                    the socket may appear later
  --print-identity  prints the permanent identity, for `identity=` in wpa_supplicant's configuration
  @FILE             more of these flags, one in each line
  -h, --help, -V, --version

wpa_supplicant needs `external_sim=1` and a `ctrl_interface` that the bridge may use;
see softsim's docs/access.md.
";

/// The text of `--version`.
pub const VERSION: &str = concat!("softsim-bridge ", env!("CARGO_PKG_VERSION"), "\n");

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// Print [`USAGE`].
    Help,
    /// Print [`VERSION`].
    Version,
    /// Print the identity for a method.
    PrintIdentity {
        /// The key process's socket.
        keyd: PathBuf,
        /// The method for which the identity is.
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

/// Parses the command line, without the program's name.
///
/// # Errors
/// [`ArgsError`], which names the flag.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Task, ArgsError> {
    let mut given = Given::default();
    match read(args, |flag, value| given.take(flag, value.read()?))? {
        Asked::Help => Ok(Task::Help),
        Asked::Version => Ok(Task::Version),
        Asked::Run => given.task(),
    }
}

#[derive(Clone, Copy)]
enum Flag {
    Keyd,
    Sockets,
    Control,
    Sandbox,
    PrintIdentity,
}

impl softsim_args::Flag for Flag {
    const ALL: &[Self] = &[
        Self::Keyd,
        Self::Sockets,
        Self::Control,
        Self::Sandbox,
        Self::PrintIdentity,
    ];
    const FILES: bool = true;

    fn name(self) -> &'static str {
        match self {
            Self::Keyd => "--keyd",
            Self::Sockets => "--sockets",
            Self::Control => "--control",
            Self::Sandbox => "--sandbox",
            Self::PrintIdentity => "--print-identity",
        }
    }
}

#[derive(Default)]
struct Given {
    keyd: Option<PathBuf>,
    sockets: Option<PathBuf>,
    controls: Vec<PathBuf>,
    sandbox: Option<Sandbox>,
    identity: Option<Method>,
}

impl Given {
    fn take(&mut self, flag: Flag, value: OsString) -> Result<(), ArgsError> {
        match flag {
            Flag::Keyd => once(flag, &mut self.keyd, value.into()),
            Flag::Sockets => once(flag, &mut self.sockets, value.into()),
            Flag::Sandbox => once(flag, &mut self.sandbox, Sandbox::read(flag, &value)?),
            Flag::PrintIdentity => once(flag, &mut self.identity, method(flag, &value)?),
            Flag::Control => {
                self.controls.push(value.into());
                Ok(())
            }
        }
    }

    fn task(self) -> Result<Task, ArgsError> {
        let missing = |flag: Flag| ArgsError::Missing(flag.name());
        let keyd = self.keyd.ok_or(missing(Flag::Keyd))?;
        if let Some(method) = self.identity {
            return Ok(Task::PrintIdentity { keyd, method });
        }
        if self.controls.is_empty() {
            return Err(missing(Flag::Control));
        }
        Ok(Task::Serve(Settings {
            keyd,
            sockets: self.sockets.ok_or(missing(Flag::Sockets))?,
            controls: self.controls,
            sandbox: self.sandbox.unwrap_or_default(),
        }))
    }
}

fn method(flag: Flag, value: &OsStr) -> Result<Method, ArgsError> {
    match value.as_encoded_bytes() {
        b"aka" => Ok(Method::Aka),
        b"aka-prime" => Ok(Method::AkaPrime),
        _ => Err(ArgsError::bad_value(flag.name(), "aka or aka-prime", value)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_manual_has_every_flag_and_no_other() {
        softsim_testkit::manual::assert_flags(
            "softsim-bridge.8",
            <Flag as softsim_args::Flag>::ALL
                .iter()
                .map(|flag| flag.name()),
        );
    }

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
    fn help_and_version_need_nothing_else() {
        assert_eq!(read("--help"), Ok(Task::Help));
        assert_eq!(read("--version"), Ok(Task::Version));
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
