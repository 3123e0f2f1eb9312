//! The vault in a real file.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn a_vault_is_made_once_and_opened_from_then_on() {
    let directory = tempfile::tempdir().unwrap();
    assert!(FileStorage::open(directory.path()).unwrap().is_none());
    let storage = Vault::create(directory.path(), &kek(), (CAPACITY, 0)).unwrap();
    let mut vault = Vault::open(storage, &kek()).unwrap();
    vault.commit(vec![install(1, 1)]).unwrap();
    drop(vault);

    let again = Vault::create(directory.path(), &kek(), (CAPACITY, 0));
    assert!(matches!(again, Err(OpenError::Exists)));
    let storage = FileStorage::open(directory.path()).unwrap().unwrap();
    let vault = Vault::open(storage, &kek()).unwrap();
    assert!(vault.find(&iccid(1)).is_some());

    let names: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["vault"]);
    let mode = fs::metadata(directory.path().join("vault"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn only_one_process_holds_a_vault() {
    let directory = tempfile::tempdir().unwrap();
    let held = Vault::create(directory.path(), &kek(), (CAPACITY, 0)).unwrap();
    assert!(matches!(
        FileStorage::open(directory.path()),
        Err(OpenError::Locked)
    ));
    drop(held);
    assert!(FileStorage::open(directory.path()).unwrap().is_some());
}

#[test]
fn what_an_interrupted_making_left_behind_is_no_vault() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("vault.new"), b"half").unwrap();
    assert!(FileStorage::open(directory.path()).unwrap().is_none());
    let storage = Vault::create(directory.path(), &kek(), (CAPACITY, 0)).unwrap();
    assert_eq!(storage.length().unwrap(), layout(CAPACITY).file_length());
}

#[test]
fn the_file_has_all_its_blocks_from_the_start() {
    use std::os::unix::fs::MetadataExt;

    let directory = tempfile::tempdir().unwrap();
    Vault::create(directory.path(), &kek(), (CAPACITY, 0)).unwrap();
    let metadata = fs::metadata(directory.path().join("vault")).unwrap();
    let written = layout(CAPACITY).file_length() - 2 * 4096;
    assert!(
        metadata.blocks() * 512 >= written,
        "{} blocks",
        metadata.blocks()
    );
}

#[test]
fn no_secret_stands_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Vault::create(directory.path(), &kek(), (CAPACITY, 0)).unwrap();
    let mut vault = Vault::open(storage, &kek()).unwrap();
    vault.set_device_keys(device_keys(0x41)).unwrap();
    let profile = Profile {
        credentials: milenage(*b"a subscriber key"),
        ..profile(1)
    };
    let change = Change::Install {
        profile,
        issuer: ISSUER,
        sequence: 1,
        enabled: true,
    };
    vault.commit(vec![change]).unwrap();
    let octets = fs::read(directory.path().join("vault")).unwrap();
    for secret in [
        &b"a subscriber key"[..],
        &[0x41; 32],
        &[0xcd; 16],
        iccid(1).as_bytes(),
        b"001010000000001",
    ] {
        assert!(!octets.windows(secret.len()).any(|window| window == secret));
    }
}

#[test]
fn what_is_refused_or_stored_prints_no_secret() {
    let (_, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let stored = format!("{:?}", vault.profile(slot(&vault, 1)).unwrap());
    assert!(
        stored.contains("K([redacted])") && stored.contains("Opc([redacted])"),
        "{stored}"
    );
    assert_eq!(format!("{:?}", device_keys(1)), "DeviceKeys([redacted])");
}

#[test]
fn a_small_record_never_straddles_two_sectors() {
    let layout = layout(CAPACITY);
    let small = |table: &&Table| table.record_length() <= 512;
    assert!(small(&&Table::SEQUENCE));
    for table in TABLES.iter().filter(small) {
        let length = table.record_length() as u64;
        for (index, half) in (0..CAPACITY).flat_map(|index| [(index, 0), (index, 1)]) {
            let start = layout.offset(*table, index, half) % 512;
            assert!(start + length <= 512, "{table:?} {index}");
        }
    }
}
