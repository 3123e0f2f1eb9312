//! The file in use: keyd reads it once, and then writes to it until a write fails.

use std::io;
use std::num::NonZeroU32;
use std::ops::Range;

use zeroize::Zeroizing;

use super::anchor::{Anchor, Anchored};
use super::codec::{Contents, Record};
use super::error::{CopyFault, Damage, Malformed, OpenError};
use super::header::Header;
use super::journal;
use super::kek::Kek;
use super::layout::Layout;
use super::ledger::Ledger;
use super::medium::Storage;
use super::record::{Sealed, Sealer};
use super::table::{Place, Table};

/// The number of octets of each half that are read at once, not fewer than the longest record has.
const CHUNK: usize = 32 << 10;

/// A function that takes a version of a record and its contents.
type Take<'t> = dyn FnMut(Place, &[u8]) -> Result<(), OpenError> + 't;

/// A file of which every record in use was read from a good copy.
pub struct RecordFile {
    storage: Box<dyn Storage>,
    sealer: Sealer,
    damage: Vec<Damage>,
    /// The newest generation of each record in use, by its table.
    generations: Vec<(Table, Vec<u64>)>,
    /// The sum of the generations that the ledger counts.
    versions: u64,
    ledger: Ledger,
    anchored: Option<Anchored>,
    /// Whether a write failed, after which nobody knows what is on the medium until the next
    /// start.
    failed: bool,
}

impl RecordFile {
    /// Opens a file with these tables besides its own, finishes a commit that a power failure
    /// interrupted, and gives each record in use to `take`, table by table.
    ///
    /// # Errors
    /// See [`OpenError`]; or what `take` gives.
    pub fn open(
        storage: impl Storage + 'static,
        kek: &Kek,
        tables: &'static [Table],
        mut take: impl FnMut(Place, &[u8]) -> Result<(), OpenError>,
    ) -> Result<Self, OpenError> {
        let mut damage = Vec::new();
        let (header, layout) = Header::find(&storage, tables, &mut damage)?;
        let mut file = Self {
            sealer: Sealer::new(header.unseal(kek)?, layout),
            storage: Box::new(storage),
            damage,
            generations: Vec::new(),
            versions: 0,
            ledger: Ledger::default(),
            anchored: None,
            failed: false,
        };
        file.finish_commit()?;
        let (place, contents) = file.newest(Table::LEDGER, 0)?;
        *file.generations_of(Table::LEDGER) = vec![place.generation];
        file.ledger = Ledger::decode(place, &contents)?;
        for &table in tables {
            let used = file.ledger.used(table);
            if used > layout.records(table) {
                return Err(Malformed.at(place));
            }
            let mut generations = Vec::with_capacity(used as usize);
            file.each(table, 0..used, &mut |place, contents| {
                generations.push(place.generation);
                take(place, contents)
            })?;
            file.versions += generations.iter().sum::<u64>();
            *file.generations_of(table) = generations;
        }
        let lost = file.damage.iter().filter(|damage| damage.may_have_lost());
        file.check_versions(lost.count() as u64)?;
        Ok(file)
    }

    /// The division of a file, which its header shows without the KEK.
    ///
    /// # Errors
    /// Neither copy of the header is good.
    pub fn layout_of(storage: &dyn Storage, tables: &'static [Table]) -> Result<Layout, OpenError> {
        Header::find(storage, tables, &mut Vec::new()).map(|(_, layout)| layout)
    }

    /// Compares the file with an anchor, and from now on raises the epoch after every `interval`th
    /// pass that only writes, and with every commit.
    ///
    /// With an anchor, no version of a record may be missing, not even if an older copy could
    /// replace a damaged one.
    ///
    /// # Errors
    /// The file or its anchor is an old one, or the anchor's medium fails.
    pub fn anchor(
        &mut self,
        anchor: Box<dyn Anchor>,
        interval: NonZeroU32,
    ) -> Result<(), OpenError> {
        self.check_versions(0)?;
        self.anchored = Some(Anchored::hold(anchor, self.ledger.epoch, interval)?);
        Ok(())
    }

    /// The bad copies for which a good one stood in when the file was opened.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
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

    /// Whether the file has as many versions of records as were written. Each commit starts this
    /// count anew.
    pub fn is_complete(&self) -> bool {
        self.check_versions(0).is_ok()
    }

