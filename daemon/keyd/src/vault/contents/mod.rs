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
pub use identities::{
    Identities, Name, Pair, Patience, Pseudonyms, Reauthentication, Root, username,
};
pub use profile::{Installation, Slot, StoredProfile};
pub use provisioning::Txid;
pub(super) use provisioning::{MAX_ISSUERS, Provisioning};
pub(super) use sequence::{Sequence, StoredTombstone, fingerprint, max_ahead};

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
    pub const DEVICE: Self = Self::of(&Kind::new(3, "the device", 4096, Records::One));

    /// What transactions change besides profiles: one record.
    pub const PROVISIONING: Self = Self::of(&Kind::new(4, "the provisioning", 1024, Records::One));

    /// The PSK accounts: one record.
    pub const ACCOUNTS: Self = Self::of(&Kind::new(5, "the accounts", 2048, Records::One));

    /// The profiles.
    pub const PROFILE: Self = Self::of(&Kind::new(6, "the profiles", 512, Records::Capacity));

    /// The profiles' sequence numbers: all that an authentication writes.
    pub const SEQUENCE: Self =
        Self::of(&Kind::new(7, "the sequence numbers", 328, Records::Capacity).in_turn());

    /// The tombstones of deleted profiles.
    pub const TOMBSTONE: Self = Self::of(&Kind::new(
        8,
        "the tombstones",
        512,
        Records::CapacityOr(MIN_TOMBSTONES),
    ));

    /// The identities that servers assigned to profiles, in the order in which profiles were first
    /// enabled.
    pub const IDENTITIES: Self =
        Self::of(&Kind::new(9, "the identities", 1280, Records::Capacity).in_turn());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use softsim_profile::IssuerId;

    use super::super::file::Contents;
    use super::*;

    /// What no transaction would store isn't taken from the file either.
    #[test]
    fn a_record_with_more_than_is_ever_stored_is_malformed() {
        let psk = || Psk::new(&[7; 16]).unwrap();
        let accounts = |count: u16| Accounts((0..count).map(|account| (account, psk())).collect());
        let taken = |accounts: Accounts| {
            Accounts::decode(Table::ACCOUNTS.at(0, 0), &accounts.encode()).is_ok()
        };
        assert!(taken(accounts(MAX_ACCOUNTS as u16)));
        assert!(!taken(accounts(MAX_ACCOUNTS as u16 + 1)));

        let issuers = |count: usize| Provisioning {
            sequences: vec![(IssuerId([1; 32]), 1); count],
            ..Provisioning::default()
        };
        let taken = |provisioning: Provisioning| {
            Provisioning::decode(Table::PROVISIONING.at(0, 0), &provisioning.encode()).is_ok()
        };
        assert!(taken(issuers(MAX_ISSUERS)));
        assert!(!taken(issuers(MAX_ISSUERS + 1)));
    }

    #[test]
    fn an_account_that_is_there_twice_is_malformed() {
        let psk = Psk::new(&[7; 16]).unwrap();
        let two = Accounts([(1, psk.clone()), (2, psk)].into());
        let mut octets = two.encode().to_vec();
        let place = Table::ACCOUNTS.at(0, 0);
        assert!(Accounts::decode(place, &octets).is_ok());
        let second = octets.len() - (2 + 2 + 16);
        assert_eq!(octets[second..][..2], [0, 2]);
        octets[second + 1] = 1;
        assert!(Accounts::decode(place, &octets).is_err());
    }
}
