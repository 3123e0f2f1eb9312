//! The keys of one session, of either method, as both sides derive them.

use softsim_aka::eap::{AkaKeys, AkaPrimeKeys, MacKey, ReauthenticationKeys, decrypt, encrypt};
use softsim_aka::kdf::{NetworkName, ck_ik_prime};
use softsim_aka::{
    AlgorithmSet, Iv, KAut, KAut128, KEncr, KRe, Milenage, Mk, NonceS, Rand, SharedSecret, SqnXorAk,
};
use softsim_eap::Method;
use softsim_eap_packet::{Attribute, Packet, Subtype, build_encrypted, parse_encrypted};

/// What one challenge is about.
pub struct Agreement<'a> {
    pub rand: [u8; 16],
    pub sqn_xor_ak: SqnXorAk,
    pub network_name: &'a [u8],
    pub identity: &'a [u8],
    pub shared_secret: Option<SharedSecret>,
}

#[derive(Clone)]
pub struct Session {
    pub method: Method,
    k_encr: [u8; 16],
    k_aut: Vec<u8>,
    /// MK of EAP-AKA, K_re of EAP-AKA'.
    root: Vec<u8>,
    pub msk: Vec<u8>,
    /// Of a re-authentication.
    pub counter: Option<u16>,
    pub nonce_s: [u8; 16],
    pub counter_too_small: bool,
}

impl Session {
    pub fn full(method: Method, milenage: &Milenage, agreement: &Agreement<'_>) -> Self {
        let out = milenage.f2345(&Rand::new(agreement.rand));
        let (k_encr, k_aut, root, msk) = match method {
            Method::Aka => {
                let keys = AkaKeys::derive(&out.ck, &out.ik, agreement.identity);
                (
                    *keys.k_encr.as_bytes(),
                    keys.k_aut.as_bytes().to_vec(),
                    keys.mk.as_bytes().to_vec(),
                    keys.msk.as_bytes().to_vec(),
                )
            }
            Method::AkaPrime => {
                let name = NetworkName::new(agreement.network_name)
                    .expect("the tests name the network where keys are derived");
                let (ck, ik) = ck_ik_prime(&out.ck, &out.ik, name, agreement.sqn_xor_ak);
                let keys = match &agreement.shared_secret {
                    Some(secret) => {
                        AkaPrimeKeys::derive_forward_secret(&ck, &ik, secret, agreement.identity)
                    }
                    None => AkaPrimeKeys::derive(&ck, &ik, agreement.identity),
                };
                (
                    *keys.k_encr.as_bytes(),
                    keys.k_aut.as_bytes().to_vec(),
                    keys.k_re.as_bytes().to_vec(),
                    keys.msk.as_bytes().to_vec(),
                )
            }
        };
        Session {
            method,
            k_encr,
            k_aut,
            root,
            msk,
            counter: None,
            nonce_s: [0; 16],
            counter_too_small: false,
        }
    }

    pub fn reauthenticated(&self, identity: &[u8], counter: u16, nonce_s: [u8; 16]) -> Self {
        let nonce = NonceS::new(nonce_s);
        let keys = match self.method {
            Method::Aka => {
                let mk = Mk::try_from(&self.root[..]).expect("it was one");
                ReauthenticationKeys::aka(&mk, identity, counter, &nonce)
            }
            Method::AkaPrime => {
                let k_re = KRe::try_from(&self.root[..]).expect("it was one");
                ReauthenticationKeys::aka_prime(&k_re, identity, counter, &nonce)
            }
        };
        Session {
            msk: keys.msk.as_bytes().to_vec(),
            counter: Some(counter),
            nonce_s,
            ..self.clone()
        }
    }

    fn mac_key(&self) -> MacKey {
        match self.method {
            Method::Aka => KAut128::try_from(&self.k_aut[..]).map(MacKey::from),
            Method::AkaPrime => KAut::try_from(&self.k_aut[..]).map(MacKey::from),
        }
        .expect("it was one")
    }

    /// AT_MAC of a packet in which it is zero; the response of a re-authentication counts NONCE_S
    /// in.
    pub fn mac(&self, zeroed: &[u8]) -> [u8; 16] {
        let response = zeroed.first() == Some(&2);
        let extra = match zeroed.get(5).copied().map(Subtype::from) {
            Some(Subtype::Reauthentication) if response => &self.nonce_s[..],
            _ => &[],
        };
        self.mac_key().at_mac(zeroed, extra)
    }

    /// Whether AT_MAC of these octets was made with these keys.
    pub fn verifies(&self, octets: &[u8]) -> bool {
        let Ok(packet) = Packet::parse(octets) else {
            return false;
        };
        let Ok(message) = packet.aka() else {
            return false;
        };
        match (message.bytes_under_mac(), message.mac()) {
            (Some(zeroed), Some(mac)) => self.mac(&zeroed) == *mac,
            _ => false,
        }
    }

    pub fn encrypt(&self, iv: &[u8; 16], attributes: &[Attribute<'_>]) -> Vec<u8> {
        let mut data = build_encrypted(attributes).expect("the tests encrypt what fits");
        encrypt(&KEncr::new(self.k_encr), &Iv::new(*iv), &mut data).expect("whole blocks");
        data
    }

    /// The plaintext of AT_ENCR_DATA of a message; empty without one.
    pub fn decrypt(&self, octets: &[u8]) -> Vec<u8> {
        let packet = Packet::parse(octets).expect("the tests decrypt messages");
        let message = packet.aka().expect("the tests decrypt messages");
        let (Some(iv), Some(data)) = (message.iv(), message.encr_data()) else {
            return Vec::new();
        };
        let mut data = data.to_vec();
        decrypt(&KEncr::new(self.k_encr), &Iv::new(*iv), &mut data).expect("whole blocks");
        data
    }

    /// AT_COUNTER as the message encrypts it, and whether AT_COUNTER_TOO_SMALL is beside it.
    pub fn counter_in(&self, octets: &[u8]) -> Option<(u16, bool)> {
        let plaintext = self.decrypt(octets);
        let attributes = parse_encrypted(&plaintext).ok()?;
        let counter = attributes.iter().find_map(|attribute| match attribute {
            Attribute::Counter(counter) => Some(*counter),
            _ => None,
        });
        Some((counter?, attributes.contains(&Attribute::CounterTooSmall)))
    }
}
