//! Why a file doesn't open, and what is wrong with its copies.

use std::io;

use super::table::{Place, Table};

/// Why a vault doesn't open. It is never reset: whoever runs the device decides.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The medium failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Another process holds it.
    #[error("another process holds it")]
    Locked,
    /// It was to be made, and there is one.
    #[error("there is one already")]
    Exists,
    /// It was to become smaller.
    #[error("expected room for {expected} profiles or more, got {got}")]
    Smaller {
        /// The room that it has.
        expected: u32,
        /// The room that it was to have.
        got: u32,
    },
    /// The file is something else.
    #[error("expected a vault, got another file")]
    NotAVault,
    /// It has another format number.
    #[error("expected format {expected}, got {got}")]
    Format {
        /// The one that is read.
        expected: u16,
        /// The file's.
        got: u16,
    },
    /// Neither copy of the header is good.
    #[error("both copies of the header are damaged")]
    HeaderDamaged,
    /// The header is whole, and was made with another KEK.
    #[error("expected the key-encryption key it was made with, got another")]
    WrongKek,
    /// The header is good, and none of the records is of its data key.
    #[error("expected records under the header's data key, got those of another vault")]
    Foreign,
    /// The file was cut off or made longer.
    #[error("expected {expected} octets, got {got}")]
    Length {
        /// What the header says.
        expected: u64,
        /// What it is.
        got: u64,
    },
    /// Neither copy of a record is good.
    #[error("{table:?} {index}: both copies are bad; A: {}; B: {}", .faults[0], .faults[1])]
    BothCopies {
        /// The kind of record.
        table: Table,
        /// Which one of its kind.
        index: u32,
        /// What is wrong with the copy in each half.
        faults: [CopyFault; 2],
    },
    /// The journal's version of a record is ahead of it by more than the one step that a power cut
    /// can lose.
    #[error("expected the version before {journal}, got generation {got}")]
    Lost {
        /// What the journal has.
        journal: Place,
        /// The newest generation of the record itself.
        got: u64,
    },
    /// A record is older than another one that was written with it.
    #[error("{table:?} {index}: expected generation {expected} or later, got {got}")]
    Outdated {
        /// The kind of record.
        table: Table,
        /// Which one of its kind.
        index: u32,
        /// The oldest generation that it may be.
        expected: u64,
        /// Its generation.
        got: u64,
    },
    /// There are fewer versions of records than were written.
    #[error("records were put back: expected {expected} versions or more, got {got}")]
    PutBack {
        /// How many were written at least.
        expected: u64,
        /// How many there are.
        got: u64,
    },
    /// The anchor outside of the vault can't be used.
    #[error("its anchor: {0}")]
    Anchor(io::Error),
    /// The anchor has a later epoch: the vault is an old copy.
    #[error("an old copy was put back: expected epoch {expected} or the next, got {got}")]
    RolledBack {
        /// The anchor's epoch.
        expected: u64,
        /// The vault's.
        got: u64,
    },
    /// The anchor has a much earlier epoch.
    #[error(
        "its anchor is another's or was made anew: expected epoch {expected} or the one before, got {got}"
    )]
    AnchorReset {
        /// The vault's epoch, or the one before.
        expected: u64,
        /// The anchor's.
        got: u64,
    },
    /// A record is authentic, and not what this program writes.
    #[error("{table:?} {index} is authentic and malformed")]
    Malformed {
        /// The kind of record.
        table: Table,
        /// Which one of its kind.
        index: u32,
    },
    /// A record is authentic, and of another version of its type.
    #[error("{table:?} {index}: expected version {expected} of such records, got {got}")]
    RecordVersion {
        /// The kind of record.
        table: Table,
        /// Which one of its kind.
        index: u32,
        /// The version that is read.
        expected: u8,
        /// The record's.
        got: u8,
    },
}

/// Authentic octets that aren't what this program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Malformed {
    /// The error of the record in which they are.
    pub fn at(self, Place { table, index, .. }: Place) -> OpenError {
        OpenError::Malformed { table, index }
    }
}

/// A bad copy for which a good one stood in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// One copy of the header, by its half.
    #[error("header, copy {}: it is damaged", name(*.half))]
    Header {
        /// 0 (A) or 1 (B).
        half: u8,
    },
    /// One copy of a record.
    #[error("{table:?} {index}, copy {}: {fault}", name(*.half))]
    Record {
        /// The kind of record.
        table: Table,
        /// Which one of its kind.
        index: u32,
        /// 0 (A) or 1 (B).
        half: u8,
        /// What is wrong with it.
        fault: CopyFault,
    },
}

impl Damage {
    /// The record of a table whose newest version may be lost, though no power cut tore it: then no
    /// answer had left.
    pub fn lost_of(&self, of: Table) -> Option<u32> {
        match *self {
            Self::Record {
                table,
                index,
                fault: CopyFault::Corrupt | CopyFault::Misplaced(_),
                ..
            } if table == of => Some(index),
            _ => None,
        }
    }

    /// Whether the bad copy may have been the newer one of a record whose versions are counted.
    pub(super) fn may_have_lost(&self) -> bool {
        match self {
            Self::Header { .. } => false,
            Self::Record { table, fault, .. } => {
                table.is_counted() && !matches!(fault, CopyFault::Stale(_))
            }
        }
    }
}

/// The name of a half.
fn name(half: u8) -> char {
    if half == 0 { 'A' } else { 'B' }
}

/// What is wrong with one copy of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopyFault {
    /// Its end is of another version than its start: the writing was cut off.
    #[error("its writing was cut off")]
    Torn,
    /// It isn't what was written.
    #[error("it is corrupt")]
    Corrupt,
    /// It is a whole copy of another place.
    #[error("it is a copy of {0}")]
    Misplaced(Place),
    /// It is whole, but versions between it and the other copy are missing: an old copy was put
    /// back, or the medium lost a write that it had confirmed.
    #[error("it is the outdated {0}")]
    Stale(Place),
}
