//! The vault: keyd's durable state in one file of fixed length, written with pwrite64 and fdatasync only.
//!
//! Each record has two copies, written in turn ([`record`]), in separate halves of the file ([`layout`]). At
//! start the newer good copy wins; where both are bad the vault doesn't open, and is never reset.
//!
//! - A **staged** change ([`Vault::sqn_mut`]) is in memory at once and on the medium after [`Vault::flush`]:
//!   the requests of one pass share its one sync. Each record is whole for itself.
//! - A **transaction** ([`Vault::commit`]) changes several records or none. Their new copies go into the
//!   journal first; once that is synced the transaction is made, and a start after a power cut finishes it.
//!
//! The records are encrypted with a data key, which the header holds sealed with the KEK ([`header`]).
//!
//! Deleting a profile leaves a tombstone with its sequence numbers, and installing one looks for it: no order
//! of deletes and installs makes a used SQN fresh again. A rollback of the whole file is not noticed; that
//! takes an anchor outside of it.

mod contents;
mod error;
mod header;
mod kek;
mod layout;
mod load;
mod record;
mod storage;
#[cfg(test)]
mod tests;
mod transaction;

use std::{collections::BTreeSet, io};

use chacha20poly1305::XChaCha20Poly1305;
use rand_core::CryptoRng;
use softsim_profile::{IssuerId, IssuerKey};
use softsim_usim::SqnState;

pub use contents::{DeviceKeys, MAX_CERTIFICATE, MAX_TRUST_ANCHORS, StoredProfile, Txid};
pub use error::{CommitError, Damage, OpenError, Room};
pub use kek::{Kek, KekError};
pub use layout::Table;
pub use record::{CopyFault, Place};
pub use storage::{FileStorage, Storage};
pub use transaction::{Change, MAX_CHANGES};

use contents::{Burial, Contents, Device, Ledger};
use header::Header;
use load::{Loader, Versioned};

/// Names an installed profile as long as it stays installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(u32);

/// An open vault: everything in memory, and the file to write changes to.
pub struct Vault<S> {
    file: Writable<S>,
    damage: Vec<Damage>,
    journal: u64,
    ledger: Versioned<Ledger>,
    device: Versioned<Device>,
    profiles: Vec<Versioned<Option<Box<StoredProfile>>>>,
    tombstones: Vec<Versioned<Option<Box<Burial>>>>,
    staged: BTreeSet<Slot>,
}

/// The file, for as long as it takes what is written.
struct Writable<S> {
    storage: S,
    cipher: XChaCha20Poly1305,
    layout: layout::Layout,
    failed: bool,
}

