//! Reads a vault: the newest good copy of each record, and a transaction that a power cut left half done.

use std::io;

use chacha20poly1305::XChaCha20Poly1305;
use zeroize::Zeroizing;

use super::{
    Damage, Kek, OpenError,
    contents::Contents,
    header::{Header, HeaderFault},
    layout::{Layout, Table},
    record::{self, CopyFault, Place},
    storage::Storage,
    write_copy,
};

/// A record's newest version, decoded.
#[derive(Debug)]
pub(super) struct Versioned<T> {
    pub(super) generation: u64,
    pub(super) value: T,
}

/// The contents of a good copy.
struct Version {
    generation: u64,
    contents: Zeroizing<Vec<u8>>,
}

/// A vault that is being opened.
pub(super) struct Loader<'s, S> {
    storage: &'s mut S,
    pub(super) layout: Layout,
    pub(super) cipher: XChaCha20Poly1305,
    pub(super) damage: Vec<Damage>,
}

impl<'s, S: Storage> Loader<'s, S> {
    /// Reads the header and opens the data key.
    pub(super) fn start(storage: &'s mut S, kek: &Kek) -> Result<Self, OpenError> {
        let mut damage = Vec::new();
        let header = read_header(storage, &mut damage)?;
        let layout = header.layout();
        let (expected, came) = (layout.file_length(), storage.length()?);
        if came != expected {
            return Err(OpenError::Length { expected, came });
        }
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
        let journal = self.newest(Table::Journal, 0)?;
        let copies = split_journal(&journal.contents).ok_or(OpenError::Malformed {
            table: Table::Journal,
            index: 0,
        })?;
        let mut written = false;
        for (place, copy) in copies {
            let came = self.newest(place.table, place.index)?.generation;
            if place.generation > came + 1 {
                return Err(OpenError::Lost {
                    journal: place,
                    came,
                });
            }
            if place.generation == came + 1 {
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
        Ok(journal.generation)
    }

    /// The record's newest version.
    pub(super) fn load<T: Contents>(&mut self, index: u32) -> Result<Versioned<T>, OpenError> {
        let Version {
            generation,
            contents,
        } = self.newest(T::TABLE, index)?;
        match T::decode(&contents) {
            Ok(value) => Ok(Versioned { generation, value }),
            Err(_) => Err(OpenError::Malformed {
                table: T::TABLE,
                index,
            }),
        }
    }

    /// All records of a table.
    pub(super) fn load_all<T: Contents>(&mut self) -> Result<Vec<Versioned<T>>, OpenError> {
        (0..self.layout.records(T::TABLE))
            .map(|index| self.load(index))
            .collect()
    }

    /// The newer good copy.
    fn newest(&mut self, table: Table, index: u32) -> Result<Version, OpenError> {
        match (self.copy(table, index, 0)?, self.copy(table, index, 1)?) {
            (Ok(a), Ok(b)) => {
                let (newer, older, half) = if a.generation > b.generation {
                    (a, b, 1)
                } else {
                    (b, a, 0)
                };
                if newer.generation != older.generation + 1 {
                    let generation = older.generation;
                    let stale = Place {
                        table,
                        index,
                        generation,
                    };
                    self.note(table, index, half, CopyFault::Stale(stale));
                }
                Ok(newer)
            }
            (Ok(good), Err(fault)) => {
                self.note(table, index, 1, fault);
                Ok(good)
            }
            (Err(fault), Ok(good)) => {
                self.note(table, index, 0, fault);
                Ok(good)
            }
            (Err(a), Err(b)) => Err(OpenError::BothCopies {
                table,
                index,
                faults: [a, b],
            }),
        }
    }

    /// One copy, if it is whole and in its place; the outer error is the medium's.
    fn copy(&self, table: Table, index: u32, half: u64) -> io::Result<Result<Version, CopyFault>> {
        let mut octets = vec![0; table.record_length()];
        let offset = self.layout.offset(table, index, half);
        self.storage.read_exact_at(&mut octets, offset)?;
        Ok(
            record::open(&self.cipher, &octets).and_then(|(place, contents)| {
                if (place.table, place.index, place.copy()) == (table, index, half) {
                    Ok(Version {
                        generation: place.generation,
                        contents,
                    })
                } else {
                    Err(CopyFault::Misplaced(place))
                }
            }),
        )
    }

    fn note(&mut self, table: Table, index: u32, half: u8, fault: CopyFault) {
        let damage = Damage::Record {
            table,
            index,
            half,
            fault,
        };
        if !self.damage.contains(&damage) {
            self.damage.push(damage);
        }
    }
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
fn split_journal(contents: &[u8]) -> Option<Vec<(Place, &[u8])>> {
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

/// The header's first whole copy.
fn read_header(storage: &impl Storage, damage: &mut Vec<Damage>) -> Result<Header, OpenError> {
    let length = storage.length()?;
    let fault = match header_at(storage, 0)? {
        Ok(header) => return with_second_copy_checked(storage, header, damage),
        Err(HeaderFault::Format(came)) => return Err(OpenError::format(came)),
        Err(fault) => fault,
    };
    // The second copy lies in the middle, where only the file's length tells.
    match header_at(storage, length / 2)? {
        Ok(header) => {
            damage.push(Damage::Header { half: 0 });
            Ok(header)
        }
        Err(HeaderFault::Format(came)) => Err(OpenError::format(came)),
        Err(other) if fault == HeaderFault::NotAVault && other == HeaderFault::NotAVault => {
            Err(OpenError::NotAVault)
        }
        Err(_) => Err(OpenError::HeaderDamaged),
    }
}

fn with_second_copy_checked(
    storage: &impl Storage,
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
fn header_at(
    storage: &impl Storage,
    offset: u64,
) -> Result<Result<Header, HeaderFault>, OpenError> {
    if storage.length()? < offset + Header::LENGTH as u64 {
        return Ok(Err(HeaderFault::NotAVault));
    }
    let mut octets = [0; Header::LENGTH];
    storage.read_exact_at(&mut octets, offset)?;
    Ok(Header::read(octets))
}
