//! Secret octets, which are never printed, and wiped after use.

use core::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A secret in an answer, such as RES. It has no `Clone` and no `Debug` that prints it, and is
/// wiped on drop.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Takes ownership of the octets. The caller keeps no copy.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(octets)
    }

    /// The octets. Only the code that needs the secret calls this.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// A secret in a request, borrowed from its datagram. It has no `Debug` that prints it. The owner
/// of the datagram wipes it.
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
