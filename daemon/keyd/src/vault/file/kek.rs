//! The key-encryption key, which opens the vault and comes from outside of it.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::{env, fmt};

use softsim_sandbox::secret_file::{self, SecretFileError};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The key of `--development-key`, which everybody knows.
const DEVELOPMENT: &[u8; Kek::LENGTH] = b"softsim development key, no safe";

/// The key that opens the vault's header. It is wiped on drop, and never printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Kek([u8; Self::LENGTH]);

/// Why a key was refused.
#[derive(Debug, thiserror::Error)]
pub enum KekError {
    /// It can't be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It can't be opened, or others than its owner may read it.
    #[error("{0}")]
    File(SecretFileError),
    /// It has another length.
    #[error("expected {} octets, got {got}", Kek::LENGTH)]
    Length {
        /// The number of octets that were found. There may be more.
        got: u64,
    },
    /// The environment has no `CREDENTIALS_DIRECTORY`.
    #[error(
        "expected credentials of systemd (LoadCredentialEncrypted=), got no CREDENTIALS_DIRECTORY"
    )]
    NoCredentials,
    /// The name is not that of a file in the directory of credentials.
    #[error("expected the name of a credential, got a path")]
    NotAName,
}

impl Kek {
    /// The length in octets.
    pub const LENGTH: usize = 32;

    /// Reads a key file: 32 octets that only the owner may read (see
    /// [`secret_file::open_regular`]).
    ///
    /// # Errors
    /// It can't be read, or isn't a key file.
    pub fn read(path: &Path) -> Result<Self, KekError> {
        let mut file = secret_file::open_regular(path).map_err(KekError::File)?;
        let got = file.metadata()?.len();
        if got != Self::LENGTH as u64 {
            return Err(KekError::Length { got });
        }
        let mut kek = Self([0; Self::LENGTH]);
        file.read_exact(&mut kek.0)?;
        Ok(kek)
    }

    /// Reads a credential that systemd gave the service. It has the format of a key file.
    ///
    /// # Errors
    /// There is no credential of this name, or it isn't a key file.
    pub fn from_credential(name: &str) -> Result<Self, KekError> {
        if name.is_empty() || name == "." || name == ".." || name.contains('/') {
            return Err(KekError::NotAName);
        }
        let directory = env::var_os("CREDENTIALS_DIRECTORY").ok_or(KekError::NoCredentials)?;
        Self::read(&Path::new(&directory).join(name))
    }

    /// The key of `--development-key`: no protection at all.
    pub fn development() -> Self {
        Self(*DEVELOPMENT)
    }

    pub(super) fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

/// Standard input, from which keys are read one after the other.
#[derive(Debug)]
pub struct KekInput(File);

impl KekInput {
    /// The standard input of this process, without a buffer, in which keys would be left behind.
    ///
    /// # Errors
    /// There is no standard input.
    pub fn standard() -> Result<Self, KekError> {
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self(input.into()))
    }

    /// Reads the next key, 32 octets. If they came from a file that may be written, overwrites them
    /// with zeros.
    ///
    /// # Errors
    /// It can't be read, or ends too soon.
    pub fn kek(&mut self) -> Result<Kek, KekError> {
        let mut kek = Kek([0; Kek::LENGTH]);
        let mut got = 0;
        while got < Kek::LENGTH {
            match self.0.read(&mut kek.0[got..]) {
                Ok(0) => return Err(KekError::Length { got: got as u64 }),
                Ok(read) => got += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        if self.0.metadata()?.is_file() {
            let start = self.0.stream_position()?.saturating_sub(Kek::LENGTH as u64);
            // What was opened for reading only stays: whoever gave it that way keeps it.
            let _ = self.0.write_all_at(&[0; Kek::LENGTH], start);
        }
        Ok(kek)
    }

    /// Checks that nothing follows the keys.
    ///
    /// # Errors
    /// Something follows: the keys may be the start of something else.
    pub fn end(mut self) -> Result<(), KekError> {
        match self.0.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(KekError::Length {
                got: Kek::LENGTH as u64 + 1,
            }),
        }
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

    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

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
                Err(KekError::File(SecretFileError::Mode { mode: got, .. })) => {
                    assert_eq!(got, mode);
                }
                other => panic!("mode {mode:o}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_key_file_has_32_octets() {
        for length in [0, 31, 33, 64] {
            let (_directory, path) = key_file(&vec![7; length], 0o400);
            match Kek::read(&path) {
                Err(KekError::Length { got }) => assert_eq!(got, length as u64),
                other => panic!("{length} octets: {other:?}"),
            }
        }
    }

    #[test]
    fn only_a_regular_file_that_is_there_is_a_key_file_and_a_named_pipe_lets_nobody_wait() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let pipe = directory.path().join("pipe");
        let made = Command::new("mkfifo").arg("-m600").arg(&pipe).status();
        assert!(made.unwrap().success());
        for path in [directory.path(), &directory.path().join("none"), &pipe] {
            assert!(matches!(
                Kek::read(path),
                Err(KekError::File(SecretFileError::Open { .. }))
            ));
        }
    }

    #[test]
    fn a_credential_is_named_not_pathed() {
        for name in ["", ".", "..", "a/b", "/etc/passwd", "../kek"] {
            let refused = Kek::from_credential(name);
            assert!(matches!(refused, Err(KekError::NotAName)), "{name}");
        }
    }

    #[test]
    fn keys_on_standard_input_follow_each_other_and_are_overwritten() {
        let octets = [[1; 32], [2; 32]].concat();
        let (_directory, path) = key_file(&octets, 0o600);
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let mut input = KekInput(file);
        assert_eq!(input.kek().unwrap().as_bytes(), &[1; 32]);
        assert_eq!(fs::read(&path).unwrap(), [[0; 32], [2; 32]].concat());
        assert_eq!(input.kek().unwrap().as_bytes(), &[2; 32]);
        assert_eq!(fs::read(&path).unwrap(), [0; 64]);
        assert!(matches!(input.kek(), Err(KekError::Length { got: 0 })));
        input.end().unwrap();
    }

    #[test]
    fn a_key_on_standard_input_has_32_octets() {
        for (length, enough) in [(31, false), (33, true)] {
            let (_directory, path) = key_file(&vec![7; length], 0o400);
            let mut input = KekInput(File::open(&path).unwrap());
            assert_eq!(input.kek().is_ok(), enough);
            assert_eq!(fs::read(&path).unwrap(), vec![7; length], "read only");
            if enough {
                assert!(matches!(input.end(), Err(KekError::Length { got: 33 })));
            }
        }
    }

    #[test]
    fn a_kek_prints_as_redacted() {
        assert_eq!(format!("{:?}", Kek::development()), "Kek([redacted])");
    }
}
