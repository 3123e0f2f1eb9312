//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use softsim_args::{ArgsError, Asked, Flag as _, once, read};

use crate::checks::Form;

/// The usage of `softsim-netd`, which is the text of `--help`.
pub const USAGE: &str = "\
usage: softsim-netd --config FILE [--check [--json] | --print-config]

  --config FILE   the configuration
  --check         print what is wrong or may be, and end: with 0 if softsim-netd can start
  --json          print it as JSON
  --print-config  print the configuration with every default written out, and end
  -h, --help, -V, --version

softsim's README.md and docs/access.md say what the configuration holds.
";

/// The text of `--version`.
pub const VERSION: &str = concat!("softsim-netd ", env!("CARGO_PKG_VERSION"), "\n");

/// The task that the command line gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// Print [`USAGE`].
    Help,
    /// Print [`VERSION`].
    Version,
    /// Run with the configuration in this file.
    Run(PathBuf),
    /// Check the configuration in this file.
    Check(PathBuf, Form),
    /// Print the configuration in this file with its defaults.
    PrintConfig(PathBuf),
}

/// Parses the command line, without the program's name.
///
/// # Errors
/// [`ArgsError`], which names the flag.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Task, ArgsError> {
    let (mut config, mut check) = (None, None);
    let (mut json, mut print) = (None, None);
    let asked = read(args, |flag, value| match flag {
        Flag::Config => once(flag, &mut config, value.read()?.into()),
        Flag::Check => once(flag, &mut check, ()),
        Flag::Json => once(flag, &mut json, ()),
        Flag::PrintConfig => once(flag, &mut print, ()),
    })?;
    match asked {
        Asked::Help => return Ok(Task::Help),
        Asked::Version => return Ok(Task::Version),
        Asked::Run => {}
    }
    let config = config.ok_or(ArgsError::Missing(Flag::Config.name()))?;
    match (check, json, print) {
        (None, None, None) => Ok(Task::Run(config)),
        (Some(()), None, None) => Ok(Task::Check(config, Form::Lines)),
        (Some(()), Some(()), None) => Ok(Task::Check(config, Form::Json)),
        (None, None, Some(())) => Ok(Task::PrintConfig(config)),
        (None, Some(()), _) => Err(ArgsError::Missing(Flag::Check.name())),
        (Some(()), _, Some(())) => {
            let [check, print] = [Flag::Check, Flag::PrintConfig].map(softsim_args::Flag::name);
            Err(ArgsError::Both(check, print))
        }
    }
}

#[derive(Clone, Copy)]
enum Flag {
    Config,
    Check,
    Json,
    PrintConfig,
}

impl softsim_args::Flag for Flag {
    const ALL: &[Self] = &[Self::Config, Self::Check, Self::Json, Self::PrintConfig];
    // Its settings are in the configuration.
    const FILES: bool = false;

    fn name(self) -> &'static str {
        match self {
            Self::Config => "--config",
            Self::Check => "--check",
            Self::Json => "--json",
            Self::PrintConfig => "--print-config",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_has_every_flag_and_no_other() {
        softsim_testkit::manual::assert_flags(
            "softsim-netd.8",
            <Flag as softsim_args::Flag>::ALL
                .iter()
                .map(|flag| flag.name()),
        );
    }

    fn read(line: &str) -> Result<Task, ArgsError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn only_the_configuration_is_required() {
        for line in ["--config /etc/n.toml", "--config=/etc/n.toml"] {
            assert_eq!(read(line), Ok(Task::Run("/etc/n.toml".into())));
        }
        for line in ["--check --config n.toml", "--config n.toml --check"] {
            assert_eq!(read(line), Ok(Task::Check("n.toml".into(), Form::Lines)));
        }
        let json = Task::Check("n.toml".into(), Form::Json);
        assert_eq!(read("--json --check --config n.toml"), Ok(json));
        let missing = Err(ArgsError::Missing("--check"));
        assert_eq!(read("--json --config n.toml"), missing);
        assert_eq!(
            read("--config n.toml --print-config"),
            Ok(Task::PrintConfig("n.toml".into()))
        );
        let both = ArgsError::Both("--check", "--print-config");
        assert_eq!(read("--print-config --config n.toml --check"), Err(both));
        assert_eq!(read("--check"), Err(ArgsError::Missing("--config")));
        assert_eq!(read(""), Err(ArgsError::Missing("--config")));
        assert_eq!(read("--help"), Ok(Task::Help));
        assert_eq!(read("-V"), Ok(Task::Version));
    }
}
