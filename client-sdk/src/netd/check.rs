//! What `softsim-netd --config FILE --check --json` prints.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The checks of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// What is wrong or may be: errors come first.
    pub findings: Vec<Finding>,
    /// The servers that the configuration names.
    pub servers: Vec<NamedServer>,
    /// The interfaces of its wired accesses.
    pub interfaces: Vec<NamedInterface>,
}

/// Something that is wrong, or may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub kind: Kind,
    /// The file that it is about, if any.
    pub file: Option<PathBuf>,
    /// The line in it, from 1.
    pub line: Option<usize>,
    /// The name of the access.
    pub access: Option<String>,
    /// The field, with the name of its table.
    pub field: Option<String>,
    /// What was expected, and what there is.
    pub problem: String,
    /// What to do about it, if that is known.
    pub way_out: Option<String>,
    /// All of it in one line.
    pub text: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// netd can't work with it.
    Error,
    /// netd works with it, but it may not be meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// What a finding is about. Those that a restart doesn't change come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The configuration, or a file that it names.
    Configuration,
    /// The system: an interface, or a right of the process.
    System,
    /// The key process doesn't run, or is of another release.
    Unavailable,
}

/// A server that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedServer {
    /// `bootstrap`, or the name of the access.
    pub of: String,
    /// Its name or address; IPv6 addresses without brackets.
    pub host: String,
    /// Its UDP port.
    pub port: u16,
}

/// An interface that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedInterface {
    /// Its name.
    pub name: String,
    /// Whether a port keeper writes rules for it in nf_tables.
    pub controlled_port: bool,
}
