//! Weak objects at their home: flushes are merged as they come, and make the copies current in *rounds*.
//!
//! The home's page is the master. A diff is merged when it arrives, before anything else: as links keep the order
//! of messages, the home's order of merges is the one that every copy gets to see. What takes time is its
//! propagation. A round is the work that propagates: the first flush begins one, and flushes that arrive meanwhile
//! join it. When every answer is in, all of them are answered. A round ends, for a node flushes a copy again
//! only after it was answered.
//!
//! What a flush of n with its diff does (the home itself is an n, too):
//!
//! | protocol | begins a round | joins a round |
//! |---|---|---|
//! | `update` | Update to all copies but n's | the same; to n's, too, if an Update to n is not answered yet |
//! | all others | Invalidate to all copies but n's | Update to the copies that were not sent Invalidate |
//!
//! In the second case of `update` the flush of n and the diff of another node m crossed. The home merged m's first;
//! n has m's over its own now, as far as they overlap, and gets its own once more: all copies end alike, even if
//! the program has a race.
//!
//! A diff that comes with Invalidated joins the round in the same way. At the end, if n's is the only copy left and
//! the home's threads have nothing unflushed: `update` makes n the owner if the home has no rights, which are taken now
//! and then to see whether it wants them (auto.rs); all others take the home's rights and make n the owner. Nobody waiting for the object is a condition, too. If no copy is left,
//! the home is alone: no twin.
//!
//! | state | Flush of a listed m | Flush of others | Updated from m | Invalidated with diff from m |
//! |---|---|---|---|---|
//! | Shared | merge, begins a round | V | V | V |
//! | Flushing | merge, joins; m's is being answered already: V | V | due: as said; else V | due: merge, joins; else V |
//! | Withdrawing | merge, answered at the end | V | V | due: merge, answered at the end; else V |
//! | Reclaiming | answered at the end | V | V | V |
//! | all others | V | V | V | V |
//!
//! Requests: Shared grants Read to readers and writers alike, with the bytes as they are; a writer makes a twin.
//! Home grants Write to a writer if the home's threads have not used the object since it was granted away last.
//! Owned recalls with keep_read, then goes on as Shared; `migratory` without, then as Home. The home's threads
//! write in Shared with a twin, without waiting.

use alloc::vec::Vec;

use umbel_wire::{Access, NodeId, ObjectId, Protocol};

use crate::cache::Refusal;
use crate::directory::{Directory, UNSHARED, flushed, invalidate_copies};
use crate::effect::{Effect, Outgoing};
use crate::entry::{Answer, Awaited, Entry, Holding};
use crate::flush::{Flushes, For, Taken};
use crate::grant::limit_view;
use crate::record::Counted;
use crate::turn::{Resume, Turn};

impl Directory {
    pub(crate) fn on_flush<D: Clone>(
        &mut self,
        from: NodeId,
        object: ObjectId,
        sequence: u64,
        leave: bool,
        diff: Option<D>,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), Refusal> {
        let entry = self.entries.get_mut(&object).ok_or(UNSHARED)?;
        // A copy is flushed again when the home has answered, and is not dropped while it asks for more.
        let is_busy = entry.has_flush_of(from) || entry.has_request_of(from);
        if !entry.record.has_copy(from) || is_busy {
            return Err(entry.state_name());
        }
        if diff.is_some() && !entry.is_weak() {
            return Err("sequential");
        }
        if leave {
            entry.record.remove_copy(from);
        }
        let Some(diff) = diff else {
            turn.send(from, flushed(object, sequence, false));
            if entry.awaited().is_none() {
                become_alone_if_last(entry, object, turn);
                self.advance(object, turn);
            }
            return Ok(());
        };
        if entry.awaited() != Some(Awaited::EndOfLife) {
            let diff = diff.clone();
            turn.out.push(Effect::Merge { object, diff });
        }
        entry.note_flush(from, turn.node, false);
        self.propagate(object, from, sequence, diff, turn);
        Ok(())
    }

