//! The codec with recorded packets and with malformed ones.
#![allow(clippy::unwrap_used)]

extern crate std;

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use softsim_testkit::vectors::{cases, octets};

use super::*;

fn recorded(name: &str, index: usize) -> Vec<u8> {
    let case = &cases("transcripts_hostapd_2.10.json")[0];
    let events = case["events"].as_array().unwrap().iter();
    let event = events.filter(|event| event[0] == name).nth(index);
    octets(&event.unwrap()[1])
}

/// A request of EAP-AKA' with these octets after the subtype and the reserved octets.
fn request(subtype: u8, attributes: &[u8]) -> Vec<u8> {
    typed(
        Code::Request,
        7,
        Type::AkaPrime,
        &[&[subtype, 0, 0], attributes].concat(),
    )
    .unwrap()
}

fn error(attributes: &[u8]) -> AkaError {
    Packet::parse(&request(1, attributes))
        .unwrap()
        .aka()
        .unwrap_err()
}

#[test]
fn hostapds_challenge_is_read_whole() {
    let bytes = recorded("req", 1);
    let message = Packet::parse(&bytes).unwrap().aka().unwrap();
    assert_eq!(message.subtype, Subtype::Challenge);
    assert_eq!(message.rand().unwrap()[..4], [0x2e, 0x34, 0x61, 0xc6]);
    assert_eq!(message.autn().unwrap()[..4], [0x1b, 0x03, 0x46, 0x1b]);
    assert!(message.kdfs().eq([1]));
    assert_eq!(message.kdf_input(), Some(&b"WLAN"[..]));
    assert_eq!(message.checkcode().unwrap().len(), 32);
    assert!(message.result_ind());
    assert_eq!(message.mac().unwrap()[..4], [0x8b, 0x33, 0xd9, 0x9c]);
    let kinds: Vec<_> = message.attributes().map(|a| a.kind().to_string()).collect();
    assert_eq!(
        kinds.join(" "),
        "AT_RAND AT_AUTN AT_KDF AT_KDF_INPUT AT_IV AT_ENCR_DATA AT_CHECKCODE AT_RESULT_IND AT_MAC"
    );
}

#[test]
fn what_is_read_can_be_built_again_octet_for_octet() {
    for (name, index) in [
        ("req", 0),
        ("req", 1),
        ("req", 2),
        ("rsp", 1),
        ("rsp", 2),
        ("rsp", 3),
    ] {
        let bytes = recorded(name, index);
        let packet = Packet::parse(&bytes).unwrap();
        let message = packet.aka().unwrap();
        let builder = Builder::new(
            packet.code,
            packet.identifier,
            Type::AkaPrime,
            message.subtype,
        );
        let draft = message
            .attributes()
            .fold(builder, |b, a| b.attribute(a))
            .finish()
            .unwrap();
        assert_eq!(draft.bytes(), bytes, "{name} {index}");
    }
}

#[test]
fn at_mac_is_zero_under_the_mac_and_nothing_else_is() {
    let bytes = recorded("req", 1);
    let message = Packet::parse(&bytes).unwrap().aka().unwrap();
    let under = message.bytes_under_mac().unwrap();
    let at = bytes.len() - 16;
    assert_eq!(under[..at], bytes[..at]);
    assert_eq!(under[at..], [0; 16]);
    let draft = Builder::new(Code::Request, 1, Type::AkaPrime, Subtype::Notification)
        .attribute(Attribute::Notification(0))
        .mac()
        .finish()
        .unwrap();
    assert_eq!(draft.mac_at(), Some(draft.bytes().len() - 16));
    assert_eq!(draft.with_mac(&[9; 16])[16..], [9; 16]);
}

#[test]
fn the_links_padding_is_not_part_of_the_packet() {
    let mut bytes = request(5, &[13, 1, 0, 0]);
    let length = bytes.len();
    bytes.extend([0xff; 9]);
    assert_eq!(Packet::parse(&bytes).unwrap().bytes().len(), length);
}

#[test]
fn what_is_not_eap_is_told_why() {
    use PacketError::*;
    let cases: [(&[u8], PacketError); 7] = [
        (&[], TooShort { octets: 0 }),
        (&[1, 0, 0], TooShort { octets: 3 }),
        (
            &[1, 0, 0, 3, 0],
            Length {
                claimed: 3,
                received: 5,
            },
        ),
        (
            &[1, 0, 0, 6, 1],
            Length {
                claimed: 6,
                received: 5,
            },
        ),
        (&[9, 0, 0, 4], Code(9)),
        (&[1, 0, 0, 4], NoType),
        (&[3, 0, 0, 5, 0], DataInResult { octets: 1 }),
    ];
    for (bytes, expected) in cases {
        assert_eq!(Packet::parse(bytes), Err(expected), "{bytes:02x?}");
    }
}

