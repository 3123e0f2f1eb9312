//! Why netd doesn't start with its configuration.

use std::path::PathBuf;
use std::{fmt, io};

use softsim_sandbox::secret_file::SecretFileError;

/// Why there is no start with this configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file can't be read.
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file with a secret isn't taken.
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    /// The file is not a configuration.
    #[error("{}: {line}{reason}", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// In which line, and what is in it.
        line: Line,
        /// What was expected and what was received.
        reason: String,
    },
    /// A field has a value that can't be used.
    #[error("{name}: {reason}")]
    Field {
        /// The field.
        name: &'static str,
        /// What was expected and what was received.
        reason: String,
    },
}

/// A line of a file; none where the whole file is meant.
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
    /// A field that can't be used.
    pub(crate) fn field(name: &'static str, reason: impl Into<String>) -> Self {
        Self::Field {
            name,
            reason: reason.into(),
        }
    }
}
