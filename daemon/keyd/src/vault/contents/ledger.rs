//! The ledger: what transactions change beside profiles, and how much of the file is in use.

use softsim_profile::IssuerId;

use super::{Contents, Malformed, Reader, Table, Writer};

/// Names a transaction; netd keeps its accounts under the same name.
pub type Txid = [u8; 16];

/// How many issuers' sequences are kept.
pub(in super::super) const MAX_ISSUERS: usize = 16;

/// What transactions change beside profiles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Ledger {
    pub(in super::super) transaction: Option<Txid>,
    /// SHA-256 of the accounts that netd keeps.
    pub(in super::super) accounts: Option<[u8; 32]>,
    pub(in super::super) time: u64,
    pub(in super::super) sequences: Vec<(IssuerId, u64)>,
    /// How many slots, graves and aliases have records; those behind them were never written and
    /// aren't read.
    pub(in super::super) slots: u32,
    pub(in super::super) graves: u32,
    pub(in super::super) aliases: u32,
    /// What an anchor outside of the vault is raised to.
    pub(in super::super) epoch: u64,
    /// The sum of all other records' generations: where the file has less, one of them was put
    /// back.
    pub(in super::super) versions: u64,
}

impl Ledger {
    pub(in super::super) fn last_sequence(&self, issuer: &IssuerId) -> u64 {
        self.sequences
            .iter()
            .find(|(known, _)| known == issuer)
            .map_or(0, |(_, sequence)| *sequence)
    }
}

impl Contents for Ledger {
    const TABLE: Table = Table::Ledger;

    fn write(&self, to: &mut Writer) {
        to.optional(self.transaction.as_ref());
        to.optional(self.accounts.as_ref());
        to.number(self.time);
        to.count(self.slots);
        to.count(self.graves);
        to.count(self.aliases);
        to.number(self.epoch);
        to.number(self.versions);
        to.octet(self.sequences.len() as u8);
        for (issuer, sequence) in &self.sequences {
            to.octets(issuer.as_bytes());
            to.number(*sequence);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (transaction, accounts) = (from.optional()?, from.optional()?);
        let time = from.number()?;
        let (slots, graves, aliases) = (from.count()?, from.count()?, from.count()?);
        let (epoch, versions) = (from.number()?, from.number()?);
        let count = from.few(MAX_ISSUERS)?;
        let sequence = |_| Ok::<_, Malformed>((IssuerId(from.array()?), from.number()?));
        let sequences = (0..count).map(sequence).collect::<Result<_, _>>()?;
        Ok(Self {
            transaction,
            accounts,
            time,
            sequences,
            slots,
            graves,
            aliases,
            epoch,
            versions,
        })
    }
}
