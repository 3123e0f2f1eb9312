//! The two copies of a record: which one counts, and what the other one tells.

use super::error::CopyFault;
use super::record::{self, Opened, Sealer};
use super::table::{Copies, Place, Table};

/// What the other copy of a record tells about the one that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// It is as it should be: the version before, or the same contents.
    Sound,
    /// It is bad, and both its ends say that it was the version before.
    Older,
    /// It is bad, and no version is lost with it.
    Bad,
    /// It is bad, and may have been the newest version.
    Lost,
}

impl Other {
    /// Whether a version that the file lacks may have been there. What was the version before
    /// excuses nothing, or a forged end would hide that an old copy was put back.
    pub(super) fn may_lack_a_version(self) -> bool {
        matches!(self, Self::Bad | Self::Lost)
    }
}

/// The copy of a record that counts.
pub(super) struct Picked<'c> {
    /// Its generation; of a pair, that of the second copy.
    pub(super) generation: u64,
    pub(super) contents: &'c [u8],
    pub(super) other: Other,
    pub(super) claims: [Claim; 2],
    /// Which half has a bad copy, and what is wrong with it.
    pub(super) fault: Option<(u8, CopyFault)>,
}

/// Why no copy counts.
pub(super) enum Unpicked {
    /// Neither is good.
    Both(Box<BothBad>),
    /// Both are good, and of different versions. Transactions write both or none.
    Differ([u64; 2]),
}

/// What is wrong with two bad copies, and what they claim.
pub(super) struct BothBad {
    pub(super) faults: [CopyFault; 2],
    pub(super) claims: [Claim; 2],
}

impl Unpicked {
    fn both(faults: [CopyFault; 2], claims: [Claim; 2]) -> Self {
        Self::Both(Box::new(BothBad { faults, claims }))
    }
}

/// The generations that a copy claims at its start, if that names its place, and at its end.
#[derive(Clone, Copy, Default)]
pub(super) struct Claim {
    pub(super) begins: Option<u64>,
    pub(super) ends: Option<u64>,
}

impl Claim {
    fn is(self, begins: u64, ends: u64) -> bool {
        (self.begins, self.ends) == (Some(begins), Some(ends))
    }

    /// Whether the writing of this generation was begun there, and of no later one.
    pub(super) fn is_begun(self, generation: u64) -> bool {
        self.begins == Some(generation) && !self.is_later(generation)
    }

    /// Whether a later generation than this one may be there.
    pub(super) fn is_later(self, generation: u64) -> bool {
        self.begins.max(self.ends) > Some(generation)
    }
}

/// The octets of one copy; `None` if the medium didn't give them.
pub(super) type Copy<'c> = Option<&'c mut [u8]>;

/// The copies of one record.
pub(super) struct Pair<'s> {
    sealer: &'s Sealer,
    table: Table,
    index: u32,
}

impl<'s> Pair<'s> {
    pub(super) fn new(sealer: &'s Sealer, table: Table, index: u32) -> Self {
        Self {
            sealer,
            table,
            index,
        }
    }

