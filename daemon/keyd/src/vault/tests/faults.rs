//! One fault of the medium, in any record, at any moment: the vault opens with its last state. Two
//! faults: with that, or not at all.

use std::ops::Range;

use super::identities::{proven, reauthentication};
use super::power::crash;
use super::*;

/// What the medium does to a copy.
#[derive(Clone, Copy, Debug)]
enum Fault {
    BitFlip,
    ReadError,
    Torn,
    Zeroed,
}

const FAULTS: [Fault; 4] = [Fault::BitFlip, Fault::ReadError, Fault::Torn, Fault::Zeroed];

/// Which copies it is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Newest,
    Older,
    Both,
}

/// The kinds of records, each with a record in use.
const RECORDS: [(Table, u32); 10] = [
    (Table::LEDGER, 0),
    (Table::JOURNAL, 0),
    (Table::DEVICE, 0),
    (Table::PROVISIONING, 0),
    (Table::ACCOUNTS, 0),
    (Table::PROFILE, 0),
    (Table::SEQUENCE, 0),
    (Table::SEQUENCE, 1),
    (Table::TOMBSTONE, 0),
    (Table::IDENTITIES, 0),
];

/// A medium at one moment, and the states that it may show.
struct Moment {
    image: Vec<u8>,
    /// The state before the transaction, if it may not have come through, and the one after it.
    states: Vec<State>,
    name: String,
}

/// What a vault holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    /// All that only transactions change.
    rest: String,
    /// By slot, now and one pass before.
    sequences: Vec<(u32, [SqnState; 2])>,
    /// By slot, now and one pass before.
    identities: Vec<(u32, [String; 2])>,
}

fn state(vault: &Vault, passes: [&str; 2]) -> State {
    let provisioning = &vault.provisioning;
    let keys = vault
        .device_keys()
        .map(|keys| (keys.device[0], keys.sealing[0]));
    let accounts: Vec<_> = vault
        .accounts
        .0
        .iter()
        .map(|(id, psk)| (id, psk.as_bytes()[0]))
        .collect();
    let tombstones: Vec<_> = tombstones(vault).iter().map(|of| of.tombstone).collect();
    let profiles: Vec<_> = vault
        .profiles()
        .map(|(slot, of)| {
            (
                slot,
                &of.profile,
                of.issuer,
                of.sequence,
                of.used.installation,
            )
        })
        .collect();
    let (certificate, anchors) = (vault.certificate(), vault.trust_anchors());
    let rest = format!(
        "{keys:?} {certificate:?} {anchors:?} {provisioning:?} {accounts:?} {profiles:?} {tombstones:?}"
    );
    let sequences = vault
        .profiles()
        .map(|(slot, of)| (slot.0, [of.sqn(), of.sqn()]));
    let enabled = vault.enabled().into_iter();
    let identities = enabled.map(|slot| (slot.0, passes.map(str::to_owned)));
    State {
        rest,
        sequences: sequences.collect(),
        identities: identities.collect(),
    }
}

/// Gives a pseudonym and a re-authentication context to the enabled profile.
fn name(vault: &mut Vault, name: &str, counter: u16) {
    let slot = vault.enabled().unwrap();
    let changed = vault.change_identities(slot, |identities| {
        identities.pseudonyms = proven(name);
        identities.reauthentication = Some(reauthentication(name, counter));
    });
    changed.unwrap();
    vault.flush().unwrap();
}

fn pseudonym_of(vault: &Vault, slot: u32) -> String {
    match vault.identities(Slot(slot)).map(|of| &of.pseudonyms) {
        Some(Pseudonyms::Pair(Pair {
            proven: Some(name), ..
        })) => name.as_str().to_owned(),
        _ => String::new(),
    }
}

/// A vault with something in each kind of record, and its state.
fn history() -> (Disk, Vault, State) {
    let (disk, mut vault) = new_vault();
    vault.set_device_keys(device_keys(1)).unwrap();
    vault.set_certificate(&[7; 600]).unwrap();
    vault.add_trust_anchor(anchor(1)).unwrap();
    let before = accounts([(1, Some(1)), (2, Some(2))]);
    commit(&mut vault, vec![install(3, 1), before]).unwrap();
    let three = slot(&vault, 3);
    offer(&mut vault, three, 32 * 7).unwrap();
    commit(
        &mut vault,
        vec![Change::Delete(three), install(2, 2), install(1, 3)],
    )
    .unwrap();
    let mut before = state(&vault, ["", ""]);
    for round in 1..=3 {
        before = state(&vault, ["", ""]);
        for n in [1, 2] {
            let slot = slot(&vault, n);
            offer(&mut vault, slot, 32 * round + u64::from(n)).unwrap();
        }
        name(&mut vault, &format!("pass{round}"), round as u16);
    }
    let now = state(&vault, ["pass3", "pass2"]).after(&before);
    (disk, vault, now)
}

