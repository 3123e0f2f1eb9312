//! Derives a key from a passphrase: Argon2id (RFC 9106) with parameters and a salt from a file.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use softsim_sandbox::exit_status::{DATA, SOFTWARE, USAGE};
use zeroize::Zeroizing;

use super::terminal;
use crate::args::PassphraseSource;
use crate::failure::Failure;
use crate::files;

/// A key of the vault.
pub(super) type Kek = Zeroizing<[u8; 32]>;

/// The least memory, 19 MiB, and the least passes, two, which make guessing expensive.
const MIN_MEMORY_KIB: u32 = 19 << 10;
const MIN_PASSES: u32 = 2;
/// The most memory. With more, unlocking the vault would take too long.
const MAX_MEMORY_KIB: u32 = 4 << 20;
const MAX_PASSES: u32 = 1000;
const MAX_LANES: u32 = 64;
/// RFC 9106 §3.1 recommends 16 octets.
const SALT: usize = 16;

/// The longest passphrase, in octets.
const MAX_PASSPHRASE: u64 = 1024;

/// The parameters of Argon2id besides the passphrase. They aren't secret, but the key can't be
/// derived without them.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    algorithm: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    /// In hexadecimal.
    salt: String,
}

impl Parameters {
    /// Makes parameters of these costs, with a new salt.
    pub(super) fn random(memory_mib: u32, passes: u32, lanes: u32) -> Result<Self, Failure> {
        let mut salt = [0; SALT];
        getrandom::fill(&mut salt)
            .map_err(|error| Failure::new(SOFTWARE, format!("random numbers: {error}")))?;
        let parameters = Self {
            algorithm: "argon2id".into(),
            memory_kib: memory_mib.saturating_mul(1024),
            passes,
            lanes,
            salt: hex::encode(salt),
        };
        match parameters.fault() {
            None => Ok(parameters),
            Some(fault) => Err(Failure::new(USAGE, fault)),
        }
    }

    /// Writes them to a new file.
    pub(super) fn create(&self, path: &Path) -> Result<(), Failure> {
        let failed = |error| Failure::creating(path, &error);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(path)
            .map_err(failed)?;
        let mut text = serde_json::to_string_pretty(self).expect("text and numbers");
        text.push('\n');
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(failed)
    }

    /// Reads them, and refuses weak ones.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let wrong = |fault: String| Failure::new(DATA, format!("{}: {fault}", path.display()));
        let parameters: Self = serde_json::from_slice(&files::read(path)?)
            .map_err(|error| wrong(error.to_string()))?;
        match parameters.fault() {
            None => Ok(parameters),
            Some(fault) => Err(wrong(fault)),
        }
    }

    /// Why they are refused, if they are.
    fn fault(&self) -> Option<String> {
        let within = |name, got, min, max| {
            let good = (min..=max).contains(&got);
            (!good).then(|| format!("{name}: expected {min} to {max}, got {got}"))
        };
        if self.algorithm != "argon2id" {
            return Some(format!(
                "algorithm: expected argon2id, got {}",
                self.algorithm
            ));
        }
        within(
            "memory_kib",
            self.memory_kib,
            MIN_MEMORY_KIB,
            MAX_MEMORY_KIB,
        )
        .or_else(|| within("passes", self.passes, MIN_PASSES, MAX_PASSES))
        .or_else(|| within("lanes", self.lanes, 1, MAX_LANES))
        .or_else(|| {
            let good = hex::decode(&self.salt).is_ok_and(|salt| (SALT..=64).contains(&salt.len()));
            (!good).then(|| format!("salt: expected {SALT} to 64 octets in hexadecimal"))
        })
    }

    /// Derives the key of a passphrase.
    pub(super) fn derive(&self, passphrase: &[u8]) -> Result<Kek, Failure> {
        let failed = |error: argon2::Error| Failure::new(SOFTWARE, format!("Argon2id: {error}"));
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32));
        let salt = hex::decode(&self.salt).expect("checked when it was read");
        let mut kek = Kek::default();
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params.map_err(failed)?)
            .hash_password_into(passphrase, &salt, kek.as_mut_slice())
            .map_err(failed)?;
        Ok(kek)
    }
}

/// Gets a passphrase from its source.
pub(super) fn ask(source: &PassphraseSource, prompt: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    match source {
        PassphraseSource::File(path) => from_file(path),
        PassphraseSource::Terminal => terminal::ask(prompt),
    }
}