    /// How many versions of records were written.
    pub fn versions(&self) -> u64 {
        self.versions
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

    /// The contents of a record's other copy, the one before the newest, if it is intact.
    ///
    /// # Errors
    /// The medium failed.
    pub fn before(&self, table: Table, index: u32) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let half = u8::from(self.generation(table, index) & 1 == 0);
        let mut copy = Zeroizing::new(vec![0; table.record_length()]);
        let offset = self.layout().offset(table, index, half.into());
        self.storage.read_exact_at(&mut copy, offset)?;
        let opened = self.sealer.open_at((table, index, half), &mut copy);
        Ok(opened
            .ok()
            .map(|(_, contents)| Zeroizing::new(contents.to_vec())))
    }

    /// Writes the next versions of records, with one sync. A crash may leave some of them written
    /// and others not. After a failure, nothing more is written.
    ///
    /// # Errors
    /// The medium failed, now or in an earlier write.
    pub fn write(&mut self, records: &[Record]) -> io::Result<()> {
        let copies = self.next_versions(records);
        self.put(&copies)?;
        if self.anchored.as_mut().is_some_and(Anchored::is_due) {
            let ledger = self.next_ledger();
            self.put(&[ledger])?;
            self.advance_anchor()?;
        }
        Ok(())
    }

