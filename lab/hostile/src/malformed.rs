//! Hundreds of malformed attributes: every attribute that the peer knows, with every length that
//! doesn't fit.

use softsim_eap_packet::{Attribute, Kind, Subtype};
use softsim_lab_simulators::auc::Auc;
use softsim_lab_simulators::eap_server::IdentityRequest;

use super::{Reaction, Scenario, Stage};

/// An attribute, and the lengths in words that it can have.
struct Row {
    kind: Kind,
    words: &'static [u8],
}

/// The attributes that peers must understand, and skippable ones that they know.
const TABLE: &[Row] = &[
    row(Kind::RAND, &[5]),
    row(Kind::AUTN, &[5]),
    row(Kind::MAC, &[5]),
    row(Kind::PERMANENT_ID_REQ, &[1]),
    row(Kind::ANY_ID_REQ, &[1]),
    row(Kind::FULLAUTH_ID_REQ, &[1]),
    row(Kind::NOTIFICATION, &[1]),
    row(Kind::CLIENT_ERROR_CODE, &[1]),
    row(Kind::AUTS, &[4]),
    row(Kind::KDF, &[1]),
    row(Kind::IV, &[5]),
    row(Kind::CHECKCODE, &[1, 6, 9]),
    row(Kind::RESULT_IND, &[1]),
    row(Kind::BIDDING, &[1]),
    row(Kind::KDF_FS, &[1]),
];

const fn row(kind: Kind, words: &'static [u8]) -> Row {
    Row { kind, words }
}

/// The position of the malformed attribute.
const MESSAGES: [Subtype; 3] = [Subtype::Identity, Subtype::Challenge, Subtype::Notification];

/// Every row of the table in every message, and length fields with wrong values. The peer must
/// answer each with Client-Error 0.
pub fn malformed() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for message in MESSAGES {
        for Row { kind, words } in TABLE {
            let wrong = [0u8, 1, 2, 3, 4, 5, 6, 9, 255]
                .into_iter()
                .filter(|length| !words.contains(length));
            for length in wrong {
                let mut octets = vec![0; usize::from(length.max(1)) * 4];
                (octets[0], octets[1]) = (kind.0, length);
                let name = format!("AKA-{message} with {kind} of {length} words");
                scenarios.push(scenario(name, message, octets));
            }
            let mut cut = vec![0; 4];
            (cut[0], cut[1]) = (kind.0, 64);
            let name = format!("AKA-{message} that ends inside of {kind}");
            scenarios.push(scenario(name, message, cut));
            let name = format!("AKA-{message} that ends after one octet of {kind}");
            scenarios.push(scenario(name, message, vec![kind.0]));
        }
        for (name, octets) in counted() {
            scenarios.push(scenario(
                format!("AKA-{message} with {name}"),
                message,
                octets,
            ));
        }
        for kind in [0, 5, 7, 50, 127] {
            let name = format!("AKA-{message} with attribute {kind}, which must be understood");
            scenarios.push(scenario(name, message, vec![kind, 1, 0, 0]));
        }
    }
    scenarios
}

/// Fields whose length of their own doesn't fit that of the attribute.
fn counted() -> Vec<(String, Vec<u8>)> {
    let mut rows = Vec::new();
    for kind in [Kind::IDENTITY, Kind::KDF_INPUT] {
        for (words, count) in [(1u8, 1u16), (2, 5), (2, 0xffff), (3, 4), (1, 0xffff)] {
            let mut octets = vec![b'x'; usize::from(words) * 4];
            (octets[0], octets[1]) = (kind.0, words);
            octets[2..4].copy_from_slice(&count.to_be_bytes());
            rows.push((
                format!("{kind} of {words} words that counts {count}"),
                octets,
            ));
        }
    }
    for bits in [0u16, 1, 31, 129, 0xffff] {
        let mut octets = vec![0; 12];
        (octets[0], octets[1]) = (Kind::RES.0, 3);
        octets[2..4].copy_from_slice(&bits.to_be_bytes());
        rows.push((format!("AT_RES of {bits} bits"), octets));
    }
    for words in [1u8, 2, 4, 6] {
        let mut octets = vec![0; usize::from(words) * 4];
        (octets[0], octets[1]) = (Kind::ENCR_DATA.0, words);
        rows.push((format!("AT_ENCR_DATA of {words} words"), octets));
    }
    rows
}

fn scenario(name: String, message: Subtype, malformed: Vec<u8>) -> Scenario {
    Scenario::new(name, "RFC 4187 §6.3.1 and §8.1").ask(
        move |stage, auc| with(stage, auc, message, malformed.clone()),
        Reaction::ClientError,
    )
}

/// An honest message with these octets at the end, signed where it has an AT_MAC.
fn with(stage: &mut Stage, auc: &mut Auc, message: Subtype, malformed: Vec<u8>) -> Vec<u8> {
    match message {
        Subtype::Challenge => {
            let forge = stage.challenge(auc).raw(malformed);
            stage.sign(&forge)
        }
        Subtype::Identity => {
            let forge = stage.identity_request(&[IdentityRequest::Any]);
            forge.raw(malformed).unsigned()
        }
        other => {
            let forge = stage.request(other);
            let forge = forge.with(Attribute::Notification(16_384));
            forge.raw(malformed).unsigned()
        }
    }
}