    /// Sends what the home's own threads wrote.
    pub(crate) fn flush<D: Clone>(&mut self, object: ObjectId, turn: &mut Turn<'_, D>) {
        let taken = turn.flushes.take(object, For::Copies, turn.memory);
        self.propagate_own(object, taken, turn);
    }

    /// A flush of the home is answered, and it was asked for another.
    pub(crate) fn on_again<D: Clone>(&mut self, object: ObjectId, turn: &mut Turn<'_, D>) {
        let is_for = For::Copies;
        let taken = turn.flushes.take_again(object, is_for, turn.memory);
        self.propagate_own(object, taken, turn);
    }

    /// The home's rights were lowered: what its threads wrote until then is the last. Unless something came between:
    /// as in a cache.
    pub(crate) fn on_cleaned<D: Clone>(&mut self, object: ObjectId, turn: &mut Turn<'_, D>) {
        let Some(entry) = self.entries.get_mut(&object) else {
            return;
        };
        if !entry.is_dirty || turn.flushes.is_in_flight(object) {
            return;
        }
        entry.is_dirty = false;
        let is_for = For::Copies;
        let diff = turn.flushes.take_last(object, is_for, turn.memory);
        turn.out.push(Effect::DropTwin { object });
        if let Some((sequence, diff)) = diff {
            self.propagate_own(object, Taken::Diff(sequence, diff), turn);
        }
    }

    fn propagate_own<D: Clone>(
        &mut self,
        object: ObjectId,
        taken: Taken<D>,
        turn: &mut Turn<'_, D>,
    ) {
        let Some(entry) = self.entries.get_mut(&object) else {
            return;
        };
        match taken {
            Taken::Diff(sequence, diff) => {
                entry.note_flush(turn.node, turn.node, false);
                self.propagate(object, turn.node, sequence, diff, turn);
            }
            Taken::Nothing => {}
            Taken::Idle => {
                limit_view(entry, object, Some(Access::Read), turn);
                turn.resume(object, Resume::Clean);
            }
        }
    }

    /// Begins a round, or joins the work in progress.
    fn propagate<D: Clone>(
        &mut self,
        object: ObjectId,
        from: NodeId,
        sequence: u64,
        diff: D,
        turn: &mut Turn<'_, D>,
    ) {
        let entry = self
            .entries
            .get_mut(&object)
            .expect("the caller found this entry");
        entry.end_read_only();
        let mut copies = entry.record.copies().iter();
        if from != turn.node && entry.pending.is_none() && copies.all(|node| *node == from) {
            // Most rounds: nobody is asked, and it is over at once.
            let round = turn.flushes.number(object, For::Copies);
            turn.flushes.done(round);
            return answer_all(entry, object, &[(from, sequence)], true, turn);
        }
        entry.update_pending(|pending| {
            pending.flushes.push((from, sequence));
            pending.flushes.sort_unstable();
        });
        let is_update = entry.mode.protocol == Protocol::Update;
        match entry.awaited() {
            None => {
                entry.begin(Awaited::Round, None);
                if is_update {
                    update_copies(entry, object, from, diff, turn);
                } else {
                    invalidate_copies(entry, object, Some(from), false, turn);
                }
            }
            Some(Awaited::Round) => update_copies(entry, object, from, diff, turn),
            // No copy will be left that it could be sent to.
            Some(Awaited::Withdrawn | Awaited::EndOfLife) => {}
            Some(
                Awaited::Recalled { .. }
                | Awaited::Invalidated { .. }
                | Awaited::Flush
                | Awaited::Operated
                | Awaited::Reply { .. },
            ) => unreachable!("there are no weak copies beside this work"),
        }
        note_owed(entry, object, from, turn);
        if !entry.is_anything_due() {
            self.finish(object, turn);
        }
    }

