//! What to do about a vault that doesn't open, and why a change isn't made.

use std::{fmt, io};

use super::file::OpenError;

impl OpenError {
    /// What to do about it, for whoever runs the device.
    pub fn way_out(&self) -> Option<&'static str> {
        const ANEW: &str = "move the file away, enrol anew and install profiles that are sealed anew; \
            an older copy of the file would take challenges again that were used since";
        Some(match self {
            Self::Io(_) | Self::Exists | Self::Smaller { .. } => return None,
            Self::Locked => "end the other process first",
            Self::NotAVault => "name another state directory, or move that file away",
            Self::Format { .. } | Self::RecordVersion { .. } => {
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
