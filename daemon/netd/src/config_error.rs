//! Why netd can't use its configuration.

use std::path::PathBuf;
use std::{fmt, io};

use softsim_sandbox::secret_file::SecretFileError;

/// Why netd can't use its configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// netd can't read a file.
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// netd refuses a file with a secret.
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    /// The file isn't valid TOML, or has a field that netd can't read.
    #[error("{}: {line}{reason}", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, and its text.
        line: Line,
        /// What was expected and what was received.
        reason: String,
    },
    /// A field has a value that netd can't use.
    #[error("{name}: {reason}")]
    Field {
        /// The field.
        name: &'static str,
        /// What was expected and what was received.
        reason: String,
    },
}

/// A line of a file, or none if the whole file is meant.
#[derive(Debug)]
pub struct Line(pub(crate) Option<(usize, String)>);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some((number, text)) => write!(f, "line {number}, {text}: "),
            None => Ok(()),
        }
    }
}

impl ConfigError {
    /// An error about this field.
    pub(crate) fn field(name: &'static str, reason: impl Into<String>) -> Self {
        Self::Field {
            name,
            reason: reason.into(),
        }
    }
}
