//! One copy of a record in the file, encrypted and bound to its place.
//!
//! ```text
//! octets  0..16  table (1), zeros (3), index (4), generation (8), big-endian: the associated data
//!        16..40  nonce
//!        40..    contents, XChaCha20-Poly1305, padded with zeros
//!       -24..-8  tag
//!        -8..    the generation again, which differs if the writing was interrupted
//! ```
//!
//! Generations count the versions of a record from 0. Even ones are in half A, odd ones in half B,
//! so that a new version never overwrites the one before it.

use std::io;

use chacha20poly1305::{AeadInOut, XChaCha20Poly1305, XNonce};
use softsim_sandbox::random;

use super::error::CopyFault;
use super::layout::Layout;
use super::medium::Storage;
use super::table::{Place, Table};

const HEAD: usize = 16;
const NONCE: usize = 24;
const TAG: usize = 16;
const TRAILER: usize = 8;

/// Distinguishes these records from anything else that may be encrypted with such a key.
const LABEL: &[u8; 16] = b"softsim vault v5";

/// The octets of a record besides its contents.
pub const OVERHEAD: usize = HEAD + NONCE + TAG + TRAILER;

/// A version of a record as it is in the file.
pub(super) struct Sealed {
    place: Place,
    pub(super) octets: Vec<u8>,
}

impl Sealed {
    /// Writes the copy to its place. The caller syncs.
    pub(super) fn put(&self, storage: &mut dyn Storage, layout: Layout) -> io::Result<()> {
        storage.write_all_at(&self.octets, layout.offset_of(self.place))
    }
}

/// A good copy, and, with its half, what is wrong with the other copy.
pub(super) struct Picked<'c> {
    pub(super) generation: u64,
    pub(super) contents: &'c [u8],
    pub(super) fault: Option<(u8, CopyFault)>,
}

/// Encrypts and decrypts the records of one file.
pub(super) struct Sealer {
    cipher: XChaCha20Poly1305,
    pub(super) layout: Layout,
}

impl Sealer {
    pub(super) fn new(cipher: XChaCha20Poly1305, layout: Layout) -> Self {
        Self { cipher, layout }
    }

    /// Encrypts the contents of one version of a record. They may be as long as the table's records
    /// without [`OVERHEAD`].
    // Out of line, for the size of the program.
    #[inline(never)]
    pub(super) fn seal(&self, place: Place, contents: &[u8]) -> Sealed {
        let mut octets = vec![0; place.table.record_length()];
        let (head, rest) = octets.split_at_mut(HEAD);
        let (nonce, rest) = rest.split_at_mut(NONCE);
        let (body, rest) = rest.split_at_mut(rest.len() - TAG - TRAILER);
        let (tag, trailer) = rest.split_at_mut(TAG);

        head[0] = place.table.number();
        head[4..8].copy_from_slice(&place.index.to_be_bytes());
        head[8..].copy_from_slice(&place.generation.to_be_bytes());
        random::fill(nonce);
        body[..contents.len()].copy_from_slice(contents);
        tag.copy_from_slice(
            &self
                .cipher
                .encrypt_inout_detached(&nonce_of(nonce), &associated_data(head), body.into())
                .expect("a record is shorter than any limit of the cipher"),
        );
        trailer.copy_from_slice(&place.generation.to_be_bytes());
        Sealed { place, octets }
    }

