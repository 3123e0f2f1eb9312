//! Why a sealed package or a statement was refused: what was expected, and what it is.

use core::fmt;

use crate::field::FieldError;
use crate::keys::{DeviceId, IssuerId, SealingKeyId};
use crate::validity::Now;
use crate::{FORMAT, MAX_PACKAGE};

/// Why a sealed package was refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackageError {
    /// Longer than [`MAX_PACKAGE`].
    TooLong {
        /// Its length in octets.
        got: usize,
    },
    /// Its format number isn't [`FORMAT`].
    Format {
        /// The package's.
        got: u64,
    },
    /// It doesn't have the exact shape of a package.
    Shape(ShapeError),
    /// Octets follow the package.
    Trailing {
        /// How many.
        count: usize,
    },
    /// No trust anchor has this id.
    UnknownIssuer {
        /// The package's issuer.
        got: IssuerId,
    },
    /// The signature is not the issuer's.
    Signature {
        /// The issuer that the package names.
        issuer: IssuerId,
    },
    /// It is for another device.
    Device {
        /// This device.
        expected: DeviceId,
        /// The package's.
        got: DeviceId,
    },
    /// It is sealed to another sealing key.
    SealingKey {
        /// This device's.
        expected: SealingKeyId,
        /// The package's.
        got: SealingKeyId,
    },
    /// The sequence doesn't rise.
    Sequence {
        /// The last one of this issuer, 0 for none.
        last: u64,
        /// The package's.
        got: u64,
    },
    /// The ciphertext doesn't open under the sealing key and the associated data.
    Decryption,
    /// A field inside the ciphertext differs from the one outside.
    Mismatch {
        /// The field.
        field: &'static str,
    },
    /// A field of the profile is out of range.
    Field(FieldError),
    /// Its validity has not begun.
    NotYetValid {
        /// The first second, since 1970.
        not_before: u64,
        /// What is known of the present.
        now: Now,
    },
    /// Its validity is over.
    Expired {
        /// The last second, since 1970.
        not_after: u64,
        /// What is known of the present.
        now: Now,
    },
}

impl From<ShapeError> for PackageError {
    fn from(error: ShapeError) -> Self {
        Self::Shape(error)
    }
}

impl From<FieldError> for PackageError {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}

impl fmt::Display for PackageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { got } => {
                write!(f, "expected at most {MAX_PACKAGE} octets, got {got}")
            }
            Self::Format { got } => write!(f, "expected format {FORMAT}, got {got}"),
            Self::Shape(error) => error.fmt(f),
            Self::Trailing { count } => write!(f, "expected the end, got {count} more octets"),
            Self::UnknownIssuer { got } => write!(f, "expected a trusted issuer, got {got}"),
            Self::Signature { issuer } => {
                write!(f, "expected the signature of issuer {issuer}, got another")
            }
            Self::Device { expected, got } => write!(f, "expected device {expected}, got {got}"),
            Self::SealingKey { expected, got } => {
                write!(f, "expected sealing key {expected}, got {got}")
            }
            Self::Sequence { last, got } => {
                write!(f, "expected a sequence above {last}, got {got}")
            }
            Self::Decryption => {
                f.write_str("expected a ciphertext for this key and header, got another")
            }
            Self::Mismatch { field } => write!(
                f,
                "{field}: expected the same inside and outside, got another inside"
            ),
            Self::Field(error) => error.fmt(f),
            Self::NotYetValid { not_before, now } => {
                write!(
                    f,
                    "expected to be opened from {not_before} on, got at {}",
                    now.at_least()
                )
            }
            Self::Expired { not_after, now } => {
                write!(
                    f,
                    "expected to be opened until {not_after}, got at {}",
                    now.at_least()
                )
            }
        }
    }
}

impl core::error::Error for PackageError {}

/// Why octets don't have the exact shape of a package, a statement or one of their parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let got = match self.got {
            Got::End => "the end",
            Got::LongForm => "it in a longer form",
            Got::Other => "something else",
        };
        write!(
            f,
            "{}, octet {}: expected {}, got {got}",
            self.part, self.offset, self.expected
        )
    }
}

impl core::error::Error for ShapeError {}
