//! Typed records: the version of their type, then their fields in a fixed order, then zeros.
//!
//! ```text
//! octet   0     version of the record's type
//!         1..   fields
//!               zeros, at least [`SPARE`] octets of which stay free for later fields
//! ```

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::error::{Malformed, OpenError};
use super::record;
use super::table::{Place, Table};

/// The octets of each record that stay free for fields of later versions.
const SPARE: usize = 60;

/// The contents of one record, ready to be written.
pub struct Record {
    /// The kind of record.
    pub table: Table,
    /// Which one of its kind.
    pub index: u32,
    /// Its octets.
    pub contents: Zeroizing<Vec<u8>>,
}

/// A type whose values are the records of one table.
pub trait Contents: Field {
    /// The table.
    const TABLE: Table;
    /// The version of this type of record.
    const VERSION: u8 = 1;

    /// Whether this program stores such a value; a record that holds another is malformed.
    fn is_possible(&self) -> bool {
        true
    }

    /// The octets of a record.
    // Out of line, for the size of the program.
    #[inline(never)]
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let room = Self::TABLE.record_length() - record::OVERHEAD;
        let mut writer = Writer::with_capacity(room);
        Self::VERSION.write(&mut writer);
        self.write(&mut writer);
        debug_assert!(writer.0.len() + SPARE <= room, "{:?}", Self::TABLE);
        writer.0
    }

    /// Reads the octets of a record.
    ///
    /// # Errors
    /// [`Self::encode`] doesn't write such octets, or another version wrote them.
    fn decode(place: Place, contents: &[u8]) -> Result<Self, OpenError> {
        let malformed = |error: Malformed| error.at(place);
        let mut reader = Reader(contents);
        let got = u8::read(&mut reader).map_err(malformed)?;
        if got != Self::VERSION {
            return Err(OpenError::RecordVersion {
                table: place.table,
                index: place.index,
                expected: Self::VERSION,
                got,
            });
        }
        let value = Self::read(&mut reader).map_err(malformed)?;
        match value.is_possible() && reader.is_at_padding() {
            true => Ok(value),
            false => Err(Malformed.at(place)),
        }
    }

    /// The record with this index.
    // Out of line, for the size of the program.
    #[inline(never)]
    fn record(&self, index: u32) -> Record {
        Record {
            table: Self::TABLE,
            index,
            contents: self.encode(),
        }
    }
}

/// The contents of a slot of a table, or nothing if the slot is empty.
impl<T: Contents> Contents for Option<Box<T>> {
    const TABLE: Table = T::TABLE;
    const VERSION: u8 = T::VERSION;

    fn is_possible(&self) -> bool {
        self.as_deref().is_none_or(T::is_possible)
    }
}

/// A part of a record, which is written and read in the same form.
pub trait Field: Sized {
    /// Appends the field.
    fn write(&self, to: &mut Writer);

    /// Reads the field from the front.
    ///
    /// # Errors
    /// Something else is there.
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed>;
}

/// Implements reading and writing of a type's fields in the same order.
macro_rules! fields {
    ($type:ty { $($field:tt),+ }) => {
        impl Field for $type {
            fn write(&self, to: &mut Writer) {
                $(self.$field.write(to);)+
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                Ok(Self { $($field: Field::read(from)?),+ })
            }
        }
    };
}
pub(crate) use fields;

/// Writes fields, one after the other.
pub struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    /// A writer of so many octets, which are not moved.
    pub(super) fn with_capacity(octets: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(octets)))
    }

    pub(super) fn into_octets(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    /// Appends octets whose number the reader knows.
    pub fn octets(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    /// Appends the number of octets, at most 65,535, then the octets.
    pub fn sized(&mut self, octets: &[u8]) {
        (octets.len() as u16).write(self);
        self.octets(octets);
    }
}

/// Reads fields, one after the other.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// Whether only zeros follow.
    pub(super) fn is_at_padding(&self) -> bool {
        self.0.iter().fold(0, |all, octet| all | octet) == 0
    }

    /// Reads a number of octets, then the octets.
    ///
    /// # Errors
    /// There are fewer octets.
    pub fn sized(&mut self) -> Result<&'a [u8], Malformed> {
        let length = u16::read(self)?;
        self.take(length.into())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let split = self.0.split_at_checked(length);
        let (taken, rest) = split.ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
}