    /// Finds the copy that counts.
    pub(super) fn pick<'c>(&self, copies: [Copy<'c>; 2]) -> Result<Picked<'c>, Unpicked> {
        match self.table.copies() {
            Copies::InTurn => self.newer(copies),
            Copies::Paired => self.both(copies),
        }
    }

    /// The newer of two copies that are written in turn.
    ///
    /// The ends in clear show which one that is, and count only once its copy has proved authentic.
    /// The other copy is decrypted, too: if it is bad, it is written again before it is needed.
    fn newer<'c>(&self, copies: [Copy<'c>; 2]) -> Result<Picked<'c>, Unpicked> {
        let claims = self.claims(&copies);
        let half = u8::from(claims[0].begins <= claims[1].begins);
        let [a, b] = copies;
        let (first, second) = if half == 0 { (a, b) } else { (b, a) };
        let claim = claims[usize::from(1 - half)];
        let first_fault = match self.open(half, first) {
            Ok(opened) => {
                let generation = opened.place.generation;
                let before = generation.checked_sub(1);
                let other = match self.open(1 - half, second) {
                    Ok(older) if Some(older.place.generation) == before => {
                        (!older.ends_well).then_some((Other::Bad, CopyFault::End))
                    }
                    Ok(older) => Some((Other::Lost, CopyFault::Stale(older.place))),
                    Err(fault) if before.is_some_and(|before| claim.is(before, before)) => {
                        Some((Other::Older, fault))
                    }
                    Err(fault) => Some((Other::Lost, fault)),
                };
                return Ok(Picked::new(opened, half, claims, other));
            }
            Err(fault) => fault,
        };
        let claim = claims[usize::from(half)];
        match self.open(1 - half, second) {
            Ok(opened) => {
                let generation = opened.place.generation;
                // The write of the next version, over the one before, was cut off before an answer
                // left.
                let cut_off = generation
                    .checked_sub(1)
                    .is_some_and(|before| claim.is(generation.saturating_add(1), before));
                let other = if cut_off { Other::Bad } else { Other::Lost };
                let other = (other, first_fault);
                Ok(Picked::new(opened, 1 - half, claims, Some(other)))
            }
            Err(fault) if half == 0 => Err(Unpicked::both([first_fault, fault], claims)),
            Err(fault) => Err(Unpicked::both([fault, first_fault], claims)),
        }
    }

    /// Either of two copies that are written together. Of the file's own records, which are also
    /// written one after the other, the newer one.
    fn both<'c>(&self, copies: [Copy<'c>; 2]) -> Result<Picked<'c>, Unpicked> {
        let claims = self.claims(&copies);
        let [a, b] = copies;
        match (self.open(0, a), self.open(1, b)) {
            (Ok(a), Ok(b)) => {
                let [first, second] = [a.place, b.place].map(|place| place.generation);
                if a.place.pair() == b.place.pair() && a.contents == b.contents {
                    let fault = (!a.ends_well).then_some((Other::Bad, CopyFault::End));
                    return Ok(Picked::new(b, 1, claims, fault).paired());
                }
                if self.table.is_counted() {
                    return Err(Unpicked::Differ([first, second]));
                }
                let (newer, half, older) = if first > second {
                    (a, 0, b.place)
                } else {
                    (b, 1, a.place)
                };
                let fault = (Other::Bad, CopyFault::Stale(older));
                Ok(Picked::new(newer, half, claims, Some(fault)).paired())
            }
            (Ok(a), Err(fault)) => {
                Ok(Picked::new(a, 0, claims, Some((Other::Bad, fault))).paired())
            }
            (Err(fault), Ok(b)) => {
                Ok(Picked::new(b, 1, claims, Some((Other::Bad, fault))).paired())
            }
            (Err(a), Err(b)) => Err(Unpicked::both([a, b], claims)),
        }
    }

    /// Decrypts a copy that must be in its place.
    fn open<'c>(&self, half: u8, copy: Copy<'c>) -> Result<Opened<'c>, CopyFault> {
        let opened = self.sealer.open(copy.ok_or(CopyFault::Unreadable)?)?;
        if self.is_place(half, opened.place) {
            Ok(opened)
        } else {
            Err(CopyFault::Misplaced(opened.place))
        }
    }

    fn claims(&self, copies: &[Copy<'_>; 2]) -> [Claim; 2] {
        [0, 1].map(|half: u8| {
            let Some(copy) = &copies[usize::from(half)] else {
                return Claim::default();
            };
            let begins = record::place(self.sealer.layout, copy);
            let begins = begins.filter(|place| self.is_place(half, *place));
            Claim {
                begins: begins.map(|place| place.generation),
                ends: record::end(copy),
            }
        })
    }

    fn is_place(&self, half: u8, place: Place) -> bool {
        (place.table, place.index, place.half()) == (self.table, self.index, half)
    }
}

impl<'c> Picked<'c> {
    /// The copy in a half, and what is wrong with the other one. A copy whose end is damaged is
    /// whole, but is to be written again.
    fn new(
        opened: Opened<'c>,
        half: u8,
        claims: [Claim; 2],
        other: Option<(Other, CopyFault)>,
    ) -> Self {
        let own = (!opened.ends_well).then_some((half, CopyFault::End));
        let fault = other.map(|(_, fault)| (1 - half, fault)).or(own);
        let bad = own.map_or(Other::Sound, |_| Other::Bad);
        Self {
            generation: opened.place.generation,
            contents: opened.contents,
            other: other.map_or(bad, |(other, _)| other),
            claims,
            fault,
        }
    }

    fn paired(self) -> Self {
        Self {
            generation: self.generation | 1,
            ..self
        }
    }
}
