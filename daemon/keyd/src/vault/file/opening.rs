//! Opens a file: finishes a transaction that a power failure interrupted, reads every record in
//! use, checks that they belong together, and mends bad copies.

use std::mem;
use std::ops::Range;

use zeroize::Zeroizing;

use super::codec::Contents;
use super::copies::{Claim, Copy, Other, Pair, Picked, Unpicked};
use super::error::{CopyFault, Damage, Malformed, OpenError};
use super::header::Header;
use super::journal;
use super::kek::Kek;
use super::layout::{BLOCK, Layout};
use super::ledger::Ledger;
use super::medium::Storage;
use super::record::Sealer;
use super::records::{FIRST, RecordFile};
use super::table::{Copies, Place, Table};

/// The number of octets of each half that are read at once, not fewer than the longest record has.
const CHUNK: usize = 32 << 10;

/// The smallest part of a medium that may be bad by itself, in octets.
const SECTOR: usize = 512;

/// The number of bad copies that are remembered one by one.
const MAX_DAMAGE: usize = 64;

/// A function that takes a version of a record, its contents, and what its other copy tells.
type Take<'t> = dyn FnMut(Place, &[u8], Other) -> Result<(), OpenError> + 't;

/// A record as one of its copies has it.
struct Found {
    generation: u64,
    contents: Zeroizing<Vec<u8>>,
    other: Other,
    claims: [Claim; 2],
    fault: Option<(u8, CopyFault)>,
}

impl RecordFile {
    /// Opens a file with these tables besides its own, finishes a transaction that a power failure
    /// interrupted, and gives each record in use to `take`, table by table.
    ///
    /// One bad copy of a record never stops it. Of the records that only transactions write, it
    /// mends bad copies; those that are written in turn are mended by the next write.
    ///
    /// # Errors
    /// See [`OpenError`]; or what `take` gives.
    pub fn open(
        storage: impl Storage + 'static,
        kek: &Kek,
        tables: &'static [Table],
        mut take: impl FnMut(Place, &[u8], Other) -> Result<(), OpenError>,
    ) -> Result<Self, OpenError> {
        let mut damage = Vec::new();
        let (header, layout) = Header::find(&storage, tables, &mut damage)?;
        let data_key = header.unseal(kek)?;
        let sealer = Sealer::new(&data_key, layout);
        let mut file = Self::new(Box::new(storage), sealer, damage);
        file.finish_transaction()?;
        file.read_ledger()?;
        let mut read = Ledger::default();
        let mut bad = 0;
        for &table in tables {
            let used = file.ledger.used(table);
            if used > layout.records(table) {
                return Err(Malformed.at(Table::LEDGER.at(0, 0)));
            }
            let mut generations = Vec::with_capacity(used as usize);
            file.each(table, 0..used, &mut |place, contents, other| {
                generations.push(place.generation);
                bad += u64::from(table.copies() == Copies::InTurn && other.may_lack_a_version());
                take(place, contents, other)
            })?;
            if let Some(last) = used.checked_sub(1) {
                file.probe(table, last);
            }
            read.add(table, generations.iter().sum::<u64>());
            *file.generations_of(table) = generations;
        }
        file.check_versions(&read, bad)?;
        file.mend(&header)?;
        Ok(file)
    }

    /// The division of a file, which its header shows without the KEK.
    ///
    /// # Errors
    /// Neither copy of the header is good.
    pub fn layout_of(storage: &dyn Storage, tables: &'static [Table]) -> Result<Layout, OpenError> {
        Header::find(storage, tables, &mut Vec::new()).map(|(_, layout)| layout)
    }

    /// Checks that the records in the file belong to its ledger. Each bad copy of a record that is
    /// written in turn may have had one more version.
    fn check_versions(&mut self, read: &Ledger, bad: u64) -> Result<(), OpenError> {
        let expected = mem::replace(&mut self.ledger.paired, read.paired);
        if read.paired != expected {
            return Err(OpenError::Mixed {
                expected,
                got: read.paired,
            });
        }
        let expected = mem::replace(&mut self.ledger.in_turn, read.in_turn);
        self.is_complete = read.in_turn >= expected;
        if read.in_turn + bad < expected {
            return Err(OpenError::PutBack {
                expected,
                got: read.in_turn,
            });
        }
        Ok(())
    }

