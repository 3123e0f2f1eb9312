//! Files of which a program reads the contents: regular ones, so that opening them waits for
//! nobody.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Opens a file for reading, if it is a regular one.
///
/// A named pipe would otherwise let the program wait until somebody writes to it.
///
/// # Errors
/// The error of the system, or [`NotRegular`] as the source of an error of the kind
/// `InvalidInput`.
pub fn open(path: &Path) -> io::Result<File> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        // A socket can't be opened at all.
        Some(libc::ENXIO) => NotRegular(libc::S_IFSOCK).into(),
        _ => error,
    })?;
    match file.metadata()?.mode() & libc::S_IFMT {
        libc::S_IFREG => Ok(file),
        other => Err(NotRegular(other).into()),
    }
}

/// It is something else than a regular file: the type of the file, as in the mode of inode(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a regular file, got {}", self.name())]
pub struct NotRegular(pub u32);

impl NotRegular {
    fn name(self) -> &'static str {
        match self.0 {
            libc::S_IFDIR => "a directory",
            libc::S_IFIFO => "a named pipe",
            libc::S_IFSOCK => "a socket",
            libc::S_IFCHR | libc::S_IFBLK => "a device",
            _ => "something else",
        }
    }

    /// What an error of [`open`] says of the file, if that is the reason.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<NotRegular> for io::Error {
    fn from(error: NotRegular) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}