macro_rules! numbers {
    ($($type:ident)+) => { $(
        impl Field for $type {
            fn write(&self, to: &mut Writer) {
                to.octets(&self.to_be_bytes());
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                Field::read(from).map(Self::from_be_bytes)
            }
        }
    )+ };
}
numbers!(u8 u16 u32 u64);

impl<const N: usize> Field for [u8; N] {
    fn write(&self, to: &mut Writer) {
        to.octets(self);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.take(N)?.try_into().map_err(|_| Malformed)
    }
}

impl<const N: usize> Field for Zeroizing<[u8; N]> {
    fn write(&self, to: &mut Writer) {
        to.octets(self.as_slice());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Field::read(from).map(Self::new)
    }
}

impl Field for bool {
    fn write(&self, to: &mut Writer) {
        u8::from(*self).write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::read(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }
}

/// The number of octets, then the octets.
impl Field for Box<[u8]> {
    fn write(&self, to: &mut Writer) {
        to.sized(self);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.sized().map(Self::from)
    }
}

impl<T: Field> Field for Box<T> {
    fn write(&self, to: &mut Writer) {
        self.as_ref().write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        T::read(from).map(Self::new)
    }
}

/// A flag, then the value if there is one.
impl<T: Field> Field for Option<T> {
    fn write(&self, to: &mut Writer) {
        self.is_some().write(to);
        if let Some(value) = self {
            value.write(to);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        bool::read(from)?.then(|| T::read(from)).transpose()
    }
}

impl<A: Field, B: Field> Field for (A, B) {
    fn write(&self, to: &mut Writer) {
        self.0.write(to);
        self.1.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok((A::read(from)?, B::read(from)?))
    }
}

/// The number of items in one octet, then the items.
impl<T: Field> Field for Vec<T> {
    fn write(&self, to: &mut Writer) {
        (self.len() as u8).write(to);
        self.iter().for_each(|value| value.write(to));
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        (0..u8::read(from)?).map(|_| T::read(from)).collect()
    }
}

/// The number of items in one octet, then the items in the order of their keys.
impl<K: Field + Ord, V: Field> Field for BTreeMap<K, V> {
    fn write(&self, to: &mut Writer) {
        (self.len() as u8).write(to);
        for (key, value) in self {
            key.write(to);
            value.write(to);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut map = Self::new();
        for _ in 0..u8::read(from)? {
            let (key, value) = (K::read(from)?, V::read(from)?);
            if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(Malformed);
            }
            map.insert(key, value);
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::table::{Kind, Records};
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Sample {
        flag: Option<bool>,
        list: Vec<(u16, [u8; 2])>,
        map: BTreeMap<u8, Box<[u8]>>,
    }

    fields!(Sample { flag, list, map });

    impl Contents for Sample {
        const TABLE: Table = Table::of(&Kind::new(3, "Sample", 256, Records::One));
        const VERSION: u8 = 7;
    }

    fn sample() -> Sample {
        Sample {
            flag: Some(false),
            list: vec![(0x102, [3, 4]), (5, [6, 7])],
            map: [(8, [9, 10][..].into())].into(),
        }
    }

    #[test]
    fn fields_are_read_as_they_were_written_and_zeros_may_follow() {
        let mut octets = sample().encode().to_vec();
        let expected = [7, 1, 0, 2, 1, 2, 3, 4, 0, 5, 6, 7, 1, 8, 0, 2, 9, 10];
        assert_eq!(octets, expected);
        octets.resize(200, 0);
        let place = Sample::TABLE.at(0, 0);
        assert_eq!(Sample::decode(place, &octets).unwrap(), sample());
        for at in [1, 2, 199] {
            let mut other = octets.clone();
            other[at] = 9;
            let refused = Sample::decode(place, &other).unwrap_err();
            assert!(matches!(refused, OpenError::Malformed { .. }), "octet {at}");
        }
        assert!(Sample::decode(place, &octets[..17]).is_err(), "cut off");
    }

    #[test]
    fn a_record_of_another_version_of_its_type_is_refused_in_words() {
        let mut octets = sample().encode().to_vec();
        octets[0] = 8;
        let refused = Sample::decode(Sample::TABLE.at(4, 0), &octets).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "record 4 of Sample: expected version 7 of such records, got 8"
        );
        assert!(refused.advice().is_some());
    }
}
