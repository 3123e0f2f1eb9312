//! The command lines of the daemons.
//!
//! `--flag VALUE` and `--flag=VALUE` are the same. A value may hold any octets, as a path may. An
//! error names the flag.
//!
//! ```
//! use softsim_args::{Args, ArgsError, Flag, Next, once};
//!
//! #[derive(Clone, Copy)]
//! enum Own {
//!     State,
//! }
//!
//! impl Flag for Own {
//!     const ALL: &[Self] = &[Self::State];
//!
//!     fn name(self) -> &'static str {
//!         "--state"
//!     }
//! }
//!
//! let mut args = Args::<Own>::new(["--state=/var/lib/softsim"]);
//! let mut state = None;
//! while let Some(Next::Flag(flag)) = args.read()? {
//!     once(flag, &mut state, args.value(flag)?)?;
//! }
//! assert_eq!(state.unwrap(), "/var/lib/softsim");
//! # Ok::<_, ArgsError>(())
//! ```

use core::marker::PhantomData;
use std::ffi::{OsStr, OsString};

use lexopt::{Arg, Parser};

/// The flags of a program, without `--help` and `--version`.
pub trait Flag: Copy + 'static {
    /// All flags.
    const ALL: &'static [Self];

    /// The flag's name, with its dashes.
    fn name(self) -> &'static str;
}

/// The next item of a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<F> {
    /// `--help` or `-h`.
    Help,
    /// `--version` or `-V`.
    Version,
    /// A flag of the program. If the flag takes a value, the caller reads it with [`Args::value`].
    Flag(F),
}

/// The command line of a program with the flags `F`.
pub struct Args<F> {
    parser: Parser,
    flags: PhantomData<F>,
}

impl<F: Flag> Args<F> {
    /// Takes the command line, without the program's name.
    pub fn new(args: impl IntoIterator<Item: Into<OsString>>) -> Self {
        Self {
            parser: Parser::from_args(args),
            flags: PhantomData,
        }
    }

    /// Reads the next item; `None` at the end of the command line.
    ///
    /// # Errors
    /// [`ArgsError::Unknown`] if the program has no such flag, [`ArgsError::Value`] if the previous
    /// flag has a value but takes none.
    pub fn read(&mut self) -> Result<Option<Next<F>>, ArgsError> {
        let name = match next(&mut self.parser)? {
            None => return Ok(None),
            Some(Next::Help) => return Ok(Some(Next::Help)),
            Some(Next::Version) => return Ok(Some(Next::Version)),
            Some(Next::Flag(name)) => name,
        };
        let flag = F::ALL.iter().find(|flag| flag.name() == name);
        match flag {
            Some(flag) => Ok(Some(Next::Flag(*flag))),
            None => Err(ArgsError::Unknown(name)),
        }
    }

    /// Reads the value of the flag that was read last.
    ///
    /// # Errors
    /// [`ArgsError::NoValue`] if the value is missing or empty.
    pub fn value(&mut self, flag: F) -> Result<OsString, ArgsError> {
        value(&mut self.parser).ok_or(ArgsError::NoValue(flag.name()))
    }
}

/// Reads the next item, with the name of a flag.
#[inline(never)]
fn next(parser: &mut Parser) -> Result<Option<Next<String>>, ArgsError> {
    match parser.next() {
        Ok(None) => Ok(None),
        Ok(Some(Arg::Long("help") | Arg::Short('h'))) => Ok(Some(Next::Help)),
        Ok(Some(Arg::Long("version") | Arg::Short('V'))) => Ok(Some(Next::Version)),
        Ok(Some(Arg::Long(name))) => Ok(Some(Next::Flag(["--", name].concat()))),
        Ok(Some(Arg::Short(letter))) => Err(ArgsError::Unknown(['-', letter].iter().collect())),
        // Whatever follows `=` was meant as a value, and isn't for a log.
        Ok(Some(Arg::Value(value))) => {
            let name = lossy(&value);
            let name = name.split('=').next().unwrap_or_default();
            Err(ArgsError::Unknown(name.to_owned()))
        }
        Err(lexopt::Error::UnexpectedValue { option, .. }) => Err(ArgsError::Value(option)),
        // lexopt's other errors occur only when a value is read or parsed.
        Err(_) => Err(ArgsError::Unknown(String::new())),
    }
}

#[inline(never)]
fn value(parser: &mut Parser) -> Option<OsString> {
    parser.value().ok().filter(|value| !value.is_empty())
}

