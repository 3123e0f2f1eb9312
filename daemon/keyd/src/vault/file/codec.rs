//! Typed records: the version of their type, then their fields in a fixed order, then zeros.
//!
//! ```text
//! octet   0     version of the record's type
//!         1..   fields
//!               zeros, of which [`SPARE`] octets at least are never used: room for fields to come
//! ```

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::record;
use super::table::Table;

/// Room that each record keeps for fields of later versions, in octets.
const SPARE: usize = 60;

/// Why authentic contents aren't taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// They aren't what this program writes.
    Malformed,
    /// They have another version of the record's type.
    Version {
        /// The one that is read.
        expected: u8,
        /// Theirs.
        got: u8,
    },
}

/// What one record is to hold.
pub struct Record {
    /// The kind of record.
    pub table: Table,
    /// Which one of its kind.
    pub index: u32,
    /// Its octets.
    pub contents: Zeroizing<Vec<u8>>,
}

/// What one table's records hold.
pub trait Contents: Field {
    /// The table.
    const TABLE: Table;
    /// The version of this type of record.
    const VERSION: u8 = 1;

    /// The octets of a record.
    #[inline(never)]
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let room = Self::TABLE.record_length() - record::OVERHEAD;
        let mut writer = Writer(Zeroizing::new(Vec::with_capacity(room)));
        Self::VERSION.write(&mut writer);
        self.write(&mut writer);
        debug_assert!(writer.0.len() + SPARE <= room, "{:?}", Self::TABLE);
        writer.0
    }

    /// Takes the octets of a record.
    ///
    /// # Errors
    /// They aren't what [`Self::encode`] writes.
    fn decode(contents: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader(contents);
        let (expected, got) = (Self::VERSION, u8::read(&mut reader)?);
        if got != expected {
            return Err(Unreadable::Version { expected, got });
        }
        let value = Self::read(&mut reader)?;
        if reader.0.iter().any(|octet| *octet != 0) {
            return Err(Unreadable::Malformed);
        }
        Ok(value)
    }

    /// The record with this index.
    #[inline(never)]
    fn record(&self, index: u32) -> Record {
        Record {
            table: Self::TABLE,
            index,
            contents: self.encode(),
        }
    }
}

/// What a slot of a table holds, or that it is empty.
impl<T: Contents> Contents for Option<Box<T>> {
    const TABLE: Table = T::TABLE;
    const VERSION: u8 = T::VERSION;
}

/// Part of a record, the same when written and when read.
pub trait Field: Sized {
    /// Appends it.
    fn write(&self, to: &mut Writer);

    /// Takes it from the front.
    ///
    /// # Errors
    /// Something else stands there.
    fn read(from: &mut Reader<'_>) -> Result<Self, Unreadable>;
}

/// Reads and writes the fields of a type in one order.
macro_rules! fields {
    ($type:ty { $($field:tt),+ }) => {
        impl Field for $type {
            fn write(&self, to: &mut Writer) {
                $(self.$field.write(to);)+
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, Unreadable> {
                Ok(Self { $($field: Field::read(from)?),+ })
            }
        }
    };
}
pub(crate) use fields;

/// Takes fields, one after the other.
pub struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    /// Appends octets, of which the reader knows how many they are.
    pub fn octets(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    /// Appends octets behind their number, up to 65,535.
    pub fn sized(&mut self, octets: &[u8]) {
        (octets.len() as u16).write(self);
        self.octets(octets);
    }
}

/// Gives fields, one after the other.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next octets, behind their number.
    ///
    /// # Errors
    /// There are fewer.
    pub fn sized(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = u16::read(self)?;
        self.take(length.into())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let split = self.0.split_at_checked(length);
        let (taken, rest) = split.ok_or(Unreadable::Malformed)?;
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

            fn read(from: &mut Reader<'_>) -> Result<Self, Unreadable> {
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

    fn read(from: &mut Reader<'_>) -> Result<Self, Unreadable> {
        from.take(N)?.try_into().map_err(|_| Unreadable::Malformed)
    }
}

impl<const N: usize> Field for Zeroizing<[u8; N]> {
    fn write(&self, to: &mut Writer) {
        to.octets(self.as_slice());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Unreadable> {
        Field::read(from).map(Self::new)
    }
}

impl Field for bool {
    fn write(&self, to: &mut Writer) {
        u8::from(*self).write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Unreadable> {
        match u8::read(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Unreadable::Malformed),
        }
    }
}

/// Octets behind their number.
impl Field for Box<[u8]> {
    fn write(&self, to: &mut Writer) {
        to.sized(self);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Unreadable> {
        from.sized().map(Self::from)
    }
}

impl<T: Field> Field for Box<T> {
    fn write(&self, to: &mut Writer) {
        self.as_ref().write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Unreadable> {
        T::read(from).map(Self::new)
    }
}

/// A flag, and what is there behind it.
impl<T: Field> Field for Option<T> {
    fn write(&self, to: &mut Writer) {
        self.is_some().write(to);
        if let Some(value) = self {
            value.write(to);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Unreadable> {
        bool::read(from)?.then(|| T::read(from)).transpose()
    }
}

impl<A: Field, B: Field> Field for (A, B) {
    fn write(&self, to: &mut Writer) {
        self.0.write(to);
        self.1.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Unreadable> {
        Ok((A::read(from)?, B::read(from)?))
    }
}

/// Their number in one octet, then each.
impl<T: Field> Field for Vec<T> {
    fn write(&self, to: &mut Writer) {
        (self.len() as u8).write(to);
        self.iter().for_each(|value| value.write(to));
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Unreadable> {
        (0..u8::read(from)?).map(|_| T::read(from)).collect()
    }
}

/// Their number in one octet, then each, in the order of their keys.
impl<K: Field + Ord, V: Field> Field for BTreeMap<K, V> {
    fn write(&self, to: &mut Writer) {
        (self.len() as u8).write(to);
        for (key, value) in self {
            key.write(to);
            value.write(to);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Unreadable> {
        (0..u8::read(from)?)
            .map(|_| Ok((K::read(from)?, V::read(from)?)))
            .collect()
    }
}
