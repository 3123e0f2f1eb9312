//! Power fails at every point of a write. Afterwards, the vault has the old state or the new one.

use super::*;

/// The medium after power failed behind the first `count` operations.
///
/// What was synced is there. Of what was written since, the medium may have kept any part: `kept`
/// tells for each write how many of its sectors.
pub(super) fn crash(
    start: &[u8],
    log: &[Operation],
    count: usize,
    kept: &dyn Fn(usize, usize) -> usize,
) -> Vec<u8> {
    let log = &log[..count];
    let synced = log
        .iter()
        .rposition(|operation| matches!(operation, Operation::Sync))
        .map_or(0, |at| at + 1);
    let mut image = start.to_vec();
    for (index, operation) in log.iter().enumerate() {
        let Operation::Write(offset, octets) = operation else {
            continue;
        };
        let length = if index < synced {
            octets.len()
        } else {
            kept(index - synced, octets.len()).min(octets.len())
        };
        let offset = *offset as usize;
        image[offset..offset + length].copy_from_slice(&octets[..length]);
    }
    image
}

/// Every medium that a power failure behind `count` operations may leave, as far as whole and torn
/// writes go.
pub(super) fn crashes(start: &[u8], log: &[Operation], count: usize) -> Vec<Vec<u8>> {
    let mut images = vec![
        crash(start, log, count, &|_, _| 0),
        crash(start, log, count, &|_, length| length),
        crash(start, log, count, &|index, length| {
            if index % 2 == 0 { length } else { 0 }
        }),
        crash(start, log, count, &|index, length| {
            if index % 2 == 1 { length } else { 0 }
        }),
    ];
    let pending = log[..count]
        .iter()
        .rev()
        .take_while(|operation| matches!(operation, Operation::Write(..)))
        .count();
    for torn in 0..pending {
        for part in [1, 100, 511] {
            images.push(crash(start, log, count, &|index, length| match index {
                index if index < torn => length,
                index if index == torn => part,
                _ => 0,
            }));
        }
        images.push(crash(start, log, count, &|index, length| {
            if index == torn {
                length - 512.min(length / 2)
            } else {
                length
            }
        }));
    }
    images
}

/// Runs a change, fails the power at every point of it, and expects the state before or after;
/// after from the operation on that makes it durable. What was recovered takes the next change and
/// another restart.
fn either_old_or_new(
    prepare: impl Fn(&mut Vault),
    change: impl Fn(&mut Vault),
    durable_syncs: usize,
) {
    let (disk, mut vault) = new_vault();
    prepare(&mut vault);
    let (start, before) = (disk.image(), contents(&vault));
    disk.take_log();
    change(&mut vault);
    let (log, after) = (disk.take_log(), contents(&vault));
    assert_ne!(before, after);
    assert!(matches!(log.last(), Some(Operation::Sync)));

    let mut seen = (0, 0);
    for count in 0..=log.len() {
        let syncs = log[..count]
            .iter()
            .filter(|operation| matches!(operation, Operation::Sync))
            .count();
        for image in crashes(&start, &log, count) {
            let disk = Disk::with(image);
            let mut vault = Vault::open(disk.clone(), &kek()).unwrap();
            let got = contents(&vault);
            if got == after {
                seen.1 += 1;
            } else {
                assert_eq!(
                    got,
                    before,
                    "a mixture after {count} of {} operations",
                    log.len()
                );
                assert!(syncs < durable_syncs, "lost after {count} operations");
                seen.0 += 1;
                change(&mut vault);
                assert_eq!(contents(&vault), after);
            }
            vault.commit(vec![Change::Transaction([9; 16])]).unwrap();
            let again = Vault::open(disk, &kek()).unwrap();
            assert_eq!(contents(&again), contents(&vault));
            assert_eq!(again.last_transaction(), Some([9; 16]));
        }
    }
    assert!(seen.0 > 0 && seen.1 > 0, "{seen:?}");
}

#[test]
fn a_transaction_over_many_records_is_all_or_nothing() {
    either_old_or_new(
        |vault| {
            commit(
                vault,
                vec![install(1, 1), install(2, 2), Change::Transaction([1; 16])],
            )
            .unwrap();
            let one = slot(vault, 1);
            offer(vault, one, 320).unwrap();
            vault.flush().unwrap();
        },
        |vault| {
            let (one, two) = (slot(vault, 1), slot(vault, 2));
            let changes = vec![
                Change::Delete(one),
                Change::Disable(two),
                install(3, 3),
                Change::Transaction([2; 16]),
                Change::Time(1_800_000_000),
            ];
            vault.commit(changes).unwrap();
        },
        // The first sync is of the new tombstones, which aren't in use yet.
        2,
    );
}

