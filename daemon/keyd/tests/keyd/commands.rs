//! Signed commands of operators: each applies to the operator's own profiles, once, and completely.

use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{PackageFault, ProfileState, Refusal, Role, Staged};
use softsim_profile::{Command, DeviceId, Iccid, Validity, sign_command};
use softsim_testkit::device::*;

const SECOND: &str = "8988211000000000029";

const ROLES: [Role; 2] = [Role::Network, Role::Admin];

fn iccid(digits: &str) -> Iccid {
    Iccid::new(digits).unwrap()
}

/// Stages and commits a package in a role, and returns what keyd said about it when it was staged.
fn take(device: &mut Device, role: Role, package: &[u8]) -> Result<Option<Staged>, Refusal> {
    let txid = [package[package.len() - 1]; 16];
    let package = Some(package);
    let staged = device.ask(role, &Stage { txid, package })?.staged;
    device.ask(role, &Commit::new(txid))?;
    Ok(staged)
}

fn profiles(device: &mut Device) -> Vec<(String, ProfileState)> {
    let list = device.ask(Role::Admin, &ListProfiles { from: 0 }).unwrap();
    let profiles = list.profiles.into_iter();
    profiles
        .map(|profile| (profile.iccid, profile.state))
        .collect()
}

fn sealing_key(device: &mut Device) -> [u8; 32] {
    let status = device.ask(Role::Admin, &Status {}).unwrap();
    status.sealing_key_id.unwrap()
}

#[test]
fn an_operator_enables_disables_and_deletes_its_profiles_from_afar() {
    for role in ROLES {
        let (mut device, operator) = Device::provisioned();
        let package = operator.seal(&mut device, other_profile(SECOND), 2);
        device.install(&package, [2; 16]).unwrap();
        let [enabled, disabled] = [ProfileState::Enabled, ProfileState::Disabled];
        let [first, second] = [ICCID, SECOND].map(str::to_owned);

        for (sequence, command, staged, expected) in [
            (
                3,
                Command::Enable(iccid(SECOND)),
                Staged::Enabled {
                    iccid: second.clone(),
                },
                vec![(first.clone(), disabled), (second.clone(), enabled)],
            ),
            (
                4,
                Command::Disable(iccid(SECOND)),
                Staged::Disabled {
                    iccid: second.clone(),
                },
                vec![(first.clone(), disabled), (second.clone(), disabled)],
            ),
            (
                5,
                Command::Delete(iccid(SECOND)),
                Staged::Deleted {
                    iccid: second.clone(),
                },
                vec![(first.clone(), disabled)],
            ),
        ] {
            let package = operator.order(&mut device, command, sequence);
            assert_eq!(take(&mut device, role, &package), Ok(Some(staged)));
            assert_eq!(profiles(&mut device), expected);
            device = device.restarted();
            assert_eq!(profiles(&mut device), expected, "durable");
        }
    }
}

#[test]
fn the_last_enabled_profile_is_disabled_where_its_operator_signs_so() {
    let (mut device, operator) = Device::provisioned();
    let package = operator.order(&mut device, Command::Disable(iccid(ICCID)), 2);
    take(&mut device, Role::Network, &package).unwrap();
    let expected = [(ICCID.to_owned(), ProfileState::Disabled)];
    assert_eq!(profiles(&mut device), expected);
}

#[test]
fn an_enabled_profile_is_not_deleted_and_the_sequence_is_not_used_up() {
    let (mut device, operator) = Device::provisioned();
    let delete = operator.order(&mut device, Command::Delete(iccid(ICCID)), 3);
    let refused = take(&mut device, Role::Network, &delete);
    assert_eq!(refused, Err(Refusal::ProfileEnabled));
    let disable = operator.order(&mut device, Command::Disable(iccid(ICCID)), 2);
    take(&mut device, Role::Network, &disable).unwrap();
    take(&mut device, Role::Network, &delete).unwrap();
    assert_eq!(profiles(&mut device), []);
}

