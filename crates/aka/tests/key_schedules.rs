//! The vectors of EAP-AKA, of fast re-authentication, of forward secrecy and of the keys of 5G.
#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::Value;
use softsim_aka::agreement::{BadPrivateKey, BadPublicKey, Group, PrivateKey};
use softsim_aka::eap::{
    AkaKeys, AkaPrimeKeys, MacKey, ReauthenticationKeys, decrypt, encrypt, forward_secret_emsk,
};
use softsim_aka::kdf::NetworkName;
use softsim_aka::{
    Ck, CkPrime, Emsk, Ik, IkPrime, Iv, KAkma, KAusf, KAut, KAut128, KEncr, KRe, Mk, NonceS, fiveg,
};
use softsim_testkit::vectors::{cases, fixed, octets};

fn text<'c>(case: &'c Value, field: &str) -> &'c [u8] {
    case[field].as_str().unwrap().as_bytes()
}

fn counter(case: &Value) -> u16 {
    case["counter"].as_u64().unwrap().try_into().unwrap()
}

#[test]
fn eap_aka_expands_mk_with_the_generator_of_fips_186_2() {
    let cases = cases("eap_aka_rfc4187_prf.json");
    assert_eq!(cases.len(), 3);
    let [full, expansion, _] = &cases[..] else {
        panic!()
    };
    let (ck, ik) = (Ck::new(fixed(&full["ck"])), Ik::new(fixed(&full["ik"])));
    for (case, keys) in [
        (full, AkaKeys::derive(&ck, &ik, text(full, "identity"))),
        (expansion, AkaKeys::expand(Mk::new(fixed(&expansion["mk"])))),
    ] {
        let name = case["name"].as_str().unwrap();
        let (mk, k_encr, k_aut) = (keys.mk, keys.k_encr, keys.k_aut);
        assert_eq!(mk.as_bytes()[..], octets(&case["mk"]), "{name}: MK");
        assert_eq!(k_encr.as_bytes()[..], octets(&case["k_encr"]), "{name}");
        assert_eq!(
            k_aut.as_bytes()[..],
            octets(&case["k_aut"]),
            "{name}: K_aut"
        );
        assert_eq!(keys.msk.as_bytes()[..], octets(&case["msk"]), "{name}: MSK");
        assert_eq!(keys.emsk.as_bytes()[..], octets(&case["emsk"]), "{name}");
    }
}

#[test]
fn a_fast_reauthentication_of_eap_aka_has_keys_of_its_own() {
    let case = &cases("eap_aka_rfc4187_prf.json")[2];
    let (mk, nonce_s) = (
        Mk::new(fixed(&case["mk"])),
        NonceS::new(fixed(&case["nonce_s"])),
    );
    let keys = ReauthenticationKeys::aka(&mk, text(case, "identity"), counter(case), &nonce_s);
    assert_eq!(keys.msk.as_bytes()[..], octets(&case["msk"]), "MSK");
    assert_eq!(keys.emsk.as_bytes()[..], octets(&case["emsk"]), "EMSK");
}

#[test]
fn a_fast_reauthentication_of_eap_aka_prime_has_keys_of_its_own() {
    let case = &cases("eap_aka_prime_reauth.json")[0];
    let (k_re, nonce_s) = (
        KRe::new(fixed(&case["k_re"])),
        NonceS::new(fixed(&case["nonce_s"])),
    );
    let keys =
        ReauthenticationKeys::aka_prime(&k_re, text(case, "identity"), counter(case), &nonce_s);
    assert_eq!(keys.msk.as_bytes()[..], octets(&case["msk"]), "MSK");
    assert_eq!(keys.emsk.as_bytes()[..], octets(&case["emsk"]), "EMSK");
}

