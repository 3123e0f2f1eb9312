//! The peer with recordings of real implementations, and with the vectors of RFC 9048.

use serde_json::Value;
use softsim_aka::KAut;
use softsim_eap::{
    Answer, Ask, ChallengeAnswer, Config, IdentityKind, Method, NetworkName, OuterIdentity, Output,
    Peer,
};
use softsim_eap_packet::{Attribute, Packet, Subtype, Type};
use softsim_testkit::home_network::milenage;
use softsim_testkit::scene::{self, *};
use softsim_testkit::vectors::{cases, fixed, octets};

/// The SIM's highest SQN: below those of all recordings by less than Δ.
const FLOOR: u64 = 0x16f3_b3f7_0f00;

const RECORDED: &str = "transcripts_hostapd_2.10.json";

/// A peer with the recorded subscriber's SIM, which uses the recorded IVs.
fn recorded(case: &Value) -> Scene {
    let mut config = Config::new();
    if case["name"].as_str().unwrap().starts_with("EAP-AKA full") {
        config.methods = vec![Method::Aka];
    }
    let mut scene = Scene::unasked(config);
    let credentials = milenage(fixed(&case["k"]), fixed(&case["opc"]));
    scene.sim = Sim::with(&credentials, FLOOR);
    scene.sim.permanent = Permanent::Always;
    let sent = case["events"].as_array().unwrap().iter();
    scene.sim.ivs = sent
        .filter(|event| event[0] == "rsp")
        .filter_map(|event| {
            Packet::parse(&octets(&event[1]))
                .ok()?
                .aka()
                .ok()?
                .iv()
                .copied()
        })
        .collect();
    scene
}

/// The peer gets hostapd's requests and must send what wpa_supplicant sent, in the full
/// authentication and every later fast re-authentication. MSK and Session-Id must be those that
/// both of them logged.
#[test]
fn hostapds_authentications_are_replayed_octet_for_octet() {
    let (mut compared, mut successes) = (0, Vec::new());
    for case in &cases(RECORDED) {
        let mut scene = recorded(case);
        let mut sent = Vec::new();
        let (mut msk, mut session_id) = (Vec::new(), Vec::new());
        for event in case["events"].as_array().unwrap() {
            let name = event[0].as_str().unwrap();
            match name {
                "req" => sent = scene.feed(&octets(&event[1])).sent,
                "rsp" => {
                    let expected = octets(&event[1]);
                    if expected[4] == Type::Identity.octet() {
                        // The recording lacks hostapd's EAP-Request/Identity.
                        sent = scene.feed(&typed(expected[1], Type::Identity, b"")).sent;
                    }
                    assert_eq!(sent, [expected]);
                    compared += 1;
                }
                "eap" => {
                    let identifier = sent[0][1];
                    let success = scene.success(identifier).success().unwrap();
                    assert_eq!(success.session_id[..], session_id);
                    assert_eq!(scene.sim.msk().as_bytes()[..], msk);
                    successes.push((success.method, success.reauthenticated));
                }
                "session_id" => session_id = octets(&event[1]),
                name if name.contains("MSK") && !name.contains("EMSK") => msk = octets(&event[1]),
                _ => {}
            }
        }
    }
    assert_eq!(compared, 17);
    let (prime, aka) = (Method::AkaPrime, Method::Aka);
    assert_eq!(
        successes,
        [
            (prime, false),
            (prime, true),
            (prime, true),
            (aka, false),
            (aka, true)
        ]
    );
}

#[test]
fn the_lines_for_people_name_each_message_and_show_no_value_of_a_key() {
    let case = &cases(RECORDED)[0];
    let mut scene = recorded(case);
    let mut lines: Vec<String> = Vec::new();
    let requests = case["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event[0] == "req")
        .take(3);
    for packet in [typed(169, Type::Identity, b"")]
        .into_iter()
        .chain(requests.map(|event| octets(&event[1])))
    {
        lines.extend(scene.feed(&packet).notes.iter().map(ToString::to_string));
    }
    lines.extend(scene.success(172).notes.iter().map(ToString::to_string));
    assert_eq!(
        lines,
        [
            "<- EAP-Request/Identity id 169",
            "-> EAP-Response/Identity id 169",
            "<- EAP-Request/AKA'-Identity id 170: AT_ANY_ID_REQ",
            "-> EAP-Response/AKA'-Identity id 170: AT_IDENTITY",
            "<- EAP-Request/AKA'-Challenge id 171: AT_RAND, AT_AUTN, AT_KDF=1, AT_KDF_INPUT=WLAN, AT_IV, AT_ENCR_DATA, \
             AT_CHECKCODE, AT_RESULT_IND, AT_MAC",
            "-> EAP-Response/AKA'-Challenge id 171: AT_RES, AT_CHECKCODE, AT_RESULT_IND, AT_MAC",
            "<- EAP-Request/AKA'-Notification id 172: AT_NOTIFICATION=32768 (success), AT_MAC",
            "-> EAP-Response/AKA'-Notification id 172: AT_MAC",
            "<- EAP-Success id 172",
        ]
    );
}

/// The peer with the vectors of RFC 9048 appendix D: it answers their RES, under a MAC made with
/// their K_aut.
#[test]
fn rfc_9048_appendix_d() {
    let cases = cases("eap_aka_prime_rfc9048.json");
    assert_eq!(cases.len(), 4);
    for case in &cases {
        let name = case["network_name"].as_str().unwrap();
        let identity = case["identity"].as_str().unwrap();
        let mut config = Config::new();
        config.network_name = NetworkName::new(name).unwrap();
        config.outer = OuterIdentity::Fixed(scene::identity(identity, IdentityKind::Permanent));
        let mut peer = Peer::new(config);
        peer.handle_packet(&typed(0, Type::Identity, b""));
        let k_aut = KAut::new(fixed(&case["k_aut"]));
        let draft = request(
            1,
            Subtype::Challenge,
            &[
                Attribute::Rand(&fixed(&case["rand"])),
                Attribute::Autn(&fixed(&case["autn"])),
                Attribute::Kdf(1),
                Attribute::KdfInput(name.as_bytes()),
                Attribute::Mac(&[0; 16]),
            ],
        );
        let mac = k_aut.at_mac(draft.bytes(), &[]);
        peer.handle_packet(&draft.clone().with_mac(&mac));
        let mut response = Vec::new();
        while let Some(output) = peer.poll() {
            match output {
                Output::Ask(Ask::Challenge {
                    packet,
                    identity: used,
                    ..
                }) => {
                    assert_eq!(used, identity.as_bytes());
                    let message = Packet::parse(&packet).unwrap();
                    let message = message.aka().unwrap();
                    assert_eq!(message.bytes_under_mac().unwrap(), draft.bytes());
                    let res = octets(&case["res"]);
                    peer.answer(Answer::Challenge(ChallengeAnswer::Success {
                        res_bits: res.len() as u16 * 8,
                        res,
                        public_key: None,
                    }));
                }
                Output::Ask(Ask::Mac { packet }) => {
                    peer.answer(Answer::Mac(k_aut.at_mac(&packet, &[])))
                }
                Output::Send(packet) => response = packet,
                _ => {}
            }
        }
        let packet = Packet::parse(&response).unwrap();
        let message = packet.aka().unwrap();
        assert_eq!(message.res().unwrap().1, octets(&case["res"]));
        assert_eq!(
            *message.mac().unwrap(),
            k_aut.at_mac(&message.bytes_under_mac().unwrap(), &[])
        );
    }
}
