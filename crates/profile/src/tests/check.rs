//! The rules for profiles, and the findings for profiles that violate them.

use softsim_aka::{Topc, TuakKey};

use super::*;
use crate::{Finding, Severity, check, tuak_parameters};

/// A profile without findings.
fn sound() -> Profile {
    Profile {
        iccid: Iccid::new("8988211000000000011").unwrap(),
        ..plain_profile()
    }
}

/// Severity and text of each finding.
fn findings(profile: &Profile) -> Vec<(Severity, String)> {
    check(profile)
        .into_iter()
        .map(|Finding { severity, error }| (severity, error.to_string()))
        .collect()
}

fn milenage(k: [u8; 16], opc: [u8; 16]) -> Credentials {
    Credentials::Milenage {
        k: K::new(k),
        opc: Opc::new(opc),
    }
}

#[test]
fn a_sound_profile_has_no_finding() {
    assert_eq!(findings(&sound()), []);
}

#[test]
fn xor_is_for_laboratories() {
    let profile = Profile {
        credentials: Credentials::Xor { k: K::new([7; 16]) },
        ..sound()
    };
    let expected = "algorithm: expected one that protects K, got xor".to_owned();
    assert_eq!(findings(&profile), [(Severity::Laboratory, expected)]);
}

#[test]
fn keys_that_everybody_knows_are_for_laboratories() {
    let lab = |text: &str| (Severity::Laboratory, text.to_owned());
    let zero_k = lab("k: expected random octets, got zeros only");
    let zero_opc = lab("opc: expected random octets, got zeros only");
    let equal = lab("opc: expected another value than k's, got k's");
    for (k, opc, expected) in [
        ([0; 16], [7; 16], vec![zero_k.clone()]),
        ([7; 16], [0; 16], vec![zero_opc.clone()]),
        ([7; 16], [7; 16], vec![equal.clone()]),
        ([0; 16], [0; 16], vec![zero_k.clone(), zero_opc, equal]),
    ] {
        let profile = Profile {
            credentials: milenage(k, opc),
            ..sound()
        };
        assert_eq!(findings(&profile), expected);
    }
    let tuak = |k, topc| Profile {
        credentials: Credentials::Tuak {
            k: TuakKey::K256(softsim_aka::K256::new(k)),
            topc: Topc::new(topc),
            parameters: tuak_parameters(64, 1).unwrap(),
        },
        ..sound()
    };
    assert_eq!(
        findings(&tuak([7; 32], [7; 32])),
        [lab("topc: expected another value than k's, got k's")]
    );
    assert_eq!(
        findings(&tuak([7; 32], [0; 32])),
        [lab("topc: expected random octets, got zeros only")]
    );
}

#[test]
fn a_floor_leaves_2_to_the_40_seqs() {
    for ind_bits in [0, 5] {
        let with_floor = |floor| Profile {
            sqn: SqnScheme::new(
                Sqn::new(floor).unwrap(),
                SqnParameters {
                    ind_bits,
                    ..SqnParameters::default()
                },
            )
            .unwrap(),
            ..sound()
        };
        let highest = Sqn::MAX.value() - ((1 << 40) << ind_bits);
        assert_eq!(findings(&with_floor(highest)), []);
        let one_more = highest + (1 << ind_bits);
        let expected =
            "sqn: expected a floor above which 2^40 values of SEQ are left, got one that leaves";
        for (floor, left) in [(one_more, (1u64 << 40) - 1), (Sqn::MAX.value(), 0)] {
            assert_eq!(
                findings(&with_floor(floor)),
                [(Severity::Useless, format!("{expected} {left}"))]
            );
        }
    }
}

#[test]
fn a_home_network_key_of_small_order_conceals_nothing() {
    let with_key = |octets: [u8; 32]| Profile {
        home_network_keys: HomeNetworkKeys::new(&[HomeNetworkKey::new(1, 1, &octets).unwrap()])
            .unwrap(),
        ..sound()
    };
    let one = core::array::from_fn(|place| u8::from(place == 0));
    for octets in [[0; 32], one] {
        assert_eq!(
            findings(&with_key(octets)),
            [(
                Severity::Useless,
                "home_network_keys: expected keys that a SUCI can be encrypted to, got a point of small order"
                    .to_owned()
            )]
        );
    }
    assert_eq!(findings(&with_key([0x5a; 32])), []);
}

#[test]
fn an_iccid_ends_with_its_luhn_digit() {
    let with = |iccid: &str| Profile {
        iccid: Iccid::new(iccid).unwrap(),
        ..sound()
    };
    // The example of ISO/IEC 7812-1 and two ICCIDs.
    assert_eq!(Iccid::check_digit("7992739871"), 3);
    for right in ["8988211000000000011", "8944500102198304826"] {
        assert_eq!(findings(&with(right)), [], "{right}");
    }
    assert_eq!(
        findings(&with("8988211000000000012")),
        [(
            Severity::Laboratory,
            "iccid: expected a Luhn digit at the end (ITU-T E.118), got 2 in place of 1".to_owned()
        )]
    );
    let twenty = findings(&with("89882110000001234567"));
    assert_eq!(twenty.len(), 1);
    assert_eq!(twenty[0].0, Severity::Warning, "E.118 ends at 19 digits");
}

#[test]
fn an_imsi_has_15_digits_and_its_countrys_length_of_the_mnc() {
    let with = |digits: &str, mnc_length| Profile {
        imsi: imsi(digits, mnc_length).unwrap(),
        ..sound()
    };
    let lab = |text: &str| [(Severity::Laboratory, text.to_owned())];
    assert_eq!(
        findings(&with("00101000000001", 2)),
        lab("imsi: expected 15 digits, got 14")
    );
    for (mcc, two, three) in [
        ("262", true, false),
        ("310", false, true),
        ("302", false, true),
        ("334", false, true),
        ("405", true, true),
        ("001", true, true),
        ("999", true, true),
    ] {
        let imsi = format!("{mcc}010000000001");
        for (length, fits) in [(2, two), (3, three)] {
            let found = findings(&with(&imsi, length));
            if fits {
                assert_eq!(found, [], "{mcc} {length}");
                continue;
            }
            let other = 5 - length;
            let text =
                format!("mnc_length: expected {other} with this MCC (ITU-T E.212), got {length}");
            assert_eq!(found, lab(&text), "{mcc}");
        }
    }
}

#[test]
fn an_amf_without_the_separation_bit_is_only_told() {
    let profile = Profile {
        amf: Amf::new([0, 0]),
        ..sound()
    };
    let found = findings(&profile);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, Severity::Warning);
    assert!(
        found[0]
            .1
            .starts_with("amf: expected the separation bit to be 1")
    );
}
