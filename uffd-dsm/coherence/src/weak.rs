//! Copies of weak objects: written beside a twin, flushed to the home.
//!
//! States that [`crate::cache`]'s table lacks, and what it says otherwise of sequential objects.
//!
//! | state | rights | read fault | write fault | Update | Invalidate | Flushed | Flushed(exclusive) |
//! |---|---|---|---|---|---|---|---|
//! | Invalid | none | as there | as there | V | V | note | V |
//! | FetchRead, FetchWrite | none | wait | wait | postpone | postpone | note | V |
//! | Shared | Read | show | twin, show Write, to Dirty | merge, count | drop, to Invalid | note | to Exclusive |
//! | Dirty | Write | show | show | merge | take rights, hand over, to Invalid | note, flush again | drop twin, to Exclusive |
//! | Resting | none | show, to Shared | twin, show Write, to Dirty | merge, count; or leave | drop, to Invalid | note | to Exclusive |
//! | Exclusive | Write | show | show | V | end of life: drop | note | V |
//! | Leaving | none | remember | remember | Updated(leave) | Invalidated | of what left: to Invalid, ask for what is remembered; else note | V |
//!
//! FetchWrite accepts Grant(Read)+bytes: store, twin, show Write, to Dirty. A copy whose writes the kernel
//! tracks is Dirty as soon as it would be Shared, and
//! a flush looks only at those that [`crate::Memory::written`] names.
//!
//! *note*: the flush of that number is no longer under way; Flushed of any other number is V. *flush again*: if
//! a flush was asked for meanwhile, the next diff goes. *hand over*: when the rights are taken
//! ([`crate::Effect::Resume`]), the last diff goes with Invalidated. *count*: after
//! [`crate::limits::UNUSED_UPDATES_MAX`] updates without a local fault the rights are taken, to Resting; after
//! [`crate::limits::RESTING_UPDATES_MAX`] more the copy leaves: Flush(leave), Updated(leave), to Leaving. Further updates
//! may be on their way, and are answered in the same way.
//!
//! Flushed may come late, behind a forwarded grant: a copy handed over its last diff, went, and was granted anew.
//!
//! A copy whose rights are being taken (a Resume is under way) is still Dirty, and a flush that comes before the Resume
//! looks at it, too: its diff goes, but its rights stay as they are.
//!
//! Recall leaves a read copy (Shared), or none if the object is migratory.

use umbel_wire::{Access, NodeId, ObjectId};

use crate::cache::{Cache, Refusal};
use crate::copy::CopyState;
use crate::effect::{Effect, Outgoing};
use crate::flush::{For, Taken};
use crate::limits::{RESTING_UPDATES_MAX, UNUSED_UPDATES_MAX};
use crate::turn::{Resume, Turn};

impl Cache {
    /// A thread uses a weak copy whose rights are too low for it.
    pub(crate) fn use_weak_copy<D>(
        &mut self,
        object: ObjectId,
        access: Access,
        turn: &mut Turn<'_, D>,
    ) {
        let Some(copy) = self.copies.get_mut(&object) else {
            return;
        };
        copy.unused = 0;
        copy.state = match access {
            Access::Read => CopyState::Shared,
            Access::Write => CopyState::Dirty,
        };
        if access == Access::Write {
            turn.begin_writing(object);
        }
        turn.show(object, copy.state.rights());
    }

    /// Sends what was written to this copy.
    pub(crate) fn flush<D>(&mut self, home: NodeId, object: ObjectId, turn: &mut Turn<'_, D>) {
        let taken = turn.flushes.take(object, For::Home(home), turn.memory);
        self.send_flush(home, object, taken, turn);
    }

