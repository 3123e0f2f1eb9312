//! The file in use: keyd writes to it until a write fails.

use std::collections::BTreeSet;
use std::io;
use std::num::NonZeroU32;
use std::ops::Range;

use zeroize::Zeroizing;

use super::anchor::{Accepted, Anchor, Anchored, accepted};
use super::codec::{Contents, Record};
use super::error::{Damage, OpenError};
use super::journal;
use super::layout::{BLOCK, Layout};
use super::ledger::Ledger;
use super::medium::Storage;
use super::record::{Sealed, Sealer};
use super::table::{Copies, Place, Table};

/// The generation of a record that has just come into use: the file has its versions 0 and 1.
pub const FIRST: u64 = 1;

/// A file of which every record in use was read from a good copy.
pub struct RecordFile {
    pub(super) storage: Box<dyn Storage>,
    pub(super) sealer: Sealer,
    pub(super) damage: Vec<Damage>,
    /// The blocks that can't be read.
    pub(super) unreadable: BTreeSet<u64>,
    /// The newest generation of each record in use, by its table.
    generations: Vec<(Table, Vec<u64>)>,
    /// Whether the file had all versions that the ledger counted.
    pub(super) is_complete: bool,
    /// What the next version of the ledger's record will hold.
    pub(super) ledger: Ledger,
    anchored: Option<Anchored>,
    /// Whether a write failed, after which nobody knows what is on the medium until the next
    /// start.
    failed: bool,
}

impl RecordFile {
    pub(super) fn new(storage: Box<dyn Storage>, sealer: Sealer, damage: Vec<Damage>) -> Self {
        Self {
            storage,
            sealer,
            damage,
            unreadable: BTreeSet::new(),
            generations: Vec::new(),
            is_complete: true,
            ledger: Ledger::default(),
            anchored: None,
            failed: false,
        }
    }

    /// Compares the file with an anchor, and from now on raises the epoch after every `interval`th
    /// pass that only writes, and with every commit.
    ///
    /// # Errors
    /// The file or its anchor is an old one, or the anchor's medium fails.
    pub fn anchor(
        &mut self,
        anchor: Box<dyn Anchor>,
        interval: NonZeroU32,
    ) -> Result<(), OpenError> {
        self.anchored = Some(Anchored::check(anchor, self.ledger.epoch, interval)?);
        Ok(())
    }

    /// Takes the file as it is, although its anchor refuses it, and makes both level. Neither the
    /// KEK nor the data key changes. Returns `None` if the anchor doesn't refuse it; after a crash
    /// or a failure, it can be repeated.
    ///
    /// # Errors
    /// The file's medium or the anchor's fails.
    pub fn accept(&mut self, mut anchor: Box<dyn Anchor>) -> Result<Option<Accepted>, OpenError> {
        // What a damaged anchor held is unknown.
        let value = anchor.value().ok();
        let Some(accepted) = accepted(self.ledger.epoch, value) else {
            self.anchor(anchor, NonZeroU32::MIN)?;
            return Ok(None);
        };
        self.ledger.epoch = accepted.epoch;
        self.write_ledger()?;
        let level = anchor.catch_up(accepted.epoch);
        level.map_err(OpenError::Anchor)?;
        Ok(Some(accepted))
    }

    /// The epoch of a file that replaces this one: a new one under an anchor, which then refuses
    /// this one.
    pub fn next_epoch(&self) -> u64 {
        self.ledger.epoch + u64::from(self.anchored.is_some())
    }

    /// Raises the anchor to the epoch of the file that has replaced this one.
    ///
    /// # Errors
    /// The anchor's medium fails.
    pub fn anchor_replacement(&mut self, epoch: u64) -> Result<(), OpenError> {
        let anchored = self.anchored.as_mut();
        let followed = anchored.map_or(Ok(()), |anchored| anchored.follow(epoch));
        followed.map_err(OpenError::Anchor)
    }

    /// The copies that were bad when the file was opened, up to a limit.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Whether all versions that the ledger counted were there when the file was opened. If not, a
    /// bad copy had a version, even if it looks as if its writing had been cut off.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The division of the file.
    pub fn layout(&self) -> Layout {
        self.sealer.layout
    }

    /// The epoch to which an anchor was raised last, or will be raised next.
    pub fn epoch(&self) -> u64 {
        self.ledger.epoch
    }

