//! An installed profile: the subscription, and who sealed it.

use softsim_profile::{IssuerId, Profile};
use softsim_usim::SqnState;

use super::sequence::Sequence;
use crate::vault::file::{Contents, Field, Malformed, Reader, Table, Writer, fields};

/// The name of an installed profile, as long as it stays installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub(in super::super) u32);

impl Slot {
    /// The number of the slot, from 0.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// One installation of a profile. A later one in the same slot is not equal to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Installation {
    pub(in super::super) slot: Slot,
    /// The number of the installation, which rises in each slot: the first generation of its
    /// sequence numbers.
    pub(in super::super) number: u64,
}

impl Installation {
    /// The slot that it is in.
    pub fn slot(self) -> Slot {
        self.slot
    }
}

fields!(Slot { 0 });
fields!(Installation { slot, number });

/// An installed profile.
#[derive(Debug, PartialEq, Eq)]
pub struct StoredProfile {
    /// The subscription.
    pub profile: Profile,
    /// Who sealed it.
    pub issuer: IssuerId,
    /// The sequence of its package.
    pub sequence: u64,
    /// The key by which an index finds its K.
    pub(in super::super) fingerprint: u64,
    /// The number of its installation, and, from a record of their own, its sequence numbers.
    pub(in super::super) used: Sequence,
    /// The highest SEQ of the array on the medium.
    pub(in super::super) stored_seq: u64,
}

impl StoredProfile {
    /// The sequence numbers that were used.
    pub fn sqn(&self) -> SqnState {
        self.used
            .state(self.profile.sqn.parameters())
            .expect("checked when the two records were read")
    }
}

impl Field for StoredProfile {
    fn write(&self, to: &mut Writer) {
        self.issuer.write(to);
        self.sequence.write(to);
        self.fingerprint.write(to);
        self.used.installation.write(to);
        to.sized(&self.profile.to_stored());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            issuer: Field::read(from)?,
            sequence: Field::read(from)?,
            fingerprint: Field::read(from)?,
            used: Sequence::none(Field::read(from)?),
            profile: Profile::from_stored(from.sized()?).map_err(|_| Malformed)?,
            stored_seq: 0,
        })
    }
}

impl Contents for StoredProfile {
    const TABLE: Table = Table::PROFILE;
}
