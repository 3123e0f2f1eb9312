//! The identities of profiles: they are stored as safely as sequence numbers, and deleted with the
//! profile.

use softsim_aka::{KAut, KAut128, KEncr, KRe, Mk};

use super::*;
use crate::vault::tests::power::crashes;

fn a_name(name: &str) -> Name {
    Name::new(name.as_bytes()).unwrap()
}

/// The pseudonym of an authentication that succeeded.
pub(super) fn proven(name: &str) -> Pseudonyms {
    pair(Some(name), None)
}

fn pair(proven: Option<&str>, stand_by: Option<&str>) -> Pseudonyms {
    Pseudonyms::Pair(Pair {
        proven: proven.map(a_name),
        stand_by: stand_by.map(a_name),
    })
}

pub(super) fn reauthentication(identity: &str, counter: u16) -> Reauthentication {
    Reauthentication {
        identity: Name::new(identity.as_bytes()).unwrap(),
        shown: true,
        counter,
        k_encr: KEncr::new([1; 16]),
        k_aut: KAut::new([2; 32]).into(),
        root: Root::AkaPrime {
            k_re: KRe::new([3; 32]),
            network_name: b"WLAN"[..].into(),
        },
    }
}

/// What a confirmed authentication does.
fn name(vault: &mut Vault, slot: Slot, counter: u16) {
    let named = vault.change_identities(slot, |identities| {
        identities.pseudonyms = proven("7name");
        identities.reauthentication = Some(reauthentication("8name@home", counter));
    });
    named.unwrap();
    vault.flush().unwrap();
}

fn counter(vault: &Vault, slot: Slot) -> Option<u16> {
    let identities = vault.identities(slot)?;
    identities
        .reauthentication
        .as_ref()
        .map(|context| context.counter)
}

/// Which copy of the first record is the newest.
fn newest(vault: &Vault) -> u64 {
    vault.file.generation(Table::IDENTITIES, 0) & 1
}

/// Breaks a copy of the first record.
fn damage(image: &mut [u8], half: u64) {
    let at = layout(CAPACITY).offset(Table::IDENTITIES, 0, half);
    image[at as usize + 100] ^= 1;
}

fn is_named(vault: &Vault, slot: Slot) -> bool {
    let identities = vault.identities(slot);
    identities.is_some_and(|identities| {
        identities.pseudonyms.count() > 0 || identities.reauthentication.is_some()
    })
}

#[test]
fn identities_survive_a_restart_with_everything_that_belongs_to_them() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1), install(2, 2)]).unwrap();
    let (one, two) = (slot(&vault, 1), slot(&vault, 2));
    name(&mut vault, one, 7);
    vault.change_identities(two, |identities| {
        identities.pseudonyms = Pseudonyms::OneTime {
            name: a_name("2alice"),
            spent: true,
        };
        identities.patience = Patience {
            shown: 255,
            quarters: 3,
        };
        identities.reauthentication = Some(Reauthentication {
            k_aut: KAut128::new([4; 16]).into(),
            root: Root::Aka(Mk::new([5; 20])),
            shown: false,
            ..reauthentication("4alice", u16::MAX)
        });
    });
    vault.flush().unwrap();
    let reopened = open_image(&disk.image()).unwrap();
    for slot in [one, two] {
        assert!(is_named(&reopened, slot));
        assert_eq!(reopened.identities(slot), vault.identities(slot));
    }
    assert_eq!(reopened.damage(), []);
}

#[test]
fn the_longest_identities_fit_their_record() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    let longest = "n".repeat(Name::MAX);
    vault.change_identities(one, |identities| {
        identities.pseudonyms = pair(Some(&longest), Some(&longest));
        identities.reauthentication = Some(Reauthentication {
            root: Root::AkaPrime {
                k_re: KRe::new([3; 32]),
                network_name: [b'N'; Root::MAX_NETWORK_NAME].into(),
            },
            ..reauthentication(&longest, 9)
        });
    });
    vault.flush().unwrap();
    let reopened = open_image(&disk.image()).unwrap();
    assert_eq!(reopened.identities(one), vault.identities(one));
}

#[test]
fn a_name_is_utf_8_without_control_characters_and_no_longer_than_an_identity() {
    for good in ["a", "7\u{e4}b@home", &"n".repeat(253)] {
        assert_eq!(Name::new(good.as_bytes()).unwrap().as_str(), good);
    }
    let long = [b'n'; 254];
    for bad in [
        &b""[..],
        b"a\0",
        b"a\n",
        b"\x7f",
        b"\xc2\x85",
        b"\xff",
        &long,
    ] {
        assert_eq!(Name::new(bad), None, "{bad:?}");
    }
    let shown = format!("{:?}", proven("secret"));
    assert!(!shown.contains("secret"), "{shown}");
    let shown = format!("{:?}", reauthentication("secret", 1));
    assert!(
        !shown.contains("secret") && !shown.contains("3, 3"),
        "{shown}"
    );
}

