//! The EAP server after a full authentication.

use softsim_lab_aka::Keys;

use super::octets::*;

/// A server with the keys of a full authentication.
pub struct Server {
    /// The keys of its packets, and those of later re-authentications.
    pub keys: Keys,
}

impl Clone for Server {
    fn clone(&self) -> Self {
        Self {
            keys: self.keys.duplicate(),
        }
    }
}

/// The contents of a re-authentication request. The default is valid.
#[derive(Clone)]
pub struct Reauthentication {
    /// The packet's identifier.
    pub identifier: u8,
    /// AT_COUNTER.
    pub counter: u16,
    /// AT_NONCE_S.
    pub nonce_s: [u8; 16],
    /// AT_NEXT_REAUTH_ID.
    pub next_reauth_id: Option<String>,
    /// AT_CHECKCODE.
    pub checkcode: Option<Vec<u8>>,
    /// Whether it has AT_RESULT_IND.
    pub result_ind: bool,
    /// The attribute that is left out.
    pub omitted: Option<u8>,
    /// Whether AT_MAC is made with another key.
    pub wrong_mac: bool,
}

impl Default for Reauthentication {
    fn default() -> Self {
        Self {
            identifier: 20,
            counter: 1,
            nonce_s: [0xa5; 16],
            next_reauth_id: None,
            checkcode: None,
            result_ind: false,
            omitted: None,
            wrong_mac: false,
        }
    }
}

impl Server {
    /// A packet with a valid AT_MAC, which also covers `extra`.
    pub fn packet(&self, code: u8, subtype: u8, attributes: &[u8], extra: &[u8]) -> Vec<u8> {
        let packet = unmaced_of(self.keys.method(), code, subtype, attributes);
        self.maced(packet, extra, false)
    }

    /// A packet whose AT_ENCR_DATA holds these attributes unchanged.
    pub fn sealing(&self, subtype: u8, attributes: Vec<u8>) -> Vec<u8> {
        self.packet(1, subtype, &sealed(&self.keys, &attributes), &[])
    }

    /// A fast re-authentication request, which may give the identity for the next one.
    pub fn reauthentication(&self, counter: u16, nonce_s: [u8; 16], next: Option<&str>) -> Vec<u8> {
        self.reauthentication_with(&Reauthentication {
            counter,
            nonce_s,
            next_reauth_id: next.map(str::to_owned),
            ..Reauthentication::default()
        })
    }

    /// A fast re-authentication request with these contents.
    pub fn reauthentication_with(&self, what: &Reauthentication) -> Vec<u8> {
        let next = what.next_reauth_id.as_deref();
        let next = next.map(|next| text(AT_NEXT_REAUTH_ID, next.as_bytes()));
        let inside = [
            number(AT_COUNTER, what.counter),
            reserved(AT_NONCE_S, &what.nonce_s),
            next.unwrap_or_default(),
        ];
        let mut attributes = sealed(&self.keys, &padded(inside.concat()));
        attributes.extend(checkcode(what.checkcode.as_deref()));
        attributes.extend(result_ind(what.result_ind));
        let altered = (what.omitted, what.wrong_mac);
        self.request(what.identifier, REAUTHENTICATION, attributes, altered)
    }

    /// A notification of success after a fast re-authentication.
    pub fn notification(&self, counter: u16) -> Vec<u8> {
        self.notification_with(7, 0x8000, Some(counter))
    }

    /// A notification, whose AT_ENCR_DATA holds the counter if there is one.
    pub fn notification_with(&self, identifier: u8, code: u16, counter: Option<u16>) -> Vec<u8> {
        let mut attributes = number(AT_NOTIFICATION, code);
        let counter = counter.map(|counter| padded(number(AT_COUNTER, counter)));
        attributes.extend(counter.iter().flat_map(|inside| sealed(&self.keys, inside)));
        self.request(identifier, NOTIFICATION, attributes, (None, false))
    }

    /// A request with these attributes and AT_MAC, one of which may be left out, and with a right
    /// or wrong AT_MAC.
    pub(super) fn request(
        &self,
        identifier: u8,
        subtype: u8,
        mut attributes: Vec<u8>,
        (omitted, wrong_mac): (Option<u8>, bool),
    ) -> Vec<u8> {
        attributes.extend(no_mac());
        let attributes = without(omitted, &attributes);
        let request = packet(self.keys.method(), 1, identifier, subtype, &attributes);
        match omitted {
            Some(AT_MAC) => request,
            _ => self.maced(request, &[], wrong_mac),
        }
    }

    fn maced(&self, mut packet: Vec<u8>, extra: &[u8], wrong: bool) -> Vec<u8> {
        let mut mac = self.keys.k_aut.at_mac(&packet, extra);
        mac[0] ^= u8::from(wrong);
        let place = packet.len() - mac.len();
        packet[place..].copy_from_slice(&mac);
        packet
    }
}
