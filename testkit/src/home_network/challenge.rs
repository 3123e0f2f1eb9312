//! The contents of a challenge, and what follows from it.

use softsim_aka::agreement::{Group, PrivateKey};
use softsim_aka::{Emsk, Msk};
use softsim_eap_types::Method;
use softsim_lab_aka::{Agreement, AuthenticationVector, Derived, Keys};

use super::Server;
use super::octets::*;

/// The contents of a challenge. The default is valid; each test changes the fields that it tests.
#[derive(Clone)]
pub struct Challenge {
    /// EAP-AKA or EAP-AKA'.
    pub method: Method,
    /// The packet's identifier.
    pub identifier: u8,
    /// AMF, whose first bit is the separation bit.
    pub amf: [u8; 2],
    /// The values of AT_KDF, which only EAP-AKA' has, like the three after it.
    pub kdfs: Vec<u16>,
    /// AT_KDF_INPUT. Without one, the keys are derived for WLAN.
    pub network_name: Option<Vec<u8>>,
    /// The values of AT_KDF_FS.
    pub kdfs_fs: Vec<u16>,
    /// The group of AT_PUB_ECDHE, if the challenge has this attribute.
    pub group: Option<Group>,
    /// AT_CHECKCODE.
    pub checkcode: Option<Vec<u8>>,
    /// Whether it has AT_RESULT_IND.
    pub result_ind: bool,
    /// AT_NEXT_PSEUDONYM.
    pub next_pseudonym: Option<String>,
    /// AT_NEXT_REAUTH_ID.
    pub next_reauth_id: Option<String>,
    /// The attribute that is left out.
    pub omitted: Option<u8>,
    /// Additional attributes.
    pub extra: Vec<u8>,
    /// Whether AUTN's MAC is made with another K.
    pub wrong_autn: bool,
    /// Whether AT_MAC is made with another key.
    pub wrong_mac: bool,
}

impl Default for Challenge {
    fn default() -> Self {
        Self {
            method: Method::AkaPrime,
            identifier: 10,
            amf: [0x80, 0],
            kdfs: vec![1],
            network_name: Some(b"WLAN".to_vec()),
            kdfs_fs: Vec::new(),
            group: None,
            checkcode: None,
            result_ind: false,
            next_pseudonym: None,
            next_reauth_id: None,
            omitted: None,
            extra: Vec::new(),
            wrong_autn: false,
            wrong_mac: false,
        }
    }
}

impl Challenge {
    /// A challenge of EAP-AKA.
    pub fn aka() -> Self {
        Self {
            method: Method::Aka,
            amf: [0, 0],
            ..Self::default()
        }
    }

    /// A challenge of this network.
    pub fn of_network(name: &[u8]) -> Self {
        Self {
            network_name: Some(name.to_vec()),
            ..Self::default()
        }
    }

    /// A challenge that offers forward secrecy with these groups and a public key of the first
    /// group.
    pub fn forward_secret(groups: &[Group]) -> Self {
        Self {
            kdfs_fs: groups.iter().map(|group| group.number()).collect(),
            group: groups.first().copied(),
            ..Self::default()
        }
    }

    /// The packet with this vector, and what follows from it.
    pub(super) fn sent(&self, vector: AuthenticationVector, identity: &[u8]) -> Sent {
        let name = self.network_name.as_deref().unwrap_or_default();
        let name = if name.is_empty() { b"WLAN" } else { name };
        let Derived { keys, msk, emsk } = vector.agreement(name, identity).keys(self.method);
        let server = Server { keys };
        let mut autn = *vector.autn.as_bytes();
        autn[15] ^= u8::from(self.wrong_autn);
        let mut attributes = reserved(AT_RAND, vector.rand.as_bytes());
        attributes.extend(reserved(AT_AUTN, &autn));
        if self.method == Method::AkaPrime {
            attributes.extend(self.negotiation());
        }
        attributes.extend(self.sealed(&server.keys));
        attributes.extend(checkcode(self.checkcode.as_deref()));
        attributes.extend(result_ind(self.result_ind));
        attributes.extend(&self.extra);
        let altered = (self.omitted, self.wrong_mac);
        Sent {
            packet: server.request(self.identifier, CHALLENGE, attributes, altered),
            vector,
            server,
            msk,
            emsk,
            network_name: name.to_vec(),
            identity: identity.to_vec(),
        }
    }

    /// The attributes that only EAP-AKA' has.
    fn negotiation(&self) -> Vec<u8> {
        let mut attributes = Vec::new();
        for kdf in &self.kdfs {
            attributes.extend(number(AT_KDF, *kdf));
        }
        if let Some(name) = &self.network_name {
            attributes.extend(text(AT_KDF_INPUT, name));
        }
        for kdf in &self.kdfs_fs {
            attributes.extend(number(AT_KDF_FS, *kdf));
        }
        if let Some(group) = self.group {
            let key = private_key(group).public_key();
            attributes.extend(attribute(AT_PUB_ECDHE, &[key.as_bytes()]));
        }
        attributes
    }

    /// AT_IV and AT_ENCR_DATA, if the challenge gives identities.
    fn sealed(&self, keys: &Keys) -> Vec<u8> {
        let mut inside = Vec::new();
        if let Some(name) = &self.next_pseudonym {
            inside.extend(text(AT_NEXT_PSEUDONYM, name.as_bytes()));
        }
        if let Some(name) = &self.next_reauth_id {
            inside.extend(text(AT_NEXT_REAUTH_ID, name.as_bytes()));
        }
        match inside.is_empty() {
            true => inside,
            false => sealed(keys, &padded(inside)),
        }
    }
}

/// A challenge that was sent, and the values that a USIM derives from it.
pub struct Sent {
    /// The request.
    pub packet: Vec<u8>,
    /// RAND, AUTN, XRES, CK and IK.
    pub vector: AuthenticationVector,
    /// The server with the keys of its packets, without forward secrecy.
    pub server: Server,
    /// The MSK, without forward secrecy.
    pub msk: Msk,
    /// The EMSK, without forward secrecy.
    pub emsk: Emsk,
    network_name: Vec<u8>,
    identity: Vec<u8>,
}

impl Sent {
    /// RES.
    pub fn res(&self) -> &[u8] {
        self.vector.xres.as_bytes()
    }

    /// AT_KDF_INPUT, or the name that stands for a missing one.
    pub fn network_name(&self) -> &[u8] {
        &self.network_name
    }

    /// A copy of the keys, without forward secrecy.
    pub fn derived(&self) -> Derived {
        Derived {
            keys: self.server.keys.duplicate(),
            msk: Msk::new(*self.msk.as_bytes()),
            emsk: Emsk::new(*self.emsk.as_bytes()),
        }
    }

    /// The inputs of the key derivation, without forward secrecy.
    pub fn agreement(&self) -> Agreement<'_> {
        self.vector.agreement(&self.network_name, &self.identity)
    }

    /// The keys with forward secrecy, which the peer's public key of this group gives.
    pub fn forward_secret(&self, group: Group, public_key: &[u8]) -> Derived {
        let secret = private_key(group).agree(public_key).unwrap();
        let agreement = Agreement {
            shared_secret: Some(&secret),
            ..self.agreement()
        };
        agreement.keys(Method::AkaPrime)
    }
}

/// The server's ephemeral key, which is always the same.
fn private_key(group: Group) -> PrivateKey {
    PrivateKey::from_octets(group, &[0x17; 32]).unwrap()
}
