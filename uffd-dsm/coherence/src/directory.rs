//! The home side: directory entries of the objects whose home this node is.
//!
//! An object without an entry is **Unshared**: the home has it alone. A fault of the home itself there is
//! answered at once and makes no entry: a stack faults in that way all the time.
//!
//! [`Holding`] says where the newest bytes are; while work is in progress the object is *busy*, and requests
//! queue in order of arrival. Requests of the home's own threads queue with the others. The table is for
//! sequential objects; [`crate::round`] has what is otherwise for weak ones, [`crate::withdraw`] operations
//! and strengthening, [`crate::life`] the end of an object's life and lost nodes.
//!
//! | state | home's rights | read request of node n | write request of node n |
//! |---|---|---|---|
//! | Unshared | Write | makes the entry (Home), goes on there | the same |
//! | Home | Write | lower own view to Read, Grant+bytes, to Shared{n} | take own view, Grant+bytes, to Owned(n) |
//! | Shared{c} | Read | Grant+bytes, to Shared{c+n}; n in c: V | Invalidate c-n; none: take own view, Grant, to Owned(n); else Invalidating |
//! | Owned(o) | none | Recall(keep_read), Recalling; n = o: V | Recall, Recalling; n = o: V |
//! | Recalling | none | queues; n = o: V | queues; n = o: V |
//! | Invalidating | Read | queues; n yet to answer: V | queues |
//! | Granting | as lowered | queues | queues |
//!
//! | state | Recalled from m | Return from m | Invalidated from m | Flush(leave) without diff from m |
//! |---|---|---|---|---|
//! | Recalling(o) | m = o: store, to Shared{o} or Home, grant what was waited for; else V | m = o: the same, to Home, Flushed; else V | V | V |
//! | Owned(o) | V | m = o: store, to Home, Flushed; else V | V | V |
//! | Invalidating{c} | V | V | due of m: the last one grants what was waited for; else V | m in c: Flushed, c-m; else V |
//! | Shared{c} | V | V | V | m in c: Flushed, c-m, none left: to Home; else V |
//! | Unshared, Home, Granting | V | V | V | Granting as Shared; else V |
//!
//! *Granting*: the bytes of a sequential object leave after a flush of this node, if its threads could have
//! stored since they left last. The rights are lowered first, so that the flush brings all that was written
//! before the last store.
//!
//! A sequential object whose stores can't be refused ([`crate::Memory::reads_alone`]: a strengthened unit of a large
//! array) is granted as a write to whoever reads it, the home's own threads among them.
//!
//! Under `migratory` a read request is granted as a write if no other node has a copy but the owner, who is
//! recalled without keep_read. Under `read_only` read grants hold nothing; the first write request makes the
//! protocol `invalidate`. A prefetch is answered by Deny if the object is busy, held, migratory, remote, or
//! does not exist.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use umbel_wire::{Access, Forward, NodeId, ObjectId, Protocol, Token};

use crate::cache::Refusal;
use crate::effect::{Effect, Outgoing};
use crate::entry::{Answer, Awaited, Entry, Holding, Request, Want};
use crate::grant::{expose_at_home, write_at_home};
use crate::memory::allowed;
use crate::record::Counted;
use crate::table::Table;
use crate::turn::Turn;

pub(crate) const UNSHARED: Refusal = "Unshared";
const ALREADY_ASKED: Refusal = "already asked for by that node";

/// Entries of the objects this node is home to. An object without one is the home's alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Directory {
    pub(crate) entries: Table<Entry>,
    /// Objects still shared, per `reclaim` in progress.
    pub(crate) reclaims: BTreeMap<Token, usize>,
}

