//! Every algorithm set, from the sealed package to RES. The one that protects nothing works only if
//! the settings allow it.

use std::rc::Rc;

use softsim_aka::{Credentials, K256, Topc, TuakKey};
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{AkaAnswer, AutnFault, PackageFault, Refusal, Role};
use softsim_profile::{Profile, tuak_parameters};
use softsim_testkit::device::*;
use softsim_testkit::home_network::*;
use softsim_testkit::requests::*;

fn tuak(k: TuakKey, res_bits: u64) -> Credentials {
    Credentials::Tuak {
        k,
        topc: Topc::new([0xbd; 32]),
        parameters: tuak_parameters(res_bits, 2).unwrap(),
    }
}

fn k() -> softsim_aka::K {
    softsim_aka::K::new(K)
}

fn tuak_128() -> Credentials {
    tuak(TuakKey::K(k()), 32)
}

fn tuak_256() -> Credentials {
    tuak(TuakKey::K256(K256::new([0x47; 32])), 128)
}

fn xor() -> Credentials {
    Credentials::Xor { k: k() }
}

fn with(credentials: Credentials) -> Profile {
    Profile {
        credentials,
        ..profile(ICCID)
    }
}

fn home(credentials: Credentials) -> HomeNetwork {
    HomeNetwork {
        credentials,
        ..HomeNetwork::default()
    }
}

/// An enrolled device that trusts an operator, with or without `--allow-test-profiles`.
fn enrolled(test_profiles: bool) -> (Device, Operator) {
    let (mut device, operator) = (Device::enrolled(), Operator::generate());
    device.trust(&operator);
    let directory = Rc::clone(&device.directory);
    drop(device);
    (Device::started(directory, test_profiles), operator)
}

fn authenticate(device: &mut Device, home: &HomeNetwork, sqn: u64) -> Result<AkaAnswer, Refusal> {
    let sent = home.challenge(sqn);
    let answer = device.ask(
        Role::Network,
        &AkaPrimeChallenge {
            iccid: None,
            identity: IDENTITY,
            packet: &sent.packet,
            forward_secrecy: None,
        },
    );
    device.keyd.flush().unwrap();
    if let Ok(AkaAnswer::Success { res, .. }) = &answer {
        assert_eq!(res.expose(), sent.res());
    }
    answer
}

#[test]
fn each_algorithm_set_authenticates_resynchronises_and_refuses_another_k() {
    let strangers = || {
        [
            milenage([9; 16], OPC),
            tuak(TuakKey::K256(K256::new([9; 32])), 64),
        ]
    };
    for (make, res) in [
        (tuak_128 as fn() -> Credentials, 4),
        (tuak_256, 16),
        (|| milenage(K, OPC), 8),
        (xor, 16),
    ] {
        let (mut device, operator) = enrolled(true);
        let package = operator.seal(&mut device, with(make()), 1);
        device.install(&package, [1; 16]).unwrap();
        let home = home(make());

        let answer = authenticate(&mut device, &home, 7 * 32);
        let Ok(AkaAnswer::Success { res: got, .. }) = answer else {
            panic!("expected Success, got {answer:?}");
        };
        assert_eq!(got.expose().len(), res);

        // keyd authenticates with the stored profile after a restart, too.
        let directory = Rc::clone(&device.directory);
        drop(device);
        let mut device = Device::started(directory, true);
        let answer = authenticate(&mut device, &home, 7 * 32);
        let Ok(AkaAnswer::SynchronisationFailure { auts }) = answer else {
            panic!("expected AUTS, got {answer:?}");
        };
        assert_eq!(home.resynchronise(auts), Some(7 * 32));
        for stranger in strangers() {
            let refusal = authenticate(&mut device, &self::home(stranger), 8 * 32).unwrap_err();
            assert_eq!(refusal, Refusal::Autn(AutnFault::Mac));
        }
        let answer = authenticate(&mut device, &home, 8 * 32);
        assert!(matches!(answer, Ok(AkaAnswer::Success { .. })));
    }
}

#[test]
fn the_algorithm_is_listed_by_its_name() {
    for (credentials, name) in [(tuak_256(), "tuak"), (xor(), "xor")] {
        let (mut device, operator) = enrolled(true);
        let package = operator.seal(&mut device, with(credentials), 1);
        device.install(&package, [1; 16]).unwrap();
        let status = device.ask(Role::Admin, &Status {}).unwrap();
        assert!(status.enforcement.test_profiles);
        assert_eq!(status.profile.unwrap().algorithm, name);
    }
}

