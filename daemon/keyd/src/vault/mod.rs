//! The vault: keyd's durable state in one file of fixed length.
//!
//! Layers, of which each knows those before it only:
//!
//! ```text
//! file         encrypted records in two copies, the journal, the key, the anchor, the medium
//! contents     what each type of record holds
//! tables       profiles, tombstones and identities in memory, found without a search
//! store        the vault: what it holds, and staged changes
//! transaction, device, rekey
//! ```
//!
//! Everything is in memory from the start on. There are two kinds of changes:
//!
//! - A **staged** change ([`Vault::change_sqn`], [`Vault::change_identities`]) is in memory at once
//!   and on the medium after [`Vault::flush`]: the requests of one pass share its one sync. Each
//!   record is whole for itself.
//! - A **transaction** ([`Vault::commit`]) changes several records or none.
//!
//! Another KEK takes a new vault, with a new data key, in the place of the old one
//! ([`Vault::rekey`]).
//!
//! Deleting a profile leaves a tombstone with its sequence numbers, and installing one looks for
//! it: no order of deletes and installs makes a used SQN fresh again. Identities that servers gave
//! to a profile go with it; where the medium lost the newest of them, the context of a fast
//! re-authentication goes too, so that no counter comes back.
//!
//! # Format
//!
//! The file has one format number, and each type of record a version of its own and spare room for
//! fields to come. Until 0.1.0 another format or version is refused in words.

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
    Pseudonym, Psk, Reauthentication, Root, Slot, StoredProfile, Txid, Uses,
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
