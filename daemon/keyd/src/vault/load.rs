//! Reads a vault: the newest good copy of each record, and a transaction that a power cut left half
//! done.
//!
//! Copies come in chunks of many, and of each two only the newer one is decrypted, as far as their
//! clear heads tell. A head is believed only once its copy is authentic: of a copy that turns out
//! not to be, and of an older one that isn't the version just before, the other is decrypted too.

use std::ops::Range;

use chacha20poly1305::XChaCha20Poly1305;
use zeroize::Zeroizing;

use super::aliases::Aliases;
use super::contents::{Burial, Contents, Device, Identities, Ledger, Sequence, StoredProfile};
use super::header::{Header, HeaderFault};
use super::layout::{Layout, Table};
use super::record::{self, CopyFault, Place};
use super::storage::Storage;
use super::store::{Graves, Profiles};
use super::{Damage, Kek, OpenError, write_copy};

/// How much of each half is read at once, in octets: no less than the longest record.
const CHUNK: usize = 32 << 10;

/// A record's newest version, decoded.
#[derive(Debug)]
pub(super) struct Versioned<T> {
    pub(super) generation: u64,
    pub(super) value: T,
}

/// A good copy, and what is wrong with the other one, by its half.
struct Picked<'c> {
    generation: u64,
    contents: &'c [u8],
    fault: Option<(u8, CopyFault)>,
}

/// A vault that is being opened.
pub(super) struct Loader<'s> {
    storage: &'s mut dyn Storage,
    pub(super) layout: Layout,
    pub(super) cipher: XChaCha20Poly1305,
    pub(super) damage: Vec<Damage>,
}

impl<'s> Loader<'s> {
    /// Reads the header and opens the data key.
    pub(super) fn start(storage: &'s mut dyn Storage, kek: &Kek) -> Result<Self, OpenError> {
        let mut damage = Vec::new();
        let header = checked_header(storage, &mut damage)?;
        let layout = header.layout();
        let cipher = header.unseal(kek)?;
        Ok(Self {
            storage,
            layout,
            cipher,
            damage,
        })
    }

    /// Writes what a cut-off transaction still owed, and tells the journal's generation.
    ///
    /// The journal is never cleared: versions that a record has reached or passed are left alone.
    pub(super) fn finish_transaction(&mut self) -> Result<u64, OpenError> {
        let mut journal = Zeroizing::new(Vec::new());
        let mut journal_generation = 0;
        let read = self.each(Table::Journal, 0..1, |_, generation, contents| {
            journal_generation = generation;
            journal.extend_from_slice(contents);
            Ok(())
        });
        read.map_err(|error| self.foreign_or(error))?;
        let copies = split_journal(&journal).ok_or(OpenError::Malformed {
            table: Table::Journal,
            index: 0,
        })?;
        let mut written = false;
        for (place, copy) in copies {
            let got = self.generation(place.table, place.index)?;
            if place.generation > got + 1 {
                return Err(OpenError::Lost {
                    journal: place,
                    got,
                });
            }
            if place.generation == got + 1 {
                write_copy(self.storage, self.layout, copy)?;
                written = true;
            }
        }
        if written {
            self.storage.sync()?;
        }
        // Loading notes what is still bad.
        self.damage
            .retain(|damage| damage.table().is_none_or(|table| table == Table::Journal));
        Ok(journal_generation)
    }

    /// The only record of a table.
    pub(super) fn load<T: Contents>(&mut self) -> Result<Versioned<T>, OpenError> {
        let mut loaded = None;
        self.each(T::TABLE, 0..1, |index, generation, contents| {
            let value = decode(index, contents)?;
            loaded = Some(Versioned { generation, value });
            Ok(())
        })?;
        Ok(loaded.expect("each takes every record of its range"))
    }

