//! Files that hold a secret, which are opened only if nobody but their owner can read them.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::{process, regular_file};

/// Why a file with a secret isn't accepted.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It can't be opened, or isn't the kind of file that it must be.
    #[error("{path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Other users than its owner may read or write it.
    #[error(
        "{path}: expected a file that only its owner may read, got mode {mode:04o}: chmod 600 {path}"
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It belongs neither to this user nor to root. Its owner can read it and replace the secret.
    #[error(
        "{path}: expected a file of this user or of root, got one of user {uid}: chown {} {path}",
        process::uid()
    )]
    Owner {
        /// The file.
        path: PathBuf,
        /// The user that owns it.
        uid: u32,
    },
}

/// Opens a file for reading, if it belongs to this user or to root and nobody else may read or
/// write it. A named pipe lets the caller wait for whoever writes the secret, which suits a program
/// that somebody runs by hand; a daemon uses [`open_regular`].
///
/// The check applies to the open file, so that nobody can replace it in between.
///
/// The group may read a file if owner and group are root. Credentials of systemd look like that;
/// their access list names only the service's user.
///
/// # Errors
/// See [`SecretFileError`].
pub fn open(path: &Path) -> Result<File, SecretFileError> {
    accept(path, File::open(path))
}

/// Like [`open`], but accepts only a regular file, and waits for nobody.
///
/// # Errors
/// See [`SecretFileError`].
pub fn open_regular(path: &Path) -> Result<File, SecretFileError> {
    accept(path, regular_file::open(path))
}

fn accept(path: &Path, opened: io::Result<File>) -> Result<File, SecretFileError> {
    let failed = |source| SecretFileError::Open {
        path: path.to_owned(),
        source,
    };
    let file = opened.map_err(failed)?;
    judge(path, file.metadata().map_err(failed)?.into())?;
    Ok(file)
}

/// Who may do what with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Its permissions.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl From<Metadata> for Access {
    fn from(metadata: Metadata) -> Self {
        Self {
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
        }
    }
}

/// Makes the check of [`open`] for a file that another process has opened.
///
/// # Errors
/// See [`SecretFileError`].
pub fn judge(path: &Path, access: Access) -> Result<(), SecretFileError> {
    let Access { mode, uid, gid } = access;
    let forbidden = match (uid, gid) {
        (0, 0) => 0o037,
        _ => 0o077,
    };
    if mode & forbidden != 0 {
        let path = path.to_owned();
        return Err(SecretFileError::Mode { path, mode });
    }
    if uid != 0 && uid != process::uid() {
        let path = path.to_owned();
        return Err(SecretFileError::Owner { path, uid });
    }
    Ok(())
}
