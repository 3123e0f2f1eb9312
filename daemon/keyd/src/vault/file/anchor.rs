//! A number outside of the file that only ever rises. It shows whether an old copy of the file was
//! put back.
//!
//! The ledger holds the vault's epoch, and how many versions of records were written by then. A
//! change becomes durable first, then a higher epoch, then the anchor, and only then do answers
//! leave. The vault's epoch is therefore equal to its anchor, or one ahead if power failed between
//! the two.

use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroU32;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::OpenError;
use super::medium;

/// The place of the epoch outside of the vault. It is as trustworthy as whatever keeps it from
/// being set back.
pub trait Anchor {
    /// The epoch that it holds.
    ///
    /// # Errors
    /// It can't be read, or holds no epoch.
    fn value(&self) -> io::Result<u64>;

    /// Raises the epoch, and returns when it is durable.
    ///
    /// # Errors
    /// The anchor may then hold the old value or the new one.
    fn advance(&mut self, to: u64) -> io::Result<()>;

    /// Raises the epoch to that of an accepted vault, which may be many steps.
    ///
    /// # Errors
    /// The anchor may then hold any value in between.
    fn catch_up(&mut self, to: u64) -> io::Result<()> {
        self.advance(to)
    }
}

/// What an accepted vault and its anchor held, and what both hold now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The vault's epoch before.
    pub vault: u64,
    /// The anchor's before; `None` if it was damaged.
    pub anchor: Option<u64>,
    /// The epoch of both.
    pub epoch: u64,
}

/// The epochs of a vault that is accepted under an anchor; `None` if its anchor doesn't refuse it.
///
/// Both get a higher epoch than either had. An epoch never goes down under the same keys: whoever
/// kept a newer copy of the vault could otherwise put it back once the anchor has risen to it.
pub(super) fn accepted(vault: u64, anchor: Option<u64>) -> Option<Accepted> {
    if anchor.is_some_and(|anchor| judge(vault, anchor).is_ok()) {
        return None;
    }
    let highest = vault.max(anchor.unwrap_or(0));
    Some(Accepted {
        vault,
        anchor,
        epoch: highest.saturating_add(1),
    })
}

/// An anchor in use.
pub(super) struct Anchored {
    anchor: Box<dyn Anchor>,
    /// The number of passes with a change in each epoch.
    interval: u32,
    passes: u32,
}

impl Anchored {
    /// Compares an epoch with an anchor, and raises the anchor if it is one behind.
    pub(super) fn check(
        mut anchor: Box<dyn Anchor>,
        epoch: u64,
        interval: NonZeroU32,
    ) -> Result<Self, OpenError> {
        if judge(epoch, anchor.value().map_err(OpenError::Anchor)?)? {
            anchor.advance(epoch).map_err(OpenError::Anchor)?;
        }
        Ok(Self {
            anchor,
            interval: interval.get(),
            passes: 0,
        })
    }

    /// Whether a higher epoch must follow the pass that ends now.
    pub(super) fn is_due(&mut self) -> bool {
        self.passes += 1;
        self.passes >= self.interval
    }

    /// Raises the anchor to an epoch that has become durable.
    pub(super) fn follow(&mut self, epoch: u64) -> io::Result<()> {
        self.passes = 0;
        self.anchor.advance(epoch)
    }
}

/// Compares a vault's epoch with its anchor. Returns whether the anchor has to be raised.
fn judge(epoch: u64, anchor: u64) -> Result<bool, OpenError> {
    match epoch.checked_sub(anchor) {
        None => Err(OpenError::RolledBack {
            expected: anchor,
            got: epoch,
        }),
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        Some(_) => Err(OpenError::AnchorReset {
            expected: epoch,
            got: anchor,
        }),
    }
}

const MAGIC: &[u8; 8] = b"SOFTSIMA";
const COPY: usize = 8 + 8 + 32;

/// The distance between the two copies, in octets, so that no block of a medium holds both.
const DISTANCE: u64 = 1 << 16;

/// An anchor in a file on a medium of its own: two copies of the number, written in turn.
#[derive(Debug)]
pub struct AnchorFile {
    file: File,
    value: Option<u64>,
}

impl AnchorFile {
    /// Opens and locks the file. If it doesn't exist, creates it with the number 0.
    ///
    /// # Errors
    /// The medium failed, or another process holds the file.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(OpenError::Anchor)?;
        medium::lock(&file)?;
        let mut anchor = Self { file, value: None };
        if anchor.file.metadata().map_err(OpenError::Anchor)?.size() == 0 {
            anchor.set(0).map_err(OpenError::Anchor)?;
            File::open(path.parent().unwrap_or(Path::new("/")))
                .and_then(|directory| directory.sync_all())
                .map_err(OpenError::Anchor)?;
        }
        let copies = [0, 1].map(|copy| read(&anchor.file, copy));
        anchor.value = copies.into_iter().flatten().max();
        Ok(anchor)
    }

    /// Stores this number in both copies.
    fn set(&mut self, value: u64) -> io::Result<()> {
        for copy in [0, 1] {
            self.file.write_all_at(&encode(value), copy * DISTANCE)?;
        }
        self.file.sync_all()?;
        self.value = Some(value);
        Ok(())
    }
}

impl Anchor for AnchorFile {
    fn value(&self) -> io::Result<u64> {
        self.value
            .ok_or_else(|| io::Error::other("both copies of the number are damaged"))
    }

    fn advance(&mut self, to: u64) -> io::Result<()> {
        self.file.write_all_at(&encode(to), (to & 1) * DISTANCE)?;
        self.file.sync_data()?;
        self.value = Some(to);
        Ok(())
    }
}

fn encode(value: u64) -> [u8; COPY] {
    let mut copy = [0; COPY];
    copy[..8].copy_from_slice(MAGIC);
    copy[8..16].copy_from_slice(&value.to_be_bytes());
    let digest = Sha256::digest(&copy[..16]);
    copy[16..].copy_from_slice(&digest);
    copy
}

/// The number in a copy, if it is whole.
fn read(file: &File, copy: u64) -> Option<u64> {
    let mut octets = [0; COPY];
    file.read_exact_at(&mut octets, copy * DISTANCE).ok()?;
    let value = u64::from_be_bytes(*octets[8..].first_chunk()?);
    (encode(value) == octets).then_some(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_accepted_epoch_is_above_all_that_were() {
        for (vault, anchor, epoch) in [
            (5, Some(5), None),
            (6, Some(5), None),
            (4, Some(5), Some(6)),
            (0, Some(70), Some(71)),
            (7, Some(5), Some(8)),
            (9, Some(0), Some(10)),
            (3, None, Some(4)),
            (0, Some(u64::MAX), Some(u64::MAX)),
        ] {
            let accepted = accepted(vault, anchor).map(|accepted| accepted.epoch);
            assert_eq!(accepted, epoch, "{vault} under {anchor:?}");
        }
    }

    #[test]
    fn an_epoch_is_level_with_its_anchor_or_one_ahead() {
        assert!(!judge(5, 5).unwrap());
        assert!(judge(6, 5).unwrap(), "the anchor follows");
        assert!(matches!(judge(4, 5), Err(OpenError::RolledBack { .. })));
        assert!(matches!(judge(7, 5), Err(OpenError::AnchorReset { .. })));
    }
}
