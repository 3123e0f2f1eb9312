//! Kinds of records, and which version of which one a copy is.

use std::fmt;

/// A table: records of one kind. Which there are is declared by whoever keeps something in the
/// file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table(&'static Kind);

/// What the records of a table have in common.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    number: u8,
    name: &'static str,
    record_length: usize,
    records: Records,
}

impl Kind {
    /// Records of this length in the file, in octets. Numbers from 3 on are free: 1 and 2 are the
    /// file's own.
    pub const fn new(
        number: u8,
        name: &'static str,
        record_length: usize,
        records: Records,
    ) -> Self {
        Self {
            number,
            name,
            record_length,
            records,
        }
    }
}

/// How many records a table has room for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Records {
    /// One.
    One,
    /// As many as the file's capacity.
    Capacity,
    /// As many as the file's capacity, and no fewer than these.
    CapacityOr(u32),
}

impl Table {
    /// What the file counts of itself: one record.
    pub const LEDGER: Self = Self(&Kind::new(1, "Ledger", 256, Records::One));

    /// The records of the commit that is being written: one record.
    pub const JOURNAL: Self = Self(&Kind::new(2, "Journal", 24576, Records::One));

    /// The table of records of this kind.
    pub const fn of(kind: &'static Kind) -> Self {
        Self(kind)
    }

    /// A version of one of its records.
    pub const fn at(self, index: u32, generation: u64) -> Place {
        Place {
            table: self,
            index,
            generation,
        }
    }

    pub(super) fn number(self) -> u8 {
        self.0.number
    }

    /// Length of a record of this table in the file, in octets.
    pub const fn record_length(self) -> usize {
        self.0.record_length
    }

    /// From the start of a record to that of the next one, in octets: a power of two, so that no
    /// record lies in more sectors or blocks than it needs.
    pub(super) fn distance(self) -> usize {
        self.0.record_length.next_power_of_two()
    }

    /// How many records there is room for in a file of this capacity.
    pub(super) fn records(self, capacity: u32) -> u32 {
        match self.0.records {
            Records::One => 1,
            Records::Capacity => capacity,
            Records::CapacityOr(least) => capacity.max(least),
        }
    }

    /// Whether the ledger counts the versions of this table's records: all but its own and the
    /// journal's.
    pub(super) fn is_counted(self) -> bool {
        self != Self::LEDGER && self != Self::JOURNAL
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

/// Which version of which record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The kind of record.
    pub table: Table,
    /// Which one of its kind.
    pub index: u32,
    /// Which version, from 0.
    pub generation: u64,
}

impl Place {
    /// The half in which this version lies: 0 or 1.
    pub(super) fn half(self) -> u8 {
        u8::from(self.generation % 2 == 1)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            table,
            index,
            generation,
        } = self;
        write!(f, "{table:?} {index} generation {generation}")
    }
}
