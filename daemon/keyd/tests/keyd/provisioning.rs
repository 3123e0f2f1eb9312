//! Profiles are installed and changed in transactions, which are complete and durable and never
//! rewind an SQN.

use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    AkaAnswer, PackageFault, ProfileState, Refusal, RequestKind, Role, Room, Staged, StatusAnswer,
    TransactionFault,
};
use softsim_profile::{IssuerKey, Profile, Validity, imsi};
use softsim_testkit::device::*;
use softsim_testkit::home_network::*;

const SECOND: &str = "8988211000000000029";

fn status(device: &mut Device) -> StatusAnswer {
    device.ask(Role::Network, &Status {}).unwrap()
}

fn profiles(device: &mut Device) -> Vec<(String, ProfileState)> {
    let list = device
        .ask(Role::Admin, &ListProfiles { from: 0 })
        .unwrap()
        .profiles;
    list.into_iter()
        .map(|profile| (profile.iccid, profile.state))
        .collect()
}

fn stage(device: &mut Device, package: &[u8]) -> Result<Option<Staged>, Refusal> {
    let (txid, package) = ([9; 16], Some(package));
    let staged = device.ask(Role::Network, &Stage { txid, package })?;
    Ok(staged.staged)
}

/// Installs a profile as netd does, in a transaction whose identifier keyd stores.
fn bootstrap(device: &mut Device, package: &[u8], txid: [u8; 16]) -> Result<(), Refusal> {
    let package = Some(package);
    device.ask(Role::Network, &Stage { txid, package })?;
    device.ask(Role::Network, &Commit::new(txid))
}

fn authenticates(device: &mut Device, sqn: u64) -> bool {
    let sent = HomeNetwork::default().challenge(sqn);
    let request = AkaPrimeChallenge {
        iccid: None,
        identity: IDENTITY,
        packet: &sent.packet,
        forward_secrecy: None,
    };
    let answer = device.ask(Role::Network, &request).unwrap();
    device.keyd.flush().unwrap();
    matches!(answer, AkaAnswer::Success { .. })
}

#[test]
fn a_staged_profile_is_not_there_before_its_commit() {
    let mut device = Device::enrolled();
    let operator = Operator::generate();
    device.trust(&operator);
    let package = operator.seal(&mut device, profile(ICCID), 1);
    let staged = Staged::Installed {
        iccid: ICCID.to_owned(),
    };
    assert_eq!(stage(&mut device, &package), Ok(Some(staged)));
    assert_eq!(profiles(&mut device), []);

    let txid = [9; 16];
    device.ask(Role::Network, &Commit::new(txid)).unwrap();
    let enabled = [(ICCID.to_owned(), ProfileState::Enabled)];
    assert_eq!(
        profiles(&mut device),
        enabled,
        "the first one comes into use"
    );
    device.ask(Role::Network, &Commit::new(txid)).unwrap();

    let mut device = device.restarted();
    assert_eq!(profiles(&mut device), enabled);
    assert_eq!(status(&mut device).committed, Some(txid));
    device.ask(Role::Network, &Commit::new(txid)).unwrap();
}

#[test]
fn commit_and_abort_name_the_staged_transaction_of_their_role() {
    let mut device = Device::enrolled();
    let (txid, other) = ([1; 16], [2; 16]);
    let nothing = Refusal::Transaction(TransactionFault::NothingStaged);
    let mismatch = Refusal::Transaction(TransactionFault::Other {
        expected: txid,
        got: other,
    });
    assert_eq!(
        device.ask(Role::Network, &Commit::new(txid)),
        Err(nothing.clone())
    );
    assert_eq!(
        device.ask(Role::Network, &Abort { txid }),
        Err(nothing.clone())
    );

    let package = None;
    device.ask(Role::Network, &Stage { txid, package }).unwrap();
    let refused = device.ask(Role::Network, &Commit::new(other));
    assert_eq!(refused, Err(mismatch.clone()));
    assert_eq!(
        device.ask(Role::Network, &Abort { txid: other }),
        Err(mismatch)
    );
    assert_eq!(
        device.ask(Role::Admin, &Commit::new(txid)),
        Err(nothing.clone())
    );
    device.ask(Role::Network, &Abort { txid }).unwrap();
    assert_eq!(device.ask(Role::Network, &Commit::new(txid)), Err(nothing));
    assert_eq!(status(&mut device).committed, None);

    device.ask(Role::Network, &Stage { txid, package }).unwrap();
    device.ask(Role::Network, &Commit::new(txid)).unwrap();
    assert_eq!(
        status(&mut device).committed,
        Some(txid),
        "without a profile too"
    );
}