    /// Decrypts a copy in its buffer, and returns the place for which it was written.
    ///
    /// The buffer may be longer than the copy, if a copy of a shorter table is in a longer one's
    /// place.
    // Out of line, for the size of the program.
    #[inline(never)]
    pub(super) fn open<'c>(&self, copy: &'c mut [u8]) -> Result<(Place, &'c [u8]), CopyFault> {
        let place = place(self.layout, copy).ok_or(CopyFault::Corrupt)?;
        let copy = copy.get_mut(..place.table.record_length());
        let copy = copy.ok_or(CopyFault::Corrupt)?;
        if claim(self.layout, copy).is_none() {
            return Err(CopyFault::Torn);
        }
        let (head, rest) = copy.split_at_mut(HEAD);
        let (nonce, rest) = rest.split_at_mut(NONCE);
        let (body, rest) = rest.split_at_mut(rest.len() - TAG - TRAILER);
        let (tag, _) = rest
            .split_first_chunk::<TAG>()
            .expect("its length is its table's");
        self.cipher
            .decrypt_inout_detached(
                &nonce_of(nonce),
                &associated_data(head),
                (&mut *body).into(),
                &(*tag).into(),
            )
            .map_err(|_| CopyFault::Corrupt)?;
        Ok((place, body))
    }

    /// Decrypts a copy that must be intact and in its place.
    pub(super) fn open_at<'c>(
        &self,
        (table, index, half): (Table, u32, u8),
        copy: &'c mut [u8],
    ) -> Result<(u64, &'c [u8]), CopyFault> {
        let (place, contents) = self.open(copy)?;
        if (place.table, place.index, place.half()) == (table, index, half) {
            Ok((place.generation, contents))
        } else {
            Err(CopyFault::Misplaced(place))
        }
    }

    /// The newer good copy of a record, or both faults if neither copy is good.
    ///
    /// Usually only the newer copy is decrypted, which the heads in clear show. A head counts only
    /// once its copy has proved authentic. Therefore the other copy is decrypted, too, if the newer
    /// one proves not to be authentic, or if the older one doesn't claim the version just before.
    pub(super) fn pick<'c>(
        &self,
        table: Table,
        index: u32,
        [a, b]: [&'c mut [u8]; 2],
    ) -> Result<Picked<'c>, [CopyFault; 2]> {
        let claimed = |half: u8, copy: &[u8]| {
            claim(self.layout, copy)
                .filter(|it| (it.table, it.index, it.half()) == (table, index, half))
                .map(|it| it.generation)
        };
        let claims = [claimed(0, a), claimed(1, b)];
        let (newer, older, half) = if claims[0] > claims[1] {
            (a, b, 0)
        } else {
            (b, a, 1)
        };
        let other = 1 - half;
        match self.open_at((table, index, half), newer) {
            Ok((generation, contents)) => {
                let before = generation.checked_sub(1);
                let fault = if before.is_some() && claims[usize::from(other)] == before {
                    None
                } else {
                    Some(match self.open_at((table, index, other), older) {
                        Ok((generation, _)) => CopyFault::Stale(table.at(index, generation)),
                        Err(fault) => fault,
                    })
                };
                Ok(Picked {
                    generation,
                    contents,
                    fault: fault.map(|fault| (other, fault)),
                })
            }
            Err(fault) => match self.open_at((table, index, other), older) {
                Ok((generation, contents)) => Ok(Picked {
                    generation,
                    contents,
                    fault: Some((half, fault)),
                }),
                Err(second) if half == 0 => Err([fault, second]),
                Err(second) => Err([second, fault]),
            },
        }
    }
}

/// The place that a copy claims at its start.
pub(super) fn place(layout: Layout, copy: &[u8]) -> Option<Place> {
    let [number, 0, 0, 0, i0, i1, i2, i3, generation @ ..] = *copy.first_chunk::<HEAD>()? else {
        return None;
    };
    Some(Place {
        table: layout.table(number)?,
        index: u32::from_be_bytes([i0, i1, i2, i3]),
        generation: u64::from_be_bytes(generation),
    })
}

/// The place that a copy claims, if its start and its end agree.
fn claim(layout: Layout, copy: &[u8]) -> Option<Place> {
    let place = place(layout, copy)?;
    let trailer = copy.last_chunk::<TRAILER>()?;
    (*trailer == place.generation.to_be_bytes()).then_some(place)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use chacha20poly1305::KeyInit;

    use super::super::table::{Kind, Records};
    use super::*;

    const TABLES: &[Table] = &[Table::of(&Kind::new(3, "Three", 1024, Records::Capacity))];

    #[test]
    fn a_copy_with_any_octet_changed_or_cut_off_is_none() {
        let sealer = Sealer::new(KeyInit::new(&[7; 32].into()), Layout::new(TABLES, 3));
        let place = TABLES[0].at(1, 6);
        let good = sealer.seal(place, b"contents").octets;
        let mut copy = good.clone();
        let (opened, contents) = sealer.open(&mut copy).unwrap();
        assert_eq!((opened, &contents[..9]), (place, &b"contents\0"[..]));
        for at in 0..good.len() {
            let mut copy = good.clone();
            copy[at] ^= 0x10;
            assert!(sealer.open(&mut copy).is_err(), "octet {at}");
            let mut cut = good[..at].to_vec();
            assert!(sealer.open(&mut cut).is_err(), "cut to {at}");
        }
    }
}
