//! The cache side: this node's copies of objects whose homes are elsewhere.
//!
//! What follows is for sequential objects, and for what weak ones have in common with them; [`crate::weak`]
//! has the rest. *V*: a violation. *show*: `SetAccess` to the state's rights and `Wake`.
//!
//! | state | rights | read fault | write fault | Grant(Read)+bytes | Grant(Write)+bytes | Grant(Write) | Recall | Invalidate |
//! |---|---|---|---|---|---|---|---|---|
//! | Invalid | none | Get(Read), to FetchRead | Get(Write), to FetchWrite | V | V | V | V | V |
//! | FetchRead | none | wait | wait | store, show, to Shared | migratory: store, show, to Exclusive; else V | V | V | V |
//! | FetchWrite | none | wait | wait | V | store, show, to Exclusive | V | V | V |
//! | Shared | Read | show | Get(Write), to Upgrading | V | V | V | V | drop, to Invalid |
//! | Upgrading | Read | show | wait | V | V | show, to Exclusive | V | drop, to FetchWrite |
//! | Exclusive | Write | show | show | V | V | V | give back, to Shared or Invalid | end of life: drop, to Invalid; else V |
//! | GivingBack(keep_read) | Read | show | remember | V | V | V | V | V |
//! | GivingBack | none | remember | remember | V | V | V | V | V |
//! | Returning | none | remember | remember | V | V | V | to GivingBack | end of life: drop; else V |
//! | Leaving | none | remember | remember | V | V | V | was owner: nothing; else V | Invalidated |
//!
//! Recall and Invalidate in FetchRead and FetchWrite are V only without [`crate::Config::forwards`]: see [`crate::forward`].
//!
//! *drop*: `SetAccess`, then Invalidated. *give back*: `SetAccess`, then Recalled with the bytes (and before it the Grant that is forwarded), at once if
//! the node is clean; else the copy is GivingBack until a flush that began after `SetAccess` is answered. What
//! was remembered is asked for when the copy is gone. Grant(Read) without bytes is always V.
//!
//! Leaving ends with Flushed. What the home sent before it knew comes first: an Invalidate is answered, for the
//! home awaits that; a Recall is not, for the home takes the Return in its place.
//!
//! A write fault in FetchRead waits for the read grant, which wakes every thread; the writer faults
//! again. That costs the messages that remembering it would: a Get once sent cannot be raised.
//!
//! *Prefetch.* FetchRead and FetchWrite of a prefetch accept Deny, too; all others refuse it. A fault is
//! remembered: a grant then wakes and holds as any; after Deny the thread's own Get goes out.

use alloc::vec::Vec;

use umbel_wire::{Access, Consistency, Forward, Mode, NodeId, ObjectId, Protocol};

use crate::copy::{Copy, CopyState, Deferred};
use crate::effect::{Effect, Outgoing};
use crate::forward::{Forwarding, NOT_TO_BE_FORWARDED};
use crate::table::Table;
use crate::turn::{Resume, Turn};

/// The state a message found, where it cannot be accepted.
pub(crate) type Refusal = &'static str;

pub(crate) const AWAITS_HOLD: Refusal = "answering an earlier message after its hold";

/// This node's copies of objects whose homes are elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Cache {
    pub(crate) copies: Table<Copy>,
    pub(crate) forwarding: Forwarding,
}

impl Cache {
    pub(crate) fn state(&self, object: ObjectId) -> CopyState {
        self.copies
            .get(&object)
            .map_or(CopyState::Invalid, |copy| copy.state)
    }

    pub(crate) fn len(&self) -> usize {
        self.copies.len()
    }

    /// Whether the copy, if any, was granted as that of a sequential object.
    pub(crate) fn is_known_sequential(&self, object: ObjectId) -> bool {
        self.copies.get(&object).is_some_and(|copy| {
            let has_mode = match copy.state {
                CopyState::Shared
                | CopyState::Upgrading
                | CopyState::Exclusive
                | CopyState::GivingBack { .. }
                | CopyState::Returning => true,
                CopyState::Invalid
                | CopyState::FetchRead
                | CopyState::FetchWrite
                | CopyState::Dirty
                | CopyState::Resting
                | CopyState::Leaving { .. } => false,
            };
            has_mode && !copy.is_weak()
        })
    }

