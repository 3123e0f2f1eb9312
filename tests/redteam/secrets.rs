//! The secrets of a gateway, which come from the operator's profile, from challenges, and from a
//! copy of the vault, opened with its key.

use std::fs;
use std::sync::PoisonError;

use softsim_aka::{AlgorithmSet, Autn, K, Milenage, Opc, Rand};
use softsim_client::proto::requests::AkaPrimeChallenge;
use softsim_keyd::vault::{FileStorage, Kek, Vault};
use softsim_lab_aka::Agreement;
use softsim_lab_harness::home::Home;
use softsim_lab_harness::subscription::{Secret, Subscription};
use softsim_lab_simulators::eap_server::{self, Method, Server, Step};

const NETWORK_NAME: &str = "WLAN";

/// The number of rounds of AES-128.
const ROUNDS: usize = 10;

/// A challenge of the home network, with the keys that follow from it.
pub(crate) struct Challenge {
    pub(crate) packet: Vec<u8>,
    pub(crate) identity: String,
    pub(crate) secrets: Vec<Secret>,
}

impl Challenge {
    pub(crate) fn request(&self) -> AkaPrimeChallenge<'_> {
        AkaPrimeChallenge {
            iccid: None,
            identity: self.identity.as_bytes(),
            packet: &self.packet,
            forward_secrecy: None,
        }
    }
}

pub(crate) fn secret(name: &'static str, octets: &[u8]) -> Secret {
    let octets = octets.to_vec().into();
    Secret { name, octets }
}

/// The secrets of the subscription, with the key schedules of K and OPc.
pub(crate) fn of_subscription(subscription: &Subscription) -> Vec<Secret> {
    let (k, opc) = keys(subscription);
    let mut secrets = vec![secret("K", &k), secret("OPc", &opc)];
    secrets.extend(round_keys(k).map(|round_key| secret("round key", &round_key)));
    secrets
}

/// The next challenge of the subscription's AuC.
pub(crate) fn challenge(subscription: &Subscription) -> Challenge {
    let imsi = subscription.profile.imsi.digits();
    let identity = format!("6{imsi}@wlan.mnc001.mcc001.3gppnetwork.org");
    let config = eap_server::Config {
        network_name: NETWORK_NAME.into(),
        ask_identity: None,
        ..eap_server::Config::default()
    };
    // EAP-Response/Identity (RFC 3748 §5.1).
    let length = (5 + identity.len()) as u16;
    let [high, low] = length.to_be_bytes();
    let response = [&[2, 0, high, low, 1], identity.as_bytes()].concat();
    let auc = &subscription.auc;
    let mut auc = auc.lock().unwrap_or_else(PoisonError::into_inner);
    let mut server = Server::new(config).unwrap();
    let Step::Request(packet) = server.handle(&mut auc, &response) else {
        panic!("expected a challenge");
    };
    let rand = Rand::new(attribute(&packet, 1));
    let autn = Autn::new(attribute(&packet, 2));
    Challenge {
        secrets: session(subscription, &rand, &autn, identity.as_bytes()),
        packet,
        identity,
    }
}

/// All keys that follow from one challenge (RFC 9048 §3.3).
fn session(subscription: &Subscription, rand: &Rand, autn: &Autn, identity: &[u8]) -> Vec<Secret> {
    let (k, opc) = keys(subscription);
    let output = Milenage::new(&K::new(k), &Opc::new(opc)).f2345(rand);
    let agreement = Agreement {
        ck: &output.ck,
        ik: &output.ik,
        sqn_xor_ak: autn.sqn_xor_ak(),
        network_name: NETWORK_NAME.as_bytes(),
        identity,
        shared_secret: None,
    };
    let (ck_prime, ik_prime) = agreement.primes();
    let derived = agreement.keys(Method::AkaPrime);
    let mut secrets = vec![
        secret("CK", output.ck.as_bytes()),
        secret("IK", output.ik.as_bytes()),
        secret("CK'", ck_prime.as_bytes()),
        secret("IK'", ik_prime.as_bytes()),
        secret("MSK", derived.msk.as_bytes()),
        secret("EMSK", derived.emsk.as_bytes()),
    ];
    let keys = derived.keys.secrets();
    secrets.extend(keys.map(|(name, octets)| secret(name, octets)));
    secrets
}

