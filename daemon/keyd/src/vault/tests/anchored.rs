//! An anchor outside of the vault: an old copy is refused, and no power cut ends in a refused
//! start.

use std::cell::Cell;
use std::fs;
use std::num::NonZeroU32;

use super::power::crashes;
use super::*;

/// A number in memory, and at which length of the medium's log it was raised.
#[derive(Clone, Default)]
struct Memory {
    value: Rc<Cell<u64>>,
    raised: Rc<RefCell<Vec<(usize, u64)>>>,
    log: Rc<RefCell<Vec<Operation>>>,
    broken: Rc<Cell<bool>>,
}

impl Memory {
    fn beside(disk: &Disk) -> Self {
        Self {
            log: disk.log.clone(),
            ..Self::default()
        }
    }

    fn at(value: u64) -> Self {
        let memory = Self::default();
        memory.value.set(value);
        memory
    }
}

impl Anchor for Memory {
    fn value(&self) -> io::Result<u64> {
        Ok(self.value.get())
    }

    fn advance(&mut self, to: u64) -> io::Result<()> {
        if self.broken.get() {
            return Err(io::Error::other("the anchor's medium failed"));
        }
        self.value.set(to);
        self.raised.borrow_mut().push((self.log.borrow().len(), to));
        Ok(())
    }
}

fn anchored(disk: &Disk, memory: &Memory, interval: u32) -> Result<Vault, OpenError> {
    let mut vault = Vault::open(disk.clone(), &kek())?;
    vault.anchor(Box::new(memory.clone()), NonZeroU32::new(interval).unwrap())?;
    Ok(vault)
}

/// A vault under an anchor, with a profile.
fn anchored_vault(interval: u32) -> (Disk, Memory, Vault) {
    let (disk, _) = new_vault();
    let memory = Memory::beside(&disk);
    let mut vault = anchored(&disk, &memory, interval).unwrap();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    (disk, memory, vault)
}

fn authenticate(vault: &mut Vault, round: u64) {
    let one = slot(vault, 1);
    offer(vault, one, 32 * round).unwrap();
    vault.flush().unwrap();
}

#[test]
fn an_old_copy_of_the_vault_is_refused() {
    let (disk, memory, mut vault) = anchored_vault(1);
    let old = disk.image();
    authenticate(&mut vault, 1);
    assert!(anchored(&disk, &memory, 1).is_ok());
    let error = anchored(&Disk::with(old.clone()), &memory, 1)
        .err()
        .unwrap();
    let OpenError::RolledBack { expected, got } = error else {
        panic!("{error}")
    };
    assert_eq!(expected, got + 1);
    assert!(open_image(&old).is_ok(), "without the anchor nobody knows");
}

#[test]
fn an_old_copy_from_before_any_change_is_refused() {
    let changes: [fn(&mut Vault); 4] = [
        |vault| commit(vault, vec![install(2, 2)]).unwrap(),
        |vault| vault.set_device_keys(device_keys(1)).unwrap(),
        |vault| vault.set_certificate(&[1]).unwrap(),
        |vault| vault.add_trust_anchor(anchor(1)).unwrap(),
    ];
    for change in changes {
        let (disk, memory, mut vault) = anchored_vault(1000);
        let old = disk.image();
        change(&mut vault);
        let refused = anchored(&Disk::with(old), &memory, 1000).err().unwrap();
        assert!(matches!(refused, OpenError::RolledBack { .. }), "{refused}");
    }
}

#[test]
fn one_record_that_was_put_back_is_refused() {
    let (disk, memory, mut vault) = anchored_vault(1);
    let old = disk.image();
    authenticate(&mut vault, 1);
    let mut image = disk.image();
    let layout = layout(CAPACITY);
    for half in [0, 1] {
        let at = layout.offset(Table::SEQUENCE, 0, half) as usize;
        let end = at + Table::SEQUENCE.record_length();
        image[at..end].copy_from_slice(&old[at..end]);
    }
    let refused = anchored(&Disk::with(image), &memory, 1).err().unwrap();
    assert!(matches!(refused, OpenError::PutBack { .. }), "{refused}");
}

