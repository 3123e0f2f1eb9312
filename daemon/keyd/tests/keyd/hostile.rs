//! Arbitrary octets on every role: keyd answers each time, and never panics.

use proptest::prelude::*;
use softsim_keyd_proto::requests::Status;
use softsim_keyd_proto::{RequestKind, Role, decode_answer};
use softsim_testkit::device::*;
use softsim_testkit::home_network::HomeNetwork;
use softsim_testkit::transcript::transcript;

/// A request's first octet, with a body that may begin as a valid one.
fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let kinds: Vec<u8> = RequestKind::ALL.iter().map(|kind| *kind as u8).collect();
    let bodies = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        prop::collection::vec(0u8..4, 0..40),
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(place, flip)| {
            let mut body = vec![0, 51];
            body.extend(softsim_testkit::home_network::IDENTITY);
            let packet = HomeNetwork::default().challenge(32).packet;
            body.push(packet.len() as u8);
            body.extend(packet);
            let place = place.index(body.len());
            body[place] ^= flip;
            body
        }),
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(place, flip)| {
            let mut transcript = transcript(b"certificate");
            let place = place.index(transcript.len());
            transcript[place] ^= flip;
            let mut body = vec![transcript.len() as u8 | 0x80, (transcript.len() >> 7) as u8];
            body.extend(transcript);
            body
        }),
    ];
    let kind = prop_oneof![prop::sample::select(kinds), any::<u8>()];
    (kind, bodies).prop_map(|(kind, body)| [vec![kind], body].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_datagrams_are_answered_and_change_nothing(
        datagrams in prop::collection::vec((0usize..4, datagram()), 1..60),
    ) {
        let (mut device, _) = Device::provisioned();
        let before = device.ask(Role::Admin, &Status {}).unwrap();
        let mut clients = Role::ALL.map(|role| device.client(role));
        for (client, datagram) in datagrams {
            let answer = device.exchange(&mut clients[client], &datagram);
            match answer.first() {
                Some(0) => {}
                Some(1) => prop_assert!(decode_answer::<Status>(answer).is_ok()),
                Some(_) => prop_assert!(false, "{answer:?}"),
                // It waits, and sends nothing more.
                None => {
                    prop_assert_eq!(datagram[0], RequestKind::Wait as u8);
                    clients[client] = device.client(clients[client].role());
                }
            }
            prop_assert!(device.keyd.flush().is_ok());
        }
        let after = device.restarted().ask(Role::Admin, &Status {}).unwrap();
        prop_assert_eq!(after.profiles, before.profiles);
        prop_assert_eq!(after.profile, before.profile);
        prop_assert_eq!(after.device_id, before.device_id);
        prop_assert_eq!(after.trust_anchors, before.trust_anchors);
        prop_assert!(after.certified);
    }
}