#[test]
fn a_bootstrap_that_replaces_the_only_profile_is_all_or_nothing() {
    either_old_or_new(
        |vault| commit(vault, vec![install(1, 1)]).unwrap(),
        |vault| {
            let one = slot(vault, 1);
            let changes = vec![
                install(2, 2),
                Change::Delete(one),
                Change::Transaction([2; 16]),
            ];
            vault.commit(changes).unwrap();
        },
        2,
    );
}

#[test]
fn a_bootstrap_s_accounts_and_its_profile_come_together_or_not_at_all() {
    either_old_or_new(
        |vault| {
            let before = accounts([(1, Some(1)), (2, Some(2))]);
            commit(vault, vec![install(1, 1), before]).unwrap();
        },
        |vault| {
            let changes = vec![
                Change::Transaction([2; 16]),
                accounts([(2, None), (3, Some(3))]),
                install(2, 2),
            ];
            vault.commit(changes).unwrap();
        },
        2,
    );
}

#[test]
fn an_sqn_is_durable_when_the_flush_returns() {
    either_old_or_new(
        |vault| commit(vault, vec![install(1, 1)]).unwrap(),
        |vault| {
            let one = slot(vault, 1);
            offer(vault, one, 320).unwrap();
            vault.flush().unwrap();
        },
        1,
    );
}

#[test]
fn the_device_s_keys_are_there_or_not() {
    either_old_or_new(
        |_| {},
        |vault| vault.set_device_keys(device_keys(1)).unwrap(),
        1,
    );
    either_old_or_new(
        |vault| vault.set_certificate(&[1; 600]).unwrap(),
        |vault| vault.set_certificate(&[2; 2000]).unwrap(),
        1,
    );
}

#[test]
fn a_sealing_key_is_rotated_with_its_command_s_sequence_or_not_at_all() {
    either_old_or_new(
        |vault| vault.set_device_keys(device_keys(1)).unwrap(),
        |vault| {
            let sequence = Change::Sequence {
                issuer: ISSUER,
                sequence: 7,
            };
            let key = Change::SealingKey(SealingKey::from_bytes([9; 32]));
            let changes = vec![Change::Transaction([2; 16]), sequence, key];
            vault.commit(changes).unwrap();
        },
        1,
    );
}

#[test]
fn a_rotation_that_was_cut_off_leaves_nothing_of_the_key_before() {
    let (disk, mut vault) = new_vault();
    vault.set_device_keys(device_keys(1)).unwrap();
    let before = device_keys(1).sealing;
    let start = disk.image();
    disk.take_log();
    let rotation = Change::SealingKey(SealingKey::from_bytes([9; 32]));
    commit(&mut vault, vec![rotation]).unwrap();
    let log = disk.take_log();
    let mut rotated = 0;
    for count in 0..=log.len() {
        for image in crashes(&start, &log, count) {
            let disk = Disk::with(image);
            let vault = Vault::open(disk.clone(), &kek()).unwrap();
            if vault.device_keys().unwrap().sealing == before {
                continue;
            }
            rotated += 1;
            assert!(
                !holds(&vault, before.as_slice()),
                "the key before is left after {count} of {} operations",
                log.len()
            );
        }
    }
    assert!(rotated > 0);
}

/// Whether a copy of the device's record, in its place or in the journal, has these octets.
fn holds(vault: &Vault, octets: &[u8]) -> bool {
    let copies = vault.file.all_copies(Table::DEVICE);
    let mut windows = copies.iter().flat_map(|copy| copy.windows(octets.len()));
    windows.any(|at| at == octets)
}

#[test]
fn power_that_fails_again_while_a_transaction_is_finished_changes_nothing() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1), install(2, 2)]).unwrap();
    let start = disk.image();
    disk.take_log();
    let one = slot(&vault, 1);
    commit(&mut vault, vec![Change::Delete(one), install(3, 3)]).unwrap();
    let (log, after) = (disk.take_log(), contents(&vault));
    let journalled = 1 + log[..log.len() - 1]
        .iter()
        .rposition(|operation| matches!(operation, Operation::Sync))
        .unwrap();

    // The first failure leaves the journal and nothing else.
    let image = crash(&start, &log, journalled, &|_, _| 0);
    let disk = Disk::with(image.clone());
    Vault::open(disk.clone(), &kek()).unwrap();
    let recovery = disk.take_log();
    assert!(recovery.len() > 2, "the start finished the transaction");
    for count in 0..=recovery.len() {
        for image in crashes(&image, &recovery, count) {
            assert_eq!(contents(&open_image(&image).unwrap()), after);
        }
    }
}

