//! Prints results and failures, and chooses the exit status.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

/// A file or an argument is wrong.
const FAILED: u8 = 1;
/// The command line is wrong.
pub(crate) const USAGE: u8 = 2;
/// Standard output can't be written (EX_IOERR of sysexits.h).
const OUTPUT_FAILED: u8 = 74;
/// The reader of the output has gone. This is the status that shells show for a program that
/// SIGPIPE ended; no message is printed.
const READER_GONE: u8 = 141;

/// What went wrong, with the file or argument that it is about.
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

    /// The command line is incomplete.
    pub(crate) fn usage(text: &str) -> Self {
        Self {
            status: USAGE,
            text: text.to_owned(),
        }
    }

    /// This file is wrong.
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

/// A result, as lines for people and as JSON for programs.
pub(crate) struct Report {
    pub(crate) lines: String,
    pub(crate) value: Value,
}

/// Prints a result in the requested form.
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

/// The exit status. It prints a failure on standard error, and ignores it if that can't be written
/// either.
pub(crate) fn status_of(done: Result<(), Failure>) -> ExitCode {
    let Err(failure) = done else {
        return ExitCode::SUCCESS;
    };
    if failure.status != READER_GONE {
        let _ = writeln!(io::stderr(), "softsim-issuer: {}", failure.text);
    }
    ExitCode::from(failure.status)
}
