//! What the file counts of itself.

use super::codec::{Contents, Field, Reader, Writer, fields};
use super::error::Malformed;
use super::table::Table;

/// How much of the file is in use, and how often it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    /// How many records of each table are in use, by its number; those behind them were never
    /// written and aren't read.
    pub(super) used: Vec<(u8, u32)>,
    /// The sum of all counted records' generations: where the file has less, one of them was put
    /// back.
    pub(super) versions: u64,
    /// What an anchor outside of the file is raised to.
    pub(super) epoch: u64,
}

impl Ledger {
    pub(super) fn used(&self, table: Table) -> u32 {
        let mut used = self.used.iter();
        let of_table = used.find(|(number, _)| *number == table.number());
        of_table.map_or(0, |(_, used)| *used)
    }

    /// Notes how many records of a table are in use.
    pub(super) fn count(&mut self, table: Table, used: u32) {
        self.used.retain(|(number, _)| *number != table.number());
        self.used.push((table.number(), used));
    }
}

fields!(Ledger {
    used,
    versions,
    epoch
});

impl Contents for Ledger {
    const TABLE: Table = Table::LEDGER;
}