    pub(crate) fn on_fault<D: Clone>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        access: Access,
        turn: &mut Turn<'_, D>,
    ) {
        use CopyState::*;
        let Some(copy) = self.copies.get_mut(&object) else {
            return self.ask(home, object, access, false, turn.out);
        };
        match (copy.state, access) {
            (Invalid, Access::Read | Access::Write) => {
                unreachable!("there is no record of an Invalid copy")
            }
            (Shared, Access::Write) if !copy.is_weak() => {
                copy.state = Upgrading;
                let message = Outgoing::Get {
                    object,
                    access,
                    prefetch: false,
                };
                turn.send(home, message);
            }
            (Shared | Resting, Access::Write) | (Resting, Access::Read) => {
                self.use_weak_copy(object, access, turn);
            }
            // Already asked; the grant wakes every thread, and a writer woken by a read grant faults
            // again. Remembering it would need the same messages: a Get once sent cannot be raised.
            (FetchRead | FetchWrite, Access::Read | Access::Write) => {
                if copy.is_prefetch {
                    copy.want(access);
                }
            }
            (Upgrading, Access::Write) => {}
            // Its Get goes out when the home has the bytes, or has said that it knows.
            (GivingBack { keep_read: true }, Access::Write)
            | (
                GivingBack { keep_read: false } | Returning | Leaving { .. },
                Access::Read | Access::Write,
            ) => copy.want(access),
            // A stale or duplicate fault: expose what there is.
            (Shared | Upgrading | GivingBack { keep_read: true }, Access::Read)
            | (Exclusive | Dirty, Access::Read | Access::Write) => {
                copy.unused = 0;
                turn.show(object, copy.state.rights());
            }
        }
    }

    /// Fetches before a thread wants it; false if something is there or asked for.
    pub(crate) fn prefetch<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        access: Access,
        out: &mut Vec<Effect<D>>,
    ) -> bool {
        if self.copies.contains_key(&object) {
            return false;
        }
        self.ask(home, object, access, true, out);
        true
    }

    pub(crate) fn ask<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        access: Access,
        prefetch: bool,
        out: &mut Vec<Effect<D>>,
    ) {
        let mut copy = Copy::new(match access {
            Access::Read => CopyState::FetchRead,
            Access::Write => CopyState::FetchWrite,
        });
        copy.is_prefetch = prefetch;
        self.copies.insert(object, copy);
        out.push(Effect::Send {
            to: home,
            message: Outgoing::Get {
                object,
                access,
                prefetch,
            },
        });
    }

    pub(crate) fn on_grant<D: Clone>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        access: Access,
        mode: Mode,
        data: Option<D>,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), Refusal> {
        use CopyState::*;
        let Some(copy) = self.copies.get_mut(&object) else {
            return Err(Invalid.name());
        };
        if copy.deferred.is_some() {
            // The home awaits our answer before it grants anybody anything.
            return Err(AWAITS_HOLD);
        }
        let is_weak = mode.consistency == Consistency::Weak;
        let (next, data) = match (copy.state, access, data) {
            (FetchRead, Access::Read, Some(data)) => (Shared, Some(data)),
            (FetchRead, Access::Write, Some(data))
                if mode.protocol == Protocol::Migratory || turn.memory.reads_alone(object) =>
            {
                (Exclusive, Some(data))
            }
            (FetchWrite, Access::Write, Some(data)) => (Exclusive, Some(data)),
            // Others have copies: this one is written beside its twin.
            (FetchWrite, Access::Read, Some(data)) if is_weak => (Dirty, Some(data)),
            // Sound without bytes: the home listed us when it sent this, so it had not sent an
            // Invalidate that we have not answered; the link keeps order, so our copy is that one.
            (Upgrading, Access::Write, None) if !is_weak => (Exclusive, None),
            // Had we lost the copy, we would be FetchWrite: the home and we disagree.
            (Upgrading, Access::Write, Some(_) | None)
            | (Upgrading, Access::Read, Some(_) | None)
            | (FetchRead, Access::Read, None)
            | (FetchRead, Access::Write, Some(_) | None)
            | (FetchWrite, Access::Write, None)
            | (FetchWrite, Access::Read, Some(_) | None)
            | (
                Invalid
                | Shared
                | Exclusive
                | Dirty
                | Resting
                | GivingBack { .. }
                | Returning
                | Leaving { .. },
                Access::Read | Access::Write,
                Some(_) | None,
            ) => return Err(copy.state.name()),
        };
        copy.mode = mode;
        if is_weak && access == Access::Read && self.forwarding.has_postponed(object) {
            self.leave_unseen(home, object, turn);
            return Ok(());
        }
        copy.state = next;
        copy.unused = 0;
        let nobody_waits = copy.is_prefetch && copy.wanted.is_none();
        copy.is_prefetch = false;
        copy.wanted = None;
        if let Some(data) = data {
            turn.out.push(Effect::Store { object, data });
        }
        if is_weak && next == Shared && turn.memory.tracks_writes(object) {
            copy.state = Dirty;
        }
        if copy.state == Dirty {
            turn.begin_writing(object);
        }
        turn.set_access(object, copy.state.rights());
        self.forwarding.take_up(object, turn);
        if nobody_waits {
            return Ok(());
        }
        turn.out.push(Effect::Wake { object });
        // What many may have is not worth holding: a weak copy goes only when somebody has flushed.
        let is_held = match copy.state {
            Exclusive => true,
            Shared => !is_weak && mode.protocol != Protocol::ReadOnly,
            Dirty
            | Invalid
            | FetchRead
            | FetchWrite
            | Upgrading
            | Resting
            | GivingBack { .. }
            | Returning
            | Leaving { .. } => false,
        };
        if is_held && turn.minimum_hold {
            copy.holds = copy.holds.saturating_add(1);
            turn.out.push(Effect::Hold { object });
        }
        Ok(())
    }

    /// A prefetch was refused.
    pub(crate) fn on_deny<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), Refusal> {
        let Some(copy) = self.copies.get(&object) else {
            return Err(CopyState::Invalid.name());
        };
        if !copy.is_prefetch {
            return Err(copy.state.name());
        }
        self.forwarding.check_grant(true, object)?;
        let wanted = copy.wanted;
        self.copies.remove(&object);
        if let Some(access) = wanted {
            self.ask(home, object, access, false, turn.out);
        }
        Ok(())
    }

    pub(crate) fn on_recall<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        keep_read: bool,
        forward: Option<Forward>,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), Refusal> {
        use CopyState::*;
        let Some(copy) = self.copies.get_mut(&object) else {
            return Err(Invalid.name());
        };
        if forward.is_some_and(|forward| !turn.forwards || forward.node == turn.node) {
            return Err(NOT_TO_BE_FORWARDED);
        }
        match (copy.state, copy.deferred) {
            (Exclusive, None) if copy.holds > 0 => {
                copy.deferred = Some(Deferred::Recall { keep_read });
                self.forwarding.note(object, forward);
            }
            (Exclusive, None) => {
                self.forwarding.note(object, forward);
                self.give_back(home, object, keep_read, turn);
            }
            (Exclusive, Some(Deferred::Recall { .. } | Deferred::Invalidate)) => {
                return Err(AWAITS_HOLD);
            }
            // The bytes wait for a flush already: they go as the answer.
            (Returning, _) => {
                copy.state = GivingBack { keep_read };
                self.forwarding.note(object, forward);
            }
            // They are on their way.
            (Leaving { was_owner: true }, _) => {}
            (
                Invalid
                | FetchRead
                | FetchWrite
                | Shared
                | Upgrading
                | Dirty
                | Resting
                | GivingBack { .. }
                | Leaving { was_owner: false },
                _,
            ) => return Err(copy.state.name()),
        }
        Ok(())
    }

    pub(crate) fn on_invalidate<D: Clone>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        end_of_life: bool,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), Refusal> {
        use CopyState::*;
        let Some(copy) = self.copies.get_mut(&object) else {
            return Err(Invalid.name());
        };
        if copy.deferred.is_some() {
            return Err(AWAITS_HOLD);
        }
        match (copy.state, end_of_life) {
            // Nothing is left to hold for, nor to hand over.
            (Shared | Upgrading | Exclusive | Dirty | Resting | Returning, true) => {
                self.drop_copy(home, object, turn);
            }
            // A weak copy goes at once, whatever an earlier life left: what follows may be news of this.
            (Shared | Upgrading, false) if copy.holds > 0 && !copy.is_weak() => {
                copy.deferred = Some(Deferred::Invalidate);
            }
            (Shared | Upgrading | Resting, false) => self.drop_copy(home, object, turn),
            (Dirty, false) => {
                turn.set_access(object, None);
                turn.resume(object, Resume::Invalidate);
            }
            (Leaving { was_owner: false }, true | false) | (Leaving { was_owner: true }, true) => {
                turn.send(home, Outgoing::Invalidated { object, diff: None });
            }
            (Exclusive | Returning | Leaving { was_owner: true }, false)
            | (Invalid | FetchRead | FetchWrite | GivingBack { .. }, true | false) => {
                return Err(copy.state.name());
            }
        }
        Ok(())
    }

    pub(crate) fn awaits_hold(&self, object: ObjectId) -> bool {
        self.copies
            .get(&object)
            .is_some_and(|copy| copy.deferred.is_some())
    }

    /// Ignores a hold whose copy is gone.
    pub(crate) fn on_hold_expired<D: Clone>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        turn: &mut Turn<'_, D>,
    ) {
        let Some(copy) = self.copies.get_mut(&object) else {
            return;
        };
        copy.holds = copy.holds.saturating_sub(1);
        if copy.holds > 0 {
            return;
        }
        match copy.deferred.take() {
            Some(Deferred::Recall { keep_read }) => self.give_back(home, object, keep_read, turn),
            Some(Deferred::Invalidate) => self.drop_copy(home, object, turn),
            None => {}
        }
    }
}
