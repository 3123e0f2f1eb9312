//! EAP-AKA, forward secrecy, the keys that a 5G core anchors, and the role supplicant.

use softsim_aka::agreement::Group;
use softsim_aka::fiveg;
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    self as proto, AkaAnswer, AutnFault, PacketFault, Refusal, Role, UmtsAnswer,
};
use softsim_profile::Profile;
use softsim_testkit::device::*;
use softsim_testkit::home_network::*;
use softsim_testkit::requests::*;

/// The handle of a successful challenge, and keyd's public key.
fn success(answer: Result<AkaAnswer, Refusal>) -> (u32, Option<Vec<u8>>) {
    match answer {
        Ok(AkaAnswer::Success {
            handle, public_key, ..
        }) => (handle, public_key),
        other => panic!("expected Success, got {other:?}"),
    }
}

#[test]
fn eap_aka_gives_res_and_the_msk_of_its_own_key_schedule() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let home = HomeNetwork::sending(Challenge::aka());
    let sent = home.old_challenge(32);
    let answer = device
        .call(&mut netd, &old_challenge(&sent.packet, IDENTITY))
        .unwrap();
    let AkaAnswer::Success { handle, res, .. } = answer else {
        panic!("expected Success, got {answer:?}");
    };
    assert_eq!(res.expose(), sent.res());
    device.confirms(&mut netd, handle, sent.msk.as_bytes());

    let response = unmaced_of(proto::Method::Aka, 2, CHALLENGE, &[]);
    let packet = &response[..];
    let mac = device
        .call(&mut netd, &EapMac { handle, packet })
        .unwrap()
        .mac;
    assert_eq!(mac, sent.server.keys.k_aut.at_mac(packet, &[]));
    let packet = &unmaced(2, CHALLENGE, &[])[..];
    let other = device.call(&mut netd, &EapMac { handle, packet });
    assert_eq!(
        other,
        Err(Refusal::Packet(PacketFault::Type)),
        "a packet of EAP-AKA'"
    );

    let again = device
        .call(&mut netd, &old_challenge(&sent.packet, IDENTITY))
        .unwrap();
    assert!(matches!(again, AkaAnswer::SynchronisationFailure { .. }));
}

#[test]
fn a_challenge_of_one_method_is_none_of_the_other() {
    let (mut device, _) = Device::provisioned();
    let home = HomeNetwork::default();
    let (new, old) = (home.challenge(32).packet, home.old_challenge(32).packet);
    let type_fault = Refusal::Packet(PacketFault::Type);
    let refused = device
        .ask(Role::Network, &challenge(&old, IDENTITY))
        .unwrap_err();
    assert_eq!(refused, type_fault);
    let refused = device
        .ask(Role::Network, &old_challenge(&new, IDENTITY))
        .unwrap_err();
    assert_eq!(refused, type_fault);
}

#[test]
fn a_vector_for_eap_aka_prime_serves_eap_aka_only_where_the_policy_lets_it() {
    let (mut device, _) = Device::provisioned();
    let sent = HomeNetwork::default().old_challenge(32);
    let mut request = old_challenge(&sent.packet, IDENTITY);
    request.refuse_separation_bit = true;
    let refused = device.ask(Role::Network, &request).unwrap_err();
    assert_eq!(refused, Refusal::Autn(AutnFault::SeparationBitSet));
    request.refuse_separation_bit = false;
    success(device.ask(Role::Network, &request));
}

#[test]
fn in_eap_aka_the_order_is_autn_then_mac_and_a_wrong_mac_uses_nothing_up() {
    let (mut device, _) = Device::provisioned();
    let sent = HomeNetwork::default().old_challenge(32);
    let mut forged = sent.packet.clone();
    *forged.last_mut().unwrap() ^= 1;
    let refused = device
        .ask(Role::Network, &old_challenge(&forged, IDENTITY))
        .unwrap_err();
    assert_eq!(refused, Refusal::Packet(PacketFault::Mac));
    forged[40] ^= 1;
    let refused = device
        .ask(Role::Network, &old_challenge(&forged, IDENTITY))
        .unwrap_err();
    assert_eq!(refused, Refusal::Autn(AutnFault::Mac));
    success(device.ask(Role::Network, &old_challenge(&sent.packet, IDENTITY)));
}

