//! A transaction: changes to several records, all or none, in memory as on the medium.

use std::collections::{BTreeMap, BTreeSet};

use softsim_profile::{IssuerId, Profile, SealingKey};
use softsim_usim::{SqnState, Tombstone};
use zeroize::Zeroizing;

use super::contents::{
    Accounts, Burial, Contents, Identities, Ledger, MAX_ACCOUNTS, MAX_ISSUERS, Psk, Sequence,
    fingerprint,
};
use super::create::NewRecords;
use super::load::{Versioned, join_journal};
use super::{CommitError, Place, Room, Slot, StoredProfile, Table, Txid, Vault, record};

/// How many slots and tombstones one transaction may touch.
pub const MAX_CHANGES: usize = 8;

const _: () = assert!(
    1 + Table::Ledger.record_length()
        + Table::Accounts.record_length()
        + Table::Device.record_length()
        + MAX_CHANGES
            * (Table::Profile.record_length()
                + Table::Sequence.record_length()
                + Table::Identities.record_length())
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
    /// Raises an issuer's sequence to that of a command.
    Sequence {
        /// Who signed it.
        issuer: IssuerId,
        /// Its sequence.
        sequence: u64,
    },
    /// Puts another sealing key in the place of the device's, of which nothing stays on the medium.
    SealingKey(SealingKey),
    /// Lets a profile answer challenges.
    Enable(Slot),
    /// Lets a profile rest.
    Disable(Slot),
    /// Deletes a profile and leaves a tombstone.
    Delete(Slot),
    /// Names the transaction.
    Transaction(Txid),
    /// The digest of the accounts that netd keeps from now on.
    AccountsDigest([u8; 32]),
    /// All PSK accounts there are to be; without a key, an account keeps the one it has.
    Accounts(BTreeMap<u16, Option<Psk>>),
}

/// What a transaction has changed in memory, so that it can be taken back.
enum Undo {
    Ledger(Ledger),
    Profile(u32, Option<Box<StoredProfile>>),
    Enabled(Slot, bool),
    Tombstone(u32, Option<Box<Burial>>),
    Accounts(Accounts),
    Identities(u32, Option<Box<Identities>>),
    SealingKey(Zeroizing<[u8; SealingKey::LENGTH]>),
}

impl Vault {
    /// Makes all changes durable, or none; staged ones go first. `now`, in seconds since 1970, is
    /// kept as a time that has certainly passed, unless a later one is.
    ///
    /// # Errors
    /// With all but [`CommitError::Storage`], nothing changed.
    pub fn commit(&mut self, changes: Vec<Change>, now: u64) -> Result<(), CommitError> {
        self.flush()?;
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
        self.write_new_slots()?;
        let rotated = touched.contains(&(Table::Device, 0));
        self.write_journalled(touched)?;
        if rotated {
            self.write_over_old_sealing_key()?;
        }
        Ok(())
    }

    /// Writes the device's record once more: its other copies, in its place and in the journal,
    /// still hold the key before.
    pub(super) fn write_over_old_sealing_key(&mut self) -> Result<(), CommitError> {
        self.write_journalled(BTreeSet::from([(Table::Device, 0)]))
    }

    /// Gives slots that are new in memory their first records. Nobody reads them before the ledger
    /// counts them, which the transaction itself makes it do.
    fn write_new_slots(&mut self) -> Result<(), CommitError> {
        let ledger = &mut self.ledger.value;
        let (slots, graves) = (self.profiles.len(), self.graves.len());
        let aliases = self.aliases.len();
        let new = vec![
            NewRecords {
                table: Table::Profile,
                range: ledger.slots..slots,
                contents: None::<Box<StoredProfile>>.encode(),
            },
            NewRecords {
                table: Table::Sequence,
                range: ledger.slots..slots,
                contents: Sequence::EMPTY.encode(),
            },
            NewRecords {
                table: Table::Tombstone,
                range: ledger.graves..graves,
                contents: None::<Box<Burial>>.encode(),
            },
            NewRecords {
                table: Table::Identities,
                range: ledger.aliases..aliases,
                contents: None::<Box<Identities>>.encode(),
            },
        ];
        self.file.write_first(new)?;
        (ledger.slots, ledger.graves, ledger.aliases) = (slots, graves, aliases);
        Ok(())
    }

