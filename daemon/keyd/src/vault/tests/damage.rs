//! A medium that changes what was written: the other copy replaces a bad one, and two bad copies
//! stop the start.

use super::*;

/// Length of the record of a sequence.
const SEQUENCE: usize = Table::SEQUENCE.record_length();

/// SQN_MS if the copy with a SEQ above 2 is lost: D is 2^20, and all INDs count.
const LOST_AT_64: u64 = (2 + (1 << 20)) << 5 | 31;

/// A vault with a history, the place of a sequence's two copies, and the newer one's half.
fn used_vault() -> (Vec<u8>, [u64; 2], usize) {
    let (disk, mut vault) = new_vault();
    vault.set_device_keys(device_keys(1)).unwrap();
    commit(&mut vault, vec![install(1, 1), install(2, 2)]).unwrap();
    // So that the journal doesn't have the profiles any more.
    commit(&mut vault, vec![Change::Transaction([1; 16])]).unwrap();
    let one = slot(&vault, 1);
    for round in 1..=3 {
        offer(&mut vault, one, 32 * round).unwrap();
        vault.flush().unwrap();
    }
    let layout = layout(CAPACITY);
    let places = [0, 1].map(|half| layout.offset(Table::SEQUENCE, one.0, half));
    let newer = (vault.file.generation(Table::SEQUENCE, 0) & 1) as usize;
    (disk.image(), places, newer)
}

fn sqn_of_first(vault: &Vault) -> u64 {
    vault
        .profile(slot(vault, 1))
        .unwrap()
        .sqn()
        .sqn_ms()
        .value()
}

fn error_of(image: &[u8]) -> OpenError {
    match open_image(image) {
        Err(error) => error,
        Ok(_) => panic!("it opened"),
    }
}

fn swap(image: &mut [u8], a: u64, b: u64, length: usize) {
    let (a, b) = (a as usize, b as usize);
    let first = image[a..a + length].to_vec();
    image.copy_within(b..b + length, a);
    image[b..b + length].copy_from_slice(&first);
}

#[test]
fn where_the_newest_seq_ms_is_lost_every_seq_that_it_may_have_had_counts_as_used() {
    let (mut image, places, newer) = used_vault();
    assert_eq!(sqn_of_first(&open_image(&image).unwrap()), 96);
    image[places[newer] as usize + 100] ^= 1;
    let disk = Disk::with(image);
    let mut vault = Vault::open(disk.clone(), &kek()).unwrap();
    assert_eq!(sqn_of_first(&vault), LOST_AT_64);
    let [damage] = vault.damage() else {
        panic!("{:?}", vault.damage())
    };
    assert_eq!(
        *damage,
        Damage::Record {
            table: Table::SEQUENCE,
            index: 0,
            half: newer as u8,
            fault: CopyFault::Corrupt
        }
    );
    let half = if newer == 0 { 'A' } else { 'B' };
    assert_eq!(
        damage.to_string(),
        format!("record 0 of the sequence numbers, copy {half}: it is corrupt")
    );

    let one = slot(&vault, 1);
    assert!(offer(&mut vault, one, 96).is_err());
    let vault = Vault::open(disk, &kek()).unwrap();
    assert_eq!(vault.damage(), [], "both copies were written again");
    assert_eq!(sqn_of_first(&vault), LOST_AT_64);
}

#[test]
fn a_lost_copy_of_seq_ms_costs_one_resynchronisation() {
    let (mut image, places, newer) = used_vault();
    image[places[newer] as usize + 100] ^= 1;
    let mut vault = open_image(&image).unwrap();
    let one = slot(&vault, 1);
    let refused = offer(&mut vault, one, 128).unwrap_err();
    assert!(matches!(refused, AuthenticationFailure::SyncFailure(_)));
    // The AuC goes on above the SQN_MS of AUTS.
    offer(&mut vault, one, LOST_AT_64 + 32).unwrap();
}

