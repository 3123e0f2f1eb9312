//! Errors of malformed octets, with their positions.

use core::fmt;

/// Why octets don't have the exact shape of a package, a statement or one of their parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part}, octet {offset}: expected {expected}, got {got}")]
pub struct ShapeError {
    /// The part that was read.
    pub part: &'static str,
    /// Where in the part, in octets from its start.
    pub offset: usize,
    /// What was expected there.
    pub expected: &'static str,
    /// What was found there.
    pub got: Got,
}

/// What the reader found in the place of the expected item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// The end of the part.
    End,
    /// The right item in an encoding that isn't the shortest.
    LongForm,
    /// Something else.
    Other,
}

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::End => "the end",
            Self::LongForm => "it in a longer form",
            Self::Other => "something else",
        })
    }
}
