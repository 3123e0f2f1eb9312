//! Which octets keyd accepts as a packet.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use softsim_aka::eap::{decrypt, encrypt};
use softsim_aka::{KAut, KEncr, NonceS};

use super::*;
use crate::vault::Name;

const HEAD: usize = 8;
const CHALLENGE: u8 = 1;

const AT_RAND: u8 = Kind::RAND.0;
const AT_AUTN: u8 = Kind::AUTN.0;
const AT_PADDING: u8 = Kind::PADDING.0;
const AT_MAC: u8 = Kind::MAC.0;
const AT_COUNTER: u8 = Kind::COUNTER.0;
const AT_COUNTER_TOO_SMALL: u8 = Kind::COUNTER_TOO_SMALL.0;
const AT_NONCE_S: u8 = Kind::NONCE_S.0;
const AT_KDF_INPUT: u8 = Kind::KDF_INPUT.0;
const AT_KDF: u8 = Kind::KDF.0;
const AT_IV: u8 = Kind::IV.0;
const AT_ENCR_DATA: u8 = Kind::ENCR_DATA.0;
const AT_NEXT_PSEUDONYM: u8 = Kind::NEXT_PSEUDONYM.0;
const AT_NEXT_REAUTH_ID: u8 = Kind::NEXT_REAUTH_ID.0;
const AT_PUB_ECDHE: u8 = Kind::PUB_ECDHE.0;
const AT_KDF_FS: u8 = Kind::KDF_FS.0;

const RAND: [u8; 20] = [
    1, 5, 0, 0, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
    0xaa, 0xaa,
];
const KDF: [u8; 4] = [24, 1, 0, 1];
const WLAN: [u8; 8] = [23, 2, 0, 4, b'W', b'L', b'A', b'N'];

fn sixteen_of(kind: u8) -> [u8; 20] {
    let mut attribute = RAND;
    attribute[0] = kind;
    attribute
}

fn packet(head: [u8; 6], attributes: &[&[u8]]) -> Vec<u8> {
    let mut packet = head.to_vec();
    packet.extend([0, 0]);
    attributes
        .iter()
        .for_each(|attribute| packet.extend_from_slice(attribute));
    let length = (packet.len() as u16).to_be_bytes();
    packet[2..4].copy_from_slice(&length);
    packet
}

fn challenge(attributes: &[&[u8]]) -> Vec<u8> {
    packet([1, 7, 0, 0, 50, CHALLENGE], attributes)
}

/// A challenge after the negotiation of AT_KDF.
fn parse(packet: &[u8]) -> Result<Challenge<'_>, PacketFault> {
    let challenge = Challenge::parse(packet, Method::AkaPrime)?;
    challenge.network_name()?;
    Ok(challenge)
}

fn fault(packet: &[u8]) -> PacketFault {
    parse(packet).unwrap_err()
}

#[test]
fn the_fields_of_a_challenge_are_found_in_any_order() {
    let (autn, mac) = (sixteen_of(AT_AUTN), sixteen_of(AT_MAC));
    let unknown_skippable = [200, 1, 0, 0];
    let packet = challenge(&[&mac, &KDF, &unknown_skippable, &WLAN, &autn, &RAND]);
    let challenge = parse(&packet).unwrap();
    assert_eq!(challenge.rand, Rand::new([0xaa; 16]));
    assert_eq!(challenge.autn, Autn::new([0xaa; 16]));
    assert_eq!(challenge.network_name().unwrap().as_bytes(), b"WLAN");
    assert_eq!(challenge.maced.message.mac_at(), Some(HEAD + 4));
}

#[test]
fn each_required_attribute_is_missed_by_its_number() {
    let (autn, mac) = (sixteen_of(AT_AUTN), sixteen_of(AT_MAC));
    let all: [&[u8]; 5] = [&RAND, &autn, &KDF, &WLAN, &mac];
    for (left_out, number) in [AT_RAND, AT_AUTN, AT_KDF, AT_KDF_INPUT, AT_MAC]
        .iter()
        .enumerate()
    {
        let mut rest = all.to_vec();
        rest.remove(left_out);
        assert_eq!(fault(&challenge(&rest)), PacketFault::Missing(*number));
    }
}

