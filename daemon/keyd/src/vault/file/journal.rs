//! The contents of the journal: a version, the number of records in it, then for each record its
//! table (1), index (4), first generation of the pair (8), length (2) and contents.

use zeroize::Zeroizing;

use super::codec::{Field, Reader, Record, Writer};
use super::layout::Layout;
use super::table::{Place, Table};

/// The version of the journal.
const VERSION: u8 = 1;

/// The octets of a record in the journal besides its contents.
pub const ENTRY: usize = 1 + 4 + 8 + 2;

/// The octets of the journal besides its records.
pub const START: usize = 2;

/// The journal of a transaction that writes these records, each with the first generation of its
/// new pair.
pub(super) fn record(records: &[(Place, &[u8])]) -> Record {
    let mut writer = Writer::with_capacity(Table::JOURNAL.record_length());
    VERSION.write(&mut writer);
    (records.len() as u8).write(&mut writer);
    for (place, contents) in records {
        place.table.number().write(&mut writer);
        place.index.write(&mut writer);
        place.generation.write(&mut writer);
        writer.sized(contents);
    }
    Record {
        table: Table::JOURNAL,
        index: 0,
        contents: writer.into_octets(),
    }
}

/// The records in a journal; `None` if the octets are not a journal.
pub(super) fn split(layout: Layout, contents: &[u8]) -> Option<Vec<(Place, Zeroizing<Vec<u8>>)>> {
    let mut reader = Reader::new(contents);
    let (version, count) = <(u8, u8)>::read(&mut reader).ok()?;
    let mut records = Vec::new();
    for _ in 0..count {
        let (number, (index, generation)) = <(u8, (u32, u64))>::read(&mut reader).ok()?;
        let place = layout.table(number)?.at(index, generation);
        let contents = reader.sized().ok()?;
        let room = place.table.record_length() - super::record::OVERHEAD;
        let fits = contents.len() <= room && index < layout.records(place.table);
        records.push((place, Zeroizing::new(contents.to_vec())));
        if !fits || generation.checked_add(1).is_none() {
            return None;
        }
    }
    (version == VERSION && reader.is_at_padding()).then_some(records)
}
