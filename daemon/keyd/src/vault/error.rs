//! Why a vault doesn't open, and why a change isn't made.

use std::{fmt, io};

use super::header::FORMAT;
use super::layout::Table;
use super::record::{CopyFault, Place};

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
        }
    }
}

impl std::error::Error for OpenError {}

impl OpenError {
    /// What to do about it, for whoever runs the device.
    pub fn way_out(&self) -> Option<&'static str> {
        const ANEW: &str = "move the file away, enrol anew and install profiles that are sealed anew; \
            an older copy of the file would take challenges again that were used since";
        Some(match self {
            Self::Io(_) | Self::Exists | Self::Smaller { .. } => return None,
            Self::Locked => "end the other process first",
            Self::NotAVault => "name another state directory, or move that file away",
            Self::Format { .. } => {
                "use the release that wrote it, or move it away, enrol anew and install the profiles anew"
            }
            Self::WrongKek => "start with the key that the vault was put under last",
            Self::Foreign => "put the whole file back, its header and its records",
            Self::HeaderDamaged
            | Self::Length { .. }
            | Self::BothCopies { .. }
            | Self::Lost { .. }
            | Self::Malformed { .. } => ANEW,
            Self::Outdated { .. } | Self::PutBack { .. } => {
                "put the newest copy of the whole file back; where there is none, enrol anew"
            }
            Self::Anchor(_) => {
                "mend its medium; where it is lost, --new-kek… with --anchor-file takes the vault as it is"
            }
            Self::RolledBack { .. } => {
                "put the newest copy of the vault back; where there is none, enrol anew, or accept that used \
                 challenges may be taken again: --new-kek… with --anchor-file takes the vault as it is"
            }
            Self::AnchorReset { .. } => {
                "name the vault's own anchor; where that is lost, --new-kek… with --anchor-file takes the \
                 vault as it is"
            }
        })
    }

    pub(super) fn format(got: u16) -> Self {
        Self::Format {
            expected: FORMAT,
            got,
        }
    }
}

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
    /// The table of the record; none for the header.
    pub(super) fn table(&self) -> Option<Table> {
        match self {
            Self::Header { .. } => None,
            Self::Record { table, .. } => Some(*table),
        }
    }

    /// The record of a table whose newest version may be lost, though no power cut tore it: then no
    /// answer had left.
    pub(super) fn lost_of(&self, of: Table) -> Option<u32> {
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

/// What there is only so much room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Profiles.
    Profiles,
    /// Tombstones of deleted profiles.
    Tombstones,
    /// Trust anchors.
    TrustAnchors,
    /// Issuers whose sequences are kept.
    Issuers,
    /// PSK accounts.
    Accounts,
    /// Records that one transaction changes.
    Changes,
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Profiles => "profiles",
            Self::Tombstones => "tombstones",
            Self::TrustAnchors => "trust anchors",
            Self::Issuers => "issuers",
            Self::Accounts => "accounts",
            Self::Changes => "changes at once",
        })
    }
}

/// Why a change isn't made. With all but [`CommitError::Storage`], nothing changed.
#[derive(Debug)]
pub enum CommitError {
    /// There is no room left.
    Full {
        /// For what.
        what: Room,
        /// How many there is room for.
        capacity: u32,
    },
    /// No profile is in this slot.
    UnknownSlot,
    /// This account has no key to keep.
    UnknownAccount(u16),
    /// The issuer's sequence must rise.
    SequenceNotRising {
        /// The last one.
        last: u64,
        /// The new one.
        got: u64,
    },
    /// Another profile has the same K; what one had used, the other would take again.
    DuplicateKey,
    /// The device's keys are made once.
    KeysExist,
    /// The device's keys have not been made yet.
    NoKeys,
    /// The certificate is longer than it may be.
    TooLong {
        /// The longest, in octets.
        limit: u32,
        /// Its length.
        got: u32,
    },
    /// The medium failed: memory may be ahead of it, so the process must end.
    Storage(io::Error),
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { what, capacity } => write!(f, "full: there is room for {capacity} {what}"),
            Self::UnknownAccount(account) => {
                write!(f, "expected a key for account {account}, got none")
            }
            Self::UnknownSlot => f.write_str("expected an installed profile, got an empty slot"),
            Self::SequenceNotRising { last, got } => {
                write!(f, "expected a sequence above {last}, got {got}")
            }
            Self::DuplicateKey => f.write_str("another profile has the same K"),
            Self::NoKeys => f.write_str("the device's keys have not been made"),
            Self::KeysExist => f.write_str("the device's keys exist, and are made only once"),
            Self::TooLong { limit, got } => write!(
                f,
                "expected a certificate of at most {limit} octets, got {got}"
            ),
            Self::Storage(error) => write!(f, "storage: {error}"),
        }
    }
}

impl std::error::Error for CommitError {}

impl From<io::Error> for CommitError {
    fn from(error: io::Error) -> Self {
        Self::Storage(error)
    }
}