#[test]
fn a_repeated_attribute_is_a_fault_and_a_repeated_kdf_is_a_list() {
    let (autn, mac) = (sixteen_of(AT_AUTN), sixteen_of(AT_MAC));
    let all: [&[u8]; 5] = [&RAND, &autn, &KDF, &WLAN, &mac];
    for (place, attribute) in all.iter().enumerate() {
        let mut twice = all.to_vec();
        twice.push(attribute);
        let parsed = parse(&challenge(&twice)).map(|_| ());
        let expected = if place == 2 {
            Ok(())
        } else {
            Err(PacketFault::Attribute)
        };
        assert_eq!(parsed, expected, "attribute {}", attribute[0]);
    }
}

#[test]
fn the_first_kdf_counts() {
    let (autn, mac) = (sixteen_of(AT_AUTN), sixteen_of(AT_MAC));
    let other = [24, 1, 0, 2];
    let offered = |first, second| challenge(&[&RAND, &autn, first, second, &WLAN, &mac]);
    assert!(parse(&offered(&KDF, &other)).is_ok());
    assert_eq!(fault(&offered(&other, &KDF)), PacketFault::Kdf);
}

#[test]
fn another_code_method_subtype_or_length_is_no_challenge() {
    let attributes: [&[u8]; 5] = [
        &RAND,
        &sixteen_of(AT_AUTN),
        &KDF,
        &WLAN,
        &sixteen_of(AT_MAC),
    ];
    for head in [
        [2, 7, 0, 0, 50, CHALLENGE],
        [1, 7, 0, 0, 23, CHALLENGE],
        [1, 7, 0, 0, 50, 5],
    ] {
        assert_eq!(fault(&packet(head, &attributes)), PacketFault::Type);
    }
    let mut long = challenge(&attributes);
    long.push(0);
    assert_eq!(fault(&long), PacketFault::Length);
    assert_eq!(fault(&[]), PacketFault::Length);
    assert_eq!(fault(&[1, 7, 0, 5, 50]), PacketFault::Length);
}

#[test]
fn an_attribute_of_length_0_ends_the_reading() {
    assert_eq!(
        fault(&challenge(&[&[200, 0, 0, 0]])),
        PacketFault::Attribute
    );
    assert_eq!(
        fault(&challenge(&[&[200, 2, 0, 0]])),
        PacketFault::Attribute
    );
    assert_eq!(fault(&challenge(&[&[200]])), PacketFault::Attribute);
    assert_eq!(
        fault(&challenge(&[&[AT_RAND, 1, 0, 0]])),
        PacketFault::Attribute
    );
    assert_eq!(
        fault(&challenge(&[&[AT_KDF, 2, 0, 1, 0, 0, 0, 0]])),
        PacketFault::Attribute
    );
}

