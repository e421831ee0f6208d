//! Condition variable: a queue of threads, each with the way it will be answered.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;

use umbel_wire::sync::SyncKey;
use umbel_wire::{NodeId, ThreadId};

use super::errno::{EAGAIN, EINVAL, EPERM};
use super::{Errno, Outcome, Record, SyncEffect, SyncHome, Waiter};
use crate::limits;

/// A thread in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Sleeper {
    /// `CondWait`: on a signal it joins the queue of `mutex`.
    Whole { waiter: Waiter, mutex: SyncKey },
    /// `CondEnqueue` answered, `CondBlock` still to come.
    Enqueued { node: NodeId, thread: ThreadId },
    /// `CondBlock`: answered on a signal.
    Blocked { waiter: Waiter },
}

impl Sleeper {
    fn thread(self) -> ThreadId {
        match self {
            Self::Whole { waiter, .. } | Self::Blocked { waiter } => waiter.thread,
            Self::Enqueued { thread, .. } => thread,
        }
    }

    fn node(self) -> NodeId {
        match self {
            Self::Whole { waiter, .. } | Self::Blocked { waiter } => waiter.node,
            Self::Enqueued { node, .. } => node,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Cond {
    queue: VecDeque<Sleeper>,
}

impl Cond {
    pub(super) fn is_busy(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Appends to `promises_broken` the mutexes that lost sleepers would have come back for.
    pub(super) fn on_node_lost(&mut self, node: NodeId, promises_broken: &mut Vec<SyncKey>) {
        self.queue.retain(|sleeper| {
            if sleeper.node() != node {
                return true;
            }
            if let Sleeper::Whole { mutex, .. } = sleeper {
                promises_broken.push(*mutex);
            }
            false
        });
    }

    fn join(&mut self, sleeper: Sleeper) {
        self.queue.push_back(sleeper);
    }

    fn check_room(&self) -> Result<(), Errno> {
        if self.queue.len() >= limits::WAITERS_PER_OBJECT_MAX {
            Err(EAGAIN)
        } else {
            Ok(())
        }
    }
}

impl SyncHome {
    pub(super) fn cond_wait(
        &mut self,
        caller: Waiter,
        key: SyncKey,
        mutex_key: SyncKey,
        out: &mut Vec<SyncEffect>,
    ) -> Result<Outcome, Errno> {
        match self.records.get(&mutex_key) {
            Some(Record::Mutex(mutex)) if mutex.is_held_by(caller.thread) => {}
            Some(Record::Mutex(_)) | None => return Err(EPERM),
            Some(Record::Semaphore(_) | Record::Barrier(_) | Record::Cond(_)) => {
                return Err(EINVAL);
            }
        }
        let cond = self.cond(key)?;
        cond.check_room()?;
        // Join before the mutex is given up: a signal sent under the mutex cannot be missed.
        cond.join(Sleeper::Whole {
            waiter: caller,
            mutex: mutex_key,
        });
        self.mutex(mutex_key)?.release_for_wait(out);
        Ok(Outcome::Waits)
    }

    pub(super) fn cond_enqueue(&mut self, caller: Waiter, key: SyncKey) -> Result<Outcome, Errno> {
        let is_signalled = self.signalled.contains(&(key, caller.thread));
        let cond = self.cond(key)?;
        cond.check_room()?;
        if is_signalled
            || cond
                .queue
                .iter()
                .any(|sleeper| sleeper.thread() == caller.thread)
        {
            return Err(EINVAL);
        }
        cond.join(Sleeper::Enqueued {
            node: caller.node,
            thread: caller.thread,
        });
        Ok(Outcome::Done(0))
    }

    pub(super) fn cond_block(&mut self, caller: Waiter, key: SyncKey) -> Result<Outcome, Errno> {
        if self.signalled.remove(&(key, caller.thread)) {
            return Ok(Outcome::Done(0));
        }
        for sleeper in &mut self.cond(key)?.queue {
            match *sleeper {
                Sleeper::Enqueued { thread, .. } if thread == caller.thread => {
                    *sleeper = Sleeper::Blocked { waiter: caller };
                    return Ok(Outcome::Waits);
                }
                Sleeper::Enqueued { .. } | Sleeper::Whole { .. } | Sleeper::Blocked { .. } => {}
            }
        }
        Err(EINVAL)
    }

    pub(super) fn cond_signal(
        &mut self,
        key: SyncKey,
        out: &mut Vec<SyncEffect>,
    ) -> Result<Outcome, Errno> {
        if let Some(sleeper) = self.cond(key)?.queue.pop_front() {
            self.wake(key, sleeper, out);
        }
        Ok(Outcome::Done(0))
    }

    pub(super) fn cond_broadcast(
        &mut self,
        key: SyncKey,
        out: &mut Vec<SyncEffect>,
    ) -> Result<Outcome, Errno> {
        for sleeper in core::mem::take(&mut self.cond(key)?.queue) {
            self.wake(key, sleeper, out);
        }
        Ok(Outcome::Done(0))
    }

    /// Takes a condition variable apart: whom to tell. Their mutexes expect them no longer.
    pub(super) fn dissolve(&mut self, cond: Cond) -> Vec<Waiter> {
        let mut waiters = Vec::new();
        for sleeper in cond.queue {
            match sleeper {
                Sleeper::Whole { waiter, mutex } => {
                    self.break_promise(mutex);
                    waiters.push(waiter);
                }
                Sleeper::Blocked { waiter } => waiters.push(waiter),
                // Its CondBlock will get EINVAL.
                Sleeper::Enqueued { .. } => {}
            }
        }
        waiters
    }

    /// Mutexes of `keys` are gone: ends the waits that would have come back for them.
    pub(super) fn refuse_waits_for(&mut self, keys: &Range<SyncKey>, out: &mut Vec<SyncEffect>) {
        for record in self.records.values_mut() {
            match record {
                Record::Cond(cond) => cond.queue.retain(|sleeper| match sleeper {
                    Sleeper::Whole { waiter, mutex } if keys.contains(mutex) => {
                        waiter.reply(-EINVAL, out);
                        false
                    }
                    Sleeper::Whole { .. } | Sleeper::Enqueued { .. } | Sleeper::Blocked { .. } => {
                        true
                    }
                }),
                Record::Mutex(_) | Record::Semaphore(_) | Record::Barrier(_) => {}
            }
        }
    }

    pub(super) fn break_promise(&mut self, mutex: SyncKey) {
        if let Some(Record::Mutex(mutex)) = self.records.get_mut(&mutex) {
            mutex.break_promise();
        }
    }

    fn wake(&mut self, key: SyncKey, sleeper: Sleeper, out: &mut Vec<SyncEffect>) {
        match sleeper {
            Sleeper::Whole { waiter, mutex } => match self.records.get_mut(&mutex) {
                Some(Record::Mutex(mutex)) => mutex.return_from_wait(waiter, out),
                // Impossible: a promised mutex is neither destroyed nor replaced, and `forget` ends the wait.
                Some(Record::Semaphore(_) | Record::Barrier(_) | Record::Cond(_)) | None => {
                    unreachable!("a promised mutex has a record")
                }
            },
            Sleeper::Blocked { waiter } => waiter.reply(0, out),
            Sleeper::Enqueued { thread, .. } => {
                self.signalled.insert((key, thread));
            }
        }
    }
}
