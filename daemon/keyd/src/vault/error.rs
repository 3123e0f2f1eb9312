//! What to do about a vault that doesn't open, and why the vault refuses a change.

use std::io;

use softsim_keyd_proto::Room;
use softsim_profile::IssuerId;

use super::file::OpenError;

impl OpenError {
    /// What whoever runs the device can do about it.
    pub fn advice(&self) -> Option<&'static str> {
        const ANEW: &str = "move the file away, enrol anew and install newly sealed profiles; \
            an older copy of the file would accept challenges again that were used since it was made";
        Some(match self {
            Self::Io(_) | Self::Exists | Self::Smaller { .. } => return None,
            Self::Locked => "end the other process first",
            Self::NotAVault => "name another state directory, or move that file away",
            Self::Format { .. } | Self::RecordVersion { .. } => {
                "use the release that wrote it, or move it away, enrol anew and install the profiles anew"
            }
            Self::WrongKek => "start with the present key of the vault",
            Self::Foreign => "put the whole file back, its header and its records",
            Self::HeaderDamaged
            | Self::Length { .. }
            | Self::BothCopies { .. }
            | Self::Differ { .. }
            | Self::Lost { .. }
            | Self::Mixed { .. }
            | Self::Malformed { .. } => ANEW,
            Self::OtherInstallation { .. } | Self::Tombstone(_) | Self::PutBack { .. } => {
                "put the newest copy of the whole file back; where there is none, enrol anew"
            }
            Self::Anchor(_) => {
                "mend its medium; where it is lost, --accept-vault takes the vault as it is"
            }
            Self::RolledBack { .. } => {
                "put the newest copy of the vault back; where there is none, enrol anew, or accept that used \
                 challenges may be taken again: --accept-vault takes the vault as it is"
            }
            Self::AnchorReset { .. } => {
                "name the vault's own anchor; where that is lost, --accept-vault takes the vault as it is"
            }
        })
    }
}

/// Why the vault refuses a change. Unless it is [`CommitError::Storage`], nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// There is no room left.
    #[error("full: there is room for {capacity} {what}")]
    Full {
        /// What there is no room for.
        what: Room,
        /// How many of them there is room for.
        capacity: u32,
    },
    /// An operator has caused as many tombstones as it may.
    #[error("expected at most {limit} tombstones of issuer {issuer}, got one more")]
    Quota {
        /// The operator.
        issuer: IssuerId,
        /// How many it may cause.
        limit: u32,
    },
    /// Operators that aren't trusted any more have caused tombstones in the room of another one.
    #[error("expected room for {expected} tombstones of another operator, got room for {got}")]
    NoRoomForOperator {
        /// How many each operator may cause.
        expected: u32,
        /// For how many there is room.
        got: u32,
    },
    /// No profile is in this slot.
    #[error("expected an installed profile, got an empty slot")]
    UnknownSlot,
    /// This account has no key to keep.
    #[error("expected a key for account {0}, got none")]
    UnknownAccount(u16),
    /// The issuer's sequence must rise.
    #[error("expected a sequence above {last}, got {got}")]
    SequenceNotRising {
        /// The last one.
        last: u64,
        /// The new one.
        got: u64,
    },
    /// Another profile has the same K. One would accept the sequence numbers that the other has
    /// used.
    #[error("another profile has the same K")]
    DuplicateKey,
    /// The device's keys exist. They are made only once.
    #[error("the device's keys exist, and are made only once")]
    KeysExist,
    /// The device's keys have not been made yet.
    #[error("the device's keys have not been made")]
    NoKeys,
    /// The certificate is longer than it may be.
    #[error("expected a certificate of at most {limit} octets, got {got}")]
    TooLong {
        /// The longest, in octets.
        limit: u32,
        /// Its length.
        got: u32,
    },
    /// The medium failed: memory may be ahead of it, so the process must end.
    #[error("storage: {0}")]
    Storage(#[from] io::Error),
}

impl CommitError {
    /// There is room for so many.
    pub(super) fn full(what: Room, capacity: usize) -> Self {
        let capacity = capacity as u32;
        Self::Full { what, capacity }
    }
}
