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
use super::table::Table;

/// The number of zeros that are written at once.
const ZEROS: u64 = 64 << 10;

/// Fills a storage with these records, under a new data key and this KEK.
///
/// Each record is written twice, with its present generation and with the next one, so that its
/// generations continue, and what was counted in an old file is true of the new one.
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
    let (header, cipher) = Header::create(kek, capacity);
    let layout = Layout::new(tables, capacity);
    zero(storage, layout.file_length())?;
    for half in [0, 1] {
        storage.write_all_at(header.as_bytes(), half * layout.half())?;
    }
    let sealer = Sealer::new(cipher, layout);
    let mut twice = |first,
                     Record {
                         table,
                         index,
                         contents,
                     }| {
        [first, first + 1].into_iter().try_for_each(|generation| {
            sealer
                .seal(table.at(index, generation), &contents)
                .put(storage, layout)
        })
    };
    let mut ledger = Ledger {
        epoch,
        ..Ledger::default()
    };
    for (generation, record) in records {
        ledger.versions += generation + 1;
        ledger.count(record.table, record.index + 1);
        twice(generation, record)?;
    }
    twice(0, ledger.record(0))?;
    twice(0, journal::record(&[]))?;
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
