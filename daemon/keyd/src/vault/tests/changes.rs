//! The effects of changes, and that a refused change has none.

use super::*;

/// Reopens what is on the medium and expects what is in memory.
pub(super) fn reopen(disk: &Disk, vault: &Vault) -> Vault {
    let reopened = open_image(&disk.image()).unwrap();
    assert_eq!(contents(&reopened), contents(vault));
    assert_eq!(reopened.damage(), []);
    reopened
}

#[test]
fn accounts_are_replaced_as_a_whole_and_keep_the_keys_that_are_not_named() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![accounts([(1, Some(1)), (2, Some(2))])]).unwrap();
    commit(&mut vault, vec![accounts([(2, None), (3, Some(3))])]).unwrap();
    let reopened = open_image(&disk.image()).unwrap();
    for vault in [vault, reopened] {
        let first = |account| vault.psk(account).map(|psk| psk.as_bytes()[0]);
        assert_eq!([1, 2, 3].map(first), [None, Some(2), Some(3)]);
    }
}

#[test]
fn a_refused_transaction_leaves_the_accounts_as_they_were() {
    let (_, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1), accounts([(1, Some(1))])]).unwrap();
    let before = contents(&vault);
    let changes = vec![accounts([(2, Some(2))]), install(2, 1)];
    let refused = commit(&mut vault, changes).unwrap_err();
    assert!(matches!(refused, CommitError::SequenceNotRising { .. }));
    let refused = commit(&mut vault, vec![accounts([(2, None)])]).unwrap_err();
    assert!(matches!(refused, CommitError::UnknownAccount(2)));
    let many = Change::Accounts((0..17).map(|n| (n, Psk::new(&[1; 16]))).collect());
    let refused = commit(&mut vault, vec![many]).unwrap_err();
    assert!(matches!(
        refused,
        CommitError::Full {
            what: Room::Accounts,
            capacity: 16
        }
    ));
    assert_eq!(contents(&vault), before);
}

#[test]
fn sixteen_accounts_with_the_longest_keys_fit_their_record() {
    let (disk, mut vault) = new_vault();
    let all = (0..16).map(|n| (u16::MAX - n, Psk::new(&[n as u8; 64])));
    commit(&mut vault, vec![Change::Accounts(all.collect())]).unwrap();
    let reopened = open_image(&disk.image()).unwrap();
    assert_eq!(contents(&reopened), contents(&vault));
}

#[test]
fn a_new_vault_is_empty_and_has_its_capacity() {
    let (disk, vault) = new_vault();
    let vault = reopen(&disk, &vault);
    assert_eq!(vault.capacity(), CAPACITY);
    assert_eq!(vault.profiles().count(), 0);
    assert!(vault.device_keys().is_none() && vault.certificate().is_none());
    assert_eq!(vault.last_sequence(&ISSUER), 0);
    assert_eq!((vault.last_transaction(), vault.kept_time()), (None, 0));
}

#[test]
fn everything_survives_a_restart() {
    let (disk, mut vault) = new_vault();
    vault.set_device_keys(device_keys(1)).unwrap();
    vault.set_certificate(&[0x30; 700]).unwrap();
    vault.add_trust_anchor(anchor(1)).unwrap();
    vault.add_trust_anchor(anchor(2)).unwrap();
    commit(
        &mut vault,
        vec![
            install(1, 5),
            install(2, 6),
            Change::Transaction([7; 16]),
            Change::AccountsDigest([8; 32]),
        ],
    )
    .unwrap();
    let (one, two) = (slot(&vault, 1), slot(&vault, 2));
    commit(&mut vault, vec![Change::Disable(two), Change::Delete(one)]).unwrap();
    offer(&mut vault, two, 33).unwrap();
    vault.flush().unwrap();

    let vault = reopen(&disk, &vault);
    assert_eq!(vault.device_keys().unwrap().sealing.as_slice(), [2; 32]);
    assert_eq!(vault.certificate().unwrap(), [0x30; 700]);
    assert_eq!(vault.trust_anchors(), [anchor(1), anchor(2)]);
    assert_eq!(vault.last_sequence(&ISSUER), 6);
    assert_eq!(vault.last_transaction(), Some([7; 16]));
    assert_eq!(vault.accounts_digest(), Some([8; 32]));
    let stored = vault.profile(slot(&vault, 2)).unwrap();
    assert_eq!(stored.profile, profile(2));
    assert_eq!((stored.issuer, stored.sequence), (ISSUER, 6));
    assert_eq!(vault.enabled(), None);
    assert_eq!(stored.sqn().sqn_ms().value(), 33);
    assert!(vault.find(&iccid(1)).is_none() && vault.profile(one).is_none());
}