    fn send_flush<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        taken: Taken<D>,
        turn: &mut Turn<'_, D>,
    ) {
        match taken {
            Taken::Diff(sequence, diff) => {
                let message = Outgoing::Flush {
                    object,
                    sequence,
                    leave: false,
                    diff: Some(diff),
                };
                turn.send(home, message);
            }
            Taken::Nothing => {}
            // Its rights are being taken already, all of them perhaps: Read would be more than is left.
            Taken::Idle if turn.is_resuming(object) => {}
            Taken::Idle => {
                turn.set_access(object, Some(Access::Read));
                turn.resume(object, Resume::Clean);
            }
        }
    }

    /// The rights were lowered: what was written until then is the last.
    ///
    /// Unless something came between, as another flush, of what waits for the same turn: then all stays as it is, and the
    /// rights come back with the next store.
    pub(crate) fn on_cleaned<D>(&mut self, home: NodeId, object: ObjectId, turn: &mut Turn<'_, D>) {
        let is_in_flight = turn.flushes.is_in_flight(object);
        let copy = self.copies.get_mut(&object);
        let Some(copy) = copy.filter(|copy| copy.state == CopyState::Dirty && !is_in_flight) else {
            return;
        };
        copy.state = CopyState::Shared;
        let diff = turn.flushes.take_last(object, For::Home(home), turn.memory);
        if let Some((sequence, diff)) = diff {
            self.send_flush(home, object, Taken::Diff(sequence, diff), turn);
        }
        turn.out.push(Effect::DropTwin { object });
    }

    /// The rights were taken: the last diff answers the `Invalidate`.
    pub(crate) fn on_revoked<D>(&mut self, home: NodeId, object: ObjectId, turn: &mut Turn<'_, D>) {
        self.copies.remove(&object);
        let diff = turn.flushes.take_leaving(object, home, turn.memory);
        turn.send(home, Outgoing::Invalidated { object, diff });
        turn.out.push(Effect::DropTwin { object });
    }

    /// The rights were taken: the last diff leaves with the copy.
    pub(crate) fn on_evicted<D>(&mut self, home: NodeId, object: ObjectId, turn: &mut Turn<'_, D>) {
        let diff = turn.flushes.take_leaving(object, home, turn.memory);
        self.leave(home, object, diff, turn);
        turn.out.push(Effect::DropTwin { object });
    }

    /// A weak copy goes back at once: its bytes carry no order.
    pub(crate) fn give_back_weak<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        keep_read: bool,
        turn: &mut Turn<'_, D>,
    ) {
        if !keep_read {
            self.copies.remove(&object);
            turn.set_access(object, None);
        } else if turn.memory.tracks_writes(object) {
            // The twin is made before the bytes are read: what is written in between goes twice, not never.
            self.set_state(object, CopyState::Dirty);
            turn.begin_writing(object);
        } else {
            self.set_state(object, CopyState::Shared);
            turn.set_access(object, Some(Access::Read));
        }
        self.forwarding.answer(home, object, keep_read, turn);
    }

    pub(crate) fn on_update<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        diff: D,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), Refusal> {
        use CopyState::*;
        let mut leave = false;
        let Some(copy) = self.copies.get_mut(&object) else {
            return Err(Invalid.name());
        };
        match copy.state {
            Shared if !copy.is_weak() => return Err(copy.state.name()),
            Shared if !turn.flushes.is_unit(object) => {
                turn.out.push(Effect::Merge { object, diff });
                copy.unused += 1;
                if copy.unused >= UNUSED_UPDATES_MAX {
                    copy.unused = 0;
                    copy.state = Resting;
                    turn.set_access(object, None);
                }
            }
            Shared | Dirty => turn.out.push(Effect::Merge { object, diff }),
            Resting => {
                copy.unused += 1;
                if copy.unused >= RESTING_UPDATES_MAX {
                    self.leave(home, object, None, turn);
                    leave = true;
                } else {
                    turn.out.push(Effect::Merge { object, diff });
                }
            }
            // Sent before the home knew that the copy is gone.
            Leaving { was_owner: false } => leave = true,
            Invalid
            | FetchRead
            | FetchWrite
            | Upgrading
            | Exclusive
            | GivingBack { .. }
            | Returning
            | Leaving { was_owner: true } => return Err(copy.state.name()),
        }
        turn.send(home, Outgoing::Updated { object, leave });
        Ok(())
    }

    pub(crate) fn on_flushed<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        sequence: u64,
        exclusive: bool,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), Refusal> {
        use CopyState::*;
        let state = self.state(object);
        if !turn.flushes.is_under_way(object, sequence) {
            return Err(state.name());
        }
        match (state, exclusive) {
            (Leaving { .. }, false) if turn.flushes.is_last(object, sequence) => {
                turn.flushes.answered(object, sequence);
                self.on_left(home, object, turn);
            }
            (Shared | Dirty | Resting, true) if turn.flushes.is_in_flight(object) => {
                turn.flushes.answered(object, sequence);
                // Nobody else can read what was written since: it needs no flush.
                turn.end_writing(object);
                self.set_state(object, Exclusive);
            }
            (Shared | Dirty | Resting, false) => {
                turn.flushes.answered(object, sequence);
                if turn.flushes.is_due_again(object) {
                    let flushes = &mut *turn.flushes;
                    let taken = flushes.take_again(object, For::Home(home), turn.memory);
                    self.send_flush(home, object, taken, turn);
                }
            }
            // The copy went meanwhile; a forwarded grant of another may have come before this.
            (
                Invalid
                | FetchRead
                | FetchWrite
                | Upgrading
                | Exclusive
                | GivingBack { .. }
                | Returning
                | Leaving { .. },
                false,
            ) => {
                turn.flushes.answered(object, sequence);
            }
            (
                Invalid
                | FetchRead
                | FetchWrite
                | Shared
                | Upgrading
                | Exclusive
                | Dirty
                | Resting
                | GivingBack { .. }
                | Returning
                | Leaving { .. },
                true,
            ) => return Err(state.name()),
        }
        Ok(())
    }

    fn set_state(&mut self, object: ObjectId, state: CopyState) {
        if let Some(copy) = self.copies.get_mut(&object) {
            copy.state = state;
        }
    }
}
