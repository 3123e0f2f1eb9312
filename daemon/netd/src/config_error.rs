//! Why netd doesn't start with its configuration.

use std::path::PathBuf;
use std::{fmt, io};

use softsim_sandbox::secret_file::SecretFileError;

/// Why there is no start with this configuration.
#[derive(Debug)]
pub enum ConfigError {
    /// A file can't be read.
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file with a secret isn't taken.
    Secret(SecretFileError),
    /// The file is not a configuration.
    Parse {
        /// The file.
        path: PathBuf,
        /// In which line, counted from 1, and what is in it.
        line: Option<(usize, String)>,
        /// What was expected and what was received.
        reason: String,
    },
    /// A field has a value that can't be used.
    Field {
        /// The field.
        name: &'static str,
        /// What was expected and what was received.
        reason: String,
    },
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Secret(error) => Some(error),
            Self::Parse { .. } | Self::Field { .. } => None,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Secret(error) => error.fmt(f),
            Self::Parse { path, line, reason } => {
                write!(f, "{}: ", path.display())?;
                if let Some((line, text)) = line {
                    write!(f, "line {line}, {text}: ")?;
                }
                f.write_str(reason)
            }
            Self::Field { name, reason } => write!(f, "{name}: {reason}"),
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
