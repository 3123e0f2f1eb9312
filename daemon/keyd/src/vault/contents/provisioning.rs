//! What transactions change beside profiles.

use softsim_profile::IssuerId;

use super::profile::Installation;
use crate::vault::file::{Contents, Field, Malformed, Reader, Table, Writer, fields};

/// Names a transaction; netd keeps its accounts under the same name.
pub type Txid = [u8; 16];

/// How many issuers' sequences are kept.
pub(in super::super) const MAX_ISSUERS: usize = 16;

/// What transactions change beside profiles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Provisioning {
    /// The last one.
    pub(in super::super) transaction: Option<Txid>,
    /// SHA-256 of the accounts that netd keeps.
    pub(in super::super) accounts: Option<[u8; 32]>,
    /// A time that has certainly passed, in seconds since 1970.
    pub(in super::super) time: u64,
    /// The profile that answers challenges.
    pub(in super::super) enabled: Option<Installation>,
    /// The last sequence of each issuer.
    pub(in super::super) sequences: Vec<(IssuerId, u64)>,
}

impl Provisioning {
    /// The last sequence taken from an issuer, 0 for none.
    pub(in super::super) fn last_sequence(&self, issuer: &IssuerId) -> u64 {
        let mut sequences = self.sequences.iter();
        let known = sequences.find(|(known, _)| known == issuer);
        known.map_or(0, |(_, sequence)| *sequence)
    }
}

fields!(Provisioning {
    transaction,
    accounts,
    time,
    enabled,
    sequences
});

impl Contents for Provisioning {
    const TABLE: Table = Table::PROVISIONING;
}

fields!(IssuerId { 0 });
