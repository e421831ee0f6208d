//! Flushes of one node: which copies were written, whose diffs are under way, who owes answers, and who waits.
//!
//! A *unit* is a copy with a twin, or with a diff under way; a copy of another home and an object of this
//! home alike. At most one flush of a unit is under way. A unit that is to be flushed meanwhile, and was written
//! since, gets the number of its next flush at once, its *again*: who asks for a flush waits for it, too.
//!
//! Who asks for a flush waits until no number is outstanding that is not above the last one given out when
//! he asked. He waits for flushes that others began before, for they may bring what he wrote.
//!
//! Numbers start again from 1 when none is outstanding: no message then carries one.
//!
//! # News to one node need not wait for that node
//!
//! What a flush is for is to tell somebody: a *departure* is a message that says "this happened before". It waits
//! for answers, but not for those of the node it goes to, X: a link keeps order, X takes what was sent before the
//! departure first, and answers it without waiting for anything. So each outstanding number lists who *owes* an answer:
//!
//! | number | owed by |
//! |---|---|
//! | a diff, or a copy that leaves, on its way to its home h | h |
//! | the next flush of a unit whose last one is under way | nobody: it has not been sent |
//! | a diff of this home's own threads | the copies that have not answered |
//! | work at this home that flushes of other nodes began or joined, a *foreign round* | the same |
//! | a flush of another node that is postponed here (`forward`); it becomes a foreign round's | nobody, till the end of that round |
//! | what the driver asked of node a and goes on without the answer, a *debt* ([`crate::Machine::begin_debt`]) | a |
//!
//! and a departure to X leaves as soon as all that is outstanding, up to the last number given out when it was asked
//! for, is owed by X alone. Everybody else waits for all of it: bytes of sequential objects, operations, callers
//! who tell nobody in particular.
//!
//! *Why foreign rounds count.* A diff whose home is X may be merged and nothing more when the departure behind it lets a
//! thread of X go on: other nodes still have the old bytes. What that thread says next leaves X after the round, or
//! goes to the only node that has not answered, behind the message that takes its old bytes.
//!
//! *Transitivity.* Say that a node *knows* a store if a thread of it made it, or came after it by departures or by
//! sequential bytes. For each store that node n knows and each node z: z shows it, or newer bytes, in all it can read
//! and will fetch; or the store is n's and not flushed; or n counts a number for it that z, or its home, owes.
//! A departure to X is behind n's flush: nothing of n is left unflushed, and only X owes. X then takes what it
//! owes before it takes the departure. If n is the home, X has dropped or merged. If X is, it has
//! merged, and counts a number that all z which have not answered owe. So the claim holds for X, too, and for
//! whoever X tells. It needs that what X is sent takes effect when it comes, before what is behind it: no hold puts
//! off the invalidation of a weak copy, a forwarded one that was invalidated or updated before it came is never shown, and the driver carries effects out before it passes on news.
//!
//! *Debts* keep the order of what a thread does: a semaphore that it posted without waiting has risen, for
//! whoever hears of anything that it did later.
//!
//! *No circles.* Departures, and bytes of sequential objects, wait for answers about weak objects. Those are given
//! at once: neither a foreign round nor anything else that is counted here is waited for before one. What a debt is for
//! may wait for smaller numbers itself, and is answered at once.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use umbel_wire::{NodeId, ObjectId, Token};

use crate::limits::IDLE_FLUSHES_MAX;
use crate::memory::Memory;
use crate::numbers::{Numbered, Numbers};
use crate::table::Table;

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