impl State {
    /// The same, with the sequence numbers of one pass before.
    fn after(mut self, before: &Self) -> Self {
        for (now, before) in self.sequences.iter_mut().zip(&before.sequences) {
            now.1[1] = before.1[0].clone();
        }
        self
    }
}

/// A transaction that writes every kind of record.
fn transaction(vault: &mut Vault) {
    let (one, two) = (slot(vault, 1), slot(vault, 2));
    let changes = vec![
        Change::Transaction([2; 16]),
        Change::Delete(two),
        Change::Disable(one),
        install(4, 4),
        accounts([(2, None), (3, Some(3))]),
        Change::SealingKey(SealingKey::from_bytes([9; 32])),
    ];
    commit(vault, changes).unwrap();
}

/// The vault at rest, and at each point of a transaction and of a pass.
fn moments() -> Vec<Moment> {
    let (disk, mut vault, before) = history();
    let start = disk.image();
    let mut moments = vec![Moment {
        image: start.clone(),
        states: vec![before.clone()],
        name: "at rest".into(),
    }];

    disk.take_log();
    let one = slot(&vault, 1);
    offer(&mut vault, one, 32 * 9).unwrap();
    name(&mut vault, "pass4", 4);
    let after = state(&vault, ["pass4", "pass3"]).after(&before);
    // The records of a pass are consistent one by one.
    let named = State {
        identities: after.identities.clone(),
        ..before.clone()
    };
    let states = [before.clone(), named, after];
    moments.extend(interrupted(&start, &disk.take_log(), &states, "pass"));

    let (disk, mut vault, _) = history();
    let start = disk.image();
    disk.take_log();
    transaction(&mut vault);
    let after = state(&vault, ["", ""]);
    let states = [before, after.clone()];
    moments.extend(interrupted(
        &start,
        &disk.take_log(),
        &states,
        "transaction",
    ));
    moments.push(Moment {
        image: disk.image(),
        states: vec![after],
        name: "at rest after a transaction".into(),
    });
    moments
}

/// What a power cut leaves behind each operation: the last write whole or in part; and before a
/// sync, every other write.
fn interrupted(start: &[u8], log: &[Operation], states: &[State], what: &str) -> Vec<Moment> {
    let mut moments = Vec::new();
    let mut add = |count, way, kept: &dyn Fn(usize, usize) -> usize| {
        moments.push(Moment {
            image: crash(start, log, count, kept),
            states: states.to_vec(),
            name: format!("{what} cut off behind {count} operations, {way}"),
        });
    };
    for count in 1..log.len() {
        let synced = log[..count]
            .iter()
            .rposition(|of| matches!(of, Operation::Sync));
        let last = count - 1 - synced.map_or(0, |at| at + 1).min(count - 1);
        add(count, "all kept", &|_, length| length);
        if matches!(log[count], Operation::Sync) {
            add(count, "even ones kept", &|index, length| {
                length * (1 - index % 2)
            });
            add(count, "odd ones kept", &|index, length| {
                length * (index % 2)
            });
        }
        if matches!(log[count - 1], Operation::Write(..)) {
            add(count, "the last in part", &|index, length| {
                if index == last { 100 } else { length }
            });
        }
    }
    moments
}

/// The octets of a copy of a record, and the generation at its start.
fn copy_of(image: &[u8], (table, index): (Table, u32), half: u64) -> (Range<usize>, u64) {
    let start = layout(CAPACITY).offset(table, index, half) as usize;
    let generation = image[start + 8..start + 16].try_into().unwrap();
    (
        start..start + table.record_length(),
        u64::from_be_bytes(generation),
    )
}