#[test]
fn what_the_peer_would_refuse_is_a_fault_here_too() {
    let (autn, mac) = (sixteen_of(AT_AUTN), sixteen_of(AT_MAC));
    let with = |attribute: &[u8]| challenge(&[&RAND, &autn, &KDF, &WLAN, &mac, attribute]);
    assert!(parse(&with(&[200, 1, 0, 0])).is_ok());
    let unknown = [127, 1, 0, 0];
    let checkcode = [Kind::CHECKCODE.0, 2, 0, 0, 0, 0, 0, 0];
    let encrypted_only = [AT_COUNTER, 1, 0, 1];
    let half_a_block = [AT_ENCR_DATA, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for attribute in [&unknown[..], &checkcode, &encrypted_only, &half_a_block] {
        let refused = fault(&with(attribute));
        assert_eq!(refused, PacketFault::Attribute, "{attribute:?}");
    }
}

#[test]
fn a_network_name_fills_its_attribute_up_to_the_padding() {
    for name in [
        &[23, 1, 0, 0][..],
        &[23, 2, 0, 5, b'W', b'L', b'A', b'N'],
        &[23, 3, 0, 4, b'W', b'L', b'A', b'N', 0, 0, 0, 0],
    ] {
        assert_eq!(
            fault(&challenge(&[&RAND, name])),
            PacketFault::Attribute,
            "{name:?}"
        );
    }
}

#[test]
fn mac_is_computed_only_over_an_at_mac_of_zeros() {
    let k_aut = MacKey::from(KAut::new([3; 32]));
    let notification = |mac: &[u8]| packet([2, 7, 0, 0, 50, 12], &[mac]);
    let maced = |packet| {
        let message = Message::parse(packet, Code::Response, Method::AkaPrime);
        message.unwrap().maced
    };
    let mut place = sixteen_of(AT_MAC);
    let filled = notification(&place);
    assert_eq!(maced(&filled).compute(&k_aut, &[]), Err(PacketFault::Mac));

    place[4..].fill(0);
    let zeroed = notification(&place);
    let mac = maced(&zeroed).compute(&k_aut, &[]).unwrap();
    assert_ne!(maced(&zeroed).compute(&k_aut, &[1]).unwrap(), mac);
    place[4..].copy_from_slice(&mac);
    let finished = notification(&place);
    assert!(maced(&finished).verify(&k_aut));
    assert!(!maced(&finished).verify(&KAut::new([4; 32]).into()));
    for (code, method) in [
        (Code::Request, Method::AkaPrime),
        (Code::Response, Method::Aka),
    ] {
        let fault = Message::parse(&finished, code, method).unwrap_err();
        assert_eq!(fault, PacketFault::Type);
    }
}

#[test]
fn only_the_key_of_the_agreed_group_and_its_own_length_is_taken() {
    const X25519: [u8; 4] = [153, 1, 0, 1];
    const P256: [u8; 4] = [153, 1, 0, 2];
    let (autn, mac) = (sixteen_of(AT_AUTN), sixteen_of(AT_MAC));
    let tagged =
        |tag, words: u8| [&[152, words, tag][..], &vec![7; usize::from(words) * 4 - 3]].concat();
    let key = |words| tagged(3, words);
    let offered = |fs: &[&[u8]]| {
        let basic: [&[u8]; 5] = [&RAND, &autn, &KDF, &WLAN, &mac];
        challenge(&[&basic, fs].concat())
    };
    let taken = |fs: &[&[u8]], group| {
        let packet = offered(fs);
        parse(&packet)?.public_key(group).map(<[u8]>::len)
    };
    let missing = PacketFault::Missing;
    for (fs, group, expected) in [
        (&[&X25519[..], &key(9)][..], Group::X25519, Ok(32)),
        (&[&P256, &key(9)], Group::P256, Ok(33)),
        (&[&P256, &X25519, &key(9)], Group::P256, Ok(33)),
        (
            &[&P256, &X25519, &key(9)],
            Group::X25519,
            Err(PacketFault::PublicKey),
        ),
        (
            &[&X25519, &key(8)],
            Group::X25519,
            Err(PacketFault::PublicKey),
        ),
        (&[&P256, &key(10)], Group::P256, Err(PacketFault::PublicKey)),
        (
            &[&P256, &tagged(5, 9)],
            Group::P256,
            Err(PacketFault::PublicKey),
        ),
        (&[&key(9)], Group::P256, Err(missing(AT_KDF_FS))),
        (&[&P256], Group::P256, Err(missing(AT_PUB_ECDHE))),
        (
            &[&P256, &key(9), &key(9)],
            Group::P256,
            Err(PacketFault::Attribute),
        ),
    ] {
        assert_eq!(taken(fs, group), expected, "{fs:?}");
    }
}

#[test]
fn an_iv_and_encrypted_data_come_together_or_not_at_all() {
    let (autn, mac) = (sixteen_of(AT_AUTN), sixteen_of(AT_MAC));
    let (iv, data) = (sixteen_of(AT_IV), sixteen_of(AT_ENCR_DATA));
    let basic: [&[u8]; 5] = [&RAND, &autn, &KDF, &WLAN, &mac];
    let parsed = |more: &[&[u8]]| {
        let packet = challenge(&[&basic, more].concat());
        parse(&packet).map(|challenge| challenge.encrypted.is_some())
    };
    assert_eq!(parsed(&[]), Ok(false));
    assert_eq!(parsed(&[&iv, &data]), Ok(true));
    assert_eq!(parsed(&[&iv]), Err(PacketFault::Encrypted));
    assert_eq!(parsed(&[&data]), Err(PacketFault::Encrypted));
    for twice in [&[&iv, &iv, &data][..], &[&iv, &data, &data]] {
        let twice: Vec<&[u8]> = twice.iter().map(|attribute| &attribute[..]).collect();
        assert_eq!(parsed(&twice), Err(PacketFault::Attribute));
    }
}

const K_ENCR: KEncr = KEncr::new([9; 16]);
const IV: Iv = Iv::new([8; 16]);

fn encrypted(plain: &[&[u8]]) -> Vec<u8> {
    let mut data = plain.concat();
    encrypt(&K_ENCR, &IV, &mut data).unwrap();
    data
}

/// AT_PADDING of this many words.
fn padding(words: u8) -> Vec<u8> {
    [
        &[AT_PADDING, words][..],
        &vec![0; usize::from(words) * 4 - 2],
    ]
    .concat()
}

const COUNTER: [u8; 4] = [AT_COUNTER, 1, 0, 3];
const NEXT_ID: [u8; 8] = [AT_NEXT_REAUTH_ID, 2, 0, 3, b'f', b'o', b'o', 0];

#[test]
fn the_names_of_a_challenge_are_read_up_to_their_padding() {
    let pseudonym = [AT_NEXT_PSEUDONYM, 2, 0, 4, b'2', b'a', b'b', b'c'];
    let data = encrypted(&[&pseudonym, &NEXT_ID]);
    let next = Encrypted::new(IV, &data).next(&K_ENCR).unwrap();
    assert_eq!(next.pseudonym, Name::new(b"2abc"));
    assert_eq!(next.reauthentication, Name::new(b"foo"));

    let unknown_skippable = [200, 1, 1, 1];
    let data = encrypted(&[&unknown_skippable, &padding(3)]);
    let next = Encrypted::new(IV, &data).next(&K_ENCR);
    assert_eq!(next, Ok(Next::default()));

    // The identity is longer than keyd stores, but the server may send it.
    let long = [&[AT_NEXT_PSEUDONYM, 68, 1, 12][..], &[b'a'; 268]].concat();
    let data = encrypted(&[&long]);
    assert_eq!(Encrypted::new(IV, &data).next(&K_ENCR), Ok(Next::default()));
}

#[test]
fn what_is_malformed_or_out_of_place_in_a_challenge_s_encrypted_data_is_refused() {
    let empty = [AT_NEXT_PSEUDONYM, 1, 0, 0];
    let control = [AT_NEXT_PSEUDONYM, 2, 0, 4, b'a', 0, b'b', b'c'];
    let no_utf_8 = [AT_NEXT_PSEUDONYM, 2, 0, 4, 0xff, 0xfe, b'b', b'c'];
    let cut = [AT_NEXT_PSEUDONYM, 2, 0, 5, b'a', b'b', b'c', b'd'];
    let nonzero = [AT_PADDING, 2, 0, 0, 0, 0, 0, 1];
    let nonce = sixteen_of(AT_NONCE_S);
    for plain in [
        &[&empty[..], &padding(3)][..],
        &[&control, &padding(2)],
        &[&no_utf_8, &padding(2)],
        &[&cut, &padding(2)],
        &[&NEXT_ID, &NEXT_ID],
        &[&NEXT_ID, &nonzero],
        &[&padding(2), &NEXT_ID],
        &[&padding(1), &padding(3)],
        &[&padding(4)],
        &[&[AT_PADDING, 0, 0, 0], &padding(3)],
        &[&COUNTER, &padding(3)],
        &[&nonce, &padding(3)],
        &[&[127, 1, 0, 0], &padding(3)],
        // Encrypted data inside encrypted data, and its initialisation vector.
        &[&sixteen_of(AT_IV), &padding(3)],
        &[&sixteen_of(AT_ENCR_DATA), &padding(3)],
        &[&[200, 0, 0, 0], &padding(3)],
        &[&[200, 9, 0, 0], &padding(3)],
    ] {
        let data = encrypted(plain);
        let refused = Encrypted::new(IV, &data).next(&K_ENCR);
        assert_eq!(refused, Err(PacketFault::Encrypted), "{plain:?}");
    }
    for length in [0, 8, 17] {
        let data = vec![0; length];
        let refused = Encrypted::new(IV, &data).next(&K_ENCR);
        assert_eq!(refused, Err(PacketFault::Encrypted), "{length} octets");
    }
}

#[test]
fn a_re_authentication_needs_counter_and_nonce_and_a_notification_its_counter() {
    let nonce = sixteen_of(AT_NONCE_S);
    let both = encrypted(&[&COUNTER, &nonce, &NEXT_ID]);
    let read = Encrypted::new(IV, &both).nonce(&K_ENCR).unwrap();
    assert_eq!((read.counter, read.nonce_s), (3, NonceS::new([0xaa; 16])));
    assert_eq!(read.next, Name::new(b"foo"));
    let refused = Err(PacketFault::Encrypted);
    assert_eq!(Encrypted::new(IV, &both).counter(&K_ENCR), refused);

    let alone = encrypted(&[&COUNTER, &padding(3)]);
    assert_eq!(Encrypted::new(IV, &alone).counter(&K_ENCR), Ok(3));
    assert!(Encrypted::new(IV, &alone).nonce(&K_ENCR).is_err());
    let without = encrypted(&[&nonce, &padding(3)]);
    assert!(Encrypted::new(IV, &without).nonce(&K_ENCR).is_err());
    assert_eq!(Encrypted::new(IV, &without).counter(&K_ENCR), refused);
    let too_small = encrypted(&[&COUNTER, &[AT_COUNTER_TOO_SMALL, 1, 0, 0], &padding(2)]);
    assert_eq!(Encrypted::new(IV, &too_small).counter(&K_ENCR), refused);
}

#[test]
fn encrypted_response_has_at_counter_and_at_counter_too_small() {
    for (too_small, expected) in [
        (false, [&COUNTER[..], &padding(3)].concat()),
        (
            true,
            [&COUNTER[..], &[AT_COUNTER_TOO_SMALL, 1, 0, 0], &padding(2)].concat(),
        ),
    ] {
        let mut data = counter(&K_ENCR, &IV, 3, too_small);
        decrypt(&K_ENCR, &IV, &mut data).unwrap();
        assert_eq!(data, expected);
    }
}

proptest! {
    #[test]
    fn arbitrary_packets_never_panic(mut packet in prop::collection::vec(any::<u8>(), 0..200)) {
        let length = (packet.len() as u16).to_be_bytes();
        if let [code, _, high, low, method, subtype, ..] = &mut packet[..] {
            (*code, *method, *subtype) = (1, 50, CHALLENGE);
            [*high, *low] = length;
        }
        let _ = parse(&packet);
        let _ = Message::parse(&packet, Code::Request, Method::AkaPrime);
    }

    #[test]
    fn arbitrary_encrypted_attributes_never_panic(plain in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut data = plain;
        data.resize(data.len().next_multiple_of(16).max(16), 0);
        let data = encrypted(&[&data]);
        let encrypted = Encrypted::new(IV, &data);
        let _ = (encrypted.next(&K_ENCR), encrypted.nonce(&K_ENCR), encrypted.counter(&K_ENCR));
    }
}
