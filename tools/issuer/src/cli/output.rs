//! Prints results and failures, and chooses the exit status.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use softsim_sandbox::exit_status::{CANNOT_CREATE, DATA, IO, NO_INPUT, READER_GONE, SYSTEM, USAGE};
use softsim_sandbox::secret_file::SecretFileError;

/// What went wrong, with the file or argument that it is about.
pub(crate) struct Failure {
    status: u8,
    text: String,
}

impl Failure {
    fn of(status: u8, text: impl fmt::Display) -> Self {
        Self {
            status,
            text: text.to_string(),
        }
    }

    /// A file or the profile in it is wrong.
    pub(crate) fn new(text: impl fmt::Display) -> Self {
        Self::of(DATA, text)
    }

    /// The command line is wrong or incomplete.
    pub(crate) fn usage(text: impl fmt::Display) -> Self {
        Self::of(USAGE, text)
    }

    /// The content of this file is wrong.
    pub(crate) fn about(path: &Path, error: impl fmt::Display) -> Self {
        Self::new(format_args!("{}: {error}", path.display()))
    }

    /// This file can't be read.
    pub(crate) fn reading(path: &Path, error: &io::Error) -> Self {
        Self::of(NO_INPUT, format_args!("{}: {error}", path.display()))
    }

    /// This file can't be written.
    pub(crate) fn creating(path: &Path, error: &io::Error) -> Self {
        Self::of(CANNOT_CREATE, format_args!("{}: {error}", path.display()))
    }

    /// A file with a secret can't be opened, or others may read it.
    pub(crate) fn secret(error: &SecretFileError) -> Self {
        let status = match error {
            SecretFileError::Open { .. } => NO_INPUT,
            SecretFileError::Mode { .. } | SecretFileError::Owner { .. } => DATA,
        };
        Self::of(status, error)
    }

    /// The kernel refuses.
    pub(crate) fn system(text: impl fmt::Display) -> Self {
        Self::of(SYSTEM, text)
    }

    /// Standard output couldn't be written.
    pub(crate) fn output(error: io::Error) -> Self {
        let status = match error.kind() {
            io::ErrorKind::BrokenPipe => READER_GONE,
            _ => IO,
        };
        Self::of(status, format_args!("standard output: {error}"))
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

/// The exit status. It prints a failure on standard error, as one object if the command asks for
/// JSON, and ignores it if that can't be written either.
pub(crate) fn status_of(done: Result<(), Failure>, json: bool) -> ExitCode {
    let Err(failure) = done else {
        return ExitCode::SUCCESS;
    };
    let Failure { status, text } = failure;
    let _ = match (status, json) {
        (READER_GONE, _) => Ok(()),
        (_, true) => writeln!(
            io::stderr(),
            "{}",
            json!({ "error": text, "hint": Value::Null, "status": status })
        ),
        (_, false) => writeln!(io::stderr(), "softsim-issuer: {text}"),
    };
    ExitCode::from(status)
}
