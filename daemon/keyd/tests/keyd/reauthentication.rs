//! Fast re-authentication: what it needs, what it gives, and that keyd accepts nothing twice.

use std::time::Duration;

use softsim_aka::eap::decrypt;
use softsim_aka::{Iv, Msk, NonceS};
use softsim_keyd::Client;
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    AkaAnswer, IdentityKind, IdentityRequest, Method, PacketFault, ReauthenticationAnswer, Refusal,
    Role,
};
use softsim_testkit::device::*;
use softsim_testkit::home_network::*;
use softsim_testkit::requests::*;

const NONCE_S: [u8; 16] = [0x5e; 16];

/// A device after a full authentication that gave it a re-authentication identity, and its server.
struct Known {
    device: Device,
    netd: Client,
    server: Server,
    sent: Sent,
}

impl Known {
    fn new() -> Self {
        Self::by(&HomeNetwork::naming(None, Some("8first@home")))
    }

    fn by(home: &HomeNetwork) -> Self {
        let (mut device, _) = Device::provisioned();
        let mut netd = device.client(Role::Network);
        let sent = home.challenge(32);
        let request = challenge(&sent.packet, IDENTITY);
        let AkaAnswer::Success { handle, .. } = device.call(&mut netd, &request).unwrap() else {
            panic!("expected Success, got AUTS");
        };
        device
            .call(&mut netd, &Confirm { handle, msk: None })
            .unwrap();
        device.call(&mut netd, &CloseSession { handle }).unwrap();
        let server = sent.server.clone();
        Self {
            device,
            netd,
            server,
            sent,
        }
    }

    fn call<C: softsim_keyd_proto::Call>(&mut self, call: &C) -> Result<C::Answer, Refusal> {
        let answer = self.device.call(&mut self.netd, call);
        self.device.keyd.flush().unwrap();
        answer
    }

    fn any(&mut self) -> (String, IdentityKind) {
        let answer = self.call(&identity(IdentityRequest::Any)).unwrap();
        (answer.nai, answer.kind)
    }

    fn fast(&mut self, packet: &[u8], identity: &str) -> Result<ReauthenticationAnswer, Refusal> {
        self.call(&reauthenticate(packet, identity))
    }

    /// Re-authenticates with this counter, and returns the session's handle.
    fn fresh(&mut self, counter: u16, identity: &str, next: Option<&str>) -> u32 {
        let packet = self.server.reauthentication(counter, NONCE_S, next);
        let answer = self.fast(&packet, identity).unwrap();
        let ReauthenticationAnswer::Fresh {
            handle,
            counter: got,
            nonce_s,
        } = answer
        else {
            panic!("expected Fresh, got {answer:?}");
        };
        assert_eq!((got, nonce_s), (counter, NONCE_S));
        handle
    }

    fn restart(&mut self) {
        let running = std::mem::replace(&mut self.device, Device::blank());
        self.device = running.restarted();
        self.netd = self.device.client(Role::Network);
    }

    fn msk_of(&self, counter: u16, identity: &str) -> Msk {
        let nonce_s = NonceS::new(NONCE_S);
        let keys = &self.server.keys;
        keys.reauthenticate(identity.as_bytes(), counter, &nonce_s)
            .msk
    }
}

#[test]
fn reauthentication_identity_is_given_out_once_even_across_a_restart() {
    let mut known = Known::new();
    assert_eq!(
        known.any(),
        ("8first@home".to_owned(), IdentityKind::Reauthentication)
    );
    assert_eq!(known.any().1, IdentityKind::Permanent);
    known.restart();
    assert_eq!(known.any().1, IdentityKind::Permanent);
}

/// Otherwise, whoever asks for the permanent identity now and then would get it from a gateway that
/// is never without its network.
#[test]
fn a_verified_reauthentication_ends_the_patience_with_refusals() {
    let mut known = Known::by(&HomeNetwork::naming(Some("7alice"), Some("8first@home")));
    for _ in 0..100 {
        let withheld = known.call(&identity(IdentityRequest::Permanent));
        assert_eq!(withheld, Err(Refusal::IdentityWithheld));
        known.device.wait(Duration::from_secs(4));
    }
    let quarters = |known: &mut Known| {
        let status = known.device.ask(Role::Admin, &Status {}).unwrap();
        status.identities.unwrap().quarters
    };
    assert_eq!(quarters(&mut known), 3);
    let (first, _) = known.any();
    known.fresh(1, &first, None);
    assert_eq!(quarters(&mut known), 0);
    for _ in 0..100 {
        let withheld = known.call(&identity(IdentityRequest::Permanent));
        assert_eq!(withheld, Err(Refusal::IdentityWithheld));
        known.device.wait(Duration::from_secs(4));
    }
}

