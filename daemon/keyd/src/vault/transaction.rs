//! A transaction: changes to several records, all or none, in memory as on the medium.

use std::{collections::BTreeSet, mem};

use rand_core::CryptoRng;
use softsim_profile::{IssuerId, Profile};
use softsim_usim::{SqnState, Tombstone};

use super::{
    CommitError, Place, Room, Slot, Storage, StoredProfile, Table, Txid, Vault,
    contents::{Burial, Ledger, MAX_ISSUERS},
    load::join_journal,
    record,
};

/// How many profiles and tombstones one transaction may touch.
pub const MAX_CHANGES: usize = 16;

const _: () = assert!(
    1 + Table::Ledger.record_length()
        + MAX_CHANGES * Table::Profile.record_length()
        + record::OVERHEAD
        <= Table::Journal.record_length()
);

/// One change of a transaction.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are a handful at a time, in a vector"
)]
pub enum Change {
    /// Installs a profile, in place of one with the same ICCID.
    ///
    /// Its sequence numbers go on from where the same K was, installed or deleted; else they begin
    /// at the profile's floor. The issuer's sequence rises to the package's.
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
    /// Lets a profile answer challenges.
    Enable(Slot),
    /// Lets a profile rest.
    Disable(Slot),
    /// Deletes a profile and leaves a tombstone.
    Delete(Slot),
    /// Names the transaction.
    Transaction(Txid),
}

/// What a transaction has changed in memory, so that it can be taken back.
enum Undo {
    Ledger(Ledger),
    Profile(u32, Option<Box<StoredProfile>>),
    Enabled(u32, bool),
    Tombstone(u32, Option<Box<Burial>>),
}

