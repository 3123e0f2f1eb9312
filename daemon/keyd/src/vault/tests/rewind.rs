//! No order of deletions and installations makes a used SQN fresh again.

use proptest::prelude::*;

use super::*;

fn delete(vault: &mut Vault, n: u8) {
    let slot = slot(vault, n);
    commit(vault, vec![Change::Delete(slot)]).unwrap();
}

#[test]
fn a_reinstalled_profile_goes_on_where_it_was() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    offer(&mut vault, one, 320).unwrap();
    delete(&mut vault, 1);
    let mut vault = open_image(&disk.image()).unwrap();
    commit(&mut vault, vec![install(1, 2)]).unwrap();
    let one = slot(&vault, 1);
    assert!(offer(&mut vault, one, 320).is_err());
    assert!(offer(&mut vault, one, 352).is_ok());
}

#[test]
fn replacing_a_profile_in_place_goes_on_too() {
    let (_, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    offer(&mut vault, one, 320).unwrap();
    commit(&mut vault, vec![install(1, 2)]).unwrap();
    let one = slot(&vault, 1);
    assert!(offer(&mut vault, one, 320).is_err());
    assert!(tombstones(&vault).is_empty());
}

#[test]
fn another_k_under_the_same_iccid_starts_at_its_floor_and_the_first_is_remembered() {
    let (_, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    offer(&mut vault, one, 320).unwrap();
    let rekeyed = Change::Install {
        profile: Profile {
            credentials: milenage([0x77; 16]),
            ..profile(1)
        },
        issuer: ISSUER,
        sequence: 2,
        enabled: true,
    };
    commit(&mut vault, vec![rekeyed]).unwrap();
    let one = slot(&vault, 1);
    assert!(offer(&mut vault, one, 32).is_ok());
    commit(&mut vault, vec![install(1, 3)]).unwrap();
    let one = slot(&vault, 1);
    assert!(offer(&mut vault, one, 320).is_err());
}

#[test]
fn a_key_of_256_bits_has_one_profile_and_leaves_a_tombstone() {
    let mut padded = [0; 32];
    padded[..16].fill(7);
    let long = |n, sequence| Change::Install {
        profile: Profile {
            credentials: tuak(TuakKey::K256(K256::new(padded))),
            ..profile(n)
        },
        issuer: ISSUER,
        sequence,
        enabled: true,
    };
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![long(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    offer(&mut vault, one, 320).unwrap();
    let twin = commit(&mut vault, vec![long(2, 2)]).unwrap_err();
    assert!(matches!(twin, CommitError::DuplicateKey), "{twin}");
    delete(&mut vault, 1);
    drop(vault);

    let mut vault = open_image(&disk.image()).unwrap();
    commit(&mut vault, vec![install(7, 2), long(2, 3)]).unwrap();
    let two = slot(&vault, 2);
    assert!(offer(&mut vault, two, 320).is_err());
    assert!(offer(&mut vault, two, 352).is_ok());
    // The first half of the long K is the seventh profile's, and another K.
    let seven = slot(&vault, 7);
    assert!(offer(&mut vault, seven, 32).is_ok());
}

#[test]
fn a_floor_above_what_was_used_wins() {
    let (_, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    offer(&mut vault, one, 320).unwrap();
    delete(&mut vault, 1);
    let floor = Sqn::new(640).unwrap();
    let raised = Change::Install {
        profile: Profile {
            sqn: SqnScheme::new(floor, SqnParameters::default()).unwrap(),
            ..profile(1)
        },
        issuer: ISSUER,
        sequence: 2,
        enabled: true,
    };
    commit(&mut vault, vec![raised]).unwrap();
    let one = slot(&vault, 1);
    assert!(offer(&mut vault, one, 640).is_err());
    assert!(offer(&mut vault, one, 672).is_ok());
}

#[derive(Clone, Debug)]
enum Step {
    Install(u8),
    Delete(u8),
    Offer(u8, u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..4_u8).prop_map(Step::Install),
        (1..4_u8).prop_map(Step::Delete),
        (1..4_u8, 1..2000_u64).prop_map(|(n, sqn)| Step::Offer(n, sqn)),
        Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn an_sqn_is_accepted_once(steps in prop::collection::vec(step(), 1..40)) {
        let (disk, mut vault) = new_vault();
        let mut accepted = std::collections::HashSet::new();
        for (step, sequence) in steps.into_iter().zip(1..) {
            match step {
                Step::Install(n) => commit(&mut vault, vec![install(n, sequence)]).unwrap(),
                Step::Delete(n) => if vault.find(&iccid(n)).is_some() {
                    delete(&mut vault, n);
                },
                Step::Offer(n, sqn) => if let Some(slot) = vault.find(&iccid(n))
                    && offer(&mut vault, slot, sqn).is_ok()
                {
                    prop_assert!(accepted.insert((n, sqn)), "{n} took {sqn} twice");
                    vault.flush().unwrap();
                },
                Step::Restart => vault = open_image(&disk.image()).unwrap(),
            }
        }
    }
}
