//! No operator takes the room that others need: of tombstones, and of places for sequences.

use super::changes::reopen;
use super::*;

/// The tombstones that an operator may cause in a small vault.
const EACH: u32 = 32;

/// Installs a profile of its own K for an operator, in the place of what has this ICCID.
fn replace(vault: &mut Vault, n: u8, issuer: IssuerId, k: u128) -> Result<(), CommitError> {
    let change = Change::Install {
        profile: Profile {
            credentials: milenage(k.to_be_bytes()),
            ..profile(n)
        },
        issuer,
        sequence: vault.last_sequence(&issuer) + 1,
        enabled: true,
    };
    commit(vault, vec![change])
}

/// Has an operator cause all tombstones that it may, with profile `n`. It leaves one installed.
fn exhaust(vault: &mut Vault, n: u8, issuer: IssuerId) {
    for k in 0..=u128::from(EACH) {
        replace(vault, n, issuer, u128::from(n) << 64 | k).unwrap();
    }
}

fn quota_of(refused: CommitError) -> (IssuerId, u32) {
    match refused {
        CommitError::Quota { issuer, limit } => (issuer, limit),
        other => panic!("{other}"),
    }
}

#[test]
fn an_operator_that_has_caused_its_tombstones_leaves_the_others_theirs() {
    let (disk, mut vault) = new_vault();
    let (greedy, other) = (IssuerId([1; 32]), IssuerId([2; 32]));
    exhaust(&mut vault, 1, greedy);
    let before = contents(&vault);
    let refused = replace(&mut vault, 1, greedy, 1 << 100).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("expected at most 32 tombstones of issuer {greedy}, got one more")
    );
    assert_eq!(quota_of(refused), (greedy, EACH));
    let one = slot(&vault, 1);
    let refused = commit(&mut vault, vec![Change::Delete(one)]).unwrap_err();
    assert_eq!(quota_of(refused), (greedy, EACH));
    assert_eq!(contents(&vault), before, "nothing has changed");

    exhaust(&mut vault, 2, other);
    // Each still has its count after a restart.
    let mut vault = reopen(&disk, &vault);
    for (n, issuer) in [(1, greedy), (2, other)] {
        let refused = replace(&mut vault, n, issuer, 1 << 101).unwrap_err();
        assert_eq!(quota_of(refused), (issuer, EACH));
    }
}

#[test]
fn the_parts_of_eight_operators_are_all_there() {
    let (_, mut vault) = new_vault();
    for seed in 1..=MAX_TRUST_ANCHORS as u8 {
        vault.add_trust_anchor(anchor(seed)).unwrap();
    }
    let profiles_at_once = CAPACITY as u8;
    for seed in 1..=MAX_TRUST_ANCHORS as u8 {
        let (n, issuer) = (1 + seed % profiles_at_once, anchor(seed).id());
        for k in 0..u128::from(EACH) {
            replace(&mut vault, n, issuer, u128::from(seed) << 64 | k).unwrap();
        }
    }
}

#[test]
fn whoever_replaces_a_profile_of_another_causes_its_tombstone() {
    let (_, mut vault) = new_vault();
    let (victim, attacker) = (IssuerId([1; 32]), IssuerId([2; 32]));
    for k in 0..u128::from(EACH) {
        replace(&mut vault, 1, victim, 2 * k).unwrap();
        replace(&mut vault, 1, attacker, 2 * k + 1).unwrap();
    }
    // Either has caused as many as it may, less what it put into an empty slot.
    replace(&mut vault, 1, victim, 1 << 100).unwrap();
    let refused = replace(&mut vault, 1, attacker, 1 << 101).unwrap_err();
    assert_eq!(quota_of(refused), (attacker, EACH));
}