#[test]
fn netd_finds_its_transaction_whatever_an_administrator_committed_since() {
    let (mut device, operator) = Device::provisioned();
    let package = operator.seal(&mut device, profile(ICCID), 2);
    let (netds, admins) = ([7; 16], [8; 16]);
    bootstrap(&mut device, &package, netds).unwrap();
    let package = operator.seal(&mut device, other_profile(SECOND), 3);
    device.install(&package, admins).unwrap();
    assert_eq!(status(&mut device).committed, Some(netds));

    let nothing = Err(Refusal::Transaction(TransactionFault::NothingStaged));
    for (role, own, others) in [(Role::Network, netds, admins), (Role::Admin, admins, netds)] {
        assert_eq!(device.ask(role, &Commit::new(own)), Ok(()));
        assert_eq!(device.ask(role, &Commit::new(others)), nothing);
    }
    let mut device = device.restarted();
    assert_eq!(status(&mut device).committed, Some(netds));
    let again = device.ask(Role::Network, &Commit::new(netds));
    assert_eq!(again, Ok(()));
}

#[test]
fn a_new_transaction_takes_the_place_of_a_staged_one() {
    let (mut device, operator) = Device::provisioned();
    let package = operator.seal(&mut device, other_profile(SECOND), 2);
    let mut netd = device.client(Role::Network);
    let staged = Stage {
        txid: [1; 16],
        package: Some(&package),
    };
    device.call(&mut netd, &staged).unwrap();
    let (txid, package) = ([2; 16], None);
    device.call(&mut netd, &Stage { txid, package }).unwrap();
    device.call(&mut netd, &Commit::new(txid)).unwrap();
    assert_eq!(profiles(&mut device).len(), 1);
}

#[test]
fn of_several_profiles_one_is_enabled() {
    let (mut device, operator) = Device::provisioned();
    let package = operator.seal(&mut device, other_profile(SECOND), 2);
    device.install(&package, [2; 16]).unwrap();
    let states = |device: &mut Device| -> Vec<_> {
        profiles(device)
            .into_iter()
            .map(|(_, state)| state)
            .collect()
    };
    use ProfileState::{Disabled, Enabled};
    assert_eq!(states(&mut device), [Enabled, Disabled]);

    device.ask(Role::Admin, &Enable { iccid: SECOND }).unwrap();
    device.ask(Role::Admin, &Enable { iccid: SECOND }).unwrap();
    assert_eq!(states(&mut device), [Disabled, Enabled]);
    device.ask(Role::Admin, &Disable { iccid: ICCID }).unwrap();
    let mut device = device.restarted();
    assert_eq!(states(&mut device), [Disabled, Enabled]);

    let iccid = "8988211000000000094";
    let unknown = Err(Refusal::UnknownProfile);
    assert_eq!(device.ask(Role::Admin, &Enable { iccid }), unknown);
    assert_eq!(device.ask(Role::Admin, &Disable { iccid }), unknown);
    assert_eq!(device.ask(Role::Admin, &Delete { iccid }), unknown);
}

#[test]
fn an_enabled_profile_is_not_deleted_and_netd_takes_none_away() {
    let (mut device, _) = Device::provisioned();
    let (iccid, role) = (ICCID, Role::Network);
    let not_permitted = |request| Err(Refusal::NotPermitted { request, role });
    let disabled = device.ask(role, &Disable { iccid });
    assert_eq!(disabled, not_permitted(RequestKind::Disable));
    let deleted = device.ask(role, &Delete { iccid });
    assert_eq!(deleted, not_permitted(RequestKind::Delete));
    let refusal = device.ask(Role::Admin, &Delete { iccid });
    assert_eq!(refusal, Err(Refusal::ProfileEnabled));

    device.ask(Role::Admin, &Disable { iccid }).unwrap();
    device.ask(Role::Admin, &Delete { iccid }).unwrap();
    assert_eq!(profiles(&mut device), []);
}

