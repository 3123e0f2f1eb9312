//! Builds invalid requests attribute by attribute.

use softsim_eap::Method;
use softsim_eap_packet::{Attribute, Builder, Code, Kind, Subtype};
use softsim_lab_aka::Keys;

/// Octets before the first attribute.
const HEAD: usize = 8;

/// A request of EAP-AKA or EAP-AKA' under construction.
#[derive(Clone)]
pub struct Forge {
    method: Method,
    subtype: Subtype,
    identifier: u8,
    attributes: Vec<Vec<u8>>,
}

impl Forge {
    pub(super) fn new(method: Method, subtype: Subtype, identifier: u8) -> Self {
        Self {
            method,
            subtype,
            identifier,
            attributes: Vec::new(),
        }
    }

    /// Appends an attribute.
    pub fn with(mut self, attribute: Attribute<'_>) -> Self {
        self.attributes.push(octets(attribute));
        self
    }

    /// Appends octets that may be an attribute.
    pub fn raw(mut self, attribute: impl Into<Vec<u8>>) -> Self {
        self.attributes.push(attribute.into());
        self
    }

    /// Puts octets in front of all attributes.
    pub fn raw_first(mut self, attribute: impl Into<Vec<u8>>) -> Self {
        self.attributes.insert(0, attribute.into());
        self
    }

    /// Takes out every attribute of this kind.
    pub fn without(mut self, kind: Kind) -> Self {
        self.attributes.retain(|octets| octets[0] != kind.0);
        self
    }

    /// Repeats the first attribute of this kind at its place.
    pub fn twice(mut self, kind: Kind) -> Self {
        let at = self.attributes.iter().position(|a| a[0] == kind.0);
        if let Some(at) = at {
            self.attributes.insert(at, self.attributes[at].clone());
        }
        self
    }

    /// Puts another attribute where one of its kind stood.
    pub fn replace(mut self, attribute: Attribute<'_>) -> Self {
        let kind = attribute.kind();
        let mut places = self.attributes.iter_mut();
        if let Some(place) = places.find(|octets| octets[0] == kind.0) {
            *place = octets(attribute);
        }
        self
    }

    /// The kinds of the attributes, in order.
    pub fn kinds(&self) -> Vec<Kind> {
        self.attributes.iter().map(|a| Kind(a[0])).collect()
    }

    /// The octets of the first attribute of this kind.
    pub fn octets_of(&self, kind: Kind) -> Option<&[u8]> {
        let mut attributes = self.attributes.iter();
        attributes.find(|a| a[0] == kind.0).map(Vec::as_slice)
    }

    /// The present packet.
    pub fn unsigned(&self) -> Vec<u8> {
        let mut packet = vec![Code::Request.octet(), self.identifier, 0, 0];
        packet.extend([self.method.number(), self.subtype.octet(), 0, 0]);
        packet.extend(self.attributes.concat());
        let length = packet.len() as u16;
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        packet
    }

    /// The packet with a right AT_MAC, or with two if there are two, as far as both can be right.
    pub(super) fn signed(&self, keys: &Keys) -> Vec<u8> {
        let mut packet = self.unsigned();
        let mac = keys.k_aut.at_mac(&packet, &[]);
        let mut at = HEAD;
        for attribute in &self.attributes {
            if attribute[0] == Kind::MAC.0 && attribute.len() == 20 {
                packet[at + 4..at + 20].copy_from_slice(&mac);
            }
            at += attribute.len();
        }
        packet
    }
}

fn octets(attribute: Attribute<'_>) -> Vec<u8> {
    let message = Builder::new(Code::Request, 0, Method::Aka.into(), Subtype::Challenge)
        .attribute(attribute)
        .finish()
        .expect("scenarios use attributes that fit");
    message.bytes()[HEAD..].to_vec()
}
