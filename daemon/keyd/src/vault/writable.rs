//! The file of an open vault, for as long as it takes what is written.

use std::io;

use chacha20poly1305::XChaCha20Poly1305;

use super::contents::Contents;
use super::create::{NewRecords, write_first_versions};
use super::layout::Layout;
use super::{CommitError, Place, Storage, record, store};

/// The file, for as long as it takes what is written.
pub(super) struct Writable {
    pub(super) storage: Box<dyn Storage>,
    pub(super) cipher: XChaCha20Poly1305,
    pub(super) layout: Layout,
    /// The sum of the generations of all records but the ledger and the journal.
    pub(super) versions: u64,
    pub(super) failed: bool,
}

impl Writable {
    /// Encrypts the next version of a record.
    pub(super) fn next_copy<T: Contents>(
        &mut self,
        value: &T,
        index: u32,
        generation: &mut u64,
    ) -> Vec<u8> {
        *generation += 1;
        if T::TABLE.is_counted() {
            self.versions += 1;
        }
        let place = Place {
            table: T::TABLE,
            index,
            generation: *generation,
        };
        record::seal(&self.cipher, place, &value.encode())
    }

    /// Writes the first two versions of records, with one sync; without any, does nothing.
    pub(super) fn write_first(&mut self, mut records: Vec<NewRecords>) -> Result<(), CommitError> {
        records.retain(|new| !new.range.is_empty());
        if records.is_empty() {
            return Ok(());
        }
        let count: usize = records.iter().map(|new| new.range.len()).sum();
        self.versions += store::FIRST_GENERATION * count as u64;
        self.write_with(|storage, cipher, layout| {
            records
                .into_iter()
                .try_for_each(|new| write_first_versions(storage, (cipher, layout), new))
        })
    }

    /// Writes copies to their places, with one sync.
    pub(super) fn write(&mut self, copies: &[Vec<u8>]) -> Result<(), CommitError> {
        self.write_with(|storage, _, layout| {
            copies
                .iter()
                .try_for_each(|copy| write_copy(storage, layout, copy))
        })
    }

    /// Writes and syncs. After a failure nothing more is written: what is on the medium is unknown
    /// until the next start.
    fn write_with(
        &mut self,
        write: impl FnOnce(&mut dyn Storage, &XChaCha20Poly1305, Layout) -> io::Result<()>,
    ) -> Result<(), CommitError> {
        if self.failed {
            return Err(io::Error::other("an earlier write failed").into());
        }
        let written = write(&mut *self.storage, &self.cipher, self.layout);
        let synced = written.and_then(|()| self.storage.sync());
        self.failed = synced.is_err();
        Ok(synced?)
    }
}

/// Writes an encrypted copy to its place.
pub(super) fn write_copy(storage: &mut dyn Storage, layout: Layout, copy: &[u8]) -> io::Result<()> {
    let place = Place::from_head(copy).expect("sealed by this program");
    storage.write_all_at(copy, layout.offset(place.table, place.index, place.copy()))
}