/// What a number is for, which says who owes an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum For {
    /// The next flush of a unit: nothing was sent. Or a flush that is postponed here.
    Later,
    /// A message to this home.
    Home(NodeId),
    /// Work at this home: [`Flushes::owe`] and [`Flushes::paid`] say who.
    Copies,
    /// Something that the driver asked of this node.
    Debt(NodeId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Outstanding {
    /// None of a debt.
    object: Option<ObjectId>,
    is_for: For,
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
    units: Table<Unit>,
    outstanding: Numbered<Outstanding>,
    /// Who owes an answer for which numbers; `None`: they were not sent. No set is empty.
    owed: BTreeMap<Option<NodeId>, Numbers>,
    /// By whom their news goes to, if to one node alone; in order of asking, so that limits never fall.
    waiting: BTreeMap<Option<NodeId>, VecDeque<(u64, Waiter)>>,
}

impl Flushes {
    /// Whether nothing is to be looked at, nor waited for.
    pub(crate) fn is_clean(&self) -> bool {
        self.units.is_empty() && self.outstanding.is_empty()
    }

    /// What a flush has to look at.
    pub(crate) fn units<D>(&self, memory: &mut dyn Memory<D>) -> Vec<ObjectId> {
        if !self.units.values().any(|unit| unit.is_tracked) {
            return self.units.keys().collect();
        }
        let written = memory.written();
        let others = self.units.iter();
        others
            .filter(|(_, unit)| !unit.is_tracked || written.is_none())
            .map(|(object, _)| object)
            .chain(written.iter().flatten().copied())
            .collect()
    }

    /// At most how many units a flush has to look at.
    pub(crate) fn unit_count(&self) -> usize {
        self.units.len()
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
        let outstanding = self.outstanding.iter();
        outstanding.filter_map(|(_, found)| found.object).collect()
    }

    pub(crate) fn begin_writing(&mut self, object: ObjectId) {
        let unit = self.units.get_or_insert_with(object, Unit::default);
        unit.is_dirty = true;
        unit.idle = 0;
    }

    /// Its writes are tracked.
    pub(crate) fn note_tracked(&mut self, object: ObjectId) {
        self.update(object, |unit| unit.is_tracked = true);
    }

    /// What a flush of this unit has to send now, and to whom; if one is under way, the unit is marked for another.
    pub(crate) fn take<D>(
        &mut self,
        object: ObjectId,
        is_for: For,
        memory: &mut dyn Memory<D>,
    ) -> Taken<D> {
        let Some(unit) = self.units.get(&object).copied() else {
            return Taken::Nothing;
        };
        if !unit.is_dirty {
            return Taken::Nothing;
        }
        if unit.in_flight.is_some() {
            // Without a store since, what is under way is all there is.
            if unit.again.is_none() && memory.is_changed(object) {
                let again = self.number(object, For::Later);
                self.update(object, |unit| unit.again = Some(again));
            }
            return Taken::Nothing;
        }
        match memory.take_diff(object) {
            Some(diff) => {
                let sequence = self.number(object, is_for);
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
        is_for: For,
        memory: &mut dyn Memory<D>,
    ) -> Option<(u64, D)> {
        let diff = memory.take_diff(object);
        let unit = self.units.get(&object).copied().unwrap_or_default();
        debug_assert!(unit.in_flight.is_none(), "callers saw no flush under way");
        let sequence = diff.map(|diff| (self.number(object, is_for), diff));
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
        home: NodeId,
        memory: &mut dyn Memory<D>,
    ) -> Option<(u64, D)> {
        let diff = memory.take_diff(object);
        let unit = self.units.remove(&object).unwrap_or_default();
        match (diff, unit.again) {
            (Some(diff), Some(again)) => {
                self.sent(again, For::Home(home));
                Some((again, diff))
            }
            (Some(diff), None) => Some((self.number(object, For::Home(home)), diff)),
            (None, Some(again)) => {
                self.release(again);
                None
            }
            (None, None) => None,
        }
    }

    /// A number for a message that is answered by `Flushed`, or for work at this home.
    pub(crate) fn number(&mut self, object: ObjectId, is_for: For) -> u64 {
        self.next_number(Some(object), is_for)
    }

    /// A number for something else that this node has to answer.
    pub(crate) fn begin_debt(&mut self, node: NodeId) -> u64 {
        self.next_number(None, For::Debt(node))
    }

    /// Nobody will answer for this node any more.
    pub(crate) fn forgive(&mut self, node: NodeId) {
        let owed = self.outstanding.iter();
        let numbers: Vec<u64> = owed
            .filter(|(_, found)| found.is_for == For::Debt(node))
            .map(|(number, _)| number)
            .collect();
        for number in numbers {
            self.release(number);
        }
    }

    fn next_number(&mut self, object: Option<ObjectId>, is_for: For) -> u64 {
        self.last += 1;
        let number = self.last;
        self.outstanding
            .push(number, Outstanding { object, is_for });
        if let Some(ower) = ower(is_for) {
            self.owed.entry(ower).or_default().insert(number);
        }
        number
    }

    /// `node` owes an answer for work at this home.
    pub(crate) fn owe(&mut self, number: u64, node: NodeId) {
        self.owed.entry(Some(node)).or_default().insert(number);
    }

    /// `node` owes none any more for work at this home.
    pub(crate) fn paid(&mut self, number: u64, node: NodeId) {
        self.owes_no_longer(Some(node), number);
    }

    /// Work at this home is done, or a debt.
    pub(crate) fn done(&mut self, number: u64) {
        self.release(number);
    }

    /// Whether `Flushed` may come with this number.
    pub(crate) fn is_under_way(&self, object: ObjectId, sequence: u64) -> bool {
        let found = self.outstanding.get(sequence);
        found.is_some_and(|found| found.object == Some(object) && found.is_for != For::Later)
    }

    /// Whether no flush of the object is outstanding that began after this one.
    pub(crate) fn is_last(&self, object: ObjectId, sequence: u64) -> bool {
        let mut outstanding = self.outstanding.iter();
        !outstanding.any(|(number, found)| number > sequence && found.object == Some(object))
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
        is_for: For,
        memory: &mut dyn Memory<D>,
    ) -> Taken<D> {
        let unit = self.units.get_mut(&object);
        let Some(again) = unit.and_then(|unit| unit.again.take()) else {
            return Taken::Nothing;
        };
        match memory.take_diff(object) {
            Some(diff) => {
                self.sent(again, is_for);
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
        let numbers = self.outstanding.iter();
        let numbers: Vec<u64> = numbers
            .filter(|(_, found)| found.object == Some(object))
            .map(|(number, _)| number)
            .collect();
        for number in numbers {
            self.release(number);
        }
        is_dirty
    }

    /// `waiter` waits for all that is outstanding now; if it has news for one node alone, not for what that owes.
    pub(crate) fn wait(&mut self, waiter: Waiter, to: Option<NodeId>) {
        let queue = self.waiting.entry(to).or_default();
        queue.push_back((self.last, waiter));
    }

    pub(crate) fn cancel(&mut self, waiter: Waiter) {
        for queue in self.waiting.values_mut() {
            queue.retain(|(_, other)| *other != waiter);
        }
        self.waiting.retain(|_, queue| !queue.is_empty());
    }

    /// The nodes whose debts somebody waits for.
    pub(crate) fn awaited_debtors(&self) -> BTreeSet<NodeId> {
        let mut debtors = BTreeSet::new();
        for (to, queue) in &self.waiting {
            let Some((limit, _)) = queue.back() else {
                continue;
            };
            let outstanding = self.outstanding.iter();
            let counted = outstanding.take_while(|(number, _)| number <= limit);
            debtors.extend(counted.filter_map(|(_, found)| match found.is_for {
                For::Debt(node) if Some(node) != *to => Some(node),
                For::Debt(_) | For::Later | For::Home(_) | For::Copies => None,
            }));
        }
        debtors
    }

    /// Whether the node owes an answer for something that was written, which it gives without being asked.
    pub(crate) fn is_owed_by(&self, node: NodeId) -> bool {
        let owed = self.owed.get(&Some(node)).into_iter();
        let numbers = owed.flat_map(Numbers::newest_first);
        let mut found = numbers.filter_map(|number| self.outstanding.get(number));
        found.any(|found| !matches!(found.is_for, For::Debt(_)))
    }

    /// Who waits no longer.
    pub(crate) fn next_done(&mut self) -> Option<Waiter> {
        if self.waiting.is_empty() && self.outstanding.is_empty() {
            self.last = 0;
        }
        let mut fronts = self.waiting.iter();
        let (to, _) = fronts.find(|(to, queue)| {
            let front = queue.front();
            front.is_some_and(|(limit, _)| !self.is_owed_elsewhere(*limit, **to))
        })?;
        let to = *to;
        let queue = self.waiting.get_mut(&to)?;
        let (_, waiter) = queue.pop_front()?;
        if queue.is_empty() {
            self.waiting.remove(&to);
        }
        Some(waiter)
    }

    /// Whether an answer up to this number is owed by another node than `to`.
    fn is_owed_elsewhere(&self, limit: u64, to: Option<NodeId>) -> bool {
        if to.is_none() {
            let first = self.outstanding.first();
            return first.is_some_and(|first| first <= limit);
        }
        let mut others = self.owed.iter().filter(|(ower, _)| **ower != to);
        others.any(|(_, numbers)| numbers.first().is_some_and(|first| first <= limit))
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
        change(self.units.get_or_insert_with(object, Unit::default));
    }

    fn drop_if_done(&mut self, object: ObjectId) {
        let unit = self.units.get(&object);
        if unit.is_some_and(|unit| !unit.is_dirty && unit.in_flight.is_none()) {
            self.units.remove(&object);
        }
    }

    fn sent(&mut self, sequence: u64, is_for: For) {
        if let Some(found) = self.outstanding.get_mut(sequence) {
            found.is_for = is_for;
            self.owes_no_longer(None, sequence);
            if let Some(ower) = ower(is_for) {
                self.owed.entry(ower).or_default().insert(sequence);
            }
        }
    }

    fn release(&mut self, sequence: u64) {
        let found = self.outstanding.remove(sequence);
        if let Some(ower) = found.and_then(|found| ower(found.is_for)) {
            self.owes_no_longer(ower, sequence);
        }
    }

    fn owes_no_longer(&mut self, ower: Option<NodeId>, number: u64) {
        let Some(numbers) = self.owed.get_mut(&ower) else {
            return;
        };
        numbers.remove(number);
        if numbers.is_empty() {
            self.owed.remove(&ower);
        }
    }
}

/// Who owes the answer, as far as the number says.
fn ower(is_for: For) -> Option<Option<NodeId>> {
    match is_for {
        For::Later => Some(None),
        For::Home(node) | For::Debt(node) => Some(Some(node)),
        For::Copies => None,
    }
}