#[test]
fn one_bad_copy_is_no_old_copy_to_an_anchor() {
    let (disk, memory, mut vault) = anchored_vault(1);
    authenticate(&mut vault, 1);
    let layout = layout(CAPACITY);
    for table in [Table::SEQUENCE, Table::PROFILE, Table::LEDGER] {
        for half in [0, 1] {
            let mut image = disk.image();
            image[layout.offset(table, 0, half) as usize + 100] ^= 1;
            let mut vault = anchored(&Disk::with(image), &memory, 1).unwrap();
            let one = slot(&vault, 1);
            assert!(offer(&mut vault, one, 32).is_err(), "{table:?} {half}");
        }
    }
}

#[test]
fn the_anchor_follows_every_interval_th_pass_and_every_transaction() {
    let (_, memory, mut vault) = anchored_vault(3);
    assert_eq!((memory.value.get(), vault.epoch()), (1, Some(1)));
    for (round, value) in (1..=6).zip([1, 1, 2, 2, 2, 3]) {
        authenticate(&mut vault, round);
        assert_eq!(memory.value.get(), value, "pass {round}");
    }
    authenticate(&mut vault, 7);
    commit(&mut vault, vec![Change::Transaction([1; 16])]).unwrap();
    assert_eq!(memory.value.get(), 4);
    vault.flush().unwrap();
    assert_eq!(memory.value.get(), 4, "nothing was staged");
}

#[test]
fn a_vault_is_level_with_its_anchor_or_one_ahead() {
    let (disk, _, mut vault) = anchored_vault(1);
    authenticate(&mut vault, 1);
    let made_anew = anchored(&disk, &Memory::at(0), 1).err().unwrap();
    assert!(
        matches!(made_anew, OpenError::AnchorReset { .. }),
        "{made_anew}"
    );
    let behind = Memory::at(1);
    anchored(&disk, &behind, 1).unwrap();
    assert_eq!(behind.value.get(), 2);
}

#[test]
fn an_anchor_that_fails_ends_the_process_and_the_next_start_goes_on() {
    let (disk, memory, mut vault) = anchored_vault(1);
    memory.broken.set(true);
    let one = slot(&vault, 1);
    offer(&mut vault, one, 32).unwrap();
    assert!(matches!(vault.flush(), Err(CommitError::Storage(_))));
    let image = disk.image();
    assert!(vault.set_certificate(&[1]).is_err());
    assert_eq!(disk.image(), image, "nothing is written after a failure");
    memory.broken.set(false);
    let vault = anchored(&disk, &memory, 1).unwrap();
    assert_eq!(memory.value.get(), vault.last_epoch());
}

/// Power fails at every point of a change under an anchor: the vault opens, and under the anchor.
fn opens_after_any_crash(change: impl Fn(&mut Vault)) {
    let (disk, memory, mut vault) = anchored_vault(1);
    let (start, before) = (disk.image(), memory.value.get());
    disk.take_log();
    memory.raised.take();
    change(&mut vault);
    let log = disk.take_log();
    let raised = memory.raised.take();
    assert!(!raised.is_empty());
    for count in 0..=log.len() {
        // Raised after so many operations, or not yet.
        let values = raised.iter().filter(|(at, _)| *at == count);
        let latest = raised.iter().rfind(|(at, _)| *at < count);
        let latest = latest.map_or(before, |(_, value)| *value);
        for value in values.map(|(_, value)| *value).chain([latest]) {
            for image in crashes(&start, &log, count) {
                let (disk, memory) = (Disk::with(image), Memory::at(value));
                let mut vault = anchored(&disk, &memory, 1)
                    .unwrap_or_else(|error| panic!("{count} operations, anchor {value}: {error}"));
                commit(&mut vault, vec![Change::Transaction([9; 16])]).unwrap();
                assert!(anchored(&disk, &memory, 1).is_ok());
            }
        }
    }
}

#[test]
fn no_power_cut_ends_in_a_refused_start() {
    opens_after_any_crash(|vault| authenticate(vault, 1));
    opens_after_any_crash(|vault| {
        let one = slot(vault, 1);
        let changes = vec![Change::Delete(one), install(2, 2)];
        commit(vault, changes).unwrap();
    });
    opens_after_any_crash(|vault| vault.set_device_keys(device_keys(1)).unwrap());
}

