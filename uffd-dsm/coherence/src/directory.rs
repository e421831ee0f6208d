//! The home side: directory entries of the objects whose home this node is.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use umbel_wire::{Access, Consistency, Mode, NodeId, ObjectId, Protocol, Token};

use crate::effect::{Effect, Outgoing};
use crate::entry::{Awaited, Counters, Entry, Holding, Request};

/// The mode of every object.
const SEQUENTIAL: Mode = Mode {
    consistency: Consistency::Sequential,
    protocol: Protocol::Invalidate,
};

/// The state a message found, where it cannot be accepted.
type Refusal = &'static str;

const UNSHARED: Refusal = "Unshared";
const ALREADY_ASKED: Refusal = "already asked for by that node";

/// Entries of the objects this node is home to. An object without one is the home's alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Directory {
    node: NodeId,
    minimum_hold: bool,
    entries: BTreeMap<ObjectId, Entry>,
    /// Objects still shared, per `reclaim` in progress.
    reclaims: BTreeMap<Token, usize>,
}

impl Directory {
    pub(crate) fn new(node: NodeId, minimum_hold: bool) -> Self {
        Self {
            node,
            minimum_hold,
            entries: BTreeMap::new(),
            reclaims: BTreeMap::new(),
        }
    }

    pub(crate) fn entry(&self, object: ObjectId) -> Option<&Entry> {
        self.entries.get(&object)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (ObjectId, &Entry)> {
        self.entries.iter().map(|(object, entry)| (*object, entry))
    }

    pub(crate) fn reset_counters(&mut self) {
        for entry in self.entries.values_mut() {
            entry.counters = Counters::default();
        }
    }

    pub(crate) fn has_entries(&self, objects: Range<ObjectId>) -> bool {
        self.entries.range(objects).next().is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn on_fault<D>(
        &mut self,
        object: ObjectId,
        access: Access,
        out: &mut Vec<Effect<D>>,
    ) {
        let node = self.node;
        let Some(entry) = self.entries.get_mut(&object) else {
            // Never shared: the home's stack faults in this way all the time, and leaves no entry.
            out.push(Effect::SetAccess {
                object,
                access: Some(Access::Write),
            });
            out.push(Effect::Wake { object });
            return;
        };
        if entry.home_rights() >= Some(access) {
            entry.counters.count_request(access);
            expose_at_home(entry, object, out);
            return;
        }
        if entry.has_request_of(node) {
            // The grant wakes every thread. A request still in the queue is raised: that spares one.
            entry.update_pending(|pending| {
                if let Some(request) = pending
                    .queue
                    .iter_mut()
                    .find(|request| request.node == node)
                {
                    request.access = request.access.max(access);
                }
            });
            return;
        }
        entry.update_pending(|pending| pending.queue.push_back(Request { node, access }));
        self.advance(object, out);
    }

    pub(crate) fn on_get<D>(
        &mut self,
        from: NodeId,
        object: ObjectId,
        access: Access,
        out: &mut Vec<Effect<D>>,
    ) -> Result<(), Refusal> {
        if let Some(entry) = self.entries.get(&object) {
            if entry.has_request_of(from) {
                return Err(ALREADY_ASKED);
            }
            let is_reader = entry.copyset.contains(from);
            match (entry.holding, access) {
                // An owner has all rights, and answers a Recall before it asks again.
                (Holding::Owned(owner), Access::Read | Access::Write) if owner == from => {
                    return Err(entry.state_name());
                }
                // A reader can read, and answers an Invalidate before it asks again.
                (Holding::Shared, Access::Read) if is_reader => return Err(entry.state_name()),
                (
                    Holding::Home | Holding::Shared | Holding::Owned(_),
                    Access::Read | Access::Write,
                ) => {}
            }
        }
        let entry = self.entries.entry(object).or_insert_with(Entry::new);
        entry.update_pending(|pending| pending.queue.push_back(Request { node: from, access }));
        self.advance(object, out);
        Ok(())
    }

    pub(crate) fn on_recalled<D>(
        &mut self,
        from: NodeId,
        object: ObjectId,
        data: D,
        out: &mut Vec<Effect<D>>,
    ) -> Result<(), Refusal> {
        let entry = self.entries.get_mut(&object).ok_or(UNSHARED)?;
        let awaited = entry.work().map(|work| work.awaited);
        match (awaited, entry.holding) {
            (Some(Awaited::Recalled { keep_read }), Holding::Owned(owner)) if owner == from => {
                out.push(Effect::Store { object, data });
                entry.holding = Holding::Home;
                if keep_read {
                    entry.holding = Holding::Shared;
                    entry.copyset.insert(owner);
                }
                self.finish(object, out);
                Ok(())
            }
            (
                Some(Awaited::Recalled { .. } | Awaited::Invalidated { .. } | Awaited::EndOfLife)
                | None,
                Holding::Home | Holding::Shared | Holding::Owned(_),
            ) => Err(entry.state_name()),
        }
    }

    pub(crate) fn on_invalidated<D>(
        &mut self,
        from: NodeId,
        object: ObjectId,
        out: &mut Vec<Effect<D>>,
    ) -> Result<(), Refusal> {
        let entry = self.entries.get_mut(&object).ok_or(UNSHARED)?;
        let awaited = entry.work().map(|work| work.awaited);
        match (awaited, entry.holding) {
            (Some(Awaited::Invalidated { .. } | Awaited::EndOfLife), Holding::Shared) => {
                if !entry.copyset.remove(from) {
                    return Err(entry.state_name());
                }
                if entry.copyset.is_empty() {
                    entry.holding = Holding::Home;
                }
            }
            (Some(Awaited::EndOfLife), Holding::Owned(owner)) if owner == from => {
                entry.holding = Holding::Home
            }
            (
                Some(Awaited::Recalled { .. } | Awaited::Invalidated { .. } | Awaited::EndOfLife)
                | None,
                Holding::Home | Holding::Shared | Holding::Owned(_),
            ) => return Err(entry.state_name()),
        }
        if entry.holding == Holding::Home {
            self.finish(object, out);
        }
        Ok(())
    }

    pub(crate) fn awaits_hold(&self, object: ObjectId) -> bool {
        let entry = self.entries.get(&object);
        entry.is_some_and(|entry| {
            entry.work().is_none()
                && entry.front().is_some_and(|request| {
                    request.node != self.node && entry.is_held_against(request)
                })
        })
    }

    /// Ignores a hold whose entry is gone.
    pub(crate) fn on_hold_expired<D>(&mut self, object: ObjectId, out: &mut Vec<Effect<D>>) {
        let Some(entry) = self.entries.get_mut(&object) else {
            return;
        };
        entry.holds = entry.holds.saturating_sub(1);
        self.advance(object, out);
    }

    pub(crate) fn reclaim<D>(
        &mut self,
        objects: Range<ObjectId>,
        token: Token,
        out: &mut Vec<Effect<D>>,
    ) {
        let known: Vec<ObjectId> = self
            .entries
            .range(objects)
            .map(|(object, _)| *object)
            .collect();
        if known.is_empty() {
            out.push(Effect::Reclaimed { token });
            return;
        }
        let earlier = self.reclaims.insert(token, known.len());
        assert!(earlier.is_none(), "reclaim token {} is in use", token.0);
        for object in known {
            let entry = self
                .entries
                .get_mut(&object)
                .expect("only its own end of life removes an entry");
            let earlier = entry.update_pending(|pending| pending.reclaim.replace(token));
            assert!(
                earlier.is_none(),
                "object {:#x} is being reclaimed",
                object.0
            );
            self.advance(object, out);
        }
    }

    /// Goes on without `node`; lists the objects whose newest bytes it had. Theirs at the home are older.
    pub(crate) fn on_node_lost<D>(
        &mut self,
        node: NodeId,
        out: &mut Vec<Effect<D>>,
    ) -> Vec<ObjectId> {
        let known: Vec<ObjectId> = self.entries.keys().copied().collect();
        let mut lost = Vec::new();
        for object in known {
            // A new life begun by an earlier object's end is still this object's entry.
            let Some(entry) = self.entries.get_mut(&object) else {
                continue;
            };
            entry.update_pending(|pending| {
                pending.queue.retain(|request| request.node != node);
                if let Some(work) = &mut pending.work {
                    work.request = work.request.filter(|request| request.node != node);
                }
            });
            match entry.holding {
                Holding::Owned(owner) if owner == node => {
                    lost.push(object);
                    entry.holding = Holding::Home;
                }
                Holding::Shared => {
                    entry.copyset.remove(node);
                    if entry.copyset.is_empty() {
                        entry.holding = Holding::Home;
                    }
                }
                Holding::Home | Holding::Owned(_) => {}
            }
            if entry.holding == Holding::Home && entry.work().is_some() {
                self.finish(object, out);
            } else {
                self.advance(object, out);
            }
        }
        lost
    }

    /// Everything awaited has come: grants the request it was for, then goes on.
    fn finish<D>(&mut self, object: ObjectId, out: &mut Vec<Effect<D>>) {
        let entry = self
            .entries
            .get_mut(&object)
            .expect("work is in progress on this entry");
        let work = entry
            .update_pending(|pending| pending.work.take())
            .expect("work is in progress");
        match (work.awaited, work.request) {
            (Awaited::EndOfLife, _) => return self.end_life(object, out),
            (Awaited::Recalled { .. }, Some(request)) => self.grant(object, request, true, out),
            (Awaited::Invalidated { is_upgrade }, Some(request)) => {
                self.grant(object, request, !is_upgrade, out)
            }
            (Awaited::Recalled { .. } | Awaited::Invalidated { .. }, None) => {}
        }
        self.advance(object, out);
    }

    /// Serves what waits, in order, until something must be awaited.
    fn advance<D>(&mut self, object: ObjectId, out: &mut Vec<Effect<D>>) {
        while let Some(entry) = self.entries.get_mut(&object) {
            if entry.work().is_some() {
                return;
            }
            if entry.reclaim().is_some() {
                return self.begin_end_of_life(object, out);
            }
            let Some(request) = entry.front() else { return };
            if request.node != self.node && entry.is_held_against(request) {
                return;
            }
            entry.update_pending(|pending| pending.queue.pop_front());
            self.start(object, request, out);
        }
    }

    /// Grants `request`, or asks for what it needs first.
    fn start<D>(&mut self, object: ObjectId, request: Request, out: &mut Vec<Effect<D>>) {
        let entry = self
            .entries
            .get_mut(&object)
            .expect("the request is for this entry");
        match (entry.holding, request.access) {
            (Holding::Home, Access::Read | Access::Write) | (Holding::Shared, Access::Read) => {
                self.grant(object, request, true, out);
            }
            (Holding::Shared, Access::Write) => {
                // Listed now means current now: see "Upgrades" in the specification.
                let is_upgrade = entry.copyset.remove(request.node);
                if entry.copyset.is_empty() {
                    entry.holding = Holding::Home;
                    return self.grant(object, request, !is_upgrade, out);
                }
                entry.begin(Awaited::Invalidated { is_upgrade }, Some(request));
                invalidate_readers(entry, object, false, out);
            }
            (Holding::Owned(owner), Access::Read | Access::Write) => {
                let keep_read = request.access == Access::Read;
                entry.begin(Awaited::Recalled { keep_read }, Some(request));
                entry.counters.recalls = entry.counters.recalls.saturating_add(1);
                out.push(Effect::Send {
                    to: owner,
                    message: Outgoing::Recall { object, keep_read },
                });
            }
        }
    }

    /// Gives `request` its rights; the holding is `Home`, or `Shared` if it wants to read.
    fn grant<D>(
        &mut self,
        object: ObjectId,
        request: Request,
        with_data: bool,
        out: &mut Vec<Effect<D>>,
    ) {
        let entry = self
            .entries
            .get_mut(&object)
            .expect("the request is for this entry");
        entry.counters.count_request(request.access);
        if request.node == self.node {
            expose_at_home(entry, object, out);
            if self.minimum_hold {
                entry.holds = entry.holds.saturating_add(1);
                out.push(Effect::Hold { object });
            }
            return;
        }
        // Revoke, then copy, then answer: any other order loses stores.
        match request.access {
            Access::Read => {
                limit_view(entry, object, Some(Access::Read), out);
                entry.holding = Holding::Shared;
                entry.copyset.insert(request.node);
            }
            Access::Write => {
                limit_view(entry, object, None, out);
                entry.holding = Holding::Owned(request.node);
            }
        }
        if with_data {
            entry.counters.grants_with_data = entry.counters.grants_with_data.saturating_add(1);
        }
        let message = Outgoing::Grant {
            object,
            access: request.access,
            mode: SEQUENTIAL,
            with_data,
        };
        out.push(Effect::Send {
            to: request.node,
            message,
        });
    }

    fn begin_end_of_life<D>(&mut self, object: ObjectId, out: &mut Vec<Effect<D>>) {
        let entry = self
            .entries
            .get_mut(&object)
            .expect("a reclaim is pending on this entry");
        match entry.holding {
            Holding::Home => self.end_life(object, out),
            Holding::Shared => {
                entry.begin(Awaited::EndOfLife, None);
                invalidate_readers(entry, object, true, out);
            }
            Holding::Owned(owner) => {
                entry.begin(Awaited::EndOfLife, None);
                entry.counters.invalidations = entry.counters.invalidations.saturating_add(1);
                out.push(Effect::Send {
                    to: owner,
                    message: Outgoing::Invalidate {
                        object,
                        end_of_life: true,
                    },
                });
            }
        }
    }

    /// Removes the entry. Who still waits used a pointer beyond the object's life: he gets what a new
    /// life gives him, so that no thread waits for ever.
    fn end_life<D>(&mut self, object: ObjectId, out: &mut Vec<Effect<D>>) {
        let mut entry = self
            .entries
            .remove(&object)
            .expect("the caller found this entry");
        let token = entry.reclaim().expect("only a reclaim ends a life");
        out.push(Effect::Retire {
            object,
            counters: entry.counters,
            mode: SEQUENTIAL,
        });
        let left = self
            .reclaims
            .get_mut(&token)
            .expect("this object is counted");
        *left -= 1;
        if *left == 0 {
            self.reclaims.remove(&token);
            out.push(Effect::Reclaimed { token });
        }
        for request in entry.take_queue() {
            if request.node == self.node {
                self.on_fault(object, request.access, out);
            } else {
                self.on_get(request.node, object, request.access, out)
                    .expect("one request per node was queued");
            }
        }
    }
}

/// Gives the home's threads all they may have, and wakes them.
fn expose_at_home<D>(entry: &mut Entry, object: ObjectId, out: &mut Vec<Effect<D>>) {
    entry.view = entry.home_rights();
    out.push(Effect::SetAccess {
        object,
        access: entry.view,
    });
    out.push(Effect::Wake { object });
}

/// Takes from the home's threads what is above `rights`.
fn limit_view<D>(
    entry: &mut Entry,
    object: ObjectId,
    rights: Option<Access>,
    out: &mut Vec<Effect<D>>,
) {
    if entry.view > rights {
        entry.view = rights;
        out.push(Effect::SetAccess {
            object,
            access: rights,
        });
    }
}

/// To all at once: the slowest answer is waited for, not their sum.
fn invalidate_readers<D>(
    entry: &mut Entry,
    object: ObjectId,
    end_of_life: bool,
    out: &mut Vec<Effect<D>>,
) {
    for reader in entry.copyset.iter() {
        entry.counters.invalidations = entry.counters.invalidations.saturating_add(1);
        out.push(Effect::Send {
            to: reader,
            message: Outgoing::Invalidate {
                object,
                end_of_life,
            },
        });
    }
}
