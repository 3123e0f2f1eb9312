//! Reads items that only payloads contain: truth values, and null in a field's place.

use minicbor::Decoder;
use minicbor::data::Type;

use super::Reader;
use crate::error::ShapeError;

impl<'b> Reader<'b> {
    pub(crate) fn bool(&mut self, expected: &'static str) -> Result<bool, ShapeError> {
        self.item(expected, Decoder::bool, |_| 1)
    }

    /// An unsigned integer, or null for none.
    pub(crate) fn optional_uint(
        &mut self,
        expected: &'static str,
    ) -> Result<Option<u64>, ShapeError> {
        if self.null() {
            return Ok(None);
        }
        self.uint(expected).map(Some)
    }

    /// A byte string, or null for none.
    pub(crate) fn optional_bytes(
        &mut self,
        expected: &'static str,
    ) -> Result<Option<&'b [u8]>, ShapeError> {
        if self.null() {
            return Ok(None);
        }
        self.bytes(expected).map(Some)
    }

    /// Whether a null comes next. Reads it if so.
    pub(crate) fn null(&mut self) -> bool {
        matches!(self.decoder.datatype(), Ok(Type::Null)) && self.decoder.null().is_ok()
    }
}
