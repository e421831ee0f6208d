//! Mutex: one holder, the others in order.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use umbel_wire::{NodeId, ThreadId};

use super::errno::{EAGAIN, EBUSY, EDEADLK, EOWNERDEAD, EPERM};
use super::{Errno, Outcome, SyncEffect, Waiter};
use crate::limits;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Holder {
    thread: ThreadId,
    node: NodeId,
}

/// Invariant: threads wait only while it is held.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Mutex {
    holder: Option<Holder>,
    waiters: VecDeque<Waiter>,
    /// Condition waiters who will come back for it.
    promised: usize,
}

impl Mutex {
    pub(super) fn is_busy(&self) -> bool {
        self.holder.is_some() || self.is_promised()
    }

    pub(super) fn is_promised(&self) -> bool {
        self.promised > 0
    }

    pub(super) fn is_held_by(&self, thread: ThreadId) -> bool {
        self.holder.is_some_and(|holder| holder.thread == thread)
    }

    pub(super) fn lock(&mut self, caller: Waiter) -> Result<Outcome, Errno> {
        if self.is_held_by(caller.thread) {
            return Err(EDEADLK);
        }
        if self.holder.is_some() {
            if self.waiters.len() >= limits::WAITERS_PER_OBJECT_MAX {
                return Err(EAGAIN);
            }
            self.waiters.push_back(caller);
            return Ok(Outcome::Waits);
        }
        self.take(caller);
        Ok(Outcome::Done(0))
    }

    pub(super) fn try_lock(&mut self, caller: Waiter) -> Result<Outcome, Errno> {
        if self.holder.is_some() {
            return Err(EBUSY);
        }
        self.take(caller);
        Ok(Outcome::Done(0))
    }

    pub(super) fn unlock(
        &mut self,
        thread: ThreadId,
        out: &mut Vec<SyncEffect>,
    ) -> Result<Outcome, Errno> {
        if !self.is_held_by(thread) {
            return Err(EPERM);
        }
        self.hand_over(0, out);
        Ok(Outcome::Done(0))
    }

    /// The holder joins a condition variable and will come back.
    pub(super) fn release_for_wait(&mut self, out: &mut Vec<SyncEffect>) {
        self.promised += 1;
        self.hand_over(0, out);
    }

    /// A signalled waiter comes back: answered when it holds the mutex.
    pub(super) fn return_from_wait(&mut self, waiter: Waiter, out: &mut Vec<SyncEffect>) {
        self.break_promise();
        if self.holder.is_some() {
            // Above the limit by at most the threads that had joined the condition variable.
            self.waiters.push_back(waiter);
            return;
        }
        self.take(waiter);
        waiter.reply(0, out);
    }

    /// A condition waiter will not come back.
    pub(super) fn break_promise(&mut self) {
        self.promised = self.promised.saturating_sub(1);
    }

    pub(super) fn into_waiters(self) -> Vec<Waiter> {
        self.waiters.into()
    }

    pub(super) fn on_node_lost(&mut self, node: NodeId, out: &mut Vec<SyncEffect>) {
        self.waiters.retain(|waiter| waiter.node != node);
        if self.holder.is_some_and(|holder| holder.node == node) {
            self.hand_over(-EOWNERDEAD, out);
        }
    }

    /// To the longest waiting thread, not to whoever comes first: nobody starves.
    fn hand_over(&mut self, result: i32, out: &mut Vec<SyncEffect>) {
        self.holder = None;
        if let Some(next) = self.waiters.pop_front() {
            self.take(next);
            next.reply(result, out);
        }
    }

    fn take(&mut self, holder: Waiter) {
        self.holder = Some(Holder {
            thread: holder.thread,
            node: holder.node,
        });
    }
}