#[test]
fn a_seq_ms_that_jumps_is_written_to_both_copies_before_the_flush_returns() {
    const D: u64 = 1 << 20;
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    for (seq, writes) in [(D, 1), (2 * D, 1), (3 * D + 1, 2), (3 * D + 2, 1)] {
        disk.take_log();
        offer(&mut vault, one, seq << 5).unwrap();
        vault.flush().unwrap();
        assert_eq!(disk.syncs(), writes, "SEQ {seq}");
        assert_eq!(disk.log.borrow().len(), 2 * writes, "a sync after each");
        for half in [0, 1] {
            let mut image = disk.image();
            let at = layout(CAPACITY).offset(Table::SEQUENCE, one.0, half) as usize;
            image[at + 100] ^= 1;
            let mut vault = open_image(&image).unwrap();
            assert!(offer(&mut vault, one, seq << 5).is_err(), "SEQ {seq}");
        }
    }
}

#[test]
fn a_profile_whose_k_has_a_tombstone_is_refused() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    commit(&mut vault, vec![Change::Delete(one)]).unwrap();
    let tombstone = vault.tables.tombstones.record(0);
    commit(&mut vault, vec![install(1, 2)]).unwrap();
    // Nobody without the data key can write such a file.
    vault.file.commit(&[tombstone]).unwrap();
    let error = error_of(&disk.image());
    assert!(matches!(error, OpenError::Tombstone(0)), "{error}");
    assert!(error.advice().is_some());
}

#[test]
fn two_bad_copies_stop_the_start_and_say_what_is_wrong_with_each() {
    let (mut image, places, _) = used_vault();
    image[places[0] as usize + 100] ^= 1;
    image[places[1] as usize + 100] ^= 1;
    image[places[1] as usize + SEQUENCE - 1] ^= 1;
    let error = error_of(&image);
    assert!(matches!(
        error,
        OpenError::BothCopies {
            table: Table::SEQUENCE,
            index: 0,
            faults: [CopyFault::Corrupt, CopyFault::Torn]
        }
    ));
    assert_eq!(
        error.to_string(),
        "record 0 of the sequence numbers: both copies are bad; A: it is corrupt; B: its writing was cut off"
    );
    let again = error_of(&image);
    assert!(
        matches!(again, OpenError::BothCopies { .. }),
        "nothing was reset"
    );
}

#[test]
fn records_that_changed_places_are_told_as_such() {
    let (image, places, _) = used_vault();
    let layout = layout(CAPACITY);
    let mut swapped = image.clone();
    for half in [0, 1] {
        let other = layout.offset(Table::SEQUENCE, 1, half as u64);
        swap(&mut swapped, places[half], other, SEQUENCE);
    }
    let OpenError::BothCopies { faults, .. } = error_of(&swapped) else {
        panic!()
    };
    for fault in faults {
        assert!(matches!(
            fault,
            CopyFault::Misplaced(Place {
                table: Table::SEQUENCE,
                index: 1,
                ..
            })
        ));
    }

    let mut halves = image.clone();
    swap(&mut halves, places[0], places[1], SEQUENCE);
    let OpenError::BothCopies { faults, .. } = error_of(&halves) else {
        panic!()
    };
    assert!(
        faults
            .iter()
            .all(|fault| matches!(fault, CopyFault::Misplaced(Place { index: 0, .. })))
    );

    let mut tables = image;
    for half in [0, 1] {
        let profile = layout.offset(Table::PROFILE, 0, half as u64);
        swap(&mut tables, places[half], profile, SEQUENCE);
    }
    let OpenError::BothCopies { faults, .. } = error_of(&tables) else {
        panic!()
    };
    assert!(matches!(
        faults[0],
        CopyFault::Misplaced(Place {
            table: Table::SEQUENCE,
            ..
        })
    ));
}