#[test]
fn the_longest_records_fit() {
    let (disk, mut vault) = new_vault();
    vault.set_device_keys(device_keys(1)).unwrap();
    vault.set_certificate(&[0x30; MAX_CERTIFICATE]).unwrap();
    for seed in 1..=MAX_TRUST_ANCHORS as u8 {
        vault.add_trust_anchor(anchor(seed)).unwrap();
    }
    let longest = Change::Install {
        profile: longest_profile(),
        issuer: ISSUER,
        sequence: u64::MAX,
        enabled: true,
    };
    commit(&mut vault, vec![longest]).unwrap();
    let vault = reopen(&disk, &vault);
    let (slot, stored) = vault.profiles().next().unwrap();
    assert_eq!(stored.profile, longest_profile());

    let disk = Disk::with(disk.image());
    let mut vault = Vault::open(disk.clone(), &kek()).unwrap();
    commit(&mut vault, vec![Change::Delete(slot)]).unwrap();
    // With the eight that are trusted and ISSUER, every place is taken.
    for issuer in 1..8 {
        let change = Change::Install {
            profile: profile(1),
            issuer: IssuerId([issuer; 32]),
            sequence: u64::MAX,
            enabled: true,
        };
        commit(
            &mut vault,
            vec![
                change,
                Change::Transaction([0xff; 16]),
                Change::AccountsDigest([0xff; 32]),
            ],
        )
        .unwrap();
    }
    let change = Change::Install {
        profile: profile(1),
        issuer: IssuerId([99; 32]),
        sequence: 1,
        enabled: true,
    };
    let refused = commit(&mut vault, vec![change]).unwrap_err();
    assert!(matches!(
        refused,
        CommitError::Full {
            what: Room::Issuers,
            capacity: 16
        }
    ));
    reopen(&disk, &vault);
}

#[test]
fn the_device_s_keys_are_made_once() {
    let (_, mut vault) = new_vault();
    vault.set_device_keys(device_keys(1)).unwrap();
    let refused = vault.set_device_keys(device_keys(9)).unwrap_err();
    assert!(matches!(refused, CommitError::KeysExist));
    assert_eq!(vault.device_keys().unwrap().device.as_slice(), [1; 32]);
}

#[test]
fn a_certificate_beyond_the_limit_is_refused() {
    let (_, mut vault) = new_vault();
    let refused = vault
        .set_certificate(&[0; MAX_CERTIFICATE + 1])
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "expected a certificate of at most 2048 octets, got 2049"
    );
    assert_eq!(vault.certificate(), None);
}

#[test]
fn trust_anchors_are_a_bounded_set() {
    let (disk, mut vault) = new_vault();
    for seed in 1..=MAX_TRUST_ANCHORS as u8 {
        vault.add_trust_anchor(anchor(seed)).unwrap();
        vault.add_trust_anchor(anchor(seed)).unwrap();
    }
    assert_eq!(vault.trust_anchors().len(), MAX_TRUST_ANCHORS);
    let refused = vault.add_trust_anchor(anchor(77)).unwrap_err();
    assert!(matches!(
        refused,
        CommitError::Full {
            what: Room::TrustAnchors,
            capacity: 8
        }
    ));
    assert!(!vault.trust_anchors().contains(&anchor(77)));

    vault.remove_trust_anchor(&anchor(3)).unwrap();
    vault.remove_trust_anchor(&anchor(3)).unwrap();
    assert!(!vault.trust_anchors().contains(&anchor(3)));
    vault.add_trust_anchor(anchor(77)).unwrap();
    let vault = reopen(&disk, &vault);
    assert_eq!(vault.trust_anchors().len(), MAX_TRUST_ANCHORS);
}

#[test]
fn a_full_store_refuses_and_changes_nothing() {
    let (disk, mut vault) = new_vault();
    commit(
        &mut vault,
        vec![install(1, 1), install(2, 2), install(3, 3)],
    )
    .unwrap();
    let before = contents(&vault);
    let refused = commit(
        &mut vault,
        vec![Change::Transaction([1; 16]), install(4, 4)],
    )
    .unwrap_err();
    assert_eq!(refused.to_string(), "full: there is room for 3 profiles");
    assert_eq!(contents(&vault), before);
    assert_eq!(contents(&reopen(&disk, &vault)), before);
}

#[test]
fn a_sequence_rises_strictly_for_each_issuer_and_outlives_the_profile() {
    let (_, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 5)]).unwrap();
    let one = slot(&vault, 1);
    commit(&mut vault, vec![Change::Delete(one)]).unwrap();
    for got in [0, 4, 5] {
        let refused = commit(&mut vault, vec![install(1, got)]).unwrap_err();
        assert!(matches!(refused, CommitError::SequenceNotRising { last: 5, got: c } if c == got));
    }
    let other = Change::Install {
        profile: profile(2),
        issuer: IssuerId([0xbb; 32]),
        sequence: 1,
        enabled: false,
    };
    commit(&mut vault, vec![other, install(1, 6)]).unwrap();
    assert_eq!(vault.last_sequence(&ISSUER), 6);
    assert_eq!(vault.last_sequence(&IssuerId([0xbb; 32])), 1);
}