impl<S: Storage> Vault<S> {
    /// Opens a vault, and finishes a transaction that a power cut left half done.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(mut storage: S, kek: &Kek) -> Result<Self, OpenError> {
        let mut loader = Loader::start(&mut storage, kek)?;
        let journal = loader.finish_transaction()?;
        let ledger = loader.load(0)?;
        let device = loader.load(0)?;
        let profiles = loader.load_all()?;
        let tombstones = loader.load_all()?;
        let Loader {
            layout,
            cipher,
            damage,
            ..
        } = loader;
        Ok(Self {
            file: Writable {
                storage,
                cipher,
                layout,
                failed: false,
            },
            damage,
            journal,
            ledger,
            device,
            profiles,
            tombstones,
            staged: BTreeSet::new(),
        })
    }

    /// The bad copies for which a good one stood in when the vault was opened.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// How many profiles there is room for.
    pub fn capacity(&self) -> u32 {
        self.file.layout.records(Table::Profile)
    }

    /// The device's private keys, once they are made.
    pub fn device_keys(&self) -> Option<&DeviceKeys> {
        self.device.value.keys.as_ref()
    }

    /// The device certificate, DER, once there is one.
    pub fn certificate(&self) -> Option<&[u8]> {
        self.device.value.certificate.as_deref()
    }

    /// The operators whose packages are opened.
    pub fn trust_anchors(&self) -> &[IssuerKey] {
        &self.device.value.trust_anchors
    }

    /// The last sequence taken from an issuer, 0 for none.
    pub fn last_sequence(&self, issuer: &IssuerId) -> u64 {
        self.ledger.value.last_sequence(issuer)
    }

    /// The last committed transaction.
    pub fn last_transaction(&self) -> Option<Txid> {
        self.ledger.value.transaction
    }

    /// A time that has certainly passed, in seconds since 1970.
    pub fn last_time(&self) -> u64 {
        self.ledger.value.time
    }

    /// The installed profiles.
    pub fn profiles(&self) -> impl Iterator<Item = (Slot, &StoredProfile)> {
        let stored = self.profiles.iter().map(|record| record.value.as_deref());
        (0..)
            .zip(stored)
            .filter_map(|(index, profile)| Some((Slot(index), profile?)))
    }

    /// The slot of the profile with this ICCID.
    pub fn find(&self, iccid: &str) -> Option<Slot> {
        self.profiles()
            .find(|(_, stored)| stored.profile.iccid.as_str() == iccid)
            .map(|(slot, _)| slot)
    }

    /// The profile in a slot.
    pub fn profile(&self, slot: Slot) -> Option<&StoredProfile> {
        self.profiles.get(slot.0 as usize)?.value.as_deref()
    }

    /// The sequence numbers of a profile, to be changed; the change is staged and durable after [`Self::flush`].
    pub fn sqn_mut(&mut self, slot: Slot) -> Option<&mut SqnState> {
        let stored = self
            .profiles
            .get_mut(slot.0 as usize)?
            .value
            .as_deref_mut()?;
        self.staged.insert(slot);
        Some(&mut stored.sqn)
    }

    /// Makes all staged changes durable with one sync; without any, does nothing.
    ///
    /// # Errors
    /// [`CommitError::Storage`].
    pub fn flush(&mut self, rng: &mut impl CryptoRng) -> Result<(), CommitError> {
        if self.staged.is_empty() {
            return Ok(());
        }
        let mut copies = Vec::with_capacity(self.staged.len());
        for slot in std::mem::take(&mut self.staged) {
            copies.push(
                self.file
                    .next_copy(&mut self.profiles[slot.0 as usize], slot.0, rng),
            );
        }
        self.file.write(&copies)
    }

    /// Stores the device's keys.
    ///
    /// # Errors
    /// There are keys already, or [`CommitError::Storage`].
    pub fn set_device_keys(
        &mut self,
        keys: DeviceKeys,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommitError> {
        if self.device.value.keys.is_some() {
            return Err(CommitError::KeysExist);
        }
        self.device.value.keys = Some(keys);
        self.write_device(rng)
    }

    /// Stores the device certificate, DER.
    ///
    /// # Errors
    /// It is too long, or [`CommitError::Storage`].
    pub fn set_certificate(
        &mut self,
        der: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommitError> {
        if der.len() > MAX_CERTIFICATE {
            return Err(CommitError::TooLong {
                limit: MAX_CERTIFICATE as u32,
                came: der.len() as u32,
            });
        }
        self.device.value.certificate = Some(der.to_vec());
        self.write_device(rng)
    }

    /// Adds an operator whose packages are opened; one that is there already stays.
    ///
    /// # Errors
    /// There is no room, or [`CommitError::Storage`].
    pub fn add_trust_anchor(
        &mut self,
        anchor: IssuerKey,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommitError> {
        let anchors = &mut self.device.value.trust_anchors;
        if anchors.contains(&anchor) {
            return Ok(());
        }
        if anchors.len() == MAX_TRUST_ANCHORS {
            return Err(CommitError::Full {
                what: Room::TrustAnchors,
                capacity: MAX_TRUST_ANCHORS as u32,
            });
        }
        anchors.push(anchor);
        self.write_device(rng)
    }

    fn write_device(&mut self, rng: &mut impl CryptoRng) -> Result<(), CommitError> {
        let copy = self.file.next_copy(&mut self.device, 0, rng);
        self.file.write(&[copy])
    }
}

impl<S: Storage> Writable<S> {
    /// Encrypts the next version of a record.
    fn next_copy<T: Contents>(
        &self,
        record: &mut Versioned<T>,
        index: u32,
        rng: &mut impl CryptoRng,
    ) -> Vec<u8> {
        record.generation += 1;
        let place = Place {
            table: T::TABLE,
            index,
            generation: record.generation,
        };
        record::seal(&self.cipher, place, &record.value.encode(), rng)
    }

    /// Writes copies to their places and syncs once. After a failure nothing more is written: what is on
    /// the medium is unknown until the next start.
    fn write(&mut self, copies: &[Vec<u8>]) -> Result<(), CommitError> {
        if self.failed {
            return Err(io::Error::other("an earlier write failed").into());
        }
        let written = copies
            .iter()
            .try_for_each(|copy| write_copy(&mut self.storage, self.layout, copy));
        let synced = written.and_then(|()| self.storage.sync());
        self.failed = synced.is_err();
        Ok(synced?)
    }
}

/// Writes an encrypted copy to its place.
fn write_copy(storage: &mut impl Storage, layout: layout::Layout, copy: &[u8]) -> io::Result<()> {
    let place = Place::from_head(copy).expect("sealed by this program");
    storage.write_all_at(copy, layout.offset(place.table, place.index, place.copy()))
}

/// Fills a storage with an empty vault; every record gets its first two versions, so that the file has all
/// its blocks and later writes need no room.
fn format(
    storage: &mut impl Storage,
    kek: &Kek,
    capacity: u32,
    rng: &mut impl CryptoRng,
) -> Result<(), OpenError> {
    let (header, cipher) = Header::create(kek, capacity, rng);
    let layout = header.layout();
    for table in Table::ALL {
        let empty = match table {
            Table::Ledger => Ledger::default().encode(),
            Table::Device => Device::default().encode(),
            Table::Journal => load::join_journal(&[]),
            Table::Profile => None::<Box<StoredProfile>>.encode(),
            Table::Tombstone => None::<Box<Burial>>.encode(),
        };
        for (index, generation) in
            (0..layout.records(table)).flat_map(|index| [(index, 0), (index, 1)])
        {
            let copy = record::seal(
                &cipher,
                Place {
                    table,
                    index,
                    generation,
                },
                &empty,
                rng,
            );
            write_copy(storage, layout, &copy)?;
        }
    }
    let room = layout.half() - layout.offset(Table::Tombstone, layout.records(Table::Tombstone), 0);
    for half in [0, 1] {
        storage.write_all_at(header.as_bytes(), half * layout.half())?;
        storage.write_all_at(&vec![0; room as usize], (half + 1) * layout.half() - room)?;
    }
    storage.sync()?;
    Ok(())
}
