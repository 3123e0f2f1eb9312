//! The vault: keyd's durable state in one file of fixed length, written with pwrite64 and fdatasync
//! only.
//!
//! Each record has two copies, written in turn ([`record`]), in separate halves of the file
//! ([`layout`]). At start the newer good copy wins ([`load`]); where both are bad the vault doesn't
//! open, and is never reset. All that it holds is in memory from then on ([`contents`] says what,
//! [`store`] how it is found).
//!
//! - A **staged** change ([`Vault::change_sqn`], [`Vault::change_identities`]) is in memory at once
//!   and on the medium after [`Vault::flush`]: the requests of one pass share its one sync. Each
//!   record is whole for itself.
//! - A **transaction** ([`Vault::commit`]) changes several records or none. Their new copies go
//!   into the journal first; once that is synced the transaction is made, and a start after a power
//!   cut finishes it.
//!
//! The records are encrypted with a data key, which the header holds sealed with the KEK
//! ([`header`], [`kek`]). Another KEK takes a new vault, with a new data key, in the place of the
//! old one ([`create`]).
//!
//! Deleting a profile leaves a tombstone with its sequence numbers, and installing one looks for
//! it: no order of deletes and installs makes a used SQN fresh again. Names that servers gave to a
//! profile ([`aliases`]) go with it; where the medium lost the newest of them, what a fast
//! re-authentication starts from goes too, so that no counter comes back. A rollback of the whole
//! file is noticed where there is an anchor outside of it ([`anchor`]).

mod aliases;
mod anchor;
mod contents;
mod create;
mod device;
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
mod writable;

use std::collections::BTreeSet;
use std::io;

use aliases::Aliases;
use anchor::Anchored;
pub use anchor::{Anchor, AnchorFile};
use contents::{Accounts, Device, Ledger};
pub use contents::{
    DeviceKeys, Identities, MAX_ACCOUNTS, MAX_CERTIFICATE, MAX_TRUST_ANCHORS, Name, Pseudonym, Psk,
    Reauthentication, Root, StoredProfile, Txid, Uses,
};
pub use error::{CommitError, Damage, OpenError, Room};
pub use kek::{Kek, KekError, KekInput};
pub use layout::{MAX_CAPACITY, Table};
use load::{Loader, Versioned};
pub use record::{CopyFault, Place};
use softsim_profile::{IssuerId, IssuerKey};
use softsim_usim::SqnState;
pub use storage::{FileStorage, Storage};
use store::{Graves, Profiles};
pub use transaction::{Change, MAX_CHANGES};
use writable::{Writable, write_copy};

/// A profile in memory, with its place in the indexes and what the allocator adds.
const HEAP_PER_PROFILE: usize = 704;

/// The names of a profile in memory, likewise.
const HEAP_PER_IDENTITIES: usize = 1280;

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

/// One installation of a profile: another one in the same slot is not it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Installation {
    slot: Slot,
    /// The first generation of its sequence numbers.
    first: u64,
}

impl Installation {
    /// The slot that it is in.
    pub fn slot(self) -> Slot {
        self.slot
    }
}

/// An open vault: everything in memory, and the file to write changes to.
pub struct Vault {
    file: Writable,
    damage: Vec<Damage>,
    journal: u64,
    ledger: Versioned<Ledger>,
    device: Versioned<Device>,
    accounts: Versioned<Accounts>,
    profiles: Profiles,
    graves: Graves,
    aliases: Aliases,
    /// The records whose newest version is in memory only.
    staged: BTreeSet<(Table, u32)>,
    anchored: Option<Anchored>,
}

