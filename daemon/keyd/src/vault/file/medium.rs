//! The interface of a medium, which tests implement so that it fails at any point, and the medium
//! that keyd uses.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use softsim_sandbox::file_system::{self, FileSystem};

use super::error::OpenError;

/// The vault's file in its directory.
const NAME: &str = "vault";

/// The file while it is being written for the first time.
const NEW: &str = "vault.new";

/// A file of fixed length.
pub trait Storage {
    /// Its length in octets.
    ///
    /// # Errors
    /// The medium's.
    fn length(&self) -> io::Result<u64>;

    /// Reads exactly as many octets as `buffer` has.
    ///
    /// # Errors
    /// The medium's.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes some octets from the start of `octets`, and returns how many.
    ///
    /// # Errors
    /// The medium's.
    fn write_at(&mut self, octets: &[u8], offset: u64) -> io::Result<usize>;

    /// Returns once everything that was written is on the medium.
    ///
    /// # Errors
    /// The medium failed. What was written since the last sync may then be there or not.
    fn sync(&mut self) -> io::Result<()>;

    /// Writes all octets.
    ///
    /// # Errors
    /// The medium failed, or took no more octets.
    fn write_all_at(&mut self, mut octets: &[u8], mut offset: u64) -> io::Result<()> {
        while !octets.is_empty() {
            match self.write_at(octets, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    octets = octets.get(written..).unwrap_or_default();
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The vault's file. keyd opens and locks it before it confines itself, and later needs only
/// pwrite64 and fdatasync.
#[derive(Debug)]
pub struct FileStorage(File);

impl FileStorage {
    /// Opens and locks the vault of a directory; `None` if there is none yet.
    ///
    /// # Errors
    /// The file can't be opened, or another process holds it.
    pub fn open(directory: &Path) -> Result<Option<Self>, OpenError> {
        let name = directory.join(NAME);
        loop {
            let file = match OpenOptions::new().read(true).write(true).open(&name) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            lock(&file)?;
            // Another one may have taken its place before it was locked.
            let (ours, named) = (file.metadata()?, fs::metadata(&name)?);
            if (ours.dev(), ours.ino()) == (named.dev(), named.ino()) {
                return Ok(Some(Self(file)));
            }
        }
    }

    /// The file system that the vault is on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn file_system(&self) -> io::Result<FileSystem> {
        file_system::of(&self.0)
    }

    /// Creates the vault of a directory, which `fill` fills.
    ///
    /// The file gets its name only once it is complete and on the medium. It never replaces an
    /// earlier vault.
    ///
    /// # Errors
    /// `fill` failed, there is a vault, another process is creating one, or the medium failed.
    pub fn create(
        directory: &Path,
        fill: impl FnOnce(&mut Self) -> Result<(), OpenError>,
    ) -> Result<Self, OpenError> {
        let parent = locked(directory)?;
        if directory.join(NAME).try_exists()? {
            return Err(OpenError::Exists);
        }
        NewFile::begin(directory, parent)?.finish(fill)
    }

    /// Replaces the vault of a directory, which this process holds, by a new one, which `fill`
    /// fills.
    ///
    /// Until the new one is complete and on the medium, the old one keeps its name and contents.
    ///
    /// # Errors
    /// `fill` failed, another process is creating a vault, or the medium failed.
    pub fn replace(
        directory: &Path,
        fill: impl FnOnce(&mut Self) -> Result<(), OpenError>,
    ) -> Result<Self, OpenError> {
        NewFile::begin(directory, locked(directory)?)?.finish(fill)
    }
}

/// A vault that is being created. Its directory is locked, so that there is one at a time.
struct NewFile<'d> {
    directory: &'d Path,
    parent: File,
    storage: FileStorage,
}

impl<'d> NewFile<'d> {
    /// Creates its file, and removes one that was left behind earlier.
    fn begin(directory: &'d Path, parent: File) -> Result<Self, OpenError> {
        let new = directory.join(NEW);
        if let Err(error) = fs::remove_file(&new)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error.into());
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        lock(&file)?;
        Ok(Self {
            directory,
            parent,
            storage: FileStorage(file),
        })
    }

    /// Fills the file, and gives it its name once it is on the medium.
    fn finish(
        mut self,
        fill: impl FnOnce(&mut FileStorage) -> Result<(), OpenError>,
    ) -> Result<FileStorage, OpenError> {
        fill(&mut self.storage)?;
        self.storage.0.sync_all()?;
        fs::rename(self.directory.join(NEW), self.directory.join(NAME))?;
        self.parent.sync_all()?;
        Ok(self.storage)
    }
}

fn locked(directory: &Path) -> Result<File, OpenError> {
    let directory = File::open(directory)?;
    lock(&directory)?;
    Ok(directory)
}

pub(super) fn lock(file: &File) -> Result<(), OpenError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::Locked,
        TryLockError::Error(error) => OpenError::Io(error),
    })
}

impl Storage for FileStorage {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(&self.0, buffer, offset)
    }

    fn write_at(&mut self, octets: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(&self.0, octets, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}