#[test]
fn malformed_encrypted_data_under_a_right_mac_uses_no_sqn() {
    let (mut device, _) = Device::provisioned();
    let home = HomeNetwork::naming(Some("a\0b"), None);
    let refused = Refusal::Packet(PacketFault::Encrypted);
    let sent = home.challenge(32).packet;
    let got = device
        .ask(Role::Network, &challenge(&sent, IDENTITY))
        .unwrap_err();
    assert_eq!(got, refused);
    let sent = home.old_challenge(32).packet;
    let got = device
        .ask(Role::Network, &old_challenge(&sent, IDENTITY))
        .unwrap_err();
    assert_eq!(got, refused);
    let good = HomeNetwork::default().challenge(32).packet;
    success(device.ask(Role::Network, &challenge(&good, IDENTITY)));
}

/// A home network that offers forward secrecy in this group.
fn with_key(group: Group) -> HomeNetwork {
    HomeNetwork::sending(Challenge::forward_secret(&[group]))
}

fn forward_secret(packet: &[u8], group: proto::Group) -> AkaPrimeChallenge<'_> {
    AkaPrimeChallenge {
        forward_secrecy: Some(group),
        ..challenge(packet, IDENTITY)
    }
}

#[test]
fn with_forward_secrecy_msk_comes_of_the_ephemeral_keys_and_k_aut_does_not() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let mut ours_before = None;
    for (sqn, group, asked) in [
        (32, Group::X25519, proto::Group::X25519),
        (64, Group::P256, proto::Group::P256),
        (96, Group::P256, proto::Group::P256),
    ] {
        let home = with_key(group);
        let sent = home.challenge(sqn);
        let answer = device.call(&mut netd, &forward_secret(&sent.packet, asked));
        let (handle, ours) = success(answer);
        let ours = ours.unwrap();
        assert_ne!(
            ours_before.replace(ours.clone()),
            Some(ours.clone()),
            "a fresh one each time"
        );
        let keys = sent.forward_secret(group, &ours);
        let packet = &sent.server.packet(1, NOTIFICATION, &[12, 1, 0x80, 0], &[])[..];
        device
            .call(&mut netd, &EapVerify { handle, packet })
            .unwrap();
        device.confirms(&mut netd, handle, keys.msk.as_bytes());
        assert_ne!(keys.msk, sent.msk);
        device.call(&mut netd, &CloseSession { handle }).unwrap();
    }
    let counters = device
        .ask(Role::Admin, &Status {})
        .unwrap()
        .counters
        .unwrap();
    assert_eq!((counters.forward_secret, counters.authentications), (3, 3));
}

#[test]
fn an_offer_that_was_not_agreed_upon_is_ignored_and_gives_the_ordinary_keys() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let sent = with_key(Group::X25519).challenge(32);
    let answer = device.call(&mut netd, &challenge(&sent.packet, IDENTITY));
    let (handle, ours) = success(answer);
    assert_eq!(ours, None);
    device.confirms(&mut netd, handle, sent.msk.as_bytes());
}

#[test]
fn what_is_no_public_key_of_the_agreed_group_uses_no_sqn() {
    let (mut device, _) = Device::provisioned();
    let sent = with_key(Group::X25519).challenge(32);
    let refused = Refusal::Packet(PacketFault::PublicKey);
    let request = forward_secret(&sent.packet, proto::Group::P256);
    assert_eq!(device.ask(Role::Network, &request).unwrap_err(), refused);
    let without = HomeNetwork::default().challenge(32).packet;
    let request = forward_secret(&without, proto::Group::P256);
    let missing = Refusal::Packet(PacketFault::Missing(AT_KDF_FS));
    assert_eq!(device.ask(Role::Network, &request).unwrap_err(), missing);

    // These have the right length but aren't valid keys: a point of small order, and octets that
    // are no point.
    for (group, key) in [
        (proto::Group::X25519, [0; 34]),
        (proto::Group::P256, [5; 34]),
    ] {
        let basic = &sent.packet[8..];
        let kept = basic
            .windows(4)
            .position(|at| at == [AT_KDF_FS, 1, 0, 1])
            .unwrap();
        let number = if group == proto::Group::X25519 { 1 } else { 2 };
        let attributes = [
            &basic[..kept],
            &[AT_KDF_FS, 1, 0, number],
            &attribute(AT_PUB_ECDHE, &[&key]),
        ]
        .concat();
        let packet = sent.server.packet(1, CHALLENGE, &attributes, &[]);
        let got = device
            .ask(Role::Network, &forward_secret(&packet, group))
            .unwrap_err();
        assert_eq!(got, refused, "{group:?}");
    }
    let request = forward_secret(&sent.packet, proto::Group::X25519);
    success(device.ask(Role::Network, &request));
}