#[test]
fn a_package_with_the_same_k_needs_no_room_of_its_own() {
    let (_, mut vault) = new_vault();
    let issuer = IssuerId([1; 32]);
    exhaust(&mut vault, 1, issuer);
    let installed = 1 << 64 | u128::from(EACH);
    replace(&mut vault, 1, issuer, installed).unwrap();
    // Nor does one whose K has a tombstone, which it takes away.
    replace(&mut vault, 1, issuer, 1 << 64).unwrap();
    let refused = replace(&mut vault, 1, issuer, 1 << 100).unwrap_err();
    assert_eq!(quota_of(refused), (issuer, EACH));
}

#[test]
fn an_operator_is_trusted_only_if_there_is_a_place_for_its_sequence() {
    let (disk, mut vault) = new_vault();
    for issuer in 1..=16 {
        let issuer = IssuerId([issuer; 32]);
        commit(
            &mut vault,
            vec![Change::Sequence {
                issuer,
                sequence: 7,
            }],
        )
        .unwrap();
    }
    let refused = vault.add_trust_anchor(anchor(1)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "full: there is room for 16 issuers, whose sequences it never forgets"
    );
    assert!(reopen(&disk, &vault).trust_anchors().is_empty());
}

#[test]
fn the_place_of_a_trusted_operator_is_taken_by_no_other() {
    let (disk, mut vault) = new_vault();
    vault.add_trust_anchor(anchor(1)).unwrap();
    for issuer in 1..=15 {
        let issuer = IssuerId([issuer; 32]);
        commit(
            &mut vault,
            vec![Change::Sequence {
                issuer,
                sequence: 7,
            }],
        )
        .unwrap();
    }
    let mut vault = reopen(&disk, &vault);
    let issuer = IssuerId([99; 32]);
    let refused = commit(
        &mut vault,
        vec![Change::Sequence {
            issuer,
            sequence: 1,
        }],
    )
    .unwrap_err();
    assert!(matches!(
        refused,
        CommitError::Full {
            what: Room::Issuers,
            ..
        }
    ));
    let issuer = anchor(1).id();
    commit(
        &mut vault,
        vec![Change::Sequence {
            issuer,
            sequence: 1,
        }],
    )
    .unwrap();
}

#[test]
fn an_operator_that_is_removed_and_added_again_keeps_its_sequence_and_its_tombstones() {
    let (disk, mut vault) = new_vault();
    let operator = anchor(1);
    vault.add_trust_anchor(operator.clone()).unwrap();
    exhaust(&mut vault, 1, operator.id());
    let last = vault.last_sequence(&operator.id());
    vault.remove_trust_anchor(&operator).unwrap();
    let mut vault = reopen(&disk, &vault);
    assert_eq!(vault.last_sequence(&operator.id()), last);
    vault.add_trust_anchor(operator.clone()).unwrap();
    assert_eq!(vault.last_sequence(&operator.id()), last);
    let refused = replace(&mut vault, 1, operator.id(), 1 << 100).unwrap_err();
    assert_eq!(quota_of(refused), (operator.id(), EACH));
}

#[test]
fn an_operator_that_was_never_used_leaves_its_place() {
    let (_, mut vault) = new_vault();
    for seed in 1..=100 {
        vault.add_trust_anchor(anchor(seed)).unwrap();
        vault.remove_trust_anchor(&anchor(seed)).unwrap();
    }
}

#[test]
fn an_operator_is_trusted_only_if_its_part_is_there() {
    let (_, mut vault) = new_vault();
    let before = anchor(100);
    vault.add_trust_anchor(before.clone()).unwrap();
    // One tombstone, and an installed profile that will leave another.
    for k in 0..2 {
        replace(&mut vault, 1, before.id(), k).unwrap();
    }
    vault.remove_trust_anchor(&before).unwrap();
    for seed in 1..MAX_TRUST_ANCHORS as u8 {
        vault.add_trust_anchor(anchor(seed)).unwrap();
    }
    let refused = vault.add_trust_anchor(anchor(8)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "expected room for 32 tombstones of another operator, got room for 30"
    );
    vault.add_trust_anchor(before).unwrap();
}