#[test]
fn forward_secrecy_changes_what_leaves_the_method_and_nothing_else() {
    let cases = cases("eap_aka_prime_fs_rfc9678.json");
    assert_eq!(cases.len(), 2);
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let number = case["at_kdf_fs"].as_u64().unwrap().try_into().unwrap();
        let group = Group::from_number(number).unwrap();
        let key = |field| PrivateKey::from_octets(group, &fixed(&case[field])).unwrap();
        let (server, peer) = (key("server_priv"), key("peer_priv"));
        let (server_public, peer_public) = (server.public_key(), peer.public_key());
        assert_eq!(server_public.as_bytes(), octets(&case["server_pub"]));
        assert_eq!(peer_public.as_bytes(), octets(&case["peer_pub"]), "{name}");

        let secret = peer.agree(server_public.as_bytes()).unwrap();
        assert_eq!(secret, server.agree(peer_public.as_bytes()).unwrap());
        assert_eq!(secret.as_bytes()[..], octets(&case["shared_secret"]));

        let ck_prime = CkPrime::new(fixed(&case["ck_prime"]));
        let ik_prime = IkPrime::new(fixed(&case["ik_prime"]));
        let identity = text(case, "identity");
        let keys = AkaPrimeKeys::derive_forward_secret(&ck_prime, &ik_prime, &secret, identity);
        let emsk = forward_secret_emsk(&ck_prime, &ik_prime, &secret, identity);
        let (k_encr, k_aut, k_re) = (keys.k_encr, keys.k_aut, keys.k_re);
        assert_eq!(k_encr.as_bytes()[..], octets(&case["k_encr"]), "{name}");
        assert_eq!(
            k_aut.as_bytes()[..],
            octets(&case["k_aut"]),
            "{name}: K_aut"
        );
        assert_eq!(k_re.as_bytes()[..], octets(&case["k_re"]), "{name}: K_re");
        assert_eq!(keys.msk.as_bytes()[..], octets(&case["msk"]), "{name}: MSK");
        assert_eq!(emsk.as_bytes()[..], octets(&case["emsk"]), "{name}: EMSK");

        let plain = AkaPrimeKeys::derive(&ck_prime, &ik_prime, identity);
        assert_eq!((plain.k_encr, plain.k_aut), (k_encr, k_aut), "{name}");
        assert_ne!(plain.msk, keys.msk, "{name}");
    }
}

#[test]
fn a_public_key_of_small_order_or_none_at_all_gives_no_secret() {
    let x25519 = PrivateKey::from_octets(Group::X25519, &[7; 32]).unwrap();
    let one = core::array::from_fn::<u8, 32, _>(|at| u8::from(at == 0));
    let p = core::array::from_fn::<u8, 32, _>(|at| match at {
        0 => 0xed,
        31 => 0x7f,
        _ => 0xff,
    });
    for small_order in [[0; 32], one, p] {
        assert_eq!(
            x25519.agree(&small_order),
            Err(BadPublicKey::NotContributory),
            "{small_order:02x?}"
        );
    }
    let p256 = PrivateKey::from_octets(Group::P256, &[7; 32]).unwrap();
    let mut outside = [0xff; 33];
    outside[0] = 2;
    for no_point in [outside, [0; 33], [4; 33]] {
        assert_eq!(p256.agree(&no_point), Err(BadPublicKey::NotAPoint));
    }
    // SEC 1's compact form of a valid point.
    let mut compact = p256.public_key().as_bytes().to_vec();
    compact[0] = 5;
    assert_eq!(p256.agree(&compact), Err(BadPublicKey::NotAPoint));
    for (key, length) in [
        (&x25519, 33),
        (&x25519, 0),
        (&p256, 65),
        (&p256, 32),
        (&p256, 1),
    ] {
        let expected = BadPublicKey::Length {
            group: key.group(),
            found: length,
        };
        assert_eq!(key.agree(&[0; 65][..length]), Err(expected));
    }
}

#[test]
fn zero_and_what_is_not_below_the_order_of_p_256_are_no_private_keys() {
    for octets in [[0; 32], [0xff; 32]] {
        let refused = PrivateKey::from_octets(Group::P256, &octets);
        assert_eq!(refused.unwrap_err(), BadPrivateKey);
    }
}