#[test]
fn malformed_attributes_are_told_why() {
    use AkaError::*;
    let of = |kind: u8, words: u8, octets: usize| {
        let mut attribute = vec![kind, words];
        attribute.resize(octets, 0);
        attribute
    };
    let cases = [
        (of(1, 0, 20), ZeroLength { kind: Kind::RAND }),
        (of(200, 0, 4), ZeroLength { kind: Kind(200) }),
        (
            vec![0],
            Truncated {
                kind: Kind(0),
                claimed: 4,
                left: 1,
            },
        ),
        (
            of(1, 5, 16),
            Truncated {
                kind: Kind::RAND,
                claimed: 20,
                left: 16,
            },
        ),
        (
            of(200, 255, 8),
            Truncated {
                kind: Kind(200),
                claimed: 1020,
                left: 8,
            },
        ),
        (
            of(1, 4, 16),
            WrongLength {
                kind: Kind::RAND,
                octets: 16,
            },
        ),
        (
            of(2, 6, 24),
            WrongLength {
                kind: Kind::AUTN,
                octets: 24,
            },
        ),
        (
            of(4, 5, 20),
            WrongLength {
                kind: Kind::AUTS,
                octets: 20,
            },
        ),
        (
            of(11, 1, 4),
            WrongLength {
                kind: Kind::MAC,
                octets: 4,
            },
        ),
        (
            of(24, 2, 8),
            WrongLength {
                kind: Kind::KDF,
                octets: 8,
            },
        ),
        (
            of(134, 5, 20),
            WrongLength {
                kind: Kind::CHECKCODE,
                octets: 20,
            },
        ),
        (
            vec![23, 1, 0, 1],
            WrongLength {
                kind: Kind::KDF_INPUT,
                octets: 4,
            },
        ),
        (
            vec![23, 2, 0xff, 0xff, 0, 0, 0, 0],
            WrongLength {
                kind: Kind::KDF_INPUT,
                octets: 8,
            },
        ),
        (
            vec![14, 3, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0],
            WrongLength {
                kind: Kind::IDENTITY,
                octets: 12,
            },
        ),
        (vec![3, 2, 0, 31, 0, 0, 0, 0], ResBits { bits: 31 }),
        (of(3, 1, 4), ResBits { bits: 0 }),
        (
            vec![3, 2, 0, 64, 0, 0, 0, 0],
            WrongLength {
                kind: Kind::RES,
                octets: 8,
            },
        ),
        (
            of(19, 1, 4),
            Misplaced {
                kind: Kind::COUNTER,
            },
        ),
        (
            of(6, 1, 4),
            Misplaced {
                kind: Kind::PADDING,
            },
        ),
        (
            of(132, 1, 4),
            Misplaced {
                kind: Kind::NEXT_PSEUDONYM,
            },
        ),
        (
            of(130, 4, 16),
            WrongLength {
                kind: Kind::ENCR_DATA,
                octets: 16,
            },
        ),
        (
            of(130, 1, 4),
            WrongLength {
                kind: Kind::ENCR_DATA,
                octets: 4,
            },
        ),
        (
            of(129, 4, 16),
            WrongLength {
                kind: Kind::IV,
                octets: 16,
            },
        ),
        (
            of(136, 2, 8),
            WrongLength {
                kind: Kind::BIDDING,
                octets: 8,
            },
        ),
        (of(127, 1, 4), NotSkippable { kind: Kind(127) }),
        (
            [of(2, 5, 20), of(2, 5, 20)].concat(),
            Duplicate { kind: Kind::AUTN },
        ),
        (
            [of(129, 5, 20), of(129, 5, 20)].concat(),
            Duplicate { kind: Kind(129) },
        ),
    ];
    for (attributes, expected) in cases {
        assert_eq!(error(&attributes), expected, "{attributes:02x?}");
    }
}

#[test]
fn a_message_without_room_for_its_subtype_is_malformed() {
    for octets in 0..=2 {
        let bytes = typed(Code::Request, 1, Type::AkaPrime, &[1, 0][..octets]).unwrap();
        assert_eq!(
            Packet::parse(&bytes).unwrap().aka(),
            Err(AkaError::NoSubtype { octets })
        );
    }
}

#[test]
fn lists_and_unknown_skippable_attributes_may_repeat() {
    let attributes = [
        [24, 1, 0, 2],
        [24, 1, 0, 1],
        [200, 1, 0, 0],
        [200, 1, 0, 0],
        [153, 1, 0, 1],
        [153, 1, 0, 2],
    ]
    .concat();
    let bytes = request(1, &attributes);
    let message = Packet::parse(&bytes).unwrap().aka().unwrap();
    assert!(message.kdfs().eq([2, 1]));
    assert_eq!(message.attributes().count(), 6);
}

