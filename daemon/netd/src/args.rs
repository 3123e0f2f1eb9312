//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use softsim_args::{Args, ArgsError, Flag as _, Next, once};

/// The usage of `softsim-netd`, which is the text of `--help`.
pub const USAGE: &str = "\
usage: softsim-netd --config FILE

  --config FILE  the configuration
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
}

/// Parses the command line, without the program's name.
///
/// # Errors
/// [`ArgsError`], which names the flag.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Task, ArgsError> {
    let mut args = Args::<Flag>::new(args);
    let mut config = None;
    while let Some(next) = args.read()? {
        match next {
            Next::Help => return Ok(Task::Help),
            Next::Version => return Ok(Task::Version),
            Next::Flag(flag) => once(flag, &mut config, args.value(flag)?.into())?,
        }
    }
    let config = config.ok_or(ArgsError::Missing(Flag::Config.name()))?;
    Ok(Task::Run(config))
}

#[derive(Clone, Copy)]
enum Flag {
    Config,
}

impl softsim_args::Flag for Flag {
    const ALL: &[Self] = &[Self::Config];

    fn name(self) -> &'static str {
        "--config"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Task, ArgsError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn only_the_configuration_is_required() {
        for line in ["--config /etc/n.toml", "--config=/etc/n.toml"] {
            assert_eq!(read(line), Ok(Task::Run("/etc/n.toml".into())));
        }
        assert_eq!(read(""), Err(ArgsError::Missing("--config")));
        assert_eq!(read("--help"), Ok(Task::Help));
        assert_eq!(read("-V"), Ok(Task::Version));
    }
}