#[test]
fn sqns_of_one_flush_are_each_old_or_new() {
    let (disk, mut vault) = new_vault();
    commit(
        &mut vault,
        vec![install(1, 1), install(2, 2), install(3, 3)],
    )
    .unwrap();
    let start = disk.image();
    disk.take_log();
    for n in 1..=3 {
        let slot = slot(&vault, n);
        offer(&mut vault, slot, 320).unwrap();
    }
    vault.flush().unwrap();
    let log = disk.take_log();
    for count in 0..=log.len() {
        for image in crashes(&start, &log, count) {
            let vault = open_image(&image).unwrap();
            for (_, stored) in vault.profiles() {
                let sqn = stored.sqn().sqn_ms().value();
                // The highest SQN of a new USIM is that of its last IND.
                assert!(sqn == 320 || (sqn == 31 && count < log.len()), "{sqn}");
            }
        }
    }
}

#[test]
fn an_old_journal_never_takes_a_record_back() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    for round in 1..=5 {
        offer(&mut vault, one, 320 * round).unwrap();
        vault.flush().unwrap();
        let reopened = open_image(&disk.image()).unwrap();
        let sqn = reopened.profile(one).unwrap().sqn().sqn_ms().value();
        assert_eq!(sqn, 320 * round);
    }
}

/// Only one copy of the journal survived the first failure. After the second, that one may go bad.
#[test]
fn a_transaction_is_finished_only_once_both_copies_of_its_journal_are_good() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1), install(2, 2)]).unwrap();
    let (start, before) = (disk.image(), contents(&vault));
    disk.take_log();
    let one = slot(&vault, 1);
    commit(&mut vault, vec![Change::Delete(one), install(3, 3)]).unwrap();
    let (log, after) = (disk.take_log(), contents(&vault));
    let syncs = (0..log.len()).filter(|at| matches!(log[*at], Operation::Sync));
    let journalled = 1 + syncs.rev().nth(1).unwrap();

    for kept in [0, 1] {
        let image = crash(&start, &log, journalled - 1, &|index, length| {
            if index == kept { length } else { 0 }
        });
        let disk = Disk::with(image.clone());
        Vault::open(disk.clone(), &kek()).unwrap();
        let recovery = disk.take_log();
        let journal = layout(CAPACITY).offset(Table::JOURNAL, 0, kept as u64) as usize;
        for count in 0..=recovery.len() {
            for mut image in crashes(&image, &recovery, count) {
                image[journal + 100] ^= 1;
                let got = contents(&open_image(&image).unwrap());
                assert!(got == after || got == before, "after {count} operations");
            }
        }
    }
}

/// A medium may write the sectors of a copy in any order.
#[test]
fn a_transaction_is_finished_whichever_sectors_of_a_record_were_written() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let start = disk.image();
    disk.take_log();
    commit(&mut vault, vec![install(1, 2)]).unwrap();
    let (log, after) = (disk.take_log(), contents(&vault));
    let written = crash(&start, &log, log.len(), &|_, length| length);
    let syncs = (0..log.len()).filter(|at| matches!(log[*at], Operation::Sync));
    let journalled = crash(&start, &log, syncs.rev().nth(1).unwrap() + 1, &|_, _| 0);
    for table in [Table::SEQUENCE, Table::IDENTITIES, Table::PROFILE] {
        let sectors = table.record_length().div_ceil(SECTOR);
        for subset in 0..1_usize << (2 * sectors) {
            let mut image = journalled.clone();
            for half in [0, 1] {
                let at = layout(CAPACITY).offset(table, 0, half as u64) as usize;
                for sector in 0..sectors {
                    if subset >> (half * sectors + sector) & 1 == 1 {
                        let at = at + sector * SECTOR;
                        image[at..at + SECTOR].copy_from_slice(&written[at..at + SECTOR]);
                    }
                }
            }
            let got = open_image(&image).unwrap_or_else(|error| panic!("{subset:b}: {error}"));
            assert_eq!(contents(&got), after, "{table:?}, {subset:b}");
        }
    }
}
