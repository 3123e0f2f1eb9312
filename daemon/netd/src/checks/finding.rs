//! What a check has found.

use std::fmt;
use std::path::PathBuf;

use softsim_sandbox::exit_status;

/// Something that is wrong, or may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub kind: Kind,
    /// Where it is.
    pub place: Box<Place>,
    /// What was expected, and what there is.
    pub problem: String,
    /// What to do about it, if that is known.
    pub way_out: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// netd can't work with it.
    Error,
    /// netd works with it, but it may not be meant.
    Warning,
}

/// What a finding is about. Those that a restart doesn't change come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The configuration, or a file that it names.
    Configuration,
    /// The system: an interface, or a right of the process.
    System,
    /// The key process doesn't run, or is of another release.
    Unavailable,
}

impl Kind {
    /// The exit status for an error of this kind.
    pub fn status(self) -> u8 {
        match self {
            Self::Configuration => exit_status::CONFIGURATION,
            Self::System => exit_status::SYSTEM,
            Self::Unavailable => exit_status::UNAVAILABLE,
        }
    }
}

/// A place in the configuration, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file, if it is about one.
    pub file: Option<PathBuf>,
    /// The line, if it is about one.
    pub line: Option<Line>,
    /// The name of the access, if it is about one.
    pub access: Option<String>,
    /// The field, with the name of its table, if it is about one.
    pub field: Option<String>,
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: usize,
    /// Its text, without the blanks around it.
    pub text: String,
}

impl Finding {
    /// An error: what was expected, and what there is.
    pub(crate) fn error(kind: Kind, place: Place, problem: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            kind,
            place: Box::new(place),
            problem: problem.into(),
            way_out: None,
        }
    }

    /// A warning.
    pub(crate) fn warning(kind: Kind, place: Place, problem: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(kind, place, problem)
        }
    }

    /// Adds what to do about it.
    pub(crate) fn advise(self, way_out: impl Into<String>) -> Self {
        Self {
            way_out: Some(way_out.into()),
            ..self
        }
    }

    /// Logs it.
    pub(crate) fn log(&self) {
        match self.severity {
            Severity::Error => tracing::error!("{self}"),
            Severity::Warning => tracing::warn!("{self}"),
        }
    }
}

/// The place, the problem and the way out, in one line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.place, self.problem)?;
        match &self.way_out {
            Some(way_out) => write!(f, ": {way_out}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Finding {}

/// Each part that there is, and a colon.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        let line = self.line.as_ref().map(|line| match &self.field {
            Some(_) => format!("line {}", line.number),
            // The text is all that tells what is meant.
            None => format!("line {}, {}", line.number, line.text),
        });
        let access = self
            .access
            .as_ref()
            .map(|access| format!("access {access:?}"));
        let parts: Vec<_> = [line, access, self.field.clone()]
            .into_iter()
            .flatten()
            .collect();
        match parts.is_empty() {
            true => Ok(()),
            false => write!(f, "{}: ", parts.join(", ")),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}
