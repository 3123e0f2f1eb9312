//! What the vault holds in memory: profiles and tombstones by slot, and what finds them without a
//! search.
//!
//! A slot that was never used has no record yet, in memory or in the file; slots come in steps as
//! they are needed. Whatever changes a slot goes through [`Profiles::put`] or [`Graves::put`],
//! which keep the indexes.

use std::collections::BTreeSet;
use std::mem;

use softsim_aka::Credentials;
use softsim_usim::{SqnState, Tombstone};

use super::contents::{Burial, Sequence, StoredProfile, fingerprint};
use super::{OpenError, Slot, Table};

/// How many slots get their first records at once.
pub(super) const STEP: u32 = 16;

/// Generation of a record that was made in memory: the file gets 0 and 1.
pub(super) const FIRST_GENERATION: u64 = 1;

/// Slots by a short key. Two things may share one, so what is found is compared in full.
#[derive(Debug, Default)]
struct Index(BTreeSet<(u64, u32)>);

impl Index {
    fn candidates(&self, key: u64) -> impl Iterator<Item = u32> {
        let range = self.0.range((key, 0)..=(key, u32::MAX));
        range.map(|(_, index)| *index)
    }
}

/// A slot's records.
#[derive(Debug)]
pub(super) struct Records {
    /// Generation of the profile's record.
    pub(super) profile: u64,
    /// Generation of the sequence's record.
    pub(super) sequence: u64,
    pub(super) stored: Option<Box<StoredProfile>>,
}

impl Records {
    /// The sequence numbers.
    pub(super) fn used(&self) -> &Sequence {
        let stored = self.stored.as_ref();
        stored.map_or(&Sequence::EMPTY, |stored| &stored.used)
    }
}

/// The profiles.
#[derive(Debug)]
pub(super) struct Profiles {
    capacity: u32,
    slots: Vec<Records>,
    by_iccid: Index,
    by_key: Index,
    enabled: BTreeSet<u32>,
    free: BTreeSet<u32>,
}

impl Profiles {
    pub(super) fn new(capacity: u32, count: u32) -> Self {
        Self {
            capacity,
            slots: Vec::with_capacity(count as usize),
            by_iccid: Index::default(),
            by_key: Index::default(),
            enabled: BTreeSet::new(),
            free: BTreeSet::new(),
        }
    }

    /// Takes the next slot from the file; its sequence numbers follow.
    pub(super) fn load(&mut self, generation: u64, stored: Option<Box<StoredProfile>>) {
        let index = self.len();
        self.slots.push(Records {
            profile: generation,
            sequence: 0,
            stored: None,
        });
        self.free.insert(index);
        self.put(index, stored);
    }

    /// Takes a slot's sequence numbers from the file.
    pub(super) fn load_sequence(
        &mut self,
        index: u32,
        generation: u64,
        sequence: Sequence,
    ) -> Result<(), OpenError> {
        let table = Table::Sequence;
        let records = &mut self.slots[index as usize];
        records.sequence = generation;
        let Some(stored) = &mut records.stored else {
            return Ok(());
        };
        if generation < stored.first_sequence {
            return Err(OpenError::Outdated {
                table,
                index,
                expected: stored.first_sequence,
                got: generation,
            });
        }
        sequence
            .state(stored.profile.sqn.parameters())
            .map_err(|_| OpenError::Malformed { table, index })?;
        stored.used = sequence;
        Ok(())
    }

    pub(super) fn capacity(&self) -> u32 {
        self.capacity
    }

    /// How many slots have records.
    pub(super) fn len(&self) -> u32 {
        self.slots.len() as u32
    }

    /// How many profiles there are.
    pub(super) fn count(&self) -> u32 {
        self.len() - self.free.len() as u32
    }

    /// The sum of the records' generations.
    pub(super) fn versions(&self) -> u64 {
        let versions = |records: &Records| records.profile + records.sequence;
        self.slots.iter().map(versions).sum()
    }

    pub(super) fn records(&self) -> &[Records] {
        &self.slots
    }

