//! Deterministic CBOR (RFC 8949 §4.2.1), read strictly: each value has only one valid encoding.

#[cfg(feature = "open")]
mod nullable;

use core::convert::Infallible;
use core::ops::RangeInclusive;

use minicbor::encode::Error as EncodeError;
use minicbor::{Decoder, Encoder, decode};

use crate::error::{Got, ShapeError};

/// Reads one part of a package from front to end.
pub(crate) struct Reader<'b> {
    part: &'static str,
    decoder: Decoder<'b>,
}

impl<'b> Reader<'b> {
    pub(crate) fn new(part: &'static str, octets: &'b [u8]) -> Self {
        Self {
            part,
            decoder: Decoder::new(octets),
        }
    }

    pub(crate) fn uint(&mut self, expected: &'static str) -> Result<u64, ShapeError> {
        self.item(expected, Decoder::u64, |value| head_length(*value))
    }

    /// Reads an integer that must have this value: a map key, an algorithm, a tag's number.
    pub(crate) fn exactly(&mut self, value: i64, expected: &'static str) -> Result<(), ShapeError> {
        let offset = self.decoder.position();
        if self.int(expected)? == value {
            Ok(())
        } else {
            Err(self.error(offset, expected, Got::Other))
        }
    }

    pub(crate) fn int(&mut self, expected: &'static str) -> Result<i64, ShapeError> {
        self.item(expected, Decoder::i64, |value| {
            head_length(if *value < 0 { !*value } else { *value } as u64)
        })
    }

    pub(crate) fn bytes(&mut self, expected: &'static str) -> Result<&'b [u8], ShapeError> {
        self.item(expected, Decoder::bytes, |value| {
            head_length(value.len() as u64) + value.len()
        })
    }

    /// Reads a byte string of one length.
    pub(crate) fn array_of<const N: usize>(
        &mut self,
        expected: &'static str,
    ) -> Result<&'b [u8; N], ShapeError> {
        let offset = self.decoder.position();
        self.bytes(expected)?
            .try_into()
            .map_err(|_| self.error(offset, expected, Got::Other))
    }