#[test]
fn the_keys_of_5g_are_those_of_ts_33_501_and_ts_33_535() {
    let cases = cases("fiveg_kdf.json");
    let k_seaf = |case: &Value| {
        let name = NetworkName::new(text(case, "ssn")).unwrap();
        fiveg::k_seaf(&KAusf::new(fixed(&case["k_ausf"])), name)
    };
    let published = &cases[2];
    assert_eq!(
        k_seaf(published).as_bytes()[..],
        octets(&published["expected"])
    );

    let case = &cases[5];
    let k_ausf = fiveg::k_ausf(&Emsk::new(fixed(&case["emsk"])));
    assert_eq!(k_ausf.as_bytes()[..], octets(&case["k_ausf"]));
    assert_eq!(k_seaf(case).as_bytes()[..], octets(&case["k_seaf"]));
    let supi = text(case, "supi");
    let k_akma = fiveg::k_akma(&k_ausf, supi);
    assert_eq!(k_akma.as_bytes()[..], octets(&case["k_akma"]));
    assert_eq!(
        fiveg::a_tid(&k_ausf, supi).as_bytes()[..],
        octets(&case["a_tid"])
    );
    let k_af = fiveg::k_af(&KAkma::new(*k_akma.as_bytes()), &octets(&case["af_id_hex"]));
    assert_eq!(k_af.as_bytes()[..], octets(&case["k_af"]));
}

/// A recording of conversations, which this test parses itself.
struct Recording {
    events: Vec<(String, Vec<u8>)>,
}

impl Recording {
    fn of(case: &Value) -> Self {
        let events = case["events"].as_array().unwrap().iter();
        let octets = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap_or_default();
        Self {
            events: events
                .map(|event| (event[0].as_str().unwrap().to_owned(), octets(&event[1])))
                .collect(),
        }
    }

    /// Every value of a field of the recording, in order.
    fn keys(&self, name: &str) -> Vec<&[u8]> {
        let events = self.events.iter();
        let found = events.filter(|(kind, _)| kind.strip_prefix("key:") == Some(name));
        found.map(|(_, octets)| octets.as_slice()).collect()
    }

    fn first<const N: usize>(&self, name: &str) -> [u8; N] {
        self.keys(name)[0].try_into().unwrap()
    }

    /// The fast re-authentications: identity, request and response.
    fn reauthentications(&self) -> Vec<(&[u8], &[u8], &[u8])> {
        const REAUTHENTICATION: u8 = 13;
        let packets = self.events.iter();
        let packets: Vec<&[u8]> = packets
            .filter(|(kind, _)| matches!(kind.as_str(), "req" | "rsp"))
            .map(|(_, packet)| packet.as_slice())
            .collect();
        let triples = packets.windows(3);
        triples
            .filter(|triple| triple[1][0] == 1 && triple[1][5] == REAUTHENTICATION)
            .map(|triple| (&triple[0][5..], triple[1], triple[2]))
            .collect()
    }
}

/// Where the value of an attribute is, after type, length and two octets that may be reserved.
fn place(attributes: &[u8], wanted: u8) -> Option<std::ops::Range<usize>> {
    let mut at = 0;
    while at < attributes.len() {
        let length = usize::from(attributes[at + 1]) * 4;
        if attributes[at] == wanted {
            return Some(at + 4..at + length);
        }
        at += length;
    }
    None
}

const AT_COUNTER: u8 = 19;
const AT_NONCE_S: u8 = 21;
const AT_MAC: u8 = 11;
const AT_IV: u8 = 129;
const AT_ENCR_DATA: u8 = 130;

/// The attributes inside AT_ENCR_DATA of a packet.
fn decrypted(packet: &[u8], k_encr: &KEncr) -> Vec<u8> {
    let attributes = &packet[8..];
    let iv = Iv::try_from(&attributes[place(attributes, AT_IV).unwrap()]).unwrap();
    let mut data = attributes[place(attributes, AT_ENCR_DATA).unwrap()].to_vec();
    let wire = data.clone();
    decrypt(k_encr, &iv, &mut data).unwrap();
    let mut back = data.clone();
    encrypt(k_encr, &iv, &mut back).unwrap();
    assert_eq!(back, wire, "encrypting gives back what was on the wire");
    data
}

