//! Converts the errors of packages into keyd's refusals.

use softsim_keyd_proto::PackageFault;

use crate::cose::EnvelopeError;
use crate::{FORMAT, FieldError, MAX_PACKAGE, ShapeError};

impl From<FieldError> for PackageFault {
    fn from(error: FieldError) -> Self {
        Self::Field {
            name: error.field.to_owned(),
            expected: error.expected.to_owned(),
            got: error.got,
        }
    }
}

impl From<ShapeError> for PackageFault {
    fn from(error: ShapeError) -> Self {
        Self::Shape(error.to_string())
    }
}

impl From<EnvelopeError> for PackageFault {
    fn from(error: EnvelopeError) -> Self {
        match error {
            EnvelopeError::Format(got) => Self::Format {
                expected: FORMAT,
                got: u8::try_from(got).unwrap_or(u8::MAX),
            },
            EnvelopeError::Trailing(count) => {
                Self::Shape(format!("expected the end, got {count} more octets"))
            }
            EnvelopeError::Shape(error) => error.into(),
        }
    }
}

/// The refusal of a package that is longer than [`MAX_PACKAGE`].
pub(super) fn too_long(got: usize) -> PackageFault {
    PackageFault::Shape(format!("expected at most {MAX_PACKAGE} octets, got {got}"))
}

/// The refusal of a package in which a field of the ciphertext differs from the header outside.
pub(crate) fn mismatch(field: &'static str) -> PackageFault {
    FieldError::new(field, "the same inside and outside", "another inside").into()
}
