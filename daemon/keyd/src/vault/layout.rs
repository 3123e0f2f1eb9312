//! Where each record lies in the vault file.
//!
//! ```text
//! half A: header | ledger | device | journal | profiles … | sequences … | tombstones … | accounts | identities …
//! half B: the same
//! ```
//!
//! A record's two copies lie a half apart, so that one bad spot of the medium doesn't take both.

use super::header::Header;

/// The most profiles that a vault has room for.
pub const MAX_CAPACITY: u32 = 16_384;

/// A kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// The last transaction, the issuers' sequences and the last known time: one record.
    Ledger = 1,
    /// The device's keys, certificate and trust anchors: one record.
    Device = 2,
    /// The records of the transaction that is being written: one record.
    Journal = 3,
    /// The profiles.
    Profile = 4,
    /// The profiles' sequence numbers: all that an authentication writes.
    Sequence = 5,
    /// What deleted profiles leave behind.
    Tombstone = 6,
    /// The PSK accounts: one record.
    Accounts = 7,
    /// The names that servers gave to profiles, in the order in which profiles were first enabled.
    Identities = 8,
}

impl Table {
    pub(super) const ALL: [Self; 8] = [
        Self::Ledger,
        Self::Device,
        Self::Journal,
        Self::Profile,
        Self::Sequence,
        Self::Tombstone,
        Self::Accounts,
        Self::Identities,
    ];

    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| *table as u8 == number)
    }

    /// Whether the ledger counts the versions of this table's records: all but its own and the
    /// journal's.
    pub(super) fn is_counted(self) -> bool {
        !matches!(self, Self::Ledger | Self::Journal)
    }

    /// Length of a record of this table in the file, in octets.
    pub(super) const fn record_length(self) -> usize {
        match self {
            Self::Ledger | Self::Profile | Self::Identities => 1024,
            Self::Device => 4096,
            Self::Journal => 28672,
            Self::Accounts => 2048,
            Self::Sequence => 256,
            Self::Tombstone => 512,
        }
    }
}

/// Tables begin at a multiple of this, as flash and page cache have it.
const BLOCK: u64 = 4096;

/// Tombstones never go, so even a small vault has room for years of new keys.
const MIN_TOMBSTONES: u32 = 256;

/// The file's division, which follows from the number of profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    capacity: u32,
}

impl Layout {
    pub(super) fn new(capacity: u32) -> Self {
        Self { capacity }
    }

    /// How many records a table has.
    pub(super) fn records(self, table: Table) -> u32 {
        match table {
            Table::Ledger | Table::Device | Table::Journal | Table::Accounts => 1,
            Table::Profile | Table::Sequence | Table::Identities => self.capacity,
            Table::Tombstone => self.capacity.max(MIN_TOMBSTONES),
        }
    }

    /// Where a copy of a record lies; `copy` is 0 or 1.
    pub(super) fn offset(self, table: Table, index: u32, copy: u64) -> u64 {
        let before = Table::ALL.into_iter().take_while(|other| *other != table);
        let table_start: u64 = before.map(|other| self.table_length(other)).sum();
        copy * self.half()
            + Header::ROOM
            + table_start
            + u64::from(index) * table.record_length() as u64
    }

    /// Length of each half.
    pub(super) fn half(self) -> u64 {
        let records: u64 = Table::ALL
            .into_iter()
            .map(|table| self.table_length(table))
            .sum();
        Header::ROOM + records
    }

    /// Length of the file.
    pub(super) fn file_length(self) -> u64 {
        2 * self.half()
    }

    fn table_length(self, table: Table) -> u64 {
        let records = u64::from(self.records(table)) * table.record_length() as u64;
        records.next_multiple_of(BLOCK)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn records_don_t_overlap_and_fill_the_file() {
        let layout = Layout::new(5);
        let mut spans = vec![
            (0, Header::ROOM),
            (layout.half(), layout.half() + Header::ROOM),
        ];
        for table in Table::ALL {
            for (index, copy) in
                (0..layout.records(table)).flat_map(|index| [(index, 0), (index, 1)])
            {
                let start = layout.offset(table, index, copy);
                spans.push((start, start + table.record_length() as u64));
            }
        }
        spans.sort_unstable();
        assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        assert!(spans.last().unwrap().1 <= layout.file_length());
    }

    #[test]
    fn a_small_record_never_straddles_two_sectors() {
        let layout = Layout::new(3);
        for table in [Table::Sequence, Table::Tombstone] {
            let length = table.record_length() as u64;
            assert!((0..3).all(|index| layout.offset(table, index, 1) % 512 + length <= 512));
        }
    }
}