#[test]
fn a_copy_that_claims_another_generation_is_corrupt() {
    let (mut image, places, newer) = used_vault();
    let at = places[newer] as usize;
    // Two generations on, at the head and at the trailer.
    image[at + 15] += 2;
    image[at + SEQUENCE - 1] += 2;
    let vault = open_image(&image).unwrap();
    assert_eq!(sqn_of_first(&vault), LOST_AT_64);
    assert!(matches!(
        vault.damage(),
        [Damage::Record {
            fault: CopyFault::Corrupt,
            ..
        }]
    ));
}

#[test]
fn an_old_copy_that_was_put_back_is_noticed() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    let layout = layout(CAPACITY);
    let generation = vault.file.generation(Table::SEQUENCE, 0);
    let at = layout.offset(Table::SEQUENCE, one.0, generation & 1) as usize;
    let old = disk.image()[at..at + SEQUENCE].to_vec();
    for round in 1..=3 {
        offer(&mut vault, one, 32 * round).unwrap();
        vault.flush().unwrap();
    }
    let mut image = disk.image();
    image[at..at + SEQUENCE].copy_from_slice(&old);
    let vault = open_image(&image).unwrap();
    assert!(sqn_of_first(&vault) > 96, "no SQN that was used is fresh");
    let stale = Place {
        table: Table::SEQUENCE,
        index: 0,
        generation,
    };
    assert!(
        matches!(vault.damage(), [Damage::Record { fault: CopyFault::Stale(place), .. }] if *place == stale)
    );
}

#[test]
fn a_record_behind_the_last_transaction_is_lost() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let layout = layout(CAPACITY);
    let places = [0, 1].map(|half| layout.offset(Table::LEDGER, 0, half) as usize);
    let old = disk.image();
    for sequence in 2..5 {
        commit(&mut vault, vec![install(1, sequence)]).unwrap();
    }
    let mut image = disk.image();
    for at in places {
        let end = at + Table::LEDGER.record_length();
        image[at..end].copy_from_slice(&old[at..end]);
    }
    let error = error_of(&image);
    assert!(
        matches!(
            error,
            OpenError::Lost {
                journal: Place {
                    table: Table::LEDGER,
                    generation: 8,
                    ..
                },
                got: 3
            }
        ),
        "{error}"
    );
}

/// Puts both copies of a record back as they were in an older image.
fn put_back(image: &mut [u8], old: &[u8], table: Table, index: u32) {
    let layout = layout(CAPACITY);
    for half in [0, 1] {
        let at = layout.offset(table, index, half) as usize;
        let end = at + table.record_length();
        image[at..end].copy_from_slice(&old[at..end]);
    }
}

#[test]
fn a_record_that_was_put_back_whole_is_noticed_from_the_next_transaction_on() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1), install(2, 2)]).unwrap();
    let old = disk.image();
    let one = slot(&vault, 1);
    for round in 1..=2 {
        offer(&mut vault, one, 32 * round).unwrap();
        vault.flush().unwrap();
    }
    commit(&mut vault, vec![Change::Transaction([1; 16])]).unwrap();
    let mut image = disk.image();
    put_back(&mut image, &old, Table::SEQUENCE, one.0);
    let error = error_of(&image);
    let OpenError::PutBack { expected, got } = error else {
        panic!("{error}")
    };
    assert_eq!(expected, got + 2);
}

#[test]
fn a_forged_older_head_on_the_newer_copy_hides_no_version() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    offer(&mut vault, one, 32).unwrap();
    vault.flush().unwrap();
    commit(&mut vault, vec![Change::Transaction([1; 16])]).unwrap();
    let generation = vault.file.generation(Table::SEQUENCE, 0);
    let layout = layout(CAPACITY);
    let at = layout.offset(Table::SEQUENCE, one.0, generation & 1) as usize;
    let mut image = disk.image();
    // It claims to be the one before the older copy.
    image[at + 15] -= 2;
    image[at + SEQUENCE - 1] -= 2;
    assert!(matches!(error_of(&image), OpenError::PutBack { .. }));
}

