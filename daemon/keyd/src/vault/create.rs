//! Makes a vault: all of the file is written, so that it has all its blocks and later writes need no room.

use std::{io, ops::Range};

use chacha20poly1305::XChaCha20Poly1305;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{
    Kek, OpenError, Storage, Table,
    contents::{Contents, Device, Ledger},
    header::Header,
    layout::Layout,
    load::join_journal,
    record::{self, Place},
};

/// Octets of zeros that are written at once.
const ZEROS: usize = 64 << 10;

/// Fills a storage with an empty vault.
///
/// The ledger, the device and the journal get their first two versions; slots get them as they come into use.
pub(super) fn format(
    storage: &mut impl Storage,
    kek: &Kek,
    capacity: u32,
    rng: &mut impl CryptoRng,
) -> Result<(), OpenError> {
    let (header, cipher) = Header::create(kek, capacity, rng);
    let layout = header.layout();
    for half in [0, 1] {
        zero(storage, half * layout.half(), (half + 1) * layout.half())?;
        storage.write_all_at(header.as_bytes(), half * layout.half())?;
    }
    for (table, contents) in [
        (Table::Ledger, Ledger::default().encode()),
        (Table::Device, Device::default().encode()),
        (Table::Journal, join_journal(&[])),
    ] {
        let range = 0..1;
        let records = NewRecords {
            table,
            range,
            contents,
        };
        write_first_versions(storage, (&cipher, layout), records, rng)?;
    }
    storage.sync()?;
    Ok(())
}

fn zero(storage: &mut impl Storage, mut from: u64, to: u64) -> Result<(), OpenError> {
    let zeros = vec![0; ZEROS];
    while from < to {
        let length = (ZEROS as u64).min(to - from);
        storage.write_all_at(&zeros[..length as usize], from)?;
        from += length;
    }
    Ok(())
}

/// Neighbouring records that come into use, all with the same contents.
pub(super) struct NewRecords {
    pub(super) table: Table,
    pub(super) range: Range<u32>,
    pub(super) contents: Zeroizing<Vec<u8>>,
}

/// Writes generations 0 and 1 of new records; the caller syncs.
pub(super) fn write_first_versions(
    storage: &mut impl Storage,
    (cipher, layout): (&XChaCha20Poly1305, Layout),
    NewRecords {
        table,
        range,
        contents,
    }: NewRecords,
    rng: &mut impl CryptoRng,
) -> io::Result<()> {
    for generation in [0, 1] {
        let mut copies = Vec::with_capacity(range.len() * table.record_length());
        for index in range.clone() {
            let place = Place {
                table,
                index,
                generation,
            };
            copies.extend(record::seal(cipher, place, &contents, rng));
        }
        storage.write_all_at(&copies, layout.offset(table, range.start, generation))?;
    }
    Ok(())
}
