//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

pub use softsim_args::{ArgsError, Sandbox};
use softsim_args::{Asked, Flag as _, once, read};
use softsim_sandbox::passwd;

use crate::tpm::Index;

/// The usage of `softsim-anchord`, which is the text of `--help`.
pub const USAGE: &str = "\
usage: softsim-anchord --user USER [--socket PATH] [--tpm PATH] [--index N] [--sandbox=require|off] [@FILE]

  --user USER       the user of the key process, the only one that may connect, by name or number
  --socket PATH     the socket for the key process, unless the service manager passes one called `anchor`
  --tpm PATH        the TPM 2.0 [/dev/tpmrm0], unless the service manager passes it opened, called `tpm`
  --index N         the index of the counter in the TPM, 0x01800000 to 0x01bfffff [0x01800010]
  --sandbox=require|off
                    whether it may run unconfined [require]
  @FILE             more of these flags, one in each line
  -h, --help, -V, --version

If the TPM has no such index, softsim-anchord defines it; see softsim's docs/anchor.md.
";

/// The text of `--version`.
pub const VERSION: &str = concat!("softsim-anchord ", env!("CARGO_PKG_VERSION"), "\n");

/// The device that the kernel lets several programs use.
const TPM: &str = "/dev/tpmrm0";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// Print [`USAGE`].
    Help,
    /// Print [`VERSION`].
    Version,
    /// Serve.
    Serve(Settings),
}

/// The settings for serving.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    /// The user of the key process.
    pub user: u32,
    /// The path of the socket, if none is inherited.
    pub socket: Option<PathBuf>,
    /// The TPM's device, if none is inherited.
    pub tpm: PathBuf,
    /// The counter.
    pub index: Index,
    /// Whether it may run unconfined.
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
        Asked::Run => given.settings().map(Task::Serve),
    }
}

#[derive(Clone, Copy)]
enum Flag {
    User,
    Socket,
    Tpm,
    Index,
    Sandbox,
}

impl softsim_args::Flag for Flag {
    const ALL: &[Self] = &[
        Self::User,
        Self::Socket,
        Self::Tpm,
        Self::Index,
        Self::Sandbox,
    ];
    const FILES: bool = true;

    fn name(self) -> &'static str {
        match self {
            Self::User => "--user",
            Self::Socket => "--socket",
            Self::Tpm => "--tpm",
            Self::Index => "--index",
            Self::Sandbox => "--sandbox",
        }
    }
}

#[derive(Default)]
struct Given {
    user: Option<u32>,
    socket: Option<PathBuf>,
    tpm: Option<PathBuf>,
    index: Option<Index>,
    sandbox: Option<Sandbox>,
}

impl Given {
    fn take(&mut self, flag: Flag, value: OsString) -> Result<(), ArgsError> {
        let bad = |expected| ArgsError::bad_value(flag.name(), expected, &value);
        match flag {
            Flag::User => {
                let user = passwd::user(&value).map_err(|error| ArgsError::NotAccepted {
                    flag: flag.name(),
                    reason: error.to_string(),
                })?;
                once(flag, &mut self.user, user)
            }
            Flag::Socket => once(flag, &mut self.socket, value.into()),
            Flag::Tpm => once(flag, &mut self.tpm, value.into()),
            Flag::Index => {
                let index = number(&value).and_then(Index::new);
                let index = index.ok_or_else(|| bad("0x01800000 to 0x01bfffff"))?;
                once(flag, &mut self.index, index)
            }
            Flag::Sandbox => once(flag, &mut self.sandbox, Sandbox::read(flag, &value)?),
        }
    }

    fn settings(self) -> Result<Settings, ArgsError> {
        Ok(Settings {
            user: self.user.ok_or(ArgsError::Missing(Flag::User.name()))?,
            socket: self.socket,
            tpm: self.tpm.unwrap_or_else(|| TPM.into()),
            index: self.index.unwrap_or(Index::DEFAULT),
            sandbox: self.sandbox.unwrap_or_default(),
        })
    }
}

/// A number in decimal, or in hexadecimal after `0x`.
fn number(value: &OsStr) -> Option<u32> {
    let value = value.to_str()?;
    let (digits, radix) = match value.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (value, 10),
    };
    // `from_str_radix` alone would accept a plus sign.
    let digits_only = digits.bytes().all(|octet| octet.is_ascii_hexdigit());
    (digits_only).then(|| u32::from_str_radix(digits, radix).ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_manual_has_every_flag_and_no_other() {
        softsim_testkit::manual::assert_flags(
            "softsim-anchord.8",
            <Flag as softsim_args::Flag>::ALL
                .iter()
                .map(|flag| flag.name()),
        );
    }

    fn read(line: &str) -> Result<Task, ArgsError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn a_user_is_enough_under_a_service_manager() {
        let settings = Settings {
            user: 990,
            socket: None,
            tpm: "/dev/tpmrm0".into(),
            index: Index::DEFAULT,
            sandbox: Sandbox::Require,
        };
        assert_eq!(read("--user 990").unwrap(), Task::Serve(settings));
        let all = "--user=root --socket s --tpm=/dev/tpm0 --index 0x01800011 --sandbox=off";
        let settings = Settings {
            user: 0,
            socket: Some("s".into()),
            tpm: "/dev/tpm0".into(),
            index: Index::new(0x0180_0011).unwrap(),
            sandbox: Sandbox::Off,
        };
        assert_eq!(read(all).unwrap(), Task::Serve(settings));
    }

    #[test]
    fn help_and_version_need_nothing_else() {
        assert_eq!(read("--help"), Ok(Task::Help));
        assert_eq!(read("--version"), Ok(Task::Version));
    }

    #[test]
    fn an_error_names_the_flag_and_what_it_takes() {
        for (line, error) in [
            ("", "--user is missing"),
            (
                "--user +1",
                "--user: expected a user by number, or by its name in /etc/passwd, got +1",
            ),
            ("--user 1 --user 1", "--user was given twice"),
            (
                "--user 1 --index 0x01500010",
                "--index: expected 0x01800000 to 0x01bfffff, got 0x01500010",
            ),
            (
                "--user 1 --index 0x01c00000",
                "--index: expected 0x01800000 to 0x01bfffff, got 0x01c00000",
            ),
            ("--tpm=", "--tpm: expected a value, got none"),
            ("/dev/tpm0", "unknown flag /dev/tpm0"),
        ] {
            assert_eq!(read(line).unwrap_err().to_string(), error, "{line}");
        }
    }
}