    /// Writes the next versions of records, all or none: first into the journal, and once the
    /// journal is on the medium, to their places.
    ///
    /// # Errors
    /// As with [`Self::write`].
    pub fn commit(&mut self, records: &[Record]) -> io::Result<()> {
        let mut copies = self.next_versions(records);
        copies.push(self.next_ledger());
        let journal = self.next_version(&journal::record(&copies));
        self.put(&[journal])?;
        self.put(&copies)?;
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
            self.versions += FIRST * range.len() as u64;
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

    fn generations_of(&mut self, table: Table) -> &mut Vec<u64> {
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

    /// Checks that there are as many versions as were written, except for those that damage may
    /// have destroyed.
    fn check_versions(&self, lost: u64) -> Result<(), OpenError> {
        let (expected, got) = (self.ledger.versions, self.versions);
        if got + lost < expected {
            return Err(OpenError::PutBack { expected, got });
        }
        Ok(())
    }

    /// Finishes an interrupted commit.
    ///
    /// The journal is never cleared. A version in it is ignored if its record has reached or passed
    /// that version.
    fn finish_commit(&mut self) -> Result<(), OpenError> {
        let (place, journal) = match self.newest(Table::JOURNAL, 0) {
            Ok(newest) => newest,
            Err(error) => return Err(self.foreign_or(error)),
        };
        *self.generations_of(Table::JOURNAL) = vec![place.generation];
        let copies = journal::split(self.layout(), &journal);
        let copies = copies.ok_or_else(|| Malformed.at(place))?;
        let mut written = false;
        for (journal, copy) in copies {
            let (place, _) = self.newest(journal.table, journal.index)?;
            let got = place.generation;
            if journal.generation > got + 1 {
                return Err(OpenError::Lost { journal, got });
            }
            if journal.generation == got + 1 {
                let offset = self.layout().offset_of(journal);
                self.storage.write_all_at(copy, offset)?;
                written = true;
            }
        }
        if written {
            self.storage.sync()?;
        }
        // Loading notes what is still bad.
        self.damage.retain(|damage| match damage {
            Damage::Header { .. } => true,
            Damage::Record { table, .. } => *table == Table::JOURNAL,
        });
        Ok(())
    }

    /// If nothing is authentic, the records belong to another file.
    fn foreign_or(&mut self, error: OpenError) -> OpenError {
        let unauthentic = |error: &OpenError| {
            let faults = [CopyFault::Corrupt, CopyFault::Corrupt];
            matches!(error, OpenError::BothCopies { faults: got, .. } if *got == faults)
        };
        let first = self.layout().tables.first().copied();
        let all = unauthentic(&error)
            && [Some(Table::LEDGER), first]
                .into_iter()
                .flatten()
                .all(|table| {
                    let newest = self.newest(table, 0);
                    newest.err().as_ref().is_some_and(unauthentic)
                });
        if all { OpenError::Foreign } else { error }
    }

    /// The newest good version of one record.
    fn newest(
        &mut self,
        table: Table,
        index: u32,
    ) -> Result<(Place, Zeroizing<Vec<u8>>), OpenError> {
        let mut newest = None;
        self.each(
            table,
            index..index.saturating_add(1),
            &mut |place, contents| {
                newest = Some((place, Zeroizing::new(contents.to_vec())));
                Ok(())
            },
        )?;
        newest.ok_or_else(|| Malformed.at(table.at(index, 0)))
    }

    /// Gives the newest good version of each record of a range to `take`.
    fn each(
        &mut self,
        table: Table,
        range: Range<u32>,
        take: &mut Take<'_>,
    ) -> Result<(), OpenError> {
        let (length, distance) = (table.record_length(), table.distance());
        let at_once = (CHUNK / distance).min(range.len());
        let mut halves = [0, 1].map(|_| Zeroizing::new(vec![0; at_once * distance]));
        for first in range.clone().step_by(at_once.max(1)) {
            let count = at_once.min((range.end - first) as usize);
            for (half, octets) in (0..).zip(&mut halves) {
                octets.truncate(count * distance);
                let offset = self.layout().offset(table, first, half);
                self.storage.read_exact_at(octets, offset)?;
            }
            let [a, b] = &mut halves;
            let copies = a.chunks_mut(distance).zip(b.chunks_mut(distance));
            for (index, (a, b)) in (first..).zip(copies) {
                let copies = [&mut a[..length], &mut b[..length]];
                let picked = self.sealer.pick(table, index, copies);
                let picked = picked.map_err(|faults| OpenError::BothCopies {
                    table,
                    index,
                    faults,
                })?;
                if let Some((half, fault)) = picked.fault {
                    note(&mut self.damage, (table, index, half), fault);
                }
                take(table.at(index, picked.generation), picked.contents)?;
            }
        }
        Ok(())
    }

    fn next_versions(&mut self, records: &[Record]) -> Vec<Sealed> {
        // One more: a commit adds the ledger.
        let mut copies = Vec::with_capacity(records.len() + 1);
        copies.extend(records.iter().map(|record| self.next_version(record)));
        copies
    }

    /// Encrypts the next version of a record that is in use.
    fn next_version(&mut self, record: &Record) -> Sealed {
        let Record {
            table,
            index,
            contents,
        } = record;
        let generation = &mut self.generations_of(*table)[*index as usize];
        *generation += 1;
        let generation = *generation;
        self.versions += u64::from(table.is_counted());
        self.sealer.seal(table.at(*index, generation), contents)
    }

    /// The ledger's next version. With an anchor, it begins a new epoch.
    fn next_ledger(&mut self) -> Sealed {
        let counted = self.generations.iter();
        let counted = counted.filter(|(table, _)| table.is_counted());
        let used = counted.map(|(table, of)| (table.number(), of.len() as u32));
        self.ledger = Ledger {
            used: used.collect(),
            versions: self.versions,
            epoch: self.ledger.epoch + u64::from(self.anchored.is_some()),
        };
        let ledger = self.ledger.record(0);
        self.next_version(&ledger)
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
    fn put(&mut self, copies: &[Sealed]) -> io::Result<()> {
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
            Some(self.sealer.open(&mut copy).ok()?.1.to_vec())
        };
        let journals = [0, 1]
            .into_iter()
            .filter_map(|half| read(Table::JOURNAL, 0, half));
        let mut copies = Vec::new();
        for journal in journals {
            for (place, copy) in journal::split(layout, &journal).unwrap_or_default() {
                if let (true, Ok((_, contents))) =
                    (place.table == table, self.sealer.open(&mut copy.to_vec()))
                {
                    copies.push(contents.to_vec());
                }
            }
        }
        let places = (0..layout.records(table)).flat_map(|index| [(index, 0), (index, 1)]);
        copies.extend(places.filter_map(|(index, half)| read(table, index, half)));
        copies
    }
}

/// The generation of a record that has just come into use: the file has its versions 0 and 1.
const FIRST: u64 = 1;

/// Writes the first two versions of adjacent records. The caller syncs.
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
            copies.extend(sealer.seal(table.at(index, generation), contents).octets);
        }
        let offset = sealer.layout.offset(table, range.start, half);
        storage.write_all_at(&copies, offset)?;
    }
    Ok(())
}

fn note(damage: &mut Vec<Damage>, (table, index, half): (Table, u32, u8), fault: CopyFault) {
    let found = Damage::Record {
        table,
        index,
        half,
        fault,
    };
    if !damage.contains(&found) {
        damage.push(found);
    }
}