#[test]
fn installing_a_deleted_profile_again_rewinds_no_sqn() {
    let (mut device, operator) = Device::provisioned();
    assert!(authenticates(&mut device, 5 * 32));
    let iccid = ICCID;
    device.ask(Role::Admin, &Disable { iccid }).unwrap();
    device.ask(Role::Admin, &Delete { iccid }).unwrap();
    let mut device = device.restarted();
    let package = operator.seal(&mut device, profile(ICCID), 2);
    device.install(&package, [2; 16]).unwrap();
    assert!(!authenticates(&mut device, 5 * 32));
    assert!(authenticates(&mut device, 6 * 32));
}

#[test]
fn a_replaced_profile_stays_in_use_and_in_step() {
    let (mut device, operator) = Device::provisioned();
    assert!(authenticates(&mut device, 5 * 32));
    let package = operator.seal(&mut device, profile(ICCID), 2);
    device.install(&package, [2; 16]).unwrap();
    let enabled = [(ICCID.to_owned(), ProfileState::Enabled)];
    assert_eq!(profiles(&mut device), enabled);
    assert!(!authenticates(&mut device, 5 * 32));
}

#[test]
fn a_package_that_is_not_for_this_device_now_is_refused_in_words() {
    let (mut device, operator) = Device::provisioned();
    let mut elsewhere = Device::enrolled();
    let stranger = Operator::generate();
    let good = operator.seal(&mut device, other_profile(SECOND), 2);
    let stranger_id = softsim_profile::IssuerKey::from(*stranger.0.verifying_key()).id();
    let own = status(&mut device).device_id.unwrap();
    let others = status(&mut elsewhere).device_id.unwrap();

    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    let mut format = good.clone();
    format[0] = 2;
    let mut cut = good.clone();
    cut.pop();
    let replayed = operator.seal(&mut device, other_profile(SECOND), 1);
    let bare = stranger.seal(&mut device, other_profile(SECOND), 2);
    let misdirected = operator.seal(&mut elsewhere, other_profile(SECOND), 2);
    let expected: Vec<(&[u8], PackageFault)> = vec![
        (&forged, PackageFault::Signature),
        (
            &format,
            PackageFault::Format {
                expected: 1,
                got: 2,
            },
        ),
        (&replayed, PackageFault::Sequence { last: 1, got: 1 }),
        (&bare, PackageFault::UnknownIssuer { got: stranger_id.0 }),
        (
            &misdirected,
            PackageFault::Device {
                expected: own,
                got: others,
            },
        ),
    ];
    for (package, fault) in &expected {
        assert_eq!(
            stage(&mut device, package),
            Err(Refusal::Package(fault.clone()))
        );
    }
    for package in [&cut[..], b"", &[1; 3500]] {
        let refusal = stage(&mut device, package).unwrap_err();
        let shape = matches!(refusal, Refusal::Package(PackageFault::Shape(_)));
        assert!(shape, "{refusal}");
    }
    assert_eq!(status(&mut device).counters.unwrap().packages_rejected, 8);
    assert_eq!(profiles(&mut device).len(), 1);
    assert!(stage(&mut device, &good).is_ok(), "nothing was used up");
}

#[test]
fn before_enrolment_no_package_is_opened() {
    let refusal = stage(&mut Device::blank(), b"package").unwrap_err();
    assert_eq!(refusal, Refusal::NoDeviceKey);
}