const AF: AkmaKey<'static> = AkmaKey {
    af: "af.example.com",
    ua_star: [1, 0, 0, 0, 2],
};

fn in_5g(network_name: &[u8]) -> HomeNetwork {
    HomeNetwork {
        identity: IMSI.into(),
        ..HomeNetwork::sending(Challenge::of_network(network_name))
    }
}

const SERVING_NETWORK: &[u8] = b"5G:mnc001.mcc001.3gppnetwork.org";

#[test]
fn a_5g_core_anchors_keys_for_applications_at_the_confirmation() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let sent = in_5g(SERVING_NETWORK).challenge(32);
    let shown = b"type0.rid0.schid0.userid0000000001@5gc.mnc001.mcc001.3gppnetwork.org";
    let (handle, _) = success(device.call(&mut netd, &challenge(&sent.packet, shown)));
    let refused = device.ask(Role::App, &AF).unwrap_err();
    assert_eq!(refused, Refusal::NotAnchored);
    device
        .call(&mut netd, &Confirm { handle, msk: None })
        .unwrap();

    let k_ausf = fiveg::k_ausf(&sent.emsk);
    let k_akma = fiveg::k_akma(&k_ausf, IMSI.as_bytes());
    let answer = device.ask(Role::App, &AF).unwrap();
    let k_af = fiveg::k_af(&k_akma, b"af.example.com\x01\0\0\0\x02");
    assert_eq!(answer.k_af.expose(), k_af.as_bytes());
    let a_tid = fiveg::a_tid(&k_ausf, IMSI.as_bytes());
    let a_tid = hex::encode(a_tid.as_bytes());
    assert!(answer.a_kid.contains(&a_tid), "{}", answer.a_kid);
    assert!(answer.a_kid.ends_with(".mnc001.mcc001.3gppnetwork.org"));
    let other = AkmaKey {
        af: "other.example.com",
        ..AF
    };
    let other = device.ask(Role::App, &other).unwrap();
    assert_ne!(other.k_af.expose(), k_af.as_bytes());
    assert_eq!(other.a_kid, answer.a_kid);
    let bad = AkmaKey {
        af: "no name",
        ..AF
    };
    let refused = device.ask(Role::App, &bad).unwrap_err();
    assert!(matches!(refused, Refusal::Field { name, .. } if name == "af"));
}

#[test]
fn with_forward_secrecy_what_is_anchored_comes_of_the_ephemeral_keys_too() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let mut home = in_5g(SERVING_NETWORK);
    home.sends.kdfs_fs = vec![Group::P256.number()];
    home.sends.group = Some(Group::P256);
    let sent = home.challenge(32);
    let request = forward_secret(&sent.packet, proto::Group::P256);
    let (handle, ours) = success(device.call(&mut netd, &request));
    device
        .call(&mut netd, &Confirm { handle, msk: None })
        .unwrap();
    let emsk = sent.forward_secret(Group::P256, &ours.unwrap()).emsk;
    let k_akma = fiveg::k_akma(&fiveg::k_ausf(&emsk), IMSI.as_bytes());
    let k_af = fiveg::k_af(&k_akma, b"af.example.com\x01\0\0\0\x02");
    let answer = device.ask(Role::App, &AF).unwrap();
    assert_eq!(answer.k_af.expose(), k_af.as_bytes());
}

