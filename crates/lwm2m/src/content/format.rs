//! The content formats, and the errors of payloads.

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
    /// TLV under the number that it had before its registration.
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

/// Why a payload isn't valid for its target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// The format can't be written to this target.
    #[error("expected a format that holds {target}, got {}", .got.id())]
    Format {
        /// The format received.
        got: ContentFormat,
        /// The target of the write.
        target: Path,
    },
    /// The payload doesn't have the syntax of its format.
    #[error("expected {expected}")]
    Syntax {
        /// What was expected.
        expected: &'static str,
    },
    /// The payload names a path that is outside the target, or isn't a resource.
    #[error("expected resources of {target}, got {got}")]
    Outside {
        /// The target of the write.
        target: Path,
        /// The path that the payload names.
        got: Path,
    },
    /// The value has another type than its resource.
    #[error("expected {expected} in {path}")]
    Kind {
        /// Where.
        path: Path,
        /// The type.
        expected: Kind,
    },
    /// The payload has resource instances for a single-instance resource, or the reverse.
    #[error("expected {path} with as many values as its definition has")]
    Multiplicity {
        /// Where.
        path: Path,
    },
    /// The payload has the same resource twice.
    #[error("expected {path} once")]
    Duplicate {
        /// Which.
        path: Path,
    },
}
