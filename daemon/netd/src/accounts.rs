//! The accounts on disk, in step with keyd's transactions.
//!
//! A bootstrap changes keyd's profiles and our accounts together, and keyd's Commit decides. The
//! new accounts are therefore durable as `accounts.pending` before Commit and take the place of
//! `accounts.json` after it; a start in between rolls them forward or back by keyd's transaction
//! id. They hold no secret: keys that a server writes go to keyd.
//!
//! keyd keeps the digest of the Security instances. Accounts that keyd didn't commit
//! are set aside as `accounts.rejected` at the start, and a bootstrap brings others.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use softsim_lwm2m::Accounts;

/// Names a transaction.
pub(crate) type Txid = [u8; 16];

/// SHA-256 of accounts, without what a management server may write to its own.
pub(crate) type Digest = [u8; 32];

const CURRENT: &str = "accounts.json";
const PENDING: &str = "accounts.pending";
const NEW: &str = "accounts.new";
const REJECTED: &str = "accounts.rejected";

/// More than the accounts of any bootstrap server.
const MAX_FILE: u64 = 1 << 20;

/// What keyd's Commit takes of accounts.
pub(crate) fn digest(accounts: &Accounts) -> Digest {
    Sha256::digest(accounts.canonical_security()).into()
}

/// What keyd committed last for us.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Committed {
    /// The transaction.
    pub(crate) transaction: Option<Txid>,
    /// The digest of the last accounts that it committed with one.
    pub(crate) accounts: Option<Digest>,
}

/// What a file holds. A reset leaves empty accounts, which count as none.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    transaction: String,
    accounts: Accounts,
}

impl Record {
    /// Whether these are the accounts that keyd committed, and can be used.
    fn judge(&self, committed: Option<Digest>) -> Result<(), String> {
        let got = digest(&self.accounts);
        match committed {
            Some(committed) if committed == got => {}
            Some(committed) => {
                let (committed, got) = (hex::encode(committed), hex::encode(got));
                return Err(format!(
                    "expected the digest that softsim-keyd committed, {committed}, got {got}"
                ));
            }
            None => return Err("softsim-keyd has committed no accounts".into()),
        }
        match self.accounts.is_empty() {
            true => Ok(()),
            false => (self.accounts.check(false)).map_err(|error| error.to_string()),
        }
    }
}

/// The accounts in force and the files they are in.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    current: Option<Record>,
    pending: Option<Record>,
    fault: Option<String>,
}

/// A file that can't be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", .path.display())]
pub struct StoreError {
    path: PathBuf,
    source: io::Error,
}

impl Store {
    /// Reads the accounts; those of a commit that was cut short are rolled to keyd's last
    /// transaction, and those that keyd didn't commit are set aside.
    ///
    /// A transaction that we know nothing of leaves the accounts alone: a management server's
    /// package has one, too.
    pub(crate) fn open(directory: &Path, committed: Committed) -> Self {
        let mut store = Self {
            directory: directory.to_owned(),
            current: None,
            pending: None,
            fault: None,
        };
        if let Err(error) = store.settle_pending(committed.transaction) {
            tracing::error!(%error, "accounts of an earlier bootstrap can't be settled");
        }
        store.load(committed.accounts);
        store
    }

    /// Puts the accounts of a commit that was cut short in force where keyd has committed it, and
    /// drops them otherwise.
    fn settle_pending(&mut self, committed: Option<Txid>) -> Result<(), StoreError> {
        clear(&self.directory.join(NEW))?;
        let pending = read(&self.directory.join(PENDING));
        let committed = committed.map(hex::encode);
        match pending {
            Ok(None) => Ok(()),
            Ok(Some(pending)) if Some(&pending.transaction) == committed.as_ref() => {
                self.rename(PENDING, CURRENT)
            }
            _ => clear(&self.directory.join(PENDING)),
        }
    }

    /// Takes what is in `accounts.json`, if it is what keyd committed.
    fn load(&mut self, committed: Option<Digest>) {
        let found = read(&self.directory.join(CURRENT));
        let judged = found.and_then(|found| match found {
            Some(record) => record.judge(committed).map(|()| Some(record)),
            None => Ok(None),
        });
        match judged {
            Ok(None)
                if committed.is_some_and(|committed| committed != digest(&Accounts::default())) =>
            {
                self.report(format!("{CURRENT} is missing"));
            }
            Ok(current) => self.current = current,
            Err(reason) => self.set_aside(&reason),
        }
    }

    /// Keeps accounts that can't be used, so that an operator can look at them.
    fn set_aside(&mut self, reason: &str) {
        let set_aside = self.rename(CURRENT, REJECTED).or_else(|_| {
            // What is there is no file.
            clear(&self.directory.join(REJECTED))?;
            self.rename(CURRENT, REJECTED)
        });
        self.report(match set_aside {
            Ok(()) => format!("{CURRENT} is set aside as {REJECTED}: {reason}"),
            Err(error) => {
                format!("{CURRENT} is not used: {reason}; it can't be set aside: {error}")
            }
        });
    }

    fn report(&mut self, fault: String) {
        tracing::error!("accounts: {fault}");
        self.fault = Some(fault);
    }

    /// The accounts in force.
    pub(crate) fn accounts(&self) -> Option<&Accounts> {
        self.in_force().map(|record| &record.accounts)
    }

    /// The transaction that brought them, in hexadecimal.
    pub(crate) fn transaction(&self) -> Option<&str> {
        self.in_force().map(|record| &*record.transaction)
    }

    /// Why the accounts that were there at the start are not in force, until others are.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    fn in_force(&self) -> Option<&Record> {
        let current = self.current.as_ref();
        current.filter(|record| !record.accounts.is_empty())
    }

    /// Makes new accounts durable next to those in force.
    pub(crate) fn stage(&mut self, txid: Txid, accounts: &Accounts) -> Result<(), StoreError> {
        let record = Record {
            transaction: hex::encode(txid),
            accounts: accounts.clone(),
        };
        self.write(&record, PENDING)?;
        self.pending = Some(record);
        Ok(())
    }

    /// Puts the staged accounts in force: keyd has committed their transaction.
    pub(crate) fn commit(&mut self) -> Result<(), StoreError> {
        if self.pending.is_none() {
            return Ok(());
        }
        self.rename(PENDING, CURRENT)?;
        self.current = self.pending.take();
        self.fault = None;
        Ok(())
    }

    /// Forgets the staged accounts.
    pub(crate) fn abort(&mut self) -> Result<(), StoreError> {
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
    pub(crate) fn change(&mut self, accounts: &Accounts) -> Result<(), StoreError> {
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

/// Reads a file, if it is there; says what is wrong with one that can't be used. It may be
/// anything: a netd that was taken over could write here.
fn read(path: &Path) -> Result<Option<Record>, String> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| error.to_string())?,
    };
    if !found.is_file() {
        return Err("expected a regular file".into());
    }
    let mut octets = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_end(&mut octets))
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&octets)
        .map(Some)
        .map_err(|error| error.to_string())
}

/// Removes what is at a path, whatever it is. For the start: later, the filter stands against it.
fn clear(path: &Path) -> Result<(), StoreError> {
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => fs::remove_dir_all(path),
        other => other,
    };
    match removed {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(StoreError {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
