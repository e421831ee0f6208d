//! Flushes of one node: which copies were written, whose diffs are under way, and who waits for them.
//!
//! A *unit* is a copy with a twin, or with a diff under way; a copy of another home and an object of this
//! home alike. At most one flush of a unit is under way. A unit that is to be flushed meanwhile gets the
//! number of its next flush at once, its *again*: who asks for a flush waits for it, too.
//!
//! Who asks for a flush waits until no number is outstanding that is not above the last one given out when
//! he asked. He waits for flushes that others began before, for they may bring what he wrote.
//!
//! Numbers start again from 1 when none is outstanding: no message then carries one.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use umbel_wire::{ObjectId, Token};

use crate::limits::IDLE_FLUSHES_MAX;
use crate::memory::Memory;

/// A copy that is or may be written here while others have copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Unit {
    /// There is a twin.
    is_dirty: bool,
    /// [`Memory::written`] names it when it has to be flushed.
    is_tracked: bool,
    /// Flushes in a row that found nothing.
    idle: u8,
    /// The flush under way.
    in_flight: Option<u64>,
    /// The number its next flush will have. Implies `in_flight`.
    again: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Outstanding {
    object: ObjectId,
    /// False while the number waits to be used.
    is_sent: bool,
}

/// Who waits for a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Waiter {
    /// A caller of `flush`.
    Caller(Token),
    /// Bytes of a copy that go back to its home.
    Copy(ObjectId),
    /// Bytes, or the result of an operation, that leave their home.
    Home(ObjectId),
    /// An operation to be sent.
    Operation(Token),
}

/// What a unit has to flush.
pub(crate) enum Taken<D> {
    /// A diff, and its number; it is under way now.
    Diff(u64, D),
    /// Nothing now.
    Nothing,
    /// Nothing for a long time: the copy should be made clean.
    Idle,
}

/// Flushes of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Flushes {
    last: u64,
    units: BTreeMap<ObjectId, Unit>,
    outstanding: BTreeMap<u64, Outstanding>,
    /// In order of asking, so that limits never fall.
    waiting: VecDeque<(u64, Waiter)>,
}

impl Flushes {
    pub(crate) fn is_clean(&self) -> bool {
        self.units.is_empty() && self.outstanding.is_empty()
    }

    /// What a flush has to look at.
    pub(crate) fn units<D>(&self, memory: &mut dyn Memory<D>) -> Vec<ObjectId> {
        if !self.units.values().any(|unit| unit.is_tracked) {
            return self.units.keys().copied().collect();
        }
        let written = memory.written();
        let others = self.units.iter();
        others
            .filter(|(_, unit)| !unit.is_tracked || written.is_none())
            .map(|(object, _)| *object)
            .chain(written.iter().flatten().copied())
            .collect()
    }

    pub(crate) fn is_unit(&self, object: ObjectId) -> bool {
        self.units.contains_key(&object)
    }

    pub(crate) fn is_in_flight(&self, object: ObjectId) -> bool {
        let unit = self.units.get(&object);
        unit.is_some_and(|unit| unit.in_flight.is_some())
    }

    /// Objects with a flush under way, or due.
    pub(crate) fn under_way(&self) -> Vec<ObjectId> {
        let objects = self.outstanding.values();
        objects.map(|found| found.object).collect()
    }

    pub(crate) fn begin_writing(&mut self, object: ObjectId) {
        let unit = self.units.entry(object).or_default();
        unit.is_dirty = true;
        unit.idle = 0;
    }

    /// Its writes are tracked.
    pub(crate) fn note_tracked(&mut self, object: ObjectId) {
        self.update(object, |unit| unit.is_tracked = true);
    }

    /// What a flush of this unit has to send now; if one is under way, the unit is marked for another.
    pub(crate) fn take<D>(&mut self, object: ObjectId, memory: &mut dyn Memory<D>) -> Taken<D> {
        let Some(unit) = self.units.get(&object).copied() else {
            return Taken::Nothing;
        };
        if !unit.is_dirty {
            return Taken::Nothing;
        }
        if unit.in_flight.is_some() {
            if unit.again.is_none() {
                let again = self.number(object, false);
                self.update(object, |unit| unit.again = Some(again));
            }
            return Taken::Nothing;
        }
        match memory.take_diff(object) {
            Some(diff) => {
                let sequence = self.number(object, true);
                self.update(object, |unit| {
                    unit.in_flight = Some(sequence);
                    unit.idle = 0;
                });
                Taken::Diff(sequence, diff)
            }
            None => self.found_nothing(object, memory.tracks_writes(object)),
        }
    }

    /// The last diff of a unit whose threads can write no longer; it is clean then.
    pub(crate) fn take_last<D>(
        &mut self,
        object: ObjectId,
        memory: &mut dyn Memory<D>,
    ) -> Option<(u64, D)> {
        let diff = memory.take_diff(object);
        let unit = self.units.get(&object).copied().unwrap_or_default();
        debug_assert!(unit.in_flight.is_none(), "callers saw no flush under way");
        let sequence = diff.map(|diff| (self.number(object, true), diff));
        self.update(object, |unit| {
            unit.is_dirty = false;
            unit.in_flight = sequence.as_ref().map(|(sequence, _)| *sequence);
        });
        self.drop_if_done(object);
        sequence
    }

