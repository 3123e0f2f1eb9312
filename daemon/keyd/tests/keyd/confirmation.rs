//! The confirmation of a session: with the server's MSK if there is one, and after a protected
//! success if both sides have asked for it.

use softsim_keyd::Client;
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    AkaAnswer, IdentityKind, IdentityRequest, Method, PacketFault, Refusal, Role, SecretSlice,
};
use softsim_testkit::device::*;
use softsim_testkit::home_network::*;
use softsim_testkit::requests::*;

fn confirm(handle: u32, msk: Option<&[u8]>) -> Confirm<'_> {
    let msk = msk.map(SecretSlice);
    Confirm { handle, msk }
}

fn handle_of(answer: AkaAnswer) -> u32 {
    match answer {
        AkaAnswer::Success { handle, .. } => handle,
        other => panic!("expected Success, got {other:?}"),
    }
}

/// Whether keyd has stored what an authentication assigned. A pseudonym is a stand-by before, and
/// withholds nothing.
fn is_kept(device: &mut Device) -> bool {
    device.ask(Role::Supplicant, &permanent(None)) == Err(Refusal::IdentityWithheld)
}

#[test]
fn where_the_servers_msk_is_another_nothing_is_confirmed_and_the_session_stays_as_it_was() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let sent = HomeNetwork::naming(Some("7name"), Some("8fast@home")).challenge(32);
    let answer = device.call(&mut netd, &challenge(&sent.packet, IDENTITY));
    let handle = handle_of(answer.unwrap());
    let msk = sent.msk.as_bytes();
    for bit in 0..512 {
        let mut other = *msk;
        other[bit / 8] ^= 1 << (bit % 8);
        let refused = device.call(&mut netd, &confirm(handle, Some(&other)));
        assert_eq!(refused, Err(Refusal::OtherMsk), "bit {bit}");
    }
    for length in [0, 32, 63] {
        let refused = device.call(&mut netd, &confirm(handle, Some(&msk[..length])));
        let expected = format!("msk: expected 64 octets, got {length} octets");
        assert_eq!(refused.unwrap_err().to_string(), expected);
    }
    let any = identity(IdentityRequest::Any);
    let shown = device.ask(Role::Network, &any).unwrap().kind;
    assert_eq!(shown, IdentityKind::Pseudonym, "the stand-by");
    assert!(!is_kept(&mut device));

    device.call(&mut netd, &confirm(handle, Some(msk))).unwrap();
    assert!(is_kept(&mut device));
}

#[test]
fn a_5g_core_with_another_msk_anchors_nothing() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let home = HomeNetwork {
        identity: IMSI.into(),
        ..HomeNetwork::sending(Challenge::of_network(b"5G:mnc001.mcc001.3gppnetwork.org"))
    };
    let sent = home.challenge(32);
    let answer = device.call(&mut netd, &challenge(&sent.packet, IDENTITY));
    let handle = handle_of(answer.unwrap());
    let refused = device.call(&mut netd, &confirm(handle, Some(&[0x5a; 64])));
    assert_eq!(refused, Err(Refusal::OtherMsk));
    let key = AkmaKey {
        af: "af.example.com",
        ua_star: [1, 0, 0, 0, 2],
    };
    assert_eq!(
        device.ask(Role::App, &key).unwrap_err(),
        Refusal::NotAnchored
    );
    let msk = sent.msk.as_bytes();
    device.call(&mut netd, &confirm(handle, Some(msk))).unwrap();
    assert!(device.ask(Role::App, &key).is_ok());
}

#[test]
fn a_confirmation_can_be_repeated_and_is_judged_each_time() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let sent = HomeNetwork::default().challenge(32);
    let answer = device.call(&mut netd, &challenge(&sent.packet, IDENTITY));
    let handle = handle_of(answer.unwrap());
    let msk = sent.msk.as_bytes();
    for _ in 0..2 {
        assert_eq!(device.call(&mut netd, &confirm(handle, Some(msk))), Ok(()));
        assert_eq!(device.call(&mut netd, &confirm(handle, None)), Ok(()));
        let refused = device.call(&mut netd, &confirm(handle, Some(&[0; 64])));
        assert_eq!(refused, Err(Refusal::OtherMsk));
    }
}

