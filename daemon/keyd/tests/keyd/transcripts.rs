//! Recorded authentications of hostapd and wpa_supplicant, with keyd in the supplicant's place:
//! each MAC, key and identity equals the recorded one.

use serde_json::Value;
use softsim_aka::eap::decrypt;
use softsim_aka::{Iv, KEncr};
use softsim_keyd::Client;
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    AkaAnswer, IdentityKind, IdentityRequest, Method, ReauthenticationAnswer, Refusal, Role,
};
use softsim_testkit::device::*;
use softsim_testkit::home_network::*;
use softsim_testkit::requests::*;
use softsim_testkit::vectors::{cases, octets};

/// The SIM's highest SQN: below that of both recordings by less than Δ.
const FLOOR: u64 = 0x16f3_b3f7_0f00;

const RECORDED: &str = "transcripts_hostapd_2.10.json";

/// The recorded events, in order.
struct Transcript {
    method: Method,
    events: std::vec::IntoIter<(String, Vec<u8>)>,
    k_encr: Option<KEncr>,
}

impl Transcript {
    fn of(case: &Value) -> Self {
        let prime = case["name"].as_str().unwrap().starts_with("EAP-AKA'");
        let events = case["events"].as_array().unwrap().iter();
        let event = |event: &Value| {
            let name = event[0].as_str().unwrap().to_owned();
            (
                name,
                hex::decode(event[1].as_str().unwrap()).unwrap_or_default(),
            )
        };
        let events: Vec<_> = events.map(event).collect();
        Self {
            method: if prime { Method::AkaPrime } else { Method::Aka },
            events: events.into_iter(),
            k_encr: None,
        }
    }

    /// Returns the next event of a kind, and skips those before it.
    fn next(&mut self, kind: &str) -> Vec<u8> {
        self.try_next(kind).unwrap()
    }

    fn try_next(&mut self, kind: &str) -> Option<Vec<u8>> {
        self.events
            .find(|(name, _)| name == kind)
            .map(|(_, octets)| octets)
    }

    fn msk(&mut self) -> Vec<u8> {
        let keys = self.events.by_ref();
        let (_, msk) = keys
            .find(|(name, _)| name.contains("MSK") && !name.contains("EMSK"))
            .unwrap();
        msk
    }
}

/// The value of an attribute after its two octets of header and two octets of length or reserve.
fn value_of(packet: &[u8], kind: u8) -> &[u8] {
    let mut rest = &packet[8..];
    while rest[0] != kind {
        rest = &rest[usize::from(rest[1]) * 4..];
    }
    &rest[4..usize::from(rest[1]) * 4]
}

/// Asserts that keyd computes the recorded MAC.
fn is_maced_alike(device: &mut Device, netd: &mut Client, handle: u32, recorded: &[u8]) {
    let mut packet = recorded.to_vec();
    let at = packet.len() - 16;
    packet[at..].fill(0);
    let packet = &packet[..];
    let mac = device.call(netd, &EapMac { handle, packet }).unwrap().mac;
    assert_eq!(mac, recorded[at..]);
}

/// Plays the recording from the notification of success to the MSK.
fn ends(device: &mut Device, netd: &mut Client, handle: u32, of: &mut Transcript, msk: &[u8]) {
    let packet = &of.next("req")[..];
    assert_eq!(packet[5], NOTIFICATION);
    let early = device.call(netd, &Confirm { handle, msk: None });
    assert_eq!(early, Err(Refusal::NoProtectedSuccess));
    device.call(netd, &EapVerify { handle, packet }).unwrap();
    is_maced_alike(device, netd, handle, &of.next("rsp"));
    of.next("eap");
    device.confirms(netd, handle, msk);
    device.call(netd, &CloseSession { handle }).unwrap();
}

#[test]
fn what_hostapd_and_wpa_supplicant_said_to_each_other_comes_out_of_keyd() {
    let mut fast = 0;
    for case in cases(RECORDED) {
        let mut transcript = Transcript::of(&case);
        let (k, opc) = (octets(&case["k"]), octets(&case["opc"]));
        let profile = profile_of(
            ICCID,
            "001010000000001",
            k.try_into().unwrap(),
            opc.try_into().unwrap(),
            FLOOR,
        );
        let mut device = Device::enrolled();
        let operator = Operator::generate();
        device.trust(&operator);
        let package = operator.seal(&mut device, profile, 1);
        device.install(&package, [1; 16]).unwrap();
        let mut netd = device.client(Role::Network);

        let shown = Identity {
            method: transcript.method,
            ..identity(IdentityRequest::Any)
        };
        let permanent = device.call(&mut netd, &shown).unwrap().nai;
        assert_eq!(transcript.next("rsp")[5..], *permanent.as_bytes());
        transcript.next("req");
        transcript.next("rsp");
        full(&mut device, &mut netd, &mut transcript, &permanent);
        while let Some(recorded) = transcript.try_next("rsp") {
            let answer = device.call(&mut netd, &shown).unwrap();
            assert_eq!(recorded[5..], *answer.nai.as_bytes());
            assert_eq!(answer.kind, IdentityKind::Reauthentication);
            again(&mut device, &mut netd, &mut transcript, &answer.nai);
            device.keyd.flush().unwrap();
            device = device.restarted();
            netd = device.client(Role::Network);
            fast += 1;
        }
    }
    assert_eq!(fast, 3);
}

fn full(device: &mut Device, netd: &mut Client, of: &mut Transcript, identity: &str) {
    let packet = of.next("req");
    let answer = match of.method {
        Method::Aka => device.call(netd, &old_challenge(&packet, identity.as_bytes())),
        Method::AkaPrime => device.call(netd, &challenge(&packet, identity.as_bytes())),
    };
    let AkaAnswer::Success { handle, res, .. } = answer.unwrap() else {
        panic!("expected Success, got AUTS");
    };
    of.k_encr = Some(KEncr::new(of.next("key:K_encr").try_into().unwrap()));
    let msk = of.msk();
    let response = of.next("rsp");
    assert_eq!(value_of(&response, 3), res.expose());
    is_maced_alike(device, netd, handle, &response);
    ends(device, netd, handle, of, &msk);
}

fn again(device: &mut Device, netd: &mut Client, of: &mut Transcript, identity: &str) {
    let packet = of.next("req");
    let answer = device
        .call(netd, &reauthenticate(&packet, identity))
        .unwrap();
    let ReauthenticationAnswer::Fresh {
        handle, nonce_s, ..
    } = answer
    else {
        panic!("expected Fresh, got {answer:?}");
    };
    let msk = of.msk();
    let response = of.next("rsp");
    let k_encr = of.k_encr.as_ref().unwrap();
    let mut recorded = value_of(&response, AT_ENCR_DATA).to_vec();
    let iv = Iv::new(value_of(&response, AT_IV).try_into().unwrap());
    decrypt(k_encr, &iv, &mut recorded).unwrap();
    let mut ours = device.call(netd, &EncryptCounter { handle }).unwrap();
    decrypt(k_encr, &Iv::new(ours.iv), &mut ours.data).unwrap();
    assert_eq!(ours.data, recorded);
    is_maced_alike(device, netd, handle, &response);
    // Session-Id is made of NONCE_S and the request's MAC (RFC 9048 §6).
    let mut looking = of.events.clone();
    let session_id = looking.find(|(name, _)| name == "session_id").unwrap().1;
    let mac = &packet[packet.len() - 16..];
    assert_eq!(session_id[1..], [&nonce_s, mac].concat());
    ends(device, netd, handle, of, &msk);
}
