//! The accounts with servers that know the device by a pre-shared key.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use crate::vault::file::{Contents, Field, Malformed, Reader, Table, Writer, fields};

/// The greatest number of accounts.
pub const MAX_ACCOUNTS: usize = 16;

/// A pre-shared key: 16 to 64 octets. A shorter one can be guessed from a recorded handshake.
#[derive(Clone, PartialEq, Eq)]
pub struct Psk(Zeroizing<Vec<u8>>);

impl Psk {
    /// The shortest and the longest key, in octets.
    pub const LENGTHS: std::ops::RangeInclusive<usize> = 16..=64;

    /// Takes 16 to 64 octets; `None` for any other number.
    pub fn new(octets: &[u8]) -> Option<Self> {
        Self::LENGTHS
            .contains(&octets.len())
            .then(|| Self(Zeroizing::new(octets.to_vec())))
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Psk([redacted])")
    }
}

impl Field for Psk {
    fn write(&self, to: &mut Writer) {
        to.sized(&self.0);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Self::new(from.sized()?).ok_or(Malformed)
    }
}

/// The keys by account.
#[derive(Debug, Default)]
pub(in super::super) struct Accounts(pub(in super::super) BTreeMap<u16, Psk>);

fields!(Accounts { 0 });

impl Contents for Accounts {
    const TABLE: Table = Table::ACCOUNTS;

    fn is_possible(&self) -> bool {
        self.0.len() <= MAX_ACCOUNTS
    }
}