#[test]
fn a_confirmation_prints_without_the_msk() {
    let printed = format!("{:?}", confirm(7, Some(&[0x5a; 64])));
    assert_eq!(printed, "Confirm { handle: 7, msk: Some([redacted]) }");
}

/// A session in either method, with a server that does or doesn't offer protected results.
fn session(device: &mut Device, netd: &mut Client, method: Method, offers: bool) -> (u32, Server) {
    let mut home = HomeNetwork::naming(Some("7name"), None);
    home.sends.result_ind = offers;
    match method {
        Method::AkaPrime => {
            let sent = home.challenge(32);
            let answer = device.call(netd, &challenge(&sent.packet, IDENTITY));
            (handle_of(answer.unwrap()), sent.server)
        }
        Method::Aka => {
            let sent = home.old_challenge(32);
            let answer = device.call(netd, &old_challenge(&sent.packet, IDENTITY));
            (handle_of(answer.unwrap()), sent.server)
        }
    }
}

#[test]
fn where_both_sides_asked_for_protected_results_no_success_counts_before_its_notification() {
    for method in [Method::Aka, Method::AkaPrime] {
        let (mut device, _) = Device::provisioned();
        let mut netd = device.client(Role::Network);
        let (handle, server) = session(&mut device, &mut netd, method, true);
        let response = unmaced_of(method, 2, CHALLENGE, &RESULT_IND);
        let packet = &response[..];
        device.call(&mut netd, &EapMac { handle, packet }).unwrap();

        let early = Err(Refusal::NoProtectedSuccess);
        assert_eq!(device.call(&mut netd, &confirm(handle, None)), early);
        // General failure after authentication (RFC 4187 §10.19), and packets that resemble a
        // notification of success.
        let failure = server.packet(1, NOTIFICATION, &[12, 1, 0, 0], &[]);
        let of_challenge = server.packet(1, CHALLENGE, &SUCCESS, &[]);
        for packet in [&failure[..], &of_challenge] {
            device
                .call(&mut netd, &EapVerify { handle, packet })
                .unwrap();
            assert_eq!(device.call(&mut netd, &confirm(handle, None)), early);
        }
        let success = server.packet(1, NOTIFICATION, &SUCCESS, &[]);
        let mut forged = success.clone();
        *forged.last_mut().unwrap() ^= 1;
        let packet = &forged[..];
        let refused = device.call(&mut netd, &EapVerify { handle, packet });
        assert_eq!(refused, Err(Refusal::Packet(PacketFault::Mac)));
        assert_eq!(device.call(&mut netd, &confirm(handle, None)), early);
        assert!(!is_kept(&mut device));

        let packet = &success[..];
        device
            .call(&mut netd, &EapVerify { handle, packet })
            .unwrap();
        assert_eq!(device.call(&mut netd, &confirm(handle, None)), Ok(()));
        assert!(is_kept(&mut device));
    }
}

#[test]
fn where_only_one_side_asked_for_protected_results_success_needs_no_notification() {
    for method in [Method::Aka, Method::AkaPrime] {
        for (offers, ours) in [(true, &[][..]), (false, &RESULT_IND)] {
            let (mut device, _) = Device::provisioned();
            let mut netd = device.client(Role::Network);
            let (handle, _) = session(&mut device, &mut netd, method, offers);
            let response = unmaced_of(method, 2, CHALLENGE, ours);
            let packet = &response[..];
            device.call(&mut netd, &EapMac { handle, packet }).unwrap();
            assert_eq!(device.call(&mut netd, &confirm(handle, None)), Ok(()));
        }
    }
}