#[test]
fn validity_is_judged_by_the_clock_at_each_stage() {
    let (mut device, operator) = Device::provisioned();
    let limited = |from, to| {
        let mut profile = other_profile(SECOND);
        profile.validity = Validity::new(Some(from), Some(to)).unwrap();
        profile
    };
    let future = operator.seal(&mut device, limited(4_000_000_100, 4_000_000_200), 2);
    let refusal = stage(&mut device, &future).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::Package(PackageFault::Validity {
            not_before: 4_000_000_100,
            not_after: u64::MAX,
            now: 4_000_000_000,
        })
    );
    set_clock(4_000_000_150);
    assert!(stage(&mut device, &future).is_ok());

    set_clock(4_000_000_300);
    let refusal = stage(&mut device, &future).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::Package(PackageFault::Validity {
            not_before: 0,
            not_after: 4_000_000_200,
            now: 4_000_000_300,
        })
    );
    set_clock(4_000_000_150);
    assert!(stage(&mut device, &future).is_ok());
}

#[test]
fn a_package_that_expires_between_stage_and_commit_is_refused() {
    let (mut device, operator) = Device::provisioned();
    let mut profile = other_profile(SECOND);
    profile.validity = Validity::new(None, Some(4_000_000_200)).unwrap();
    let package = operator.seal(&mut device, profile, 2);
    stage(&mut device, &package).unwrap();
    set_clock(4_000_000_201);
    let refusal = device.ask(Role::Network, &Commit::new([9; 16]));
    assert_eq!(
        refusal,
        Err(Refusal::Package(PackageFault::Validity {
            not_before: 0,
            not_after: 4_000_000_200,
            now: 4_000_000_201,
        }))
    );
    assert_eq!(profiles(&mut device).len(), 1);
    set_clock(4_000_000_000);
    device.install(&package, [9; 16]).unwrap();
}

#[test]
fn packages_of_an_issuer_that_was_taken_away_are_refused_at_stage_and_at_commit() {
    let (mut device, operator) = Device::provisioned();
    let package = operator.seal(&mut device, other_profile(SECOND), 2);
    stage(&mut device, &package).unwrap();
    let issuer = operator.spki();
    for _ in 0..2 {
        let removed = device.ask(Role::Admin, &RemoveTrustAnchor { issuer: &issuer });
        removed.unwrap();
    }
    let unknown = |refusal| {
        matches!(
            refusal,
            Refusal::Package(PackageFault::UnknownIssuer { .. })
        )
    };
    let txid = [9; 16];
    assert!(unknown(
        device.ask(Role::Network, &Commit::new(txid)).unwrap_err()
    ));
    assert!(unknown(stage(&mut device, &package).unwrap_err()));
    assert_eq!(profiles(&mut device).len(), 1, "what is installed stays");
    device
        .ask(Role::Admin, &AddTrustAnchor { issuer: &issuer })
        .unwrap();
    device.install(&package, txid).unwrap();
}

#[test]
fn a_transaction_that_changes_nothing_is_not_written() {
    let mut device = Device::blank();
    let (txid, package) = ([3; 16], None);
    let committed = |device: &mut Device, txid, accounts| {
        device.ask(Role::Network, &Stage { txid, package }).unwrap();
        let answer = device.ask(Role::Network, &Commit { txid, accounts });
        (answer, device.keyd.flush().is_ok())
    };
    let digest = Some([7; 32]);
    assert_eq!(committed(&mut device, txid, digest), (Ok(()), true));
    device.writes.fail_after(0);
    for (txid, accounts) in [(txid, None), ([4; 16], None), ([5; 16], digest)] {
        assert_eq!(committed(&mut device, txid, accounts), (Ok(()), true));
        assert_eq!(status(&mut device).committed, Some(txid));
        let again = device.ask(Role::Network, &Commit { txid, accounts });
        assert_eq!(again, Ok(()), "repeatable while keyd lives");
    }
    assert!(!committed(&mut device, [6; 16], Some([8; 32])).1, "changed");
    assert_eq!(status(&mut device.restarted()).committed, Some(txid));
}

