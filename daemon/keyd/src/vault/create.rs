//! Makes a vault: all of the file is written, so that it has all its blocks and later writes need
//! no room.

use std::io;
use std::ops::Range;
use std::path::Path;

use chacha20poly1305::XChaCha20Poly1305;
use zeroize::Zeroizing;

use super::contents::{Accounts, Contents, Device, Ledger};
use super::header::Header;
use super::layout::Layout;
use super::load::join_journal;
use super::record::{self, Place};
use super::{FileStorage, Kek, OpenError, Storage, Table, Vault, write_copy};

/// Octets of zeros that are written at once.
const ZEROS: usize = 64 << 10;

/// Fills a storage with an empty vault.
///
/// The ledger, the device, the accounts and the journal get their first two versions; slots get
/// them as they come into use.
pub(super) fn format(storage: &mut dyn Storage, kek: &Kek, capacity: u32) -> Result<(), OpenError> {
    let (header, cipher) = Header::create(kek, capacity);
    let mut blank = Blank::write(storage, &header, &cipher)?;
    blank.twice(0, 0, &Ledger::default())?;
    blank.twice(0, 0, &Device::default())?;
    blank.twice(0, 0, &Accounts::default())?;
    blank.journal()?;
    storage.sync()?;
    Ok(())
}

/// Fills a storage with all that a vault holds, under a new data key and this KEK.
///
/// Generations go on where they were, so that whatever was counted of the old one holds for the new
/// one.
pub(super) fn copy(
    vault: &Vault,
    storage: &mut dyn Storage,
    kek: &Kek,
    capacity: u32,
) -> Result<(), OpenError> {
    let (header, cipher) = Header::create(kek, capacity);
    let mut blank = Blank::write(storage, &header, &cipher)?;
    let device = &vault.device;
    blank.twice(0, device.generation, &device.value)?;
    let accounts = &vault.accounts;
    blank.twice(0, accounts.generation, &accounts.value)?;
    for (index, records) in (0..).zip(vault.profiles.records()) {
        blank.twice(index, records.profile, &records.stored)?;
        blank.twice(index, records.sequence, records.used())?;
    }
    for (index, grave) in (0..).zip(vault.graves.graves()) {
        blank.twice(index, grave.generation, &grave.burial)?;
    }
    for (index, alias) in (0..).zip(vault.aliases.records()) {
        blank.twice(index, alias.generation, &alias.identities)?;
    }
    let ledger = Ledger {
        slots: vault.profiles.len(),
        graves: vault.graves.len(),
        aliases: vault.aliases.len(),
        versions: blank.versions,
        ..vault.ledger.value.clone()
    };
    blank.twice(0, vault.ledger.generation, &ledger)?;
    blank.journal()?;
    storage.sync()?;
    Ok(())
}

impl Vault {
    /// Puts a new vault in the place of this one: the same contents under another KEK and another
    /// data key, with room for `capacity` profiles. This one is of no further use.
    ///
    /// Until the new one is whole and on the medium, nothing changes. The blocks that the old one
    /// leaves on the medium are as well kept as its KEK is.
    ///
    /// # Errors
    /// The capacity would shrink, or see [`FileStorage::create`].
    pub fn rekey(self, directory: &Path, kek: &Kek, capacity: u32) -> Result<(), OpenError> {
        if capacity < self.capacity() {
            return Err(OpenError::Smaller {
                expected: self.capacity(),
                got: capacity,
            });
        }
        let fill = |storage: &mut FileStorage| copy(&self, storage, kek, capacity);
        FileStorage::replace(directory, fill).map(drop)
    }
}

/// A file of zeros with a header, on which records are written.
struct Blank<'a> {
    storage: &'a mut dyn Storage,
    cipher: &'a XChaCha20Poly1305,
    layout: Layout,
    versions: u64,
}

impl<'a> Blank<'a> {
    fn write(
        storage: &'a mut dyn Storage,
        header: &Header,
        cipher: &'a XChaCha20Poly1305,
    ) -> Result<Self, OpenError> {
        let layout = header.layout();
        for half in [0, 1] {
            zero(storage, half * layout.half(), (half + 1) * layout.half())?;
            storage.write_all_at(header.as_bytes(), half * layout.half())?;
        }
        Ok(Self {
            storage,
            cipher,
            layout,
            versions: 0,
        })
    }

    /// Writes a record as two versions, this generation and the next.
    fn twice<T: Contents>(&mut self, index: u32, generation: u64, value: &T) -> io::Result<()> {
        let contents = value.encode();
        if T::TABLE.is_counted() {
            self.versions += generation + 1;
        }
        self.seal(T::TABLE, index, generation, &contents)?;
        self.seal(T::TABLE, index, generation + 1, &contents)
    }

    fn journal(&mut self) -> io::Result<()> {
        let empty = join_journal(&[]);
        self.seal(Table::Journal, 0, 0, &empty)?;
        self.seal(Table::Journal, 0, 1, &empty)
    }

    fn seal(
        &mut self,
        table: Table,
        index: u32,
        generation: u64,
        contents: &[u8],
    ) -> io::Result<()> {
        let place = Place {
            table,
            index,
            generation,
        };
        let copy = record::seal(self.cipher, place, contents);
        write_copy(self.storage, self.layout, &copy)
    }
}

fn zero(storage: &mut dyn Storage, mut from: u64, to: u64) -> Result<(), OpenError> {
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
    storage: &mut dyn Storage,
    (cipher, layout): (&XChaCha20Poly1305, Layout),
    NewRecords {
        table,
        range,
        contents,
    }: NewRecords,
) -> io::Result<()> {
    for generation in [0, 1] {
        let mut copies = Vec::with_capacity(range.len() * table.record_length());
        for index in range.clone() {
            let place = Place {
                table,
                index,
                generation,
            };
            copies.extend(record::seal(cipher, place, &contents));
        }
        storage.write_all_at(&copies, layout.offset(table, range.start, generation))?;
    }
    Ok(())
}