#[test]
fn only_a_5g_serving_network_anchors_k_ausf_and_disabling_the_profile_deletes_it() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    for (sqn, name) in [(32, &b"WLAN"[..]), (64, b"5G:NSWO")] {
        let home = HomeNetwork {
            identity: if sqn == 32 {
                IDENTITY.to_vec()
            } else {
                IMSI.into()
            },
            ..in_5g(name)
        };
        let sent = home.challenge(sqn);
        let (handle, _) = success(device.call(&mut netd, &challenge(&sent.packet, IDENTITY)));
        device
            .call(&mut netd, &Confirm { handle, msk: None })
            .unwrap();
        device.call(&mut netd, &CloseSession { handle }).unwrap();
        let refused = device.ask(Role::App, &AF).unwrap_err();
        assert_eq!(refused, Refusal::NotAnchored);
    }
    let anchor = |device: &mut Device, sqn| {
        let mut netd = device.client(Role::Network);
        let sent = in_5g(SERVING_NETWORK).challenge(sqn);
        let (handle, _) = success(device.call(&mut netd, &challenge(&sent.packet, IDENTITY)));
        device
            .call(&mut netd, &Confirm { handle, msk: None })
            .unwrap();
        assert!(device.ask(Role::App, &AF).is_ok());
    };
    anchor(&mut device, 96);
    device.ask(Role::Admin, &Disable { iccid: ICCID }).unwrap();
    device.ask(Role::Admin, &Enable { iccid: ICCID }).unwrap();
    assert_eq!(
        device.ask(Role::App, &AF).unwrap_err(),
        Refusal::NotAnchored
    );
    anchor(&mut device, 128);
    device.keyd.flush().unwrap();
    let mut device = device.restarted();
    assert_eq!(
        device.ask(Role::App, &AF).unwrap_err(),
        Refusal::NotAnchored
    );
}

/// A device whose operator allows raw CK and IK to leave keyd.
fn consenting() -> Device {
    let mut device = Device::enrolled();
    let operator = Operator::generate();
    device.trust(&operator);
    let subscription = Profile {
        supplicant_consent: true,
        ..profile(ICCID)
    };
    let package = operator.seal(&mut device, subscription, 1);
    device.install(&package, [1; 16]).unwrap();
    device
}

fn umts(home: &HomeNetwork, sqn: u64) -> UmtsAuthenticate<'static> {
    let autn = home.vector(sqn).autn;
    UmtsAuthenticate {
        iccid: None,
        rand: home.rand,
        autn: *autn.as_bytes(),
    }
}

#[test]
fn a_supplicant_gets_raw_keys_once_for_each_sqn_and_each_time_is_counted() {
    let mut device = consenting();
    let home = HomeNetwork::default();
    let output = home.vector(32);
    let answer = device.ask(Role::Supplicant, &umts(&home, 32)).unwrap();
    let UmtsAnswer::Success { res, ck, ik } = answer else {
        panic!("expected Success, got {answer:?}");
    };
    assert_eq!(res.expose(), output.xres.as_bytes());
    assert_eq!(
        (ck.expose(), ik.expose()),
        (&output.ck.as_bytes()[..], &output.ik.as_bytes()[..])
    );
    device.keyd.flush().unwrap();
    let mut device = device.restarted();
    let again = device.ask(Role::Supplicant, &umts(&home, 32)).unwrap();
    let UmtsAnswer::SynchronisationFailure { auts } = again else {
        panic!("expected AUTS, got {again:?}");
    };
    assert_eq!(home.resynchronise(auts), Some(32));
    assert!(device.ask(Role::Supplicant, &umts(&home, 64)).is_ok());
    let status = device.ask(Role::Admin, &Status {}).unwrap();
    assert_eq!(status.counters.unwrap().raw_keys, 1, "since the restart");
    assert!(status.enforcement.supplicant);
}

#[test]
fn without_the_profile_s_consent_no_raw_key_leaves_and_no_sqn_is_used() {
    let (mut device, _) = Device::provisioned();
    let home = HomeNetwork::default();
    let refused = device.ask(Role::Supplicant, &umts(&home, 32)).unwrap_err();
    assert_eq!(refused, Refusal::NoConsent);
    let sent = home.challenge(32);
    success(device.ask(Role::Network, &challenge(&sent.packet, IDENTITY)));
}

#[test]
fn a_supplicant_s_autn_is_checked_like_any() {
    let mut device = consenting();
    let stranger = HomeNetwork {
        credentials: milenage([9; 16], OPC),
        ..HomeNetwork::default()
    };
    let refused = device
        .ask(Role::Supplicant, &umts(&stranger, 32))
        .unwrap_err();
    assert_eq!(refused, Refusal::Autn(AutnFault::Mac));
    for (sqn, amf) in [(32, [0, 0]), (64, [0x80, 0])] {
        let home = HomeNetwork::sending(Challenge {
            amf,
            ..Challenge::default()
        });
        assert!(device.ask(Role::Supplicant, &umts(&home, sqn)).is_ok());
    }
}
