//! Octets that are never printed, and wiped after use.

use core::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A secret of an answer, such as RES: no `Clone`, no printing `Debug`, wiped on drop.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Takes the octets over; the caller keeps no copy.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(octets)
    }

    /// The octets, for the one place that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// A secret of a request, where it lies in the datagram: no printing `Debug`; whoever holds the
/// datagram wipes it.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretSlice<'a>(#[serde(borrow)] pub &'a [u8]);

impl fmt::Debug for SecretSlice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
