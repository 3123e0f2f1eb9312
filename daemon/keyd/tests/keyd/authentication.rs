//! EAP-AKA' challenges: what keyd releases, when, and what a challenge uses up.

use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    AkaAnswer, AutnFault, MAX_HANDLES, PacketFault, Refusal, Role, StatusAnswer,
};
use softsim_testkit::device::*;
use softsim_testkit::home_network::*;
use softsim_testkit::requests::*;
use softsim_testkit::vectors::{cases, fixed, octets};

fn status(device: &mut Device) -> StatusAnswer {
    device.ask(Role::Admin, &Status {}).unwrap()
}

#[test]
fn a_genuine_challenge_gives_res_and_a_session_with_the_msk() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let sent = HomeNetwork::default().challenge(32);
    let answer = device
        .call(&mut netd, &challenge(&sent.packet, IDENTITY))
        .unwrap();
    let AkaAnswer::Success { handle, res, .. } = answer else {
        panic!("expected Success, got {answer:?}");
    };
    assert_eq!(res.expose(), sent.res());
    device.confirms(&mut netd, handle, sent.msk.as_bytes());
    assert_eq!(status(&mut device).counters.unwrap().authentications, 1);
}

#[test]
fn the_vectors_of_rfc_9048_come_out_of_a_sealed_profile() {
    let sets = cases("milenage_ts35207_35208.json");
    let mut run = 0;
    for case in cases("eap_aka_prime_rfc9048.json") {
        // RAND and AUTN are Milenage's only in cases 1 and 2; the other cases have arbitrary ones.
        let Some(set) = sets.iter().find(|set| set["rand"] == case["rand"]) else {
            continue;
        };
        let (k, opc) = (fixed(&set["k"]), fixed(&set["opc"]));
        let sqn = u64::from_str_radix(set["sqn"].as_str().unwrap(), 16).unwrap();
        let home = HomeNetwork {
            credentials: milenage(k, opc),
            rand: fixed(&case["rand"]),
            identity: case["identity"].as_str().unwrap().into(),
            sends: Challenge {
                amf: fixed(&set["amf"]),
                network_name: Some(case["network_name"].as_str().unwrap().into()),
                ..Challenge::default()
            },
        };
        let sent = home.challenge(sqn);
        assert_eq!(&sent.packet[32..48], &octets(&case["autn"])[..], "AUTN");

        let mut device = Device::enrolled();
        let operator = Operator::generate();
        device.trust(&operator);
        let profile = profile_of(ICCID, "555444333222111", k, opc, sqn - 32);
        let package = operator.seal(&mut device, profile, 1);
        device.install(&package, [1; 16]).unwrap();
        let mut netd = device.client(Role::Network);
        let answer = device
            .call(&mut netd, &challenge(&sent.packet, &home.identity))
            .unwrap();
        let AkaAnswer::Success { handle, res, .. } = answer else {
            panic!("expected Success, got {answer:?}");
        };
        assert_eq!(res.expose(), octets(&case["res"]), "RES");
        device.confirms(&mut netd, handle, &octets(&case["msk"]));
        run += 1;
    }
    assert_eq!(run, 2);
}

#[test]
fn a_wrong_at_mac_gives_no_res_and_uses_no_sqn() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let sent = HomeNetwork::default().challenge(32);
    let last = sent.packet.len() - 1;
    for place in [last, 1, 6] {
        let mut packet = sent.packet.clone();
        packet[place] ^= 1;
        let refusal = device
            .call(&mut netd, &challenge(&packet, IDENTITY))
            .unwrap_err();
        assert_eq!(refusal, Refusal::Packet(PacketFault::Mac), "octet {place}");
    }
    let refusal = device
        .call(&mut netd, &challenge(&sent.packet, b"another identity"))
        .unwrap_err();
    assert_eq!(refusal, Refusal::Packet(PacketFault::Mac));
    assert_eq!(status(&mut device).counters.unwrap().packet_mac_rejected, 4);

    // keyd still accepts the same SQN.
    let answer = device.call(&mut netd, &challenge(&sent.packet, IDENTITY));
    assert!(matches!(answer, Ok(AkaAnswer::Success { .. })));
}

#[test]
fn a_replayed_autn_is_answered_with_auts() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let home = HomeNetwork::default();
    let sent = home.challenge(7 * 32 + 3);
    device
        .call(&mut netd, &challenge(&sent.packet, IDENTITY))
        .unwrap();
    let answer = device
        .call(&mut netd, &challenge(&sent.packet, IDENTITY))
        .unwrap();
    let AkaAnswer::SynchronisationFailure { auts } = answer else {
        panic!("expected AUTS, got {answer:?}");
    };
    assert_eq!(home.resynchronise(auts), Some(7 * 32 + 3));
    assert_eq!(
        status(&mut device)
            .counters
            .unwrap()
            .synchronisation_failures,
        1
    );

    let next = home.challenge(8 * 32 + 3);
    let answer = device.call(&mut netd, &challenge(&next.packet, IDENTITY));
    assert!(matches!(answer, Ok(AkaAnswer::Success { .. })));
}

