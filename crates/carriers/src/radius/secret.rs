//! The secret that is shared with a RADIUS server.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use secrecy::{ExposeSecret, SecretSlice};

use super::error::Error;

/// The secret shared with the RADIUS server.
pub struct Secret(SecretSlice<u8>);

impl Secret {
    /// Takes ownership of the secret.
    ///
    /// # Errors
    /// [`Error::EmptySecret`].
    pub fn new(octets: Vec<u8>) -> Result<Self, Error> {
        if octets.is_empty() {
            return Err(Error::EmptySecret);
        }
        Ok(Secret(SecretSlice::from(octets)))
    }

    pub(super) fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    pub(super) fn hmac_md5(&self, bytes: &[u8]) -> [u8; 16] {
        let mut hmac =
            Hmac::<Md5>::new_from_slice(self.expose()).expect("HMAC takes a key of any length");
        hmac.update(bytes);
        hmac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}