/// Stores the value of a flag that may be given once.
///
/// # Errors
/// [`ArgsError::Twice`] if the flag was given before.
pub fn once<T>(flag: impl Flag, place: &mut Option<T>, value: T) -> Result<(), ArgsError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ArgsError::Twice(flag.name())),
    }
}

/// The values of `--sandbox`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// The daemon starts only if landlock and seccomp confine it.
    #[default]
    Require,
    /// The daemon runs unconfined.
    Off,
}

impl Sandbox {
    /// Parses a value.
    ///
    /// # Errors
    /// [`ArgsError::BadValue`] unless the value is `require` or `off`.
    pub fn read(flag: impl Flag, value: &OsStr) -> Result<Self, ArgsError> {
        match value.as_encoded_bytes() {
            b"require" => Ok(Self::Require),
            b"off" => Ok(Self::Off),
            _ => Err(ArgsError::bad_value(flag.name(), "require or off", value)),
        }
    }
}

/// The errors of a command line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    /// The program has no such flag.
    #[error("unknown flag {0}")]
    Unknown(String),
    /// A flag was given twice.
    #[error("{0} was given twice")]
    Twice(&'static str),
    /// A flag's value is missing.
    #[error("{0}: expected a value, got none")]
    NoValue(&'static str),
    /// A flag takes no value.
    #[error("{0}: expected no value, got one")]
    Value(String),
    /// A flag's value is invalid.
    #[error("{flag}: expected {expected}, got {got}")]
    BadValue {
        /// The flag.
        flag: &'static str,
        /// The values that it takes.
        expected: &'static str,
        /// The value that was given.
        got: String,
    },
    /// A required flag is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Two flags exclude each other.
    #[error("expected {0} or {1}, got both")]
    Both(&'static str, &'static str),
}

impl ArgsError {
    /// An error about a value that the flag doesn't take.
    #[cold]
    pub fn bad_value(flag: &'static str, expected: &'static str, got: &OsStr) -> Self {
        Self::BadValue {
            flag,
            expected,
            got: lossy(got),
        }
    }
}

fn lossy(value: &OsStr) -> String {
    value.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Test {
        State,
        Same,
    }

    impl Flag for Test {
        const ALL: &[Self] = &[Self::State, Self::Same];

        fn name(self) -> &'static str {
            match self {
                Self::State => "--state",
                Self::Same => "--same",
            }
        }
    }

    fn args(line: &str) -> Args<Test> {
        Args::new(line.split_whitespace())
    }

    #[test]
    fn both_spellings_of_a_value_are_the_same() {
        for line in ["--state=a=b", "--state a=b"] {
            let mut args = args(line);
            assert_eq!(args.read(), Ok(Some(Next::Flag(Test::State))));
            assert_eq!(args.value(Test::State).unwrap(), "a=b");
            assert_eq!(args.read(), Ok(None));
        }
    }

    #[test]
    fn a_value_may_be_other_octets_than_utf_8() {
        for line in [&[&b"--state=/\xff"[..]][..], &[b"--state", b"/\xff"]] {
            let mut args = Args::<Test>::new(line.iter().map(|octets| OsStr::from_bytes(octets)));
            args.read().unwrap();
            assert_eq!(args.value(Test::State).unwrap().as_bytes(), b"/\xff");
        }
    }

    #[test]
    fn help_and_version_have_a_short_form() {
        for (line, next) in [
            ("--help", Next::Help),
            ("-h", Next::Help),
            ("--version", Next::Version),
            ("-V", Next::Version),
        ] {
            assert_eq!(args(line).read(), Ok(Some(next)));
        }
    }

    #[test]
    fn what_is_no_flag_is_told_as_it_stands_there() {
        for line in ["--verbose", "-v", "stray", "--statedir=x", "state=x"] {
            let name = line.split('=').next().unwrap();
            let error = args(line).read().unwrap_err();
            assert_eq!(error, ArgsError::Unknown(name.to_owned()));
        }
    }

    #[test]
    fn a_value_that_a_flag_does_not_take_is_told() {
        let mut args = args("--same=1");
        assert_eq!(args.read(), Ok(Some(Next::Flag(Test::Same))));
        let error = args.read().unwrap_err();
        assert_eq!(error.to_string(), "--same: expected no value, got one");
    }

    #[test]
    fn an_empty_value_is_none() {
        for line in ["--state", "--state="] {
            let mut args = args(line);
            args.read().unwrap();
            let error = args.value(Test::State).unwrap_err();
            assert_eq!(error, ArgsError::NoValue("--state"));
        }
    }
}
