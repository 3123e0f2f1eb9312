//! What is printed, and the exit status that goes with it.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

/// Something is wrong with a file or an argument.
const FAILED: u8 = 1;
/// The command line is wrong.
pub(crate) const USAGE: u8 = 2;
/// Standard output can't be written (EX_IOERR of sysexits.h).
const OUTPUT_FAILED: u8 = 74;
/// Whoever read the output has gone: what shells show of a program that SIGPIPE ended. Nothing is
/// said about it.
const READER_GONE: u8 = 141;

/// What went wrong, with the file or argument it is about.
pub(crate) struct Failure {
    status: u8,
    text: String,
}

impl Failure {
    pub(crate) fn new(text: impl fmt::Display) -> Self {
        Self {
            status: FAILED,
            text: text.to_string(),
        }
    }

    /// The command line doesn't say enough.
    pub(crate) fn usage(text: &str) -> Self {
        Self {
            status: USAGE,
            text: text.to_owned(),
        }
    }

    /// Something is wrong with this file.
    pub(crate) fn about(path: &Path, error: impl fmt::Display) -> Self {
        Self::new(format!("{}: {error}", path.display()))
    }

    /// Standard output couldn't be written.
    pub(crate) fn output(error: io::Error) -> Self {
        let status = match error.kind() {
            io::ErrorKind::BrokenPipe => READER_GONE,
            _ => OUTPUT_FAILED,
        };
        Self {
            status,
            text: format!("standard output: {error}"),
        }
    }
}

/// A result: lines for people, and the same for programs.
pub(crate) struct Report {
    pub(crate) lines: String,
    pub(crate) value: Value,
}

/// Prints a result, in the form that was asked for.
pub(crate) fn print(report: &Report, json: bool) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = match json {
        true => writeln!(stdout, "{}", report.value),
        false => writeln!(stdout, "{}", report.lines),
    };
    written
        .and_then(|()| stdout.flush())
        .map_err(Failure::output)
}

/// The exit status; a failure is told on standard error. Where that can't be written either,
/// nothing is left to be said.
pub(crate) fn status_of(done: Result<(), Failure>) -> ExitCode {
    let Err(failure) = done else {
        return ExitCode::SUCCESS;
    };
    if failure.status != READER_GONE {
        let _ = writeln!(io::stderr(), "softsim-issuer: {}", failure.text);
    }
    ExitCode::from(failure.status)
}