    /// Finishes an interrupted transaction.
    ///
    /// The journal is never cleared. A version in it is ignored if its record has reached or passed
    /// that version. If both copies of the journal are bad, its own writing was interrupted, and no
    /// other record was touched; whether that is true, the count of versions shows.
    fn finish_transaction(&mut self) -> Result<(), OpenError> {
        let found = match self.find(Table::JOURNAL, 0) {
            Ok(found) => found,
            Err(Unpicked::Both(bad)) if !self.is_foreign(bad.faults) => {
                for (half, fault) in (0..).zip(bad.faults) {
                    self.note((Table::JOURNAL, 0, half), fault);
                }
                *self.generations_of(Table::JOURNAL) = vec![FIRST];
                return Ok(());
            }
            Err(_) => return Err(OpenError::Foreign),
        };
        if let Some((half, fault)) = found.fault {
            self.note((Table::JOURNAL, 0, half), fault);
        }
        *self.generations_of(Table::JOURNAL) = vec![found.generation];
        let records = journal::split(self.layout(), &found.contents);
        let records = records.ok_or_else(|| Malformed.at(Table::JOURNAL.at(0, 0)))?;
        let mut newer = Vec::new();
        for (first, contents) in records {
            if self.is_newer(first)? {
                self.probe(first.table, first.index);
                newer.push(self.sealer.seal(first, &contents));
                newer.push(self.sealer.seal(first.next(), &contents));
            }
        }
        if !newer.is_empty() {
            self.mend_blocks()?;
            if found.fault.is_some() {
                // Once the records are written, the transaction must not hang on one copy.
                self.mend_record(Table::JOURNAL, 0)?;
                self.storage.sync()?;
            }
            self.put(&newer)?;
        }
        Ok(())
    }

    /// Whether the pair of versions in the journal, of which `first` is the first, is newer than
    /// what is in the record's place.
    fn is_newer(&mut self, first: Place) -> Result<bool, OpenError> {
        let Place { table, index, .. } = first;
        let journal = first.generation;
        let (got, least) = match self.find(table, index) {
            Ok(found) if found.generation > journal + 1 => return Ok(false),
            Ok(found) if found.generation >= journal => {
                let is_first = found.generation == journal;
                let is_newer = is_first || found.is_half_done(first);
                if let Some((half, fault)) = found.fault
                    && is_newer
                    && !matches!(fault, CopyFault::Torn | CopyFault::Stale(_))
                {
                    self.note((table, index, half), fault);
                }
                return Ok(is_newer);
            }
            Ok(found) if table.copies() == Copies::Paired || !found.other.may_lack_a_version() => {
                (found.generation, journal.saturating_sub(1))
            }
            Ok(found) => (found.generation, journal.saturating_sub(2)),
            Err(Unpicked::Differ(generations)) => {
                let newest = generations.into_iter().max().unwrap_or_default();
                if newest > journal + 1 {
                    return Err(differ(table, index, generations));
                }
                return Ok(true);
            }
            Err(Unpicked::Both(bad)) => {
                let only_transactions = table.is_counted() && table.copies() == Copies::Paired;
                if only_transactions || was_interrupted(first, bad.claims) {
                    return Ok(true);
                }
                return Err(both_bad(table, index, bad.faults));
            }
        };
        if got < least {
            return Err(OpenError::Lost {
                journal: first,
                got,
            });
        }
        Ok(true)
    }

    /// If nothing is authentic, the records belong to another file.
    fn is_foreign(&mut self, journal: [CopyFault; 2]) -> bool {
        let unauthentic = |faults| faults == [CopyFault::Corrupt, CopyFault::Corrupt];
        let first = self.layout().tables.first().copied();
        unauthentic(journal)
            && [Some(Table::LEDGER), first]
                .into_iter()
                .flatten()
                .all(|table| match self.find(table, 0) {
                    Err(Unpicked::Both(bad)) => unauthentic(bad.faults),
                    _ => false,
                })
    }

    fn read_ledger(&mut self) -> Result<(), OpenError> {
        let table = Table::LEDGER;
        let found = match self.find(table, 0) {
            Ok(found) => found,
            Err(unpicked) => return Err(unpicked.error(table, 0)),
        };
        if let Some((half, fault)) = found.fault {
            self.note((table, 0, half), fault);
        }
        *self.generations_of(table) = vec![found.generation];
        self.probe(table, 0);
        self.ledger = Ledger::decode(table.at(0, found.generation), &found.contents)?;
        Ok(())
    }