    pub(super) fn records_mut(&mut self, index: u32) -> &mut Records {
        &mut self.slots[index as usize]
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&StoredProfile> {
        self.slots.get(slot.0 as usize)?.stored.as_deref()
    }

    /// The profiles from a slot on.
    pub(super) fn from(&self, first: u32) -> impl Iterator<Item = (Slot, &StoredProfile)> {
        let slots = self.slots.get(first as usize..).unwrap_or_default();
        let numbered = (first..).zip(slots);
        numbered.filter_map(|(index, records)| Some((Slot(index), records.stored.as_deref()?)))
    }

    pub(super) fn find(&self, iccid: &str) -> Option<Slot> {
        let named = |stored: &StoredProfile| stored.profile.iccid.as_str() == iccid;
        self.by_iccid
            .candidates(iccid_key(iccid))
            .map(Slot)
            .find(|slot| self.get(*slot).is_some_and(named))
    }

    /// Whether there is a profile with this K.
    pub(super) fn has(&self, credentials: &Credentials, tombstone: &Tombstone) -> bool {
        self.by_key.candidates(fingerprint(tombstone)).any(|index| {
            self.get(Slot(index))
                .is_some_and(|stored| stored.profile.credentials.same_k(credentials))
        })
    }

    /// The first enabled profile.
    pub(super) fn enabled(&self) -> Option<Slot> {
        self.enabled.first().copied().map(Slot)
    }

    /// A slot without a profile.
    pub(super) fn vacant(&mut self) -> Option<u32> {
        if self.free.is_empty() {
            let end = self.len().saturating_add(STEP).min(self.capacity);
            for index in self.len()..end {
                self.slots.push(Records {
                    profile: FIRST_GENERATION,
                    sequence: FIRST_GENERATION,
                    stored: None,
                });
                self.free.insert(index);
            }
        }
        self.free.first().copied()
    }

    /// Puts a profile into a slot, or none, and gives what was there.
    pub(super) fn put(
        &mut self,
        index: u32,
        stored: Option<Box<StoredProfile>>,
    ) -> Option<Box<StoredProfile>> {
        let before = mem::replace(&mut self.slots[index as usize].stored, stored);
        if let Some(before) = &before {
            self.by_iccid
                .0
                .remove(&(iccid_key(before.profile.iccid.as_str()), index));
            self.by_key.0.remove(&(before.fingerprint, index));
            self.enabled.remove(&index);
            self.free.insert(index);
        }
        if let Some(stored) = &self.slots[index as usize].stored {
            self.by_iccid
                .0
                .insert((iccid_key(stored.profile.iccid.as_str()), index));
            self.by_key.0.insert((stored.fingerprint, index));
            if stored.enabled {
                self.enabled.insert(index);
            }
            self.free.remove(&index);
        }
        before
    }

    /// Enables or disables a profile, and tells whether it was enabled; nothing where there is
    /// none.
    pub(super) fn set_enabled(&mut self, slot: Slot, enabled: bool) -> Option<bool> {
        let stored = self.slots.get_mut(slot.0 as usize)?.stored.as_deref_mut()?;
        let before = mem::replace(&mut stored.enabled, enabled);
        if enabled {
            self.enabled.insert(slot.0);
        } else {
            self.enabled.remove(&slot.0);
        }
        Some(before)
    }

    /// Changes a profile's sequence numbers; nothing where there is none.
    pub(super) fn change_sqn<R>(
        &mut self,
        slot: Slot,
        change: impl FnOnce(&mut SqnState) -> R,
    ) -> Option<R> {
        let stored = self.slots.get_mut(slot.0 as usize)?.stored.as_deref_mut()?;
        let mut sqn = stored.sqn();
        let result = change(&mut sqn);
        stored.used = Sequence::of(&sqn);
        Some(result)
    }
}

/// The digits as a number, which only the longest don't fit into.
fn iccid_key(iccid: &str) -> u64 {
    iccid.bytes().fold(0, |number: u64, digit| {
        number.wrapping_mul(10).wrapping_add(digit.into())
    })
}

/// A tombstone's record.
#[derive(Debug)]
pub(super) struct Grave {
    pub(super) generation: u64,
    pub(super) burial: Option<Box<Burial>>,
}

/// The tombstones.
#[derive(Debug)]
pub(super) struct Graves {
    capacity: u32,
    graves: Vec<Grave>,
    by_key: Index,
    free: BTreeSet<u32>,
}

impl Graves {
    pub(super) fn new(capacity: u32, count: u32) -> Self {
        Self {
            capacity,
            graves: Vec::with_capacity(count as usize),
            by_key: Index::default(),
            free: BTreeSet::new(),
        }
    }

    /// Takes the next tombstone from the file.
    pub(super) fn load(&mut self, generation: u64, burial: Option<Box<Burial>>) {
        let index = self.len();
        self.graves.push(Grave {
            generation,
            burial: None,
        });
        self.free.insert(index);
        self.put(index, burial);
    }

    pub(super) fn capacity(&self) -> u32 {
        self.capacity
    }

    /// How many graves have records.
    pub(super) fn len(&self) -> u32 {
        self.graves.len() as u32
    }

    /// The sum of the records' generations.
    pub(super) fn versions(&self) -> u64 {
        self.graves.iter().map(|grave| grave.generation).sum()
    }

    pub(super) fn grave_mut(&mut self, index: u32) -> &mut Grave {
        &mut self.graves[index as usize]
    }

    pub(super) fn graves(&self) -> &[Grave] {
        &self.graves
    }

    /// The grave of a key.
    pub(super) fn find(&self, tombstone: &Tombstone) -> Option<u32> {
        let is_of = |grave: &Grave| {
            let burial = grave.burial.as_ref();
            burial.is_some_and(|burial| burial.tombstone == *tombstone)
        };
        self.by_key
            .candidates(fingerprint(tombstone))
            .find(|index| is_of(&self.graves[*index as usize]))
    }

    /// A grave without a tombstone.
    pub(super) fn vacant(&mut self) -> Option<u32> {
        if self.free.is_empty() {
            let end = self.len().saturating_add(STEP).min(self.capacity);
            for index in self.len()..end {
                self.graves.push(Grave {
                    generation: FIRST_GENERATION,
                    burial: None,
                });
                self.free.insert(index);
            }
        }
        self.free.first().copied()
    }

    /// Puts a tombstone into a grave, or none, and gives what was there.
    pub(super) fn put(&mut self, index: u32, burial: Option<Box<Burial>>) -> Option<Box<Burial>> {
        let grave = &mut self.graves[index as usize];
        let before = mem::replace(&mut grave.burial, burial);
        if let Some(before) = &before {
            self.by_key
                .0
                .remove(&(fingerprint(&before.tombstone), index));
            self.free.insert(index);
        }
        if let Some(burial) = &grave.burial {
            self.by_key
                .0
                .insert((fingerprint(&burial.tombstone), index));
            self.free.remove(&index);
        }
        before
    }
}
