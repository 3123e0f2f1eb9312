//! The sequence numbers that an installed or a deleted profile has used.

use softsim_usim::{SqnParameters, SqnState, Tombstone};

use crate::vault::file::{Contents, Field, Malformed, Reader, Table, Writer, fields};

/// The SEQ_MS array of a slot, as it is stored. Its parameters are in the profile, so that the
/// array is all that an authentication writes.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Sequence([u8; SqnState::STORED_LENGTH]);

impl Sequence {
    /// The array of a slot without a profile.
    pub(in super::super) const EMPTY: Self = Self([0; SqnState::STORED_LENGTH]);

    pub(in super::super) fn of(state: &SqnState) -> Self {
        Self(state.to_bytes())
    }

    /// Reads the array, if it is valid with these parameters.
    pub(in super::super) fn state(&self, parameters: SqnParameters) -> Result<SqnState, Malformed> {
        SqnState::from_bytes(parameters, &self.0).map_err(|_| Malformed)
    }
}

fields!(Sequence { 0 });

impl Contents for Sequence {
    const TABLE: Table = Table::SEQUENCE;
}

/// The record that a deleted profile leaves behind.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct StoredTombstone {
    pub(in super::super) tombstone: Tombstone,
    parameters: SqnParameters,
    used: Sequence,
}

/// The first octets of a tombstone, by which an index finds the tombstone and the profile with its
/// K.
pub(in super::super) fn fingerprint(tombstone: &Tombstone) -> u64 {
    let first = tombstone.as_bytes().first_chunk();
    u64::from_be_bytes(*first.expect("a tombstone has 32 octets"))
}

impl StoredTombstone {
    pub(in super::super) fn new(tombstone: Tombstone, state: &SqnState) -> Self {
        Self {
            tombstone,
            parameters: state.parameters(),
            used: Sequence::of(state),
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
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let stored = Self {
            tombstone: Tombstone::new(Field::read(from)?),
            parameters: Field::read(from)?,
            used: Field::read(from)?,
        };
        stored.used.state(stored.parameters)?;
        Ok(stored)
    }
}

impl Contents for StoredTombstone {
    const TABLE: Table = Table::TOMBSTONE;
}

fields!(SqnParameters { ind_bits, delta, l });