#[test]
fn what_does_not_fit_a_length_field_is_not_built() {
    let builder = || Builder::new(Code::Response, 1, Type::AkaPrime, Subtype::Identity);
    let long = vec![b'a'; 1017];
    assert!(
        builder()
            .attribute(Attribute::Identity(&long[..1016]))
            .finish()
            .is_ok()
    );
    assert_eq!(
        builder().attribute(Attribute::Identity(&long)).finish(),
        Err(AkaError::TooLong {
            kind: Kind::IDENTITY,
            octets: 1017
        })
    );
    let many = (0..65).fold(builder(), |b, _| {
        b.attribute(Attribute::Skippable(Kind(200), &long[..1018 - 1]))
    });
    assert_eq!(
        many.finish(),
        Err(AkaError::MessageTooLong {
            octets: 8 + 65 * 1020
        })
    );
    assert_eq!(
        typed(Code::Response, 1, Type::Identity, &[0; 65531]),
        Err(PacketError::TooLong { octets: 65536 })
    );
}

#[test]
fn notification_codes_carry_their_phase_and_success() {
    let cases = [
        (0, false, false),
        (1026, false, false),
        (16384, false, true),
        (32768, true, false),
        (0xffff, true, true),
    ];
    for (code, success, before) in cases {
        let code = Notification(code);
        assert_eq!(
            (code.success(), code.before_challenge()),
            (success, before),
            "{code}"
        );
    }
}

#[test]
fn encrypted_attributes_come_back_and_padding_fills_whole_blocks() {
    let nonce = [7; 16];
    let cases: [(&[Attribute<'_>], usize); 4] = [
        (&[Attribute::Counter(1)], 16),
        (&[Attribute::Counter(1), Attribute::CounterTooSmall], 16),
        (
            &[
                Attribute::Counter(1),
                Attribute::NonceS(&nonce),
                Attribute::NextReauthId(b"4eb3@x"),
            ],
            48,
        ),
        (&[Attribute::NextPseudonym(b"7abcdefghijk")], 16),
    ];
    for (attributes, octets) in cases {
        let plaintext = build_encrypted(attributes).unwrap();
        assert_eq!(plaintext.len(), octets);
        let read = parse_encrypted(&plaintext).unwrap();
        assert_eq!(read[..attributes.len()], *attributes);
        let padding = octets - attributes_octets(attributes);
        match read.get(attributes.len()) {
            Some(Attribute::Padding { octets }) => assert_eq!(usize::from(*octets), padding),
            other => assert_eq!((other, padding), (None, 0)),
        }
    }
}

fn attributes_octets(attributes: &[Attribute<'_>]) -> usize {
    let mut out = Vec::new();
    for attribute in attributes {
        attribute.encode(&mut out).unwrap();
    }
    out.len()
}

#[test]
fn padding_is_zero_short_and_last_and_what_is_not_encrypted_is_not_inside() {
    let counter = [19, 1, 0, 1];
    let padding = |octets: usize| {
        let mut attribute = vec![0; octets];
        attribute[0] = 6;
        attribute[1] = u8::try_from(octets / 4).unwrap();
        attribute
    };
    for octets in [4, 8, 12] {
        assert!(parse_encrypted(&[&counter[..], &padding(octets)].concat()).is_ok());
        let mut altered = padding(octets);
        altered[octets - 1] = 1;
        assert_eq!(parse_encrypted(&altered), Err(AkaError::PaddingNotZero));
    }
    assert_eq!(
        parse_encrypted(&padding(16)),
        Err(AkaError::WrongLength {
            kind: Kind::PADDING,
            octets: 16
        })
    );
    for (plaintext, kind) in [
        ([&padding(8)[..], &counter].concat(), Kind::PADDING),
        (vec![24, 1, 0, 1], Kind::KDF),
        (vec![12, 1, 0x80, 0], Kind::NOTIFICATION),
        ([&[129, 5, 0, 0][..], &[0; 16]].concat(), Kind::IV),
        ([&[130, 5, 0, 0][..], &[0; 16]].concat(), Kind::ENCR_DATA),
    ] {
        assert_eq!(
            parse_encrypted(&plaintext),
            Err(AkaError::Misplaced { kind })
        );
    }
    assert!(parse_encrypted(&[200, 1, 0, 0]).is_ok());
}

#[test]
fn forward_secrecy_and_bidding_are_read_as_they_were_built() {
    let key = [9; 33];
    let draft = Builder::new(Code::Request, 1, Type::AkaPrime, Subtype::Challenge)
        .attribute(Attribute::PubEcdhe(&key))
        .attribute(Attribute::KdfFs(2))
        .attribute(Attribute::KdfFs(1))
        .attribute(Attribute::Bidding(true))
        .finish()
        .unwrap();
    let packet = Packet::parse(draft.bytes()).unwrap();
    let message = packet.aka().unwrap();
    assert_eq!(message.pub_ecdhe(), Some(&[&key[..], &[0]].concat()[..]));
    assert!(message.kdfs_fs().eq([2, 1]));
    assert_eq!(message.bidding(), Some(true));
    // Nine words: 2 octets of header, 33 of key, 1 of padding; the D bit is the highest of its two
    // octets.
    assert_eq!(draft.bytes()[8..10], [152, 9]);
    assert_eq!(draft.bytes()[draft.bytes().len() - 4..], [136, 1, 0x80, 0]);
}
