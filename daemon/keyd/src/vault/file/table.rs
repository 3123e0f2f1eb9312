//! The kinds of records, and the place of a copy: which version of which record it is.

use std::fmt;

/// A table: the records of one kind. The owner of the file's contents declares which tables there
/// are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table(&'static Kind);

/// The common properties of a table's records.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    number: u8,
    name: &'static str,
    record_length: usize,
    records: Records,
    copies: Copies,
}

impl Kind {
    /// Records of this length in the file, in octets, which only transactions write. The name is
    /// for all of them, in words. Numbers are free from 3 on, since the file itself uses 1 and 2.
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
            copies: Copies::Paired,
        }
    }

    /// Such records, which are also written outside of transactions.
    pub const fn in_turn(self) -> Self {
        Self {
            copies: Copies::InTurn,
            ..self
        }
    }
}

/// How the two copies of a record are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Copies {
    /// Together: two versions with the same contents, the first of them in half A.
    Paired,
    /// In turn, so that each holds a version of its own. Transactions write both here, too.
    InTurn,
}

/// How many records a table has room for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Records {
    /// One.
    One,
    /// As many as the file's capacity.
    Capacity,
    /// As many as the file's capacity, but at least this number.
    CapacityOr(u32),
}

impl Table {
    /// The ledger, one record.
    pub const LEDGER: Self = Self(&Kind::new(1, "the ledger", 256, Records::One));

    /// The journal of the last commit, one record.
    pub const JOURNAL: Self = Self(&Kind::new(2, "the journal", 24576, Records::One));

    /// The table of records of this kind.
    pub const fn of(kind: &'static Kind) -> Self {
        Self(kind)
    }

    /// The place of a version of one of the table's records.
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

    /// The length of a record of this table in the file, in octets.
    pub const fn record_length(self) -> usize {
        self.0.record_length
    }

    /// The distance from the start of a record to the start of the next one, in octets. It is a
    /// power of two, so that no record takes more sectors or blocks than it needs.
    pub(super) fn distance(self) -> usize {
        self.0.record_length.next_power_of_two()
    }

    /// The number of records that a file of this capacity has room for.
    pub(super) fn records(self, capacity: u32) -> u32 {
        match self.0.records {
            Records::One => 1,
            Records::Capacity => capacity,
            Records::CapacityOr(least) => capacity.max(least),
        }
    }

    /// How the two copies of a record are written.
    pub const fn copies(self) -> Copies {
        self.0.copies
    }

    /// Whether the ledger counts the versions of this table's records. It doesn't count its own and
    /// the journal's.
    pub(super) fn is_counted(self) -> bool {
        self != Self::LEDGER && self != Self::JOURNAL
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A version of a record.
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
    /// The half of the file that has this version, 0 or 1.
    pub(super) fn half(self) -> u8 {
        u8::from(self.generation % 2 == 1)
    }

    /// The number of the pair of versions that it belongs to, if copies are paired.
    pub(super) fn pair(self) -> u64 {
        self.generation / 2
    }

    /// The version after this one.
    pub(super) fn next(self) -> Self {
        Self {
            generation: self.generation + 1,
            ..self
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            table,
            index,
            generation,
        } = self;
        write!(f, "record {index} of {table}, generation {generation}")
    }
}
