//! The profiles' names in memory: a record for each profile that was ever enabled, found by its
//! slot.
//!
//! Only the enabled profile is ever named by a server, so a gateway with thousands of profiles has
//! a handful of these records, and only they are read at the start.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use super::contents::Identities;
use super::store::{FIRST_GENERATION, Profiles, STEP};
use super::{OpenError, Slot, Table};

/// A record with names, or one that waits for them.
#[derive(Debug)]
pub(super) struct Alias {
    pub(super) generation: u64,
    pub(super) identities: Option<Box<Identities>>,
}

/// The names of all profiles that have any.
#[derive(Debug)]
pub(super) struct Aliases {
    capacity: u32,
    records: Vec<Alias>,
    by_slot: BTreeMap<u32, u32>,
    free: BTreeSet<u32>,
}

impl Aliases {
    pub(super) fn new(capacity: u32, count: u32) -> Self {
        Self {
            capacity,
            records: Vec::with_capacity(count as usize),
            by_slot: BTreeMap::new(),
            free: BTreeSet::new(),
        }
    }

    /// Takes the next record from the file. What is of a profile that is gone, as it is where an
    /// older copy stood in, is left out.
    pub(super) fn load(
        &mut self,
        generation: u64,
        identities: Option<Box<Identities>>,
        profiles: &Profiles,
    ) -> Result<(), OpenError> {
        let index = self.len();
        self.records.push(Alias {
            generation,
            identities: None,
        });
        self.free.insert(index);
        let of_profile = identities.filter(|identities| {
            let profile = profiles.get(Slot(identities.slot));
            profile.is_some_and(|stored| stored.first_sequence == identities.installation)
        });
        if let Some(identities) = &of_profile
            && self.by_slot.contains_key(&identities.slot)
        {
            let table = Table::Identities;
            return Err(OpenError::Malformed { table, index });
        }
        self.put(index, of_profile);
        Ok(())
    }

    /// Leaves a profile without what a fast re-authentication starts from, and without a
    /// pseudonym's one time. The medium lost a version of this record, and in that version the
    /// counter may have been higher and the pseudonym spent.
    pub(super) fn distrust(&mut self, index: u32) {
        if let Some(alias) = self.records.get_mut(index as usize)
            && let Some(identities) = &mut alias.identities
        {
            identities.reauthentication = None;
            if let Some(pseudonym) = &mut identities.pseudonym {
                pseudonym.spend();
            }
        }
    }

    /// Gives the enabled profile a record again, where an older copy of it stood in that was
    /// another profile's.
    pub(super) fn mend(&mut self, profiles: &Profiles) {
        let enabled = profiles
            .enabled()
            .and_then(|slot| Some((slot, profiles.get(slot)?)));
        if let Some((slot, stored)) = enabled
            && self.find(slot).is_none()
            && let Some(index) = self.free.first().copied()
        {
            let none = Identities::none(slot.0, stored.first_sequence);
            self.put(index, Some(Box::new(none)));
        }
    }

    /// How many records there are.
    pub(super) fn len(&self) -> u32 {
        self.records.len() as u32
    }

    /// The sum of the records' generations.
    pub(super) fn versions(&self) -> u64 {
        self.records.iter().map(|alias| alias.generation).sum()
    }

    pub(super) fn records(&self) -> &[Alias] {
        &self.records
    }

    pub(super) fn alias_mut(&mut self, index: u32) -> &mut Alias {
        &mut self.records[index as usize]
    }

    /// The record of the profile in a slot.
    pub(super) fn find(&self, slot: Slot) -> Option<u32> {
        self.by_slot.get(&slot.0).copied()
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Identities> {
        self.records[self.find(slot)? as usize]
            .identities
            .as_deref()
    }

    /// A record without names; there is one for each profile.
    pub(super) fn vacant(&mut self) -> Option<u32> {
        if self.free.is_empty() {
            let end = self.len().saturating_add(STEP).min(self.capacity);
            for index in self.len()..end {
                self.records.push(Alias {
                    generation: FIRST_GENERATION,
                    identities: None,
                });
                self.free.insert(index);
            }
        }
        self.free.first().copied()
    }

    /// Puts names into a record, or none, and gives what was there.
    pub(super) fn put(
        &mut self,
        index: u32,
        identities: Option<Box<Identities>>,
    ) -> Option<Box<Identities>> {
        let alias = &mut self.records[index as usize];
        let before = mem::replace(&mut alias.identities, identities);
        if let Some(before) = &before {
            self.by_slot.remove(&before.slot);
            self.free.insert(index);
        }
        if let Some(identities) = &alias.identities {
            self.by_slot.insert(identities.slot, index);
            self.free.remove(&index);
        }
        before
    }
}