    pub(crate) fn on_invalidated<D: Clone>(
        &mut self,
        from: NodeId,
        object: ObjectId,
        diff: Option<(u64, D)>,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), Refusal> {
        let entry = self.entries.get_mut(&object).ok_or(UNSHARED)?;
        let brings = diff.is_some();
        let may_bring = match entry.awaited() {
            Some(Awaited::Round | Awaited::Withdrawn) => {
                entry.is_weak() && entry.record.has_copy(from)
            }
            Some(
                Awaited::Recalled { .. }
                | Awaited::Invalidated { .. }
                | Awaited::EndOfLife
                | Awaited::Flush
                | Awaited::Operated
                | Awaited::Reply { .. },
            )
            | None => false,
        };
        if (brings && !may_bring) || !entry.settle(from, Answer::Invalidated) {
            return Err(entry.state_name());
        }
        note_paid(entry, from, turn.node, turn.flushes);
        entry.record.remove_copy(from);
        if entry.holding == Holding::Owned(from) {
            entry.holding = Holding::Home;
        }
        if let Some((sequence, diff)) = diff {
            let merged = diff.clone();
            turn.out.push(Effect::Merge {
                object,
                diff: merged,
            });
            entry.note_flush(from, turn.node, true);
            self.propagate(object, from, sequence, diff, turn);
        } else if !entry.is_anything_due() {
            self.finish(object, turn);
        }
        Ok(())
    }

    pub(crate) fn on_updated<D: Clone>(
        &mut self,
        from: NodeId,
        object: ObjectId,
        leave: bool,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), Refusal> {
        let entry = self.entries.get_mut(&object).ok_or(UNSHARED)?;
        // Who has left has said so by a Flush before.
        let is_odd = entry.record.has_copy(from) == leave;
        if is_odd || !entry.settle(from, Answer::Updated) {
            return Err(entry.state_name());
        }
        note_paid(entry, from, turn.node, turn.flushes);
        if leave && entry.record.copies().is_empty() {
            entry.note_unused();
        }
        if !entry.is_anything_due() {
            self.finish(object, turn);
        }
        Ok(())
    }

    /// The work is done that these flushes began or joined.
    pub(crate) fn answer_flushes<D>(
        &mut self,
        object: ObjectId,
        is_round: bool,
        turn: &mut Turn<'_, D>,
    ) {
        let Some(entry) = self.entries.get_mut(&object) else {
            return;
        };
        let flushes = take_flushes(entry, turn.flushes);
        answer_all(entry, object, &flushes, is_round, turn);
    }
}

fn answer_all<D>(
    entry: &mut Entry,
    object: ObjectId,
    flushes: &[(NodeId, u64)],
    is_round: bool,
    turn: &mut Turn<'_, D>,
) {
    become_alone_if_last(entry, object, turn);
    let only = only_copy(entry, flushes).filter(|_| is_round);
    if let Some(node) = only {
        limit_view(entry, object, None, turn);
        entry.record.remove_copy(node);
        entry.holding = Holding::Owned(node);
        entry.is_used = false;
    } else if is_round && is_for_the_home(entry, flushes) && entry.is_home_to_show() {
        limit_view(entry, object, None, turn);
    }
    for (node, sequence) in flushes {
        answer_flush(object, *node, *sequence, only == Some(*node), turn);
    }
    if turn.flushes.is_due_again(object) {
        // The diffs just merged must be in the twin before the next is taken.
        turn.resume(object, Resume::Again);
    }
}

/// The flushes to be answered now; the work is done that this node's departures waited for on their account.
pub(crate) fn take_flushes(entry: &mut Entry, own: &mut Flushes) -> Vec<(NodeId, u64)> {
    if entry.pending.is_none() {
        return Vec::new();
    }
    let (flushes, foreign_round) = entry.update_pending(|pending| {
        let flushes = core::mem::take(&mut pending.flushes);
        (flushes, pending.foreign_round.take())
    });
    if let Some(number) = foreign_round {
        own.done(number);
    }
    flushes
}

