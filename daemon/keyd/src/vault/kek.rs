//! The key-encryption key: opens the vault, and comes from outside of it.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
};

use zeroize::{Zeroize, ZeroizeOnDrop};

/// The key of `--development-key`, which everybody knows.
const DEVELOPMENT: &[u8; Kek::LENGTH] = b"softsim development key, no safe";

/// The key that opens the vault's header. Wiped on drop, never printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Kek([u8; Self::LENGTH]);

/// Why a key file was not taken.
#[derive(Debug)]
pub enum KekError {
    /// It can't be read.
    Io(io::Error),
    /// It is a directory, a device or something else that isn't a regular file.
    NotAFile,
    /// Others than its owner may read or write it.
    Mode {
        /// Its permissions.
        came: u32,
    },
    /// It doesn't hold exactly 32 octets.
    Length {
        /// How many it holds.
        came: u64,
    },
}

impl fmt::Display for KekError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "key file: {error}"),
            Self::NotAFile => f.write_str("key file: expected a regular file"),
            Self::Mode { came } => {
                write!(f, "key file: expected mode 0400 or 0600, came {came:04o}")
            }
            Self::Length { came } => {
                write!(f, "key file: expected {} octets, came {came}", Kek::LENGTH)
            }
        }
    }
}

impl std::error::Error for KekError {}

impl From<io::Error> for KekError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Kek {
    /// Length in octets.
    pub const LENGTH: usize = 32;

    /// Reads a key file; see [`Self::read_from`].
    ///
    /// # Errors
    /// It can't be read, or isn't a key file.
    pub fn read(path: &Path) -> Result<Self, KekError> {
        Self::read_from(&File::open(path)?)
    }

    /// Reads an open key file: 32 octets that only the owner may read.
    ///
    /// A group may read a file of root's own group: so appear credentials of systemd, whose access list names
    /// only the service's user.
    ///
    /// # Errors
    /// It can't be read, or isn't a key file.
    pub fn read_from(mut file: &File) -> Result<Self, KekError> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(KekError::NotAFile);
        }
        let forbidden = if metadata.uid() == 0 && metadata.gid() == 0 {
            0o037
        } else {
            0o077
        };
        let mode = metadata.mode() & 0o7777;
        if mode & forbidden != 0 {
            return Err(KekError::Mode { came: mode });
        }
        if metadata.len() != Self::LENGTH as u64 {
            return Err(KekError::Length {
                came: metadata.len(),
            });
        }
        let mut kek = Self([0; Self::LENGTH]);
        file.read_exact(&mut kek.0)?;
        Ok(kek)
    }

    /// The key of `--development-key`: no protection at all.
    pub fn development() -> Self {
        Self(*DEVELOPMENT)
    }

    pub(super) fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kek([redacted])")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn key_file(octets: &[u8], mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kek");
        fs::write(&path, octets).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn a_key_file_is_its_owners_alone() {
        for mode in [0o400, 0o600] {
            let (_directory, path) = key_file(&[7; 32], mode);
            assert_eq!(Kek::read(&path).unwrap().as_bytes(), &[7; 32]);
        }
        for mode in [0o404, 0o660, 0o644, 0o622] {
            let (_directory, path) = key_file(&[7; 32], mode);
            match Kek::read(&path) {
                Err(KekError::Mode { came }) => assert_eq!(came, mode),
                other => panic!("mode {mode:o}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_key_file_has_32_octets() {
        for length in [0, 31, 33, 64] {
            let (_directory, path) = key_file(&vec![7; length], 0o400);
            match Kek::read(&path) {
                Err(KekError::Length { came }) => assert_eq!(came, length as u64),
                other => panic!("{length} octets: {other:?}"),
            }
        }
    }

    #[test]
    fn a_directory_is_no_key_file() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(
            Kek::read(directory.path()),
            Err(KekError::NotAFile)
        ));
        assert!(matches!(
            Kek::read(&directory.path().join("none")),
            Err(KekError::Io(_))
        ));
    }

    #[test]
    fn a_kek_prints_as_redacted() {
        assert_eq!(format!("{:?}", Kek::development()), "Kek([redacted])");
    }
}
