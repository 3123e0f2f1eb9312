//! A vault under another key has all its contents, or nothing has changed.

use std::fs;
use std::path::Path;

use super::*;

fn other_kek(directory: &Path) -> Kek {
    let path = directory.join("kek");
    if !path.exists() {
        fs::write(&path, [9; 32]).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o400);
        fs::set_permissions(&path, mode).unwrap();
    }
    Kek::read(&path).unwrap()
}

fn opened(directory: &Path, kek: &Kek) -> Result<Vault, OpenError> {
    Vault::open(FileStorage::open(directory)?.unwrap(), kek)
}

/// A vault with something in every table.
fn lived(directory: &Path) -> Vault {
    let storage = Vault::create(directory, &kek(), (CAPACITY, 0)).unwrap();
    let mut vault = Vault::open(storage, &kek()).unwrap();
    vault.set_device_keys(device_keys(1)).unwrap();
    vault.set_certificate(&[0x30; 700]).unwrap();
    vault.add_trust_anchor(anchor(1)).unwrap();
    let changes = vec![
        install(1, 5),
        install(2, 6),
        accounts([(1, Some(1)), (2, Some(2))]),
        Change::Transaction([7; 16]),
        Change::Time(1_800_000_000),
    ];
    vault.commit(changes).unwrap();
    let one = vault.find(&iccid(1)).unwrap();
    vault.commit(vec![Change::Delete(one)]).unwrap();
    let two = vault.find(&iccid(2)).unwrap();
    vault.change_identities(two, |identities| {
        identities.pseudonyms = identities::proven("7two");
        identities.reauthentication = Some(identities::reauthentication("8two", 5));
    });
    for sqn in [320, 352] {
        offer(&mut vault, two, sqn).unwrap();
        vault.flush().unwrap();
    }
    vault
}

#[test]
fn everything_is_there_under_the_new_key_and_nothing_under_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let vault = lived(directory.path());
    let before = contents(&vault);
    let old_file = fs::read(directory.path().join("vault")).unwrap();
    let new = other_kek(directory.path());
    vault.rekey(directory.path(), &new, 40).unwrap();

    let wrong = opened(directory.path(), &kek()).err().unwrap();
    assert!(matches!(wrong, OpenError::WrongKek), "{wrong}");
    let mut vault = opened(directory.path(), &new).unwrap();
    assert_eq!(contents(&vault), before);
    assert_eq!((vault.damage(), vault.capacity()), (&[][..], 40));
    let two = vault.find(&iccid(2)).unwrap();
    assert!(
        offer(&mut vault, two, 352).is_err(),
        "a used SQN stays used"
    );
    assert!(offer(&mut vault, two, 384).is_ok());
    let again = vault.commit(vec![install(1, 6)]);
    assert!(matches!(again, Err(CommitError::SequenceNotRising { .. })));
    for n in 3..=40 {
        let change = vec![install(n, 10 + u64::from(n))];
        vault.commit(change).unwrap();
    }
    drop(vault);
    let vault = opened(directory.path(), &new).unwrap();
    assert_eq!(vault.installed(), 39);

    // The records are under another data key: an old one put into the new file is none.
    let mut file = fs::read(directory.path().join("vault")).unwrap();
    let (old_place, place) = (layout(CAPACITY), layout(40));
    for half in [0, 1] {
        let from = old_place.offset(Table::DEVICE, 0, half) as usize;
        let to = place.offset(Table::DEVICE, 0, half) as usize;
        file[to..to + 4096].copy_from_slice(&old_file[from..from + 4096]);
    }
    let foreign = Vault::open(Disk::with(file), &new).err().unwrap();
    assert!(matches!(
        foreign,
        OpenError::BothCopies {
            table: Table::DEVICE,
            faults: [CopyFault::Corrupt, CopyFault::Corrupt],
            ..
        }
    ));
}

#[test]
fn a_vault_never_becomes_smaller() {
    let directory = tempfile::tempdir().unwrap();
    let vault = lived(directory.path());
    let refused = vault.rekey(directory.path(), &kek(), CAPACITY - 1);
    assert!(matches!(
        refused,
        Err(OpenError::Smaller {
            expected: CAPACITY,
            got: 2
        })
    ));
    assert!(opened(directory.path(), &kek()).is_ok());
}

/// A file that fails from its `left`th operation on.
struct Failing<'f> {
    file: &'f mut FileStorage,
    left: usize,
}

impl Failing<'_> {
    fn take(&mut self) -> io::Result<()> {
        self.left = self.left.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        Ok(())
    }
}

impl Storage for Failing<'_> {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_at(&mut self, octets: &[u8], offset: u64) -> io::Result<usize> {
        self.take()?;
        self.file.write_at(octets, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.take()?;
        self.file.sync()
    }
}

#[test]
fn a_failure_at_any_write_leaves_the_old_vault() {
    let directory = tempfile::tempdir().unwrap();
    let vault = lived(directory.path());
    let before = contents(&vault);
    let new = other_kek(directory.path());
    let path = directory.path();
    let with = |left| {
        FileStorage::replace(path, |file| {
            let mut failing = Failing { file, left };
            vault.copy_to(&mut failing, &new, (CAPACITY, 0))
        })
    };
    let mut failures = 0;
    while let Err(error) = with(failures) {
        assert!(matches!(error, OpenError::Io(_)), "{error}");
        let image = fs::read(path.join("vault")).unwrap();
        let old = Vault::open(Disk::with(image), &kek()).unwrap();
        assert_eq!(contents(&old), before, "after {failures} operations");
        failures += 1;
    }
    assert!(failures > 20, "{failures}");
    assert!(!path.join("vault.new").exists());
    drop(vault);
    let vault = opened(path, &new).unwrap();
    assert_eq!(contents(&vault), before);
}

#[test]
fn who_waited_for_the_old_file_gets_the_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let vault = lived(directory.path());
    let new = other_kek(directory.path());
    // Another process opened the old file, but the vault's holder has the lock.
    assert!(matches!(
        FileStorage::open(directory.path()),
        Err(OpenError::Locked)
    ));
    let old = fs::File::open(directory.path().join("vault")).unwrap();
    vault.rekey(directory.path(), &new, CAPACITY).unwrap();
    old.try_lock().unwrap();
    assert!(opened(directory.path(), &new).is_ok());
}