#[test]
fn reauthentication_identity_is_bound_to_method_network_and_the_role_network() {
    let mut known = Known::new();
    for request in [
        Identity {
            method: Method::Aka,
            ..identity(IdentityRequest::Any)
        },
        Identity {
            network_name: "WLAN2",
            ..identity(IdentityRequest::Any)
        },
        identity(IdentityRequest::FullAuthentication),
    ] {
        let answer = known.call(&request).unwrap();
        assert_eq!(answer.kind, IdentityKind::Permanent, "{request:?}");
    }
    let bridge = known
        .device
        .ask(Role::Supplicant, &identity(IdentityRequest::Any));
    assert_eq!(bridge.unwrap().kind, IdentityKind::Permanent);
    // A network name with additional fields belongs to the same network as the one of the full
    // authentication.
    let request = Identity {
        network_name: "WLAN:lobby",
        ..identity(IdentityRequest::Any)
    };
    assert_eq!(
        known.call(&request).unwrap().kind,
        IdentityKind::Reauthentication
    );
}

/// A client that speaks both methods doesn't know which one the server will choose.
#[test]
fn a_client_of_both_methods_gets_the_reauthentication_identity_of_either() {
    for method in [Method::Aka, Method::AkaPrime] {
        let mut known = Known::new();
        let request = |any_method| Identity {
            method,
            any_method,
            ..identity(IdentityRequest::Any)
        };
        if method == Method::Aka {
            let answer = known.call(&request(false)).unwrap();
            assert_eq!(answer.kind, IdentityKind::Permanent);
        }
        for network_name in ["WLAN2", "WLAN"] {
            let request = Identity {
                network_name,
                ..request(true)
            };
            let fits = network_name == "WLAN";
            let fast = known.call(&request).unwrap().kind == IdentityKind::Reauthentication;
            assert_eq!(fast, fits, "{method:?}");
        }
    }
}

#[test]
fn session_without_confirm_stores_no_reauthentication_context() {
    let (mut device, _) = Device::provisioned();
    let sent = HomeNetwork::naming(Some("7name"), Some("8first@home")).challenge(32);
    let request = challenge(&sent.packet, IDENTITY);
    device.ask(Role::Network, &request).unwrap();
    let answer = device
        .ask(Role::Network, &identity(IdentityRequest::Any))
        .unwrap();
    assert_eq!(answer.nai.split('@').next(), Some("7name"), "the stand-by");
}

#[test]
fn a_fresh_counter_gives_a_session_with_new_keys_and_the_next_identity_at_its_confirmation() {
    let mut known = Known::new();
    let (first, _) = known.any();
    let handle = known.fresh(1, &first, Some("8second@home"));
    assert_eq!(
        known.any().1,
        IdentityKind::Permanent,
        "not before it is confirmed"
    );
    let msk = known.msk_of(1, &first);
    let Known { device, netd, .. } = &mut known;
    device.confirms(netd, handle, msk.as_bytes());
    device.keyd.flush().unwrap();

    known.restart();
    let (second, kind) = known.any();
    assert_eq!(
        (&*second, kind),
        ("8second@home", IdentityKind::Reauthentication)
    );
    let handle = known.fresh(2, &second, None);
    known.call(&Confirm { handle, msk: None }).unwrap();
    assert_eq!(
        known.any().1,
        IdentityKind::Permanent,
        "no further one came"
    );
    let counters = known.call(&Status {}).unwrap().counters.unwrap();
    assert_eq!(counters.reauthentications, 1, "since the restart");
}

