//! The store against what may lie in its folder.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::symlink;

use serde_json::json;

use super::*;

/// The accounts of one server.
pub(crate) fn accounts(uri: &str) -> Accounts {
    let single = |kind: &str, value: serde_json::Value| json!({ "single": { kind: value } });
    let security = json!({
        "0": single("text", uri.into()),
        "1": single("boolean", false.into()),
        "2": single("integer", 2.into()),
        "4": single("opaque", [0x30, 0].into()),
        "10": single("integer", 123.into()),
    });
    let server = json!({ "0": single("integer", 123.into()), "1": single("integer", 300.into()) });
    let accounts = json!({ "security": { "1": security }, "servers": { "0": server } });
    serde_json::from_value(accounts).unwrap()
}

fn old() -> Accounts {
    accounts("coaps://old")
}

fn new() -> Accounts {
    accounts("coaps://new")
}

const OLD: Txid = [1; 16];
const NEWER: Txid = [2; 16];

fn committed(transaction: Txid, accounts: &Accounts) -> Committed {
    Committed {
        transaction: Some(transaction),
        accounts: Some(digest(accounts)),
    }
}

/// A store whose second commit was cut short after staging.
fn cut_short() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path(), Committed::default());
    store.stage(OLD, &old()).unwrap();
    store.commit().unwrap();
    store.stage(NEWER, &new()).unwrap();
    directory
}

/// The digest is part of keyd's vault: accounts that were kept must come to the same in every
/// release.
#[test]
fn the_digest_of_accounts_is_what_it_was() {
    assert_eq!(
        hex::encode(digest(&old())),
        "b457a43b315dafb68a585ace89d390787054bfb0e3b913af74fb0b760cd5ce17"
    );
    assert_eq!(
        hex::encode(digest(&Accounts::default())),
        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    );
}

#[test]
fn accounts_that_keyd_committed_are_rolled_forward_at_start() {
    let directory = cut_short();
    let store = Store::open(directory.path(), committed(NEWER, &new()));
    assert_eq!(store.accounts(), Some(&new()));
    // And stay, whatever keyd commits without us afterwards.
    let store = Store::open(directory.path(), committed([3; 16], &new()));
    assert_eq!(store.accounts(), Some(&new()));
    assert_eq!(store.transaction(), Some(&*hex::encode(NEWER)));
    assert_eq!(store.fault(), None);
}

#[test]
fn accounts_that_keyd_committed_are_rolled_forward_even_if_a_package_was_committed_since() {
    let since = committed([3; 16], &new());
    let directory = cut_short();
    let store = Store::open(directory.path(), since);
    assert_eq!((store.accounts(), store.fault()), (Some(&new()), None));

    let directory = cut_short();
    let mut store = Store::open(directory.path(), committed(OLD, &old()));
    store.stage(NEWER, &new()).unwrap();
    assert!(store.reconcile(since).unwrap());
    assert_eq!((store.accounts(), store.fault()), (Some(&new()), None));
}

#[test]
fn accounts_of_the_digest_in_force_are_rolled_back_unless_their_transaction_was_the_last() {
    for (last, transaction) in [(OLD, OLD), (NEWER, NEWER)] {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path(), Committed::default());
        store.stage(OLD, &old()).unwrap();
        store.commit().unwrap();
        store.stage(NEWER, &old()).unwrap();
        let store = Store::open(directory.path(), committed(last, &old()));
        assert_eq!(store.transaction(), Some(&*hex::encode(transaction)));
    }
}

#[test]
fn accounts_that_keyd_did_not_commit_are_rolled_back_at_start() {
    let directory = cut_short();
    let store = Store::open(directory.path(), committed(OLD, &old()));
    assert_eq!((store.accounts(), store.fault()), (Some(&old()), None));
    assert!(!directory.path().join(PENDING).exists());
}

#[test]
fn a_first_bootstrap_that_was_not_committed_leaves_no_accounts() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path(), Committed::default());
    store.stage(OLD, &new()).unwrap();
    store.abort().unwrap();
    assert!(store.accounts().is_none());
    let store = Store::open(directory.path(), Committed::default());
    assert_eq!((store.accounts(), store.fault()), (None, None));
}