#[test]
fn a_profile_that_was_never_enabled_has_no_record_for_identities() {
    let (_, mut vault) = new_vault();
    let disabled = |n, sequence| match install(n, sequence) {
        Change::Install {
            profile, issuer, ..
        } => Change::Install {
            profile,
            issuer,
            sequence,
            enabled: false,
        },
        other => other,
    };
    commit(&mut vault, vec![disabled(1, 1), disabled(2, 2)]).unwrap();
    let (one, two) = (slot(&vault, 1), slot(&vault, 2));
    assert_eq!(vault.tables.identities.len(), 0);
    assert_eq!(vault.change_identities(one, |_| ()), None);
    commit(&mut vault, vec![Change::Enable(one)]).unwrap();
    assert!(vault.identities(one).is_some() && vault.identities(two).is_none());
}

#[test]
fn identities_are_one_write_and_one_sync_and_share_it_with_sequence_numbers() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    disk.take_log();
    name(&mut vault, one, 1);
    let log = disk.take_log();
    let [Operation::Write(_, written), Operation::Sync] = &log[..] else {
        panic!("{} operations", log.len())
    };
    assert_eq!(written.len(), 1280);
    offer(&mut vault, one, 320).unwrap();
    name(&mut vault, one, 2);
    assert_eq!(disk.syncs(), 1);
}

#[test]
fn a_deleted_or_replaced_profile_leaves_no_name_to_who_comes_into_its_slot() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    name(&mut vault, one, 7);
    let before = vault.installation(one);
    commit(&mut vault, vec![install(1, 2)]).unwrap();
    assert_eq!(slot(&vault, 1), one, "the same slot");
    assert_ne!(vault.installation(one), before);
    let reopened = open_image(&disk.image()).unwrap();
    assert!(!is_named(&vault, one) && !is_named(&reopened, one));

    name(&mut vault, one, 8);
    commit(&mut vault, vec![Change::Delete(one), install(2, 3)]).unwrap();
    let two = slot(&vault, 2);
    assert_eq!(two, one);
    let reopened = open_image(&disk.image()).unwrap();
    assert!(!is_named(&vault, two) && !is_named(&reopened, two));
}

#[test]
fn a_refused_transaction_leaves_the_identities() {
    let (_, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    name(&mut vault, one, 7);
    let before = contents(&vault);
    let refused = commit(&mut vault, vec![install(1, 2), install(3, 1)]).unwrap_err();
    assert!(matches!(refused, CommitError::SequenceNotRising { .. }));
    assert_eq!(contents(&vault), before);
    assert!(is_named(&vault, one));
}

#[test]
fn power_that_fails_leaves_the_identities_before_or_after() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    name(&mut vault, one, 1);
    let start = disk.image();
    disk.take_log();
    name(&mut vault, one, 2);
    let log = disk.take_log();
    for count in 0..=log.len() {
        for image in crashes(&start, &log, count) {
            let got = counter(&open_image(&image).unwrap(), one);
            assert!(
                got == Some(2) || (got == Some(1) && count < log.len()),
                "{got:?}"
            );
        }
    }
}

#[test]
fn where_the_medium_lost_the_newest_version_no_older_counter_stands_in() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    for round in 1..=3 {
        name(&mut vault, one, round);
    }
    let mut image = disk.image();
    damage(&mut image, newest(&vault));
    let damaged = open_image(&image).unwrap();
    assert_eq!(damaged.damage().len(), 1);
    assert_eq!(
        counter(&damaged, one),
        None,
        "a full authentication comes next"
    );
    assert!(is_named(&damaged, one), "the pseudonym is there");

    damage(&mut image, 1 - newest(&vault));
    let error = open_image(&image).err().unwrap();
    let table = Table::IDENTITIES;
    assert!(
        matches!(error, OpenError::BothCopies { table: of, .. } if of == table),
        "{error}"
    );
}

#[test]
fn where_the_medium_lost_the_newest_version_a_pseudonym_s_one_time_may_be_over() {
    for spent in [false, true] {
        let (disk, mut vault) = new_vault();
        commit(&mut vault, vec![install(1, 1)]).unwrap();
        let one = slot(&vault, 1);
        for name in ["7name", "7other"] {
            vault.change_identities(one, |identities| {
                let name = a_name(name);
                identities.pseudonyms = Pseudonyms::OneTime { name, spent };
            });
            vault.flush().unwrap();
        }
        let mut image = disk.image();
        damage(&mut image, newest(&vault));
        let damaged = open_image(&image).unwrap();
        let expected = Pseudonyms::OneTime {
            name: a_name("7name"),
            spent: true,
        };
        assert_eq!(damaged.identities(one).unwrap().pseudonyms, expected);
    }
}