#[test]
fn an_accepted_request_is_never_accepted_again() {
    let mut known = Known::new();
    let (first, _) = known.any();
    let packet = known
        .server
        .reauthentication(1, NONCE_S, Some("8second@home"));
    known.fast(&packet, &first).unwrap();
    let gone = Err(Refusal::NoReauthentication);
    assert_eq!(known.fast(&packet, &first), gone);
    let later = known.server.reauthentication(2, NONCE_S, None);
    assert_eq!(known.fast(&later, &first), gone, "the identity is used up");
    known.restart();
    assert_eq!(known.fast(&packet, &first), gone, "after a crash too");
}

#[test]
fn a_second_confirmation_does_not_take_the_counter_back() {
    let mut known = Known::new();
    let (first, _) = known.any();
    let old = known.fresh(1, &first, Some("8second@home"));
    known.call(&confirm(old)).unwrap();
    let (second, _) = known.any();
    let handle = known.fresh(7, &second, Some("8third@home"));
    known.call(&Confirm { handle, msk: None }).unwrap();
    known.call(&confirm(old)).unwrap();
    let (third, _) = known.any();
    assert_eq!(third, "8third@home");
    let packet = known.server.reauthentication(7, NONCE_S, None);
    let answer = known.fast(&packet, &third).unwrap();
    assert!(
        matches!(answer, ReauthenticationAnswer::CounterTooSmall { .. }),
        "{answer:?}"
    );
}

#[test]
fn session_after_a_counter_too_small_can_only_send_its_response() {
    let mut known = Known::new();
    let (first, _) = known.any();
    let handle = known.fresh(5, &first, Some("8second@home"));
    known.call(&Confirm { handle, msk: None }).unwrap();
    let (second, _) = known.any();
    for counter in [5, 4, 0] {
        let packet = known
            .server
            .reauthentication(counter, NONCE_S, Some("8third@home"));
        let answer = known.fast(&packet, &second).unwrap();
        let ReauthenticationAnswer::CounterTooSmall {
            handle,
            counter: got,
        } = answer
        else {
            panic!("expected CounterTooSmall, got {answer:?}");
        };
        assert_eq!(got, counter);
        let notification = known.server.notification(counter);
        let packet = &notification[..];
        let barren = Refusal::CounterTooSmall;
        assert_eq!(
            known.call(&Confirm { handle, msk: None }),
            Err(barren.clone())
        );
        assert_eq!(known.call(&EapVerify { handle, packet }), Err(barren));

        let mut ours = known.call(&EncryptCounter { handle }).unwrap();
        decrypt(&known.server.keys.k_encr, &Iv::new(ours.iv), &mut ours.data).unwrap();
        let [high, low] = counter.to_be_bytes();
        let expected = [&[19, 1, high, low, 20, 1, 0, 0, 6, 2][..], &[0; 6]].concat();
        assert_eq!(ours.data, expected);
        let packet = &unmaced(2, REAUTHENTICATION, &[])[..];
        let mac = known.call(&EapMac { handle, packet }).unwrap().mac;
        assert_eq!(mac, known.server.keys.k_aut.at_mac(packet, &NONCE_S));
        known.call(&CloseSession { handle }).unwrap();
    }
    // keyd stored nothing.
    known.fresh(6, &second, None);
}

#[test]
fn only_a_whole_reauthentication_under_k_aut_of_the_full_authentication_is_accepted() {
    let mut known = Known::new();
    let (first, _) = known.any();
    let packet = known.server.reauthentication(1, NONCE_S, None);
    let mut forged = packet.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(
        known.fast(&forged, &first),
        Err(Refusal::Packet(PacketFault::Mac))
    );
    let mut flipped = packet.clone();
    flipped[40] ^= 1;
    assert_eq!(
        known.fast(&flipped, &first),
        Err(Refusal::Packet(PacketFault::Mac))
    );
    assert_eq!(
        known.fast(&packet, "8other@home"),
        Err(Refusal::NoReauthentication)
    );
    for end in 0..packet.len() {
        let refused = known.fast(&packet[..end], &first);
        assert_eq!(refused, Err(Refusal::Packet(PacketFault::Length)));
    }
    let challenge = Known::new().sent.packet;
    assert_eq!(
        known.fast(&challenge, &first),
        Err(Refusal::Packet(PacketFault::Type))
    );

    // These have a valid AT_MAC but no counter, no nonce or no encrypted data.
    let counter = attribute(AT_COUNTER, &[&[0, 1]]);
    let nonce = attribute(AT_NONCE_S, &[&[0, 0], &NONCE_S]);
    for attributes in [counter, nonce] {
        let packet = known.server.sealing(REAUTHENTICATION, padded(attributes));
        let refused = known.fast(&packet, &first);
        assert_eq!(refused, Err(Refusal::Packet(PacketFault::Encrypted)));
    }
    let bare = known.server.packet(1, REAUTHENTICATION, &[], &[]);
    let refused = known.fast(&bare, &first);
    assert_eq!(
        refused,
        Err(Refusal::Packet(PacketFault::Missing(AT_ENCR_DATA)))
    );
    known.fresh(1, &first, None);
}

