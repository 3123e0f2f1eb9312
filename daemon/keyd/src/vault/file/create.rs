//! Fills a new file completely, so that all its blocks are allocated and later writes need no more
//! room.

use super::codec::{Contents, Record};
use super::error::OpenError;
use super::header::Header;
use super::journal;
use super::kek::Kek;
use super::layout::Layout;
use super::ledger::Ledger;
use super::medium::Storage;
use super::record::Sealer;
use super::records::FIRST;
use super::table::Table;

/// The number of zeros that are written at once.
const ZEROS: u64 = 64 << 10;

/// Fills a storage with these records, under a new data key and this KEK.
///
/// Both copies of each record get the same contents, the newer one with the record's present
/// generation, so that generations continue, and what was counted in an old file is true of the new
/// one. A generation is at least [`FIRST`].
///
/// # Errors
/// The medium failed.
pub fn fill(
    storage: &mut dyn Storage,
    kek: &Kek,
    (tables, capacity): (&'static [Table], u32),
    epoch: u64,
    records: impl IntoIterator<Item = (u64, Record)>,
) -> Result<(), OpenError> {
    let (header, data_key) = Header::create(kek, capacity);
    let layout = Layout::new(tables, capacity);
    zero(storage, layout.file_length())?;
    for half in [0, 1] {
        header.put(storage, half * layout.half())?;
    }
    let sealer = Sealer::new(&data_key, layout);
    let mut put = |generation: u64, record: Record| {
        let newer = record.table.at(record.index, generation);
        let older = record.table.at(record.index, generation - 1);
        [older, newer]
            .into_iter()
            .try_for_each(|place| sealer.seal(place, &record.contents).put(storage, layout))
    };
    let mut ledger = Ledger {
        epoch,
        ..Ledger::default()
    };
    for (generation, record) in records {
        ledger.add(record.table, generation);
        ledger.count(record.table, record.index + 1);
        put(generation, record)?;
    }
    put(FIRST, ledger.record(0))?;
    put(FIRST, journal::record(&[]))?;
    storage.sync()?;
    Ok(())
}

fn zero(storage: &mut dyn Storage, length: u64) -> Result<(), OpenError> {
    let zeros = vec![0; ZEROS as usize];
    for from in (0..length).step_by(zeros.len()) {
        let octets = ZEROS.min(length - from) as usize;
        storage.write_all_at(&zeros[..octets], from)?;
    }
    Ok(())
}
