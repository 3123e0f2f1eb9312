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
//!
//! The nonce is synthetic: an HMAC over place, generation and contents. Two copies have the same
//! nonce only if they are equal, even if a virtual machine goes back to a snapshot and its random
//! numbers repeat.

use std::io;

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::error::CopyFault;
use super::layout::Layout;
use super::medium::Storage;
use super::table::Place;

const HEAD: usize = 16;
const NONCE: usize = 24;
const TAG: usize = 16;
const TRAILER: usize = 8;

/// Distinguishes these records from anything else that may be encrypted with such a key.
const LABEL: &[u8; 16] = b"softsim vault v6";

/// The octets of a record besides its contents.
pub const OVERHEAD: usize = HEAD + NONCE + TAG + TRAILER;

/// A version of a record as it is in the file.
pub(super) struct Sealed {
    place: Place,
    octets: Vec<u8>,
}

impl Sealed {
    /// Writes the copy to its place. The caller syncs.
    pub(super) fn put(&self, storage: &mut dyn Storage, layout: Layout) -> io::Result<()> {
        storage.write_all_at(&self.octets, layout.offset_of(self.place))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.octets
    }
}

/// A copy that proved authentic.
pub(super) struct Opened<'c> {
    /// The place for which it was written.
    pub(super) place: Place,
    pub(super) contents: &'c [u8],
    /// Whether its trailer, which isn't authenticated, names the same generation.
    pub(super) ends_well: bool,
}

/// Encrypts and decrypts the records of one file.
pub(super) struct Sealer {
    cipher: XChaCha20Poly1305,
    nonces: Hmac<Sha256>,
    pub(super) layout: Layout,
}

impl Sealer {
    /// Derives the two keys of a file's records from its data key.
    pub(super) fn new(data_key: &[u8; 32], layout: Layout) -> Self {
        let mac = |key: &[u8]| {
            Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length")
        };
        let derive = |purpose: &[u8]| {
            let derived = mac(data_key).chain_update(LABEL).chain_update(purpose);
            Zeroizing::new(<[u8; 32]>::from(derived.finalize().into_bytes()))
        };
        Self {
            cipher: XChaCha20Poly1305::new((&*derive(b"encryption")).into()),
            nonces: mac(derive(b"nonces").as_slice()),
            layout,
        }
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
        let synthetic = self.nonces.clone();
        let synthetic = synthetic.chain_update(&*head).chain_update(contents);
        nonce.copy_from_slice(&synthetic.finalize().into_bytes()[..NONCE]);
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

    /// Decrypts a copy in its buffer.
    ///
    /// The buffer may be longer than the copy, if a copy of a shorter table is in a longer one's
    /// place.
    // Out of line, for the size of the program.
    #[inline(never)]
    pub(super) fn open<'c>(&self, copy: &'c mut [u8]) -> Result<Opened<'c>, CopyFault> {
        let place = place(self.layout, copy).ok_or(CopyFault::Corrupt)?;
        let copy = copy.get_mut(..place.table.record_length());
        let copy = copy.ok_or(CopyFault::Corrupt)?;
        let ends_well = end(copy) == Some(place.generation);
        let (head, rest) = copy.split_at_mut(HEAD);
        let (nonce, rest) = rest.split_at_mut(NONCE);
        let (body, rest) = rest.split_at_mut(rest.len() - TAG - TRAILER);
        let (tag, _) = rest
            .split_first_chunk::<TAG>()
            .expect("its length is its table's");
        let opened = self.cipher.decrypt_inout_detached(
            &nonce_of(nonce),
            &associated_data(head),
            (&mut *body).into(),
            &(*tag).into(),
        );
        match opened {
            Ok(()) => Ok(Opened {
                place,
                contents: body,
                ends_well,
            }),
            Err(_) if ends_well => Err(CopyFault::Corrupt),
            Err(_) => Err(CopyFault::Torn),
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

/// The generation that a copy claims at its end.
pub(super) fn end(copy: &[u8]) -> Option<u64> {
    copy.last_chunk::<TRAILER>()
        .map(|octets| u64::from_be_bytes(*octets))
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

    use super::super::table::{Kind, Records, Table};
    use super::*;

    const TABLES: &[Table] = &[Table::of(&Kind::new(3, "Three", 1024, Records::Capacity))];

    fn sealer() -> Sealer {
        Sealer::new(&[7; 32], Layout::new(TABLES, 3))
    }

    #[test]
    fn a_copy_with_any_octet_changed_or_cut_off_is_none_but_for_its_trailer() {
        let sealer = sealer();
        let place = TABLES[0].at(1, 6);
        let good = sealer.seal(place, b"contents").octets;
        let mut copy = good.clone();
        let opened = sealer.open(&mut copy).unwrap();
        assert_eq!(opened.place, place);
        assert_eq!(&opened.contents[..9], b"contents\0");
        for at in 0..good.len() {
            let mut copy = good.clone();
            copy[at] ^= 0x10;
            match sealer.open(&mut copy) {
                Ok(opened) => assert!(at >= good.len() - TRAILER && !opened.ends_well),
                Err(_) => assert!(at < good.len() - TRAILER, "octet {at}"),
            }
            let mut cut = good[..at].to_vec();
            assert!(sealer.open(&mut cut).is_err(), "cut to {at}");
        }
    }

    #[test]
    fn a_nonce_repeats_only_with_the_whole_copy() {
        let sealer = sealer();
        let copy = |index, generation, contents: &[u8]| {
            sealer
                .seal(TABLES[0].at(index, generation), contents)
                .octets
        };
        let first = copy(1, 6, b"contents");
        assert_eq!(copy(1, 6, b"contents"), first);
        for other in [
            copy(2, 6, b"contents"),
            copy(1, 7, b"contents"),
            copy(1, 6, b"Contents"),
        ] {
            assert_ne!(other[HEAD..HEAD + NONCE], first[HEAD..HEAD + NONCE]);
        }
    }
}
