//! The published vectors of Milenage, XOR and EAP-AKA', and a recorded authentication of hostapd
//! 2.10.
#![allow(clippy::unwrap_used, clippy::panic)]

use softsim_aka::eap::{AT_MAC_LENGTH, AkaPrimeKeys, MacKey, emsk};
use softsim_aka::kdf::{BadNetworkName, NetworkName, ck_ik_prime};
use softsim_aka::{
    AlgorithmSet, Amf, Autn, Auts, Ck, Ik, K, KAut, Milenage, Op, Opc, Rand, Sqn, Xor,
};
use softsim_testkit::vectors::{cases, fixed, octets};

#[test]
fn milenage_computes_the_test_sets_of_ts_35_208() {
    let cases = cases("milenage_ts35207_35208.json");
    assert_eq!(cases.len(), 20);
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let k = K::new(fixed(&case["k"]));
        let opc = Milenage::opc(&k, &Op::new(fixed(&case["op"])));
        assert_eq!(opc.as_bytes()[..], octets(&case["opc"]), "{name}: OPc");

        let milenage = Milenage::new(&k, &opc);
        let rand = Rand::new(fixed(&case["rand"]));
        let sqn = Sqn::from_bytes(fixed(&case["sqn"]));
        let amf = Amf::new(fixed(&case["amf"]));
        let output = milenage.f2345(&rand);
        let (mac_a, mac_s) = (
            milenage.f1(&rand, sqn, amf),
            milenage.f1_star(&rand, sqn, amf),
        );
        assert_eq!(mac_a.as_bytes()[..], octets(&case["f1"]), "{name}: f1");
        assert_eq!(mac_s.as_bytes()[..], octets(&case["f1star"]), "{name}: f1*");
        assert_eq!(output.res.as_bytes(), octets(&case["f2"]), "{name}: f2");
        assert_eq!(output.ck.as_bytes()[..], octets(&case["f3"]), "{name}: f3");
        assert_eq!(output.ik.as_bytes()[..], octets(&case["f4"]), "{name}: f4");
        assert_eq!(output.ak.as_bytes()[..], octets(&case["f5"]), "{name}: f5");
        assert_eq!(
            milenage.f5_star(&rand).as_bytes()[..],
            octets(&case["f5star"]),
            "{name}: f5*"
        );

        let autn = Autn::from_parts(output.ak.conceal(sqn), amf, &mac_a);
        assert_eq!(
            autn.as_bytes()[..],
            octets(&case["autn_computed"]),
            "{name}: AUTN"
        );
        assert_eq!(output.ak.reveal(autn.sqn_xor_ak()), sqn, "{name}: SQN");
        assert_eq!(
            (autn.amf(), autn.mac_a()),
            (amf, mac_a),
            "{name}: AMF and MAC-A"
        );

        let mac_s = milenage.f1_star(&rand, sqn, Amf::RESYNCHRONISATION);
        let auts = Auts::from_parts(milenage.f5_star(&rand).conceal(sqn), &mac_s);
        assert_eq!(
            auts.as_bytes()[..],
            octets(&case["auts_for_sqn_computed"]),
            "{name}: AUTS"
        );
        assert_eq!(auts.mac_s(), mac_s, "{name}: MAC-S");
    }
}

