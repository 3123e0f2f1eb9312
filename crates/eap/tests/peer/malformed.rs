//! Malformed messages: the peer answers Client-Error 0, doesn't run AKA, and then accepts only a
//! failure (RFC 4187 §6.3.1).

use softsim_eap::{Outcome, Reason, Unprocessable};
use softsim_eap_packet::{Kind, Packet, Type};
use softsim_testkit::scene::*;

/// A valid challenge in which `replace` changed the attribute of this kind.
fn altered(kind: Kind, replace: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let good = Network::new().challenge(&Challenge::default());
    let (mut data, mut rest) = (good[5..8].to_vec(), &good[8..]);
    while let &[octet, words, ..] = rest {
        let (attribute, after) = rest.split_at(4 * usize::from(words));
        data.extend(if octet == kind.0 {
            replace(attribute)
        } else {
            attribute.to_vec()
        });
        rest = after;
    }
    typed(10, Type::AkaPrime, &data)
}

#[test]
fn unmodified_challenge_is_accepted() {
    assert_eq!(
        Scene::new()
            .feed(&altered(Kind::RAND, <[u8]>::to_vec))
            .response()
            .1,
        "AT_RES AT_MAC"
    );
}

#[test]
fn malformed_attributes_end_in_a_client_error_before_aka_runs() {
    type Bend = fn(&[u8]) -> Vec<u8>;
    let cases: [(&str, Kind, Bend); 15] = [
        ("zero length", Kind::AUTN, |a| {
            [&[a[0], 0], &a[2..]].concat()
        }),
        ("too long for the packet", Kind::MAC, |a| {
            [&[a[0], 6], &a[2..]].concat()
        }),
        ("cut off", Kind::MAC, |a| a[..8].to_vec()),
        ("only its type", Kind::MAC, |a| a[..1].to_vec()),
        ("short RAND", Kind::RAND, |a| {
            [&[a[0], 4], &a[2..16]].concat()
        }),
        ("long AUTN", Kind::AUTN, |a| {
            [&[a[0], 6], &a[2..], &[0; 4]].concat()
        }),
        ("duplicate AUTN", Kind::AUTN, |a| [a, a].concat()),
        ("duplicate RAND", Kind::RAND, |a| [a, a].concat()),
        ("duplicate MAC", Kind::MAC, |a| [a, a].concat()),
        (
            "network name longer than its attribute",
            Kind::KDF_INPUT,
            |a| [&a[..2], &[0, 5], &a[4..]].concat(),
        ),
        ("long AT_KDF", Kind::KDF, |a| {
            [&[a[0], 2], &a[2..], &[0; 4]].concat()
        }),
        ("unknown and not skippable", Kind::KDF, |a| {
            [a, &[127, 1, 0, 0]].concat()
        }),
        ("an attribute of EAP-SIM", Kind::KDF, |a| {
            [a, &[7, 5], &[0; 18]].concat()
        }),
        ("padding in the open", Kind::KDF, |a| {
            [a, &[6, 1, 0, 0]].concat()
        }),
        ("a counter in the open", Kind::KDF, |a| {
            [a, &[19, 1, 0, 1]].concat()
        }),
    ];
    for (name, kind, alter) in cases {
        let mut scene = Scene::new();
        let step = scene.feed(&altered(kind, alter));
        assert!(step.is_client_error() && scene.sim.runs == 0, "{name}");
        let done = scene.failure(10).done;
        assert!(
            matches!(
                done[..],
                [Outcome::Failure(Reason::Unprocessable(
                    Unprocessable::Malformed(_)
                ))]
            ),
            "{name}"
        );
    }
}

#[test]
fn unknown_skippable_attributes_are_stepped_over() {
    let packet = altered(Kind::KDF, |a| [a, &[200, 2, 1, 2, 3, 4, 5, 6]].concat());
    // AT_MAC is that of the unaltered challenge, so the SIM finds it wrong.
    let mut scene = Scene::new();
    let step = scene.feed(&packet);
    assert!(step.is_client_error() && scene.sim.runs == 1);
}

#[test]
fn subtypes_that_no_request_of_this_exchange_has_are_a_client_error() {
    for subtype in [0, 2, 3, 4, 10, 11, 13, 14, 99, 255] {
        let mut scene = Scene::new();
        assert!(
            scene
                .feed(&typed(10, Type::AkaPrime, &[subtype, 0, 0]))
                .is_client_error(),
            "subtype {subtype}"
        );
        assert!(matches!(
            scene.failure(10).done[..],
            [Outcome::Failure(Reason::Unprocessable(
                Unprocessable::Subtype(_)
            ))]
        ));
    }
}

#[test]
fn after_a_client_error_further_requests_are_discarded_and_failure_is_final() {
    let mut scene = Scene::new();
    scene.feed(&typed(9, Type::AkaPrime, &[99, 0, 0]));
    assert!(scene.challenge(&Challenge::default()).is_silence());
    assert!(scene.success(9).is_silence());
    assert_eq!(scene.failure(9).done.len(), 1);
}

#[test]
fn every_cut_and_every_flipped_bit_of_a_challenge_ends_without_res() {
    let good = Network::new().challenge(&Challenge::default());
    let unanswered = |packet: &[u8]| {
        let mut scene = Scene::new();
        let step = scene.feed(packet);
        assert_eq!(scene.sim.verified, 0, "{packet:02x?}");
        let res = |sent: &Vec<u8>| {
            Packet::parse(sent).is_ok_and(|p| p.aka().is_ok_and(|m| m.res().is_some()))
        };
        assert!(!step.sent.iter().any(res), "{packet:02x?}");
    };
    for length in 0..good.len() {
        unanswered(&good[..length]);
        let mut cut = good[..length].to_vec();
        if length >= 4 {
            cut[3] = length as u8;
            unanswered(&cut);
        }
    }
    for bit in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        unanswered(&flipped);
    }
}
