//! The sequence numbers that an installed or a deleted profile has used.

use softsim_profile::IssuerId;
use softsim_usim::{SqnParameters, SqnState, Tombstone};

use crate::vault::file::{Contents, Field, Malformed, Reader, Table, Writer, fields};

/// How far SEQ_MS may rise before both copies of it are written, if Δ isn't less. As much counts as
/// used when a copy is lost.
const MAX_AHEAD: u64 = 1 << 20;

/// The SEQ_MS array of a profile, as it is stored. Its parameters are in the profile, so that the
/// array is all that an authentication writes.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Sequence {
    /// The number of the profile's installation, 0 for none.
    pub(in super::super) installation: u64,
    seq_ms: [u8; SqnState::STORED_LENGTH],
}

impl Sequence {
    /// The record of a slot without a profile.
    pub(in super::super) const EMPTY: Self = Self::none(0);

    /// The record of an installation in which nothing was used.
    pub(in super::super) const fn none(installation: u64) -> Self {
        Self {
            installation,
            seq_ms: [0; SqnState::STORED_LENGTH],
        }
    }

    pub(in super::super) fn new(installation: u64, state: &SqnState) -> Self {
        Self {
            installation,
            seq_ms: state.to_bytes(),
        }
    }

    /// Reads the array, if it is valid with these parameters.
    pub(in super::super) fn state(&self, parameters: SqnParameters) -> Result<SqnState, Malformed> {
        SqnState::from_bytes(parameters, &self.seq_ms).map_err(|_| Malformed)
    }
}

/// D: how far SEQ_MS may rise above the array on the medium, before both of its copies are written.
pub(in super::super) fn max_ahead(parameters: SqnParameters) -> u64 {
    parameters.delta.min(MAX_AHEAD)
}

fields!(Sequence {
    installation,
    seq_ms
});

impl Contents for Sequence {
    const TABLE: Table = Table::SEQUENCE;
}

/// The record that a deleted profile leaves behind.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct StoredTombstone {
    pub(in super::super) tombstone: Tombstone,
    parameters: SqnParameters,
    used: Sequence,
    /// The operator that has caused it, and whose quota it counts in.
    pub(in super::super) issuer: IssuerId,
}

/// The first octets of a tombstone, by which an index finds the tombstone and the profile with its
/// K.
pub(in super::super) fn fingerprint(tombstone: &Tombstone) -> u64 {
    let first = tombstone.as_bytes().first_chunk();
    u64::from_be_bytes(*first.expect("a tombstone has 32 octets"))
}

impl StoredTombstone {
    pub(in super::super) fn new(tombstone: Tombstone, state: &SqnState, issuer: IssuerId) -> Self {
        Self {
            tombstone,
            parameters: state.parameters(),
            used: Sequence::new(0, state),
            issuer,
        }
    }

    pub(in super::super) fn sqn(&self) -> SqnState {
        self.used
            .state(self.parameters)
            .expect("checked when it was read")
    }
}

impl Field for StoredTombstone {
    fn write(&self, to: &mut Writer) {
        to.octets(self.tombstone.as_bytes());
        self.parameters.write(to);
        self.used.write(to);
        self.issuer.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let stored = Self {
            tombstone: Tombstone::new(Field::read(from)?),
            parameters: Field::read(from)?,
            used: Field::read(from)?,
            issuer: Field::read(from)?,
        };
        stored.used.state(stored.parameters)?;
        Ok(stored)
    }
}

impl Contents for StoredTombstone {
    const TABLE: Table = Table::TOMBSTONE;
}

fields!(SqnParameters { ind_bits, delta, l });