#[test]
fn a_key_of_256_bits_cannot_be_installed_twice_and_its_autn_stays_used() {
    let (mut device, operator) = enrolled(false);
    let package = operator.seal(&mut device, with(tuak_256()), 1);
    device.install(&package, [1; 16]).unwrap();
    let home = home(tuak_256());
    authenticate(&mut device, &home, 5 * 32).unwrap();

    let twin = Profile {
        credentials: tuak_256(),
        ..other_profile("8988211000000000029")
    };
    let package = operator.seal(&mut device, twin, 2);
    let refusal = device.install(&package, [2; 16]).unwrap_err();
    assert!(matches!(
        refusal,
        Refusal::Package(PackageFault::Field { name, .. }) if name == "k"
    ));

    let iccid = ICCID;
    device.ask(Role::Admin, &Disable { iccid }).unwrap();
    device.ask(Role::Admin, &Delete { iccid }).unwrap();
    let package = operator.seal(&mut device, with(tuak_256()), 2);
    device.install(&package, [3; 16]).unwrap();
    let answer = authenticate(&mut device, &home, 5 * 32).unwrap();
    assert!(matches!(answer, AkaAnswer::SynchronisationFailure { .. }));
}

#[test]
fn a_k_that_comes_back_with_another_algorithm_set_keeps_its_used_numbers() {
    let (mut device, operator) = enrolled(false);
    let package = operator.seal(&mut device, profile(ICCID), 1);
    device.install(&package, [1; 16]).unwrap();
    authenticate(&mut device, &HomeNetwork::default(), 5 * 32).unwrap();
    let package = operator.seal(&mut device, with(tuak_128()), 2);
    device.install(&package, [2; 16]).unwrap();
    let answer = authenticate(&mut device, &home(tuak_128()), 5 * 32).unwrap();
    assert!(matches!(answer, AkaAnswer::SynchronisationFailure { .. }));
}

#[test]
fn the_test_algorithm_is_refused_unless_keyd_was_told_to_take_it() {
    let (mut device, operator) = enrolled(false);
    let package = operator.seal(&mut device, with(xor()), 1);
    let refusal = device.install(&package, [1; 16]).unwrap_err();
    assert_eq!(refusal, Refusal::TestAlgorithm);
    assert!(
        !device
            .ask(Role::Admin, &Status {})
            .unwrap()
            .enforcement
            .test_profiles
    );
}

#[test]
fn a_test_profile_of_another_start_answers_nothing() {
    let (mut device, operator) = enrolled(true);
    let package = operator.seal(&mut device, with(xor()), 1);
    device.install(&package, [1; 16]).unwrap();
    let mut device = device.restarted();
    let refusal = authenticate(&mut device, &home(xor()), 32).unwrap_err();
    assert_eq!(refusal, Refusal::TestAlgorithm);
    let refusal = device.ask(Role::Network, &permanent(None)).unwrap_err();
    assert_eq!(refusal, Refusal::TestAlgorithm);
    let iccid = ICCID;
    device.ask(Role::Admin, &Disable { iccid }).unwrap();
    device.ask(Role::Admin, &Delete { iccid }).unwrap();
}

#[test]
fn a_profile_that_only_a_laboratory_may_have_is_refused_whoever_signed_it() {
    let zero_k = || profile_of(ICCID, IMSI, [0; 16], OPC, 0);
    let field = |refused| match refused {
        Err(Refusal::Package(PackageFault::Field { name, .. })) => name,
        other => panic!("{other:?}"),
    };
    let (mut device, operator) = enrolled(false);
    for (profile, expected) in [
        (zero_k(), "k"),
        (profile_of(ICCID, IMSI, K, K, 0), "opc"),
        (profile_of("8988211000000000012", IMSI, K, OPC, 0), "iccid"),
        (profile_of(ICCID, "00101000000001", K, OPC, 0), "imsi"),
        (
            profile_of(ICCID, "310260000000001", K, OPC, 0),
            "mnc_length",
        ),
    ] {
        let package = operator.seal(&mut device, profile, 1);
        assert_eq!(field(device.install(&package, [1; 16])), expected);
    }
    let (mut device, operator) = enrolled(true);
    let package = operator.seal(&mut device, zero_k(), 1);
    device.install(&package, [1; 16]).unwrap();
}

#[test]
fn a_floor_that_leaves_no_seq_is_refused_even_in_a_laboratory() {
    let (mut device, operator) = enrolled(true);
    let dead = profile_of(ICCID, IMSI, K, OPC, (1 << 48) - 1);
    let package = operator.seal(&mut device, dead, 1);
    let refused = device.install(&package, [1; 16]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "sealed package: sqn: expected a floor above which 2^40 values of SEQ are left, got one that leaves 0"
    );
    let usable = profile_of(ICCID, IMSI, K, OPC, (1 << 47) - 1);
    let package = operator.seal(&mut device, usable, 1);
    device.install(&package, [2; 16]).unwrap();
}
