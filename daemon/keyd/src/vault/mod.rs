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
//! of deletes and installs makes a used SQN fresh again. A rollback of the whole file is noticed where there
//! is an anchor outside of it ([`anchor`]).

mod anchor;
mod contents;
mod create;
mod error;
mod header;
mod kek;
mod layout;
mod load;
mod record;
mod storage;
mod store;
#[cfg(test)]
mod tests;
mod transaction;

use std::{collections::BTreeSet, io, num::NonZeroU32, path::Path};

use chacha20poly1305::XChaCha20Poly1305;
use rand_core::CryptoRng;
use softsim_profile::{IssuerId, IssuerKey};
use softsim_usim::SqnState;

pub use anchor::{Anchor, AnchorFile};
pub use contents::{
    DeviceKeys, MAX_ACCOUNTS, MAX_CERTIFICATE, MAX_TRUST_ANCHORS, Psk, StoredProfile, Txid,
};
pub use error::{CommitError, Damage, OpenError, Room};
pub use kek::{Kek, KekError, KekInput};
pub use layout::{MAX_CAPACITY, Table};
pub use record::{CopyFault, Place};
pub use storage::{FileStorage, Storage};
pub use transaction::{Change, MAX_CHANGES};

use anchor::Anchored;
use contents::{Accounts, Contents, Device, Ledger};
use create::{NewRecords, copy, write_first_versions};
use layout::Layout;
use load::{Loader, Versioned};
use store::{Graves, Profiles};

/// A profile in memory, with its place in the indexes and what the allocator adds.
const HEAP_PER_PROFILE: usize = 704;

/// A tombstone in memory, likewise.
const HEAP_PER_TOMBSTONE: usize = 384;

/// Names an installed profile as long as it stays installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(u32);

impl Slot {
    /// Its place among all the slots, from 0.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// An open vault: everything in memory, and the file to write changes to.
pub struct Vault<S> {
    file: Writable<S>,
    damage: Vec<Damage>,
    journal: u64,
    ledger: Versioned<Ledger>,
    device: Versioned<Device>,
    accounts: Versioned<Accounts>,
    profiles: Profiles,
    graves: Graves,
    staged: BTreeSet<u32>,
    anchored: Option<Anchored>,
}

/// The file, for as long as it takes what is written.
struct Writable<S> {
    storage: S,
    cipher: XChaCha20Poly1305,
    layout: Layout,
    /// The sum of the generations of all records but the ledger and the journal.
    versions: u64,
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
        let ledger: Versioned<Ledger> = loader.load()?;
        let device: Versioned<Device> = loader.load()?;
        let accounts: Versioned<Accounts> = loader.load()?;
        let profiles = loader.profiles(&ledger.value)?;
        let graves = loader.graves(&ledger.value)?;
        let Loader {
            layout,
            cipher,
            damage,
            ..
        } = loader;
        let versions =
            device.generation + accounts.generation + profiles.versions() + graves.versions();
        let lost = damage
            .iter()
            .filter(|damage| damage.may_have_lost())
            .count() as u64;
        if versions + lost < ledger.value.versions {
            return Err(OpenError::PutBack {
                expected: ledger.value.versions,
                came: versions,
            });
        }
        Ok(Self {
            file: Writable {
                storage,
                cipher,
                layout,
                versions,
                failed: false,
            },
            damage,
            journal,
            ledger,
            device,
            accounts,
            profiles,
            graves,
            staged: BTreeSet::new(),
            anchored: None,
        })
    }

    /// Holds the vault against an anchor, and from now on raises the epoch after every `interval`th pass that
    /// changes sequence numbers, and after everything else that changes.
    ///
    /// Under an anchor no version of a record may be missing, also where an older copy would stand in for a
    /// damaged one.
    ///
    /// # Errors
    /// The vault or its anchor is an old one, or the anchor's medium fails.
    pub fn anchor(
        &mut self,
        mut anchor: Box<dyn Anchor>,
        interval: NonZeroU32,
    ) -> Result<(), OpenError> {
        let (expected, came) = (self.ledger.value.versions, self.file.versions);
        if came < expected {
            return Err(OpenError::PutBack { expected, came });
        }
        let epoch = self.ledger.value.epoch;
        if anchor::judge(epoch, anchor.value().map_err(OpenError::Anchor)?)? {
            anchor.advance(epoch).map_err(OpenError::Anchor)?;
        }
        self.anchored = Some(Anchored {
            anchor,
            interval: interval.get(),
            passes: 0,
        });
        Ok(())
    }