    /// Writes the ledger and the touched records: into the journal, then to their places.
    fn write_journalled(&mut self, touched: BTreeSet<(Table, u32)>) -> Result<(), CommitError> {
        let mut copies = Vec::with_capacity(1 + touched.len());
        for (table, index) in touched {
            copies.push(match table {
                Table::Profile => {
                    let records = self.profiles.records_mut(index);
                    let generation = &mut records.profile;
                    self.file.next_copy(&records.stored, index, generation)
                }
                Table::Sequence => self.next_sequence(index),
                Table::Identities => self.next_identities(index),
                Table::Device => {
                    let Versioned { generation, value } = &mut self.device;
                    self.file.next_copy(value, index, generation)
                }
                Table::Accounts => {
                    let Versioned { generation, value } = &mut self.accounts;
                    self.file.next_copy(value, index, generation)
                }
                _ => {
                    let grave = self.graves.grave_mut(index);
                    let generation = &mut grave.generation;
                    self.file.next_copy(&grave.burial, index, generation)
                }
            });
        }
        copies.push(self.next_ledger());
        self.journal += 1;
        let place = Place {
            table: Table::Journal,
            index: 0,
            generation: self.journal,
        };
        let journal = record::seal(&self.file.cipher, place, &join_journal(&copies));
        self.file.write(&[journal])?;
        self.file.write(&copies)?;
        self.advance_anchor()
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
            Change::Sequence { issuer, sequence } => self.raise_sequence(issuer, sequence, log),
            Change::SealingKey(key) => self.set_sealing_key(&key, log),
            Change::Enable(slot) => self.set_enabled(slot, true, log),
            Change::Disable(slot) => self.set_enabled(slot, false, log),
            Change::Delete(slot) => {
                self.profile(slot).ok_or(CommitError::UnknownSlot)?;
                self.remove(slot.0, log)
            }
            Change::Accounts(accounts) => self.set_accounts(accounts, log),
            Change::Transaction(txid) => {
                log.push(Undo::Ledger(self.ledger.value.clone()));
                self.ledger.value.transaction = Some(txid);
                Ok(())
            }
            Change::AccountsDigest(digest) => {
                log.push(Undo::Ledger(self.ledger.value.clone()));
                self.ledger.value.accounts = Some(digest);
                Ok(())
            }
        }
    }

    fn set_accounts(
        &mut self,
        accounts: BTreeMap<u16, Option<Psk>>,
        log: &mut Vec<Undo>,
    ) -> Result<(), CommitError> {
        if accounts.len() > MAX_ACCOUNTS {
            return Err(CommitError::Full {
                what: Room::Accounts,
                capacity: MAX_ACCOUNTS as u32,
            });
        }
        let kept = |account: u16, psk: Option<Psk>| {
            let psk = psk.or_else(|| self.psk(account).cloned());
            Ok((account, psk.ok_or(CommitError::UnknownAccount(account))?))
        };
        let accounts = (accounts.into_iter())
            .map(|(account, psk)| kept(account, psk))
            .collect::<Result<_, CommitError>>()?;
        let before = std::mem::replace(&mut self.accounts.value, Accounts(accounts));
        log.push(Undo::Accounts(before));
        Ok(())
    }

    fn set_sealing_key(
        &mut self,
        key: &SealingKey,
        log: &mut Vec<Undo>,
    ) -> Result<(), CommitError> {
        let keys = self.device.value.keys.as_mut().ok_or(CommitError::NoKeys)?;
        let key = Zeroizing::new(*key.as_bytes());
        log.push(Undo::SealingKey(std::mem::replace(&mut keys.sealing, key)));
        Ok(())
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
                got: sequence,
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
        let tombstone = Tombstone::of(&profile.credentials);
        if self.profiles.has(&profile.credentials, &tombstone) {
            return Err(CommitError::DuplicateKey);
        }
        let index = self.profiles.vacant().ok_or(CommitError::Full {
            what: Room::Profiles,
            capacity: self.profiles.capacity(),
        })?;
        let mut sqn = profile.sqn.state();
        self.exhume(&tombstone, &mut sqn, log);
        let stored = StoredProfile {
            profile,
            issuer,
            sequence,
            enabled,
            fingerprint: fingerprint(&tombstone),
            first_sequence: self.profiles.records_mut(index).sequence + 1,
            used: Sequence::of(&sqn),
        };
        let before = self.profiles.put(index, Some(Box::new(stored)));
        log.push(Undo::Profile(index, before));
        if enabled {
            self.give_names(Slot(index), log)?;
        }
        Ok(())
    }

    /// Gives a profile the record that servers' names for it go into, where it has none.
    fn give_names(&mut self, slot: Slot, log: &mut Vec<Undo>) -> Result<(), CommitError> {
        let installation = self.installation(slot).ok_or(CommitError::UnknownSlot)?;
        if self.aliases.find(slot).is_some() {
            return Ok(());
        }
        let index = self.aliases.vacant().ok_or(CommitError::Full {
            what: Room::Profiles,
            capacity: self.profiles.capacity(),
        })?;
        let none = Box::new(Identities::none(slot.0, installation.first));
        log.push(Undo::Identities(index, self.aliases.put(index, Some(none))));
        Ok(())
    }

    fn set_enabled(
        &mut self,
        slot: Slot,
        enabled: bool,
        log: &mut Vec<Undo>,
    ) -> Result<(), CommitError> {
        let before = self.profiles.set_enabled(slot, enabled);
        log.push(Undo::Enabled(slot, before.ok_or(CommitError::UnknownSlot)?));
        if enabled {
            self.give_names(slot, log)?;
        }
        Ok(())
    }

    /// Empties a slot and leaves a tombstone of what was in it, but none of its names.
    fn remove(&mut self, index: u32, log: &mut Vec<Undo>) -> Result<(), CommitError> {
        let grave = self.graves.vacant().ok_or(CommitError::Full {
            what: Room::Tombstones,
            capacity: self.graves.capacity(),
        })?;
        let before = self.profiles.put(index, None);
        if let Some(stored) = &before {
            let tombstone = Tombstone::of(&stored.profile.credentials);
            let burial = Box::new(Burial::new(tombstone, &stored.sqn()));
            log.push(Undo::Tombstone(grave, self.graves.put(grave, Some(burial))));
        }
        log.push(Undo::Profile(index, before));
        if let Some(names) = self.aliases.find(Slot(index)) {
            log.push(Undo::Identities(names, self.aliases.put(names, None)));
        }
        Ok(())
    }

    /// Joins the sequence numbers of a deleted profile into `sqn`, and frees its tombstone.
    fn exhume(&mut self, tombstone: &Tombstone, sqn: &mut SqnState, log: &mut Vec<Undo>) {
        let Some(index) = self.graves.find(tombstone) else {
            return;
        };
        let burial = self.graves.put(index, None);
        if let Some(burial) = &burial {
            sqn.merge(&burial.state());
        }
        log.push(Undo::Tombstone(index, burial));
    }

    fn take_back(&mut self, log: Vec<Undo>) {
        for undo in log.into_iter().rev() {
            match undo {
                Undo::Ledger(before) => self.ledger.value = before,
                Undo::Accounts(before) => self.accounts.value = before,
                Undo::SealingKey(before) => {
                    if let Some(keys) = &mut self.device.value.keys {
                        keys.sealing = before;
                    }
                }
                Undo::Profile(index, before) => {
                    self.profiles.put(index, before);
                }
                Undo::Tombstone(index, before) => {
                    self.graves.put(index, before);
                }
                Undo::Identities(index, before) => {
                    self.aliases.put(index, before);
                }
                Undo::Enabled(slot, before) => {
                    self.profiles.set_enabled(slot, before);
                }
            }
        }
    }
}

/// The records that a log touches, without the ledger.
fn touched(log: &[Undo]) -> Result<BTreeSet<(Table, u32)>, CommitError> {
    let mut touched = BTreeSet::new();
    let mut beside = BTreeSet::new();
    for undo in log {
        match undo {
            Undo::Ledger(_) => {}
            Undo::SealingKey(_) => {
                beside.insert((Table::Device, 0));
            }
            Undo::Accounts(_) => {
                beside.insert((Table::Accounts, 0));
            }
            Undo::Identities(index, _) => {
                beside.insert((Table::Identities, *index));
            }
            Undo::Enabled(slot, _) => {
                touched.insert((Table::Profile, slot.0));
            }
            Undo::Profile(index, _) => {
                touched.insert((Table::Profile, *index));
                beside.insert((Table::Sequence, *index));
            }
            Undo::Tombstone(index, _) => {
                touched.insert((Table::Tombstone, *index));
            }
        }
    }
    if touched.len() > MAX_CHANGES {
        return Err(CommitError::Full {
            what: Room::Changes,
            capacity: MAX_CHANGES as u32,
        });
    }
    touched.append(&mut beside);
    Ok(touched)
}
