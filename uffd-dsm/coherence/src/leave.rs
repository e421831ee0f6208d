//! How copies go: recalled, invalidated, evicted, or with their home.
//!
//! The states and messages are in [`crate::cache`]'s table.

use alloc::vec::Vec;

use umbel_wire::{Access, NodeId, ObjectId};

use crate::cache::Cache;
use crate::copy::{Copy, CopyState};
use crate::effect::{Effect, Outgoing};
use crate::flush::{For, Waiter};
use crate::turn::{Resume, Turn};

impl Cache {
    /// Revoke, then flush, then copy, then answer: any other order loses stores.
    pub(crate) fn give_back<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        keep_read: bool,
        turn: &mut Turn<'_, D>,
    ) {
        let Some(copy) = self.copies.get_mut(&object) else {
            return;
        };
        if copy.is_weak() {
            return self.give_back_weak(home, object, keep_read, turn);
        }
        copy.state = CopyState::GivingBack { keep_read };
        turn.set_access(object, copy.state.rights());
        if turn.flushes.is_clean() {
            self.on_flush_done(home, object, turn);
        } else {
            turn.resume(object, Resume::GiveBack);
        }
    }

    /// Gives a copy back unasked; false if it is busy or there is none.
    pub(crate) fn evict<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        turn: &mut Turn<'_, D>,
    ) -> bool {
        use CopyState::*;
        let Some(copy) = self.copies.get_mut(&object) else {
            return false;
        };
        if copy.holds > 0 || turn.flushes.is_in_flight(object) {
            return false;
        }
        match copy.state {
            Shared | Resting => {
                turn.set_access(object, None);
                self.leave(home, object, None, turn);
            }
            Dirty => {
                turn.set_access(object, None);
                turn.resume(object, Resume::Leave);
            }
            Exclusive => {
                copy.state = Returning;
                turn.set_access(object, None);
                if copy.is_weak() || turn.flushes.is_clean() {
                    self.on_flush_done(home, object, turn);
                } else {
                    turn.resume(object, Resume::GiveBack);
                }
            }
            Invalid
            | FetchRead
            | FetchWrite
            | Upgrading
            | GivingBack { .. }
            | Returning
            | Leaving { .. } => return false,
        }
        true
    }

    /// Tells the home that the copy is gone.
    pub(crate) fn leave<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        diff: Option<(u64, D)>,
        turn: &mut Turn<'_, D>,
    ) {
        let (sequence, diff) = match diff {
            Some((sequence, diff)) => (sequence, Some(diff)),
            None => (turn.flushes.number(object, For::Home(home)), None),
        };
        if let Some(copy) = self.copies.get_mut(&object) {
            copy.state = CopyState::Leaving { was_owner: false };
        }
        let message = Outgoing::Flush {
            object,
            sequence,
            leave: true,
            diff,
        };
        turn.send(home, message);
    }

    /// Everything written here before the rights were taken is visible everywhere: the bytes may go.
    pub(crate) fn on_flush_done<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        turn: &mut Turn<'_, D>,
    ) {
        use CopyState::*;
        let Some(copy) = self.copies.get_mut(&object) else {
            return;
        };
        match copy.state {
            GivingBack { keep_read } => {
                let wanted = copy.wanted.take();
                self.forwarding.answer(home, object, keep_read, turn);
                copy.state = Shared;
                if !keep_read {
                    self.copies.remove(&object);
                    if let Some(access) = wanted {
                        self.ask(home, object, access, false, turn.out);
                    }
                } else if let Some(access) = wanted {
                    self.on_wanted(home, object, access, turn);
                }
            }
            Returning => {
                let sequence = turn.flushes.number(object, For::Home(home));
                copy.state = Leaving { was_owner: true };
                turn.send(home, Outgoing::Return { object, sequence });
            }
            Invalid
            | FetchRead
            | FetchWrite
            | Shared
            | Upgrading
            | Exclusive
            | Dirty
            | Resting
            | Leaving { .. } => {}
        }
    }

    /// A thread waited while its read copy was on its way back.
    fn on_wanted<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        access: Access,
        turn: &mut Turn<'_, D>,
    ) {
        let Some(copy) = self.copies.get_mut(&object) else {
            return;
        };
        match access {
            Access::Read => turn.show(object, Some(Access::Read)),
            Access::Write => {
                copy.state = CopyState::Upgrading;
                // Readers may have joined the writer in his wait.
                turn.show(object, Some(Access::Read));
                let message = Outgoing::Get {
                    object,
                    access,
                    prefetch: false,
                };
                turn.send(home, message);
            }
        }
    }

    /// The home has answered that it knows of what left.
    pub(crate) fn on_left<D>(&mut self, home: NodeId, object: ObjectId, turn: &mut Turn<'_, D>) {
        if let Some(copy) = self.copies.remove(&object)
            && let Some(access) = copy.wanted
        {
            self.ask(home, object, access, false, turn.out);
        }
    }

    pub(crate) fn drop_copy<D>(&mut self, home: NodeId, object: ObjectId, turn: &mut Turn<'_, D>) {
        use CopyState::*;
        let copy = self
            .copies
            .remove(&object)
            .expect("callers drop copies only where there is one");
        turn.set_access(object, None);
        turn.end_writing(object);
        turn.send(home, Outgoing::Invalidated { object, diff: None });
        match copy.state {
            // Our Get(Write) is with the home, which will now answer it with bytes.
            Upgrading => {
                let fetching = Copy {
                    holds: copy.holds,
                    ..Copy::new(FetchWrite)
                };
                self.copies.insert(object, fetching);
            }
            Returning => {
                turn.flushes.cancel(Waiter::Copy(object));
                if let Some(access) = copy.wanted {
                    self.ask(home, object, access, false, turn.out);
                }
            }
            Shared | Exclusive | Dirty | Resting => {}
            Invalid | FetchRead | FetchWrite | GivingBack { .. } | Leaving { .. } => {
                unreachable!("callers drop copies only where there is one")
            }
        }
    }

    /// Forgets what the lost home was to answer or be answered; the copies stay readable. A weak one is the
    /// only one that anybody here can know of: it is flushed no more.
    pub(crate) fn on_home_lost<D>(
        &mut self,
        is_lost: impl Fn(ObjectId) -> bool,
        lost: &mut Vec<ObjectId>,
        turn: &mut Turn<'_, D>,
    ) {
        use CopyState::*;
        self.copies.retain(|object, copy| {
            if !is_lost(object) {
                return true;
            }
            copy.deferred = None;
            if turn.flushes.abandon(object) {
                turn.out.push(Effect::DropTwin { object });
            }
            turn.flushes.cancel(Waiter::Copy(object));
            let is_asked = copy.state.is_waiting() && !copy.is_prefetch;
            if copy.wanted.take().is_some() || is_asked {
                lost.push(object);
            }
            match copy.state {
                FetchRead
                | FetchWrite
                | Returning
                | Leaving { .. }
                | GivingBack { keep_read: false } => false,
                Upgrading | GivingBack { keep_read: true } => {
                    copy.state = Shared;
                    true
                }
                Shared | Dirty | Resting if copy.is_weak() => {
                    copy.state = Exclusive;
                    true
                }
                Invalid | Shared | Exclusive | Dirty | Resting => true,
            }
        });
        for object in turn.flushes.under_way() {
            if is_lost(object) {
                turn.flushes.abandon(object);
            }
        }
    }
}
