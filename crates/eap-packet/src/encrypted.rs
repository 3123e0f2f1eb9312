//! The plaintext of AT_ENCR_DATA (RFC 4187 §10.12), which the owner of K_encr encrypts.

use alloc::vec::Vec;

use crate::attribute::{Attribute, BLOCK};
use crate::attributes::Attributes;
use crate::error::AkaError;

/// Reads the plaintext of AT_ENCR_DATA, as [`Attributes::of_encrypted`] does, into a list.
///
/// # Errors
/// [`AkaError`] says what is malformed, for example AT_PADDING that isn't zero or isn't at the end.
pub fn parse_encrypted(plaintext: &[u8]) -> Result<Vec<Attribute<'_>>, AkaError> {
    Attributes::of_encrypted(plaintext).collect()
}

/// Builds the plaintext of AT_ENCR_DATA: these attributes, and AT_PADDING to whole blocks of the
/// cipher.
///
/// # Errors
/// [`AkaError::TooLong`] if an attribute doesn't fit its length field.
pub fn build_encrypted(attributes: &[Attribute<'_>]) -> Result<Vec<u8>, AkaError> {
    let mut plaintext = Vec::new();
    for attribute in attributes {
        attribute.encode(&mut plaintext)?;
    }
    // Attributes are whole words, so 0, 4, 8 or 12 octets are missing.
    let missing = plaintext.len().next_multiple_of(BLOCK) - plaintext.len();
    if let Some(octets) = u8::try_from(missing).ok().filter(|octets| *octets > 0) {
        Attribute::Padding { octets }.encode(&mut plaintext)?;
    }
    Ok(plaintext)
}
