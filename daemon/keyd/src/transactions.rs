//! The transactions of the roles: what each has staged, and the last one that it committed.

use std::collections::BTreeMap;

use softsim_keyd_proto::{Refusal, Role, TransactionFault};
use softsim_profile::{Contents, Opened};

use crate::roles::PerRole;
use crate::vault::{Psk, Txid};

/// A transaction that waits for its Commit; each role has one at most.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) txid: Txid,
    pub(crate) opened: Option<Opened>,
    /// The complete new list of PSK accounts; none leaves the present ones unchanged.
    pub(crate) accounts: Option<BTreeMap<u16, Option<Psk>>>,
}

impl Staged {
    /// A transaction that changes nothing yet.
    fn new(txid: Txid) -> Self {
        Self {
            txid,
            opened: None,
            accounts: None,
        }
    }

    /// A transaction with a package, if there is one.
    pub(crate) fn of_package(txid: Txid, opened: Option<Opened>) -> Self {
        Self {
            opened,
            ..Self::new(txid)
        }
    }

    /// Whether it carries something that an operator has newly signed.
    pub(crate) fn is_signed(&self) -> bool {
        self.opened.is_some()
    }

    /// Whether it carries a package that was sealed to the present sealing key.
    fn is_sealed(&self) -> bool {
        (self.opened.as_ref()).is_some_and(|opened| matches!(opened.contents, Contents::Profile(_)))
    }
}

/// What each role has staged and committed.
#[derive(Debug)]
pub(crate) struct Transactions {
    staged: PerRole<Option<Staged>>,
    /// The last transaction of each role, so that its Commit can be repeated. That of the role
    /// network is durable.
    committed: PerRole<Option<Txid>>,
}

impl Transactions {
    /// Nothing is staged yet; the role network's last transaction is in the vault.
    pub(crate) fn after(last: Option<Txid>) -> Self {
        let mut committed = PerRole::default();
        committed[Role::Network] = last;
        Self {
            staged: PerRole::default(),
            committed,
        }
    }

    /// Puts a transaction in the place of the one that the role has staged.
    pub(crate) fn stage(&mut self, role: Role, staged: Staged) {
        self.staged[role] = Some(staged);
    }

    /// The role's staged transaction with this id, or a new one in place of another.
    pub(crate) fn get_or_stage(&mut self, role: Role, txid: Txid) -> &mut Staged {
        self.staged[role].take_if(|staged| staged.txid != txid);
        self.staged[role].get_or_insert_with(|| Staged::new(txid))
    }

    /// Takes the staged transaction, which must have this id; another one stays staged.
    pub(crate) fn take(&mut self, role: Role, txid: &Txid) -> Result<Staged, Refusal> {
        let staged = &mut self.staged[role];
        let fault = match staged {
            Some(staged) if staged.txid != *txid => TransactionFault::Other {
                expected: staged.txid,
                got: *txid,
            },
            _ => TransactionFault::NothingStaged,
        };
        staged
            .take_if(|staged| staged.txid == *txid)
            .ok_or(Refusal::Transaction(fault))
    }

    /// Whether the role has staged something that an operator has newly signed.
    pub(crate) fn is_signed(&self, role: Role) -> bool {
        self.staged[role].as_ref().is_some_and(Staged::is_signed)
    }

    /// Drops packages that were opened with a sealing key that is no longer used.
    pub(crate) fn drop_sealed(&mut self) {
        for role in Role::ALL {
            self.staged[role].take_if(|staged| staged.is_sealed());
        }
    }

    /// Remembers a role's transaction as its last.
    pub(crate) fn remember(&mut self, role: Role, txid: Txid) {
        self.committed[role] = Some(txid);
    }

    /// The role's last transaction.
    pub(crate) fn last(&self, role: Role) -> Option<Txid> {
        self.committed[role]
    }
}