    /// Whether there is an anchor.
    pub fn is_anchored(&self) -> bool {
        self.anchored.is_some()
    }

    /// Whether a write failed, after which nothing more is written.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// How many versions of records were written.
    pub fn versions(&self) -> u64 {
        self.ledger.paired + self.ledger.in_turn
    }

    /// The newest generation of a record; if it isn't in use yet, that of its first versions.
    pub fn generation(&self, table: Table, index: u32) -> u64 {
        let of_table = self
            .generations
            .iter()
            .find(|(of, _)| of.number() == table.number());
        let generation = of_table.and_then(|(_, of)| of.get(index as usize));
        generation.copied().unwrap_or(FIRST)
    }

    /// Writes the next versions of records whose copies are written in turn, with one sync. A crash
    /// may leave some of them written and others not. After a failure, nothing more is written.
    ///
    /// # Errors
    /// The medium failed, now or in an earlier write.
    pub fn write(&mut self, records: &[Record]) -> io::Result<()> {
        let mut copies = Vec::with_capacity(records.len());
        for record in records {
            debug_assert_eq!(record.table.copies(), Copies::InTurn);
            let place = self.next(record.table, record.index);
            copies.push(self.sealer.seal(place, &record.contents));
        }
        self.put(&copies)?;
        if self.anchored.as_mut().is_some_and(Anchored::is_due) {
            self.write_ledger()?;
        }
        Ok(())
    }

    /// Writes new versions of records, all or none: first into the journal, and once the journal is
    /// on the medium, to their places. Both copies of each get the same contents.
    ///
    /// # Errors
    /// As with [`Self::write`].
    pub fn commit(&mut self, records: &[Record]) -> io::Result<()> {
        let mut places = Vec::with_capacity(records.len() + 1);
        places.extend(records.iter().map(|of| self.next_pair(of.table, of.index)));
        let ledger = self.next_ledger();
        places.push(self.next_pair(ledger.table, ledger.index));
        let records = records.iter().chain([&ledger]);
        let contents = records.map(|record| record.contents.as_slice());
        let new: Vec<_> = places.into_iter().zip(contents).collect();

        let journal = journal::record(&new);
        let place = self.next_pair(journal.table, journal.index);
        self.put(&self.seal_pairs(&[(place, &journal.contents)]))?;
        self.put(&self.seal_pairs(&new))?;
        self.advance_anchor()
    }

    /// Brings records into use, with one sync: for each table, up to the given number of records
    /// get their first two versions, all with the same contents. They are read only once the ledger
    /// counts them, from the next commit on.
    ///
    /// # Errors
    /// As with [`Self::write`].
    pub fn extend(&mut self, tables: &[(Table, u32, Zeroizing<Vec<u8>>)]) -> io::Result<()> {
        let mut new = Vec::new();
        for (table, to, contents) in tables {
            let generations = self.generations_of(*table);
            let range = generations.len() as u32..*to;
            if range.is_empty() {
                continue;
            }
            generations.resize(*to as usize, FIRST);
            self.ledger.add(*table, FIRST * range.len() as u64);
            new.push((*table, range, contents));
        }
        if new.is_empty() {
            return Ok(());
        }
        self.write_with(|storage, sealer| {
            new.into_iter().try_for_each(|(table, range, contents)| {
                write_first_versions(storage, sealer, (table, range), contents)
            })
        })
    }

    pub(super) fn generations_of(&mut self, table: Table) -> &mut Vec<u64> {
        let known = self
            .generations
            .iter()
            .position(|(of, _)| of.number() == table.number());
        let index = known.unwrap_or_else(|| {
            self.generations.push((table, Vec::new()));
            self.generations.len() - 1
        });
        &mut self.generations[index].1
    }

    /// The place of the next version of a record that is in use.
    fn next(&mut self, table: Table, index: u32) -> Place {
        let generation = &mut self.generations_of(table)[index as usize];
        *generation += 1;
        let place = table.at(index, *generation);
        if table.is_counted() {
            self.ledger.add(table, 1);
        }
        place
    }

    /// The place of the first of the next two versions of a record that is in use.
    fn next_pair(&mut self, table: Table, index: u32) -> Place {
        let first = self.next(table, index);
        self.next(table, index);
        first
    }