    /// Writes the bad copies of records again that only transactions write, with one sync, from
    /// their good ones.
    fn mend(&mut self, header: &Header) -> Result<(), OpenError> {
        if self.damage.is_empty() && self.unreadable.is_empty() {
            return Ok(());
        }
        self.mend_blocks()?;
        for half in 0..2_u8 {
            if self.damage.contains(&Damage::Header { half }) {
                let offset = u64::from(half) * self.layout().half();
                header.put(&mut *self.storage, offset)?;
            }
        }
        for table in self.layout().all() {
            let used = self.generations_of(table).len() as u32;
            if table.copies() == Copies::Paired {
                (0..used).try_for_each(|index| self.mend_record(table, index))?;
            }
        }
        self.storage.sync()?;
        Ok(())
    }

    fn mend_record(&mut self, table: Table, index: u32) -> Result<(), OpenError> {
        let (bad, generation, contents) = match self.find(table, index) {
            Ok(Found { fault: None, .. }) => return Ok(()),
            Ok(Found {
                fault: Some((half, _)),
                generation,
                contents,
                ..
            }) => (half..=half, generation, contents),
            // No transaction needs it any more.
            Err(_) if table == Table::JOURNAL => (0..=1, FIRST, journal::record(&[]).contents),
            Err(unpicked) => return Err(unpicked.error(table, index)),
        };
        for half in bad {
            let place = table.at(index, (generation & !1) | u64::from(half));
            let sealed = self.sealer.seal(place, &contents);
            sealed.put(&mut *self.storage, self.sealer.layout)?;
        }
        Ok(())
    }

    /// Writes the blocks that can't be read, since a medium refuses to change a part of them. What
    /// can be read of one stays as it is, and zeros take the place of the rest. The caller syncs.
    fn mend_blocks(&mut self) -> std::io::Result<()> {
        for block in mem::take(&mut self.unreadable) {
            let mut octets = vec![0; BLOCK as usize];
            for (at, sector) in (block..).step_by(SECTOR).zip(octets.chunks_mut(SECTOR)) {
                if self.storage.read_exact_at(sector, at).is_err() {
                    sector.fill(0);
                }
            }
            self.storage.write_all_at(&octets, block)?;
        }
        Ok(())
    }

    /// The copy of one record that counts.
    fn find(&mut self, table: Table, index: u32) -> Result<Found, Unpicked> {
        let length = table.record_length();
        let mut halves = [0, 1].map(|_| Zeroizing::new(vec![0; length]));
        let mut readable = [true; 2];
        for (half, octets) in (0..).zip(&mut halves) {
            readable[half as usize] = self.read_record((table, index, half), octets);
        }
        let [a, b] = &mut halves;
        let copies = [
            readable[0].then_some(a.as_mut_slice()),
            readable[1].then_some(b.as_mut_slice()),
        ];
        let picked = Pair::new(&self.sealer, table, index).pick(copies)?;
        Ok(Found {
            generation: picked.generation,
            contents: Zeroizing::new(picked.contents.to_vec()),
            other: picked.other,
            claims: picked.claims,
            fault: picked.fault,
        })
    }

