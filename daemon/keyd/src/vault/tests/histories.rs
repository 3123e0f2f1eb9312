//! Histories of changes, power failures and single faults: each ends in the last state, and no
//! AUTN is taken twice.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::identities::{proven, reauthentication};
use super::*;
use crate::vault::file::Copies;

/// A source of choices, the same for the same seed.
struct Choices(u64);

impl Choices {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }
}

/// What has become durable, and what may have.
#[derive(Clone, Default)]
struct Model {
    rest: String,
    accepted: HashSet<(u8, u64)>,
    /// By slot: the pass of the last names, and the one before it.
    names: BTreeMap<u32, [u16; 2]>,
}

fn rest(vault: &Vault) -> String {
    let keys = vault.device_keys().map(|keys| keys.sealing[0]);
    let accounts: Vec<_> = vault
        .accounts
        .0
        .iter()
        .map(|(id, psk)| (id, psk.as_bytes()[0]))
        .collect();
    let tombstones: BTreeSet<_> = tombstones(vault)
        .iter()
        .map(|of| format!("{:?}", of.tombstone))
        .collect();
    let profiles: Vec<_> = vault
        .profiles()
        .map(|(slot, of)| (slot, &of.profile, of.sequence, of.used.installation))
        .collect();
    format!(
        "{keys:?} {:?} {:?} {:?} {accounts:?} {profiles:?} {tombstones:?}",
        vault.certificate(),
        vault.trust_anchors(),
        vault.provisioning
    )
}

struct History {
    choices: Choices,
    sequence: u64,
    pass: u16,
}

impl History {
    /// One change, and which profiles took which SQN in it.
    fn change(&mut self, vault: &mut Vault, next: &mut Model) -> String {
        let n = 1 + self.choices.below(3) as u8;
        self.sequence += 1;
        let kind = self.choices.below(12);
        match kind {
            0 | 1 => commit(vault, vec![install(n, self.sequence)]).unwrap(),
            2 => {
                if let Some(slot) = vault.find(&iccid(n)) {
                    commit(vault, vec![Change::Delete(slot)]).unwrap();
                }
            }
            3 => {
                if let Some(slot) = vault.find(&iccid(n)) {
                    commit(vault, vec![Change::Enable(slot)]).unwrap();
                }
            }
            4 => commit(vault, vec![Change::Transaction([self.sequence as u8; 16])]).unwrap(),
            5 => vault.set_certificate(&[self.sequence as u8; 900]).unwrap(),
            6 => commit(
                vault,
                vec![accounts([(1, Some(self.sequence as u8)), (2, Some(2))])],
            )
            .unwrap(),
            _ => {
                for n in 1..=3_u8 {
                    if self.choices.below(2) == 0 {
                        continue;
                    }
                    let Some(slot) = vault.find(&iccid(n)) else {
                        continue;
                    };
                    let state = vault.profile(slot).unwrap().sqn();
                    let jump = match self.choices.below(6) {
                        0 => (1 << 20) + self.choices.below(1 << 21) as u64,
                        _ => 1 + self.choices.below(3) as u64,
                    };
                    let ind = self.choices.below(32) as u64;
                    let sqn = (state.highest_seq() + jump) << 5 | ind;
                    if offer(vault, slot, sqn).is_ok() {
                        assert!(next.accepted.insert((n, sqn)), "{n} took {sqn} twice");
                    }
                }
                if let Some(slot) = vault.enabled() {
                    self.pass += 1;
                    let pass = self.pass;
                    let changed = vault.change_identities(slot, |identities| {
                        identities.pseudonyms = proven(&format!("{pass}"));
                        identities.reauthentication = Some(reauthentication("a@b", pass));
                    });
                    if changed.is_some() {
                        next.names
                            .entry(slot.0)
                            .and_modify(|of| *of = [pass, of[0]])
                            .or_insert([pass, 0]);
                    }
                }
                vault.flush().unwrap();
            }
        }
        next.rest = rest(vault);
        let names: BTreeMap<_, _> = (0..CAPACITY)
            .filter_map(|slot| {
                let shown = shown(vault, slot)?;
                let known = next.names.get(&slot).filter(|of| of[0] == shown).copied();
                Some((slot, known.unwrap_or([shown, 0])))
            })
            .collect();
        next.names = names;
        format!("{kind} of {n}")
    }
}

/// The pass of the pseudonym in a slot.
fn shown(vault: &Vault, slot: u32) -> Option<u16> {
    match &vault.identities(Slot(slot))?.pseudonyms {
        Pseudonyms::Pair(Pair {
            proven: Some(name), ..
        }) => name.as_str().parse().ok(),
        _ => Some(0),
    }
}

