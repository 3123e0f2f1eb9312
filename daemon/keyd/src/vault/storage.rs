//! What the vault asks of a file, so that tests can break it at every point.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use rand_core::CryptoRng;

use super::{Kek, OpenError, create::format};

/// The vault's file in its directory.
const NAME: &str = "vault";

/// The file while it is being made.
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

    /// Writes some octets from the start of `octets`, and tells how many.
    ///
    /// # Errors
    /// The medium's.
    fn write_at(&mut self, octets: &[u8], offset: u64) -> io::Result<usize>;

    /// Returns when all that was written is on the medium.
    ///
    /// # Errors
    /// The medium's; what was written since the last sync may then be there or not.
    fn sync(&mut self) -> io::Result<()>;

    /// Writes all octets.
    ///
    /// # Errors
    /// The medium's, or it took no more octets.
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

/// The vault's file: opened and locked before the sandbox, then only pwrite64 and fdatasync.
#[derive(Debug)]
pub struct FileStorage(File);

impl FileStorage {
    /// Opens and locks the vault of a directory; nothing where there is none yet.
    ///
    /// # Errors
    /// The file can't be opened, or another process holds it.
    pub fn open(directory: &Path) -> Result<Option<Self>, OpenError> {
        match OpenOptions::new()
            .read(true)
            .write(true)
            .open(directory.join(NAME))
        {
            Ok(file) => {
                lock(&file)?;
                Ok(Some(Self(file)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the vault of a directory, empty and with room for `capacity` profiles.
    ///
    /// It appears under its name only when it is whole and on the medium; an earlier one is never replaced.
    ///
    /// # Errors
    /// There is a vault, another process is making one, or the medium's.
    pub fn create(
        directory: &Path,
        kek: &Kek,
        capacity: u32,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, OpenError> {
        let parent = File::open(directory)?;
        lock(&parent)?;
        let (name, new) = (directory.join(NAME), directory.join(NEW));
        if name.try_exists()? {
            return Err(OpenError::Exists);
        }
        if let Err(error) = std::fs::remove_file(&new)
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
        let mut storage = Self(file);
        format(&mut storage, kek, capacity, rng)?;
        storage.0.sync_all()?;
        std::fs::rename(&new, &name)?;
        parent.sync_all()?;
        Ok(storage)
    }
}

fn lock(file: &File) -> Result<(), OpenError> {
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
