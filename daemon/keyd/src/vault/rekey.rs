//! Creates a vault, either an empty one, or one with the contents of another under another key.

use std::path::Path;

use super::contents::{Accounts, Device, Provisioning, TABLES};
use super::file::{Contents, FIRST, FileStorage, Kek, OpenError, Storage, fill};
use super::store::Vault;

impl Vault {
    /// Creates the vault of a directory, empty, with room for `capacity` profiles. Its first epoch
    /// is that of its anchor.
    ///
    /// # Errors
    /// See [`FileStorage::create`].
    pub fn create(
        directory: &Path,
        kek: &Kek,
        (capacity, epoch): (u32, u64),
    ) -> Result<FileStorage, OpenError> {
        let fill = |storage: &mut FileStorage| format(storage, kek, (capacity, epoch));
        FileStorage::create(directory, fill)
    }

    /// Replaces this vault by a new one, with the same contents under another KEK and another data
    /// key, with room for `capacity` profiles. Under an anchor, it begins a new epoch, so that this
    /// one is refused from now on.
    ///
    /// Until the new vault is complete and on the medium, nothing changes. The old vault's blocks
    /// on the medium stay as secret as its KEK.
    ///
    /// # Errors
    /// The capacity would shrink, or see [`FileStorage::replace`]. If the anchor fails, the new
    /// vault is there, and its next start raises the anchor.
    pub fn rekey(mut self, directory: &Path, kek: &Kek, capacity: u32) -> Result<(), OpenError> {
        if capacity < self.capacity() {
            return Err(OpenError::Smaller {
                expected: self.capacity(),
                got: capacity,
            });
        }
        let epoch = self.file.next_epoch();
        let copy = |storage: &mut FileStorage| self.copy_to(storage, kek, (capacity, epoch));
        FileStorage::replace(directory, copy)?;
        self.file.anchor_replacement(epoch)
    }

    /// Fills a storage with the contents of this vault, under a new data key and this KEK.
    pub(super) fn copy_to(
        &self,
        storage: &mut dyn Storage,
        kek: &Kek,
        (capacity, epoch): (u32, u64),
    ) -> Result<(), OpenError> {
        let single = [
            self.device.record(0),
            self.provisioning.record(0),
            self.accounts.record(0),
        ];
        let records = single.into_iter().chain(self.tables.records());
        let records = records.map(|record| {
            let generation = self.file.generation(record.table, record.index);
            (generation, record)
        });
        fill(storage, kek, (TABLES, capacity), epoch, records)
    }
}

/// Fills a storage with an empty vault. Slots get their records as they come into use.
pub(super) fn format(
    storage: &mut dyn Storage,
    kek: &Kek,
    (capacity, epoch): (u32, u64),
) -> Result<(), OpenError> {
    let single = [
        Device::default().record(0),
        Provisioning::default().record(0),
        Accounts::default().record(0),
    ];
    let records = single.map(|record| (FIRST, record));
    fill(storage, kek, (TABLES, capacity), epoch, records)
}
