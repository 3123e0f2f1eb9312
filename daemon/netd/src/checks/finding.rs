//! What a check has found.

use std::fmt;
use std::path::PathBuf;

use softsim_client::netd::check;
pub use softsim_client::netd::check::{Kind, Severity};

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

    /// The same for other programs.
    pub(crate) fn told(&self) -> check::Finding {
        let place = &*self.place;
        check::Finding {
            severity: self.severity,
            kind: self.kind,
            file: place.file.clone(),
            line: place.line.as_ref().map(|line| line.number),
            access: place.access.clone(),
            field: place.field.clone(),
            problem: self.problem.clone(),
            way_out: self.way_out.clone(),
            text: self.to_string(),
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