impl<S: Storage> Vault<S> {
    /// Makes all changes durable, or none; staged ones go first. `now`, in seconds since 1970, is kept as a
    /// time that has certainly passed, unless a later one is.
    ///
    /// # Errors
    /// With all but [`CommitError::Storage`], nothing changed.
    pub fn commit(
        &mut self,
        changes: Vec<Change>,
        now: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommitError> {
        self.flush(rng)?;
        let mut log = Vec::new();
        let applied = changes
            .into_iter()
            .try_for_each(|change| self.apply(change, &mut log))
            .and_then(|()| touched(&log));
        let touched = match applied {
            Ok(touched) => touched,
            Err(refusal) => {
                self.take_back(log);
                return Err(refusal);
            }
        };
        self.ledger.value.time = self.ledger.value.time.max(now);
        self.write_journalled(touched, rng)
    }

    /// Writes the ledger and the touched records: into the journal, then to their places.
    fn write_journalled(
        &mut self,
        touched: BTreeSet<(Table, u32)>,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommitError> {
        let mut copies = vec![self.file.next_copy(&mut self.ledger, 0, rng)];
        for (table, index) in touched {
            copies.push(match table {
                Table::Profile => {
                    self.file
                        .next_copy(&mut self.profiles[index as usize], index, rng)
                }
                _ => self
                    .file
                    .next_copy(&mut self.tombstones[index as usize], index, rng),
            });
        }
        self.journal += 1;
        let place = Place {
            table: Table::Journal,
            index: 0,
            generation: self.journal,
        };
        let journal = record::seal(&self.file.cipher, place, &join_journal(&copies), rng);
        self.file.write(&[journal])?;
        self.file.write(&copies)
    }

    fn apply(&mut self, change: Change, log: &mut Vec<Undo>) -> Result<(), CommitError> {
        match change {
            Change::Install {
                profile,
                issuer,
                sequence,
                enabled,
            } => {
                self.raise_sequence(issuer, sequence, log)?;
                self.install(profile, issuer, sequence, enabled, log)
            }
            Change::Enable(slot) => self.set_enabled(slot, true, log),
            Change::Disable(slot) => self.set_enabled(slot, false, log),
            Change::Delete(slot) => {
                self.profile(slot).ok_or(CommitError::UnknownSlot)?;
                self.remove(slot.0, log)
            }
            Change::Transaction(txid) => {
                log.push(Undo::Ledger(self.ledger.value.clone()));
                self.ledger.value.transaction = Some(txid);
                Ok(())
            }
        }
    }

    fn raise_sequence(
        &mut self,
        issuer: IssuerId,
        sequence: u64,
        log: &mut Vec<Undo>,
    ) -> Result<(), CommitError> {
        let last = self.last_sequence(&issuer);
        if sequence <= last {
            return Err(CommitError::SequenceNotRising {
                last,
                came: sequence,
            });
        }
        log.push(Undo::Ledger(self.ledger.value.clone()));
        let sequences = &mut self.ledger.value.sequences;
        match sequences.iter().position(|(known, _)| *known == issuer) {
            Some(index) => sequences[index].1 = sequence,
            None if sequences.len() == MAX_ISSUERS => {
                return Err(CommitError::Full {
                    what: Room::Issuers,
                    capacity: MAX_ISSUERS as u32,
                });
            }
            None => sequences.push((issuer, sequence)),
        }
        Ok(())
    }

    fn install(
        &mut self,
        profile: Profile,
        issuer: IssuerId,
        sequence: u64,
        enabled: bool,
        log: &mut Vec<Undo>,
    ) -> Result<(), CommitError> {
        if let Some(replaced) = self.find(profile.iccid.as_str()) {
            self.remove(replaced.0, log)?;
        }
        if self
            .profiles()
            .any(|(_, stored)| stored.profile.k == profile.k)
        {
            return Err(CommitError::DuplicateKey);
        }
        let index = free(&self.profiles).ok_or(CommitError::Full {
            what: Room::Profiles,
            capacity: self.capacity(),
        })?;
        let mut sqn = profile.sqn.state();
        self.exhume(&Tombstone::of(&profile.k), &mut sqn, log);
        let stored = StoredProfile {
            profile,
            issuer,
            sequence,
            enabled,
            sqn,
        };
        let before = self.profiles[index as usize]
            .value
            .replace(Box::new(stored));
        log.push(Undo::Profile(index, before));
        Ok(())
    }

    fn set_enabled(
        &mut self,
        slot: Slot,
        enabled: bool,
        log: &mut Vec<Undo>,
    ) -> Result<(), CommitError> {
        let stored = self
            .profiles
            .get_mut(slot.0 as usize)
            .and_then(|record| record.value.as_deref_mut())
            .ok_or(CommitError::UnknownSlot)?;
        log.push(Undo::Enabled(
            slot.0,
            mem::replace(&mut stored.enabled, enabled),
        ));
        Ok(())
    }

    /// Empties a slot and leaves a tombstone of what was in it.
    fn remove(&mut self, index: u32, log: &mut Vec<Undo>) -> Result<(), CommitError> {
        let capacity = self.tombstones.len() as u32;
        let grave = free(&self.tombstones).ok_or(CommitError::Full {
            what: Room::Tombstones,
            capacity,
        })?;
        let before = self.profiles[index as usize].value.take();
        if let Some(stored) = &before {
            let burial = Box::new(Burial {
                tombstone: Tombstone::of(&stored.profile.k),
                sqn: stored.sqn.clone(),
            });
            log.push(Undo::Tombstone(
                grave,
                self.tombstones[grave as usize].value.replace(burial),
            ));
        }
        log.push(Undo::Profile(index, before));
        Ok(())
    }

    /// Joins the sequence numbers of a deleted profile into `sqn`, and frees its tombstone.
    fn exhume(&mut self, tombstone: &Tombstone, sqn: &mut SqnState, log: &mut Vec<Undo>) {
        let found = self.tombstones.iter_mut().zip(0..).find(|(record, _)| {
            record
                .value
                .as_ref()
                .is_some_and(|burial| burial.tombstone == *tombstone)
        });
        if let Some((record, index)) = found {
            let burial = record.value.take();
            if let Some(burial) = &burial {
                sqn.merge(&burial.sqn);
            }
            log.push(Undo::Tombstone(index, burial));
        }
    }

    fn take_back(&mut self, log: Vec<Undo>) {
        for undo in log.into_iter().rev() {
            match undo {
                Undo::Ledger(before) => self.ledger.value = before,
                Undo::Profile(index, before) => self.profiles[index as usize].value = before,
                Undo::Tombstone(index, before) => self.tombstones[index as usize].value = before,
                Undo::Enabled(index, before) => {
                    if let Some(stored) = &mut self.profiles[index as usize].value {
                        stored.enabled = before;
                    }
                }
            }
        }
    }
}

impl Ledger {
    pub(super) fn last_sequence(&self, issuer: &IssuerId) -> u64 {
        self.sequences
            .iter()
            .find(|(known, _)| known == issuer)
            .map_or(0, |(_, sequence)| *sequence)
    }
}

/// The first empty record of a table.
fn free<T>(records: &[super::Versioned<Option<T>>]) -> Option<u32> {
    records
        .iter()
        .zip(0..)
        .find(|(record, _)| record.value.is_none())
        .map(|(_, index)| index)
}

/// The profiles and tombstones that a log touches.
fn touched(log: &[Undo]) -> Result<BTreeSet<(Table, u32)>, CommitError> {
    let touched: BTreeSet<_> = log
        .iter()
        .filter_map(|undo| match undo {
            Undo::Profile(index, _) | Undo::Enabled(index, _) => Some((Table::Profile, *index)),
            Undo::Tombstone(index, _) => Some((Table::Tombstone, *index)),
            Undo::Ledger(_) => None,
        })
        .collect();
    if touched.len() > MAX_CHANGES {
        return Err(CommitError::Full {
            what: Room::Changes,
            capacity: MAX_CHANGES as u32,
        });
    }
    Ok(touched)
}
