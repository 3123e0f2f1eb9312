//! The files that commands read and write, and the programs that they run.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::{env, fs};

use pem_rfc7468::LineEnding;
use softsim_client::netd::RadiusSecret;
use softsim_sandbox::exit_status::{DATA, NO_INPUT};
use softsim_sandbox::secret_file::{self, SecretFileError};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The longest file in octets, which is more than any certificate, key or package that keyd
/// accepts.
const MAX_FILE: u64 = 64 << 10;

/// A program of softsim: beside this program, or where packages install the daemons; if it is in
/// neither place, the one on the search path.
pub fn program(name: &str) -> PathBuf {
    let beside = env::current_exe().map(|this| this.with_file_name(name));
    let installed = Path::new("/usr/sbin").join(name);
    let mut places = beside.into_iter().chain([installed]);
    places
        .find(|place| place.exists())
        .unwrap_or_else(|| name.into())
}

/// Reads a file of at most that length.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let length = fs::metadata(path)
        .map_err(|error| Failure::reading(path, &error))?
        .len();
    if length > MAX_FILE {
        return Err(Failure::new(
            DATA,
            format!(
                "{}: expected at most {MAX_FILE} octets, got {length}",
                path.display()
            ),
        ));
    }
    fs::read(path).map_err(|error| Failure::reading(path, &error))
}

/// Reads the DER in a file, which may be in PEM with this label.
pub fn read_der(path: &Path, label: &str) -> Result<Vec<u8>, Failure> {
    let octets = read(path)?;
    if !octets.starts_with(b"-----BEGIN") {
        return Ok(octets);
    }
    let (got, der) = pem_rfc7468::decode_vec(&octets)
        .map_err(|error| Failure::new(DATA, format!("{}: {error}", path.display())))?;
    if got != label {
        return Err(Failure::new(
            DATA,
            format!("{}: expected a {label}, got a {got}", path.display()),
        ));
    }
    Ok(der)
}

/// Encodes DER as PEM.
pub fn to_pem(label: &str, der: &[u8]) -> Result<String, Failure> {
    pem_rfc7468::encode_string(label, LineEnding::LF, der)
        .map_err(|error| Failure::new(DATA, format!("{label}: {error}")))
}

/// Writes a complete file.
pub fn write(path: &Path, octets: &[u8]) -> Result<(), Failure> {
    fs::write(path, octets).map_err(|error| Failure::creating(path, &error))
}

/// Reads at most `limit` octets, and one more, of a file that nobody but its owner can read. The
/// octets never move in memory, so that no copy is left behind.
pub fn read_private(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let file = secret_file::open(path).map_err(|error| {
        let status = match error {
            SecretFileError::Open { .. } => NO_INPUT,
            SecretFileError::Mode { .. } | SecretFileError::Owner { .. } => DATA,
        };
        Failure::new(status, error.to_string())
    })?;
    let mut octets = Zeroizing::new(Vec::with_capacity(limit as usize + 1));
    file.take(limit + 1)
        .read_to_end(&mut octets)
        .map_err(|error| Failure::reading(path, &error))?;
    Ok(octets)
}

/// Reads the RADIUS secret in a file: everything except a newline at its end.
pub fn read_secret(path: &Path) -> Result<RadiusSecret, Failure> {
    let octets = read_private(path, MAX_FILE)?;
    let secret = octets.strip_suffix(b"\n").unwrap_or(&octets);
    let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
    if secret.is_empty() {
        return Err(Failure::new(
            DATA,
            format!("{}: expected a secret, got nothing", path.display()),
        ));
    }
    Ok(RadiusSecret::new(secret.to_vec()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn a_certificate_is_read_from_pem_and_from_der() {
        let der = [0x30, 0x03, 0x02, 0x01, 0x05];
        let pem = to_pem("CERTIFICATE", &der).unwrap();
        assert_eq!(read_der(file(&der).path(), "CERTIFICATE"), Ok(der.to_vec()));
        assert_eq!(
            read_der(file(pem.as_bytes()).path(), "CERTIFICATE"),
            Ok(der.to_vec())
        );
    }

    #[test]
    fn a_private_key_is_not_taken_for_a_public_one() {
        let pem = to_pem("PRIVATE KEY", &[0x30, 0x00]).unwrap();
        let failure = read_der(file(pem.as_bytes()).path(), "PUBLIC KEY").unwrap_err();
        assert!(
            failure
                .message
                .ends_with("expected a PUBLIC KEY, got a PRIVATE KEY")
        );
    }

    #[test]
    fn a_newline_at_the_end_is_not_part_of_the_secret() {
        for content in [&b"s3cret"[..], b"s3cret\n", b"s3cret\r\n"] {
            assert_eq!(
                read_secret(file(content).path()).unwrap().expose(),
                b"s3cret"
            );
        }
        assert_eq!(read_secret(file(b"\n").path()).unwrap_err().status, DATA);
    }
}
