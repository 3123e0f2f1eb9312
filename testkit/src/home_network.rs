//! The home network's side of an authentication with keyd: challenges, and the messages after them.
//!
//! It writes packets octet by octet. So keyd's reader isn't tested against its own writer, and a
//! test can make any octet wrong.

use softsim_aka::agreement::PrivateKey;
use softsim_aka::eap::{AkaKeys, AkaPrimeKeys, MacKey, encrypt};
use softsim_aka::kdf::{self, NetworkName};
use softsim_aka::{Amf, CkPrime, Credentials, IkPrime, Iv, KAut, KEncr, Rand, Sqn};
use softsim_keyd_proto::requests::{AkaChallenge, AkaPrimeChallenge, Identity, Reauthenticate};
use softsim_keyd_proto::{IdentityRequest, Method, Realm};

use crate::authentication_vector::{Vector, sqn_ms};
use crate::device;

/// The permanent identity of the device's first subscription.
pub const IDENTITY: &[u8] = b"6001010000000001@wlan.mnc001.mcc001.3gppnetwork.org";
/// The RAND of a challenge unless a test sets another.
pub const RAND: [u8; 16] = [0x11; 16];

// Subtypes and attributes (RFC 4187 §11, RFC 9048 §8.1, RFC 9678 §8).
/// AKA-Challenge.
pub const CHALLENGE: u8 = 1;
/// AKA-Notification.
pub const NOTIFICATION: u8 = 12;
/// AKA-Reauthentication.
pub const REAUTHENTICATION: u8 = 13;
/// AT_PADDING.
pub const AT_PADDING: u8 = 6;
/// AT_MAC.
pub const AT_MAC: u8 = 11;
/// AT_COUNTER.
pub const AT_COUNTER: u8 = 19;
/// AT_NONCE_S.
pub const AT_NONCE_S: u8 = 21;
/// AT_IV.
pub const AT_IV: u8 = 129;
/// AT_ENCR_DATA.
pub const AT_ENCR_DATA: u8 = 130;
/// AT_NEXT_PSEUDONYM.
pub const AT_NEXT_PSEUDONYM: u8 = 132;
/// AT_NEXT_REAUTH_ID.
pub const AT_NEXT_REAUTH_ID: u8 = 133;
/// AT_PUB_ECDHE.
pub const AT_PUB_ECDHE: u8 = 152;
/// AT_KDF_FS.
pub const AT_KDF_FS: u8 = 153;

/// AT_RESULT_IND (RFC 4187 §10.14).
pub const RESULT_IND: [u8; 4] = [135, 1, 0, 0];
/// AT_NOTIFICATION of success (RFC 4187 §10.19).
pub const SUCCESS: [u8; 4] = [12, 1, 0x80, 0];

/// The inputs of a challenge.
pub struct HomeNetwork {
    /// K and the other credentials of its algorithm.
    pub credentials: Credentials,
    /// RAND.
    pub rand: [u8; 16],
    /// AMF.
    pub amf: [u8; 2],
    /// The identity from which the keys are derived.
    pub identity: Vec<u8>,
    /// AT_KDF_INPUT.
    pub network_name: Vec<u8>,
    /// The attributes in AT_ENCR_DATA, without AT_PADDING. If it is empty, the challenge has no
    /// AT_ENCR_DATA.
    pub encrypted: Vec<u8>,
    /// The server's private key for an ephemeral Diffie-Hellman exchange.
    pub ephemeral: Option<PrivateKey>,
    /// Whether the server offers protected result indications.
    pub result_ind: bool,
}

/// A challenge, and the values that a USIM derives from it.
pub struct Challenge {
    /// The request.
    pub packet: Vec<u8>,
    /// RES.
    pub res: Vec<u8>,
    /// The keys without forward secrecy.
    pub keys: AkaPrimeKeys,
    /// CK'.
    pub ck_prime: CkPrime,
    /// IK'.
    pub ik_prime: IkPrime,
}

/// A challenge of EAP-AKA, and the values that a USIM derives from it.
pub struct OldChallenge {
    /// The request.
    pub packet: Vec<u8>,
    /// RES.
    pub res: Vec<u8>,
    /// The keys.
    pub keys: AkaKeys,
}

impl Default for HomeNetwork {
    fn default() -> Self {
        Self {
            credentials: device::milenage(device::K, device::OPC),
            rand: RAND,
            amf: [0x80, 0],
            identity: IDENTITY.to_vec(),
            network_name: b"WLAN".to_vec(),
            encrypted: Vec::new(),
            ephemeral: None,
            result_ind: false,
        }
    }
}

impl HomeNetwork {
    /// A home network whose challenges give a pseudonym and a re-authentication identity.
    pub fn naming(pseudonym: Option<&str>, reauthentication: Option<&str>) -> Self {
        let attributes = [
            pseudonym.map(|name| text(AT_NEXT_PSEUDONYM, name.as_bytes())),
            reauthentication.map(|name| text(AT_NEXT_REAUTH_ID, name.as_bytes())),
        ];
        Self {
            encrypted: attributes.into_iter().flatten().flatten().collect(),
            ..Self::default()
        }
    }