    /// Gives the copy that counts of each record of a range to `take`.
    fn each(
        &mut self,
        table: Table,
        range: Range<u32>,
        take: &mut Take<'_>,
    ) -> Result<(), OpenError> {
        let distance = table.distance();
        let at_once = (CHUNK / distance).min(range.len());
        let mut halves = [0, 1].map(|_| Zeroizing::new(vec![0; at_once * distance]));
        for first in range.clone().step_by(at_once.max(1)) {
            let count = at_once.min((range.end - first) as usize);
            let mut unreadable = [Vec::new(), Vec::new()];
            for (half, octets) in (0..).zip(&mut halves) {
                octets.truncate(count * distance);
                unreadable[half as usize] = self.read_chunk((table, first, half), octets);
            }
            let [a, b] = &mut halves;
            let copies = a.chunks_mut(distance).zip(b.chunks_mut(distance));
            for (index, (a, b)) in (first..).zip(copies) {
                let copy = |half: usize, octets| -> Copy<'_> {
                    let octets: &mut [u8] = octets;
                    let readable = !unreadable[half].contains(&index);
                    readable.then(|| &mut octets[..table.record_length()])
                };
                let pair = Pair::new(&self.sealer, table, index);
                let picked = pair.pick([copy(0, a), copy(1, b)]);
                let Picked {
                    generation,
                    contents,
                    other,
                    fault,
                    ..
                } = picked.map_err(|unpicked| unpicked.error(table, index))?;
                take(table.at(index, generation), contents, other)?;
                if let Some((half, fault)) = fault {
                    self.note((table, index, half), fault);
                }
            }
        }
        Ok(())
    }

    /// Reads adjacent copies, and returns which of them can't be read.
    fn read_chunk(
        &mut self,
        (table, first, half): (Table, u32, u8),
        octets: &mut [u8],
    ) -> Vec<u32> {
        let offset = self.layout().offset(table, first, half.into());
        if self.storage.read_exact_at(octets, offset).is_ok() {
            return Vec::new();
        }
        let copies = (first..).zip(octets.chunks_mut(table.distance()));
        let unreadable = copies.filter_map(|(index, copy)| {
            let readable = self.read_record((table, index, half), copy);
            (!readable).then_some(index)
        });
        unreadable.collect()
    }

    /// Reads a copy, and returns whether it can be read.
    fn read_record(&mut self, (table, index, half): (Table, u32, u8), octets: &mut [u8]) -> bool {
        let offset = self.layout().offset(table, index, half.into());
        let length = table.record_length();
        let readable = self.storage.read_exact_at(&mut octets[..length], offset);
        if readable.is_err() {
            self.unreadable.extend(blocks(offset, length));
        }
        readable.is_ok()
    }

    /// Notes which blocks with a record's copies can't be read, even if the copies can.
    fn probe(&mut self, table: Table, index: u32) {
        let mut octets = [0; BLOCK as usize];
        for half in [0, 1] {
            let offset = self.layout().offset(table, index, half);
            for block in blocks(offset, table.record_length()) {
                if self.storage.read_exact_at(&mut octets, block).is_err() {
                    self.unreadable.insert(block);
                }
            }
        }
    }

    fn note(&mut self, (table, index, half): (Table, u32, u8), fault: CopyFault) {
        if self.damage.len() < MAX_DAMAGE {
            self.damage.push(Damage::Record {
                table,
                index,
                half,
                fault,
            });
        }
    }
}

/// The blocks in which octets of the file lie.
fn blocks(offset: u64, length: usize) -> impl Iterator<Item = u64> {
    let blocks = offset / BLOCK..(offset + length as u64).div_ceil(BLOCK);
    blocks.map(|block| block * BLOCK)
}

impl Found {
    /// Whether this is the second version of a pair, of which the first one was not written in
    /// full. In its place is then the version that the transaction found there.
    fn is_half_done(&self, first: Place) -> bool {
        let older = matches!(self.fault, Some((_, CopyFault::Stale(of))) if of.generation + 2 == first.generation);
        let begun = self.claims[usize::from(first.half())].is_begun(first.generation);
        older || begun && self.other != Other::Sound
    }
}

/// Whether the transaction in the journal was interrupted while it wrote a record of which both
/// copies are bad, so that no later version was written. The medium may have written any part of a
/// copy first.
fn was_interrupted(first: Place, claims: [Claim; 2]) -> bool {
    let second = first.next();
    let [a, b] = [first, second].map(|place| claims[usize::from(place.half())]);
    if a.is_later(first.generation) || b.is_later(second.generation) {
        return false;
    }
    // A later version would have been the first one's successor in its place. Zeros claim nothing.
    let is_claimed = a.begins.is_some() || a.ends > Some(0);
    let before = second.generation.checked_sub(2);
    let is_unfinished = [b.begins, b.ends].contains(&before)
        && [b.begins, b.ends]
            .iter()
            .all(|claim| *claim == before || *claim == Some(second.generation));
    is_claimed || is_unfinished
}

impl Unpicked {
    fn error(self, table: Table, index: u32) -> OpenError {
        match self {
            Self::Both(bad) => both_bad(table, index, bad.faults),
            Self::Differ(generations) => differ(table, index, generations),
        }
    }
}

fn both_bad(table: Table, index: u32, faults: [CopyFault; 2]) -> OpenError {
    OpenError::BothCopies {
        table,
        index,
        faults,
    }
}

fn differ(table: Table, index: u32, generations: [u64; 2]) -> OpenError {
    OpenError::Differ {
        table,
        index,
        generations,
    }
}
