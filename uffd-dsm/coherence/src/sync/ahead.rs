//! What the home of a barrier holds while a release that it sent ahead is out. [`super::barrier`] has the idea.

use alloc::vec::Vec;

use umbel_wire::NodeId;
use umbel_wire::sync::{SyncKey, SyncOp};

use super::barrier::Held;
use super::errno::EAGAIN;
use super::{Errno, Outcome, Record, SyncEffect, SyncHome, Waiter};
use crate::limits;

impl SyncHome {
    /// `Sync::Arrived` of a branch.
    pub fn on_arrived(&mut self, from: NodeId, key: SyncKey, plan: u64, out: &mut Vec<SyncEffect>) {
        let exchanges = self.ground.exchanges;
        let held = match self.records.get_mut(&key) {
            Some(Record::Barrier(barrier)) => barrier.on_arrived(from, key, plan, exchanges, out),
            // Sent before it was taken away.
            Some(Record::Mutex(_) | Record::Semaphore(_) | Record::Cond(_)) | None => return,
        };
        self.resume(key, held, out);
    }

    /// `Sync::Withdrawn` of a branch.
    pub fn on_withdrawn(
        &mut self,
        from: NodeId,
        key: SyncKey,
        plan: u64,
        out: &mut Vec<SyncEffect>,
    ) {
        let held = match self.records.get_mut(&key) {
            Some(Record::Barrier(barrier)) => barrier.on_withdrawn(from, plan),
            Some(Record::Mutex(_) | Record::Semaphore(_) | Record::Cond(_)) | None => return,
        };
        self.resume(key, held, out);
    }

    /// Holds `op` if it means one thing before the last thread comes to the barrier, and another after it, and the home
    /// cannot tell which it is.
    pub(super) fn hold(
        &mut self,
        caller: Waiter,
        key: SyncKey,
        op: SyncOp,
        out: &mut Vec<SyncEffect>,
    ) -> Option<Result<Outcome, Errno>> {
        if !depends_on_the_round(op) {
            return None;
        }
        let Some(Record::Barrier(barrier)) = self.records.get_mut(&key) else {
            return None;
        };
        if barrier.held_count()? >= limits::WAITERS_PER_OBJECT_MAX {
            return Some(Err(EAGAIN));
        }
        barrier.hold(Held::Asked(caller, op), key, out);
        Some(Ok(Outcome::Waits))
    }

    /// Does what was held, in order.
    pub(super) fn resume(&mut self, key: SyncKey, held: Vec<Held>, out: &mut Vec<SyncEffect>) {
        for held in held {
            match (held, self.records.get_mut(&key)) {
                (Held::Asked(caller, op), _) => self.serve(caller, key, op, out),
                (Held::Dissolve, Some(Record::Barrier(barrier))) => {
                    barrier.dissolve_in_time(key, out);
                }
                (Held::Dissolve, Some(_) | None) => {}
            }
        }
    }
}

fn depends_on_the_round(op: SyncOp) -> bool {
    match op {
        SyncOp::BarrierInit(_)
        | SyncOp::BarrierWait
        | SyncOp::BarrierDestroy
        | SyncOp::MutexInit
        | SyncOp::SemInit(_)
        | SyncOp::CondInit => true,
        // An error on a barrier.
        SyncOp::MutexLock
        | SyncOp::MutexTryLock
        | SyncOp::MutexUnlock
        | SyncOp::MutexDestroy
        | SyncOp::SemWait
        | SyncOp::SemTryWait
        | SyncOp::SemPost
        | SyncOp::SemGetValue
        | SyncOp::SemDestroy
        | SyncOp::CondWait { .. }
        | SyncOp::CondEnqueue
        | SyncOp::CondBlock
        | SyncOp::CondSignal
        | SyncOp::CondBroadcast
        | SyncOp::CondDestroy => false,
    }
}
