//! The command lines of the daemons.
//!
//! `--flag VALUE` and `--flag=VALUE` are the same. A value may hold any octets, as a path may. An
//! error names the flag.
//!
//! `@FILE` stands for the flags in a settings file. Each of its lines holds one: `--flag VALUE`,
//! `--flag=VALUE` or `--flag`. The value is the rest of the line, without the blanks around it, and
//! nothing in it is quoted. Empty lines and those that begin with `#` are skipped. An error also
//! names the file and the line.
//!
//! ```
//! use softsim_args::{ArgsError, Asked, Flag, once, read};
//!
//! #[derive(Clone, Copy)]
//! enum Own {
//!     State,
//! }
//!
//! impl Flag for Own {
//!     const ALL: &[Self] = &[Self::State];
//!     const FILES: bool = true;
//!
//!     fn name(self) -> &'static str {
//!         "--state"
//!     }
//! }
//!
//! let mut state = None;
//! let asked = read(["--state=/var/lib/softsim"], |flag: Own, value| {
//!     once(flag, &mut state, value.read()?)
//! })?;
//! assert_eq!(asked, Asked::Run);
//! assert_eq!(state.unwrap(), "/var/lib/softsim");
//! # Ok::<_, ArgsError>(())
//! ```

mod settings_file;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use lexopt::{Arg, Parser};

/// The flags of a program, without `--help` and `--version`.
pub trait Flag: Copy + 'static {
    /// All flags.
    const ALL: &'static [Self];
    /// Whether the program takes `@FILE`.
    const FILES: bool;

    /// The flag's name, with its dashes.
    fn name(self) -> &'static str;
}

/// What a command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `--help` or `-h`.
    Help,
    /// `--version` or `-V`.
    Version,
    /// What the flags say.
    Run,
}

/// The value of a flag, which only the flags that take one read.
pub struct Value<'p> {
    flag: &'static str,
    parser: &'p mut Parser,
}

impl Value<'_> {
    /// Reads it.
    ///
    /// # Errors
    /// [`ArgsError::NoValue`] if the value is missing or empty.
    pub fn read(self) -> Result<OsString, ArgsError> {
        let value = self.parser.value().ok().filter(|value| !value.is_empty());
        value.ok_or(ArgsError::NoValue(self.flag))
    }
}

