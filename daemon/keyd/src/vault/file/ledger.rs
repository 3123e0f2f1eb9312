//! The ledger: the record in which the file counts its own records and their versions.

use super::codec::{Contents, Field, Reader, Writer, fields};
use super::error::Malformed;
use super::table::{Copies, Table};

/// How many records of the file are in use, and how many versions of them were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    /// The number of records in use, by the number of their table. Records after these were never
    /// written, and are not read.
    pub(super) used: Vec<(u8, u32)>,
    /// The sum of the generations of the records that only transactions write. If the file has
    /// another, they don't belong to the same transaction.
    pub(super) paired: u64,
    /// The sum of the generations of the others. If the file has less, an old copy of one of them
    /// was put back.
    pub(super) in_turn: u64,
    /// The number to which an anchor outside of the file is raised.
    pub(super) epoch: u64,
}

impl Ledger {
    pub(super) fn used(&self, table: Table) -> u32 {
        let mut used = self.used.iter();
        let of_table = used.find(|(number, _)| *number == table.number());
        of_table.map_or(0, |(_, used)| *used)
    }

    /// Adds to the count of versions of a table.
    pub(super) fn add(&mut self, table: Table, versions: u64) {
        match table.copies() {
            Copies::Paired => self.paired += versions,
            Copies::InTurn => self.in_turn += versions,
        }
    }

    /// Sets the number of records of a table that are in use.
    pub(super) fn count(&mut self, table: Table, used: u32) {
        self.used.retain(|(number, _)| *number != table.number());
        self.used.push((table.number(), used));
    }
}

fields!(Ledger {
    used,
    paired,
    in_turn,
    epoch
});

impl Contents for Ledger {
    const TABLE: Table = Table::LEDGER;
}
