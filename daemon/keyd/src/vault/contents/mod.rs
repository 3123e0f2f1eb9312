//! The contents of the records, type by type, and the list of tables.

mod accounts;
mod device;
mod identities;
mod profile;
mod provisioning;
mod sequence;

pub(super) use accounts::Accounts;
pub use accounts::{MAX_ACCOUNTS, Psk};
pub(super) use device::Device;
pub use device::{DeviceKeys, MAX_CERTIFICATE, MAX_TRUST_ANCHORS};
pub use identities::{Identities, Name, Pseudonym, Reauthentication, Root, Uses};
pub use profile::{Installation, Slot, StoredProfile};
pub use provisioning::Txid;
pub(super) use provisioning::{MAX_ISSUERS, Provisioning};
pub(super) use sequence::{Sequence, StoredTombstone, fingerprint};

use super::file::{Kind, Records, Table};

/// Tombstones are never removed, so even a small vault has room for years of new keys.
const MIN_TOMBSTONES: u32 = 256;

/// The vault's tables, in the order in which they are read.
pub(super) const TABLES: &[Table] = &[
    Table::DEVICE,
    Table::PROVISIONING,
    Table::ACCOUNTS,
    Table::PROFILE,
    Table::SEQUENCE,
    Table::TOMBSTONE,
    Table::IDENTITIES,
];

impl Table {
    /// The device's keys, certificate and trust anchors: one record.
    pub const DEVICE: Self = Self::of(&Kind::new(3, "Device", 4096, Records::One));

    /// What transactions change besides profiles: one record.
    pub const PROVISIONING: Self = Self::of(&Kind::new(4, "Provisioning", 1024, Records::One));

    /// The PSK accounts: one record.
    pub const ACCOUNTS: Self = Self::of(&Kind::new(5, "Accounts", 2048, Records::One));

    /// The profiles.
    pub const PROFILE: Self = Self::of(&Kind::new(6, "Profile", 512, Records::Capacity));

    /// The profiles' sequence numbers: all that an authentication writes.
    pub const SEQUENCE: Self = Self::of(&Kind::new(7, "Sequence", 320, Records::Capacity));

    /// The tombstones of deleted profiles.
    pub const TOMBSTONE: Self = Self::of(&Kind::new(
        8,
        "Tombstone",
        512,
        Records::CapacityOr(MIN_TOMBSTONES),
    ));

    /// The identities that servers assigned to profiles, in the order in which profiles were first
    /// enabled.
    pub const IDENTITIES: Self = Self::of(&Kind::new(9, "Identities", 1024, Records::Capacity));
}