#[test]
fn a_command_is_carried_out_once_and_packages_share_its_sequence() {
    let (mut device, operator) = Device::provisioned();
    let disable = operator.order(&mut device, Command::Disable(iccid(ICCID)), 3);
    let enable = operator.order(&mut device, Command::Enable(iccid(ICCID)), 2);
    let install = operator.seal(&mut device, other_profile(SECOND), 3);
    take(&mut device, Role::Network, &disable).unwrap();
    for (package, got) in [(&disable, 3), (&enable, 2), (&install, 3)] {
        for role in ROLES {
            assert_eq!(
                take(&mut device, role, package),
                Err(Refusal::Package(PackageFault::Sequence { last: 3, got }))
            );
        }
    }
    let old = operator.order(&mut device, Command::Enable(iccid(ICCID)), 4);
    let install = operator.seal(&mut device, other_profile(SECOND), 5);
    take(&mut device, Role::Admin, &install).unwrap();
    let refused = take(&mut device, Role::Network, &old);
    let sequence = PackageFault::Sequence { last: 5, got: 4 };
    assert_eq!(refused, Err(Refusal::Package(sequence)));
}

#[test]
fn the_highest_sequence_locks_no_operator_out() {
    let (mut device, operator) = Device::provisioned();
    let mistaken = operator.order(&mut device, Command::Disable(iccid(ICCID)), u64::MAX);
    for role in ROLES {
        let refused = take(&mut device, role, &mistaken);
        assert!(
            matches!(&refused, Err(Refusal::Package(PackageFault::Field { name, .. })) if name == "sequence"),
            "{refused:?}"
        );
    }
    let next = operator.order(&mut device, Command::Disable(iccid(ICCID)), 2);
    take(&mut device, Role::Network, &next).unwrap();
}

#[test]
fn a_command_reaches_the_profiles_of_its_own_issuer_only() {
    let (mut device, operator) = Device::provisioned();
    let stranger = Operator::generate();
    device.trust(&stranger);
    let package = stranger.seal(&mut device, other_profile(SECOND), 1);
    device.install(&package, [2; 16]).unwrap();
    let before = profiles(&mut device);

    for command in [
        Command::Enable(iccid(ICCID)),
        Command::Disable(iccid(ICCID)),
        Command::Delete(iccid(ICCID)),
        // Enabling this profile would disable the other operator's.
        Command::Enable(iccid(SECOND)),
    ] {
        let package = stranger.order(&mut device, command, 2);
        let refused = take(&mut device, Role::Network, &package);
        assert_eq!(refused, Err(Refusal::ForeignProfile), "{command}");
    }
    let unknown = Command::Disable(iccid("8988211000000000995"));
    let package = stranger.order(&mut device, unknown, 2);
    let refused = take(&mut device, Role::Network, &package);
    assert_eq!(refused, Err(Refusal::UnknownProfile));
    assert_eq!(profiles(&mut device), before);

    // A profile belongs to the operator that replaced it last.
    let package = operator.order(&mut device, Command::Disable(iccid(ICCID)), 2);
    take(&mut device, Role::Network, &package).unwrap();
}

#[test]
fn what_holds_at_stage_is_judged_again_at_commit() {
    let (mut device, operator) = Device::provisioned();
    let package = operator.order(&mut device, Command::Disable(iccid(ICCID)), 2);
    let txid = [7; 16];
    let request = Stage {
        txid,
        package: Some(&package),
    };
    device.ask(Role::Network, &request).unwrap();
    // Between Stage and Commit, another operator replaces the profile with the same ICCID.
    let other = Operator::generate();
    device.trust(&other);
    let replacement = other.seal(&mut device, other_profile(ICCID), 1);
    device.install(&replacement, [3; 16]).unwrap();
    let refused = device.ask(Role::Network, &Commit::new(txid));
    assert_eq!(refused, Err(Refusal::ForeignProfile));
    let expected = [(ICCID.to_owned(), ProfileState::Enabled)];
    assert_eq!(profiles(&mut device), expected);
}