#[test]
fn sequence_numbers_from_before_the_profile_came_are_told_as_such() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let one = slot(&vault, 1);
    let old = disk.image();
    commit(&mut vault, vec![Change::Delete(one)]).unwrap();
    commit(&mut vault, vec![install(2, 2)]).unwrap();
    for octet in [1, 2] {
        // So that the journal doesn't have the record any more.
        commit(&mut vault, vec![Change::Transaction([octet; 16])]).unwrap();
    }
    assert_eq!(slot(&vault, 2), one, "in the same slot");
    let mut image = disk.image();
    put_back(&mut image, &old, Table::SEQUENCE, one.0);
    let error = error_of(&image);
    assert!(
        matches!(
            error,
            OpenError::OtherInstallation {
                table: Table::SEQUENCE,
                index: 0,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_wrong_kek_is_told_from_damage() {
    let (image, ..) = used_vault();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kek");
    std::fs::write(&path, [1; 32]).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o400)).unwrap();
    let other = Kek::read(&path).unwrap();
    let error = Vault::open(Disk::with(image), &other).err().unwrap();
    assert!(matches!(error, OpenError::WrongKek));
}

#[test]
fn the_records_of_another_vault_are_told_from_damage() {
    let (image, ..) = used_vault();
    let (mut other, ..) = used_vault();
    let half = layout(CAPACITY).half() as usize;
    for at in [0, half] {
        other[at..at + 4096].copy_from_slice(&image[at..at + 4096]);
    }
    let error = error_of(&other);
    assert!(matches!(error, OpenError::Foreign), "{error}");
}

#[test]
fn a_file_of_another_length_is_told_as_such() {
    let (image, ..) = used_vault();
    let expected = layout(CAPACITY).file_length();
    let mut longer = image.clone();
    longer.push(0);
    for file in [
        &image[..image.len() - 1],
        &image[..image.len() / 2],
        &image[..4096],
        &longer,
    ] {
        let error = error_of(file);
        assert!(
            matches!(error, OpenError::Length { expected: e, got } if e == expected && got == file.len() as u64),
            "{error}"
        );
    }
    for file in [&image[..0], &image[..100]] {
        assert!(matches!(error_of(file), OpenError::NotAVault));
    }
}

#[test]
fn one_good_header_is_enough() {
    let (image, ..) = used_vault();
    let half = layout(CAPACITY).half() as usize;
    for (at, expected) in [(20, 0), (half + 20, 1), (0, 0), (half, 1)] {
        let mut damaged = image.clone();
        damaged[at] ^= 1;
        let vault = open_image(&damaged).unwrap();
        assert_eq!(vault.damage(), [Damage::Header { half: expected }]);
    }
    let mut damaged = image.clone();
    damaged[20] ^= 1;
    damaged[half + 20] ^= 1;
    assert!(matches!(error_of(&damaged), OpenError::HeaderDamaged));
    damaged[0] ^= 1;
    assert!(matches!(error_of(&damaged), OpenError::HeaderDamaged));
    damaged[half] ^= 1;
    assert!(matches!(error_of(&damaged), OpenError::NotAVault));
}

#[test]
fn another_format_is_told_as_such() {
    use sha2::{Digest, Sha256};

    let (mut image, ..) = used_vault();
    image[9] = 1;
    let digest = Sha256::digest(&image[..86]);
    image[86..118].copy_from_slice(&digest);
    assert!(matches!(
        error_of(&image),
        OpenError::Format {
            expected: 6,
            got: 1
        }
    ));
}

#[test]
fn a_header_that_claims_a_huge_capacity_is_refused() {
    use sha2::{Digest, Sha256};

    let (mut image, ..) = used_vault();
    image[10..14].fill(0xff);
    let digest = Sha256::digest(&image[..86]);
    image[86..118].copy_from_slice(&digest);
    assert!(matches!(error_of(&image), OpenError::Length { .. }));

    // One that fits the file, but isn't the authenticated one.
    let (mut image, ..) = used_vault();
    image[13] -= 1;
    let digest = Sha256::digest(&image[..86]);
    image[86..118].copy_from_slice(&digest);
    image.truncate(layout(CAPACITY - 1).file_length() as usize);
    assert!(matches!(error_of(&image), OpenError::WrongKek));
}

#[test]
fn any_single_octet_may_change_without_a_panic_and_without_a_false_state() {
    let (image, _, newer) = used_vault();
    let good = contents(&open_image(&image).unwrap());
    for at in (newer..image.len()).step_by(1999) {
        let mut damaged = image.clone();
        damaged[at] ^= 0x40;
        let vault = open_image(&damaged).unwrap();
        if contents(&vault) != good {
            assert!(
                !vault.damage().is_empty(),
                "octet {at}: an unreported change"
            );
        }
    }
}

#[test]
fn a_bad_copy_of_a_record_in_pairs_excuses_no_missing_version() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1), install(2, 2)]).unwrap();
    let one = slot(&vault, 1);
    let old = disk.image();
    offer(&mut vault, one, 32).unwrap();
    vault.flush().unwrap();
    commit(&mut vault, vec![Change::Transaction([1; 16])]).unwrap();
    let mut image = disk.image();
    put_back(&mut image, &old, Table::SEQUENCE, one.0);
    let at = layout(CAPACITY).offset(Table::PROFILE, 0, 0) as usize;
    image[at + 100] ^= 1;
    let error = error_of(&image);
    assert!(matches!(error, OpenError::PutBack { .. }), "{error}");
}