/// A medium after power failed behind some operations: of what wasn't synced, any sectors.
fn crash(choices: &mut Choices, start: &[u8], log: &[Operation]) -> Vec<u8> {
    let count = choices.below(log.len() + 1);
    let log = &log[..count];
    let synced = log.iter().rposition(|of| matches!(of, Operation::Sync));
    let synced = synced.map_or(0, |at| at + 1);
    let mut image = start.to_vec();
    let bias = choices.below(3);
    for (index, operation) in log.iter().enumerate() {
        let Operation::Write(offset, octets) = operation else {
            continue;
        };
        let offset = *offset as usize;
        for (at, sector) in (0..).step_by(SECTOR).zip(octets.chunks(SECTOR)) {
            let length = if index < synced {
                sector.len()
            } else {
                match (choices.below(8), bias) {
                    (0, _) => choices.below(sector.len() + 1),
                    (1..=3, 0) | (1..=6, 1) | (1, 2) => sector.len(),
                    _ => 0,
                }
            };
            image[offset + at..][..length].copy_from_slice(&sector[..length]);
        }
    }
    image
}

const RECORDS: [(Table, u32); 16] = [
    (Table::LEDGER, 0),
    (Table::JOURNAL, 0),
    (Table::DEVICE, 0),
    (Table::PROVISIONING, 0),
    (Table::ACCOUNTS, 0),
    (Table::PROFILE, 0),
    (Table::PROFILE, 1),
    (Table::SEQUENCE, 0),
    (Table::SEQUENCE, 1),
    (Table::SEQUENCE, 2),
    (Table::SEQUENCE, 0),
    (Table::TOMBSTONE, 0),
    (Table::TOMBSTONE, 1),
    (Table::IDENTITIES, 0),
    (Table::IDENTITIES, 1),
    (Table::IDENTITIES, 2),
];

/// Harms one copy of a record.
fn harm(choices: &mut Choices, disk: &Disk) -> ((Table, u32), String) {
    let record = RECORDS[choices.below(RECORDS.len())];
    let half = choices.below(2) as u64;
    let start = layout(CAPACITY).offset(record.0, record.1, half) as usize;
    let length = record.0.record_length();
    let kind = choices.below(5);
    match kind {
        0 | 1 => {
            let at = match choices.below(4) {
                0 => choices.below(16),
                1 => length - 1 - choices.below(24),
                2 => 16 + choices.below(24),
                _ => choices.below(length),
            };
            disk.octets.borrow_mut()[start + at] ^= 1 << choices.below(8);
        }
        2 => disk.spoil(start..start + length),
        3 => {
            let sector = choices.below(length.div_ceil(SECTOR)) * SECTOR;
            disk.spoil(start + sector..start + sector + 1);
        }
        _ => {
            let sector = choices.below(length.div_ceil(SECTOR)) * SECTOR;
            let end = (sector + SECTOR).min(length);
            disk.octets.borrow_mut()[start + sector..start + end].fill(0);
        }
    }
    (record, format!("fault {kind} in {record:?}, half {half}"))
}

fn check(vault: &Vault, models: &[&Model], what: &str) {
    let got = rest(vault);
    let model = models.iter().find(|model| model.rest == got);
    assert!(
        model.is_some(),
        "{what}: {got}\n{:?}",
        models.iter().map(|of| &of.rest).collect::<Vec<_>>()
    );
    for slot in 0..CAPACITY {
        let Some(shown) = shown(vault, slot) else {
            continue;
        };
        let context = vault
            .identities(Slot(slot))
            .unwrap()
            .reauthentication
            .as_ref();
        let known: Vec<_> = models.iter().filter_map(|of| of.names.get(&slot)).collect();
        let now = known.iter().any(|of| of[0] == shown);
        let before = known.iter().any(|of| of[1] == shown);
        assert!(
            now || before || known.is_empty(),
            "{what}: {shown} of {known:?}"
        );
        if let Some(context) = context {
            assert!(
                now && context.counter == shown,
                "{what}: a context of {shown} of {known:?}"
            );
        }
    }
}

