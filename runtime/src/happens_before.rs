//! Which operations on synchronization objects carry happens-before: what the program wrote before a releasing
//! operation is seen after the acquiring one that it lets go on.
//!
//! Weak objects are made current everywhere before a releasing request, or an acquiring answer, leaves the node
//! (`service/departures.rs`); operations that do neither go at once.

use std::sync::atomic::{AtomicU64, Ordering};

use umbel_wire::sync::SyncOp;

/// Whether others may go on because of it, and must then see what the caller wrote.
pub fn releases(op: SyncOp) -> bool {
    match op {
        SyncOp::MutexUnlock
        | SyncOp::SemPost
        | SyncOp::BarrierWait
        | SyncOp::CondWait { .. }
        | SyncOp::CondSignal
        | SyncOp::CondBroadcast => true,
        SyncOp::MutexInit
        | SyncOp::MutexLock
        | SyncOp::MutexTryLock
        | SyncOp::MutexDestroy
        | SyncOp::SemInit(_)
        | SyncOp::SemWait
        | SyncOp::SemTryWait
        | SyncOp::SemGetValue
        | SyncOp::SemDestroy
        | SyncOp::BarrierInit(_)
        | SyncOp::BarrierDestroy
        | SyncOp::CondInit
        | SyncOp::CondEnqueue
        | SyncOp::CondBlock
        | SyncOp::CondDestroy => false,
    }
}

static RELEASES: AtomicU64 = AtomicU64::new(0);

/// How often threads of this node have released something.
pub fn release_count() -> u64 {
    // Relaxed: a hint that a thread has used what it was granted; nothing is read on account of it.
    RELEASES.load(Ordering::Relaxed)
}

/// The calling thread releases something.
pub fn count_release() {
    // Relaxed: as above.
    RELEASES.fetch_add(1, Ordering::Relaxed);
}

/// Whether the answer that it gets at once may follow from what somebody released before. Answers to those who had to
/// wait always do.
pub fn acquires(op: SyncOp) -> bool {
    match op {
        SyncOp::MutexLock
        | SyncOp::MutexTryLock
        | SyncOp::SemWait
        | SyncOp::SemTryWait
        | SyncOp::SemGetValue
        | SyncOp::BarrierWait
        | SyncOp::CondWait { .. }
        | SyncOp::CondBlock => true,
        SyncOp::MutexInit
        | SyncOp::MutexUnlock
        | SyncOp::MutexDestroy
        | SyncOp::SemInit(_)
        | SyncOp::SemPost
        | SyncOp::SemDestroy
        | SyncOp::BarrierInit(_)
        | SyncOp::BarrierDestroy
        | SyncOp::CondInit
        | SyncOp::CondEnqueue
        | SyncOp::CondSignal
        | SyncOp::CondBroadcast
        | SyncOp::CondDestroy => false,
    }
}
