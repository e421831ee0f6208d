//! What application threads know of units whose atomic operations are special: those that run at their home, and
//! those that are known to be sequential already.
//!
//! Two small tables of fixed size, written by the service thread and read by every thread without a lock. A unit
//! that found no room is treated as if it were not known: its operations run in place, where the protocol serves
//! them as it serves any access, and strengthening is asked for again.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use umbel_wire::ObjectId;

use crate::capi;

/// Units of other homes in remote mode.
pub static REMOTE: Units = Units::new();

/// Units known to be sequential for the rest of their lives.
pub static SEQUENTIAL: Units = Units::new();

/// What this node has learnt of a unit of another home. Called by the service thread.
pub fn note_remote(unit: ObjectId, remote: bool) {
    if remote {
        REMOTE.insert(unit);
    } else {
        REMOTE.remove(unit);
    }
    capi::atomics::set_remote_active(REMOTE.count() > 0);
}

/// A set of units: each may stand in one of [`WAYS`] neighbouring entries.
pub struct Units {
    /// Number of the unit plus 1; 0: free.
    entries: [AtomicU64; ENTRIES],
    count: AtomicUsize,
}

/// Entries of a table: a handful for most programs; an array of 256 MiB whose elements are used by pointers to
/// atomic or volatile has this many units. Memory that no unit ever needed is never touched.
const ENTRIES: usize = 1 << 16;
const WAYS: usize = 4;
const _: () = assert!(ENTRIES.is_power_of_two() && ENTRIES.is_multiple_of(WAYS));

impl Units {
    const fn new() -> Self {
        Self {
            entries: [const { AtomicU64::new(0) }; ENTRIES],
            count: AtomicUsize::new(0),
        }
    }

    /// Whether it is in the set.
    pub fn contains(&self, unit: ObjectId) -> bool {
        // Relaxed: a thread that must know has been answered by the service thread after the store, or has met
        // another thread that was.
        self.ways(unit)
            .iter()
            .any(|entry| entry.load(Ordering::Relaxed) == unit.0 + 1)
    }

    /// Units in the set.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Adds a unit, in the place of another if all of its own are taken: that one is just not known any more.
    /// Called by the service thread.
    pub fn insert(&self, unit: ObjectId) {
        if self.contains(unit) {
            return;
        }
        let ways = self.ways(unit);
        let free = ways.iter().find(|entry| entry.load(Ordering::Relaxed) == 0);
        match free {
            Some(entry) => {
                entry.store(unit.0 + 1, Ordering::Relaxed);
                self.count.fetch_add(1, Ordering::Relaxed);
            }
            None => ways[(unit.0 >> 16) as usize % WAYS].store(unit.0 + 1, Ordering::Relaxed),
        }
    }

    /// Takes a unit out. Called by the service thread.
    pub fn remove(&self, unit: ObjectId) {
        self.remove_if(self.ways(unit), |known| known == unit);
    }

    /// Takes a range out: the life of these units has ended. Called by the service thread.
    pub fn remove_range(&self, units: &Range<ObjectId>) {
        if self.count() == 0 {
            return;
        }
        if units.end.0.saturating_sub(units.start.0) < (ENTRIES / WAYS) as u64 {
            (units.start.0..units.end.0).for_each(|unit| self.remove(ObjectId(unit)));
        } else {
            self.remove_if(&self.entries, |known| units.contains(&known));
        }
    }

    fn remove_if(&self, entries: &[AtomicU64], goes: impl Fn(ObjectId) -> bool) {
        for entry in entries {
            let known = entry.load(Ordering::Relaxed);
            if known != 0 && goes(ObjectId(known - 1)) {
                entry.store(0, Ordering::Relaxed);
                self.count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn ways(&self, unit: ObjectId) -> &[AtomicU64] {
        // Units of one object are neighbours; those of different stacks differ above bit 20 only.
        let mixed = unit.0 ^ unit.0 >> 14 ^ unit.0 >> 21;
        let first = mixed as usize % (ENTRIES / WAYS) * WAYS;
        &self.entries[first..first + WAYS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_known_until_it_is_removed_or_makes_room() {
        static UNITS: Units = Units::new();
        let units = &UNITS;
        units.insert(ObjectId(0));
        units.insert(ObjectId(7));
        units.insert(ObjectId(7));
        assert!(units.contains(ObjectId(0)) && units.contains(ObjectId(7)));
        assert_eq!(units.count(), 2);
        units.remove(ObjectId(7));
        units.remove(ObjectId(8));
        assert!(!units.contains(ObjectId(7)));
        units.remove_range(&(ObjectId(1)..ObjectId(9)));
        assert_eq!(units.count(), 1);
        units.remove_range(&(ObjectId(0)..ObjectId(1)));
        assert_eq!(units.count(), 0);
    }

    #[test]
    fn a_full_set_knows_the_newest() {
        static UNITS: Units = Units::new();
        let units = &UNITS;
        for number in 0..200_000 {
            units.insert(ObjectId(number));
            assert!(units.contains(ObjectId(number)));
        }
        assert!(units.count() <= ENTRIES);
        units.remove_range(&(ObjectId(0)..ObjectId(200_000)));
        assert_eq!(units.count(), 0);
    }
}
