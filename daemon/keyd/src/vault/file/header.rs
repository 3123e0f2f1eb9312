//! The file's header: the format of the file, and the encrypted key of its records.
//!
//! ```text
//! octets  0..8    "SOFTSIMV"
//!         8..10   format, big-endian
//!        10..14   capacity, big-endian
//!        14..38   nonce
//!        38..86   data key, encrypted with the KEK (XChaCha20-Poly1305), octets 0..14 as associated data
//!        86..118  SHA-256 of octets 0..86
//! ```
//!
//! The digest distinguishes a damaged header from a wrong KEK: the KEK is tried only on an intact
//! header. The header is written once, in both halves.

use std::io;

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use softsim_sandbox::random;
use zeroize::Zeroizing;

use super::error::{Damage, OpenError};
use super::kek::Kek;
use super::layout::{HEADER_ROOM, Layout};
use super::medium::Storage;
use super::table::Table;

const MAGIC: &[u8; 8] = b"SOFTSIMV";
const PLAIN: usize = 14;
const NONCE: usize = PLAIN + 24;
const SEALED: usize = NONCE + 32 + 16;

/// The format that this program reads and writes.
const FORMAT: u16 = 6;

/// The key from which those of the records are derived.
pub(super) type DataKey = Zeroizing<[u8; 32]>;

/// An intact header on which no KEK has been tried.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header([u8; Self::LENGTH]);

/// What octets are that are not an intact header.
#[derive(Debug, PartialEq, Eq)]
enum HeaderFault {
    NotAVault,
    Format(u16),
    Damaged,
}

impl Header {
    /// Length in octets.
    const LENGTH: usize = SEALED + 32;

    /// Makes a header with a new data key.
    pub(super) fn create(kek: &Kek, capacity: u32) -> (Self, DataKey) {
        let mut octets = [0; Self::LENGTH];
        octets[..8].copy_from_slice(MAGIC);
        octets[8..10].copy_from_slice(&FORMAT.to_be_bytes());
        octets[10..PLAIN].copy_from_slice(&capacity.to_be_bytes());
        random::fill(&mut octets[PLAIN..NONCE]);

        let mut key = Zeroizing::new([0; 32]);
        random::fill(key.as_mut_slice());
        let data_key = key.clone();

        let (plain, rest) = octets.split_at_mut(PLAIN);
        let (nonce, sealed) = rest.split_at_mut(NONCE - PLAIN);
        let tag = XChaCha20Poly1305::new(kek.as_bytes().into())
            .encrypt_inout_detached(&nonce_of(nonce), plain, key.as_mut_slice().into())
            .expect("a key is shorter than any limit of the cipher");
        sealed[..32].copy_from_slice(key.as_slice());
        sealed[32..48].copy_from_slice(&tag);

        let digest = Sha256::digest(&octets[..SEALED]);
        octets[SEALED..].copy_from_slice(&digest);
        (Self(octets), data_key)
    }

    /// The header of a file with these tables, whose length is the one that the header claims.
    pub(super) fn find(
        storage: &dyn Storage,
        tables: &'static [Table],
        damage: &mut Vec<Damage>,
    ) -> Result<(Self, Layout), OpenError> {
        let got = storage.length()?;
        let first = Self::at(storage, 0)?;
        // The second copy lies in the middle, where the first one says, or else the file's length.
        let half = first
            .as_ref()
            .map_or(got / 2, |header| header.layout(tables).half());
        let second = Self::at(storage, half)?;
        let header = match (first, second) {
            (Ok(first), Ok(second)) if first == second => first,
            (Ok(first), _) => {
                damage.push(Damage::Header { half: 1 });
                first
            }
            (Err(HeaderFault::Format(got)), _) | (_, Err(HeaderFault::Format(got))) => {
                let expected = FORMAT;
                return Err(OpenError::Format { expected, got });
            }
            (Err(_), Ok(second)) => {
                damage.push(Damage::Header { half: 0 });
                second
            }
            (Err(HeaderFault::NotAVault), Err(HeaderFault::NotAVault)) => {
                return Err(OpenError::NotAVault);
            }
            (Err(_), Err(_)) => return Err(OpenError::HeaderDamaged),
        };
        let layout = header.layout(tables);
        let expected = layout.file_length();
        if got != expected {
            return Err(OpenError::Length { expected, got });
        }
        Ok((header, layout))
    }

    /// The header at an offset; `None` after the end of the file.
    fn at(storage: &dyn Storage, offset: u64) -> io::Result<Result<Self, HeaderFault>> {
        let end = offset.saturating_add(Self::LENGTH as u64);
        if storage.length()? < end {
            return Ok(Err(HeaderFault::NotAVault));
        }
        let mut octets = [0; Self::LENGTH];
        Ok(match storage.read_exact_at(&mut octets, offset) {
            Ok(()) => Self::read(octets),
            Err(_) => Err(HeaderFault::Damaged),
        })
    }

    /// Reads a header, if it is intact.
    fn read(octets: [u8; Self::LENGTH]) -> Result<Self, HeaderFault> {
        if octets[..8] != *MAGIC {
            return Err(HeaderFault::NotAVault);
        }
        if Sha256::digest(&octets[..SEALED])[..] != octets[SEALED..] {
            return Err(HeaderFault::Damaged);
        }
        match u16::from_be_bytes([octets[8], octets[9]]) {
            FORMAT => Ok(Self(octets)),
            other => Err(HeaderFault::Format(other)),
        }
    }

    fn layout(&self, tables: &'static [Table]) -> Layout {
        let capacity = [self.0[10], self.0[11], self.0[12], self.0[13]];
        Layout::new(tables, u32::from_be_bytes(capacity))
    }

    /// Decrypts the data key.
    ///
    /// # Errors
    /// It was encrypted with another KEK.
    pub(super) fn unseal(&self, kek: &Kek) -> Result<DataKey, OpenError> {
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(&self.0[NONCE..NONCE + 32]);
        let mut tag = [0; 16];
        tag.copy_from_slice(&self.0[NONCE + 32..SEALED]);
        XChaCha20Poly1305::new(kek.as_bytes().into())
            .decrypt_inout_detached(
                &nonce_of(&self.0[PLAIN..NONCE]),
                &self.0[..PLAIN],
                key.as_mut_slice().into(),
                &tag.into(),
            )
            .map_err(|_| OpenError::WrongKek)?;
        Ok(key)
    }

    /// Writes a copy, with the zeros after it, so that a block that can't be read becomes whole.
    /// The caller syncs.
    pub(super) fn put(&self, storage: &mut dyn Storage, offset: u64) -> io::Result<()> {
        let mut block = [0; HEADER_ROOM as usize];
        block[..Self::LENGTH].copy_from_slice(&self.0);
        storage.write_all_at(&block, offset)
    }
}

fn nonce_of(octets: &[u8]) -> XNonce {
    octets.try_into().expect("a nonce has 24 octets")
}