#[test]
fn a_used_sqn_stays_used_after_a_crash_behind_the_flush() {
    let (mut device, _) = Device::provisioned();
    let sent = HomeNetwork::default().challenge(32);
    device
        .ask(Role::Network, &challenge(&sent.packet, IDENTITY))
        .unwrap();
    device.keyd.flush().unwrap();
    let mut device = device.restarted();
    let answer = device.ask(Role::Network, &challenge(&sent.packet, IDENTITY));
    assert!(matches!(
        answer,
        Ok(AkaAnswer::SynchronisationFailure { .. })
    ));
}

#[test]
fn where_the_sqn_cannot_be_stored_the_pass_fails() {
    let (mut device, _) = Device::provisioned();
    let sent = HomeNetwork::default().challenge(32);
    device.writes.fail_after(0);
    device
        .ask(Role::Network, &challenge(&sent.packet, IDENTITY))
        .unwrap();
    assert!(device.keyd.flush().is_err());
    assert!(device.keyd.flush().is_err(), "and stays failed");
}

#[test]
fn authentications_of_one_pass_share_one_write_and_one_sync() {
    let (mut device, _) = Device::provisioned();
    device.writes.fail_after(2);
    for number in 1..=8 {
        let sent = HomeNetwork::default().challenge(number * 32);
        device
            .ask(Role::Network, &challenge(&sent.packet, IDENTITY))
            .unwrap();
    }
    device.keyd.flush().unwrap();
    assert!(device.writes.all_were_used());
    device.keyd.flush().unwrap();
}

#[test]
fn autn_of_another_k_is_counted_by_profile_and_not_taken_for_one_without_the_separation_bit() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let stranger = HomeNetwork {
        credentials: milenage([9; 16], OPC),
        ..HomeNetwork::default()
    };
    let umts = HomeNetwork::sending(Challenge {
        amf: [0x7f, 0xff],
        ..Challenge::default()
    });
    for (home, fault) in [(stranger, AutnFault::Mac), (umts, AutnFault::SeparationBit)] {
        let sent = home.challenge(32);
        let refusal = device
            .call(&mut netd, &challenge(&sent.packet, IDENTITY))
            .unwrap_err();
        assert_eq!(refusal, Refusal::Autn(fault));
    }
    let status = status(&mut device);
    assert_eq!(status.counters.unwrap().autn_rejected, 2);
    assert_eq!(status.profile.unwrap().autn_mac_rejected, 1);
    let listed = device.ask(Role::Admin, &ListProfiles { from: 0 }).unwrap();
    assert_eq!(listed.profiles[0].autn_mac_rejected, 1);
}

#[test]
fn in_a_5g_serving_network_the_imsi_is_derived_with_whatever_was_sent() {
    let (mut device, _) = Device::provisioned();
    let home = HomeNetwork {
        identity: IMSI.into(),
        ..HomeNetwork::sending(Challenge::of_network(b"5G:mnc001.mcc001.3gppnetwork.org"))
    };
    let sent = home.challenge(32);
    let request = challenge(&sent.packet, b"type0.rid0.schid0.userid0000000001");
    let answer = device.ask(Role::Network, &request).unwrap();
    assert!(matches!(answer, AkaAnswer::Success { .. }));
}

#[test]
fn a_malformed_packet_is_refused_before_any_key_is_touched() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let sent = HomeNetwork::default().challenge(32);
    for end in 0..sent.packet.len() {
        let refusal = device
            .call(&mut netd, &challenge(&sent.packet[..end], IDENTITY))
            .unwrap_err();
        assert_eq!(
            refusal,
            Refusal::Packet(PacketFault::Length),
            "{end} octets"
        );
    }
}

#[test]
fn without_an_enabled_profile_there_is_no_authentication() {
    let sent = HomeNetwork::default().challenge(32);
    let request = challenge(&sent.packet, IDENTITY);
    let refusal = Device::enrolled().ask(Role::Network, &request).unwrap_err();
    assert_eq!(refusal, Refusal::NoProfile);

    let (mut device, _) = Device::provisioned();
    let named = |iccid| AkaPrimeChallenge {
        iccid: Some(iccid),
        identity: IDENTITY,
        packet: &sent.packet,
        forward_secrecy: None,
    };
    let refusal = device
        .ask(Role::Network, &named("8988211000000000094"))
        .unwrap_err();
    assert_eq!(refusal, Refusal::UnknownProfile);
    device.ask(Role::Admin, &Disable { iccid: ICCID }).unwrap();
    let refusal = device.ask(Role::Network, &named(ICCID)).unwrap_err();
    assert!(matches!(refusal, Refusal::Field { name, .. } if name == "iccid"));
}

