//! What transactions change besides profiles: the transaction's id, the kept time, the enabled
//! profile, and the sequences of issuers.

use softsim_profile::IssuerId;

use super::profile::Installation;
use crate::vault::file::{Contents, Field, Malformed, Reader, Table, Writer, fields};

/// The id of a transaction. netd stores its accounts with the same id.
pub type Txid = [u8; 16];

/// The number of issuers whose sequences are stored: of those that are trusted, and of those that
/// were.
pub(in super::super) const MAX_ISSUERS: usize = 16;

/// What transactions change besides profiles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Provisioning {
    /// The id of the last transaction.
    pub(in super::super) transaction: Option<Txid>,
    /// SHA-256 of the accounts that netd keeps.
    pub(in super::super) accounts: Option<[u8; 32]>,
    /// The latest time that somebody signed whom keyd trusts, in seconds since 1970, unless an
    /// administrator set it back.
    pub(in super::super) time: u64,
    /// The enabled profile, which answers challenges.
    pub(in super::super) enabled: Option<Installation>,
    /// The last sequence of each issuer; 0 for one that is trusted and has used none.
    pub(in super::super) sequences: Vec<(IssuerId, u64)>,
}

impl Provisioning {
    /// The last sequence that an issuer has used, 0 for none.
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

    fn is_possible(&self) -> bool {
        self.sequences.len() <= MAX_ISSUERS
    }
}

fields!(IssuerId { 0 });
