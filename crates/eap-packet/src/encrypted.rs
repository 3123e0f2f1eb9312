//! The plaintext of AT_ENCR_DATA (RFC 4187 §10.12); encrypting it is up to the owner of K_encr.

use alloc::vec::Vec;

use crate::attribute::{Attribute, BLOCK};
use crate::attributes::Attributes;
use crate::error::AkaError;

/// Reads the plaintext of AT_ENCR_DATA, as [`Attributes::of_encrypted`] does, into a list.
///
/// # Errors
/// [`AkaError`] says what is malformed, AT_PADDING that is not zero or has no place at the end
/// included.
pub fn parse_encrypted(plaintext: &[u8]) -> Result<Vec<Attribute<'_>>, AkaError> {
    Attributes::of_encrypted(plaintext).collect()
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