impl Vault {
    /// Opens a vault, and finishes a transaction or a rotation of the sealing key that a power cut
    /// left half done.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(storage: impl Storage + 'static, kek: &Kek) -> Result<Self, OpenError> {
        let mut storage: Box<dyn Storage> = Box::new(storage);
        let mut loader = Loader::start(&mut *storage, kek)?;
        let journal = loader.finish_transaction()?;
        let ledger: Versioned<Ledger> = loader.load()?;
        let device: Versioned<Device> = loader.load()?;
        let rotating = loader.has_another_sealing_key(&device.value)?;
        let accounts: Versioned<Accounts> = loader.load()?;
        let profiles = loader.profiles(&ledger.value)?;
        let graves = loader.graves(&ledger.value)?;
        let aliases = loader.aliases(&ledger.value, &profiles)?;
        let Loader {
            layout,
            cipher,
            damage,
            ..
        } = loader;
        let versions = device.generation
            + accounts.generation
            + profiles.versions()
            + graves.versions()
            + aliases.versions();
        let lost = damage
            .iter()
            .filter(|damage| damage.may_have_lost())
            .count() as u64;
        if versions + lost < ledger.value.versions {
            return Err(OpenError::PutBack {
                expected: ledger.value.versions,
                got: versions,
            });
        }
        let mut vault = Self {
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
            aliases,
            staged: BTreeSet::new(),
            anchored: None,
        };
        if rotating {
            let finished = vault.write_over_old_sealing_key();
            finished.map_err(io::Error::other)?;
        }
        Ok(vault)
    }

    /// Heap that a full vault takes with as much room as this file claims, in octets.
    ///
    /// # Errors
    /// It isn't a vault of this format.
    pub fn heap_for(storage: &dyn Storage) -> Result<usize, OpenError> {
        let layout = load::checked_header(storage, &mut Vec::new())?.layout();
        let tables = [
            (Table::Profile, HEAP_PER_PROFILE),
            (Table::Tombstone, HEAP_PER_TOMBSTONE),
            (Table::Identities, HEAP_PER_IDENTITIES),
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

    /// The digest of netd's accounts that a transaction last brought.
    pub fn accounts_digest(&self) -> Option<[u8; 32]> {
        self.ledger.value.accounts
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

    /// Changes the sequence numbers of a profile; the change is staged, and durable after
    /// [`Self::flush`]. Nothing where there is no profile.
    pub fn change_sqn<R>(
        &mut self,
        slot: Slot,
        change: impl FnOnce(&mut SqnState) -> R,
    ) -> Option<R> {
        let result = self.profiles.change_sqn(slot, change)?;
        self.staged.insert((Table::Sequence, slot.0));
        Some(result)
    }

    /// Which installation of a profile is in a slot.
    pub fn installation(&self, slot: Slot) -> Option<Installation> {
        let first = self.profile(slot)?.first_sequence;
        Some(Installation { slot, first })
    }

    /// The names that servers gave to the profile in a slot; none where it was never enabled.
    pub fn identities(&self, slot: Slot) -> Option<&Identities> {
        self.aliases.get(slot)
    }

    /// Changes the names of a profile; the change is staged, and durable after [`Self::flush`].
    /// Nothing where the profile was never enabled.
    pub fn change_identities<R>(
        &mut self,
        slot: Slot,
        change: impl FnOnce(&mut Identities) -> R,
    ) -> Option<R> {
        let index = self.aliases.find(slot)?;
        let identities = self.aliases.alias_mut(index).identities.as_mut()?;
        let result = change(identities);
        self.staged.insert((Table::Identities, index));
        Some(result)
    }

    /// Makes all staged changes durable with one sync; without any, does nothing.
    ///
    /// # Errors
    /// [`CommitError::Storage`].
    pub fn flush(&mut self) -> Result<(), CommitError> {
        if self.staged.is_empty() {
            return Ok(());
        }
        let mut copies = Vec::with_capacity(self.staged.len());
        for (table, index) in std::mem::take(&mut self.staged) {
            copies.push(match table {
                Table::Identities => self.next_identities(index),
                _ => self.next_sequence(index),
            });
        }
        self.file.write(&copies)?;
        match &mut self.anchored {
            Some(anchored) if anchored.passes + 1 < anchored.interval => {
                anchored.passes += 1;
                Ok(())
            }
            _ => self.raise_epoch(),
        }
    }

    /// Encrypts the next version of a profile's names.
    fn next_identities(&mut self, index: u32) -> Vec<u8> {
        let alias = self.aliases.alias_mut(index);
        let generation = &mut alias.generation;
        self.file.next_copy(&alias.identities, index, generation)
    }

    /// Encrypts the next version of a slot's sequence numbers.
    fn next_sequence(&mut self, index: u32) -> Vec<u8> {
        let records = self.profiles.records_mut(index);
        let mut generation = records.sequence;
        let copy = self.file.next_copy(records.used(), index, &mut generation);
        records.sequence = generation;
        copy
    }
}