    pub(crate) fn text(&mut self, expected: &'static str) -> Result<&'b str, ShapeError> {
        self.item(expected, Decoder::str, |value| {
            head_length(value.len() as u64) + value.len()
        })
    }

    /// Reads a text that must be the name of one of these.
    pub(crate) fn one_of<T: Copy>(
        &mut self,
        choice: impl IntoIterator<Item = T>,
        name: impl Fn(T) -> &'static str,
        expected: &'static str,
    ) -> Result<T, ShapeError> {
        let offset = self.decoder.position();
        let text = self.text(expected)?;
        let mut choice = choice.into_iter();
        let named = choice.find(|one| name(*one) == text);
        named.ok_or_else(|| self.error(offset, expected, Got::Other))
    }

    /// Reads the head of an array, and returns the length.
    pub(crate) fn array(&mut self, expected: &'static str) -> Result<u64, ShapeError> {
        let offset = self.decoder.position();
        self.item(expected, Decoder::array, |length| {
            head_length(length.unwrap_or_default())
        })?
        .ok_or_else(|| self.error(offset, expected, Got::Other))
    }

    /// Reads the head of an array, which must have this length.
    pub(crate) fn array_exactly(
        &mut self,
        length: u64,
        expected: &'static str,
    ) -> Result<(), ShapeError> {
        let offset = self.decoder.position();
        if self.array(expected)? == length {
            Ok(())
        } else {
            Err(self.error(offset, expected, Got::Other))
        }
    }

    /// Reads the head of a map, which must have this length.
    pub(crate) fn map(&mut self, length: u64, expected: &'static str) -> Result<(), ShapeError> {
        self.map_of(length..=length, expected).map(|_| ())
    }

    /// Reads the head of a map, and returns the length, which must be one of these.
    pub(crate) fn map_of(
        &mut self,
        lengths: RangeInclusive<u64>,
        expected: &'static str,
    ) -> Result<u64, ShapeError> {
        let offset = self.decoder.position();
        let length = self.item(expected, Decoder::map, |length| {
            head_length(length.unwrap_or_default())
        })?;
        length
            .filter(|length| lengths.contains(length))
            .ok_or_else(|| self.error(offset, expected, Got::Other))
    }

    pub(crate) fn tag(&mut self, tag: u64, expected: &'static str) -> Result<(), ShapeError> {
        let offset = self.decoder.position();
        let got = self.item(expected, Decoder::tag, |tag| head_length(tag.as_u64()))?;
        if got.as_u64() == tag {
            Ok(())
        } else {
            Err(self.error(offset, expected, Got::Other))
        }
    }

    /// How many octets are left.
    pub(crate) fn remaining(&self) -> usize {
        self.decoder
            .input()
            .len()
            .saturating_sub(self.decoder.position())
    }

    /// Refuses anything that follows.
    pub(crate) fn end(&self) -> Result<(), ShapeError> {
        if self.remaining() == 0 {
            Ok(())
        } else {
            Err(self.error(self.decoder.position(), "the end", Got::Other))
        }
    }

    /// Reads one item, and refuses any encoding but the shortest.
    fn item<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(&mut Decoder<'b>) -> Result<T, decode::Error>,
        shortest: impl FnOnce(&T) -> usize,
    ) -> Result<T, ShapeError> {
        let offset = self.decoder.position();
        let value = read(&mut self.decoder).map_err(|error| {
            let got = if error.is_end_of_input() {
                Got::End
            } else {
                Got::Other
            };
            self.error(offset, expected, got)
        })?;
        if self.decoder.position() - offset != shortest(&value) {
            return Err(self.error(offset, expected, Got::LongForm));
        }
        Ok(value)
    }

    fn error(&self, offset: usize, expected: &'static str, got: Got) -> ShapeError {
        ShapeError {
            part: self.part,
            offset,
            expected,
            got,
        }
    }
}

/// Length of the shortest head that carries this argument (RFC 8949 §3).
fn head_length(argument: u64) -> usize {
    match argument {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// Writes CBOR into a vector of `capacity` octets. As long as the value fits, the vector doesn't
/// grow, so that no copy of a secret is left behind.
pub(crate) fn encode(
    capacity: usize,
    write: impl FnOnce(&mut Encoder<Vec<u8>>) -> Result<(), EncodeError<Infallible>>,
) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::with_capacity(capacity));
    write(&mut encoder)
        .expect("a vector takes every octet, and minicbor fails only when its writer does");
    encoder.into_writer()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_value_has_one_encoding() {
        for (octets, got) in [
            (&[0x17][..], Ok(23)),
            (&[0x18, 0x18], Ok(24)),
            (&[0x18, 0x17], Err(Got::LongForm)),
            (&[0x19, 0x00, 0x18], Err(Got::LongForm)),
            (&[0x1b, 0, 0, 0, 0, 0, 0, 0, 1], Err(Got::LongForm)),
            (&[0x19, 0x01], Err(Got::End)),
            (&[], Err(Got::End)),
            (&[0x20], Err(Got::Other)),
            (&[0x41, 0x00], Err(Got::Other)),
        ] {
            let read = Reader::new("test", octets).uint("a number");
            assert_eq!(read.map_err(|error| error.got), got, "{octets:02x?}");
        }
    }

    #[test]
    fn strings_arrays_and_maps_of_indefinite_length_are_refused() {
        assert!(
            Reader::new("test", &[0x5f, 0x41, 0x00, 0xff])
                .bytes("octets")
                .is_err()
        );
        assert!(
            Reader::new("test", &[0x7f, 0x61, 0x61, 0xff])
                .text("text")
                .is_err()
        );
        assert!(
            Reader::new("test", &[0x9f, 0xff])
                .array("an array")
                .is_err()
        );
        assert!(Reader::new("test", &[0xbf, 0xff]).map(0, "a map").is_err());
    }

    #[test]
    fn a_string_with_a_long_head_is_refused() {
        assert_eq!(
            Reader::new("test", &[0x41, 0xaa]).bytes("octets"),
            Ok(&[0xaa][..])
        );
        let error = Reader::new("test", &[0x58, 0x01, 0xaa])
            .bytes("octets")
            .unwrap_err();
        assert_eq!(error.got, Got::LongForm);
        assert_eq!(
            error.to_string(),
            "test, octet 0: expected octets, got it in a longer form"
        );
    }

    #[test]
    fn negative_integers_have_one_encoding_too() {
        assert_eq!(Reader::new("test", &[0x26]).int("ES256"), Ok(-7));
        assert_eq!(
            Reader::new("test", &[0x38, 0x06])
                .int("ES256")
                .map_err(|e| e.got),
            Err(Got::LongForm)
        );
        assert_eq!(
            Reader::new("test", &[0x3a, 0, 1, 0, 0]).int("a label"),
            Ok(-65537)
        );
    }

    #[test]
    fn octets_behind_the_end_are_refused() {
        let mut reader = Reader::new("test", &[0x01, 0x02]);
        reader.uint("a number").unwrap();
        assert_eq!(reader.end().unwrap_err().offset, 1);
    }
}
