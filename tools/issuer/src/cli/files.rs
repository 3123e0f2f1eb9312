//! The files that commands read and write.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use softsim_sandbox::secret_file;
use zeroize::Zeroizing;

use super::output::Failure;

/// The longest file with a secret, in octets, which is more than any profile or key needs.
const MAX_SECRET: u64 = 64 << 10;

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::reading(path, &error))
}

pub(crate) fn write(path: &Path, contents: &[u8]) -> Result<(), Failure> {
    fs::write(path, contents).map_err(|error| Failure::creating(path, &error))
}

/// Reads a text with a secret from a file that only its owner may read. The text doesn't move in
/// memory, so that no copy is left behind, and is wiped after use.
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let file = secret_file::open(path).map_err(|error| Failure::secret(&error))?;
    let mut text = Zeroizing::new(String::with_capacity(MAX_SECRET as usize));
    file.take(MAX_SECRET)
        .read_to_string(&mut text)
        .map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => Failure::about(path, "expected text, got other octets"),
            _ => Failure::reading(path, &error),
        })?;
    Ok(text)
}

/// Creates a file with these permissions from the beginning. An existing file is an error.
pub(crate) fn create_new(path: &Path, mode: u32, contents: &[u8]) -> Result<(), Failure> {
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    created
        .and_then(|mut file| file.write_all(contents))
        .map_err(|error| Failure::creating(path, &error))
}