#[test]
fn commands_of_untrusted_issuers_for_other_devices_or_expired_change_nothing() {
    let (mut device, operator) = Device::provisioned();
    let command = Command::Disable(iccid(ICCID));
    let stranger = Operator::generate();
    let package = stranger.order(&mut device, command, 2);
    let refused = take(&mut device, Role::Network, &package);
    assert!(matches!(
        refused,
        Err(Refusal::Package(PackageFault::UnknownIssuer { .. }))
    ));
    let package = operator.order_to(DeviceId([1; 32]), command, 2);
    let refused = take(&mut device, Role::Network, &package);
    assert!(matches!(
        refused,
        Err(Refusal::Package(PackageFault::Device { .. }))
    ));
    let id = DeviceId(
        device
            .ask(Role::Admin, &Status {})
            .unwrap()
            .device_id
            .unwrap(),
    );
    let validity = Validity::new(None, Some(3_999_999_999)).unwrap();
    let package = sign_command(&command, &validity, id, &operator.0, 2).unwrap();
    let refused = take(&mut device, Role::Network, &package);
    assert!(matches!(
        refused,
        Err(Refusal::Package(PackageFault::Validity { .. }))
    ));
    let expected = [(ICCID.to_owned(), ProfileState::Enabled)];
    assert_eq!(profiles(&mut device), expected);
    let status = device.ask(Role::Admin, &Status {}).unwrap();
    assert_eq!(status.counters.unwrap().packages_rejected, 3);
}

#[test]
fn a_rotated_sealing_key_opens_nothing_that_was_sealed_before() {
    let (mut device, operator) = Device::provisioned();
    let before = sealing_key(&mut device);
    let sealed_before = operator.seal(&mut device, other_profile(SECOND), 9);
    let rotate = operator.order(&mut device, Command::RotateSealingKey, 2);
    assert_eq!(
        take(&mut device, Role::Network, &rotate),
        Ok(Some(Staged::SealingKeyRotated))
    );
    let after = sealing_key(&mut device);
    assert_ne!(after, before);

    let old = PackageFault::SealingKey {
        expected: after,
        got: before,
    };
    let refused = take(&mut device, Role::Network, &sealed_before);
    assert_eq!(refused, Err(Refusal::Package(old.clone())));
    let mut device = device.restarted();
    assert_eq!(sealing_key(&mut device), after, "durable");
    let refused = take(&mut device, Role::Network, &sealed_before);
    assert_eq!(refused, Err(Refusal::Package(old)));
    let sealed_after = operator.seal(&mut device, other_profile(SECOND), 3);
    take(&mut device, Role::Network, &sealed_after).unwrap();
}

#[test]
fn what_was_opened_with_the_old_key_and_not_committed_is_forgotten() {
    let (mut device, operator) = Device::provisioned();
    let sealed = operator.seal(&mut device, other_profile(SECOND), 9);
    let txid = [7; 16];
    let package = Some(&sealed[..]);
    device.ask(Role::Admin, &Stage { txid, package }).unwrap();
    let rotate = operator.order(&mut device, Command::RotateSealingKey, 2);
    take(&mut device, Role::Network, &rotate).unwrap();
    assert!(device.ask(Role::Admin, &Commit::new(txid)).is_err());
    assert_eq!(profiles(&mut device).len(), 1);
}

#[test]
fn nothing_on_the_medium_is_left_of_the_old_sealing_key() {
    let (mut device, operator) = Device::provisioned();
    let vault = device.directory.path().join("vault");
    let before = std::fs::read(&vault).unwrap();
    for sequence in 2..4 {
        let rotate = operator.order(&mut device, Command::RotateSealingKey, sequence);
        take(&mut device, Role::Network, &rotate).unwrap();
    }
    // keyd has overwritten every block of 512 octets, in the device's record and in the journal,
    // that held a key.
    let after = std::fs::read(&vault).unwrap();
    assert_eq!(before.len(), after.len());
    let nonces = |image: &[u8]| -> Vec<Vec<u8>> {
        let heads = (0..image.len()).step_by(512).map(|at| &image[at..at + 40]);
        let device = |head: &&[u8]| matches!(head[..4], [2, 0, 0, 0] | [3, 0, 0, 0]);
        heads.filter(device).map(<[u8]>::to_vec).collect()
    };
    let (before, after) = (nonces(&before), nonces(&after));
    assert!(before.len() >= 3 && after.len() >= 3);
    assert!(before.iter().all(|copy| !after.contains(copy)));
}
