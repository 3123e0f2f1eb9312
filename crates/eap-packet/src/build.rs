//! Builds messages of EAP-AKA and EAP-AKA'. AT_MAC is zero, for the owner of K_aut to fill in.

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

    /// Appends an attribute. It writes [`Attribute::Mac`] as given; usually, use [`Builder::mac`].
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
    /// [`AkaError::TooLong`] if an attribute or the whole message doesn't fit its length field.
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
    /// The message with a zero AT_MAC, over which AT_MAC is computed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The offset of the 16 octets of AT_MAC in the packet.
    pub fn mac_at(&self) -> Option<usize> {
        self.mac_at
    }

    /// Fills in AT_MAC. A message without AT_MAC stays unchanged.
    pub fn with_mac(mut self, mac: &[u8; 16]) -> Vec<u8> {
        if let Some(value) = self.mac_at.and_then(|at| self.bytes.get_mut(at..at + 16)) {
            value.copy_from_slice(mac);
        }
        self.bytes
    }

    /// The unchanged message, for messages without AT_MAC.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