    /// As `take_last`, of a copy that goes away; a flush of it may be under way.
    pub(crate) fn take_leaving<D>(
        &mut self,
        object: ObjectId,
        memory: &mut dyn Memory<D>,
    ) -> Option<(u64, D)> {
        let diff = memory.take_diff(object);
        let unit = self.units.remove(&object).unwrap_or_default();
        match (diff, unit.again) {
            (Some(diff), Some(again)) => {
                self.sent(again);
                Some((again, diff))
            }
            (Some(diff), None) => Some((self.number(object, true), diff)),
            (None, Some(again)) => {
                self.release(again);
                None
            }
            (None, None) => None,
        }
    }

    /// A number for a message that is answered by `Flushed`.
    pub(crate) fn number(&mut self, object: ObjectId, is_sent: bool) -> u64 {
        self.last += 1;
        self.outstanding
            .insert(self.last, Outstanding { object, is_sent });
        self.last
    }

    /// Whether `Flushed` may come with this number.
    pub(crate) fn is_under_way(&self, object: ObjectId, sequence: u64) -> bool {
        let found = self.outstanding.get(&sequence);
        found.is_some_and(|found| found.object == object && found.is_sent)
    }

    /// The flush of this number is answered. True if it was its unit's, whose next may be due.
    pub(crate) fn answered(&mut self, object: ObjectId, sequence: u64) -> bool {
        self.release(sequence);
        let unit = self.units.get_mut(&object);
        let Some(unit) = unit.filter(|unit| unit.in_flight == Some(sequence)) else {
            return false;
        };
        unit.in_flight = None;
        self.drop_if_done(object);
        true
    }

    /// Whether the unit was marked for another flush, which is due now.
    pub(crate) fn is_due_again(&self, object: ObjectId) -> bool {
        let unit = self.units.get(&object);
        unit.is_some_and(|unit| unit.again.is_some() && unit.in_flight.is_none())
    }

    /// The next flush of a unit that is due again.
    pub(crate) fn take_again<D>(
        &mut self,
        object: ObjectId,
        memory: &mut dyn Memory<D>,
    ) -> Taken<D> {
        let unit = self.units.get_mut(&object);
        let Some(again) = unit.and_then(|unit| unit.again.take()) else {
            return Taken::Nothing;
        };
        match memory.take_diff(object) {
            Some(diff) => {
                self.sent(again);
                self.update(object, |unit| {
                    unit.in_flight = Some(again);
                    unit.idle = 0;
                });
                Taken::Diff(again, diff)
            }
            None => {
                self.release(again);
                self.found_nothing(object, memory.tracks_writes(object))
            }
        }
    }

    /// The copy is gone, or the only one: what it has needs no flush. A flush under way is still
    /// answered. True if there is a twin.
    pub(crate) fn forget(&mut self, object: ObjectId) -> bool {
        let Some(unit) = self.units.remove(&object) else {
            return false;
        };
        if let Some(again) = unit.again {
            self.release(again);
        }
        unit.is_dirty
    }

    /// Nobody will answer any flush of the object any more. True if there is a twin.
    pub(crate) fn abandon(&mut self, object: ObjectId) -> bool {
        let is_dirty = self.forget(object);
        self.outstanding.retain(|_, found| found.object != object);
        is_dirty
    }

    /// `waiter` waits for all that is outstanding now.
    pub(crate) fn wait(&mut self, waiter: Waiter) {
        self.waiting.push_back((self.last, waiter));
    }

    pub(crate) fn cancel(&mut self, waiter: Waiter) {
        self.waiting.retain(|(_, other)| *other != waiter);
    }

    /// Who waits no longer.
    pub(crate) fn next_done(&mut self) -> Option<Waiter> {
        let first = self.outstanding.first_key_value();
        match (self.waiting.front(), first) {
            (Some((limit, _)), Some((first, _))) if first <= limit => None,
            (Some(_), Some(_) | None) => self.waiting.pop_front().map(|(_, waiter)| waiter),
            (None, Some(_)) => None,
            (None, None) => {
                self.last = 0;
                None
            }
        }
    }

    fn found_nothing<D>(&mut self, object: ObjectId, tracks_writes: bool) -> Taken<D> {
        let mut is_idle = false;
        self.update(object, |unit| {
            unit.idle = unit.idle.saturating_add(1);
            is_idle = unit.idle >= IDLE_FLUSHES_MAX;
        });
        if is_idle && !tracks_writes {
            Taken::Idle
        } else {
            Taken::Nothing
        }
    }

    fn update(&mut self, object: ObjectId, change: impl FnOnce(&mut Unit)) {
        change(self.units.entry(object).or_default());
    }

    fn drop_if_done(&mut self, object: ObjectId) {
        let unit = self.units.get(&object);
        if unit.is_some_and(|unit| !unit.is_dirty && unit.in_flight.is_none()) {
            self.units.remove(&object);
        }
    }

    fn sent(&mut self, sequence: u64) {
        if let Some(found) = self.outstanding.get_mut(&sequence) {
            found.is_sent = true;
        }
    }

    fn release(&mut self, sequence: u64) {
        self.outstanding.remove(&sequence);
    }
}