#[test]
fn the_permanent_identity_has_the_prefix_of_eap_aka_prime() {
    let (mut device, _) = Device::provisioned();
    for iccid in [None, Some(ICCID)] {
        let answer = device.ask(Role::Network, &permanent(iccid)).unwrap();
        assert_eq!(answer.nai.as_bytes(), IDENTITY);
    }
    assert_eq!(
        status(&mut device).counters.unwrap().permanent_identities,
        2
    );
    let refusal = Device::enrolled()
        .ask(Role::Network, &permanent(None))
        .unwrap_err();
    assert_eq!(refusal, Refusal::NoProfile);
}

/// Opens a session, and returns its handle and the home network's keys.
fn session(device: &mut Device, netd: &mut softsim_keyd::Client, sqn: u64) -> (u32, Sent) {
    let sent = HomeNetwork::default().challenge(sqn);
    match device.call(netd, &challenge(&sent.packet, IDENTITY)) {
        Ok(AkaAnswer::Success { handle, .. }) => (handle, sent),
        other => panic!("expected Success, got {other:?}"),
    }
}

#[test]
fn responses_are_maced_and_requests_verified_and_never_the_other_way_round() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let (handle, sent) = session(&mut device, &mut netd, 32);

    let response = unmaced(2, 1, &[]);
    let packet = &response[..];
    let mac = device.call(&mut netd, &EapMac { handle, packet }).unwrap();
    assert_eq!(&sent.server.packet(2, 1, &[], &[])[12..], mac.mac);
    let packet = &unmaced(1, 1, &[])[..];
    let refusal = device
        .call(&mut netd, &EapMac { handle, packet })
        .unwrap_err();
    assert_eq!(refusal, Refusal::Packet(PacketFault::Type));
    let packet = &sent.server.packet(2, 1, &[], &[])[..];
    let refusal = device
        .call(&mut netd, &EapMac { handle, packet })
        .unwrap_err();
    assert_eq!(refusal, Refusal::Packet(PacketFault::Mac), "a filled place");

    let notification = sent.server.packet(1, 12, &[12, 1, 0x80, 0], &[]);
    let packet = &notification[..];
    device
        .call(&mut netd, &EapVerify { handle, packet })
        .unwrap();
    let mut forged = notification.clone();
    forged[10] ^= 1;
    let packet = &forged[..];
    let refusal = device
        .call(&mut netd, &EapVerify { handle, packet })
        .unwrap_err();
    assert_eq!(refusal, Refusal::Packet(PacketFault::Mac));
    let packet = &sent.server.packet(2, 12, &[], &[])[..];
    let refusal = device
        .call(&mut netd, &EapVerify { handle, packet })
        .unwrap_err();
    assert_eq!(refusal, Refusal::Packet(PacketFault::Type));
}

#[test]
fn a_closed_session_is_unknown() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let (handle, _) = session(&mut device, &mut netd, 32);
    device.call(&mut netd, &CloseSession { handle }).unwrap();
    let closed = device.call(&mut netd, &CloseSession { handle });
    assert_eq!(closed, Err(Refusal::UnknownHandle { got: handle }));
}

#[test]
fn a_handle_belongs_to_its_connection_and_is_not_used_again() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let mut other = device.client(Role::Network);
    let (handle, _) = session(&mut device, &mut netd, 32);
    let stolen = device.call(&mut other, &Confirm { handle, msk: None });
    assert_eq!(stolen, Err(Refusal::UnknownHandle { got: handle }));
    device.call(&mut netd, &CloseSession { handle }).unwrap();
    let (next, _) = session(&mut device, &mut netd, 64);
    assert_ne!(next, handle);
}

#[test]
fn a_connection_without_room_uses_no_sqn() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let handles: Vec<_> = (1..=MAX_HANDLES as u64)
        .map(|number| session(&mut device, &mut netd, number * 32).0)
        .collect();
    let sent = HomeNetwork::default().challenge(99 * 32);
    let request = challenge(&sent.packet, IDENTITY);
    let refusal = device.call(&mut netd, &request).unwrap_err();
    assert_eq!(refusal, Refusal::TooManyHandles { limit: 4 });
    let handle = handles[0];
    device.call(&mut netd, &CloseSession { handle }).unwrap();
    let answer = device.call(&mut netd, &request);
    assert!(matches!(answer, Ok(AkaAnswer::Success { .. })));
}