#[test]
fn an_anchor_file_holds_the_last_number_and_survives_a_torn_write() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("anchor");
    let value = || AnchorFile::open(&path).unwrap().value().unwrap();
    assert_eq!(value(), 0);
    let mut file = AnchorFile::open(&path).unwrap();
    assert!(matches!(AnchorFile::open(&path), Err(OpenError::Locked)));
    for to in 1..=5 {
        file.advance(to).unwrap();
    }
    drop(file);
    assert_eq!(value(), 5);

    let good = fs::read(&path).unwrap();
    let mut torn = good.clone();
    torn[(1 << 16) + 12] ^= 1;
    fs::write(&path, &torn).unwrap();
    assert_eq!(value(), 4, "the one before: the vault is one ahead");
    torn[12] ^= 1;
    fs::write(&path, &torn).unwrap();
    assert!(AnchorFile::open(&path).unwrap().value().is_err());
    AnchorFile::open(&path).unwrap().advance(9).unwrap();
    assert_eq!(value(), 9, "an accepted vault's");
}

#[test]
fn a_real_vault_under_a_real_anchor_refuses_its_old_copy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vault");
    let opened = || {
        let storage = FileStorage::open(directory.path())?.unwrap();
        let mut vault = Vault::open(storage, &kek())?;
        let anchor = AnchorFile::open(&directory.path().join("anchor"))?;
        vault.anchor(Box::new(anchor), NonZeroU32::MIN)?;
        Ok::<_, OpenError>(vault)
    };
    drop(Vault::create(directory.path(), &kek(), (CAPACITY, 0)).unwrap());
    let mut vault = opened().unwrap();
    vault.commit(vec![install(1, 1)]).unwrap();
    drop(vault);
    let old = fs::read(&path).unwrap();
    let mut vault = opened().unwrap();
    let one = vault.find(&iccid(1)).unwrap();
    offer(&mut vault, one, 32).unwrap();
    vault.flush().unwrap();
    drop(vault);
    assert!(opened().is_ok());
    fs::write(&path, old).unwrap();
    let refused = opened().err().unwrap();
    assert!(matches!(refused, OpenError::RolledBack { .. }), "{refused}");
    assert!(refused.advice().is_some());
}

#[test]
fn a_vault_begins_at_the_epoch_of_an_anchor_that_can_not_be_set() {
    let directory = tempfile::tempdir().unwrap();
    let counter = Memory::at(70);
    let opened = || {
        let storage = FileStorage::open(directory.path())?.unwrap();
        let mut vault = Vault::open(storage, &kek())?;
        vault.anchor(Box::new(counter.clone()), NonZeroU32::MIN)?;
        Ok::<_, OpenError>(vault)
    };
    drop(Vault::create(directory.path(), &kek(), (CAPACITY, 70)).unwrap());
    let mut vault = opened().unwrap();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    assert_eq!((vault.last_epoch(), counter.value.get()), (71, 71));
    drop(vault);
}

/// What somebody kept who writes to the disk: two images of a vault, the first with `SQN` 32
/// unused.
fn old_and_new() -> (Vec<u8>, Vec<u8>, Memory) {
    let (disk, memory, mut vault) = anchored_vault(1);
    authenticate(&mut vault, 1);
    let old = disk.image();
    for round in 2..=5 {
        authenticate(&mut vault, round);
    }
    (old, disk.image(), memory)
}

fn accept(disk: &Disk, memory: &Memory) -> Result<Option<Accepted>, OpenError> {
    Vault::open(disk.clone(), &kek())?.accept(Box::new(memory.clone()))
}

#[test]
fn an_accepted_vault_is_above_all_copies_that_were_and_they_stay_refused() {
    let (old, new, memory) = old_and_new();
    let disk = Disk::with(old.clone());
    assert!(anchored(&disk, &memory, 1).is_err());
    let before = memory.value.get();
    let accepted = accept(&disk, &memory).unwrap().unwrap();
    assert_eq!(
        (accepted.anchor, accepted.epoch),
        (Some(before), before + 1)
    );
    assert_eq!(memory.value.get(), accepted.epoch);
    for image in [old, new] {
        let refused = anchored(&Disk::with(image), &memory, 1).err().unwrap();
        assert!(matches!(refused, OpenError::RolledBack { .. }), "{refused}");
    }
    let mut vault = anchored(&disk, &memory, 1).unwrap();
    assert_eq!(vault.installed(), 1);
    authenticate(&mut vault, 9);
    assert_eq!(memory.value.get(), accepted.epoch + 1);
}

