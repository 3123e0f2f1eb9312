//! The accounts on disk, in step with keyd's transactions.
//!
//! A bootstrap changes keyd's profiles and our accounts together, and keyd's Commit decides. The new
//! accounts are therefore durable as `accounts.pending` before Commit and take the place of
//! `accounts.json` after it; a start in between rolls them forward or back by keyd's transaction id.
//! They hold no secret: keys that a server writes go to keyd.

use std::{
    error, fmt,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use softsim_lwm2m::Accounts;

/// Names a transaction.
pub type Txid = [u8; 16];

const CURRENT: &str = "accounts.json";
const PENDING: &str = "accounts.pending";
const NEW: &str = "accounts.new";

/// More than the accounts of any bootstrap server.
const MAX_FILE: u64 = 1 << 20;

/// What a file holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    transaction: String,
    accounts: Accounts,
}

/// The accounts in force and the files they are in.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    current: Option<Record>,
    pending: Option<Record>,
}

/// A file that can't be used; nothing is guessed.
#[derive(Debug)]
pub struct StoreError {
    path: PathBuf,
    source: io::Error,
}

impl error::Error for StoreError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.source)
    }
}

impl Store {
    /// Reads the accounts; those of a commit that was cut short are rolled to keyd's last `committed`
    /// transaction.
    ///
    /// A transaction that we know nothing of leaves the accounts alone: softsimctl commits without us.
    pub fn open(directory: &Path, committed: Option<Txid>) -> Result<Self, StoreError> {
        let mut store = Self {
            directory: directory.to_owned(),
            current: read(&directory.join(CURRENT))?,
            pending: read(&directory.join(PENDING))?,
        };
        match &store.pending {
            Some(pending) if Some(&pending.transaction) == committed.map(hex::encode).as_ref() => {
                store.commit()?;
            }
            Some(_) => store.abort()?,
            None => {}
        }
        Ok(store)
    }

    /// The accounts in force.
    pub fn accounts(&self) -> Option<&Accounts> {
        self.current.as_ref().map(|record| &record.accounts)
    }

    /// The transaction they came with, in hexadecimal.
    pub fn transaction(&self) -> Option<&str> {
        self.current.as_ref().map(|record| &*record.transaction)
    }

    /// Makes new accounts durable beside those in force.
    pub fn stage(&mut self, txid: Txid, accounts: &Accounts) -> Result<(), StoreError> {
        let record = Record {
            transaction: hex::encode(txid),
            accounts: accounts.clone(),
        };
        self.write(&record, PENDING)?;
        self.pending = Some(record);
        Ok(())
    }

    /// Puts the staged accounts in force: keyd has committed their transaction.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        if self.pending.is_none() {
            return Ok(());
        }
        self.rename(PENDING, CURRENT)?;
        self.current = self.pending.take();
        Ok(())
    }

    /// Forgets the staged accounts.
    pub fn abort(&mut self) -> Result<(), StoreError> {
        self.pending = None;
        let path = self.directory.join(PENDING);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(StoreError { path, source })
            }
            _ => self.sync_directory(),
        }
    }

    /// Changes the accounts in force outside a transaction: a server wrote to its own.
    pub fn change(&mut self, accounts: &Accounts) -> Result<(), StoreError> {
        let Some(current) = &self.current else {
            return Ok(());
        };
        let record = Record {
            transaction: current.transaction.clone(),
            accounts: accounts.clone(),
        };
        self.write(&record, CURRENT)?;
        self.current = Some(record);
        Ok(())
    }

    /// Puts a whole file in place, durably, or leaves what was there.
    fn write(&self, record: &Record, name: &str) -> Result<(), StoreError> {
        let path = self.directory.join(NEW);
        let write = || {
            let mut options = File::options();
            let options = options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&path)?;
            file.write_all(&serde_json::to_vec(record)?)?;
            file.sync_all()
        };
        write().map_err(|source| StoreError {
            path: path.clone(),
            source,
        })?;
        self.rename(NEW, name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let path = self.directory.join(to);
        fs::rename(self.directory.join(from), &path)
            .map_err(|source| StoreError { path, source })?;
        self.sync_directory()
    }

    fn sync_directory(&self) -> Result<(), StoreError> {
        File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|source| StoreError {
                path: self.directory.clone(),
                source,
            })
    }
}

fn read(path: &Path) -> Result<Option<Record>, StoreError> {
    let failed = |source| StoreError {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    let mut octets = Vec::new();
    file.take(MAX_FILE)
        .read_to_end(&mut octets)
        .map_err(failed)?;
    serde_json::from_slice(&octets)
        .map(Some)
        .map_err(|error| failed(error.into()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use softsim_lwm2m::SecurityMode;

    use super::*;

    fn accounts(uri: &str) -> Accounts {
        Accounts::factory(uri, SecurityMode::Certificate)
    }

    const OLD: Txid = [1; 16];
    const NEWER: Txid = [2; 16];

    /// A store whose second commit was cut short after staging.
    fn cut_short() -> (tempfile::TempDir, Accounts, Accounts) {
        let directory = tempfile::tempdir().unwrap();
        let (old, new) = (accounts("coaps://old"), accounts("coaps://new"));
        let mut store = Store::open(directory.path(), None).unwrap();
        store.stage(OLD, &old).unwrap();
        store.commit().unwrap();
        store.stage(NEWER, &new).unwrap();
        (directory, old, new)
    }

    #[test]
    fn accounts_that_keyd_committed_are_rolled_forward_at_start() {
        let (directory, _, new) = cut_short();
        let store = Store::open(directory.path(), Some(NEWER)).unwrap();
        assert_eq!(store.accounts(), Some(&new));
        // And stay, whatever keyd commits without us afterwards.
        let store = Store::open(directory.path(), Some([3; 16])).unwrap();
        assert_eq!(store.accounts(), Some(&new));
        assert_eq!(store.transaction(), Some(&*hex::encode(NEWER)));
    }

    #[test]
    fn accounts_that_keyd_did_not_commit_are_rolled_back_at_start() {
        for committed in [Some(OLD), None] {
            let (directory, old, _) = cut_short();
            let store = Store::open(directory.path(), committed).unwrap();
            assert_eq!(store.accounts(), Some(&old));
            assert!(!directory.path().join(PENDING).exists());
        }
    }

    #[test]
    fn a_first_bootstrap_that_was_not_committed_leaves_no_accounts() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path(), None).unwrap();
        store.stage(OLD, &accounts("coaps://new")).unwrap();
        store.abort().unwrap();
        assert!(store.accounts().is_none());
        let store = Store::open(directory.path(), None).unwrap();
        assert!(store.accounts().is_none());
    }

    #[test]
    fn a_server_may_change_its_own_account_in_force() {
        let (directory, ..) = cut_short();
        let changed = accounts("coaps://changed");
        let mut store = Store::open(directory.path(), Some(OLD)).unwrap();
        store.change(&changed).unwrap();
        let store = Store::open(directory.path(), Some(OLD)).unwrap();
        assert_eq!(store.accounts(), Some(&changed));
        assert_eq!(store.transaction(), Some(&*hex::encode(OLD)));
    }

    #[test]
    fn a_damaged_file_is_named_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(CURRENT);
        fs::write(&path, b"{\"transaction\":").unwrap();
        let error = Store::open(directory.path(), None).unwrap_err();
        assert!(error.to_string().contains(CURRENT), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"{\"transaction\":");
    }
}