/// A flush of `from` began or joined the work: until all that is due has come, this node's departures wait for it.
fn note_owed<D>(entry: &mut Entry, object: ObjectId, from: NodeId, turn: &mut Turn<'_, D>) {
    let flushes = &mut *turn.flushes;
    if from != turn.node {
        entry.update_pending(|pending| {
            let number = || flushes.number(object, For::Copies);
            pending.foreign_round.get_or_insert_with(number);
        });
    }
    let Some(pending) = &entry.pending else {
        return;
    };
    for number in pending.numbers(turn.node) {
        for (node, _) in &pending.due {
            turn.flushes.owe(number, *node);
        }
    }
}

/// `node` has answered, or is gone; it may owe more than one answer.
pub(crate) fn note_paid(entry: &Entry, node: NodeId, home: NodeId, own: &mut Flushes) {
    let Some(pending) = &entry.pending else {
        return;
    };
    if pending.due.iter().all(|(other, _)| *other != node) {
        for number in pending.numbers(home) {
            own.paid(number, node);
        }
    }
}

pub(crate) fn answer_flush<D>(
    object: ObjectId,
    node: NodeId,
    sequence: u64,
    exclusive: bool,
    turn: &mut Turn<'_, D>,
) {
    if node == turn.node {
        turn.flushes.answered(object, sequence);
    } else {
        turn.send(node, flushed(object, sequence, exclusive));
    }
}

/// Without copies elsewhere the home's bytes are all there is, and need no twin.
pub(crate) fn become_alone_if_last<D>(entry: &mut Entry, object: ObjectId, turn: &mut Turn<'_, D>) {
    if entry.holding != Holding::Shared || !entry.record.copies().is_empty() {
        return;
    }
    entry.holding = Holding::Home;
    entry.is_dirty = false;
    turn.end_writing(object);
}

/// Nobody but the home may have use for these flushes, and its threads don't write.
fn is_for_the_home(entry: &Entry, flushes: &[(NodeId, u64)]) -> bool {
    let mut copies = entry.record.copies().iter().copied();
    let only = copies.next().filter(|_| copies.next().is_none());
    let is_last = matches!((only, flushes), (Some(node), [(other, _)]) if node == *other);
    is_last && entry.holding == Holding::Shared && !entry.is_dirty
}

/// The node that may become owner: its flush is about to be answered, and it has the only copy.
fn only_copy(entry: &Entry, flushes: &[(NodeId, u64)]) -> Option<NodeId> {
    let mut copies = entry.record.copies().iter().copied();
    let node = copies.next()?;
    let is_last = copies.next().is_none() && entry.holding == Holding::Shared;
    let is_flusher = flushes.iter().any(|(other, _)| *other == node);
    let may_take = match entry.mode.protocol {
        Protocol::Update => entry.view.is_none(),
        Protocol::Invalidate | Protocol::Migratory | Protocol::ReadOnly | Protocol::Remote => true,
    };
    let somebody_waits = entry.front().is_some() || entry.reclaim().is_some();
    (is_last && is_flusher && may_take && !entry.is_dirty && !somebody_waits).then_some(node)
}

/// To every copy that stays; to the flusher's own only if it crossed an update.
fn update_copies<D: Clone>(
    entry: &mut Entry,
    object: ObjectId,
    from: NodeId,
    diff: D,
    turn: &mut Turn<'_, D>,
) {
    let stays = |node: &NodeId| {
        let is_current = *node == from && !entry.is_due(from, Answer::Updated);
        !is_current && !entry.is_due(*node, Answer::Invalidated)
    };
    let targets: Vec<NodeId> = entry
        .record
        .copies()
        .iter()
        .copied()
        .filter(stays)
        .collect();
    for node in &targets {
        entry.record.count(Counted::Update);
        let diff = diff.clone();
        turn.send(*node, Outgoing::Update { object, diff });
    }
    entry.await_from(&targets, Answer::Updated);
}
