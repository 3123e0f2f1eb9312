//! The vault: keyd's durable state in one file of fixed length.
//!
//! It has layers, each of which uses only those above it in this list:
//!
//! ```text
//! file         encrypted records in two copies, the journal, the key, the anchor, the medium
//! contents     the fields of each type of record
//! tables       profiles, tombstones and identities in memory, found without a search
//! store        the vault: what it holds, and staged changes
//! transaction, device, rekey
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
//! fresh again. The identities that servers assigned are deleted with their profile. If the medium
//! has lost the newest version of them, the re-authentication context is dropped, too, so that no
//! counter is accepted again.
//!
//! # How a crash is survived
//!
//! | what a crash interrupts | what the next start finds | code |
//! |---|---|---|
//! | the write of one record | the copy before it, in the other half | `file/record.rs`, `file/layout.rs` |
//! | a commit, before its journal is synced | the old state | `file/journal.rs` |
//! | a commit, after that | the journal, which the start writes to the records' places | `finish_commit` in `file/records.rs` |
//! | a rotation of the sealing key, before it has overwritten the old key | the old key in the other copy, which the start overwrites, or a later start if versions are missing | `is_rotating` in `store.rs` |
//! | the steps between vault and anchor | an anchor that is one epoch behind, which the start raises | `file/anchor.rs` |
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
mod rekey;
mod store;
mod tables;
#[cfg(test)]
mod tests;
mod transaction;

pub use contents::{
    DeviceKeys, Identities, Installation, MAX_ACCOUNTS, MAX_CERTIFICATE, MAX_TRUST_ANCHORS, Name,
    Pair, Patience, Pseudonyms, Psk, Reauthentication, Root, Slot, StoredProfile, Txid,
};
pub use error::{CommitError, Room};
pub use file::{
    Anchor, AnchorFile, CopyFault, Damage, FileStorage, Kek, KekError, KekInput, OpenError, Place,
    Storage, Table,
};
pub use store::Vault;
pub use transaction::{Change, MAX_CHANGES};

/// The most profiles that a vault has room for.
pub const MAX_CAPACITY: u32 = 16_384;