impl Directory {
    pub(crate) fn entry(&self, object: ObjectId) -> Option<&Entry> {
        self.entries.get(&object)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (ObjectId, &Entry)> {
        self.entries.iter()
    }

    pub(crate) fn reset_counters(&mut self) {
        for entry in self.entries.values_mut() {
            entry.record.reset_counters();
        }
    }

    pub(crate) fn has_entries(&self, objects: Range<ObjectId>) -> bool {
        self.entries.keys_in(objects).next().is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn on_fault<D: Clone>(
        &mut self,
        object: ObjectId,
        access: Access,
        turn: &mut Turn<'_, D>,
    ) {
        let Some(entry) = self.entries.get_mut(&object) else {
            // Never shared: the home's stack faults in this way all the time, and leaves no entry.
            turn.show(object, Some(Access::Write));
            return;
        };
        if entry.home_rights() >= Some(access) {
            entry.record.count(access.into());
            return expose_at_home(entry, object, turn);
        }
        if entry.is_weak() && entry.holding == Holding::Shared {
            entry.record.count(access.into());
            return write_at_home(entry, object, turn);
        }
        if entry.has_request_of(turn.node) {
            // The grant wakes every thread. A request still in the queue is raised: that spares one.
            return raise(entry, turn.node, access);
        }
        let request = Request {
            node: turn.node,
            want: Want::Access(access),
        };
        self.ask(object, request, turn);
    }

    pub(crate) fn on_get<D: Clone>(
        &mut self,
        from: NodeId,
        object: ObjectId,
        access: Access,
        prefetch: bool,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), Refusal> {
        let request = Request {
            node: from,
            want: Want::Access(access),
        };
        let mut is_worth = turn_exists(object, prefetch, turn);
        if let Some(entry) = self.entries.get(&object) {
            if entry.has_request_of(from) {
                return Err(ALREADY_ASKED);
            }
            let is_copy = entry.record.has_copy(from);
            match (entry.holding, access) {
                // An owner has all rights, and answers a Recall before it asks again.
                (Holding::Owned(owner), Access::Read | Access::Write) if owner == from => {
                    return Err(entry.state_name());
                }
                // A reader can read, and answers an Invalidate before it asks again.
                (Holding::Shared, Access::Read) if is_copy => return Err(entry.state_name()),
                // A weak copy is written without asking.
                (Holding::Shared, Access::Write) if is_copy && entry.is_weak() => {
                    return Err(entry.state_name());
                }
                (
                    Holding::Home | Holding::Shared | Holding::Owned(_),
                    Access::Read | Access::Write,
                ) => {}
            }
            // It was evicted, and asks again when it has answered what crossed that.
            if !is_copy && entry.is_due(from, Answer::Invalidated) {
                return Err(entry.state_name());
            }
            is_worth &= !entry.is_busy() && !entry.is_held_against(&request);
            is_worth &= match entry.mode.protocol {
                Protocol::Invalidate | Protocol::ReadOnly | Protocol::Update => true,
                Protocol::Migratory | Protocol::Remote => false,
            };
        }
        if prefetch && !is_worth {
            turn.send(from, Outgoing::Deny { object });
            return Ok(());
        }
        self.ask(object, request, turn);
        Ok(())
    }

    pub(crate) fn on_recalled<D: Clone>(
        &mut self,
        from: NodeId,
        object: ObjectId,
        data: D,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), Refusal> {
        let entry = self.entries.get_mut(&object).ok_or(UNSHARED)?;
        match (entry.awaited(), entry.holding) {
            (
                Some(Awaited::Recalled {
                    keep_read,
                    forwards,
                }),
                Holding::Owned(owner),
            ) if owner == from => {
                entry.note_recalled(object, owner, &data, turn.memory);
                turn.out.push(Effect::Store { object, data });
                entry.holding = Holding::Home;
                if keep_read {
                    entry.holding = Holding::Shared;
                    entry.record.add_copy(owner);
                }
                if forwards {
                    self.note_forwarded(object, keep_read, turn);
                } else {
                    self.finish(object, turn);
                }
                Ok(())
            }
            (
                Some(
                    Awaited::Recalled { .. }
                    | Awaited::Invalidated { .. }
                    | Awaited::Round
                    | Awaited::Withdrawn
                    | Awaited::EndOfLife
                    | Awaited::Flush
                    | Awaited::Operated
                    | Awaited::Reply { .. },
                )
                | None,
                Holding::Home | Holding::Shared | Holding::Owned(_),
            ) => Err(entry.state_name()),
        }
    }

    /// The owner has no copy any more, and did not wait to be asked.
    pub(crate) fn on_return<D: Clone>(
        &mut self,
        from: NodeId,
        object: ObjectId,
        sequence: u64,
        data: D,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), Refusal> {
        let entry = self.entries.get_mut(&object).ok_or(UNSHARED)?;
        match (entry.awaited(), entry.holding) {
            (Some(Awaited::Recalled { .. }) | None, Holding::Owned(owner)) if owner == from => {
                turn.out.push(Effect::Store { object, data });
                entry.holding = Holding::Home;
            }
            // It answers the Invalidate, too: only then its copy is gone for sure.
            (Some(Awaited::EndOfLife), Holding::Owned(owner)) if owner == from => {
                entry.holding = Holding::Home;
            }
            (
                Some(
                    Awaited::Recalled { .. }
                    | Awaited::Invalidated { .. }
                    | Awaited::Round
                    | Awaited::Withdrawn
                    | Awaited::EndOfLife
                    | Awaited::Flush
                    | Awaited::Operated
                    | Awaited::Reply { .. },
                )
                | None,
                Holding::Home | Holding::Shared | Holding::Owned(_),
            ) => return Err(entry.state_name()),
        }
        let awaited = entry.awaited();
        turn.send(from, flushed(object, sequence, false));
        match awaited {
            Some(Awaited::EndOfLife) => {}
            Some(_) => self.finish(object, turn),
            None => self.advance(object, turn),
        }
        Ok(())
    }

    pub(crate) fn awaits_hold(&self, object: ObjectId, node: NodeId) -> bool {
        let entry = self.entries.get(&object);
        entry.is_some_and(|entry| {
            entry.awaited().is_none()
                && entry
                    .front()
                    .is_some_and(|request| request.node != node && entry.is_held_against(request))
        })
    }

    /// Ignores a hold whose entry is gone.
    pub(crate) fn on_hold_expired<D: Clone>(&mut self, object: ObjectId, turn: &mut Turn<'_, D>) {
        let Some(entry) = self.entries.get_mut(&object) else {
            return;
        };
        entry.holds = entry.holds.saturating_sub(1);
        self.advance(object, turn);
    }

    /// Changes the protocol as soon as no work is in progress.
    pub(crate) fn set_protocol<D: Clone>(
        &mut self,
        object: ObjectId,
        protocol: Protocol,
        turn: &mut Turn<'_, D>,
    ) {
        let Some(entry) = self.entries.get_mut(&object) else {
            return;
        };
        entry.scores.end_auto();
        entry.update_pending(|pending| pending.switch = Some(protocol));
        self.advance(object, turn);
    }

    /// Serves the request, at once if nobody is before it.
    pub(crate) fn ask<D: Clone>(
        &mut self,
        object: ObjectId,
        request: Request,
        turn: &mut Turn<'_, D>,
    ) {
        let memory = &*turn.memory;
        let entry = self
            .entries
            .get_or_insert_with(object, || Entry::new(memory.policy(object)));
        let is_held = request.node != turn.node && entry.is_held_against(&request);
        if entry.is_busy() || is_held {
            entry.update_pending(|pending| pending.queue.push_back(request));
        } else {
            self.serve(object, request, turn);
        }
        self.advance(object, turn);
    }

    /// Everything awaited has come: grants the request it was for, then goes on.
    pub(crate) fn finish<D: Clone>(&mut self, object: ObjectId, turn: &mut Turn<'_, D>) {
        let entry = self
            .entries
            .get_mut(&object)
            .expect("work is in progress on this entry");
        let work = entry
            .update_pending(|pending| pending.work.take())
            .expect("work is in progress");
        if work.awaited == Awaited::EndOfLife {
            return self.end_life(object, turn);
        }
        self.take_up(object, turn);
        self.answer_flushes(object, work.awaited == Awaited::Round, turn);
        if let Some(request) = work.request {
            match work.awaited {
                Awaited::Recalled { .. } | Awaited::Withdrawn => self.start(object, request, turn),
                Awaited::Invalidated { is_upgrade } => {
                    self.grant(object, request.node, Access::Write, !is_upgrade, turn);
                }
                Awaited::Flush => self.deliver(object, request, turn),
                Awaited::Reply { result } => self.reply(object, &request, result, turn),
                Awaited::Round | Awaited::EndOfLife | Awaited::Operated => {
                    unreachable!("{:?} is for no request, or not finished here", work.awaited)
                }
            }
        }
        self.advance(object, turn);
    }

    /// Serves what waits, in order, until something must be awaited.
    pub(crate) fn advance<D: Clone>(&mut self, object: ObjectId, turn: &mut Turn<'_, D>) {
        while let Some(entry) = self.entries.get_mut(&object) {
            let is_amid = entry.awaited().is_some() || entry.has_postponed();
            if entry.pending.is_none() || is_amid {
                return;
            }
            if entry.reclaim().is_some() {
                return self.begin_end_of_life(object, turn);
            }
            if let Some(protocol) = entry.update_pending(|pending| pending.switch.take()) {
                let protocol = allowed(entry.mode.consistency, protocol);
                if protocol != entry.mode.protocol {
                    entry.mode.protocol = protocol;
                    entry.record.count(Counted::Switch);
                }
                continue;
            }
            let Some(request) = entry.front() else { return };
            if request.node != turn.node && entry.is_held_against(request) {
                return;
            }
            let request = entry.update_pending(|pending| pending.queue.pop_front());
            self.serve(object, request.expect("it was at the front"), turn);
        }
    }

    fn serve<D: Clone>(&mut self, object: ObjectId, request: Request, turn: &mut Turn<'_, D>) {
        if let Some(entry) = self.entries.get_mut(&object) {
            entry.note_request(&request, turn.node);
        }
        self.start(object, request, turn);
    }

    /// Grants `request`, or asks for what it needs first.
    pub(crate) fn start<D: Clone>(
        &mut self,
        object: ObjectId,
        request: Request,
        turn: &mut Turn<'_, D>,
    ) {
        let entry = self
            .entries
            .get_mut(&object)
            .expect("the request is for this entry");
        let access = match request.want {
            // Nobody could keep the reader from writing.
            Want::Access(_) if !entry.is_weak() && turn.memory.reads_alone(object) => Access::Write,
            Want::Access(access) => access,
            Want::Operate(_) | Want::Strengthen(_) => {
                return self.start_alone(object, request, turn);
            }
        };
        let request = Request {
            want: Want::Access(access),
            ..request
        };
        if access == Access::Write {
            entry.end_read_only();
        }
        match (entry.holding, access) {
            (Holding::Home, Access::Read | Access::Write) | (Holding::Shared, Access::Read) => {
                self.grant(object, request.node, access, true, turn);
            }
            (Holding::Shared, Access::Write) if entry.is_weak() => {
                self.grant(object, request.node, access, true, turn);
            }
            (Holding::Shared, Access::Write) => {
                // Listed now means current now: see "Upgrades" in the specification.
                let is_upgrade = entry.record.remove_copy(request.node);
                if entry.record.copies().is_empty() {
                    entry.holding = Holding::Home;
                    return self.grant(object, request.node, access, !is_upgrade, turn);
                }
                entry.begin(Awaited::Invalidated { is_upgrade }, Some(request));
                invalidate_copies(entry, object, None, false, turn);
            }
            (Holding::Owned(owner), Access::Read | Access::Write) => {
                let keep_read = entry.keeps_read(access);
                recall(entry, object, owner, keep_read, request, turn);
            }
        }
    }
}

fn turn_exists<D>(object: ObjectId, prefetch: bool, turn: &Turn<'_, D>) -> bool {
    !prefetch || turn.memory.exists(object)
}

fn raise(entry: &mut Entry, node: NodeId, access: Access) {
    entry.update_pending(|pending| {
        for request in pending.queue.iter_mut() {
            match &mut request.want {
                Want::Access(wanted) if request.node == node => *wanted = access.max(*wanted),
                Want::Access(_) | Want::Operate(_) | Want::Strengthen(_) => {}
            }
        }
    });
}

fn recall<D>(
    entry: &mut Entry,
    object: ObjectId,
    owner: NodeId,
    keep_read: bool,
    request: Request,
    turn: &mut Turn<'_, D>,
) {
    let forward = match request.want {
        Want::Access(_) if turn.forwards && request.node != turn.node => Some(Forward {
            node: request.node,
            mode: entry.mode,
        }),
        Want::Access(_) | Want::Operate(_) | Want::Strengthen(_) => None,
    };
    let awaited = Awaited::Recalled {
        keep_read,
        forwards: forward.is_some(),
    };
    entry.begin(awaited, Some(request));
    entry.record.count(Counted::Recall);
    let message = Outgoing::Recall {
        object,
        keep_read,
        forward,
    };
    turn.send(owner, message);
}

/// Asks the only copy of an object back, so that the home is alone.
pub(crate) fn recall_all<D>(
    entry: &mut Entry,
    object: ObjectId,
    owner: NodeId,
    request: Request,
    turn: &mut Turn<'_, D>,
) {
    recall(entry, object, owner, false, request, turn);
}

/// To all at once: the slowest answer is waited for, not their sum.
pub(crate) fn invalidate_copies<D>(
    entry: &mut Entry,
    object: ObjectId,
    spared: Option<NodeId>,
    end_of_life: bool,
    turn: &mut Turn<'_, D>,
) {
    let is_target = |node: &NodeId| Some(*node) != spared;
    let targets: Vec<NodeId> = entry
        .record
        .copies()
        .iter()
        .copied()
        .filter(is_target)
        .collect();
    for node in &targets {
        entry.record.count(Counted::Invalidation);
        let message = Outgoing::Invalidate {
            object,
            end_of_life,
        };
        turn.send(*node, message);
    }
    entry.await_from(&targets, Answer::Invalidated);
}

pub(crate) fn flushed<D>(object: ObjectId, sequence: u64, exclusive: bool) -> Outgoing<D> {
    Outgoing::Flushed {
        object,
        sequence,
        exclusive,
    }
}
