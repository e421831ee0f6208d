//! Twins of the tracked arena, and which of their pages were written.
//!
//! A page counts as written from the scan that finds it (or from when it lost its rights: no scan finds a page
//! without any) until its diff is taken. A scan protects before the diff is read, so a store after the scan is
//! found by the next one: it may travel twice, never not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use umbel_fault::Space;
use umbel_wire::ObjectId;

use super::memory::place;
use crate::window::Place;

/// The tracked objects with a twin.
#[derive(Debug, Default)]
pub(super) struct Tracked {
    /// Runs of neighbours: first to one past the last.
    runs: BTreeMap<u64, u64>,
    written: BTreeSet<ObjectId>,
}

impl Tracked {
    /// A twin was made.
    pub(super) fn add(&mut self, object: ObjectId) {
        let before = self.run_of(object.0).or_else(|| {
            let below = object.0.checked_sub(1)?;
            self.run_of(below)
        });
        let start = match before {
            Some((_, end)) if end > object.0 => return,
            Some((start, _)) => start,
            None => object.0,
        };
        let end = self.runs.remove(&(object.0 + 1)).unwrap_or(object.0 + 1);
        self.runs.insert(start, end);
    }

    /// The twin is gone.
    pub(super) fn remove(&mut self, object: ObjectId) {
        self.written.remove(&object);
        let Some((start, end)) = self.run_of(object.0) else {
            return;
        };
        self.runs.remove(&start);
        if start < object.0 {
            self.runs.insert(start, object.0);
        }
        if object.0 + 1 < end {
            self.runs.insert(object.0 + 1, end);
        }
    }

    /// These may have been written.
    pub(super) fn note_written(&mut self, objects: Range<ObjectId>) {
        for object in (objects.start.0..objects.end.0).map(ObjectId) {
            if self.run_of(object.0).is_some() {
                self.written.insert(object);
            }
        }
    }

    /// Asks the kernel what was written since the last scan.
    pub(super) fn scan(&mut self, space: &Space) {
        let mut found = Vec::new();
        for (start, end) in &self.runs {
            let first = place(ObjectId(*start)).page_address();
            let bytes = (end - start) as usize * umbel_fault::PAGE_BYTES;
            if space
                .take_written(first..first + bytes, &mut found)
                .is_err()
            {
                // Then any of them may be.
                found.push(first..first + bytes);
            }
        }
        for run in found {
            let first = Place::at(run.start).map_or(0, |place| place.id().0);
            let count = (run.len() / umbel_fault::PAGE_BYTES) as u64;
            self.written.extend((first..first + count).map(ObjectId));
        }
    }

    /// What was written and not yet taken.
    pub(super) fn written(&self) -> Vec<ObjectId> {
        self.written.iter().copied().collect()
    }

    /// Whether the object was written; its diff is taken now.
    pub(super) fn take(&mut self, object: ObjectId) -> bool {
        self.written.remove(&object)
    }

    fn run_of(&self, number: u64) -> Option<(u64, u64)> {
        let (start, end) = self.runs.range(..=number).next_back()?;
        (number < *end).then_some((*start, *end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_grow_meet_and_split_as_a_set_of_numbers_does() {
        let mut tracked = Tracked::default();
        let mut set = BTreeSet::new();
        for step in 0..4000_u64 {
            let number = step.wrapping_mul(2_654_435_761) / 64 % 50;
            if step.wrapping_mul(40_503) / 16 % 3 == 0 {
                tracked.remove(ObjectId(number));
                set.remove(&number);
            } else {
                tracked.add(ObjectId(number));
                set.insert(number);
            }
            let flat: BTreeSet<u64> = tracked.runs.iter().flat_map(|(a, b)| *a..*b).collect();
            assert_eq!(flat, set);
            let starts = tracked.runs.keys().copied();
            assert!(
                starts
                    .into_iter()
                    .all(|start| start == 0 || !set.contains(&(start - 1)))
            );
        }
    }
}