/// An attacker in control of netd can wear out the storage only with 40 writes, and then with one a
/// minute.
#[test]
fn netd_commits_sixty_times_an_hour_and_whatever_an_operator_has_signed() {
    let (mut device, operator) = Device::provisioned();
    let mut netd = device.client(Role::Network);
    let mut commit = |device: &mut Device, number: u8, package: Option<&[u8]>| {
        let (txid, accounts) = ([number; 16], Some([number; 32]));
        let staged = device.call(&mut netd, &Stage { txid, package });
        staged.unwrap();
        device.call_now(&mut netd, &Commit { txid, accounts })
    };
    for number in 0..40 {
        assert_eq!(commit(&mut device, number, None), Ok(()));
    }
    let wait = commit(&mut device, 40, None).unwrap_err();
    let Refusal::RetryAfter { milliseconds } = wait else {
        panic!("expected RetryAfter, got {wait:?}");
    };
    // The clock has advanced by one second for each Stage.
    assert!((5_000..60_000).contains(&milliseconds), "{milliseconds}");
    for sequence in 2..10 {
        let package = operator.seal(&mut device, other_profile(SECOND), sequence);
        let number = 100 + sequence as u8;
        assert_eq!(commit(&mut device, number, Some(&package)), Ok(()));
    }
    // A rogue access point would like to lock the SIM out.
    assert!((1..100).all(|seq| authenticates(&mut device, seq * 32)));
}

#[test]
fn of_two_packages_staged_by_two_roles_the_older_one_comes_too_late() {
    let (mut device, operator) = Device::provisioned();
    let older = operator.seal(&mut device, other_profile(SECOND), 2);
    let newer = operator.seal(&mut device, other_profile(SECOND), 3);
    stage(&mut device, &older).unwrap();
    device.install(&newer, [3; 16]).unwrap();
    let refusal = device.ask(Role::Network, &Commit::new([9; 16]));
    assert_eq!(
        refusal,
        Err(Refusal::Package(PackageFault::Sequence { last: 3, got: 2 }))
    );
}

/// The subscription with another IMSI: the same digits with another length of the MNC, and other
/// digits.
fn renamed(iccid: &str) -> [Profile; 2] {
    [(IMSI, 3), ("001010000000009", 2)].map(|(digits, mnc_length)| Profile {
        imsi: imsi(digits, mnc_length).unwrap(),
        ..profile(iccid)
    })
}

#[test]
fn one_k_cannot_be_installed_twice() {
    let (mut device, operator) = Device::provisioned();
    for (twin, sequence) in renamed(SECOND)
        .into_iter()
        .chain([profile(SECOND)])
        .zip(2..)
    {
        let package = operator.seal(&mut device, twin, sequence);
        let refusal = device.install(&package, [2; 16]).unwrap_err();
        assert!(matches!(
            refusal,
            Refusal::Package(PackageFault::Field { name, .. }) if name == "k"
        ));
    }
    assert_eq!(profiles(&mut device).len(), 1);
}

#[test]
fn a_used_autn_stays_used_under_another_imsi() {
    let (mut device, operator) = Device::provisioned();
    assert!(authenticates(&mut device, 5 * 32));
    for (renamed, sequence) in renamed(ICCID).into_iter().zip(2..) {
        let package = operator.seal(&mut device, renamed, sequence);
        device.install(&package, [2; 16]).unwrap();
        assert!(!authenticates(&mut device, 5 * 32));
    }
    assert!(authenticates(&mut device, 6 * 32));
}

#[test]
fn a_full_store_says_so_and_keeps_what_it_has() {
    let mut device = Device::blank_with_capacity(1);
    device.enrol();
    let operator = Operator::generate();
    device.trust(&operator);
    let package = operator.seal(&mut device, profile(ICCID), 1);
    bootstrap(&mut device, &package, [1; 16]).unwrap();
    let package = operator.seal(&mut device, other_profile(SECOND), 2);
    let refusal = bootstrap(&mut device, &package, [2; 16]);
    assert_eq!(
        refusal,
        Err(Refusal::StoreFull {
            what: Room::Profiles,
            capacity: 1
        })
    );
    let mut device = device.restarted();
    assert_eq!(profiles(&mut device).len(), 1);
    assert_eq!(status(&mut device).committed, Some([1; 16]));
}

