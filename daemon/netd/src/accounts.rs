//! The accounts on disk, consistent with keyd's transactions.
//!
//! A bootstrap changes keyd's profiles and netd's accounts together, and keyd's Commit decides.
//! Therefore netd writes the new accounts to `accounts.pending` before Commit, and renames that
//! file to `accounts.json` after it. A netd that starts in between compares keyd's last transaction
//! with theirs, and completes the change or undoes it. Accounts hold no secret: keys that a server
//! writes go to keyd.
//!
//! keyd keeps the digest of the Security instances. At the start, netd sets accounts that keyd
//! didn't commit aside as `accounts.rejected`, and bootstraps. It does the same when keyd returns
//! after a restart.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use softsim_client::proto::StatusAnswer;
use softsim_lwm2m::Accounts;

/// The id of a transaction.
pub(crate) type Txid = [u8; 16];

/// SHA-256 of accounts, without the parts that a management server may write to its own account.
pub(crate) type Digest = [u8; 32];

const CURRENT: &str = "accounts.json";
const PENDING: &str = "accounts.pending";
const NEW: &str = "accounts.new";
const REJECTED: &str = "accounts.rejected";

/// The limit of a file in octets; the accounts of any bootstrap server take fewer.
const MAX_FILE: u64 = 1 << 20;

/// The digest that keyd's Commit takes.
pub(crate) fn digest(accounts: &Accounts) -> Digest {
    Sha256::digest(accounts.canonical_security()).into()
}

/// What keyd committed last for netd.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Committed {
    /// The transaction.
    pub(crate) transaction: Option<Txid>,
    /// The digest of the last accounts that it committed with one.
    pub(crate) accounts: Option<Digest>,
}

impl From<&StatusAnswer> for Committed {
    fn from(status: &StatusAnswer) -> Self {
        Self {
            transaction: status.committed,
            accounts: status.accounts,
        }
    }
}

/// The contents of a file. A reset leaves empty accounts, which count as none.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    transaction: String,
    accounts: Accounts,
}

impl Record {
    /// Whether keyd has committed these accounts, which were staged while those of `current` were
    /// in force. Another transaction may have followed, of a package alone: then the digest shows
    /// it.
    fn is_committed(&self, committed: Committed, current: Option<&Self>) -> bool {
        let last = committed.transaction.map(hex::encode);
        let has_digest = |record: &Self| committed.accounts == Some(digest(&record.accounts));
        last.as_ref() == Some(&self.transaction)
            || has_digest(self) && !current.is_some_and(has_digest)
    }

    /// Checks that these are the accounts that keyd committed, and that netd can use them.
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

/// The accounts in force, and the files that hold them.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    current: Option<Record>,
    pending: Option<Record>,
    fault: Option<String>,
}

/// netd can't write a file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", .path.display())]
pub struct StoreError {
    path: PathBuf,
    source: io::Error,
}

impl Store {
    /// Reads the accounts. If a commit was cut short, it completes or undoes it, as keyd's last
    /// transaction says. It sets accounts that keyd didn't commit aside.
    ///
    /// A transaction that netd doesn't know leaves the accounts alone: a package of a management
    /// server has one, too.
    pub(crate) fn open(directory: &Path, committed: Committed) -> Self {
        let mut store = Self {
            directory: directory.to_owned(),
            current: None,
            pending: None,
            fault: None,
        };
        if let Err(error) = store.settle_pending(committed) {
            tracing::error!(%error, "accounts of an earlier bootstrap can't be settled");
        }
        store.load(committed.accounts);
        store
    }

    /// Puts the accounts of a commit that was cut short in force if keyd has committed it, and
    /// drops them otherwise.
    fn settle_pending(&mut self, committed: Committed) -> Result<(), StoreError> {
        clear(&self.directory.join(NEW))?;
        let current = read(&self.directory.join(CURRENT)).ok().flatten();
        match read(&self.directory.join(PENDING)) {
            Ok(None) => Ok(()),
            Ok(Some(pending)) if pending.is_committed(committed, current.as_ref()) => {
                self.rename(PENDING, CURRENT)
            }
            _ => clear(&self.directory.join(PENDING)),
        }
    }

    /// Takes the accounts in `accounts.json`, if keyd committed them.
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

    /// Does after a restart of keyd what [`Self::open`] does after one of netd, from memory: a netd
    /// that is confined reads no files. Returns whether other accounts are in force, or none.
    pub(crate) fn reconcile(&mut self, committed: Committed) -> Result<bool, StoreError> {
        let before = self.transaction().map(str::to_owned);
        match &self.pending {
            Some(staged) if staged.is_committed(committed, self.current.as_ref()) => {
                self.commit()?
            }
            Some(_) => self.abort()?,
            None => {}
        }
        let judged = self
            .current
            .as_ref()
            .map(|record| record.judge(committed.accounts));
        if let Some(Err(reason)) = judged {
            self.current = None;
            self.set_aside(&reason);
        }
        Ok(self.transaction() != before.as_deref())
    }

    /// Keeps accounts that netd can't use, so that an operator can look at them.
    fn set_aside(&mut self, reason: &str) {
        let set_aside = self.rename(CURRENT, REJECTED).or_else(|_| {
            // There is something other than a file.
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

    /// The id of the transaction that brought them, in hexadecimal.
    pub(crate) fn transaction(&self) -> Option<&str> {
        self.in_force().map(|record| &*record.transaction)
    }

    /// Why the accounts that were there at the start are not in force. A commit clears it.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    fn in_force(&self) -> Option<&Record> {
        let current = self.current.as_ref();
        current.filter(|record| !record.accounts.is_empty())
    }

    /// Writes new accounts durably, next to those in force.
    pub(crate) fn stage(&mut self, txid: Txid, accounts: &Accounts) -> Result<(), StoreError> {
        let record = Record {
            transaction: hex::encode(txid),
            accounts: accounts.clone(),
        };
        self.write(&record, PENDING)?;
        self.pending = Some(record);
        Ok(())
    }

    /// Puts the staged accounts in force, after keyd has committed their transaction.
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

    /// Changes the accounts in force without a transaction, after a server wrote to its own
    /// account.
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

    /// Replaces a whole file durably, or leaves it as it was.
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

/// Reads a file, if it exists. The error says why netd can't use it. It may be anything, since a
/// netd that was taken over could have written it.
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

/// Removes whatever is at a path. Only the start calls this: later, the filter forbids it.
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
pub(crate) mod tests;
