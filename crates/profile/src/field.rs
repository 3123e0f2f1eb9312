//! The error for a field that is out of range.

/// A field of a profile is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected {expected}, got {got}")]
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
