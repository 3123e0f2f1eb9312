//! The tables in which there are many records: profiles with their sequence numbers, tombstones of
//! deleted profiles, and the identities of profiles that were ever enabled.
//!
//! Servers assign identities only to the enabled profile. A gateway with thousands of profiles
//! therefore has few records with identities, and only these are read at the start.

mod slots;

use softsim_aka::Credentials;
use softsim_usim::{SqnState, Tombstone};
use zeroize::Zeroizing;

use self::slots::Keyed;
pub(super) use self::slots::Slots;
use super::contents::{
    Identities, Installation, Sequence, Slot, StoredProfile, StoredTombstone, fingerprint,
    max_ahead,
};
use super::file::{Contents, Layout, Malformed, OpenError, Place, Record, Table};

/// The heap that a profile takes, with its entries in the indexes and what the allocator adds, in
/// octets.
pub(super) const HEAP_PER_PROFILE: usize = 704;

/// The heap that the identities of a profile take, likewise.
pub(super) const HEAP_PER_IDENTITIES: usize = 1536;

/// The heap that a tombstone takes, likewise.
pub(super) const HEAP_PER_TOMBSTONE: usize = 416;

/// The tables.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) profiles: Slots<StoredProfile>,
    pub(super) tombstones: Slots<StoredTombstone>,
    pub(super) identities: Slots<Identities>,
}

impl Keyed for StoredProfile {
    type Keys = [u64; 2];

    fn keys(&self) -> [u64; 2] {
        [iccid_key(self.profile.iccid.as_str()), self.fingerprint]
    }
}

impl Keyed for StoredTombstone {
    type Keys = [u64; 1];

    fn keys(&self) -> [u64; 1] {
        [fingerprint(&self.tombstone)]
    }
}

impl Keyed for Identities {
    type Keys = [u64; 1];

    fn keys(&self) -> [u64; 1] {
        [self.of.slot.0.into()]
    }
}

impl Tables {
    /// The tables of a file before it is read.
    pub(super) fn new(layout: Layout) -> Self {
        Self {
            profiles: Slots::new(layout.records(Table::PROFILE)),
            tombstones: Slots::new(layout.records(Table::TOMBSTONE)),
            identities: Slots::new(layout.records(Table::IDENTITIES)),
        }
    }

    /// The heap that full tables take, in octets.
    pub(super) fn heap(layout: Layout) -> usize {
        let tables = [
            (Table::PROFILE, HEAP_PER_PROFILE),
            (Table::TOMBSTONE, HEAP_PER_TOMBSTONE),
            (Table::IDENTITIES, HEAP_PER_IDENTITIES),
        ];
        let needed = tables.map(|(table, octets)| layout.records(table) as usize * octets);
        needed.into_iter().sum()
    }

    /// Adds the next record of the file, whose tables come in their order.
    pub(super) fn load(&mut self, place: Place, contents: &[u8]) -> Result<(), OpenError> {
        match place.table {
            Table::PROFILE => self.profiles.load(Contents::decode(place, contents)?),
            Table::SEQUENCE => self.load_sequence(place, Contents::decode(place, contents)?)?,
            Table::TOMBSTONE => self.load_tombstone(Contents::decode(place, contents)?)?,
            _ => self.load_identities(place, Contents::decode(place, contents)?)?,
        }
        Ok(())
    }

    fn load_sequence(&mut self, place: Place, used: Sequence) -> Result<(), OpenError> {
        let Place { table, index, .. } = place;
        let Some(stored) = self.profiles.get_mut(index) else {
            return Ok(());
        };
        let (expected, got) = (stored.used.installation, used.installation);
        if got != expected {
            return Err(OpenError::OtherInstallation {
                table,
                index,
                expected,
                got,
            });
        }
        let parameters = stored.profile.sqn.parameters();
        let state = used.state(parameters);
        stored.stored_seq = state.map_err(|error| error.at(place))?.highest_seq();
        stored.used = used;
        Ok(())
    }

    /// Refuses the tombstone of a profile that is installed.
    fn load_tombstone(&mut self, stored: Option<Box<StoredTombstone>>) -> Result<(), OpenError> {
        if let Some(stored) = &stored {
            let tombstone = stored.tombstone;
            let same = |of: &StoredProfile| Tombstone::of(&of.profile.credentials) == tombstone;
            if let Some(index) = self.profiles.find(fingerprint(&tombstone), same) {
                return Err(OpenError::Tombstone(index));
            }
        }
        self.tombstones.load(stored);
        Ok(())
    }

    /// Ignores the identities of a profile that is gone, as an older copy may hold them.
    fn load_identities(
        &mut self,
        place: Place,
        stored: Option<Box<Identities>>,
    ) -> Result<(), OpenError> {
        let of_profile =
            stored.filter(|stored| self.installation(stored.of.slot) == Some(stored.of));
        if let Some(stored) = &of_profile
            && self.find_identities(stored.of.slot).is_some()
        {
            return Err(Malformed.at(place));
        }
        self.identities.load(of_profile);
        Ok(())
    }

    /// Marks every SEQ as used that a lost copy of a profile's sequence numbers may have had.
    /// Returns whether there is a profile.
    pub(super) fn use_up_sequence(&mut self, index: u32) -> bool {
        let changed = self.change_sqn(Slot(index), |sqn| {
            sqn.use_up(max_ahead(sqn.parameters()));
        });
        changed.is_some()
    }

