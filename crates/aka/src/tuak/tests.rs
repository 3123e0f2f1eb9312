//! The test sets of TS 35.232 and TS 35.233, with every length of TUAK's parameters.
#![allow(clippy::unwrap_used, clippy::panic)]
extern crate std;

use std::vec::Vec;

use serde_json::Value;
use softsim_testkit::vectors::{cases, fixed, octets};

use super::*;

/// INSTANCE\[5\] and INSTANCE\[6\]: CK and IK have 256 bits. No USIM has such keys, so only the
/// sets ask for them.
const LONG_CK: u8 = 0x04;
const LONG_IK: u8 = 0x02;

fn number(case: &Value, field: &str) -> usize {
    case[field].as_u64().unwrap() as usize
}

fn key(case: &Value) -> TuakKey {
    match octets(&case["k"]).len() {
        16 => TuakKey::K(K::new(fixed(&case["k"]))),
        32 => TuakKey::K256(K256::new(fixed(&case["k"]))),
        other => panic!("a K of {other} octets"),
    }
}

/// Takes a field of `length` octets from lanes.
fn gathered(lanes: &[u64], length: usize) -> Vec<u8> {
    let all: Zeroizing<[u8; 32]> = field(lanes);
    all[32 - length..].to_vec()
}

fn mac(tuak: &Tuak, function: u8, case: &Value) -> Vec<u8> {
    let rand = Rand::new(fixed(&case["rand"]));
    let sqn = Sqn::from_bytes(fixed(&case["sqn"]));
    let amf = Amf::new(fixed(&case["amf"]));
    match number(case, "mac_len") {
        8 => tuak.mac::<8>(function, &rand, sqn, amf).to_vec(),
        16 => tuak.mac::<16>(function, &rand, sqn, amf).to_vec(),
        32 => tuak.mac::<32>(function, &rand, sqn, amf).to_vec(),
        other => panic!("a MAC of {other} octets"),
    }
}

#[test]
fn tuak_computes_the_test_sets_of_ts_35_233() {
    let cases = cases("tuak_ts35233.json");
    assert_eq!(cases.len(), 6);
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let iterations = number(case, "keccak_iterations") as u8;
        let parameters = TuakParameters {
            iterations: NonZeroU8::new(iterations).unwrap(),
            ..TuakParameters::default()
        };
        let k = key(case);
        let topc = Tuak::topc(&k, &Top::new(fixed(&case["top"])), parameters.iterations);
        assert_eq!(topc.as_bytes()[..], octets(&case["topc"]), "{name}: TOPc");

        let tuak = Tuak::new(&k, &topc, parameters);
        assert_eq!(mac(&tuak, F1, case), octets(&case["f1"]), "{name}: f1");
        assert_eq!(
            mac(&tuak, F1_STAR, case),
            octets(&case["f1star"]),
            "{name}: f1*"
        );

        let (res, ck, ik) = (
            number(case, "res_len"),
            number(case, "ck_len"),
            number(case, "ik_len"),
        );
        let mut instance = F2345 | length(res);
        instance |= if ck == 32 { LONG_CK } else { 0 };
        instance |= if ik == 32 { LONG_IK } else { 0 };
        let rand = Rand::new(fixed(&case["rand"]));
        let out = tuak.out(instance, &rand, 0);
        assert_eq!(gathered(&out[..4], res), octets(&case["f2"]), "{name}: f2");
        assert_eq!(gathered(&out[4..8], ck), octets(&case["f3"]), "{name}: f3");
        assert_eq!(gathered(&out[8..12], ik), octets(&case["f4"]), "{name}: f4");
        assert_eq!(gathered(&out[12..13], 6), octets(&case["f5"]), "{name}: f5");
        assert_eq!(
            tuak.f5_star(&rand).as_bytes()[..],
            octets(&case["f5star"]),
            "{name}: f5*"
        );
    }
}

/// Sets 1, 2 and 4 have the CK and IK of a USIM and a RES that it may have; set 1 also has its MAC.
#[test]
fn a_usim_computes_what_fits_it_of_the_sets() {
    let (mut keys, mut macs) = (0, 0);
    for case in &cases("tuak_ts35233.json") {
        let name = case["name"].as_str().unwrap();
        let Some(res) = ResLength::from_bits(8 * number(case, "res_len") as u64) else {
            continue;
        };
        let iterations = NonZeroU8::new(number(case, "keccak_iterations") as u8).unwrap();
        let topc = Topc::new(fixed(&case["topc"]));
        let tuak = Tuak::new(&key(case), &topc, TuakParameters { res, iterations });
        let rand = Rand::new(fixed(&case["rand"]));
        if number(case, "ck_len") + number(case, "ik_len") == 32 {
            let output = tuak.f2345(&rand);
            assert_eq!(output.res.as_bytes(), octets(&case["f2"]), "{name}: f2");
            assert_eq!(output.ck.as_bytes()[..], octets(&case["f3"]), "{name}: f3");
            assert_eq!(output.ik.as_bytes()[..], octets(&case["f4"]), "{name}: f4");
            assert_eq!(output.ak.as_bytes()[..], octets(&case["f5"]), "{name}: f5");
            keys += 1;
        }
        if number(case, "mac_len") == Mac::LENGTH {
            let sqn = Sqn::from_bytes(fixed(&case["sqn"]));
            let amf = Amf::new(fixed(&case["amf"]));
            let mac_a = tuak.f1(&rand, sqn, amf);
            let mac_s = tuak.f1_star(&rand, sqn, amf);
            assert_eq!(mac_a.as_bytes()[..], octets(&case["f1"]), "{name}: f1");
            assert_eq!(mac_s.as_bytes()[..], octets(&case["f1star"]), "{name}: f1*");
            macs += 1;
        }
    }
    assert_eq!((keys, macs), (3, 1));
}

/// Lanes begin with their least significant octet (FIPS 202 §3.1.2).
#[test]
fn the_permutation_computes_the_sets_of_ts_35_232() {
    let cases = cases("keccak1600_ts35232.json");
    assert_eq!(cases.len(), 6);
    for case in &cases {
        let mut lanes = [0; 25];
        let input = octets(&case["input"]);
        for (lane, octets) in lanes.iter_mut().zip(input.chunks_exact(8)) {
            *lane = u64::from_le_bytes(octets.try_into().unwrap());
        }
        permute(&mut lanes, NonZeroU8::MIN);
        let output: Vec<u8> = lanes.iter().flat_map(|lane| lane.to_le_bytes()).collect();
        assert_eq!(output, octets(&case["output"]));
    }
}

#[test]
fn a_key_of_128_bits_is_not_one_of_256_that_ends_in_zeros() {
    let (mut long, short) = ([0; 32], [0x5a; 16]);
    long[16..].copy_from_slice(&short);
    let (long, short) = (TuakKey::K256(K256::new(long)), TuakKey::K(K::new(short)));
    assert_ne!(long, short);
    let topc = Topc::new([0x33; 32]);
    let [long, short] = [long, short].map(|k| Tuak::new(&k, &topc, TuakParameters::default()));
    let rand = Rand::new([1; 16]);
    assert_ne!(long.f2345(&rand).res, short.f2345(&rand).res);
}
