//! The vault in use: everything in memory, and the file that changes are written to.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::{io, mem};

use softsim_profile::{IssuerId, IssuerKey};
use softsim_usim::SqnState;

use super::contents::{
    Accounts, Device, DeviceKeys, Identities, Installation, Provisioning, Psk, Slot, StoredProfile,
    TABLES, Txid,
};
use super::error::CommitError;
use super::file::{
    Accepted, Anchor, Contents, Damage, Kek, OpenError, Other, Record, RecordFile, Storage, Table,
};
use super::tables::Tables;

/// The number of records that are mended with one sync.
const MENDED_AT_ONCE: usize = 64;

/// An open vault.
pub struct Vault {
    pub(super) file: RecordFile,
    pub(super) device: Device,
    pub(super) provisioning: Provisioning,
    pub(super) accounts: Accounts,
    pub(super) tables: Tables,
    sequences_lost: u32,
    /// The sequence numbers whose newest version is in memory only.
    staged_sequences: BTreeSet<u32>,
    /// The identities whose newest version is in memory only.
    staged_identities: BTreeSet<u32>,
}

impl Vault {
    /// Opens a vault, finishes a transaction that a power failure interrupted, and mends bad
    /// copies.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(storage: impl Storage + 'static, kek: &Kek) -> Result<Self, OpenError> {
        let mut device = Device::default();
        let mut provisioning = Provisioning::default();
        let mut accounts = Accounts::default();
        let mut tables = Tables::new(RecordFile::layout_of(&storage, TABLES)?);
        let mut bad_sequences = Vec::new();
        let mut bad_identities = Vec::new();
        let file = RecordFile::open(storage, kek, TABLES, |place, contents, other| {
            match place.table {
                Table::DEVICE => device = Contents::decode(place, contents)?,
                Table::PROVISIONING => provisioning = Contents::decode(place, contents)?,
                Table::ACCOUNTS => accounts = Contents::decode(place, contents)?,
                _ => tables.load(place, contents)?,
            }
            match place.table {
                _ if other == Other::Sound => {}
                Table::SEQUENCE => bad_sequences.push((place.index, other)),
                Table::IDENTITIES => bad_identities.push((place.index, other)),
                _ => {}
            }
            Ok(())
        })?;
        let mut vault = Self {
            file,
            device,
            provisioning,
            accounts,
            tables,
            sequences_lost: 0,
            staged_sequences: BTreeSet::new(),
            staged_identities: BTreeSet::new(),
        };
        // Where an older copy of its record stood in that was another profile's.
        let identities = &vault.tables.identities;
        if let Some(enabled) = vault.enabled_installation()
            && identities.count() < identities.len()
        {
            vault.tables.provide_identities(enabled);
            vault.tables.keep();
        }
        let mut lost = 0;
        vault.mend(&bad_sequences, |tables, index, is_lost| {
            if is_lost && tables.use_up_sequence(index) {
                lost += 1;
            }
            tables.store_sequence(index);
            tables.sequence(index)
        })?;
        vault.mend(&bad_identities, |tables, index, is_lost| {
            if is_lost {
                tables.drop_reauthentication(index);
            }
            tables.identities.record(index)
        })?;
        vault.sequences_lost = lost;
        Ok(vault)
    }

    /// Writes both copies of records again of which one is bad, first the bad one. `record` gives
    /// what to write, and is told whether a version may be lost.
    fn mend(
        &mut self,
        bad: &[(u32, Other)],
        mut record: impl FnMut(&mut Tables, u32, bool) -> Record,
    ) -> io::Result<()> {
        for bad in bad.chunks(MENDED_AT_ONCE) {
            let records = bad.iter().map(|(index, other)| {
                let is_lost = *other == Other::Lost || !self.file.is_complete();
                record(&mut self.tables, *index, is_lost)
            });
            let records: Vec<_> = records.collect();
            self.file.write(&records)?;
            self.file.write(&records)?;
        }
        Ok(())
    }

    /// The heap that a full vault of this file's capacity takes, in octets.
    ///
    /// # Errors
    /// It isn't a vault of this format.
    pub fn heap_for(storage: &dyn Storage) -> Result<usize, OpenError> {
        RecordFile::layout_of(storage, TABLES).map(Tables::heap)
    }

    /// Compares the vault with an anchor. From now on, raises the epoch after every `interval`th
    /// pass that changes sequence numbers or identities, and with every other change.
    ///
    /// # Errors
    /// The vault or its anchor is an old one, or the anchor's medium fails.
    pub fn anchor(
        &mut self,
        anchor: Box<dyn Anchor>,
        interval: NonZeroU32,
    ) -> Result<(), OpenError> {
        self.file.anchor(anchor, interval)
    }

    /// Takes the vault as it is, although its anchor refuses it; `None` if it doesn't.
    ///
    /// # Errors
    /// See [`RecordFile::accept`].
    pub fn accept(&mut self, anchor: Box<dyn Anchor>) -> Result<Option<Accepted>, OpenError> {
        self.file.accept(anchor)
    }

    /// The epoch to which an anchor was raised last, or will be raised next.
    pub fn last_epoch(&self) -> u64 {
        self.file.epoch()
    }

    /// The epoch that the anchor requires; `None` without an anchor.
    pub fn epoch(&self) -> Option<u64> {
        self.file.is_anchored().then(|| self.file.epoch())
    }

    /// Whether the medium failed. Memory may then be ahead of the medium, and nothing more is
    /// written.
    pub fn has_failed(&self) -> bool {
        self.file.has_failed()
    }

    /// The copies that were bad when the vault was opened, and were written again.
    pub fn damage(&self) -> &[Damage] {
        self.file.damage()
    }

    /// How many profiles lost a copy of their sequence numbers, so that more of them count as used.
    pub fn sequences_lost(&self) -> u32 {
        self.sequences_lost
    }

    /// How many profiles there is room for.
    pub fn capacity(&self) -> u32 {
        self.tables.profiles.capacity()
    }

    /// The device's private keys, once they are made.
    pub fn device_keys(&self) -> Option<&DeviceKeys> {
        self.device.keys.as_ref()
    }

    /// The device certificate, DER, once there is one.
    pub fn certificate(&self) -> Option<&[u8]> {
        self.device.certificate.as_deref()
    }

    /// The operators whose packages are opened.
    pub fn trust_anchors(&self) -> &[IssuerKey] {
        &self.device.trust_anchors
    }

    /// The last sequence that an issuer has used, 0 for none.
    pub fn last_sequence(&self, issuer: &IssuerId) -> u64 {
        self.provisioning.last_sequence(issuer)
    }

    /// The pre-shared key of an account.
    pub fn psk(&self, account: u16) -> Option<&Psk> {
        self.accounts.0.get(&account)
    }

    /// The last committed transaction.
    pub fn last_transaction(&self) -> Option<Txid> {
        self.provisioning.transaction
    }

    /// The digest of netd's accounts, from the last transaction that had one.
    pub fn accounts_digest(&self) -> Option<[u8; 32]> {
        self.provisioning.accounts
    }

    /// The time that is kept, in seconds since 1970; 0 if there is none.
    pub fn kept_time(&self) -> u64 {
        self.provisioning.time
    }

    /// How many profiles are installed.
    pub fn installed(&self) -> u32 {
        self.tables.profiles.count()
    }

    /// The installed profiles.
    pub fn profiles(&self) -> impl Iterator<Item = (Slot, &StoredProfile)> {
        self.profiles_from(0)
    }

    /// The installed profiles in the slots from `first` on.
    pub fn profiles_from(&self, first: u32) -> impl Iterator<Item = (Slot, &StoredProfile)> {
        let profiles = self.tables.profiles.from(first);
        profiles.map(|(index, stored)| (Slot(index), stored))
    }

    /// The slot of the profile with this ICCID.
    pub fn find(&self, iccid: &str) -> Option<Slot> {
        self.tables.find(iccid)
    }

    /// The slot of the enabled profile. At most one profile is enabled.
    pub fn enabled(&self) -> Option<Slot> {
        self.enabled_installation().map(Installation::slot)
    }

    fn enabled_installation(&self) -> Option<Installation> {
        let enabled = self.provisioning.enabled;
        enabled.filter(|enabled| self.installation(enabled.slot) == Some(*enabled))
    }

    /// Whether this installation of a profile still exists and is enabled.
    pub fn is_in_use(&self, of: Installation) -> bool {
        self.enabled_installation() == Some(of)
    }

    /// The profile in a slot.
    pub fn profile(&self, slot: Slot) -> Option<&StoredProfile> {
        self.tables.profiles.get(slot.0)
    }

    /// Changes the sequence numbers of a profile. The change is staged, and durable after
    /// [`Self::flush`]. `None` if there is no profile.
    pub fn change_sqn<R>(
        &mut self,
        slot: Slot,
        change: impl FnOnce(&mut SqnState) -> R,
    ) -> Option<R> {
        let result = self.tables.change_sqn(slot, change)?;
        self.staged_sequences.insert(slot.0);
        Some(result)
    }

    /// Which installation of a profile is in a slot.
    pub fn installation(&self, slot: Slot) -> Option<Installation> {
        self.tables.installation(slot)
    }

    /// The identities that servers assigned to the profile in a slot; `None` if the profile was
    /// never enabled.
    pub fn identities(&self, slot: Slot) -> Option<&Identities> {
        self.tables
            .identities
            .get(self.tables.find_identities(slot)?)
    }

    /// Changes the identities of a profile. The change is staged, and durable after
    /// [`Self::flush`]. `None` if the profile was never enabled.
    pub fn change_identities<R>(
        &mut self,
        slot: Slot,
        change: impl FnOnce(&mut Identities) -> R,
    ) -> Option<R> {
        let index = self.tables.find_identities(slot)?;
        let result = change(self.tables.identities.get_mut(index)?);
        self.staged_identities.insert(index);
        Some(result)
    }

    /// Makes all staged changes durable with one sync. Does nothing if there are none.
    ///
    /// If a SEQ_MS rises by more than D, both of its copies are written, with a second sync. A copy
    /// that is lost later is therefore never further ahead of the other one.
    ///
    /// # Errors
    /// [`CommitError::Storage`].
    pub fn flush(&mut self) -> Result<(), CommitError> {
        let sequences = mem::take(&mut self.staged_sequences);
        let identities = mem::take(&mut self.staged_identities).into_iter();
        let mut records = Vec::with_capacity(sequences.len() + identities.len());
        let mut far_ahead = Vec::new();
        for index in sequences {
            records.push(self.tables.sequence(index));
            if self.tables.store_sequence(index) {
                far_ahead.push(self.tables.sequence(index));
            }
        }
        records.extend(identities.map(|index| self.tables.identities.record(index)));
        if records.is_empty() {
            return Ok(());
        }
        self.file.write(&records)?;
        if !far_ahead.is_empty() {
            self.file.write(&far_ahead)?;
        }
        Ok(())
    }
}
