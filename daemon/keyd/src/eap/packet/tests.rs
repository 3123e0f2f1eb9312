//! What is taken for a packet, and what is not.
#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

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
    packet([1, 7, 0, 0, AKA_PRIME, CHALLENGE], attributes)
}

fn fault(packet: &[u8]) -> PacketFault {
    Challenge::parse(packet).unwrap_err()
}

#[test]
fn the_fields_of_a_challenge_are_found_in_any_order() {
    let (autn, mac) = (sixteen_of(AT_AUTN), sixteen_of(AT_MAC));
    let unknown_skippable = [200, 1, 0, 0];
    let packet = challenge(&[&mac, &KDF, &unknown_skippable, &WLAN, &autn, &RAND]);
    let challenge = Challenge::parse(&packet).unwrap();
    assert_eq!(challenge.rand, Rand::new([0xaa; 16]));
    assert_eq!(challenge.autn, Autn::new([0xaa; 16]));
    assert_eq!(challenge.network_name.as_bytes(), b"WLAN");
    assert_eq!(challenge.maced.at, HEAD + 4);
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
        let parsed = Challenge::parse(&challenge(&twice)).map(|_| ());
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
    assert!(Challenge::parse(&offered(&KDF, &other)).is_ok());
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
        [2, 7, 0, 0, AKA_PRIME, CHALLENGE],
        [1, 7, 0, 0, 23, CHALLENGE],
        [1, 7, 0, 0, AKA_PRIME, 5],
    ] {
        assert_eq!(fault(&packet(head, &attributes)), PacketFault::Type);
    }
    let mut long = challenge(&attributes);
    long.push(0);
    assert_eq!(fault(&long), PacketFault::Length);
    assert_eq!(fault(&[]), PacketFault::Length);
    assert_eq!(fault(&[1, 7, 0, 5, AKA_PRIME]), PacketFault::Length);
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
fn a_mac_is_made_only_where_zeros_stand_for_it() {
    let k_aut = KAut::new([3; 32]);
    let notification = |mac: &[u8]| packet([2, 7, 0, 0, AKA_PRIME, 12], &[mac]);
    let mut place = sixteen_of(AT_MAC);
    let filled = notification(&place);
    let response = Maced::parse(&filled, Code::Response).unwrap();
    assert_eq!(response.compute(&k_aut), Err(PacketFault::Mac));

    place[4..].fill(0);
    let zeroed = notification(&place);
    let mac = Maced::parse(&zeroed, Code::Response)
        .unwrap()
        .compute(&k_aut)
        .unwrap();
    place[4..].copy_from_slice(&mac);
    let finished = notification(&place);
    assert!(
        Maced::parse(&finished, Code::Response)
            .unwrap()
            .verify(&k_aut)
    );
    assert!(
        !Maced::parse(&finished, Code::Response)
            .unwrap()
            .verify(&KAut::new([4; 32]))
    );
    assert_eq!(
        Maced::parse(&finished, Code::Request).unwrap_err(),
        PacketFault::Type
    );
}

proptest! {
    #[test]
    fn arbitrary_packets_never_panic(mut packet in prop::collection::vec(any::<u8>(), 0..200)) {
        let length = (packet.len() as u16).to_be_bytes();
        if let [code, _, high, low, method, subtype, ..] = &mut packet[..] {
            (*code, *method, *subtype) = (1, AKA_PRIME, CHALLENGE);
            [*high, *low] = length;
        }
        let _ = Challenge::parse(&packet);
        let _ = Maced::parse(&packet, Code::Request);
    }
}