    /// An authentication vector.
    pub fn vector(&self, sqn: u64) -> Vector {
        let (algorithm, rand) = (self.credentials.functions(), Rand::new(self.rand));
        Vector::new(
            &algorithm,
            &rand,
            Sqn::new(sqn).unwrap(),
            Amf::new(self.amf),
        )
    }

    /// Makes a challenge of EAP-AKA'.
    pub fn challenge(&self, sqn: u64) -> Challenge {
        let Vector {
            output,
            sqn_xor_ak,
            autn,
        } = self.vector(sqn);
        let name = NetworkName::new(&self.network_name).unwrap();
        let (ck_prime, ik_prime) = kdf::ck_ik_prime(&output.ck, &output.ik, name, sqn_xor_ak);
        let keys = AkaPrimeKeys::derive(&ck_prime, &ik_prime, &self.identity);
        let mut attributes = [
            attribute(1, &[&[0, 0], &self.rand]),
            attribute(2, &[&[0, 0], autn.as_bytes()]),
            text(23, &self.network_name),
            attribute(24, &[&[0, 1]]),
        ]
        .concat();
        if let Some(key) = &self.ephemeral {
            let public_key = key.public_key();
            let group = public_key.group().number().to_be_bytes();
            attributes.extend(attribute(AT_KDF_FS, &[&group]));
            attributes.extend(attribute(AT_PUB_ECDHE, &[public_key.as_bytes()]));
        }
        attributes.extend(self.offer());
        attributes.extend(self.sealed(&keys.k_encr));
        Challenge {
            packet: maced(1, CHALLENGE, &attributes, &keys),
            res: output.res.as_bytes().to_vec(),
            keys,
            ck_prime,
            ik_prime,
        }
    }

    /// Makes a challenge of EAP-AKA.
    pub fn old_challenge(&self, sqn: u64) -> OldChallenge {
        let Vector { output, autn, .. } = self.vector(sqn);
        let keys = AkaKeys::derive(&output.ck, &output.ik, &self.identity);
        let attributes = [
            attribute(1, &[&[0, 0], &self.rand]),
            attribute(2, &[&[0, 0], autn.as_bytes()]),
            self.offer(),
            self.sealed(&keys.k_encr),
        ];
        OldChallenge {
            packet: Server::of_aka(&keys).packet(1, CHALLENGE, &attributes.concat(), &[]),
            res: output.res.as_bytes().to_vec(),
            keys,
        }
    }

    /// AT_RESULT_IND, if the server offers protected results.
    fn offer(&self) -> Vec<u8> {
        match self.result_ind {
            true => RESULT_IND.to_vec(),
            false => Vec::new(),
        }
    }

    fn sealed(&self, k_encr: &KEncr) -> Vec<u8> {
        if self.encrypted.is_empty() {
            return Vec::new();
        }
        sealed(k_encr, &padded(self.encrypted.clone()))
    }

    /// The highest SQN of the USIM, if AUTS is its own.
    pub fn resynchronise(&self, auts: [u8; 14]) -> Option<u64> {
        let algorithm = self.credentials.functions();
        sqn_ms(&algorithm, &Rand::new(self.rand), auts).map(Sqn::value)
    }
}

/// A server after the full authentication.
pub struct Server {
    method: Method,
    /// The key of AT_ENCR_DATA.
    pub k_encr: KEncr,
    /// The key of AT_MAC.
    pub k_aut: MacKey,
}

impl Server {
    /// The server after EAP-AKA'.
    pub fn of(keys: &AkaPrimeKeys) -> Self {
        Self {
            method: Method::AkaPrime,
            k_encr: KEncr::new(*keys.k_encr.as_bytes()),
            k_aut: KAut::new(*keys.k_aut.as_bytes()).into(),
        }
    }

    /// The server after EAP-AKA.
    pub fn of_aka(keys: &AkaKeys) -> Self {
        Self {
            method: Method::Aka,
            k_encr: KEncr::new(*keys.k_encr.as_bytes()),
            k_aut: softsim_aka::KAut128::new(*keys.k_aut.as_bytes()).into(),
        }
    }

    /// A packet with a valid AT_MAC, which also covers `extra`.
    pub fn packet(&self, code: u8, subtype: u8, attributes: &[u8], extra: &[u8]) -> Vec<u8> {
        let mut packet = unmaced_of(self.method, code, subtype, attributes);
        let mac = self.k_aut.at_mac(&packet, extra);
        let end = packet.len();
        packet[end - 16..].copy_from_slice(&mac);
        packet
    }

    /// A packet whose AT_ENCR_DATA holds these attributes unchanged.
    pub fn sealing(&self, subtype: u8, attributes: Vec<u8>) -> Vec<u8> {
        self.packet(1, subtype, &sealed(&self.k_encr, &attributes), &[])
    }