#[test]
fn under_an_anchor_that_was_lost_the_epoch_does_not_go_down() {
    let (_, image, _) = old_and_new();
    let epoch = open_image(&image).unwrap().last_epoch();
    let (disk, counter) = (Disk::with(image), Memory::at(2));
    let refused = anchored(&disk, &counter, 1).err().unwrap();
    assert!(
        matches!(refused, OpenError::AnchorReset { .. }),
        "{refused}"
    );
    let accepted = accept(&disk, &counter).unwrap().unwrap();
    assert_eq!((accepted.vault, accepted.epoch), (epoch, epoch + 1));
    assert!(anchored(&disk, &counter, 1).is_ok());
}

#[test]
fn a_vault_that_its_anchor_does_not_refuse_stays_as_it_is() {
    let (_, image, memory) = old_and_new();
    let level = memory.value.get();
    for value in [level, level - 1] {
        let (disk, memory) = (Disk::with(image.clone()), Memory::at(value));
        assert_eq!(accept(&disk, &memory).unwrap(), None);
        assert_eq!(disk.image(), image);
        assert_eq!(
            memory.value.get(),
            level,
            "the anchor follows, as at a start"
        );
    }
}

#[test]
fn accepting_can_be_repeated_after_any_crash() {
    let (old, new, _) = old_and_new();
    // The anchor is ahead, far behind as after its loss, or has caught up in part.
    for (image, value) in [(old, 6), (new.clone(), 0), (new, 3)] {
        let disk = Disk::with(image.clone());
        let counter = Memory {
            log: disk.log.clone(),
            ..Memory::at(value)
        };
        disk.take_log();
        let epoch = accept(&disk, &counter).unwrap().unwrap().epoch;
        let log = disk.take_log();
        for count in 0..=log.len() {
            for image in crashes(&image, &log, count) {
                let (disk, counter) = (Disk::with(image), Memory::at(value));
                accept(&disk, &counter).unwrap_or_else(|error| panic!("{count}: {error}"));
                let vault = anchored(&disk, &counter, 1).unwrap();
                assert!(vault.last_epoch() >= epoch, "{count} operations");
            }
        }
    }
}

#[test]
fn an_anchor_that_fails_while_a_vault_is_accepted_leaves_it_for_another_try() {
    let (old, _, memory) = old_and_new();
    let disk = Disk::with(old);
    memory.broken.set(true);
    let failed = accept(&disk, &memory).err().unwrap();
    assert!(matches!(failed, OpenError::Anchor(_)), "{failed}");
    memory.broken.set(false);
    accept(&disk, &memory).unwrap();
    assert!(anchored(&disk, &memory, 1).is_ok());
}

#[test]
fn a_rekeyed_vault_begins_an_epoch_and_the_one_before_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let counter = Memory::at(70);
    let opened = || {
        let storage = FileStorage::open(directory.path())?.unwrap();
        let mut vault = Vault::open(storage, &kek())?;
        vault.anchor(Box::new(counter.clone()), NonZeroU32::MIN)?;
        Ok::<_, OpenError>(vault)
    };
    drop(Vault::create(directory.path(), &kek(), (CAPACITY, 70)).unwrap());
    let old = fs::read(directory.path().join("vault")).unwrap();
    let rekeyed = opened().unwrap().rekey(directory.path(), &kek(), CAPACITY);
    rekeyed.unwrap();
    assert_eq!(counter.value.get(), 71);
    assert_eq!(opened().unwrap().last_epoch(), 71);
    let refused = anchored(&Disk::with(old), &counter, 1).err().unwrap();
    assert!(matches!(refused, OpenError::RolledBack { .. }), "{refused}");

    // Power fails, or the anchor does, before the anchor has risen: the new vault is one ahead.
    counter.broken.set(true);
    let rekeyed = opened().unwrap().rekey(directory.path(), &kek(), CAPACITY);
    assert!(matches!(rekeyed, Err(OpenError::Anchor(_))));
    counter.broken.set(false);
    assert_eq!(opened().unwrap().last_epoch(), 72);
    assert_eq!(counter.value.get(), 72);
}