/// The keys of the device and the key of its vault.
pub(crate) fn of_vault(home: &Home) -> Vec<Secret> {
    let folder = home.gateway().folder();
    let copy = tempfile::tempdir().unwrap();
    fs::copy(folder.file("keyd/vault"), copy.path().join("vault")).unwrap();
    let key_file = folder.file("kek");
    let storage = FileStorage::open(copy.path()).unwrap().unwrap();
    let vault = Vault::open(storage, &Kek::read(&key_file).unwrap()).unwrap();
    let keys = vault.device_keys().unwrap();
    vec![
        secret("device key", keys.device.as_slice()),
        secret("sealing key", keys.sealing.as_slice()),
        secret("application key", keys.application.as_slice()),
        secret("KEK", &fs::read(key_file).unwrap()),
    ]
}

fn keys(subscription: &Subscription) -> ([u8; 16], [u8; 16]) {
    let secrets = subscription.secrets();
    let named = |name| {
        let secret = secrets.iter().find(|secret| secret.name == name).unwrap();
        secret.octets.as_slice().try_into().unwrap()
    };
    (named("K"), named("OPc"))
}

/// The value of an attribute with two reserved octets and 16 of value (RFC 4187 §10.6).
fn attribute(packet: &[u8], kind: u8) -> [u8; 16] {
    let mut attributes = &packet[8..];
    while attributes[0] != kind {
        attributes = &attributes[4 * usize::from(attributes[1])..];
    }
    attributes[4..20].try_into().unwrap()
}

/// The round keys of AES-128 after the first, which is the key itself (FIPS 197 §5.2).
fn round_keys(key: [u8; 16]) -> [[u8; 16]; ROUNDS] {
    let s_box = s_box();
    let mut last = key;
    let mut constant = 1;
    [(); ROUNDS].map(|()| {
        let [.., a, b, c, d] = last;
        let mut word = [b, c, d, a].map(|octet| s_box[usize::from(octet)]);
        word[0] ^= constant;
        constant = times_x(constant);
        for column in last.chunks_exact_mut(4) {
            column
                .iter_mut()
                .zip(word)
                .for_each(|(octet, with)| *octet ^= with);
            word.copy_from_slice(column);
        }
        last
    })
}

/// SubBytes: the inverse in GF(2^8), and an affine transformation (FIPS 197 §5.1.1).
fn s_box() -> [u8; 256] {
    let mut s_box = [0x63; 256];
    let (mut element, mut inverse) = (1u8, 1u8);
    for _ in 0..255 {
        let rotated = (1..=4).map(|by| inverse.rotate_left(by));
        s_box[usize::from(element)] = rotated.fold(inverse ^ 0x63, |sum, term| sum ^ term);
        // 3 generates all elements; f6 is its inverse.
        element ^= times_x(element);
        inverse = (0..8).rev().fold(0, |product, bit| {
            times_x(product) ^ if 0xf6 >> bit & 1 == 1 { inverse } else { 0 }
        });
    }
    s_box
}

fn times_x(element: u8) -> u8 {
    (element << 1) ^ if element >> 7 == 1 { 0x1b } else { 0 }
}

#[test]
fn the_key_schedule_is_that_of_fips_197() {
    let octets = |hex: &str| hex::decode(hex).unwrap();
    let key = octets("2b7e151628aed2a6abf7158809cf4f3c");
    let round_keys = round_keys(key.try_into().unwrap());
    // Appendix A.1.
    for (round, expected) in [
        (1, "a0fafe1788542cb123a339392a6c7605"),
        (10, "d014f9a8c9ee2589e13f0cc8b6630ca6"),
    ] {
        assert_eq!(round_keys[round - 1].to_vec(), octets(expected));
    }
}
