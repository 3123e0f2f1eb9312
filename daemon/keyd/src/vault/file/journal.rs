//! The contents of the journal: the number of copies in it, then each copy, exactly as it will be
//! written to its place.

use zeroize::Zeroizing;

use super::codec::Record;
use super::layout::Layout;
use super::record::{self, Sealed};
use super::table::{Place, Table};

/// The journal that holds these copies.
pub(super) fn record(copies: &[Sealed]) -> Record {
    let mut contents = Zeroizing::new(Vec::with_capacity(Table::JOURNAL.record_length()));
    contents.push(copies.len() as u8);
    for copy in copies {
        contents.extend_from_slice(&copy.octets);
    }
    Record {
        table: Table::JOURNAL,
        index: 0,
        contents,
    }
}

/// The copies in a journal; `None` if the octets are not a journal.
pub(super) fn split(layout: Layout, contents: &[u8]) -> Option<Vec<(Place, &[u8])>> {
    let (count, mut rest) = contents.split_first()?;
    let mut copies = Vec::new();
    for _ in 0..*count {
        let place = record::place(layout, rest)?;
        let (copy, left) = rest.split_at_checked(place.table.record_length())?;
        copies.push((place, copy));
        rest = left;
    }
    rest.iter().all(|octet| *octet == 0).then_some(copies)
}