#[test]
fn xor_computes_what_other_implementations_of_ts_34_108_do() {
    let cases = cases("xor_ts34108.json");
    assert_eq!(cases.len(), 2);
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let xor = Xor::new(&K::new(fixed(&case["k"])));
        let rand = Rand::new(fixed(&case["rand"]));
        let sqn = Sqn::from_bytes(fixed(&case["sqn"]));
        let amf = Amf::new(fixed(&case["amf"]));
        let output = xor.f2345(&rand);
        let mac_a = xor.f1(&rand, sqn, amf);
        assert_eq!(mac_a.as_bytes()[..], octets(&case["f1"]), "{name}: f1");
        assert_eq!(output.res.as_bytes(), octets(&case["f2"]), "{name}: f2");
        assert_eq!(output.ck.as_bytes()[..], octets(&case["f3"]), "{name}: f3");
        assert_eq!(output.ik.as_bytes()[..], octets(&case["f4"]), "{name}: f4");
        assert_eq!(output.ak.as_bytes()[..], octets(&case["f5"]), "{name}: f5");
        let autn = Autn::from_parts(output.ak.conceal(sqn), amf, &mac_a);
        assert_eq!(autn.as_bytes()[..], octets(&case["autn"]), "{name}: AUTN");
    }
    let case = &cases[1];
    let xor = Xor::new(&K::new(fixed(&case["k"])));
    let rand = Rand::new(fixed(&case["rand"]));
    let mac_s = xor.f1_star(
        &rand,
        Sqn::from_bytes(fixed(&case["sqn"])),
        Amf::new(fixed(&case["amf"])),
    );
    assert_eq!(mac_s.as_bytes()[..], octets(&case["f1star"]), "f1*");
    assert_eq!(
        xor.f5_star(&rand).as_bytes()[..],
        octets(&case["f5star"]),
        "f5*"
    );
}

#[test]
fn the_key_schedule_computes_the_cases_of_rfc_9048() {
    let cases = cases("eap_aka_prime_rfc9048.json");
    assert_eq!(cases.len(), 4);
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let (ck, ik) = (Ck::new(fixed(&case["ck"])), Ik::new(fixed(&case["ik"])));
        let network_name =
            NetworkName::new(case["network_name"].as_str().unwrap().as_bytes()).unwrap();
        let autn = Autn::new(fixed(&case["autn"]));
        let (ck_prime, ik_prime) = ck_ik_prime(&ck, &ik, network_name, autn.sqn_xor_ak());
        assert_eq!(
            ck_prime.as_bytes()[..],
            octets(&case["ck_prime"]),
            "{name}: CK'"
        );
        assert_eq!(
            ik_prime.as_bytes()[..],
            octets(&case["ik_prime"]),
            "{name}: IK'"
        );

        let identity = case["identity"].as_str().unwrap().as_bytes();
        let keys = AkaPrimeKeys::derive(&ck_prime, &ik_prime, identity);
        assert_eq!(
            keys.k_encr.as_bytes()[..],
            octets(&case["k_encr"]),
            "{name}: K_encr"
        );
        assert_eq!(
            keys.k_aut.as_bytes()[..],
            octets(&case["k_aut"]),
            "{name}: K_aut"
        );
        assert_eq!(
            keys.k_re.as_bytes()[..],
            octets(&case["k_re"]),
            "{name}: K_re"
        );
        assert_eq!(keys.msk.as_bytes()[..], octets(&case["msk"]), "{name}: MSK");
        assert_eq!(
            emsk(&ck_prime, &ik_prime, identity).as_bytes()[..],
            octets(&case["emsk"]),
            "{name}: EMSK"
        );
    }
}

#[test]
fn a_network_name_has_1_to_1016_octets() {
    assert_eq!(NetworkName::new(b""), Err(BadNetworkName { length: 0 }));
    assert!(NetworkName::new(&[b'a'; 1016]).is_ok());
    let error = NetworkName::new(&[b'a'; 1017]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "network name: expected 1 to 1016 octets, got 1017"
    );
}

/// The value of an attribute, found by walking the attributes after the eight octets of the
/// EAP-AKA' head.
fn attribute(packet: &[u8], wanted: u8) -> Option<std::ops::Range<usize>> {
    let mut at = 8;
    while at < packet.len() {
        let length = usize::from(packet[at + 1]) * 4;
        if packet[at] == wanted {
            return Some(at + 4..at + length);
        }
        at += length;
    }
    None
}