#[test]
fn a_crash_at_any_write_of_a_commit_leaves_the_old_or_the_new_state() {
    let (mut device, operator) = Device::provisioned();
    let package = operator.seal(&mut device, other_profile(SECOND), 2);
    let txid = [2; 16];
    fail_at_each_write(
        device,
        |device| bootstrap(device, &package, txid),
        |device, whole| {
            let committed = status(device).committed == Some(txid);
            assert!(committed || !whole);
            assert_eq!(profiles(device).len(), if committed { 2 } else { 1 });
            // Whether or not keyd committed before the crash, netd can repeat the transaction.
            let again = bootstrap(device, &package, txid);
            let sequence = Refusal::Package(PackageFault::Sequence { last: 2, got: 2 });
            assert_eq!(again, if committed { Err(sequence) } else { Ok(()) });
            assert_eq!(profiles(device).len(), 2);
            assert!(authenticates(device, 32));
        },
    );
}

#[test]
fn a_crash_at_any_write_of_an_enable_leaves_one_enabled_profile() {
    let (mut device, operator) = Device::provisioned();
    let package = operator.seal(&mut device, other_profile(SECOND), 2);
    device.install(&package, [2; 16]).unwrap();
    fail_at_each_write(
        device,
        |device| device.ask(Role::Admin, &Enable { iccid: SECOND }),
        |device, whole| {
            use ProfileState::{Disabled, Enabled};
            let states: Vec<_> = profiles(device)
                .into_iter()
                .map(|(_, state)| state)
                .collect();
            assert!(states == [Disabled, Enabled] || (!whole && states == [Enabled, Disabled]));
        },
    );
}

#[test]
fn a_crash_at_any_write_of_a_used_sqn_leaves_it_used_or_unanswered() {
    let (device, _) = Device::provisioned();
    let sent = HomeNetwork::default().challenge(32);
    let authenticate = |device: &mut Device| {
        let request = AkaPrimeChallenge {
            iccid: None,
            identity: IDENTITY,
            packet: &sent.packet,
            forward_secrecy: None,
        };
        device.ask(Role::Network, &request).map(|_| ())
    };
    fail_at_each_write(device, authenticate, |device, whole| {
        assert!(
            !(whole && authenticates(device, 32)),
            "used after an answer"
        );
    });
}

#[test]
fn a_crash_at_any_write_of_the_device_keys_leaves_them_or_none() {
    fail_at_each_write(
        Device::blank(),
        |device| {
            let made = device.ask(Role::Admin, &GenerateDeviceKey {});
            made.map(|_| ())
        },
        |device, whole| {
            let stored = status(device).device_id.is_some();
            assert!(stored || !whole);
            let again = device.ask(Role::Admin, &GenerateDeviceKey {});
            assert_eq!(again.is_ok(), !stored);
        },
    );
}

#[test]
fn a_package_does_not_undo_what_an_administrator_has_disabled() {
    let (mut device, operator) = Device::provisioned();
    device.ask(Role::Admin, &Disable { iccid: ICCID }).unwrap();
    let package = operator.seal(&mut device, profile(ICCID), 2);
    device.install(&package, [2; 16]).unwrap();
    assert_eq!(profiles(&mut device)[0].1, ProfileState::Disabled);
}

#[test]
fn an_operator_that_has_caused_its_tombstones_is_named_and_another_one_goes_on() {
    let mut device = Device::blank();
    device.enrol();
    let (greedy, other) = (Operator::generate(), Operator::generate());
    device.trust(&greedy);
    device.trust(&other);
    let subscription = |iccid, n: u8| {
        let mut k = [0x5b; 16];
        k[0] = n;
        profile_of(iccid, IMSI, k, OPC, 0)
    };
    for n in 0..=32 {
        let sequence = u64::from(n) + 1;
        let package = greedy.seal(&mut device, subscription(ICCID, n), sequence);
        device.install(&package, [n; 16]).unwrap();
    }
    let package = greedy.seal(&mut device, subscription(ICCID, 33), 34);
    let refused = device.install(&package, [40; 16]);
    let issuer = IssuerKey::from_spki(&greedy.spki()).unwrap().id().0;
    assert_eq!(refused, Err(Refusal::Quota { issuer, limit: 32 }));
    for (n, sequence) in [(41, 1), (42, 2)] {
        let package = other.seal(&mut device, subscription(SECOND, n), sequence);
        device.install(&package, [n; 16]).unwrap();
    }
}