/// Gets a new passphrase. On a terminal, it asks twice, because the user doesn't see what they
/// type.
pub(super) fn ask_twice(
    source: &PassphraseSource,
    prompt: &str,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let passphrase = ask(source, prompt)?;
    if matches!(source, PassphraseSource::Terminal)
        && *terminal::ask(&format!("{prompt} once more"))? != *passphrase
    {
        return Err(Failure::new(DATA, "the two passphrases differ"));
    }
    Ok(passphrase)
}

/// Reads the passphrase in a file: everything except a newline at its end.
fn from_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let wrong = |fault: String| Failure::new(DATA, format!("{}: {fault}", path.display()));
    let mut passphrase = files::read_private(path, MAX_PASSPHRASE + 1)?;
    if passphrase.last() == Some(&b'\n') {
        passphrase.pop();
    }
    match passphrase.len() as u64 {
        0 => Err(wrong("expected a passphrase, got nothing".into())),
        1..=MAX_PASSPHRASE => Ok(passphrase),
        _ => Err(wrong(format!("expected at most {MAX_PASSPHRASE} octets"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn parameters() -> Parameters {
        Parameters {
            algorithm: "argon2id".into(),
            memory_kib: MIN_MEMORY_KIB,
            passes: MIN_PASSES,
            lanes: 1,
            salt: "02".repeat(16),
        }
    }

    #[test]
    fn a_key_depends_on_the_passphrase_the_salt_and_the_costs() {
        let key = parameters().derive(b"correct horse").unwrap();
        assert_eq!(key, parameters().derive(b"correct horse").unwrap());
        let others = [
            parameters().derive(b"correct horsf").unwrap(),
            Parameters {
                salt: "03".repeat(16),
                ..parameters()
            }
            .derive(b"correct horse")
            .unwrap(),
            Parameters {
                passes: 3,
                ..parameters()
            }
            .derive(b"correct horse")
            .unwrap(),
        ];
        assert!(others.iter().all(|other| *other != key));
    }

    #[test]
    fn weak_parameters_are_refused_by_name() {
        for (weak, words) in [
            (
                Parameters {
                    algorithm: "argon2i".into(),
                    ..parameters()
                },
                "algorithm: expected argon2id",
            ),
            (
                Parameters {
                    memory_kib: MIN_MEMORY_KIB - 1,
                    ..parameters()
                },
                "memory_kib: expected 19456",
            ),
            (
                Parameters {
                    passes: 1,
                    ..parameters()
                },
                "passes: expected 2",
            ),
            (
                Parameters {
                    lanes: 0,
                    ..parameters()
                },
                "lanes: expected 1",
            ),
            (
                Parameters {
                    salt: "02".repeat(15),
                    ..parameters()
                },
                "salt: expected 16",
            ),
            (
                Parameters {
                    salt: "zz".repeat(16),
                    ..parameters()
                },
                "salt: expected 16",
            ),
        ] {
            let fault = weak.fault().unwrap();
            assert!(fault.starts_with(words), "{fault}");
        }
        assert_eq!(parameters().fault(), None);
        assert!(Parameters::random(8, 3, 1).is_err());
    }

    #[test]
    fn parameters_are_written_once_and_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("parameters");
        let made = Parameters::random(64, 3, 1).unwrap();
        made.create(&path).unwrap();
        assert_eq!(Parameters::read(&path).unwrap(), made);
        assert!(
            made.create(&path).is_err(),
            "an existing salt is not replaced"
        );
        assert_ne!(Parameters::random(64, 3, 1).unwrap().salt, made.salt);
    }

    #[test]
    fn a_passphrase_file_is_not_for_everybody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passphrase");
        fs::write(&path, b"correct horse\n").unwrap();
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        assert!(
            from_file(&path)
                .unwrap_err()
                .message
                .contains("got mode 0644")
        );
        mode(0o600);
        assert_eq!(*from_file(&path).unwrap(), b"correct horse");
        for (content, words) in [
            (vec![b'\n'], "got nothing"),
            (vec![b'a'; 1025], "at most 1024"),
        ] {
            fs::write(&path, content).unwrap();
            assert!(from_file(&path).unwrap_err().message.contains(words));
        }
    }
}
