//! The place of each record in the file.
//!
//! ```text
//! half A: header | ledger | journal | table … | table … | …
//! half B: the same
//! ```
//!
//! The two copies of a record are half a file apart, so that one bad spot of the medium doesn't
//! destroy both.

use super::table::{Place, Table};

/// Room for the header at the start of each half.
pub(super) const HEADER_ROOM: u64 = 4096;

/// Tables begin at a multiple of this, the block size of flash and page cache.
pub(super) const BLOCK: u64 = 4096;

/// The division of a file, which depends on its tables and its capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub(super) tables: &'static [Table],
    capacity: u32,
    half: u64,
}

impl Layout {
    /// The layout of a file with these tables besides its own.
    pub fn new(tables: &'static [Table], capacity: u32) -> Self {
        let mut layout = Self {
            tables,
            capacity,
            half: HEADER_ROOM,
        };
        let lengths = layout.all().map(|table| layout.table_length(table));
        layout.half += lengths.sum::<u64>();
        layout
    }

    /// How many records a table has room for.
    pub fn records(self, table: Table) -> u32 {
        table.records(self.capacity)
    }

    /// The offset of a copy of a record; `half` is 0 or 1.
    pub fn offset(self, table: Table, index: u32, half: u64) -> u64 {
        let before = self
            .all()
            .take_while(|other| other.number() != table.number());
        let start: u64 = before.map(|other| self.table_length(other)).sum();
        let within = u64::from(index) * table.distance() as u64;
        half * self.half + HEADER_ROOM + start + within
    }

    /// Length of each half.
    pub fn half(self) -> u64 {
        self.half
    }

    /// Length of the file.
    pub fn file_length(self) -> u64 {
        2 * self.half
    }

    /// The offset of a version of a record.
    pub(super) fn offset_of(self, place: Place) -> u64 {
        self.offset(place.table, place.index, place.half().into())
    }

    /// The table with this number.
    pub(super) fn table(self, number: u8) -> Option<Table> {
        self.all().find(|table| table.number() == number)
    }

    /// All tables, the file's own first.
    pub(super) fn all(self) -> impl Iterator<Item = Table> {
        [Table::LEDGER, Table::JOURNAL]
            .into_iter()
            .chain(self.tables.iter().copied())
    }

    fn table_length(self, table: Table) -> u64 {
        let records = u64::from(self.records(table)) * table.distance() as u64;
        records.next_multiple_of(BLOCK)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::table::{Kind, Records};
    use super::*;

    const TABLES: &[Table] = &[
        Table::of(&Kind::new(3, "One", 2048, Records::One)),
        Table::of(&Kind::new(4, "Many", 512, Records::Capacity)),
        Table::of(&Kind::new(5, "More", 512, Records::CapacityOr(9))),
    ];

    #[test]
    fn records_don_t_overlap_and_fill_the_file() {
        let layout = Layout::new(TABLES, 5);
        let mut spans = vec![
            (0, HEADER_ROOM),
            (layout.half(), layout.half() + HEADER_ROOM),
        ];
        for table in layout.all() {
            for (index, half) in
                (0..layout.records(table)).flat_map(|index| [(index, 0), (index, 1)])
            {
                let start = layout.offset(table, index, half);
                spans.push((start, start + table.record_length() as u64));
            }
        }
        spans.sort_unstable();
        assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        assert!(spans.last().unwrap().1 <= layout.file_length());
    }

    #[test]
    fn a_table_has_room_for_what_it_declares() {
        for (capacity, expected) in [(3, [1, 3, 9]), (12, [1, 12, 12])] {
            let layout = Layout::new(TABLES, capacity);
            assert_eq!([0, 1, 2].map(|at| layout.records(TABLES[at])), expected);
        }
    }
}
