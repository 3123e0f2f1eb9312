//! What the records hold, and its fixed layout inside a record.

mod accounts;
mod device;
mod identities;
mod ledger;
mod profile;
mod sequence;

pub(super) use accounts::Accounts;
pub use accounts::{MAX_ACCOUNTS, Psk};
pub(super) use device::Device;
pub use device::{DeviceKeys, MAX_CERTIFICATE, MAX_TRUST_ANCHORS};
pub use identities::{Identities, Name, Pseudonym, Reauthentication, Root, Uses};
pub use ledger::Txid;
pub(super) use ledger::{Ledger, MAX_ISSUERS};
pub use profile::StoredProfile;
pub(super) use sequence::{Burial, Sequence, fingerprint};
use zeroize::Zeroizing;

use super::layout::Table;
use super::record;

/// Authenticated contents that aren't what this program writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// What one table's records hold.
pub(super) trait Contents: Sized {
    const TABLE: Table;
    fn write(&self, to: &mut Writer);
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed>;

    /// The contents of a record.
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer(Zeroizing::new(Vec::with_capacity(
            Self::TABLE.record_length(),
        )));
        self.write(&mut writer);
        debug_assert!(writer.0.len() <= Self::TABLE.record_length() - record::OVERHEAD);
        writer.0
    }

    /// Takes the contents of a record; behind them are only zeros.
    fn decode(contents: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(contents);
        let value = Self::read(&mut reader)?;
        if reader.0.iter().all(|octet| *octet == 0) {
            Ok(value)
        } else {
            Err(Malformed)
        }
    }
}

/// An absent record is a single zero.
impl<T: Contents> Contents for Option<Box<T>> {
    const TABLE: Table = T::TABLE;

    fn write(&self, to: &mut Writer) {
        to.flag(self.is_some());
        if let Some(value) = self {
            value.write(to);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(if from.flag()? {
            Some(Box::new(T::read(from)?))
        } else {
            None
        })
    }
}

impl From<softsim_profile::FieldError> for Malformed {
    fn from(_: softsim_profile::FieldError) -> Self {
        Self
    }
}

/// Writes fields one after the other.
pub(super) struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    fn octets(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    fn octet(&mut self, octet: u8) {
        self.octets(&[octet]);
    }

    fn flag(&mut self, flag: bool) {
        self.octet(flag.into());
    }

    fn number(&mut self, number: u64) {
        self.octets(&number.to_be_bytes());
    }

    fn count(&mut self, count: u32) {
        self.octets(&count.to_be_bytes());
    }

    fn digits(&mut self, digits: &str) {
        self.octet(digits.len() as u8);
        self.octets(digits.as_bytes());
    }

    fn optional<const N: usize>(&mut self, value: Option<&[u8; N]>) {
        self.flag(value.is_some());
        self.octets(value.map_or(&[], <[u8; N]>::as_slice));
    }
}

/// Reads fields one after the other.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    fn octet(&mut self) -> Result<u8, Malformed> {
        let [octet] = self.array()?;
        Ok(octet)
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.octet()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    fn count(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// A number of elements, in one octet.
    fn few(&mut self, limit: usize) -> Result<usize, Malformed> {
        Some(usize::from(self.octet()?))
            .filter(|count| *count <= limit)
            .ok_or(Malformed)
    }

    fn digits(&mut self) -> Result<&'a str, Malformed> {
        let length = self.octet()?;
        std::str::from_utf8(self.take(length.into())?).map_err(|_| Malformed)
    }

    fn optional<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Malformed> {
        Ok(if self.flag()? {
            Some(self.array()?)
        } else {
            None
        })
    }
}