    /// A fast re-authentication request, which may give the identity for the next one.
    pub fn reauthentication(&self, counter: u16, nonce_s: [u8; 16], next: Option<&str>) -> Vec<u8> {
        let mut attributes = attribute(AT_COUNTER, &[&counter.to_be_bytes()]);
        attributes.extend(attribute(AT_NONCE_S, &[&[0, 0], &nonce_s]));
        attributes.extend(next.map_or(Vec::new(), |next| text(AT_NEXT_REAUTH_ID, next.as_bytes())));
        self.sealing(REAUTHENTICATION, padded(attributes))
    }

    /// A notification after a fast re-authentication.
    pub fn notification(&self, counter: u16) -> Vec<u8> {
        let sealed = sealed(
            &self.k_encr,
            &padded(attribute(AT_COUNTER, &[&counter.to_be_bytes()])),
        );
        let attributes = [attribute(12, &[&[0x80, 0]]), sealed].concat();
        self.packet(1, NOTIFICATION, &attributes, &[])
    }
}

/// A request to keyd for EAP-AKA' without forward secrecy, for the enabled profile.
pub fn challenge<'a>(packet: &'a [u8], identity: &'a [u8]) -> AkaPrimeChallenge<'a> {
    AkaPrimeChallenge {
        iccid: None,
        identity,
        packet,
        forward_secrecy: None,
    }
}

/// A request to keyd for EAP-AKA, for the enabled profile.
pub fn old_challenge<'a>(packet: &'a [u8], identity: &'a [u8]) -> AkaChallenge<'a> {
    AkaChallenge {
        iccid: None,
        identity,
        packet,
        refuse_separation_bit: false,
    }
}

/// A request to keyd for a fast re-authentication.
pub fn reauthenticate<'a>(packet: &'a [u8], identity: &'a str) -> Reauthenticate<'a> {
    Reauthenticate {
        iccid: None,
        identity: identity.as_bytes(),
        packet,
    }
}

/// A request to keyd for an identity for EAP-AKA' on WLAN.
pub fn identity(kind: IdentityRequest) -> Identity<'static> {
    Identity {
        iccid: None,
        method: Method::AkaPrime,
        kind,
        realm: Realm::Wlan,
        network_name: "WLAN",
    }
}

/// A request to keyd for the permanent identity.
pub fn permanent(iccid: Option<&str>) -> Identity<'_> {
    Identity {
        iccid,
        ..identity(IdentityRequest::Permanent)
    }
}

/// A packet of EAP-AKA' with these attributes and then a valid AT_MAC.
pub fn maced(code: u8, subtype: u8, attributes: &[u8], keys: &AkaPrimeKeys) -> Vec<u8> {
    let mut packet = unmaced(code, subtype, attributes);
    let mac = keys.k_aut.at_mac(&packet, &[]);
    let end = packet.len();
    packet[end - 16..].copy_from_slice(&mac);
    packet
}

/// A packet of EAP-AKA' with these attributes and then an AT_MAC of zeros.
pub fn unmaced(code: u8, subtype: u8, attributes: &[u8]) -> Vec<u8> {
    unmaced_of(Method::AkaPrime, code, subtype, attributes)
}

/// A packet of either method with these attributes and then an AT_MAC of zeros.
pub fn unmaced_of(method: Method, code: u8, subtype: u8, attributes: &[u8]) -> Vec<u8> {
    let method = match method {
        Method::Aka => 23,
        Method::AkaPrime => 50,
    };
    let length = (8 + attributes.len() + 20) as u16;
    let mut packet = vec![code, 7];
    packet.extend(length.to_be_bytes());
    packet.extend([method, subtype, 0, 0]);
    packet.extend(attributes);
    packet.extend(attribute(AT_MAC, &[&[0; 18]]));
    packet
}

/// An attribute, padded with zeros.
pub fn attribute(kind: u8, value: &[&[u8]]) -> Vec<u8> {
    let mut attribute = vec![kind, 0];
    attribute.extend(value.concat());
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    attribute[1] = (attribute.len() / 4) as u8;
    attribute
}

/// An attribute that begins with the length of its text.
pub fn text(kind: u8, text: &[u8]) -> Vec<u8> {
    attribute(kind, &[&(text.len() as u16).to_be_bytes(), text])
}

/// Appends AT_PADDING if the attributes don't fill the cipher's blocks.
pub fn padded(mut attributes: Vec<u8>) -> Vec<u8> {
    let missing = attributes.len().next_multiple_of(16) - attributes.len();
    if missing > 0 {
        attributes.extend(attribute(AT_PADDING, &[&vec![0; missing - 2]]));
    }
    attributes
}

/// AT_IV, and AT_ENCR_DATA with these attributes.
pub fn sealed(k_encr: &KEncr, attributes: &[u8]) -> Vec<u8> {
    let (iv, mut data) = (Iv::new([0x1f; 16]), attributes.to_vec());
    encrypt(k_encr, &iv, &mut data).unwrap();
    [
        attribute(AT_IV, &[&[0, 0], iv.as_bytes()]),
        attribute(AT_ENCR_DATA, &[&[0, 0], &data]),
    ]
    .concat()
}