#[test]
fn a_refusal_takes_back_every_change_before_it() {
    let (disk, mut vault) = new_vault();
    commit(
        &mut vault,
        vec![install(1, 1), install(2, 2), Change::Transaction([1; 16])],
    )
    .unwrap();
    let (one, two) = (slot(&vault, 1), slot(&vault, 2));
    offer(&mut vault, one, 64).unwrap();
    vault.flush().unwrap();
    let before = contents(&vault);
    let refused = commit(
        &mut vault,
        vec![
            Change::Transaction([2; 16]),
            Change::AccountsDigest([2; 32]),
            Change::Disable(two),
            install(1, 3),
            install(3, 4),
            Change::Delete(two),
            Change::Enable(two),
        ],
    )
    .unwrap_err();
    assert!(matches!(refused, CommitError::UnknownSlot), "{refused}");
    assert_eq!(contents(&vault), before);
    reopen(&disk, &vault);
}

#[test]
fn an_empty_slot_is_no_profile() {
    let (_, mut vault) = new_vault();
    for change in [
        Change::Enable(Slot(0)),
        Change::Disable(Slot(2)),
        Change::Delete(Slot(1)),
        Change::Delete(Slot(u32::MAX)),
    ] {
        let refused = commit(&mut vault, vec![change]).unwrap_err();
        assert!(matches!(refused, CommitError::UnknownSlot));
    }
    assert!(
        vault.change_sqn(Slot(0), |_| ()).is_none()
            && vault.change_sqn(Slot(u32::MAX), |_| ()).is_none()
    );
}

#[test]
fn two_profiles_never_share_a_k() {
    let (_, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let twin = Change::Install {
        profile: Profile {
            iccid: Iccid::new(&iccid(2)).unwrap(),
            ..profile(1)
        },
        issuer: ISSUER,
        sequence: 2,
        enabled: true,
    };
    let refused = commit(&mut vault, vec![twin]).unwrap_err();
    assert!(matches!(refused, CommitError::DuplicateKey));
    assert_eq!(vault.profiles().count(), 1);
}

#[test]
fn a_transaction_touches_a_bounded_number_of_records() {
    let (_, mut vault) = new_vault();
    let mut changes = Vec::new();
    for round in 0..6 {
        for n in 1..=3 {
            // Each install in place of another K leaves a tombstone.
            let profile = Profile {
                credentials: milenage([100 + 3 * round + n; 16]),
                ..profile(n)
            };
            let sequence = u64::from(round) * 3 + u64::from(n);
            changes.push(Change::Install {
                profile,
                issuer: ISSUER,
                sequence,
                enabled: true,
            });
        }
    }
    let before = contents(&vault);
    let refused = commit(&mut vault, changes).unwrap_err();
    assert!(matches!(
        refused,
        CommitError::Full {
            what: Room::Changes,
            capacity: 8
        }
    ));
    assert_eq!(contents(&vault), before);
}

#[test]
fn only_the_change_of_the_time_changes_the_kept_time() {
    let (disk, mut vault) = new_vault();
    let changes = [Change::Time(1000), install(1, 1), Change::Time(500)];
    for (change, kept) in changes.into_iter().zip([1000, 1000, 500]) {
        vault.commit(vec![change]).unwrap();
        assert_eq!(vault.kept_time(), kept);
        reopen(&disk, &vault);
    }
}

#[test]
fn staged_changes_of_one_pass_share_one_sync() {
    let (disk, mut vault) = new_vault();
    commit(
        &mut vault,
        vec![install(1, 1), install(2, 2), install(3, 3)],
    )
    .unwrap();
    disk.take_log();
    vault.flush().unwrap();
    assert!(disk.take_log().is_empty(), "nothing was staged");

    for n in 1..=3 {
        let slot = slot(&vault, n);
        offer(&mut vault, slot, 32).unwrap();
        offer(&mut vault, slot, 64).unwrap();
    }
    assert!(disk.log.borrow().is_empty(), "staged is in memory only");
    vault.flush().unwrap();
    assert_eq!((disk.log.borrow().len(), disk.syncs()), (4, 1));
    reopen(&disk, &vault);
}

#[test]
fn a_commit_takes_what_is_staged_along() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    offer(&mut vault, one, 32).unwrap();
    commit(&mut vault, vec![Change::Disable(one)]).unwrap();
    let vault = reopen(&disk, &vault);
    assert_eq!(vault.profile(one).unwrap().sqn().sqn_ms().value(), 32);
}

#[test]
fn versions_alternate_between_the_halves() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    let layout = layout(CAPACITY);
    for n in 1..=4 {
        disk.take_log();
        offer(&mut vault, one, 32 * n).unwrap();
        vault.flush().unwrap();
        let Operation::Write(offset, _) = &disk.log.borrow()[0] else {
            panic!()
        };
        // Generations 0 and 1 are empty, 2 and 3 are the install.
        assert_eq!(*offset, layout.offset(Table::SEQUENCE, one.0, (3 + n) & 1));
    }
}
