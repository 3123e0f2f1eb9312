//! Why a file doesn't open, and what is wrong with its copies of records.

use std::io;

use super::table::{Place, Table};

/// Why a vault doesn't open. keyd never resets it: whoever runs the device decides what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The medium failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Another process holds it.
    #[error("another process holds it")]
    Locked,
    /// A vault was to be created, but there is one.
    #[error("there is one already")]
    Exists,
    /// The vault would become smaller.
    #[error("expected room for {expected} profiles or more, got {got}")]
    Smaller {
        /// The present capacity.
        expected: u32,
        /// The requested capacity.
        got: u32,
    },
    /// The file is something else.
    #[error("expected a vault, got another file")]
    NotAVault,
    /// It has another format number.
    #[error("expected format {expected}, got {got}")]
    Format {
        /// The format that this program reads.
        expected: u16,
        /// The file's format.
        got: u16,
    },
    /// Neither copy of the header is good.
    #[error("both copies of the header are damaged")]
    HeaderDamaged,
    /// The header is intact, but was made with another KEK.
    #[error("expected the key-encryption key it was made with, got another")]
    WrongKek,
    /// The header is good, but no record was encrypted with its data key.
    #[error("expected records under the header's data key, got those of another vault")]
    Foreign,
    /// The file was truncated or made longer.
    #[error("expected {expected} octets, got {got}")]
    Length {
        /// The length according to the header.
        expected: u64,
        /// The file's length.
        got: u64,
    },
    /// Neither copy of a record is good.
    #[error("record {index} of {table}: both copies are bad; A: {}; B: {}", .faults[0], .faults[1])]
    BothCopies {
        /// The kind of record.
        table: Table,
        /// Which one of its kind.
        index: u32,
        /// What is wrong with the copy in each half.
        faults: [CopyFault; 2],
    },
    /// Both copies of a record are good, but a transaction wrote only one of them, and the journal
    /// doesn't say which.
    #[error("record {index} of {table}: expected two copies of one version, got generations {} and {}", .generations[0], .generations[1])]
    Differ {
        /// The kind of record.
        table: Table,
        /// Which one of its kind.
        index: u32,
        /// The generation of the copy in each half.
        generations: [u64; 2],
    },
    /// The journal's version of a record is ahead of the record by more than the one version that a
    /// power failure can lose.
    #[error("expected the version before {journal}, got generation {got}")]
    Lost {
        /// The version in the journal.
        journal: Place,
        /// The newest generation of the record itself.
        got: u64,
    },
    /// Records that only transactions write don't belong to the same transaction.
    #[error("records of different transactions: expected {expected} versions, got {got}")]
    Mixed {
        /// The number that the last transaction counted.
        expected: u64,
        /// The number in the file.
        got: u64,
    },
    /// A profile has the sequence numbers of another installation.
    #[error(
        "record {index} of {table}: expected that of installation {expected}, got that of {got}"
    )]
    OtherInstallation {
        /// The kind of record.
        table: Table,
        /// Which one of its kind.
        index: u32,
        /// The number of the profile's installation.
        expected: u64,
        /// The record's.
        got: u64,
    },
    /// A profile is installed although it was deleted.
    #[error("Profile {0}: its K has the tombstone of a deleted profile")]
    Tombstone(u32),
    /// There are fewer versions of records than were written.
    #[error("records were put back: expected {expected} versions or more, got {got}")]
    PutBack {
        /// The least number that was written.
        expected: u64,
        /// The number in the file.
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
        /// The vault's epoch. The anchor may also have the one before.
        expected: u64,
        /// The anchor's.
        got: u64,
    },
    /// A record is authentic, but is not what this program writes.
    #[error("record {index} of {table} is authentic and malformed")]
    Malformed {
        /// The kind of record.
        table: Table,
        /// Which one of its kind.
        index: u32,
    },
    /// A record is authentic, but of another version of its type.
    #[error("record {index} of {table}: expected version {expected} of such records, got {got}")]
    RecordVersion {
        /// The kind of record.
        table: Table,
        /// Which one of its kind.
        index: u32,
        /// The version that this program reads.
        expected: u8,
        /// The record's version.
        got: u8,
    },
}

/// Authentic octets that aren't what this program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Malformed {
    /// The error for the record at this place.
    pub fn at(self, Place { table, index, .. }: Place) -> OpenError {
        OpenError::Malformed { table, index }
    }
}

/// A bad copy that a good one replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// One copy of the header.
    #[error("header, copy {}: it is damaged", name(*.half))]
    Header {
        /// 0 (A) or 1 (B).
        half: u8,
    },
    /// One copy of a record.
    #[error("record {index} of {table}, copy {}: {fault}", name(*.half))]
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

/// The name of a half.
fn name(half: u8) -> char {
    if half == 0 { 'A' } else { 'B' }
}

/// What is wrong with one copy of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopyFault {
    /// Its end has another version than its start, because the writing was interrupted.
    #[error("its writing was cut off")]
    Torn,
    /// It is not what keyd wrote.
    #[error("it is corrupt")]
    Corrupt,
    /// The medium doesn't give it.
    #[error("it can't be read")]
    Unreadable,
    /// It is whole, but what follows it isn't what keyd wrote.
    #[error("its end is damaged")]
    End,
    /// It is an intact copy that belongs to another place.
    #[error("it is a copy of {0}")]
    Misplaced(Place),
    /// It is intact, but versions between it and the other copy are missing: an old copy was put
    /// back, or the medium lost a write that it had confirmed.
    #[error("it is the outdated {0}")]
    Stale(Place),
}
