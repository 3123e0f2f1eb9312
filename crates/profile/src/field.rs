//! The error for a field that is out of range.

use core::fmt;

/// A field of a profile is out of range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field.
    pub field: &'static str,
    /// What was expected.
    pub expected: &'static str,
    /// What it is; never the value of a secret.
    pub got: String,
}

impl FieldError {
    /// An error about one field.
    pub fn new(field: &'static str, expected: &'static str, got: impl Into<String>) -> Self {
        Self {
            field,
            expected,
            got: got.into(),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: expected {}, got {}",
            self.field, self.expected, self.got
        )
    }
}

impl core::error::Error for FieldError {}