#[test]
fn a_server_may_change_its_own_account_in_force() {
    let directory = cut_short();
    let mut changed = serde_json::to_value(old()).unwrap();
    changed["servers"]["0"]["1"] = json!({ "single": { "integer": 600 } });
    let changed = serde_json::from_value(changed).unwrap();
    let mut store = Store::open(directory.path(), committed(OLD, &old()));
    store.change(&changed).unwrap();
    let store = Store::open(directory.path(), committed(OLD, &old()));
    assert_eq!(store.accounts(), Some(&changed));
    assert_eq!(store.transaction(), Some(&*hex::encode(OLD)));
}

#[test]
fn accounts_that_were_reset_count_as_none_and_as_what_keyd_committed() {
    let directory = cut_short();
    let none = Accounts::default();
    let mut store = Store::open(directory.path(), committed(OLD, &old()));
    store.stage(NEWER, &none).unwrap();
    store.commit().unwrap();
    for store in [
        store,
        Store::open(directory.path(), committed(NEWER, &none)),
    ] {
        assert_eq!((store.accounts(), store.transaction()), (None, None));
        assert_eq!(store.fault(), None);
    }
    // Nor are they missed where even their file is gone.
    fs::remove_file(directory.path().join(CURRENT)).unwrap();
    let store = Store::open(directory.path(), committed(NEWER, &none));
    assert_eq!(store.fault(), None);
}

/// A folder whose `accounts.json` is what keyd committed, until `spoil`; what the store says of it.
fn spoilt(spoil: impl FnOnce(&Path)) -> (tempfile::TempDir, String) {
    let directory = cut_short();
    spoil(&directory.path().join(CURRENT));
    let store = Store::open(directory.path(), committed(OLD, &old()));
    assert!(store.accounts().is_none() && store.transaction().is_none());
    let fault = store.fault().unwrap().to_owned();
    (directory, fault)
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from));
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn accounts_that_keyd_did_not_commit_are_set_aside_and_told() {
    for (spoil, expected) in [
        (
            Box::new(|path: &Path| edit(path, "coaps://old", "coaps://0ld")) as Box<dyn Fn(&Path)>,
            "expected the digest that softsim-keyd committed",
        ),
        (
            Box::new(|path| fs::write(path, &fs::read(path).unwrap()[..40]).unwrap()),
            "EOF",
        ),
        (
            Box::new(|path| fs::write(path, [0xff; 9]).unwrap()),
            "expected value",
        ),
        // The Server instances are no part of the digest, but accounts that don't fit together are
        // of no use.
        (
            Box::new(|path| {
                edit(
                    path,
                    r#"{"single":{"integer":300}}"#,
                    r#"{"single":{"integer":0}}"#,
                )
            }),
            "/1/0/1",
        ),
        (
            Box::new(|path| {
                fs::remove_file(path).unwrap();
                symlink("/etc/hostname", path).unwrap();
            }),
            "expected a regular file",
        ),
        (
            Box::new(|path| {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            }),
            "expected a regular file",
        ),
    ] {
        let (directory, fault) = spoilt(spoil);
        assert!(
            fault.contains(REJECTED) && fault.contains(expected),
            "{fault}"
        );
        let left = |name: &str| fs::symlink_metadata(directory.path().join(name)).is_ok();
        assert!(left(REJECTED) && !left(CURRENT) && !left(PENDING));
    }
}

#[test]
fn folders_in_the_place_of_account_files_are_removed() {
    let (directory, _) = spoilt(|path| {
        edit(path, "coaps://old", "coaps://0ld");
        for name in [PENDING, NEW, REJECTED] {
            let name = path.with_file_name(name);
            let _ = fs::remove_file(&name);
            fs::create_dir_all(name.join("full")).unwrap();
        }
    });
    let file = |name: &str| directory.path().join(name);
    assert!(file(REJECTED).is_file());
    let mut store = Store::open(directory.path(), committed(OLD, &old()));
    assert_eq!(store.fault(), Some("accounts.json is missing"));
    store.stage(NEWER, &new()).unwrap();
    store.commit().unwrap();
    assert_eq!((store.accounts(), store.fault()), (Some(&new()), None));
}

#[test]
fn accounts_of_another_device_are_set_aside_where_keyd_has_none() {
    let directory = cut_short();
    let store = Store::open(directory.path(), Committed::default());
    assert!(store.accounts().is_none());
    assert!(store.fault().unwrap().contains("has committed no accounts"));
}