/// The journal explains a copy as old as the transaction found it, and none that is older.
#[test]
fn an_old_copy_beside_the_last_transaction_s_hides_no_version() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let old = disk.image();
    for round in 1..=2 {
        let one = slot(&vault, 1);
        offer(&mut vault, one, 32 * round).unwrap();
        vault.flush().unwrap();
    }
    commit(&mut vault, vec![install(1, 2)]).unwrap();
    let one = slot(&vault, 1);
    offer(&mut vault, one, 96).unwrap();
    vault.flush().unwrap();
    let mut image = disk.image();
    let half = vault.file.generation(Table::SEQUENCE, 0) & 1;
    let at = layout(CAPACITY).offset(Table::SEQUENCE, one.0, half) as usize;
    image[at..at + SEQUENCE].copy_from_slice(&old[at..at + SEQUENCE]);
    let mut vault = open_image(&image).unwrap();
    assert!(offer(&mut vault, one, 96).is_err());
}

#[test]
fn a_bad_sector_where_no_record_is_yet_stops_no_installation() {
    for table in [
        Table::PROFILE,
        Table::SEQUENCE,
        Table::TOMBSTONE,
        Table::IDENTITIES,
    ] {
        for half in [0, 1] {
            let (disk, mut vault) = new_vault();
            let start = layout(CAPACITY).offset(table, 0, half) as usize;
            disk.spoil(start..start + BLOCK);
            commit(&mut vault, vec![install(1, 1)]).unwrap();
            let one = slot(&vault, 1);
            commit(&mut vault, vec![Change::Delete(one)]).unwrap();
            assert_eq!(open_image(&disk.image()).unwrap().damage(), []);
        }
    }
}

#[test]
fn a_bad_copy_that_the_journal_replaces_is_told_of() {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    for (table, half) in [
        (Table::PROFILE, 0),
        (Table::PROFILE, 1),
        (Table::SEQUENCE, 1),
        (Table::PROVISIONING, 0),
    ] {
        let mut image = disk.image();
        image[layout(CAPACITY).offset(table, 0, half) as usize + 100] ^= 1;
        let expected = Damage::Record {
            table,
            index: 0,
            half: half as u8,
            fault: CopyFault::Corrupt,
        };
        let vault = open_image(&image).unwrap();
        assert_eq!(vault.damage(), [expected]);
        assert_eq!(vault.sequences_lost(), 0, "the journal has it");
    }
}
