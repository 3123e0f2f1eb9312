//! Building messages of EAP-AKA and EAP-AKA', with AT_MAC left zero for whoever holds K_aut.

use alloc::vec;
use alloc::vec::Vec;

use crate::attribute::{Attribute, MAC_VALUE};
use crate::error::AkaError;
use crate::message::Subtype;
use crate::packet::{Code, HEADER, Type};

/// A message under construction.
#[derive(Debug)]
pub struct Builder {
    bytes: Vec<u8>,
    mac_at: Option<usize>,
    error: Option<AkaError>,
}

impl Builder {
    /// Starts a message: `code` is Request or Response, `method` is [`Type::Aka`] or
    /// [`Type::AkaPrime`].
    pub fn new(code: Code, identifier: u8, method: Type, subtype: Subtype) -> Self {
        let bytes = vec![
            code.octet(),
            identifier,
            0,
            0,
            method.octet(),
            subtype.octet(),
            0,
            0,
        ];
        Builder {
            bytes,
            mac_at: None,
            error: None,
        }
    }

    /// Appends an attribute. [`Attribute::Mac`] is written as given; see [`Builder::mac`] for the
    /// usual way.
    pub fn attribute(mut self, attribute: Attribute<'_>) -> Self {
        if let Attribute::Mac(_) = attribute {
            self.mac_at = Some(self.bytes.len() + MAC_VALUE);
        }
        if let Err(error) = attribute.encode(&mut self.bytes) {
            self.error.get_or_insert(error);
        }
        self
    }

    /// Appends AT_MAC with a zero value, to be filled in by [`Draft::with_mac`].
    pub fn mac(self) -> Self {
        self.attribute(Attribute::Mac(&[0; 16]))
    }

    /// Ends the message.
    ///
    /// # Errors
    /// [`AkaError::TooLong`] when an attribute or the whole message doesn't fit its length field.
    pub fn finish(mut self) -> Result<Draft, AkaError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let length = u16::try_from(self.bytes.len()).map_err(|_| AkaError::MessageTooLong {
            octets: self.bytes.len(),
        })?;
        self.bytes[2..HEADER].copy_from_slice(&length.to_be_bytes());
        Ok(Draft {
            bytes: self.bytes,
            mac_at: self.mac_at,
        })
    }
}

/// A complete message whose AT_MAC, if it has one, is still zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    bytes: Vec<u8>,
    mac_at: Option<usize>,
}

impl Draft {
    /// The message as it stands: with AT_MAC zero, this is what AT_MAC is computed over.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the 16 octets of AT_MAC stand, from the start of the packet.
    pub fn mac_at(&self) -> Option<usize> {
        self.mac_at
    }

    /// Fills AT_MAC in; a message without AT_MAC stays as it is.
    pub fn with_mac(mut self, mac: &[u8; 16]) -> Vec<u8> {
        if let Some(value) = self.mac_at.and_then(|at| self.bytes.get_mut(at..at + 16)) {
            value.copy_from_slice(mac);
        }
        self.bytes
    }

    /// The message as it stands, to be sent without AT_MAC.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