/// Reads a command line, without the program's name, and gives each flag to `take`. It ends at
/// `--help` and `--version`.
///
/// # Errors
/// [`ArgsError::Unknown`] if the program has no such flag, [`ArgsError::Value`] if a flag has a
/// value but takes none, [`ArgsError::File`] if a settings file can't be read, or whatever `take`
/// returns.
pub fn read<F: Flag>(
    args: impl IntoIterator<Item: Into<OsString>>,
    mut take: impl FnMut(F, Value<'_>) -> Result<(), ArgsError>,
) -> Result<Asked, ArgsError> {
    let mut parser = Parser::from_args(args);
    loop {
        match next(&mut parser)? {
            Next::Asked(asked) => return Ok(asked),
            Next::Flag(name) => give(&name, &mut parser, &mut take)?,
            Next::Other(word) => match word.as_bytes() {
                [b'@', path @ ..] if F::FILES => {
                    settings_file::read(OsStr::from_bytes(path), &mut take)?;
                }
                _ => return Err(unknown(&word)),
            },
        }
    }
}

/// The next item of a command line.
enum Next {
    Asked(Asked),
    Flag(String),
    Other(OsString),
}

#[inline(never)]
fn next(parser: &mut Parser) -> Result<Next, ArgsError> {
    match parser.next() {
        Ok(None) => Ok(Next::Asked(Asked::Run)),
        Ok(Some(Arg::Long("help") | Arg::Short('h'))) => Ok(Next::Asked(Asked::Help)),
        Ok(Some(Arg::Long("version") | Arg::Short('V'))) => Ok(Next::Asked(Asked::Version)),
        Ok(Some(Arg::Long(name))) => Ok(Next::Flag(["--", name].concat())),
        Ok(Some(Arg::Short(letter))) => Err(ArgsError::Unknown(['-', letter].iter().collect())),
        Ok(Some(Arg::Value(word))) => Ok(Next::Other(word)),
        Err(lexopt::Error::UnexpectedValue { option, .. }) => Err(ArgsError::Value(option)),
        // lexopt's other errors occur only when a value is read or parsed.
        Err(_) => Err(ArgsError::Unknown(String::new())),
    }
}

/// Gives the flag of this name and its value, which comes next, to `take`.
fn give<F: Flag>(
    name: &str,
    parser: &mut Parser,
    take: &mut impl FnMut(F, Value<'_>) -> Result<(), ArgsError>,
) -> Result<(), ArgsError> {
    let known = F::ALL.iter().find(|flag| flag.name() == name);
    let flag = *known.ok_or_else(|| ArgsError::Unknown(name.to_owned()))?;
    let value = Value {
        flag: flag.name(),
        parser,
    };
    take(flag, value)
}

/// Whatever follows `=` was meant as a value, and isn't for a log.
#[cold]
fn unknown(word: &OsStr) -> ArgsError {
    let word = lossy(word);
    let name = word.split('=').next().unwrap_or_default();
    ArgsError::Unknown(name.to_owned())
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
    /// A flag's value isn't accepted.
    #[error("{flag}: {reason}")]
    NotAccepted {
        /// The flag.
        flag: &'static str,
        /// What was expected, and what was given.
        reason: String,
    },
    /// A required flag is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Two flags exclude each other.
    #[error("expected {0} or {1}, got both")]
    Both(&'static str, &'static str),
    /// A settings file can't be read.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// An error of a line of a settings file.
    #[error("{path}:{line}: {error}")]
    Line {
        /// The file.
        path: String,
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        error: Box<ArgsError>,
    },
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

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Test {
        State,
        Same,
    }

    impl Flag for Test {
        const ALL: &[Self] = &[Self::State, Self::Same];
        const FILES: bool = true;

        fn name(self) -> &'static str {
            match self {
                Self::State => "--state",
                Self::Same => "--same",
            }
        }
    }

    /// What was given for `--state`, and whether `--same` was.
    type Given = (Option<OsString>, bool);

    fn given(args: &[&OsStr]) -> Result<(Asked, Given), ArgsError> {
        let (mut state, mut same) = (None, false);
        let asked = read(args.iter().copied(), |flag, value| match flag {
            Test::State => once(flag, &mut state, value.read()?),
            Test::Same => {
                same = true;
                Ok(())
            }
        })?;
        Ok((asked, (state, same)))
    }

    fn of_line(line: &str) -> Result<(Asked, Given), ArgsError> {
        given(&line.split_whitespace().map(OsStr::new).collect::<Vec<_>>())
    }

    #[test]
    fn both_spellings_of_a_value_are_the_same() {
        for line in ["--state=a=b", "--state a=b"] {
            let state = Some("a=b".into());
            assert_eq!(of_line(line), Ok((Asked::Run, (state, false))));
        }
    }

    #[test]
    fn a_value_may_be_other_octets_than_utf_8() {
        for line in [&[&b"--state=/\xff"[..]][..], &[b"--state", b"/\xff"]] {
            let line: Vec<_> = line
                .iter()
                .map(|octets| OsStr::from_bytes(octets))
                .collect();
            let (_, (state, _)) = given(&line).unwrap();
            assert_eq!(state.unwrap().as_bytes(), b"/\xff");
        }
    }

    #[test]
    fn help_and_version_have_a_short_form() {
        for (line, asked) in [
            ("--help", Asked::Help),
            ("-h", Asked::Help),
            ("--version", Asked::Version),
            ("-V", Asked::Version),
        ] {
            assert_eq!(of_line(line).unwrap().0, asked);
        }
    }

    #[test]
    fn what_is_no_flag_is_told_as_it_stands_there() {
        for line in ["--verbose", "-v", "stray", "--statedir=x", "state=x"] {
            let name = line.split('=').next().unwrap();
            let error = of_line(line).unwrap_err();
            assert_eq!(error, ArgsError::Unknown(name.to_owned()));
        }
    }

    #[test]
    fn a_value_that_a_flag_does_not_take_is_told() {
        let error = of_line("--same=1").unwrap_err();
        assert_eq!(error.to_string(), "--same: expected no value, got one");
    }

    #[test]
    fn an_empty_value_is_none() {
        for line in ["--state", "--state="] {
            assert_eq!(of_line(line), Err(ArgsError::NoValue("--state")));
        }
    }

    #[test]
    fn each_line_of_a_settings_file_is_a_flag_and_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conf");
        let argument = format!("@{}", path.display());
        for (text, state) in [
            (
                &b"# --same\n\n \t\n  --same \r\n--state  a b \"c\" # d \n"[..],
                &b"a b \"c\" # d"[..],
            ),
            (b"--same\n--state=a=b", b"a=b"),
            (b"--state\t /\xff\n--same", b"/\xff"),
        ] {
            std::fs::write(&path, text).unwrap();
            let state = Some(OsStr::from_bytes(state).to_owned());
            assert_eq!(of_line(&argument), Ok((Asked::Run, (state, true))));
        }
        std::fs::write(&path, "").unwrap();
        assert_eq!(of_line(&argument), Ok((Asked::Run, (None, false))));
    }

    #[test]
    fn an_error_of_a_settings_file_names_the_file_and_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conf");
        let path = path.to_str().unwrap();
        for (text, error) in [
            ("#\n--same 1", "2: --same: expected no value, got one"),
            ("--state\n", "1: --state: expected a value, got none"),
            ("--state a\n\n--state b", "3: --state was given twice"),
            ("--secret 5", "1: unknown flag --secret"),
            ("--same\nstray 5", "2: unknown flag stray"),
            ("--help", "1: unknown flag --help"),
            ("-V", "1: unknown flag -V"),
            ("@/etc/other", "1: unknown flag @/etc/other"),
        ] {
            std::fs::write(path, text).unwrap();
            let got = of_line(&format!("@{path}")).unwrap_err();
            assert_eq!(got.to_string(), format!("{path}:{error}"));
        }
        // Whatever follows on the command line counts, too.
        std::fs::write(path, "--state a").unwrap();
        let error = of_line(&format!("@{path} --state b"));
        assert_eq!(error, Err(ArgsError::Twice("--state")));
    }

    #[test]
    fn a_settings_file_is_a_regular_file_of_bounded_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| format!("@{}", folder.path().join(name).display());
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(pipe).status();
        assert!(made.unwrap().success());
        std::fs::write(folder.path().join("full"), vec![b'#'; 32 << 10]).unwrap();
        std::fs::write(folder.path().join("long"), vec![b'#'; (32 << 10) + 1]).unwrap();
        assert!(of_line(&path("full")).is_ok());
        for (name, reason) in [
            ("missing", "No such file or directory (os error 2)"),
            ("", "expected a regular file, got a directory"),
            ("pipe", "expected a regular file, got a named pipe"),
            ("long", "expected at most 32768 octets, got more"),
        ] {
            let got = of_line(&path(name)).unwrap_err().to_string();
            assert_eq!(got, format!("{}: {reason}", &path(name)[1..]));
        }
    }

    #[test]
    fn a_program_without_settings_files_takes_none() {
        #[derive(Clone, Copy)]
        enum Never {}

        impl Flag for Never {
            const ALL: &[Self] = &[];
            const FILES: bool = false;

            fn name(self) -> &'static str {
                match self {}
            }
        }

        let error = read(["@/dev/null"], |flag: Never, _| match flag {});
        assert_eq!(error, Err(ArgsError::Unknown("@/dev/null".into())));
    }
}