#[test]
fn an_identity_that_was_not_shown_cannot_be_used() {
    let mut known = Known::new();
    let packet = known.server.reauthentication(1, NONCE_S, None);
    let refused = known.fast(&packet, "8first@home");
    assert_eq!(refused, Err(Refusal::NoReauthentication));
}

#[test]
fn a_response_is_maced_with_nonce_s_and_a_notification_holds_the_counter() {
    let mut known = Known::new();
    let (first, _) = known.any();
    let handle = known.fresh(3, &first, None);
    let packet = &unmaced(2, REAUTHENTICATION, &[])[..];
    let mac = known.call(&EapMac { handle, packet }).unwrap().mac;
    assert_eq!(mac, known.server.keys.k_aut.at_mac(packet, &NONCE_S));
    let packet = &unmaced(2, NOTIFICATION, &[])[..];
    let mac = known.call(&EapMac { handle, packet }).unwrap().mac;
    assert_eq!(mac, known.server.keys.k_aut.at_mac(packet, &[]));

    let mut verify = |server: &Server, packet: Vec<u8>| {
        let _ = server;
        known.call(&EapVerify {
            handle,
            packet: &packet,
        })
    };
    let server = HomeNetwork::default().challenge(32).server;
    assert_eq!(verify(&server, server.notification(3)), Ok(()));
    let another = Err(Refusal::Packet(PacketFault::Counter));
    assert_eq!(verify(&server, server.notification(4)), another);
    let none = Err(Refusal::Packet(PacketFault::Missing(AT_ENCR_DATA)));
    assert_eq!(
        verify(
            &server,
            server.packet(1, NOTIFICATION, &[12, 1, 0x80, 0], &[])
        ),
        none
    );
}

#[test]
fn in_a_session_of_a_full_authentication_there_is_no_counter_and_no_nonce_s() {
    let (mut device, _) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let sent = HomeNetwork::default().challenge(32);
    let request = challenge(&sent.packet, IDENTITY);
    let AkaAnswer::Success { handle, .. } = device.call(&mut netd, &request).unwrap() else {
        panic!("expected Success, got AUTS");
    };
    let refused = device.call(&mut netd, &EncryptCounter { handle });
    assert_eq!(refused, Err(Refusal::NoReauthentication));
    let packet = &unmaced(2, REAUTHENTICATION, &[])[..];
    let refused = device.call(&mut netd, &EapMac { handle, packet });
    assert_eq!(refused, Err(Refusal::Packet(PacketFault::Type)));
}

#[test]
fn a_full_authentication_replaces_what_there_was_or_takes_it_away() {
    let mut known = Known::new();
    for (sqn, next) in [(64, Some("8other@home")), (96, None)] {
        let sent = HomeNetwork::naming(None, next).challenge(sqn);
        let request = challenge(&sent.packet, IDENTITY);
        let AkaAnswer::Success { handle, .. } = known.call(&request).unwrap() else {
            panic!("expected Success, got AUTS");
        };
        known.call(&Confirm { handle, msk: None }).unwrap();
        let (name, kind) = known.any();
        match next {
            Some(next) => assert_eq!((&*name, kind), (next, IdentityKind::Reauthentication)),
            None => assert_eq!(kind, IdentityKind::Permanent),
        }
    }
}