    /// Drops the re-authentication context of a profile, and marks a one-time pseudonym as spent.
    /// The medium lost a version of this record, in which the counter may have been higher and the
    /// pseudonym spent.
    pub(super) fn drop_reauthentication(&mut self, index: u32) {
        if let Some(identities) = self.identities.get_mut(index) {
            identities.reauthentication = None;
            identities.pseudonyms.spend();
        }
    }

    /// Gives a profile a record for identities, if it has none. `None` if there is no room.
    pub(super) fn provide_identities(&mut self, of: Installation) -> Option<()> {
        if self.find_identities(of.slot).is_none() {
            let index = self.identities.vacant()?;
            self.identities.put(index, Some(Identities::none(of)));
        }
        Some(())
    }

    /// The slot of the profile with this ICCID.
    pub(super) fn find(&self, iccid: &str) -> Option<Slot> {
        let named = |stored: &StoredProfile| stored.profile.iccid.as_str() == iccid;
        self.profiles.find(iccid_key(iccid), named).map(Slot)
    }

    /// Whether there is a profile with this K.
    pub(super) fn has(&self, credentials: &Credentials, tombstone: &Tombstone) -> bool {
        let same = |stored: &StoredProfile| stored.profile.credentials.same_k(credentials);
        self.profiles.find(fingerprint(tombstone), same).is_some()
    }

    /// The record of a tombstone.
    pub(super) fn find_tombstone(&self, tombstone: &Tombstone) -> Option<u32> {
        let same = |stored: &StoredTombstone| stored.tombstone == *tombstone;
        self.tombstones.find(fingerprint(tombstone), same)
    }

    /// The record of the identities of the profile in a slot.
    pub(super) fn find_identities(&self, slot: Slot) -> Option<u32> {
        let of_slot = |stored: &Identities| stored.of.slot == slot;
        self.identities.find(slot.0.into(), of_slot)
    }

    /// Which installation of a profile is in a slot.
    pub(super) fn installation(&self, slot: Slot) -> Option<Installation> {
        let number = self.profiles.get(slot.0)?.used.installation;
        Some(Installation { slot, number })
    }

    /// Changes a profile's sequence numbers. `None` if there is no such profile.
    pub(super) fn change_sqn<R>(
        &mut self,
        slot: Slot,
        change: impl FnOnce(&mut SqnState) -> R,
    ) -> Option<R> {
        let stored = self.profiles.get_mut(slot.0)?;
        let mut sqn = stored.sqn();
        let result = change(&mut sqn);
        stored.used = Sequence::new(stored.used.installation, &sqn);
        Some(result)
    }

    /// Takes note that a profile's sequence numbers go to the medium now. Returns whether they rise
    /// so far that both copies must be written.
    pub(super) fn store_sequence(&mut self, index: u32) -> bool {
        let Some(stored) = self.profiles.get_mut(index) else {
            return false;
        };
        let state = stored.sqn();
        let limit = stored.stored_seq + max_ahead(state.parameters());
        stored.stored_seq = state.highest_seq();
        stored.stored_seq > limit
    }

    /// The record of a slot's sequence numbers.
    pub(super) fn sequence(&self, index: u32) -> Record {
        let stored = self.profiles.get(index);
        let used = stored.map_or(&Sequence::EMPTY, |stored| &stored.used);
        used.record(index)
    }

    /// The number of records of each table, and the contents of records that come into use.
    pub(super) fn sizes(&self) -> [(Table, u32, Zeroizing<Vec<u8>>); 4] {
        let Self {
            profiles,
            tombstones,
            identities,
            ..
        } = self;
        let no_profile = None::<Box<StoredProfile>>.encode();
        let no_tombstone = None::<Box<StoredTombstone>>.encode();
        let no_identities = None::<Box<Identities>>.encode();
        [
            (Table::PROFILE, profiles.len(), no_profile),
            (Table::SEQUENCE, profiles.len(), Sequence::EMPTY.encode()),
            (Table::TOMBSTONE, tombstones.len(), no_tombstone),
            (Table::IDENTITIES, identities.len(), no_identities),
        ]
    }

    /// All records.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        let sequences = (0..self.profiles.len()).map(|index| self.sequence(index));
        self.profiles
            .records()
            .chain(sequences)
            .chain(self.tombstones.records())
            .chain(self.identities.records())
    }

    /// The records that the transaction touches.
    pub(super) fn touched(&self) -> Vec<Record> {
        let sequences = self.profiles.touched().map(|index| self.sequence(index));
        self.profiles
            .touched_records()
            .chain(sequences)
            .chain(self.tombstones.touched_records())
            .chain(self.identities.touched_records())
            .collect()
    }

    /// Keeps the changes of the transaction.
    pub(super) fn keep(&mut self) {
        self.profiles.keep();
        self.tombstones.keep();
        self.identities.keep();
    }

    /// Drops the changes of the transaction.
    pub(super) fn discard(&mut self) {
        self.profiles.discard();
        self.tombstones.discard();
        self.identities.discard();
    }
}

/// The digits as a number, which overflows only for the longest ICCIDs.
fn iccid_key(iccid: &str) -> u64 {
    iccid.bytes().fold(0, |number: u64, digit| {
        number.wrapping_mul(10).wrapping_add(digit.into())
    })
}
