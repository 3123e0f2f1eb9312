//! Why a file doesn't open, and what is wrong with its copies.

use std::{fmt, io};

use super::codec::Unreadable;
use super::table::{Place, Table};

/// Why a vault doesn't open. It is never reset: whoever runs the device decides.
#[derive(Debug)]
pub enum OpenError {
    /// The medium's.
    Io(io::Error),
    /// Another process holds it.
    Locked,
    /// It was to be made, and there is one.
    Exists,
    /// It was to become smaller.
    Smaller {
        /// The room that it has, in profiles.
        expected: u32,
        /// The room that it was to have.
        got: u32,
    },
    /// The file is something else.
    NotAVault,
    /// Another format number.
    Format {
        /// The one that is read.
        expected: u16,
        /// The file's.
        got: u16,
    },
    /// Both copies of the header are damaged.
    HeaderDamaged,
    /// The header is whole, and the KEK isn't the one it was made with.
    WrongKek,
    /// The header is good, and none of the records is of its data key: they are of another vault.
    Foreign,
    /// The file was cut off or made longer.
    Length {
        /// What the header says, in octets.
        expected: u64,
        /// What it is.
        got: u64,
    },
    /// Neither copy of a record is good.
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
    Lost {
        /// What the journal has.
        journal: Place,
        /// The newest generation of the record itself.
        got: u64,
    },
    /// A record is older than another one that was written with it.
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
    /// There are fewer versions of records than were written: some were put back.
    PutBack {
        /// How many were written at least.
        expected: u64,
        /// How many there are.
        got: u64,
    },
    /// The anchor outside of the vault can't be used.
    Anchor(io::Error),
    /// The anchor has a later epoch: the vault is an old copy.
    RolledBack {
        /// The anchor's epoch.
        expected: u64,
        /// The vault's.
        got: u64,
    },
    /// The anchor has a much earlier epoch: it is another vault's, or was made anew.
    AnchorReset {
        /// The vault's epoch, or the one before.
        expected: u64,
        /// The anchor's.
        got: u64,
    },
    /// A record is authentic, and not what this program writes.
    Malformed {
        /// The kind of record.
        table: Table,
        /// Which one of its kind.
        index: u32,
    },
    /// A record is authentic, and of another version of its type.
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

impl Place {
    /// The error of a record whose contents aren't taken.
    pub fn unreadable(self, reason: Unreadable) -> OpenError {
        let Self { table, index, .. } = self;
        match reason {
            Unreadable::Malformed => OpenError::Malformed { table, index },
            Unreadable::Version { expected, got } => OpenError::RecordVersion {
                table,
                index,
                expected,
                got,
            },
        }
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("vault: ")?;
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Locked => f.write_str("another process holds it"),
            Self::Exists => f.write_str("there is one already"),
            Self::Smaller { expected, got } => {
                write!(
                    f,
                    "expected room for {expected} profiles or more, got {got}"
                )
            }
            Self::NotAVault => f.write_str("expected a vault, got another file"),
            Self::Format { expected, got } => write!(f, "expected format {expected}, got {got}"),
            Self::HeaderDamaged => f.write_str("both copies of the header are damaged"),
            Self::WrongKek => {
                f.write_str("expected the key-encryption key it was made with, got another")
            }
            Self::Foreign => f.write_str(
                "expected records under the header's data key, got those of another vault",
            ),
            Self::Length { expected, got } => write!(f, "expected {expected} octets, got {got}"),
            Self::BothCopies {
                table,
                index,
                faults: [a, b],
            } => {
                write!(f, "{table:?} {index}: both copies are bad; A: {a}; B: {b}")
            }
            Self::Lost { journal, got } => {
                write!(
                    f,
                    "expected the version before {journal}, got generation {got}"
                )
            }
            Self::Outdated {
                table,
                index,
                expected,
                got,
            } => write!(
                f,
                "{table:?} {index}: expected generation {expected} or later, got {got}"
            ),
            Self::PutBack { expected, got } => write!(
                f,
                "records were put back: expected {expected} versions or more, got {got}"
            ),
            Self::Anchor(error) => write!(f, "its anchor: {error}"),
            Self::RolledBack { expected, got } => write!(
                f,
                "an old copy was put back: expected epoch {expected} or the next, got {got}"
            ),
            Self::AnchorReset { expected, got } => write!(
                f,
                "its anchor is another's or was made anew: expected epoch {expected} or the one before, got {got}"
            ),
            Self::Malformed { table, index } => {
                write!(f, "{table:?} {index} is authentic and malformed")
            }
            Self::RecordVersion {
                table,
                index,
                expected,
                got,
            } => write!(
                f,
                "{table:?} {index}: expected version {expected} of such records, got {got}"
            ),
        }
    }
}

impl std::error::Error for OpenError {}

/// A bad copy for which a good one stood in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One copy of the header, by its half.
    Header {
        /// 0 (A) or 1 (B).
        half: u8,
    },
    /// One copy of a record.
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

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |half: &u8| if *half == 0 { 'A' } else { 'B' };
        match self {
            Self::Header { half } => write!(f, "header, copy {}: it is damaged", name(half)),
            Self::Record {
                table,
                index,
                half,
                fault,
            } => {
                write!(f, "{table:?} {index}, copy {}: {fault}", name(half))
            }
        }
    }
}

/// What is wrong with one copy of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFault {
    /// Its end is of another version than its start: the writing was cut off.
    Torn,
    /// It isn't what was written.
    Corrupt,
    /// It is a whole copy of another place.
    Misplaced(Place),
    /// It is whole, but versions between it and the other copy are missing: an old copy was put
    /// back, or the medium lost a write that it had confirmed.
    Stale(Place),
}

impl fmt::Display for CopyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Torn => f.write_str("its writing was cut off"),
            Self::Corrupt => f.write_str("it is corrupt"),
            Self::Misplaced(place) => write!(f, "it is a copy of {place}"),
            Self::Stale(place) => write!(f, "it is the outdated {place}"),
        }
    }
}
