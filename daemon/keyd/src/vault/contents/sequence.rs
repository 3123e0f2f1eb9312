//! Which sequence numbers were used: of an installed profile, and of a deleted one.

use softsim_usim::{SqnParameters, SqnState, Tombstone};

use super::{Contents, Malformed, Reader, Table, Writer};

/// The SEQ_MS array of a slot, as it is stored; its parameters are the profile's. It is all that an
/// authentication writes.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Sequence([u8; SqnState::STORED_LENGTH]);

impl Sequence {
    /// That of a slot without a profile.
    pub(in super::super) const EMPTY: Self = Self([0; SqnState::STORED_LENGTH]);

    pub(in super::super) fn of(state: &SqnState) -> Self {
        Self(state.to_bytes())
    }

    /// The array, if it is one under these parameters.
    pub(in super::super) fn state(&self, parameters: SqnParameters) -> Result<SqnState, Malformed> {
        SqnState::from_bytes(parameters, &self.0).map_err(|_| Malformed)
    }
}

impl Contents for Sequence {
    const TABLE: Table = Table::Sequence;

    fn write(&self, to: &mut Writer) {
        to.octets(&self.0);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.array().map(Self)
    }
}

/// What a deleted profile leaves behind.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Burial {
    pub(in super::super) tombstone: Tombstone,
    parameters: SqnParameters,
    sequence: Sequence,
}

/// The start of a tombstone: finds it, and the K that it is of, among many.
pub(in super::super) fn fingerprint(tombstone: &Tombstone) -> u64 {
    let first = tombstone.as_bytes().first_chunk();
    u64::from_be_bytes(*first.expect("a tombstone has 32 octets"))
}

impl Burial {
    pub(in super::super) fn new(tombstone: Tombstone, state: &SqnState) -> Self {
        Self {
            tombstone,
            parameters: state.parameters(),
            sequence: Sequence::of(state),
        }
    }

    pub(in super::super) fn state(&self) -> SqnState {
        self.sequence
            .state(self.parameters)
            .expect("checked when it was read")
    }
}

impl Contents for Burial {
    const TABLE: Table = Table::Tombstone;

    fn write(&self, to: &mut Writer) {
        to.octets(self.tombstone.as_bytes());
        to.sqn_parameters(self.parameters);
        self.sequence.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let tombstone = Tombstone::new(from.array()?);
        let parameters = from.sqn_parameters()?;
        let sequence = Sequence::read(from)?;
        sequence.state(parameters)?;
        Ok(Self {
            tombstone,
            parameters,
            sequence,
        })
    }
}

impl Writer {
    pub(super) fn sqn_parameters(&mut self, parameters: SqnParameters) {
        self.octet(parameters.ind_bits);
        self.number(parameters.delta);
        self.optional(parameters.l.map(u64::to_be_bytes).as_ref());
    }
}

impl Reader<'_> {
    pub(super) fn sqn_parameters(&mut self) -> Result<SqnParameters, Malformed> {
        Ok(SqnParameters {
            ind_bits: self.octet()?,
            delta: self.number()?,
            l: self.optional()?.map(u64::from_be_bytes),
        })
    }
}