#[test]
fn no_reauthentication_in_5g_or_with_a_network_name_too_long_to_store() {
    let longest = [b'N'; 253];
    for (name, expected) in [
        (&b"5G:NSWO"[..], IdentityKind::NullSuci),
        (&[b'N'; 254], IdentityKind::Permanent),
        (&longest, IdentityKind::Reauthentication),
    ] {
        let mut home = HomeNetwork {
            identity: if name.starts_with(b"5G:") {
                IMSI.into()
            } else {
                IDENTITY.to_vec()
            },
            ..HomeNetwork::naming(None, Some("8first@home"))
        };
        home.sends.network_name = Some(name.to_vec());
        let mut known = Known::by(&home);
        let network_name = std::str::from_utf8(name).unwrap();
        let request = Identity {
            network_name: network_name.get(..200).unwrap_or(network_name),
            ..identity(IdentityRequest::Any)
        };
        // A field of another length is a different field.
        let request = if name.len() == 253 {
            Identity {
                network_name,
                ..request
            }
        } else {
            request
        };
        let got = known.call(&request).map(|answer| answer.kind);
        match got {
            Ok(kind) => assert_eq!(kind, expected),
            Err(refusal) => assert!(matches!(refusal, Refusal::TooLong { .. }), "{refusal}"),
        }
    }
}

#[test]
fn a_protected_success_counts_with_the_sessions_counter_only() {
    let mut known = Known::new();
    let (first, _) = known.any();
    let keys = &known.server.keys;
    let inside = [
        attribute(AT_COUNTER, &[&[0, 1]]),
        attribute(AT_NONCE_S, &[&[0, 0], &NONCE_S]),
        text(AT_NEXT_REAUTH_ID, b"8second@home"),
    ];
    let attributes = [RESULT_IND.to_vec(), sealed(keys, &padded(inside.concat()))].concat();
    let packet = known.server.packet(1, REAUTHENTICATION, &attributes, &[]);
    let answer = known.fast(&packet, &first).unwrap();
    let ReauthenticationAnswer::Fresh { handle, .. } = answer else {
        panic!("expected Fresh, got {answer:?}");
    };
    let packet = &unmaced(2, REAUTHENTICATION, &RESULT_IND)[..];
    known.call(&EapMac { handle, packet }).unwrap();
    let early = Err(Refusal::NoProtectedSuccess);
    assert_eq!(known.call(&confirm(handle)), early);
    let without = known.server.packet(1, NOTIFICATION, &SUCCESS, &[]);
    let of_another = known.server.notification(2);
    for packet in [&without[..], &of_another] {
        assert!(known.call(&EapVerify { handle, packet }).is_err());
        assert_eq!(known.call(&confirm(handle)), early);
    }
    let packet = &known.server.notification(1)[..];
    known.call(&EapVerify { handle, packet }).unwrap();
    known.call(&confirm(handle)).unwrap();
    assert_eq!(known.any().0, "8second@home");
}

fn confirm(handle: u32) -> Confirm<'static> {
    Confirm { handle, msk: None }
}

#[test]
fn a_profile_that_was_replaced_or_taken_out_of_use_keeps_nothing_of_a_session() {
    let (mut device, operator) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let mut handles = Vec::new();
    for sqn in [32, 64] {
        let sent = HomeNetwork::naming(Some("7name"), Some("8first@home")).challenge(sqn);
        match device.call(&mut netd, &challenge(&sent.packet, IDENTITY)) {
            Ok(AkaAnswer::Success { handle, .. }) => handles.push(handle),
            other => panic!("expected Success, got {other:?}"),
        }
    }
    let (first, second) = (handles[0], handles[1]);
    device.ask(Role::Admin, &Disable { iccid: ICCID }).unwrap();
    let refused = device.call(&mut netd, &confirm(first));
    assert_eq!(refused, Err(Refusal::NoProfile));
    device.ask(Role::Admin, &Enable { iccid: ICCID }).unwrap();
    device.call(&mut netd, &confirm(first)).unwrap();

    let package = operator.seal(&mut device, profile(ICCID), 2);
    device.install(&package, [2; 16]).unwrap();
    let refused = device.call(&mut netd, &confirm(second));
    assert_eq!(refused, Err(Refusal::NoProfile));
    let answer = device
        .call(&mut netd, &identity(IdentityRequest::Any))
        .unwrap();
    assert_eq!(
        answer.kind,
        IdentityKind::Permanent,
        "the new one inherits no name"
    );
}
