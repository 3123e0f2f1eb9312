//! Lists of attributes, in a message and inside AT_ENCR_DATA (RFC 4187 §8.1 and §10.12).

use core::mem;

use crate::attribute::Attribute;
use crate::error::AkaError;
use crate::kind::{Kind, Place};

/// Reads a list of attributes up to its end, or up to the first attribute that breaks a rule.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    rest: &'a [u8],
    place: Place,
    seen: [bool; 256],
}

impl<'a> Attributes<'a> {
    /// The attributes of a message, which follow its subtype.
    pub(crate) fn of_message(octets: &'a [u8]) -> Self {
        Self::new(octets, Place::Open)
    }

    /// The attributes in the plaintext of AT_ENCR_DATA.
    pub fn of_encrypted(plaintext: &'a [u8]) -> Self {
        Self::new(plaintext, Place::Encrypted)
    }

    fn new(rest: &'a [u8], place: Place) -> Self {
        Self {
            rest,
            place,
            seen: [false; 256],
        }
    }

    /// The number of octets that are left to read.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    fn read(&mut self, kind: Kind) -> Result<Attribute<'a>, AkaError> {
        // AT_PADDING fills the last block, so nothing may follow it.
        if self.seen[usize::from(Kind::PADDING.0)] {
            let kind = Kind::PADDING;
            return Err(AkaError::Misplaced { kind });
        }
        // An unknown skippable attribute may occur anywhere, and more than once.
        if let Some(place) = kind.place() {
            if place != self.place {
                return Err(AkaError::Misplaced { kind });
            }
            let again = mem::replace(&mut self.seen[usize::from(kind.0)], true);
            if again && !kind.is_list() {
                return Err(AkaError::Duplicate { kind });
            }
        }
        Attribute::take(&mut self.rest)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, AkaError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read(Kind(*self.rest.first()?));
        if read.is_err() {
            self.rest = &[];
        }
        Some(read)
    }
}
