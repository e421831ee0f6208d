//! The end of an object's life at its home, and of a node.
//!
//! | state | what `reclaim` does when no work is in progress |
//! |---|---|
//! | Unshared | nothing: answered at once |
//! | Home | the entry goes |
//! | Shared{c}, Owned(o) | Invalidate(end of life) to c or o, Reclaiming; the last Invalidated: the entry goes |
//!
//! When the entry goes, flushes that crossed the Invalidate are answered, the home's twin is dropped, and requests
//! that waited begin a new life.

use alloc::vec::Vec;
use core::ops::Range;

use umbel_wire::{NodeId, ObjectId, Token};

use crate::directory::{Directory, invalidate_copies};
use crate::effect::{Effect, Outgoing};
use crate::entry::{Answer, Awaited, Holding, Want};
use crate::record::Counted;
use crate::round::{answer_flush, become_alone_if_last, note_paid, take_flushes};
use crate::turn::Turn;

impl Directory {
    pub(crate) fn reclaim<D: Clone>(
        &mut self,
        objects: Range<ObjectId>,
        token: Token,
        turn: &mut Turn<'_, D>,
    ) {
        let known: Vec<ObjectId> = self.entries.keys_in(objects).collect();
        if known.is_empty() {
            turn.out.push(Effect::Reclaimed { token });
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
            self.advance(object, turn);
        }
    }

    pub(crate) fn begin_end_of_life<D: Clone>(&mut self, object: ObjectId, turn: &mut Turn<'_, D>) {
        let entry = self
            .entries
            .get_mut(&object)
            .expect("a reclaim is pending on this entry");
        match entry.holding {
            Holding::Home => self.end_life(object, turn),
            Holding::Shared => {
                entry.begin(Awaited::EndOfLife, None);
                invalidate_copies(entry, object, None, true, turn);
            }
            Holding::Owned(owner) => {
                entry.begin(Awaited::EndOfLife, None);
                entry.await_from(&[owner], Answer::Invalidated);
                entry.record.count(Counted::Invalidation);
                let message = Outgoing::Invalidate {
                    object,
                    end_of_life: true,
                };
                turn.send(owner, message);
            }
        }
    }

    /// Removes the entry. Who still waits used a pointer beyond the object's life: he gets what a new
    /// life gives him, so that no thread waits for ever.
    pub(crate) fn end_life<D: Clone>(&mut self, object: ObjectId, turn: &mut Turn<'_, D>) {
        let mut entry = self
            .entries
            .remove(&object)
            .expect("the caller found this entry");
        let token = entry.reclaim().expect("only a reclaim ends a life");
        for (node, sequence) in take_flushes(&mut entry, turn.flushes) {
            answer_flush(object, node, sequence, false, turn);
        }
        turn.end_writing(object);
        turn.out.push(Effect::Retire {
            object,
            counters: entry.record.counters(),
            mode: entry.mode,
        });
        let left = self
            .reclaims
            .get_mut(&token)
            .expect("this object is counted");
        *left -= 1;
        if *left == 0 {
            self.reclaims.remove(&token);
            turn.out.push(Effect::Reclaimed { token });
        }
        let queue = entry.update_pending(|pending| core::mem::take(&mut pending.queue));
        for request in queue {
            match request.want {
                Want::Access(access) if request.node == turn.node => {
                    self.on_fault(object, access, turn);
                }
                Want::Access(_) | Want::Operate(_) | Want::Strengthen(_) => {
                    self.ask(object, request, turn);
                }
            }
        }
    }

    /// Goes on without `node`; lists the objects whose newest bytes it had. Theirs at the home are older.
    pub(crate) fn on_node_lost<D: Clone>(
        &mut self,
        node: NodeId,
        turn: &mut Turn<'_, D>,
    ) -> Vec<ObjectId> {
        let known: Vec<ObjectId> = self.entries.keys().collect();
        let mut lost = Vec::new();
        for object in known {
            // A new life begun by an earlier object's end is still this object's entry.
            let Some(entry) = self.entries.get_mut(&object) else {
                continue;
            };
            if entry.is_busy() {
                entry.update_pending(|pending| {
                    pending.queue.retain(|request| request.node != node);
                    pending.due.retain(|(other, _)| *other != node);
                    pending.flushes.retain(|(other, _)| *other != node);
                    if let Some(work) = &mut pending.work {
                        work.request = work.request.take().filter(|request| request.node != node);
                    }
                });
                note_paid(entry, node, turn.node, turn.flushes);
            }
            entry.record.remove_copy(node);
            let was_owner = entry.holding == Holding::Owned(node);
            if was_owner {
                lost.push(object);
                entry.holding = Holding::Home;
            }
            let is_done = match entry.awaited() {
                Some(Awaited::Recalled { .. }) => was_owner,
                Some(
                    Awaited::Invalidated { .. }
                    | Awaited::Round
                    | Awaited::Withdrawn
                    | Awaited::EndOfLife,
                ) => !entry.is_anything_due(),
                Some(Awaited::Flush | Awaited::Operated | Awaited::Reply { .. }) => false,
                None => {
                    become_alone_if_last(entry, object, turn);
                    false
                }
            };
            if is_done {
                self.finish(object, turn);
            } else {
                self.advance(object, turn);
            }
        }
        lost
    }
}
