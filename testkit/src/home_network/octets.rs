//! Writes packets of EAP-AKA and EAP-AKA' octet by octet, so that keyd isn't tested with packets
//! that are written by the code with which it reads them.

use softsim_aka::Iv;
use softsim_aka::eap::encrypt;
use softsim_eap_types::Method;
use softsim_lab_aka::Keys;

// Subtypes and attributes (RFC 4187 §11, RFC 9048 §8.1, RFC 9678 §8).
/// AKA-Challenge.
pub const CHALLENGE: u8 = 1;
/// AKA-Notification.
pub const NOTIFICATION: u8 = 12;
/// AKA-Reauthentication.
pub const REAUTHENTICATION: u8 = 13;
/// AT_RAND.
pub const AT_RAND: u8 = 1;
/// AT_AUTN.
pub const AT_AUTN: u8 = 2;
/// AT_PADDING.
pub const AT_PADDING: u8 = 6;
/// AT_MAC.
pub const AT_MAC: u8 = 11;
/// AT_NOTIFICATION.
pub const AT_NOTIFICATION: u8 = 12;
/// AT_COUNTER.
pub const AT_COUNTER: u8 = 19;
/// AT_NONCE_S.
pub const AT_NONCE_S: u8 = 21;
/// AT_KDF_INPUT.
pub const AT_KDF_INPUT: u8 = 23;
/// AT_KDF.
pub const AT_KDF: u8 = 24;
/// AT_IV.
pub const AT_IV: u8 = 129;
/// AT_ENCR_DATA.
pub const AT_ENCR_DATA: u8 = 130;
/// AT_NEXT_PSEUDONYM.
pub const AT_NEXT_PSEUDONYM: u8 = 132;
/// AT_NEXT_REAUTH_ID.
pub const AT_NEXT_REAUTH_ID: u8 = 133;
/// AT_CHECKCODE.
pub const AT_CHECKCODE: u8 = 134;
/// AT_BIDDING.
pub const AT_BIDDING: u8 = 136;
/// AT_PUB_ECDHE.
pub const AT_PUB_ECDHE: u8 = 152;
/// AT_KDF_FS.
pub const AT_KDF_FS: u8 = 153;

/// AT_RESULT_IND (RFC 4187 §10.14).
pub const RESULT_IND: [u8; 4] = [135, 1, 0, 0];
/// AT_NOTIFICATION of success (RFC 4187 §10.19).
pub const SUCCESS: [u8; 4] = [12, 1, 0x80, 0];

/// A packet of either method with these attributes and then an AT_MAC of zeros.
pub fn unmaced_of(method: Method, code: u8, subtype: u8, attributes: &[u8]) -> Vec<u8> {
    packet(method, code, 7, subtype, &[attributes, &no_mac()].concat())
}

/// A packet of EAP-AKA' with these attributes and then an AT_MAC of zeros.
pub fn unmaced(code: u8, subtype: u8, attributes: &[u8]) -> Vec<u8> {
    unmaced_of(Method::AkaPrime, code, subtype, attributes)
}

/// A packet with these attributes and no others.
pub(super) fn packet(
    method: Method,
    code: u8,
    identifier: u8,
    subtype: u8,
    attributes: &[u8],
) -> Vec<u8> {
    let kind = match method {
        Method::Aka => 23,
        Method::AkaPrime => 50,
    };
    let length = (8 + attributes.len()) as u16;
    let mut packet = vec![code, identifier];
    packet.extend(length.to_be_bytes());
    packet.extend([kind, subtype, 0, 0]);
    packet.extend(attributes);
    packet
}

/// AT_MAC of zeros.
pub(super) fn no_mac() -> Vec<u8> {
    attribute(AT_MAC, &[&[0; 18]])
}

/// An attribute, padded with zeros.
pub fn attribute(kind: u8, value: &[&[u8]]) -> Vec<u8> {
    let mut attribute = vec![kind, 0];
    attribute.extend(value.concat());
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    attribute[1] = (attribute.len() / 4) as u8;
    attribute
}

/// An attribute whose value follows two reserved octets.
pub fn reserved(kind: u8, value: &[u8]) -> Vec<u8> {
    attribute(kind, &[&[0, 0], value])
}

/// An attribute that begins with the length of its text.
pub fn text(kind: u8, text: &[u8]) -> Vec<u8> {
    attribute(kind, &[&(text.len() as u16).to_be_bytes(), text])
}

/// An attribute of one number.
pub fn number(kind: u8, number: u16) -> Vec<u8> {
    attribute(kind, &[&number.to_be_bytes()])
}

/// AT_CHECKCODE, if there is one.
pub(super) fn checkcode(value: Option<&[u8]>) -> Vec<u8> {
    value.map_or(Vec::new(), |value| reserved(AT_CHECKCODE, value))
}

/// AT_RESULT_IND, if the server offers protected results.
pub(super) fn result_ind(offered: bool) -> Vec<u8> {
    RESULT_IND[..if offered { 4 } else { 0 }].to_vec()
}

/// The attributes without those of a kind.
pub(super) fn without(omitted: Option<u8>, mut attributes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    while let [kind, words, ..] = *attributes {
        let (attribute, rest) = attributes.split_at(4 * usize::from(words));
        attributes = rest;
        if omitted != Some(kind) {
            kept.extend(attribute);
        }
    }
    kept
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
pub fn sealed(keys: &Keys, attributes: &[u8]) -> Vec<u8> {
    let (iv, mut data) = (Iv::new([0x1f; 16]), attributes.to_vec());
    encrypt(&keys.k_encr, &iv, &mut data).unwrap();
    [
        reserved(AT_IV, iv.as_bytes()),
        reserved(AT_ENCR_DATA, &data),
    ]
    .concat()
}