/// No SQN for which an answer left is taken again.
fn check_used(vault: &Vault, model: &Model, what: &str) {
    for (n, sqn) in &model.accepted {
        let Some(slot) = vault.find(&iccid(*n)) else {
            continue;
        };
        let usim = vault.profile(slot).unwrap().sqn();
        let algorithm = vault.profile(slot).unwrap().profile.credentials.functions();
        let (rand, amf) = (Rand::new([5; 16]), Amf::new([0x80, 0]));
        let sqn = Sqn::new(*sqn).unwrap();
        let concealed = algorithm.f2345(&rand).ak.conceal(sqn);
        let autn = Autn::from_parts(concealed, amf, &algorithm.f1(&rand, sqn, amf));
        let refused = usim.check(&algorithm, &rand, &autn, SeparationBit::Required);
        assert!(refused.is_err(), "{what}: {n} takes {sqn:?} again");
    }
}

/// Starts keyd once more or twice after the first start, while power fails in each start but the
/// last, and one copy may go bad before one of them. `None` if a start is refused, which only a
/// second fault explains.
fn restarted(
    choices: &mut Choices,
    mut disk: Disk,
    is_second_fault: &mut dyn FnMut((Table, u32)) -> bool,
    told: &mut Vec<String>,
) -> Option<(Disk, Vault)> {
    let mut failures = 1 + choices.below(2);
    let harmed_at = choices.below(3);
    let mut may_refuse = false;
    loop {
        if harmed_at == failures {
            let (record, what) = harm(choices, &disk);
            may_refuse = is_second_fault(record);
            told.push(what);
        }
        let (before, unreadable) = (disk.image(), disk.unreadable.borrow().clone());
        disk.take_log();
        let vault = match Vault::open(disk.clone(), &kek()) {
            Ok(vault) => vault,
            Err(error) => {
                assert!(may_refuse, "{}: {error}", told.join("; "));
                return None;
            }
        };
        if failures == 0 {
            return Some((disk, vault));
        }
        failures -= 1;
        let log = disk.take_log();
        disk = Disk::with(crash(choices, &before, &log));
        if log.is_empty() {
            *disk.unreadable.borrow_mut() = unreadable;
        }
        told.push("again".into());
    }
}

/// What is durable after a restart: the state that the vault shows, and what was accepted before.
fn recovered(vault: &Vault, models: &[&Model], accepted: &Model) -> Model {
    let names = (0..CAPACITY).filter_map(|slot| {
        let shown = shown(vault, slot)?;
        let known = models.iter().rev().filter_map(|of| of.names.get(&slot));
        let known = known.copied().find(|of| of[0] == shown);
        Some((slot, known.unwrap_or([shown, shown])))
    });
    Model {
        rest: rest(vault),
        accepted: accepted.accepted.clone(),
        names: names.collect(),
    }
}

fn run(seed: u64) {
    let mut history = History {
        choices: Choices(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
        sequence: 0,
        pass: 0,
    };
    let (mut disk, mut vault) = new_vault();
    vault.set_device_keys(device_keys(1)).unwrap();
    let mut model = Model {
        rest: rest(&vault),
        ..Model::default()
    };
    let mut harmed = BTreeSet::new();
    let mut told = vec![format!("seed {seed}")];
    for _ in 0..25 {
        let start = disk.image();
        disk.take_log();
        let mut next = model.clone();
        told.push(history.change(&mut vault, &mut next));
        let log = disk.take_log();
        let choices = &mut history.choices;
        if choices.below(3) != 0 {
            model = next;
            continue;
        }
        // Power fails, or keyd ends.
        let fails = choices.below(3) != 0;
        let image = if fails {
            crash(choices, &start, &log)
        } else {
            disk.image()
        };
        // A write of a pass that was cut off spoiled one copy already. So did an earlier fault in
        // the older copy, which no start looks at.
        let is_pass = fails && !log.is_empty() && next.rest == model.rest;
        let mut is_second_fault = |record: (Table, u32)| {
            !harmed.insert(record) || is_pass && record.0.copies() == Copies::InTurn
        };
        let disk_now = Disk::with(image);
        let Some(now) = restarted(choices, disk_now, &mut is_second_fault, &mut told) else {
            return;
        };
        (disk, vault) = now;
        let what = told.join("; ");
        let models = if fails {
            vec![&model, &next]
        } else {
            vec![&next]
        };
        check(&vault, &models, &what);
        check_used(&vault, models[0], &what);
        let again = Vault::open(disk.clone(), &kek()).unwrap();
        assert_eq!(contents(&again), contents(&vault), "{what}");
        assert_eq!(again.damage(), [], "{what}");
        model = recovered(&vault, &models, models[0]);
    }
}

#[test]
fn any_history_with_power_failures_and_single_faults_ends_in_its_last_state() {
    (0..20).for_each(run);
}