/// AT_COUNTER, whose value is where other attributes have reserved octets.
fn counter_in(attributes: &[u8]) -> u16 {
    let value = place(attributes, AT_COUNTER).unwrap();
    u16::from_be_bytes([attributes[value.start - 2], attributes[value.start - 1]])
}

fn verifies(key: &MacKey, packet: &[u8], nonce_s: &[u8]) -> bool {
    let mac = place(&packet[8..], AT_MAC).unwrap();
    let (mut zeroed, mac) = (packet.to_vec(), mac.start + 8..mac.end + 8);
    let received = packet[mac.clone()].try_into().unwrap();
    zeroed[mac].fill(0);
    key.verifies(&zeroed, nonce_s, &received)
}

/// Decrypts and verifies every re-authentication, computes its keys, and returns how many there
/// were.
fn reproduce(
    recording: &Recording,
    msk: &str,
    k_aut: &MacKey,
    keys: impl Fn(&[u8], u16, &NonceS) -> ReauthenticationKeys,
) -> usize {
    let k_encr = KEncr::new(recording.first("K_encr"));
    let reauthentications = recording.reauthentications();
    for (round, (identity, request, response)) in reauthentications.iter().enumerate() {
        let inside = decrypted(request, &k_encr);
        let nonce_s = NonceS::try_from(&inside[place(&inside, AT_NONCE_S).unwrap()]).unwrap();
        let counter = counter_in(&inside);
        assert_eq!(counter_in(&decrypted(response, &k_encr)), counter);
        assert!(verifies(k_aut, request, &[]));
        assert!(verifies(k_aut, response, nonce_s.as_bytes()));
        assert!(!verifies(k_aut, response, &[]), "NONCE_S is covered");

        // The first keys are those of the full authentication.
        let keys = keys(identity, counter, &nonce_s);
        assert_eq!(keys.msk.as_bytes()[..], *recording.keys(msk)[round + 1]);
        assert_eq!(keys.emsk.as_bytes()[..], *recording.keys("EMSK")[round + 1]);
    }
    reauthentications.len()
}

/// Every fast re-authentication that hostapd and wpa_supplicant ran with each other.
#[test]
fn the_fast_reauthentications_recorded_from_hostapd_are_reproduced() {
    let recorded = cases("transcripts_hostapd_2.10.json");
    let [prime, aka] = [0, 1].map(|case: usize| Recording::of(&recorded[case]));

    let k_aut = MacKey::from(KAut::new(prime.first("K_aut")));
    let k_re = KRe::new(prime.first("K_re"));
    let count = reproduce(&prime, "MSK", &k_aut, |identity, counter, nonce_s| {
        ReauthenticationKeys::aka_prime(&k_re, identity, counter, nonce_s)
    });
    assert_eq!(count, 2);

    let k_aut = MacKey::from(KAut128::new(aka.first("K_aut")));
    let mk = Mk::new(aka.first("MK"));
    let msk = "keying material (MSK)";
    let count = reproduce(&aka, msk, &k_aut, |identity, counter, nonce_s| {
        ReauthenticationKeys::aka(&mk, identity, counter, nonce_s)
    });
    assert_eq!(count, 1);
}

/// From CK and IK to EMSK, through the full authentication of EAP-AKA that was recorded.
#[test]
fn the_full_authentication_of_eap_aka_recorded_from_hostapd_is_reproduced() {
    let recording = Recording::of(&cases("transcripts_hostapd_2.10.json")[1]);
    let (_, identity) = &recording.events[0];
    let (ck, ik) = (
        Ck::new(recording.first("CK")),
        Ik::new(recording.first("IK")),
    );
    let keys = AkaKeys::derive(&ck, &ik, &identity[5..]);
    assert_eq!(*keys.mk.as_bytes(), recording.first("MK"));
    assert_eq!(*keys.k_encr.as_bytes(), recording.first("K_encr"));
    assert_eq!(*keys.k_aut.as_bytes(), recording.first("K_aut"));
    assert_eq!(
        *keys.msk.as_bytes(),
        recording.first("keying material (MSK)")
    );
    assert_eq!(*keys.emsk.as_bytes(), recording.first("EMSK"));
}