/// A medium on which a fault befell some copies of a record.
fn spoiled(moment: &Moment, record: (Table, u32), fault: Fault, which: Which) -> Disk {
    let mut image = moment.image.clone();
    let copies = [0, 1].map(|half| copy_of(&image, record, half));
    let newest = usize::from(copies[1].1 >= copies[0].1);
    let disk = Disk::default();
    for (half, (octets, generation)) in copies.into_iter().enumerate() {
        let is_newest = half == newest;
        if which != Which::Both && is_newest != (which == Which::Newest) {
            continue;
        }
        match fault {
            Fault::BitFlip => image[octets.start + 60] ^= 4,
            Fault::Zeroed => image[octets].fill(0),
            Fault::ReadError => disk.spoil(octets),
            Fault::Torn => {
                let older = generation.saturating_sub(2).to_be_bytes();
                image[octets.start + 50..octets.end - 8].fill(0x5a);
                image[octets.end - 8..octets.end].copy_from_slice(&older);
            }
        }
    }
    *disk.octets.borrow_mut() = image;
    disk
}

/// Whether a vault shows a state: the same, or more sequence numbers used, or identities that are
/// one pass behind, without what may be used once only. If a copy that is written in turn was cut
/// off, no answer had left, and it is the state of one pass before.
fn shows(vault: &Vault, expected: &State, cut_off: bool) -> bool {
    let got = state(vault, ["", ""]);
    let at_least = |got: &SqnState, expected: &SqnState| {
        let mut merged = got.clone();
        merged.merge(expected);
        merged == *got
    };
    got.rest == expected.rest
        && got.sequences.len() == expected.sequences.len()
        && got
            .sequences
            .iter()
            .zip(&expected.sequences)
            .all(|(got, expected)| {
                let expected_seq = &expected.1[usize::from(cut_off)];
                got.0 == expected.0 && at_least(&got.1[0], expected_seq)
            })
        && expected.identities.iter().all(|(slot, [now, before])| {
            let shown = pseudonym_of(vault, *slot);
            let context = vault
                .identities(Slot(*slot))
                .is_some_and(|of| of.reauthentication.is_some());
            shown == *now || shown == *before && (cut_off || !context)
        })
}

/// Opens a spoiled medium, expects one of the states, and that nothing is bad any more afterwards.
fn check(disk: &Disk, moment: &Moment, cut_off: bool, what: &str) -> Result<(), OpenError> {
    let vault = match Vault::open(disk.clone(), &kek()) {
        Ok(vault) => vault,
        Err(error) => {
            assert!(error.advice().is_some(), "{what}: {error}");
            return Err(error);
        }
    };
    let shown: Vec<_> = moment
        .states
        .iter()
        .filter(|state| shows(&vault, state, cut_off))
        .collect();
    assert!(!shown.is_empty(), "{what}: {:?}", state(&vault, ["", ""]));
    for (slot, [used, _]) in state(&vault, ["", ""]).sequences {
        let all = moment.states.iter().flat_map(|state| &state.sequences);
        let highest = all
            .filter(|of| of.0 == slot)
            .map(|of| of.1[0].highest_seq())
            .max();
        assert!(
            used.highest_seq() <= highest.unwrap() + (1 << 20),
            "{what}: slot {slot}"
        );
    }
    let (again, before) = (Vault::open(disk.clone(), &kek()).unwrap(), contents(&vault));
    assert_eq!(contents(&again), before, "{what}");
    assert_eq!(again.damage(), [], "{what}: what was bad was written again");
    Ok(())
}

fn is_in_turn((table, _): (Table, u32)) -> bool {
    [Table::SEQUENCE, Table::IDENTITIES].contains(&table)
}

fn is_cut_off(record: (Table, u32), fault: Fault, which: Which) -> bool {
    is_in_turn(record) && matches!((fault, which), (Fault::Torn, Which::Newest | Which::Both))
}

/// The faults at a moment: at rest all of them, and within a transaction one for each record, with
/// another at the next moment.
fn faults(moment: usize, at_rest: bool) -> Vec<((Table, u32), Fault, Which)> {
    let mut faults = Vec::new();
    for (nth, record) in RECORDS.into_iter().enumerate() {
        for (of, fault) in FAULTS.into_iter().enumerate() {
            if at_rest || of == (moment + nth) % FAULTS.len() {
                faults.push((record, fault, Which::Newest));
                faults.push((record, fault, Which::Older));
            }
            if at_rest {
                faults.push((record, fault, Which::Both));
            }
        }
    }
    faults
}