    /// The epoch that an anchor was raised to last, or is to be.
    pub fn last_epoch(&self) -> u64 {
        self.ledger.value.epoch
    }

    /// The epoch that an anchor holds the vault to; none without an anchor.
    pub fn epoch(&self) -> Option<u64> {
        self.anchored.as_ref().map(|_| self.ledger.value.epoch)
    }

    /// Heap that a full vault takes with as much room as this file claims, in octets.
    ///
    /// # Errors
    /// It isn't a vault of this format.
    pub fn heap_for(storage: &S) -> Result<usize, OpenError> {
        let layout = load::checked_header(storage, &mut Vec::new())?.layout();
        let tables = [
            (Table::Profile, HEAP_PER_PROFILE),
            (Table::Tombstone, HEAP_PER_TOMBSTONE),
        ];
        let needed = tables.map(|(table, octets)| layout.records(table) as usize * octets);
        Ok(needed.into_iter().sum())
    }

    /// The bad copies for which a good one stood in when the vault was opened.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// How many profiles there is room for.
    pub fn capacity(&self) -> u32 {
        self.profiles.capacity()
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

    /// The pre-shared key of an account.
    pub fn psk(&self, account: u16) -> Option<&Psk> {
        self.accounts.value.0.get(&account)
    }

    /// The last committed transaction.
    pub fn last_transaction(&self) -> Option<Txid> {
        self.ledger.value.transaction
    }

    /// A time that has certainly passed, in seconds since 1970.
    pub fn last_time(&self) -> u64 {
        self.ledger.value.time
    }

    /// How many profiles are installed.
    pub fn installed(&self) -> u32 {
        self.profiles.count()
    }

    /// The installed profiles.
    pub fn profiles(&self) -> impl Iterator<Item = (Slot, &StoredProfile)> {
        self.profiles.from(0)
    }

    /// The installed profiles in the slots from `first` on.
    pub fn profiles_from(&self, first: u32) -> impl Iterator<Item = (Slot, &StoredProfile)> {
        self.profiles.from(first)
    }

    /// The slot of the profile with this ICCID.
    pub fn find(&self, iccid: &str) -> Option<Slot> {
        self.profiles.find(iccid)
    }

    /// The slot of the enabled profile; the first of several.
    pub fn enabled(&self) -> Option<Slot> {
        self.profiles.enabled()
    }

    /// The profile in a slot.
    pub fn profile(&self, slot: Slot) -> Option<&StoredProfile> {
        self.profiles.get(slot)
    }

    /// Changes the sequence numbers of a profile; the change is staged, and durable after [`Self::flush`].
    /// Nothing where there is no profile.
    pub fn change_sqn<R>(
        &mut self,
        slot: Slot,
        change: impl FnOnce(&mut SqnState) -> R,
    ) -> Option<R> {
        let result = self.profiles.change_sqn(slot, change)?;
        self.staged.insert(slot.0);
        Some(result)
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
        for index in std::mem::take(&mut self.staged) {
            copies.push(self.next_sequence(index, rng));
        }
        self.file.write(&copies)?;
        match &mut self.anchored {
            Some(anchored) if anchored.passes + 1 < anchored.interval => {
                anchored.passes += 1;
                Ok(())
            }
            _ => self.raise_epoch(rng),
        }
    }

    /// Under an anchor: the next epoch, with all versions that are durable by now.
    fn raise_epoch(&mut self, rng: &mut impl CryptoRng) -> Result<(), CommitError> {
        if self.anchored.is_none() {
            return Ok(());
        }
        let copy = self.next_ledger(rng);
        self.file.write(&[copy])?;
        self.advance_anchor()
    }

    /// The ledger's next version; under an anchor that begins an epoch.
    fn next_ledger(&mut self, rng: &mut impl CryptoRng) -> Vec<u8> {
        let Versioned { generation, value } = &mut self.ledger;
        value.versions = self.file.versions;
        value.epoch += u64::from(self.anchored.is_some());
        self.file.next_copy(value, 0, generation, rng)
    }

    /// Lets the anchor follow the ledger. As after a failed write, after a failure nothing more is written.
    fn advance_anchor(&mut self) -> Result<(), CommitError> {
        if let Some(anchored) = &mut self.anchored {
            anchored.passes = 0;
            let advanced = anchored.anchor.advance(self.ledger.value.epoch);
            self.file.failed = advanced.is_err();
            advanced?;
        }
        Ok(())
    }

    /// Encrypts the next version of a slot's sequence numbers.
    fn next_sequence(&mut self, index: u32, rng: &mut impl CryptoRng) -> Vec<u8> {
        let records = self.profiles.records_mut(index);
        let mut generation = records.sequence;
        let copy = self
            .file
            .next_copy(records.used(), index, &mut generation, rng);
        records.sequence = generation;
        copy
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

    /// Takes an operator away whose packages are opened; one that isn't there stays away.
    ///
    /// # Errors
    /// [`CommitError::Storage`].
    pub fn remove_trust_anchor(
        &mut self,
        anchor: &IssuerKey,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommitError> {
        let anchors = &mut self.device.value.trust_anchors;
        let Some(index) = anchors.iter().position(|known| known == anchor) else {
            return Ok(());
        };
        anchors.remove(index);
        self.write_device(rng)
    }

    fn write_device(&mut self, rng: &mut impl CryptoRng) -> Result<(), CommitError> {
        let Versioned { generation, value } = &mut self.device;
        let copy = self.file.next_copy(value, 0, generation, rng);
        self.file.write(&[copy])?;
        self.raise_epoch(rng)
    }
}

impl Vault<FileStorage> {
    /// Puts a new vault in the place of this one: the same contents under another KEK and another data key,
    /// with room for `capacity` profiles. This one is of no further use.
    ///
    /// Until the new one is whole and on the medium, nothing changes. The blocks that the old one leaves on
    /// the medium are as well kept as its KEK is.
    ///
    /// # Errors
    /// The capacity would shrink, or see [`FileStorage::create`].
    pub fn rekey(
        self,
        directory: &Path,
        kek: &Kek,
        capacity: u32,
        rng: &mut impl CryptoRng,
    ) -> Result<(), OpenError> {
        if capacity < self.capacity() {
            return Err(OpenError::Smaller {
                expected: self.capacity(),
                came: capacity,
            });
        }
        let fill = |storage: &mut FileStorage| copy(&self, storage, kek, capacity, rng);
        FileStorage::replace(directory, fill).map(drop)
    }
}

impl<S: Storage> Writable<S> {
    /// Encrypts the next version of a record.
    fn next_copy<T: Contents>(
        &mut self,
        value: &T,
        index: u32,
        generation: &mut u64,
        rng: &mut impl CryptoRng,
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
        record::seal(&self.cipher, place, &value.encode(), rng)
    }

    /// Writes the first two versions of records, with one sync; without any, does nothing.
    fn write_first(
        &mut self,
        mut records: Vec<NewRecords>,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommitError> {
        records.retain(|new| !new.range.is_empty());
        if records.is_empty() {
            return Ok(());
        }
        let count: usize = records.iter().map(|new| new.range.len()).sum();
        self.versions += store::FIRST_GENERATION * count as u64;
        self.write_with(|storage, cipher, layout| {
            records
                .into_iter()
                .try_for_each(|new| write_first_versions(storage, (cipher, layout), new, rng))
        })
    }

    /// Writes copies to their places, with one sync.
    fn write(&mut self, copies: &[Vec<u8>]) -> Result<(), CommitError> {
        self.write_with(|storage, _, layout| {
            copies
                .iter()
                .try_for_each(|copy| write_copy(storage, layout, copy))
        })
    }

    /// Writes and syncs. After a failure nothing more is written: what is on the medium is unknown until the
    /// next start.
    fn write_with(
        &mut self,
        write: impl FnOnce(&mut S, &XChaCha20Poly1305, Layout) -> io::Result<()>,
    ) -> Result<(), CommitError> {
        if self.failed {
            return Err(io::Error::other("an earlier write failed").into());
        }
        let written = write(&mut self.storage, &self.cipher, self.layout);
        let synced = written.and_then(|()| self.storage.sync());
        self.failed = synced.is_err();
        Ok(synced?)
    }
}

/// Writes an encrypted copy to its place.
fn write_copy(storage: &mut impl Storage, layout: Layout, copy: &[u8]) -> io::Result<()> {
    let place = Place::from_head(copy).expect("sealed by this program");
    storage.write_all_at(copy, layout.offset(place.table, place.index, place.copy()))
}
