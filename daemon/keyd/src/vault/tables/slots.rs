//! A table in memory: the contents of its records, an index that finds them without a search, and
//! the changes of a transaction that isn't committed yet.
//!
//! A slot that was never used has no record yet, in memory or in the file. Slots get their records
//! in steps, as they are needed.

use std::collections::BTreeSet;
use std::mem;

use crate::vault::file::{Contents, Record};

/// The number of slots that get their first records together.
const STEP: u32 = 16;

/// Contents that an index finds by short keys. Two may share a key, so whoever uses the index
/// compares in full what it finds.
pub(in super::super) trait Keyed {
    /// The keys.
    type Keys: IntoIterator<Item = u64>;

    /// The keys by which the index finds it.
    fn keys(&self) -> Self::Keys;
}

/// The slots of a table.
#[derive(Debug)]
pub(in super::super) struct Slots<T> {
    capacity: u32,
    slots: Vec<Option<Box<T>>>,
    /// What a transaction has put into slots. It hides what is in `slots`, and is kept or dropped
    /// at the end of the transaction.
    touched: Vec<(u32, Option<Box<T>>)>,
    by_key: BTreeSet<(u64, u32)>,
    free: BTreeSet<u32>,
}

impl<T: Keyed + Contents> Slots<T> {
    pub(super) fn new(capacity: u32) -> Self {
        Self {
            capacity,
            slots: Vec::new(),
            touched: Vec::new(),
            by_key: BTreeSet::new(),
            free: BTreeSet::new(),
        }
    }

    /// Adds the next slot of the file.
    pub(super) fn load(&mut self, value: Option<Box<T>>) {
        let index = self.len();
        self.slots.push(value);
        self.index(index);
    }

    /// The number of slots that there is room for.
    pub(in super::super) fn capacity(&self) -> u32 {
        self.capacity
    }

    /// The number of slots that have records.
    pub(in super::super) fn len(&self) -> u32 {
        self.slots.len() as u32
    }

    /// The number of slots that are in use.
    pub(in super::super) fn count(&self) -> u32 {
        self.len() - self.free.len() as u32
    }

    /// The contents of a slot.
    pub(in super::super) fn get(&self, index: u32) -> Option<&T> {
        match self.touched.iter().find(|(at, _)| *at == index) {
            Some((_, touched)) => touched.as_deref(),
            None => self.slots.get(index as usize)?.as_deref(),
        }
    }

    /// The contents of a slot, whose keys must not change. Not for use within a transaction.
    pub(in super::super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slots.get_mut(index as usize)?.as_deref_mut()
    }

    /// The slots that are taken, from one on.
    pub(in super::super) fn from(&self, first: u32) -> impl Iterator<Item = (u32, &T)> {
        (first..self.len()).filter_map(|index| Some((index, self.get(index)?)))
    }

    /// The first slot with this key whose contents match.
    pub(in super::super) fn find(&self, key: u64, is: impl Fn(&T) -> bool) -> Option<u32> {
        let found = self.by_key.range((key, 0)..=(key, u32::MAX));
        let mut found = found.map(|(_, index)| *index);
        found.find(|index| self.get(*index).is_some_and(&is))
    }

    /// An empty slot.
    pub(in super::super) fn vacant(&mut self) -> Option<u32> {
        if self.free.is_empty() {
            let end = self.len().saturating_add(STEP).min(self.capacity);
            self.free.extend(self.len()..end);
            self.slots.resize_with(end as usize, || None);
        }
        self.free.first().copied()
    }

    /// Fills or empties a slot in the transaction, which is kept or dropped later.
    pub(in super::super) fn put(&mut self, index: u32, value: Option<T>) {
        self.unindex(index);
        self.touched.retain(|(at, _)| *at != index);
        self.touched.push((index, value.map(Box::new)));
        self.index(index);
    }

    /// The slots that the transaction touches.
    pub(in super::super) fn touched(&self) -> impl ExactSizeIterator<Item = u32> {
        self.touched.iter().map(|(index, _)| *index)
    }

    /// The record of a slot.
    pub(in super::super) fn record(&self, index: u32) -> Record {
        let value = self.slots.get(index as usize);
        value.map_or_else(|| None::<Box<T>>.record(index), |value| value.record(index))
    }

    /// The records of the slots that the transaction touches, with its changes.
    pub(super) fn touched_records(&self) -> impl Iterator<Item = Record> {
        let touched = self.touched.iter();
        touched.map(|(index, value)| value.record(*index))
    }

    /// All records, without the changes of the transaction.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        (0..)
            .zip(&self.slots)
            .map(|(index, value)| value.record(index))
    }

    /// Keeps the changes of the transaction.
    pub(super) fn keep(&mut self) {
        for (index, value) in mem::take(&mut self.touched) {
            self.slots[index as usize] = value;
        }
    }

    /// Drops the changes of the transaction.
    pub(super) fn discard(&mut self) {
        while let Some((index, _)) = self.touched.first() {
            let index = *index;
            self.unindex(index);
            self.touched.remove(0);
            self.index(index);
        }
    }

    fn index(&mut self, index: u32) {
        match self.get(index).map(T::keys) {
            Some(keys) => {
                self.free.remove(&index);
                let keys = keys.into_iter().map(|key| (key, index));
                self.by_key.extend(keys);
            }
            None => {
                self.free.insert(index);
            }
        }
    }

    fn unindex(&mut self, index: u32) {
        for key in self.get(index).map(T::keys).into_iter().flatten() {
            self.by_key.remove(&(key, index));
        }
    }
}