    /// Encrypts two versions of each record with the same contents, one for each half.
    fn seal_pairs(&self, records: &[(Place, &[u8])]) -> Vec<Sealed> {
        let mut copies = Vec::with_capacity(2 * records.len());
        for (first, contents) in records {
            copies.push(self.sealer.seal(*first, contents));
            copies.push(self.sealer.seal(first.next(), contents));
        }
        copies
    }

    /// The ledger's next version. With an anchor, it begins a new epoch.
    fn next_ledger(&mut self) -> Record {
        let counted = self.generations.iter();
        let counted = counted.filter(|(table, _)| table.is_counted());
        let used = counted.map(|(table, of)| (table.number(), of.len() as u32));
        self.ledger.used = used.collect();
        self.ledger.epoch = self.next_epoch();
        self.ledger.record(0)
    }

    /// Writes the ledger alone, which begins a new epoch under an anchor. No journal stands behind
    /// it here, so its second copy is written once the first one is on the medium.
    fn write_ledger(&mut self) -> io::Result<()> {
        let ledger = self.next_ledger();
        let place = self.next_pair(ledger.table, ledger.index);
        for copy in self.seal_pairs(&[(place, &ledger.contents)]) {
            self.put(&[copy])?;
        }
        self.advance_anchor()
    }

    /// Raises the anchor to the ledger's epoch. A failure counts as a failed write.
    fn advance_anchor(&mut self) -> io::Result<()> {
        if let Some(anchored) = &mut self.anchored {
            let followed = anchored.follow(self.ledger.epoch);
            self.failed = followed.is_err();
            followed?;
        }
        Ok(())
    }

    /// Writes copies to their places, with one sync.
    pub(super) fn put(&mut self, copies: &[Sealed]) -> io::Result<()> {
        self.write_with(|storage, sealer| {
            let mut copies = copies.iter();
            copies.try_for_each(|copy| copy.put(storage, sealer.layout))
        })
    }

    fn write_with(
        &mut self,
        write: impl FnOnce(&mut dyn Storage, &Sealer) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write failed"));
        }
        let written = write(&mut *self.storage, &self.sealer);
        let synced = written.and_then(|()| self.storage.sync());
        self.failed = synced.is_err();
        synced
    }
}

#[cfg(test)]
impl RecordFile {
    /// The contents of all intact copies of a table's records, in their places and in the journal.
    pub fn all_copies(&self, table: Table) -> Vec<Vec<u8>> {
        let layout = self.layout();
        let read = |table: Table, index, half| {
            let mut copy = vec![0; table.record_length()];
            let offset = layout.offset(table, index, half);
            self.storage.read_exact_at(&mut copy, offset).ok()?;
            Some(self.sealer.open(&mut copy).ok()?.contents.to_vec())
        };
        let journals = [0, 1]
            .into_iter()
            .filter_map(|half| read(Table::JOURNAL, 0, half));
        let mut copies = Vec::new();
        for journal in journals {
            let records = journal::split(layout, &journal).unwrap_or_default();
            let of_table = records
                .into_iter()
                .filter(|(place, _)| place.table == table);
            copies.extend(of_table.map(|(_, contents)| contents.to_vec()));
        }
        let places = (0..layout.records(table)).flat_map(|index| [(index, 0), (index, 1)]);
        copies.extend(places.filter_map(|(index, half)| read(table, index, half)));
        copies
    }
}

/// Writes the first two versions of adjacent records, and zeros up to the end of a block, since a
/// medium refuses to change a part of a block that it can't read. The caller syncs.
fn write_first_versions(
    storage: &mut dyn Storage,
    sealer: &Sealer,
    (table, range): (Table, Range<u32>),
    contents: &[u8],
) -> io::Result<()> {
    for (half, generation) in [(0, 0), (1, FIRST)] {
        let mut copies = Vec::with_capacity(range.len() * table.distance());
        for index in range.clone() {
            copies.resize(copies.len().next_multiple_of(table.distance()), 0);
            let sealed = sealer.seal(table.at(index, generation), contents);
            copies.extend_from_slice(sealed.as_bytes());
        }
        let offset = sealer.layout.offset(table, range.start, half);
        let end = (offset + copies.len() as u64).next_multiple_of(BLOCK);
        copies.resize((end - offset) as usize, 0);
        storage.write_all_at(&copies, offset)?;
    }
    Ok(())
}
