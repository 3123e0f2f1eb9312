//! One copy of a record in the file: encrypted, and bound to its place.
//!
//! ```text
//! octets  0..16  table (1), zeros (3), index (4), generation (8), big-endian: the associated data
//!        16..40  nonce
//!        40..    contents, XChaCha20-Poly1305, filled up with zeros
//!       -24..-8  tag
//!        -8..    the generation again: differs in a copy whose writing was cut off
//! ```
//!
//! Generations count a record's versions from 0. An even one lies in half A, an odd one in half B,
//! so a new version never overwrites the one before it.

use std::fmt;

use chacha20poly1305::{AeadInOut, XChaCha20Poly1305, XNonce};
use softsim_sandbox::random;

use super::layout::Table;

const HEAD: usize = 16;
const NONCE: usize = 24;
const TAG: usize = 16;
const TRAILER: usize = 8;

/// Separates these records from whatever else may be sealed with such keys.
const LABEL: &[u8; 16] = b"softsim vault v3";

/// What a record takes beside its contents.
pub(super) const OVERHEAD: usize = HEAD + NONCE + TAG + TRAILER;

/// Which version of which record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The kind of record.
    pub table: Table,
    /// Which one of its kind.
    pub index: u32,
    /// Which version, from 0.
    pub generation: u64,
}

impl Place {
    /// The half in which this version lies: 0 or 1.
    pub(super) fn copy(self) -> u64 {
        self.generation & 1
    }

    fn to_head(self) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[0] = self.table as u8;
        head[4..8].copy_from_slice(&self.index.to_be_bytes());
        head[8..].copy_from_slice(&self.generation.to_be_bytes());
        head
    }

    /// The place that a copy claims.
    pub(super) fn from_head(copy: &[u8]) -> Option<Self> {
        let head: &[u8; HEAD] = copy.first_chunk()?;
        let [number, 0, 0, 0, i0, i1, i2, i3, generation @ ..] = *head else {
            return None;
        };
        Some(Self {
            table: Table::from_number(number)?,
            index: u32::from_be_bytes([i0, i1, i2, i3]),
            generation: u64::from_be_bytes(generation),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} {} generation {}",
            self.table, self.index, self.generation
        )
    }
}

/// What is wrong with one copy of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFault {
    /// Its end is of another version than its start: the writing was cut off.
    Torn,
    /// It isn't what was written.
    Corrupt,
    /// It is a whole copy of another place.
    Misplaced(Place),
    /// It is whole, but versions between it and the other copy are missing: an old copy was put
    /// back, or the medium lost a write that it had confirmed.
    Stale(Place),
}

impl fmt::Display for CopyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Torn => f.write_str("its writing was cut off"),
            Self::Corrupt => f.write_str("it is corrupt"),
            Self::Misplaced(place) => write!(f, "it is a copy of {place}"),
            Self::Stale(place) => write!(f, "it is the outdated {place}"),
        }
    }
}

/// Encrypts the contents of one version of a record into what lies in the file.
///
/// `contents` are at most as long as the table's records without [`OVERHEAD`].
pub(super) fn seal(cipher: &XChaCha20Poly1305, place: Place, contents: &[u8]) -> Vec<u8> {
    let mut copy = vec![0; place.table.record_length()];
    let (head, rest) = copy.split_at_mut(HEAD);
    let (nonce, rest) = rest.split_at_mut(NONCE);
    let (body, rest) = rest.split_at_mut(rest.len() - TAG - TRAILER);
    let (tag, trailer) = rest.split_at_mut(TAG);

    head.copy_from_slice(&place.to_head());
    random::fill(nonce);
    body[..contents.len()].copy_from_slice(contents);
    tag.copy_from_slice(
        &cipher
            .encrypt_inout_detached(&nonce_of(nonce), &associated_data(head), body.into())
            .expect("a record is shorter than any limit of the cipher"),
    );
    trailer.copy_from_slice(&place.generation.to_be_bytes());
    copy
}

/// The place that a copy claims at its start and at its end; none where it claims none or two.
pub(super) fn claim(copy: &[u8]) -> Option<Place> {
    let place = Place::from_head(copy)?;
    let trailer = copy.last_chunk::<TRAILER>()?;
    (*trailer == place.generation.to_be_bytes()).then_some(place)
}

/// Decrypts a copy where it lies; the place is the one that it was written for.
///
/// A copy of a shorter table may lie in a longer one's place.
pub(super) fn open<'c>(
    cipher: &XChaCha20Poly1305,
    copy: &'c mut [u8],
) -> Result<(Place, &'c [u8]), CopyFault> {
    let place = Place::from_head(copy).ok_or(CopyFault::Corrupt)?;
    let copy = copy
        .get_mut(..place.table.record_length())
        .ok_or(CopyFault::Corrupt)?;
    if claim(copy).is_none() {
        return Err(CopyFault::Torn);
    }
    let (head, rest) = copy.split_at_mut(HEAD);
    let (nonce, rest) = rest.split_at_mut(NONCE);
    let (body, rest) = rest.split_at_mut(rest.len() - TAG - TRAILER);
    let (tag, _) = rest
        .split_first_chunk::<TAG>()
        .expect("its length is its table's");
    cipher
        .decrypt_inout_detached(
            &nonce_of(nonce),
            &associated_data(head),
            (&mut *body).into(),
            &(*tag).into(),
        )
        .map_err(|_| CopyFault::Corrupt)?;
    Ok((place, body))
}

fn associated_data(head: &[u8]) -> [u8; LABEL.len() + HEAD] {
    let mut data = [0; LABEL.len() + HEAD];
    data[..LABEL.len()].copy_from_slice(LABEL);
    data[LABEL.len()..].copy_from_slice(head);
    data
}

fn nonce_of(octets: &[u8]) -> XNonce {
    octets.try_into().expect("a nonce has 24 octets")
}
