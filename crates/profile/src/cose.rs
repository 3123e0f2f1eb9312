//! The envelope of packages, commands and statements: a format number, then a tagged COSE_Sign1
//! with ES256.

use minicbor::data::Tag;
use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};

use crate::cbor::{Reader, encode};
use crate::{FORMAT, ShapeError};

/// CBOR tag of COSE_Sign1 (RFC 9052 §4.2).
const TAG_SIGN1: u64 = 18;

/// COSE header parameter: the algorithm (RFC 9052 §3.1).
pub(crate) const ALG: i64 = 1;

/// COSE header parameter: the content type (RFC 9052 §3.1).
pub(crate) const CONTENT_TYPE: i64 = 3;

/// COSE header parameter: the key id (RFC 9052 §3.1).
pub(crate) const KID: i64 = 4;

/// COSE algorithm: ECDSA with SHA-256 (RFC 9053 §2.1).
pub(crate) const ES256: i64 = -7;

/// What an envelope carries. Its name is in the protected headers, and its label is signed with
/// them, so that no kind can pass for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A sealed profile, by the operator.
    Profile,
    /// A command, by the operator.
    Command,
    /// A sealing statement, by the device.
    Statement,
}

impl Kind {
    /// The content type in the protected headers.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Profile => "application/vnd.softsim.sealed-profile",
            Self::Command => "application/vnd.softsim.command",
            Self::Statement => "application/vnd.softsim.sealing-statement",
        }
    }

    /// The external data of the signature.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Profile => "softsim sealed profile v1",
            Self::Command => "softsim command v1",
            Self::Statement => "softsim sealing statement v1",
        }
    }
}

/// Room for everything around a payload: heads, ids and the signature.
const OVERHEAD: usize = 512;

/// An envelope whose signature has not been verified.
pub(crate) struct Sign1<'a> {
    pub(crate) protected: &'a [u8],
    pub(crate) payload: &'a [u8],
    signature: &'a [u8; 64],
}

/// Why octets aren't an envelope.
pub(crate) enum EnvelopeError {
    Format(u64),
    Trailing(usize),
    Shape(ShapeError),
}

impl From<ShapeError> for EnvelopeError {
    fn from(error: ShapeError) -> Self {
        Self::Shape(error)
    }
}

impl<'a> Sign1<'a> {
    /// Reads `FORMAT, 18([protected, {}, payload, signature])` and nothing more.
    pub(crate) fn read(part: &'static str, octets: &'a [u8]) -> Result<Self, EnvelopeError> {
        let mut reader = Reader::new(part, octets);
        let format = reader.uint("a format number")?;
        if format != u64::from(FORMAT) {
            return Err(EnvelopeError::Format(format));
        }
        reader.tag(TAG_SIGN1, "the tag of COSE_Sign1")?;
        reader.array_exactly(4, "an array of 4")?;
        let protected = reader.bytes("protected headers")?;
        reader.map(0, "no unprotected header")?;
        let payload = reader.bytes("a payload")?;
        let signature = reader.array_of("a signature of 64 octets")?;
        match reader.remaining() {
            0 => Ok(Self {
                protected,
                payload,
                signature,
            }),
            count => Err(EnvelopeError::Trailing(count)),
        }
    }

    /// Whether `key` signed this as an envelope of this kind.
    pub(crate) fn verify(&self, kind: Kind, key: &VerifyingKey) -> bool {
        Signature::from_slice(self.signature).is_ok_and(|signature| {
            key.verify(
                &to_be_signed(kind, self.protected, self.payload),
                &signature,
            )
            .is_ok()
        })
    }
}

/// Signs and writes an envelope. The nonces are those of RFC 6979, so it needs no random numbers.
pub(crate) fn sign1(kind: Kind, protected: &[u8], payload: &[u8], key: &SigningKey) -> Vec<u8> {
    let signature: Signature = key.sign(&to_be_signed(kind, protected, payload));
    encode(payload.len() + OVERHEAD, |e| {
        e.u8(FORMAT)?.tag(Tag::new(TAG_SIGN1))?.array(4)?;
        e.bytes(protected)?
            .map(0)?
            .bytes(payload)?
            .bytes(&signature.to_bytes())?
            .ok()
    })
}

/// Sig_structure (RFC 9052 §4.4).
fn to_be_signed(kind: Kind, protected: &[u8], payload: &[u8]) -> Vec<u8> {
    encode(payload.len() + OVERHEAD, |e| {
        e.array(4)?
            .str("Signature1")?
            .bytes(protected)?
            .bytes(kind.label().as_bytes())?
            .bytes(payload)?
            .ok()
    })
}
