//! A transaction: changes of several records, all or none, both in memory and on the medium.

use std::collections::BTreeMap;

use softsim_keyd_proto::Room;
use softsim_profile::{IssuerId, Profile, SealingKey};
use softsim_usim::{SqnState, Tombstone};
use zeroize::Zeroizing;

use super::contents::{
    Accounts, MAX_ACCOUNTS, MAX_ISSUERS, Provisioning, Psk, Sequence, Slot, StoredProfile,
    StoredTombstone, Txid, fingerprint,
};
use super::error::CommitError;
use super::file::{Contents, ENTRY, OVERHEAD, START, Table};
use super::store::Vault;
use super::tables::Tables;

/// The number of profiles and tombstones that one transaction may touch, and the number of records
/// of identities.
pub const MAX_CHANGES: usize = 8;

/// What a record takes in the journal, in octets.
const fn in_journal(table: Table) -> usize {
    ENTRY + table.record_length() - OVERHEAD
}

const _: () = assert!(
    START
        + in_journal(Table::LEDGER)
        + in_journal(Table::PROVISIONING)
        + in_journal(Table::ACCOUNTS)
        + in_journal(Table::DEVICE)
        + MAX_CHANGES
            * (in_journal(Table::PROFILE)
                + in_journal(Table::SEQUENCE)
                + in_journal(Table::IDENTITIES))
        + OVERHEAD
        <= Table::JOURNAL.record_length()
);

/// One change of a transaction.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are a handful at a time, in a vector"
)]
pub enum Change {
    /// Installs a profile, and replaces one with the same ICCID.
    ///
    /// If the same K is or was installed, its sequence numbers continue. Otherwise they begin at
    /// the profile's floor. The issuer's sequence rises to that of the package.
    Install {
        /// The subscription.
        profile: Profile,
        /// Who sealed it.
        issuer: IssuerId,
        /// The sequence of its package.
        sequence: u64,
        /// Whether it answers challenges from now on.
        enabled: bool,
    },
    /// Raises an issuer's sequence to that of a command.
    Sequence {
        /// Who signed it.
        issuer: IssuerId,
        /// Its sequence.
        sequence: u64,
    },
    /// Replaces the device's sealing key. Both copies of it, and the journal, are overwritten.
    SealingKey(SealingKey),
    /// Enables a profile, so that it answers challenges, and no other does.
    Enable(Slot),
    /// Disables a profile.
    Disable(Slot),
    /// Deletes a profile and leaves a tombstone, which counts in the quota of the profile's issuer.
    Delete(Slot),
    /// Keeps this time, in seconds since 1970, instead of the present one.
    Time(u64),
    /// Stores the id of the transaction.
    Transaction(Txid),
    /// Stores the digest of the accounts that netd keeps from now on.
    AccountsDigest([u8; 32]),
    /// Replaces all PSK accounts. An account without a key keeps its present key.
    Accounts(BTreeMap<u16, Option<Psk>>),
}

/// The changes of a transaction in records of which there is one. The tables hold its changes of
/// profiles, tombstones and identities until it is kept or dropped.
struct SingleRecords {
    provisioning: Provisioning,
    accounts: Option<Accounts>,
    sealing: Option<Zeroizing<[u8; SealingKey::LENGTH]>>,
}

impl Vault {
    /// Makes all changes durable, or none, after writing the staged changes.
    ///
    /// # Errors
    /// See [`CommitError`]. Unless it is [`CommitError::Storage`], nothing has changed.
    pub fn commit(&mut self, changes: Vec<Change>) -> Result<(), CommitError> {
        self.flush()?;
        let mut new = SingleRecords {
            provisioning: self.provisioning.clone(),
            accounts: None,
            sealing: None,
        };
        let mut changes = changes.into_iter();
        let applied = changes.try_for_each(|change| self.apply(change, &mut new));
        if let Err(refusal) = applied
            .and_then(|()| self.check_touched())
            .and_then(|()| self.check_quotas())
        {
            self.tables.discard();
            return Err(refusal);
        }
        self.keep(new)
    }

    /// Keeps the changes of a transaction, in memory and on the medium.
    fn keep(&mut self, new: SingleRecords) -> Result<(), CommitError> {
        let mut records = self.tables.touched();
        self.tables.keep();
        self.provisioning = new.provisioning;
        records.push(self.provisioning.record(0));
        if let Some(accounts) = new.accounts {
            self.accounts = accounts;
            records.push(self.accounts.record(0));
        }
        if let (Some(sealing), Some(keys)) = (new.sealing, &mut self.device.keys) {
            keys.sealing = sealing;
            records.push(self.device.record(0));
        }
        self.file.extend(&self.tables.sizes())?;
        self.file.commit(&records)?;
        Ok(())
    }

    /// Checks that the journal has room for the tables' part of a transaction.
    fn check_touched(&self) -> Result<(), CommitError> {
        let Tables {
            profiles,
            tombstones,
            identities,
        } = &self.tables;
        let touched = profiles.touched().len() + tombstones.touched().len();
        if touched.max(identities.touched().len()) > MAX_CHANGES {
            return Err(CommitError::full(Room::Changes, MAX_CHANGES));
        }
        Ok(())
    }