#[test]
fn after_one_fault_the_state_is_the_last_one_and_after_two_that_or_none() {
    let mut opened_after_two = 0;
    for (number, moment) in moments().iter().enumerate() {
        for (record, fault, which) in faults(number, moment.name.contains("at rest")) {
            let disk = spoiled(moment, record, fault, which);
            let what = format!("{}: {fault:?} in {record:?}, {which:?}", moment.name);
            let opened = check(&disk, moment, is_cut_off(record, fault, which), &what);
            // The write of a pass that was cut off spoiled the other copy.
            let two = which == Which::Both || is_in_turn(record) && moment.name.contains("pass");
            match opened {
                Ok(()) if which == Which::Both => opened_after_two += 1,
                Ok(()) => {}
                Err(error) => assert!(two, "{what}: {error}"),
            }
        }
    }
    assert!(opened_after_two > 0, "the journal restores what it has");
}

/// keyd mends a bad copy when it starts, and power fails at each point of that.
#[test]
fn mending_that_is_cut_off_loses_nothing() {
    let moments = moments();
    let moment = &moments[0];
    for (record, fault) in RECORDS
        .iter()
        .flat_map(|of| FAULTS.map(|fault| (*of, fault)))
    {
        for which in [Which::Newest, Which::Older] {
            let disk = spoiled(moment, record, fault, which);
            let (start, unreadable) = (disk.image(), disk.unreadable.borrow().clone());
            disk.take_log();
            Vault::open(disk.clone(), &kek()).unwrap();
            let log = disk.take_log();
            for count in 0..=log.len() {
                for part in [0, 100] {
                    let image = crash(&start, &log, count, &|_, length| part.min(length));
                    let disk = Disk::with(image);
                    if part == 0 && count < log.len() {
                        *disk.unreadable.borrow_mut() = unreadable.clone();
                    }
                    let what = format!("{fault:?} in {record:?}, {which:?}, {count} operations");
                    let cut_off = is_cut_off(record, fault, which);
                    check(&disk, moment, cut_off, &what).unwrap();
                }
            }
        }
    }
}

/// The start mends what the first fault left, so that the second one is the only one again. That
/// holds even for a corrupt copy that was the older one by both its ends, and costs nothing.
#[test]
fn a_fault_in_the_other_copy_after_a_start_is_one_fault() {
    let (disk, _, now) = history();
    let moment = Moment {
        image: disk.image(),
        states: vec![now],
        name: "at rest".into(),
    };
    for record in RECORDS {
        for (first, second) in FAULTS.iter().flat_map(|of| FAULTS.map(|then| (*of, then))) {
            let what = format!("{first:?}, then {second:?} in {record:?}");
            let disk = spoiled(&moment, record, first, Which::Older);
            let vault = Vault::open(disk.clone(), &kek()).unwrap();
            if matches!(first, Fault::BitFlip) {
                assert_eq!(vault.damage().len(), 1, "{what}");
                assert_eq!(vault.sequences_lost(), 0, "{what}");
                assert!(shows(&vault, &moment.states[0], false), "{what}");
            }
            let shown = pseudonym_of(&vault, vault.enabled().unwrap().0);
            let mended = Moment {
                image: disk.image(),
                states: vec![state(&vault, [&shown, &shown])],
                name: what.clone(),
            };
            let disk = spoiled(&mended, record, second, Which::Newest);
            let cut_off = is_cut_off(record, second, Which::Newest);
            check(&disk, &mended, cut_off, &what).unwrap();
        }
    }
}

#[test]
fn a_half_of_which_nothing_can_be_read_costs_no_state() {
    let moments = moments();
    for mut image in [
        moments[0].image.clone(),
        moments.last().unwrap().image.clone(),
    ] {
        for half in [0, 1, 0] {
            let vault = open_image(&image).unwrap();
            let shown = pseudonym_of(&vault, vault.enabled().unwrap().0);
            let moment = Moment {
                states: vec![state(&vault, [&shown, "pass2"])],
                image,
                name: String::new(),
            };
            let disk = Disk::with(moment.image.clone());
            let length = layout(CAPACITY).half() as usize;
            disk.spoil(half * length..(half + 1) * length);
            check(&disk, &moment, false, &format!("half {half}")).unwrap();
            let mut vault = Vault::open(disk.clone(), &kek()).unwrap();
            commit(&mut vault, vec![Change::Transaction([half as u8; 16])]).unwrap();
            let again = open_image(&disk.image()).unwrap();
            assert_eq!(contents(&again), contents(&vault));
            image = disk.image();
        }
    }
}
