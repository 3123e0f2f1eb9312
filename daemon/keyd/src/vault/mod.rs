//! The vault: keyd's durable state in one file of fixed length.
//!
//! It has layers, each of which uses only those above it in this list:
//!
//! ```text
//! file         encrypted records in two copies, the journal, the key, the anchor, the medium
//! contents     the fields of each type of record
//! tables       profiles, tombstones and identities in memory, found without a search
//! store        the vault: what it holds, and staged changes
//! transaction, device, quota, rekey
//! ```
//!
//! Everything is in memory from the start on. There are two kinds of changes:
//!
//! - A **staged** change ([`Vault::change_sqn`], [`Vault::change_identities`]) is in memory at once
//!   and on the medium after [`Vault::flush`], so that the requests of one pass share one sync.
//!   Each staged record is consistent by itself.
//! - A **transaction** ([`Vault::commit`]) changes several records or none.
//!
//! To change the KEK, [`Vault::rekey`] replaces the vault by a new one, with a new data key.
//!
//! Deleting a profile leaves a tombstone with its sequence numbers, and installing a profile looks
//! for the tombstone of its K. Therefore no order of deletions and installations makes a used SQN
//! fresh again. Tombstones are never removed, so each operator has a quota of them (`quota`). The
//! identities that servers assigned are deleted with their profile.
//!
//! # How a bad copy is survived
//!
//! A transaction writes both copies of each record, with the same contents, so either may go bad. A
//! pass writes one copy of sequence numbers and of identities, in turn. If one of them is bad, its
//! place may have held a newer version than the other copy:
//!
//! - Of sequence numbers, everything up to D above the surviving SEQ_MS counts as used. A pass that
//!   raises SEQ_MS further writes both copies, one after the other.
//! - Of identities, the surviving ones are used, without the re-authentication context and the
//!   one-time pseudonym, so that neither is used twice.
//!
//! A copy whose write a power failure cut off is told by its ends, and loses nothing, since no
//! answer had left. Nor does a copy whose ends say that it was the older one. Two bad copies that
//! the journal doesn't have are refused. The start decrypts both copies of each record, and writes
//! bad ones again.
//!
//! # How a crash is survived
//!
//! | what a crash interrupts | what the next start finds | code |
//! |---|---|---|
//! | the write of one record in a pass | the copy before it, in the other half | `file/copies.rs` |
//! | a transaction, before its journal is synced | the old state | `file/journal.rs` |
//! | a transaction, after that | the journal, from which the start writes both copies of each record | `finish_transaction` in `file/opening.rs` |
//! | writing bad copies again | the bad copies, which the start writes again | `mend` in `file/opening.rs` and `store.rs` |
//! | the steps between vault and anchor | an anchor that is one epoch behind, which the start raises | `file/anchor.rs` |
//! | accepting a vault that its anchor refuses | the same, or a vault that is still refused: the command is repeated | `file/records.rs` |
//! | creating or rekeying a vault | the file that was there before, if any | `file/medium.rs` |
//!
//! A change is synced before its answer leaves, so that nobody has seen what a crash undoes.
//!
//! # Format
//!
//! The file has one format number. Each type of record has a version of its own, and spare room for
//! later fields. Until release 0.1.0, keyd refuses any other format or version, and says what to
//! do.

mod contents;
mod device;
mod error;
pub mod file;
mod quota;
mod rekey;
mod store;
mod tables;
#[cfg(test)]
mod tests;
mod transaction;

pub use contents::{
    DeviceKeys, Identities, Installation, MAX_ACCOUNTS, MAX_CERTIFICATE, MAX_TRUST_ANCHORS, Name,
    Pair, Patience, Pseudonyms, Psk, Reauthentication, Root, Slot, StoredProfile, Txid, username,
};
pub use error::CommitError;
pub use file::{
    Accepted, Anchor, AnchorFile, CopyFault, Damage, FileStorage, Kek, KekError, KekInput,
    OpenError, Place, Storage, Table,
};
pub use store::Vault;
pub use transaction::{Change, MAX_CHANGES};

/// The most profiles that a vault has room for.
pub const MAX_CAPACITY: u32 = 16_384;