    fn apply(&mut self, change: Change, new: &mut SingleRecords) -> Result<(), CommitError> {
        match change {
            Change::Install {
                profile,
                issuer,
                sequence,
                enabled,
            } => {
                raise_sequence(&mut new.provisioning, issuer, sequence)?;
                let slot = self.install(profile, issuer, sequence, new)?;
                if enabled {
                    self.enable(slot, new)?;
                }
            }
            Change::Sequence { issuer, sequence } => {
                raise_sequence(&mut new.provisioning, issuer, sequence)?;
            }
            Change::SealingKey(key) => {
                self.device_keys().ok_or(CommitError::NoKeys)?;
                new.sealing = Some(Zeroizing::new(*key.as_bytes()));
            }
            Change::Enable(slot) => self.enable(slot, new)?,
            Change::Disable(slot) => {
                let of = self.installation(slot).ok_or(CommitError::UnknownSlot)?;
                new.provisioning.enabled.take_if(|enabled| *enabled == of);
            }
            Change::Delete(slot) => {
                let stored = self.profile(slot).ok_or(CommitError::UnknownSlot)?;
                self.delete(slot, stored.issuer, new)?;
            }
            Change::Accounts(accounts) => {
                let before = new.accounts.as_ref().unwrap_or(&self.accounts);
                new.accounts = Some(kept(accounts, before)?);
            }
            Change::Time(seconds) => new.provisioning.time = seconds,
            Change::Transaction(txid) => new.provisioning.transaction = Some(txid),
            Change::AccountsDigest(digest) => new.provisioning.accounts = Some(digest),
        }
        Ok(())
    }

    fn install(
        &mut self,
        profile: Profile,
        issuer: IssuerId,
        sequence: u64,
        new: &mut SingleRecords,
    ) -> Result<Slot, CommitError> {
        if let Some(replaced) = self.find(profile.iccid.as_str()) {
            self.delete(replaced, issuer, new)?;
        }
        let tombstone = Tombstone::of(&profile.credentials);
        if self.tables.has(&profile.credentials, &tombstone) {
            return Err(CommitError::DuplicateKey);
        }
        let index = self.tables.profiles.vacant();
        let index = index.ok_or_else(|| self.no_room_for_profiles())?;
        let mut sqn = profile.sqn.state();
        self.lift_tombstone(&tombstone, &mut sqn);
        let installation = self.file.generation(Table::SEQUENCE, index) + 1;
        let stored = StoredProfile {
            profile,
            issuer,
            sequence,
            fingerprint: fingerprint(&tombstone),
            used: Sequence::new(installation, &sqn),
            stored_seq: sqn.highest_seq(),
        };
        self.tables.profiles.put(index, Some(stored));
        Ok(Slot(index))
    }

    /// Enables a profile and no other. From now on, the identities that servers assign to it have a
    /// record.
    fn enable(&mut self, slot: Slot, new: &mut SingleRecords) -> Result<(), CommitError> {
        let of = self.installation(slot).ok_or(CommitError::UnknownSlot)?;
        new.provisioning.enabled = Some(of);
        let provided = self.tables.provide_identities(of);
        provided.ok_or_else(|| self.no_room_for_profiles())
    }

    /// Empties a slot, and leaves a tombstone of its profile, which counts in the quota of the
    /// operator that caused it. The identities of the profile are deleted.
    fn delete(
        &mut self,
        slot: Slot,
        causer: IssuerId,
        new: &mut SingleRecords,
    ) -> Result<(), CommitError> {
        let of = self.installation(slot).ok_or(CommitError::UnknownSlot)?;
        let vacant = self.tables.tombstones.vacant();
        let index = vacant.ok_or_else(|| {
            CommitError::full(Room::Tombstones, self.tables.tombstones.capacity() as usize)
        })?;
        let stored = self.profile(slot).ok_or(CommitError::UnknownSlot)?;
        let tombstone = Tombstone::of(&stored.profile.credentials);
        let tombstone = StoredTombstone::new(tombstone, &stored.sqn(), causer);
        self.tables.tombstones.put(index, Some(tombstone));
        self.tables.profiles.put(slot.0, None);
        if let Some(identities) = self.tables.find_identities(slot) {
            self.tables.identities.put(identities, None);
        }
        new.provisioning.enabled.take_if(|enabled| *enabled == of);
        Ok(())
    }

    /// Adds the sequence numbers of a deleted profile to `sqn`, and frees its tombstone.
    fn lift_tombstone(&mut self, tombstone: &Tombstone, sqn: &mut SqnState) {
        if let Some(index) = self.tables.find_tombstone(tombstone)
            && let Some(stored) = self.tables.tombstones.get(index)
        {
            sqn.merge(&stored.sqn());
            self.tables.tombstones.put(index, None);
        }
    }

    fn no_room_for_profiles(&self) -> CommitError {
        CommitError::full(Room::Profiles, self.capacity() as usize)
    }
}

/// Raises the last sequence of an issuer.
fn raise_sequence(
    provisioning: &mut Provisioning,
    issuer: IssuerId,
    got: u64,
) -> Result<(), CommitError> {
    let last = provisioning.last_sequence(&issuer);
    if got <= last {
        return Err(CommitError::SequenceNotRising { last, got });
    }
    let sequences = &mut provisioning.sequences;
    match sequences.iter().position(|(known, _)| *known == issuer) {
        Some(index) => sequences[index].1 = got,
        None if sequences.len() == MAX_ISSUERS => {
            return Err(CommitError::full(Room::Issuers, MAX_ISSUERS));
        }
        None => sequences.push((issuer, got)),
    }
    Ok(())
}

/// These accounts, of which those without a key keep their present key.
fn kept(accounts: BTreeMap<u16, Option<Psk>>, before: &Accounts) -> Result<Accounts, CommitError> {
    if accounts.len() > MAX_ACCOUNTS {
        return Err(CommitError::full(Room::Accounts, MAX_ACCOUNTS));
    }
    let accounts = accounts.into_iter().map(|(account, psk)| {
        let psk = psk.or_else(|| before.0.get(&account).cloned());
        Ok((account, psk.ok_or(CommitError::UnknownAccount(account))?))
    });
    accounts.collect::<Result<_, _>>().map(Accounts)
}