    /// Whether a copy of the device's record has another sealing key than this newest one: a
    /// rotation was cut off before it had written over the key before.
    pub(super) fn has_another_sealing_key(&mut self, newest: &Device) -> Result<bool, OpenError> {
        let table = Table::Device;
        let sealing = |device: &Device| device.keys.as_ref().map(|keys| keys.sealing.clone());
        let newest = sealing(newest);
        for half in [0, 1] {
            let mut copy = Zeroizing::new(vec![0; table.record_length()]);
            let offset = self.layout.offset(table, 0, half.into());
            self.storage.read_exact_at(&mut copy, offset)?;
            if let Ok((_, contents)) = open_at(&self.cipher, table, 0, half, &mut copy) {
                let found = sealing(&decode(0, contents)?);
                if found.is_some() && found != newest {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The profiles with their sequence numbers.
    pub(super) fn profiles(&mut self, ledger: &Ledger) -> Result<Profiles, OpenError> {
        let capacity = self.layout.records(Table::Profile);
        let count = within(ledger.slots, capacity)?;
        let mut profiles = Profiles::new(capacity, count);
        self.each(Table::Profile, 0..count, |index, generation, contents| {
            let stored = decode::<Option<Box<StoredProfile>>>(index, contents)?;
            profiles.load(generation, stored);
            Ok(())
        })?;
        self.each(Table::Sequence, 0..count, |index, generation, contents| {
            profiles.load_sequence(index, generation, decode::<Sequence>(index, contents)?)
        })?;
        Ok(profiles)
    }

    /// The tombstones.
    pub(super) fn graves(&mut self, ledger: &Ledger) -> Result<Graves, OpenError> {
        let capacity = self.layout.records(Table::Tombstone);
        let count = within(ledger.graves, capacity)?;
        let mut graves = Graves::new(capacity, count);
        self.each(Table::Tombstone, 0..count, |index, generation, contents| {
            graves.load(generation, decode::<Option<Box<Burial>>>(index, contents)?);
            Ok(())
        })?;
        Ok(graves)
    }

    /// The names of these profiles.
    pub(super) fn aliases(
        &mut self,
        ledger: &Ledger,
        profiles: &Profiles,
    ) -> Result<Aliases, OpenError> {
        let table = Table::Identities;
        let capacity = self.layout.records(table);
        let count = within(ledger.aliases, capacity)?;
        let mut aliases = Aliases::new(capacity, count);
        self.each(table, 0..count, |index, generation, contents| {
            let identities = decode::<Option<Box<Identities>>>(index, contents)?;
            aliases.load(generation, identities, profiles)
        })?;
        let lost = (self.damage.iter()).filter_map(|damage| damage.lost_of(table));
        lost.for_each(|index| aliases.distrust(index));
        aliases.mend(profiles);
        Ok(aliases)
    }

    /// Where nothing is authentic, the records are of another vault.
    fn foreign_or(&mut self, error: OpenError) -> OpenError {
        let unauthentic = |error: &OpenError| {
            let faults = [CopyFault::Corrupt, CopyFault::Corrupt];
            matches!(error, OpenError::BothCopies { faults: got, .. } if *got == faults)
        };
        let mut all = unauthentic(&error);
        for table in [Table::Ledger, Table::Device] {
            all &= self
                .generation(table, 0)
                .err()
                .is_some_and(|error| unauthentic(&error));
        }
        if all { OpenError::Foreign } else { error }
    }

    fn generation(&mut self, table: Table, index: u32) -> Result<u64, OpenError> {
        let mut got = 0;
        self.each(table, index..index.saturating_add(1), |_, generation, _| {
            got = generation;
            Ok(())
        })?;
        Ok(got)
    }

    /// Hands over the newest good version of each record of a range: index, generation, contents.
    fn each(
        &mut self,
        table: Table,
        range: Range<u32>,
        mut take: impl FnMut(u32, u64, &[u8]) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let length = table.record_length();
        let at_once = (CHUNK / length).min(range.len());
        let mut halves = [0, 1].map(|_| Zeroizing::new(vec![0; at_once * length]));
        for first in range.clone().step_by(at_once.max(1)) {
            let count = at_once.min((range.end - first) as usize);
            for (half, octets) in (0..).zip(&mut halves) {
                octets.truncate(count * length);
                let offset = self.layout.offset(table, first, half);
                self.storage.read_exact_at(octets, offset)?;
            }
            let [a, b] = &mut halves;
            let copies = a.chunks_exact_mut(length).zip(b.chunks_exact_mut(length));
            for (index, (a, b)) in (first..).zip(copies) {
                let picked = pick(&self.cipher, table, index, [a, b]).map_err(|faults| {
                    OpenError::BothCopies {
                        table,
                        index,
                        faults,
                    }
                })?;
                if let Some((half, fault)) = picked.fault {
                    note(&mut self.damage, table, index, half, fault);
                }
                take(index, picked.generation, picked.contents)?;
            }
        }
        Ok(())
    }
}

fn decode<T: Contents>(index: u32, contents: &[u8]) -> Result<T, OpenError> {
    T::decode(contents).map_err(|_| OpenError::Malformed {
        table: T::TABLE,
        index,
    })
}

/// How many records the ledger says there are; more than there is room for is not what this program
/// writes.
fn within(count: u32, capacity: u32) -> Result<u32, OpenError> {
    if count > capacity {
        return Err(OpenError::Malformed {
            table: Table::Ledger,
            index: 0,
        });
    }
    Ok(count)
}

fn note(damage: &mut Vec<Damage>, table: Table, index: u32, half: u8, fault: CopyFault) {
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

/// The newer good one of a record's two copies; both faults where neither is good.
fn pick<'c>(
    cipher: &XChaCha20Poly1305,
    table: Table,
    index: u32,
    [a, b]: [&'c mut [u8]; 2],
) -> Result<Picked<'c>, [CopyFault; 2]> {
    let claims = [claim(table, index, 0, a), claim(table, index, 1, b)];
    let (newer, older, half) = if claims[0] > claims[1] {
        (a, b, 0)
    } else {
        (b, a, 1)
    };
    let other = 1 - half;
    match open_at(cipher, table, index, half, newer) {
        Ok((generation, contents)) => {
            let follows = |older| generation.checked_sub(1) == Some(older);
            let fault = match claims[usize::from(other)] {
                Some(older) if follows(older) => None,
                _ => match open_at(cipher, table, index, other, older) {
                    Ok((generation, _)) => Some(CopyFault::Stale(Place {
                        table,
                        index,
                        generation,
                    })),
                    Err(fault) => Some(fault),
                },
            };
            Ok(Picked {
                generation,
                contents,
                fault: fault.map(|fault| (other, fault)),
            })
        }
        Err(fault) => match open_at(cipher, table, index, other, older) {
            Ok((generation, contents)) => Ok(Picked {
                generation,
                contents,
                fault: Some((half, fault)),
            }),
            Err(second) if half == 0 => Err([fault, second]),
            Err(second) => Err([second, fault]),
        },
    }
}

/// The generation that a copy claims, if it claims to be in its place.
fn claim(table: Table, index: u32, half: u8, copy: &[u8]) -> Option<u64> {
    record::claim(copy)
        .filter(|place| belongs(*place, table, index, half))
        .map(|place| place.generation)
}

/// A copy, if it is whole and in its place.
fn open_at<'c>(
    cipher: &XChaCha20Poly1305,
    table: Table,
    index: u32,
    half: u8,
    copy: &'c mut [u8],
) -> Result<(u64, &'c [u8]), CopyFault> {
    let (place, contents) = record::open(cipher, copy)?;
    if belongs(place, table, index, half) {
        Ok((place.generation, contents))
    } else {
        Err(CopyFault::Misplaced(place))
    }
}

fn belongs(place: Place, table: Table, index: u32, half: u8) -> bool {
    (place.table, place.index, place.copy()) == (table, index, u64::from(half))
}

/// The contents of a journal that holds these copies.
pub(super) fn join_journal(copies: &[Vec<u8>]) -> Zeroizing<Vec<u8>> {
    let mut contents = Zeroizing::new(Vec::with_capacity(Table::Journal.record_length()));
    contents.push(copies.len() as u8);
    copies
        .iter()
        .for_each(|copy| contents.extend_from_slice(copy));
    contents
}

/// The copies in a journal, with their places.
pub(super) fn split_journal(contents: &[u8]) -> Option<Vec<(Place, &[u8])>> {
    let (count, mut rest) = contents.split_first()?;
    let mut copies = Vec::new();
    for _ in 0..*count {
        let place = Place::from_head(rest)?;
        let (copy, left) = rest.split_at_checked(place.table.record_length())?;
        copies.push((place, copy));
        rest = left;
    }
    rest.iter().all(|octet| *octet == 0).then_some(copies)
}

/// The header, in a file of the length that it claims.
pub(super) fn checked_header(
    storage: &dyn Storage,
    damage: &mut Vec<Damage>,
) -> Result<Header, OpenError> {
    let header = read_header(storage, damage)?;
    let (expected, got) = (header.layout().file_length(), storage.length()?);
    if got != expected {
        return Err(OpenError::Length { expected, got });
    }
    Ok(header)
}

/// The header's first whole copy.
fn read_header(storage: &dyn Storage, damage: &mut Vec<Damage>) -> Result<Header, OpenError> {
    let length = storage.length()?;
    let fault = match header_at(storage, 0)? {
        Ok(header) => return with_second_copy_checked(storage, header, damage),
        Err(HeaderFault::Format(got)) => return Err(OpenError::format(got)),
        Err(fault) => fault,
    };
    // The second copy lies in the middle, where only the file's length tells.
    match header_at(storage, length / 2)? {
        Ok(header) => {
            damage.push(Damage::Header { half: 0 });
            Ok(header)
        }
        Err(HeaderFault::Format(got)) => Err(OpenError::format(got)),
        Err(other) if fault == HeaderFault::NotAVault && other == HeaderFault::NotAVault => {
            Err(OpenError::NotAVault)
        }
        Err(_) => Err(OpenError::HeaderDamaged),
    }
}

fn with_second_copy_checked(
    storage: &dyn Storage,
    header: Header,
    damage: &mut Vec<Damage>,
) -> Result<Header, OpenError> {
    let second = header_at(storage, header.layout().half())?;
    if !second.is_ok_and(|second| second.as_bytes() == header.as_bytes()) {
        damage.push(Damage::Header { half: 1 });
    }
    Ok(header)
}

/// The header at an offset; behind the end of the file there is none.
fn header_at(storage: &dyn Storage, offset: u64) -> Result<Result<Header, HeaderFault>, OpenError> {
    if storage.length()? < offset + Header::LENGTH as u64 {
        return Ok(Err(HeaderFault::NotAVault));
    }
    let mut octets = [0; Header::LENGTH];
    storage.read_exact_at(&mut octets, offset)?;
    Ok(Header::read(octets))
}