/// From K to the MSK, through the first authentication that hostapd and wpa_supplicant ran with
/// each other.
#[test]
fn the_full_authentication_recorded_from_hostapd_is_reproduced() {
    let case = &cases("transcripts_hostapd_2.10.json")[0];
    let events: Vec<(&str, &str)> = case["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e[0].as_str().unwrap(), e[1].as_str().unwrap()))
        .collect();
    let first_authentication = events.split(|(kind, _)| *kind == "eap").next().unwrap();
    let key = |name| hex::decode(events.iter().find(|(kind, _)| *kind == name).unwrap().1).unwrap();
    let packets: Vec<Vec<u8>> = first_authentication
        .iter()
        .filter(|(kind, _)| matches!(*kind, "req" | "rsp"))
        .map(|(_, packet)| hex::decode(packet).unwrap())
        .collect();
    let challenge = packets
        .iter()
        .find(|p| p[0] == 1 && p[4..6] == [50, 1])
        .unwrap();
    let identity = &packets[0][5..];

    let milenage = Milenage::new(&K::new(fixed(&case["k"])), &Opc::new(fixed(&case["opc"])));
    let rand = Rand::try_from(&challenge[attribute(challenge, 1).unwrap()]).unwrap();
    let autn = Autn::try_from(&challenge[attribute(challenge, 2).unwrap()]).unwrap();
    let output = milenage.f2345(&rand);
    let sqn = output.ak.reveal(autn.sqn_xor_ak());
    assert_eq!(milenage.f1(&rand, sqn, autn.amf()), autn.mac_a());
    assert_eq!(output.ck.as_bytes()[..], key("key:CK"));
    assert_eq!(output.ik.as_bytes()[..], key("key:IK"));

    let (ck_prime, ik_prime) = ck_ik_prime(
        &output.ck,
        &output.ik,
        NetworkName::new(b"WLAN").unwrap(),
        autn.sqn_xor_ak(),
    );
    assert_eq!(ck_prime.as_bytes()[..], key("key:CK'"));
    assert_eq!(ik_prime.as_bytes()[..], key("key:IK'"));
    let keys = AkaPrimeKeys::derive(&ck_prime, &ik_prime, identity);
    assert_eq!(keys.k_encr.as_bytes()[..], key("key:K_encr"));
    assert_eq!(keys.k_aut.as_bytes()[..], key("key:K_aut"));
    assert_eq!(keys.k_re.as_bytes()[..], key("key:K_re"));
    assert_eq!(keys.msk.as_bytes()[..], key("key:MSK"));
    let emsk = emsk(&ck_prime, &ik_prime, identity);
    assert_eq!(emsk.as_bytes()[..], key("key:EMSK"));

    let (k_aut, mut verified) = (MacKey::from(keys.k_aut), 0);
    for packet in packets.iter().filter(|p| p[4] == 50) {
        let Some(place) = attribute(packet, 11) else {
            continue;
        };
        let received: [u8; AT_MAC_LENGTH] = packet[place.clone()].try_into().unwrap();
        let mut zeroed = packet.clone();
        zeroed[place].fill(0);
        assert!(k_aut.verifies(&zeroed, &[], &received));
        verified += 1;
    }
    assert_eq!(verified, 4, "challenge and notification, both ways");
}

#[test]
fn a_changed_packet_or_mac_or_key_does_not_verify() {
    let key = |octet| MacKey::from(KAut::new([octet; 32]));
    let (k_aut, packet) = (key(0x11), [0x5a; 40]);
    let mac = k_aut.at_mac(&packet, &[]);
    assert!(k_aut.verifies(&packet, &[], &mac));
    assert!(!k_aut.verifies(&packet[..39], &[], &mac));
    assert!(!k_aut.verifies(&packet, &[1], &mac));
    assert!(!key(0x12).verifies(&packet, &[], &mac));
    let mut changed = mac;
    changed[15] ^= 1;
    assert!(!k_aut.verifies(&packet, &[], &changed));
}
