//! Which content formats there are, and why a payload isn't what its format and its target ask for.

use std::fmt;

use crate::path::Path;
use crate::value::Kind;

/// A content format, by its CoAP number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum ContentFormat {
    /// text/plain: one value.
    Text = 0,
    /// application/link-format: Discover and Register.
    Link = 40,
    /// application/octet-stream: one opaque value.
    Opaque = 42,
    /// application/cbor: one value.
    Cbor = 60,
    /// application/senml+json.
    SenmlJson = 110,
    /// application/senml+cbor.
    SenmlCbor = 112,
    /// TLV under the number it had before its registration.
    OldTlv = 1542,
    /// application/vnd.oma.lwm2m+tlv.
    Tlv = 11542,
}

impl ContentFormat {
    /// The format with this number.
    pub fn from_id(id: u16) -> Option<ContentFormat> {
        use ContentFormat::*;
        [Text, Link, Opaque, Cbor, SenmlJson, SenmlCbor, OldTlv, Tlv]
            .into_iter()
            .find(|format| format.id() == id)
    }

    /// The number in Content-Format and Accept options.
    pub fn id(self) -> u16 {
        self as u16
    }
}

/// Why a payload is not a value for its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentError {
    /// The format can't be written to this target.
    Format {
        /// The format that came.
        got: ContentFormat,
        /// What it was to be written to.
        target: Path,
    },
    /// The payload doesn't have the syntax of its format.
    Syntax {
        /// What was expected.
        expected: &'static str,
    },
    /// Something is named that lies outside what is written to, or isn't a resource.
    Outside {
        /// What is written to.
        target: Path,
        /// What is named.
        got: Path,
    },
    /// A value of another type was expected.
    Kind {
        /// Where.
        path: Path,
        /// The type.
        expected: Kind,
    },
    /// Resource instances where there is a single value, or the reverse.
    Multiplicity {
        /// Where.
        path: Path,
    },
    /// The same resource twice.
    Duplicate {
        /// Which.
        path: Path,
    },
}

impl fmt::Display for ContentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ContentError::Format { got, target } => {
                write!(f, "expected a format that holds {target}, got {}", got.id())
            }
            ContentError::Syntax { expected } => write!(f, "expected {expected}"),
            ContentError::Outside { target, got } => {
                write!(f, "expected resources of {target}, got {got}")
            }
            ContentError::Kind { path, expected } => write!(f, "expected {expected} in {path}"),
            ContentError::Multiplicity { path } => {
                write!(
                    f,
                    "expected {path} with as many values as its definition has"
                )
            }
            ContentError::Duplicate { path } => write!(f, "expected {path} once"),
        }
    }
}

impl std::error::Error for ContentError {}