/// Pseudonyms are pairs of one-letter names here, `-` for none.
fn letters(names: &str) -> Pseudonyms {
    let at = |at: usize| Some(&names[at..=at]).filter(|name| *name != "-");
    pair(at(0), at(1))
}

#[test]
fn whatever_message_is_lost_the_server_s_pseudonym_is_one_of_the_two() {
    for (before, identity, next, challenged, confirmed) in [
        // The first contact.
        ("--", "6001", Some("a"), "-a", "a-"),
        // The stand-by came with the response that got lost, or EAP-Success did.
        ("a-", "a@home", Some("b"), "ab", "ba"),
        ("ab", "a@home", Some("c"), "ac", "ca"),
        ("ab", "b@home", Some("c"), "bc", "cb"),
        ("-a", "a@home", Some("b"), "ab", "ba"),
        // No new one, or the same again.
        ("ab", "a@home", None, "ab", "ab"),
        ("ab", "b@home", None, "ba", "ba"),
        ("ab", "a@home", Some("a"), "ab", "ab"),
        // The server had lost them all.
        ("ab", "6001", Some("c"), "ac", "ca"),
        ("ab", "6001", None, "ab", "ab"),
    ] {
        let mut pseudonyms = letters(before);
        let next = next.map(a_name);
        pseudonyms.challenged(identity.as_bytes(), next.as_ref());
        assert_eq!(pseudonyms, letters(challenged), "{before}, {identity}");
        if let Some(next) = next {
            pseudonyms.confirmed(next, Some(&a_name(identity.trim_end_matches("@home"))));
        }
        assert_eq!(pseudonyms, letters(confirmed), "{before}, {identity}");
    }
    // Two authentications for `a` at the same time, which assigned `b` and then `c`.
    for (before, confirmed, after) in [("ac", "b", "bc"), ("bc", "c", "cb"), ("ca", "b", "bc")] {
        let mut pseudonyms = letters(before);
        pseudonyms.confirmed(a_name(confirmed), Some(&a_name("a")));
        assert_eq!(pseudonyms, letters(after), "{before}, {confirmed}");
    }
}

#[test]
fn a_one_time_pseudonym_is_in_no_pair() {
    let once = Pseudonyms::OneTime {
        name: a_name("a"),
        spent: true,
    };
    let mut pseudonyms = once.clone();
    pseudonyms.challenged(b"a@home", Some(&a_name("b")));
    assert_eq!(pseudonyms, once, "until the next one is confirmed");
    pseudonyms.confirmed(a_name("b"), None);
    assert_eq!(pseudonyms, letters("b-"));
}

#[test]
fn identities_that_were_put_back_are_noticed_from_the_next_transaction_on() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    name(&mut vault, one, 1);
    let old = disk.image();
    for round in 2..=4 {
        name(&mut vault, one, round);
    }
    commit(&mut vault, vec![Change::Transaction([1; 16])]).unwrap();
    let mut image = disk.image();
    for half in [0, 1] {
        let at = layout(CAPACITY).offset(Table::IDENTITIES, 0, half) as usize;
        image[at..at + 1280].copy_from_slice(&old[at..at + 1280]);
    }
    let error = open_image(&image).err().unwrap();
    assert!(matches!(error, OpenError::PutBack { .. }), "{error}");
}

#[test]
fn an_older_copy_that_stands_in_for_a_deleted_profile_s_identities_is_nobody_s() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    name(&mut vault, one, 1);
    commit(&mut vault, vec![install(1, 2)]).unwrap();
    commit(&mut vault, vec![Change::Transaction([1; 16])]).unwrap();
    let mut image = disk.image();
    damage(&mut image, newest(&vault));
    let disk = Disk::with(image);
    let mut damaged = Vault::open(disk.clone(), &kek()).unwrap();
    assert!(!is_named(&damaged, one));
    // What it is named from now on is kept.
    name(&mut damaged, one, 9);
    let reopened = open_image(&disk.image()).unwrap();
    assert_eq!(counter(&reopened, one), Some(9));
}

#[test]
fn identities_under_an_anchor_count_as_a_pass() {
    let (_, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    let before = vault.file.versions();
    name(&mut vault, one, 1);
    assert_eq!(vault.file.versions(), before + 1);
}
