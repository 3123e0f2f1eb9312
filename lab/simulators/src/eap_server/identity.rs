//! Finds the subscriber of an identity: permanent identities, pseudonyms, re-authentication
//! identities and SUCIs.

use sha1::Sha1;
use sha2::{Digest, Sha256};
use softsim_eap_types::Method;
use softsim_usim::ecies;

use super::config::Config;
use super::register::Context;
use crate::auc::Auc;

/// The result for an identity.
pub(super) enum Known {
    /// A subscriber with a re-authentication context.
    Reauthentication(Box<Context>),
    /// The subscriber with this IMSI.
    Subscriber(String),
    Nobody,
}

impl Config {
    /// Looks an identity up, as it was given.
    pub(super) fn who(&self, auc: &Auc, method: Method, identity: &[u8]) -> Known {
        if self.reauthentication
            && let Some(context) =
                self.register
                    .take_reauthentication(identity, method, &self.network_name)
        {
            return Known::Reauthentication(Box::new(context));
        }
        let Ok(identity) = std::str::from_utf8(identity) else {
            return Known::Nobody;
        };
        let (username, realm) = identity.split_once('@').unwrap_or((identity, ""));
        let imsi = permanent(username)
            .or_else(|| self.register.pseudonym(username))
            .or_else(|| self.reveal(username, realm));
        match imsi {
            Some(imsi) if auc.knows(&imsi) => Known::Subscriber(imsi),
            _ => Known::Nobody,
        }
    }

    /// The IMSI in a SUCI (TS 23.003 §28.7.3).
    fn reveal(&self, username: &str, realm: &str) -> Option<String> {
        let fields = username.strip_prefix("type0.rid")?;
        let (_routing_indicator, fields) = fields.split_once('.')?;
        if let Some(msin) = fields.strip_prefix("schid0.userid") {
            return imsi(realm, msin);
        }
        let (scheme, fields) = fields.strip_prefix("schid")?.split_once(".hnkey")?;
        let (id, fields) = fields.split_once(".ecckey")?;
        let (public_key, fields) = fields.split_once(".cip")?;
        let (cipher_text, tag) = fields.split_once(".mac")?;
        let (scheme, id) = (scheme.parse::<u16>().ok()?, id.parse::<u8>().ok()?);
        let mut keys = self.suci_keys.0.iter();
        let key = keys.find(|key| key.id == id && key.key.group().number() == scheme)?;
        let mut text = hex::decode(cipher_text).ok()?;
        let tag = hex::decode(tag).ok()?.try_into().ok()?;
        ecies::decrypt(&key.key, &hex::decode(public_key).ok()?, &mut text, &tag).ok()?;
        imsi(realm, &digits(&text)?)
    }
}

/// The IMSI in a permanent identity: `<prefix><IMSI>`, of either method (TS 23.003 §14.3, §19.3.2).
fn permanent(username: &str) -> Option<String> {
    let imsi = username.strip_prefix(['0', '6'])?;
    imsi.bytes()
        .all(|digit| digit.is_ascii_digit())
        .then(|| imsi.to_owned())
}

/// Builds an IMSI from MCC and MNC in `….mnc<MNC>.mcc<MCC>.3gppnetwork.org`, and MSIN. An MNC that
/// begins with 0 has two digits here.
fn imsi(realm: &str, msin: &str) -> Option<String> {
    let (_, network) = realm.split_once("mnc")?;
    let (mnc, rest) = network.split_once(".mcc")?;
    let mcc = rest.strip_suffix(".3gppnetwork.org")?;
    let mnc = mnc.strip_prefix('0').unwrap_or(mnc);
    Some(format!("{mcc}{mnc}{msin}"))
}

/// The digits of an MSIN, two in an octet, the earlier one in the lower half.
fn digits(bcd: &[u8]) -> Option<String> {
    let halves = bcd.iter().flat_map(|octet| [octet & 0xf, octet >> 4]);
    let last = 2 * bcd.len() - 1;
    halves
        .enumerate()
        .filter(|(at, half)| !(*at == last && *half == 0xf))
        .map(|(_, half)| char::from_digit(half.into(), 10))
        .collect()
}

/// The hash over all AKA-Identity messages; none, as long as there was none.
#[derive(Clone, Default)]
pub struct IdentityMessages(Option<Hash>);

#[derive(Clone)]
enum Hash {
    Sha1(Sha1),
    Sha256(Sha256),
}

impl IdentityMessages {
    /// Adds an AKA-Identity message of either side.
    pub fn remember(&mut self, method: Method, packet: &[u8]) {
        let hash = self.0.get_or_insert_with(|| match method {
            Method::Aka => Hash::Sha1(Sha1::new()),
            Method::AkaPrime => Hash::Sha256(Sha256::new()),
        });
        match hash {
            Hash::Sha1(hash) => hash.update(packet),
            Hash::Sha256(hash) => hash.update(packet),
        }
    }

    /// AT_CHECKCODE's value (RFC 4187 §10.13, RFC 9048 §3).
    pub fn checkcode(&self) -> Vec<u8> {
        match self.0.clone() {
            None => Vec::new(),
            Some(Hash::Sha1(hash)) => hash.finalize().to_vec(),
            Some(Hash::Sha256(hash)) => hash.finalize().to_vec(),
        }
    }
}
