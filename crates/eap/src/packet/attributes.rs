//! Lists of attributes: those of a message, and those encrypted inside AT_ENCR_DATA (RFC 4187
//! §8.1 and §10.12).

use super::attribute::BLOCK;
use super::{AkaError, Attribute, Kind};

/// Where a list stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the message itself.
    Open,
    /// In the plaintext of AT_ENCR_DATA.
    Encrypted,
}

/// Reads attributes to the end of `octets`, and tells `found` where each begins.
pub(super) fn parse_attributes(
    octets: &[u8],
    place: Place,
    mut found: impl FnMut(Kind, usize),
) -> Result<Vec<Attribute<'_>>, AkaError> {
    let mut attributes = Vec::new();
    let mut seen = [false; 256];
    let mut rest = octets;
    while !rest.is_empty() {
        let at = octets.len() - rest.len();
        let (attribute, after) = Attribute::parse(rest)?;
        let kind = attribute.kind();
        if kind.name().is_some() && kind.encrypted() != (place == Place::Encrypted) {
            return Err(AkaError::Misplaced { kind });
        }
        if std::mem::replace(&mut seen[usize::from(kind.0)], true) && !kind.repeatable() {
            return Err(AkaError::Duplicate { kind });
        }
        found(kind, at);
        attributes.push(attribute);
        rest = after;
    }
    Ok(attributes)
}

/// Reads the plaintext of AT_ENCR_DATA.
///
/// # Errors
/// [`AkaError`] says what is malformed, AT_PADDING that is not zero or has no place at the end
/// included.
pub fn parse_encrypted(plaintext: &[u8]) -> Result<Vec<Attribute<'_>>, AkaError> {
    let attributes = parse_attributes(plaintext, Place::Encrypted, |_, _| {})?;
    match attributes.iter().position(|a| a.kind() == Kind::PADDING) {
        Some(at) if at + 1 < attributes.len() => Err(AkaError::Misplaced {
            kind: Kind::PADDING,
        }),
        _ => Ok(attributes),
    }
}

/// Builds the plaintext of AT_ENCR_DATA: these attributes, and AT_PADDING up to whole blocks of the
/// cipher.
///
/// # Errors
/// [`AkaError::TooLong`] when an attribute does not fit its length field.
pub fn build_encrypted(attributes: &[Attribute<'_>]) -> Result<Vec<u8>, AkaError> {
    let mut plaintext = Vec::new();
    for attribute in attributes {
        attribute.encode(&mut plaintext)?;
    }
    // Attributes are whole words, so that 0, 4, 8 or 12 octets are missing.
    let missing = plaintext.len().next_multiple_of(BLOCK) - plaintext.len();
    if let Some(octets) = u8::try_from(missing).ok().filter(|octets| *octets > 0) {
        Attribute::Padding { octets }.encode(&mut plaintext)?;
    }
    Ok(plaintext)
}
