//! What each thread knows of synchronization objects of other homes, so that it need not wait for answers that can
//! only be 0: mutexes it holds, semaphores that exist.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use umbel_wire::sync::{SyncKey, SyncOp};

/// Knowledge of one thread.
struct Known {
    /// Mutexes it holds.
    held: Vec<SyncKey>,
    /// Semaphores of which an operation succeeded; a place for each by its key, the last one stays.
    semaphores: [Option<SyncKey>; SEMAPHORES],
}

thread_local! {
    static KNOWN: RefCell<Known> = const {
        RefCell::new(Known {
            held: Vec::new(),
            semaphores: [None; SEMAPHORES],
        })
    };
}

/// Whether this operation of the calling thread can only succeed; then it is as good as done.
pub fn must_succeed(key: SyncKey, op: SyncOp) -> bool {
    KNOWN.with_borrow_mut(|known| match op {
        SyncOp::MutexUnlock => {
            let place = known.held.iter().rposition(|held| *held == key);
            place.is_some_and(|place| {
                known.held.remove(place);
                true
            })
        }
        SyncOp::SemPost => known.semaphores[place(key)] == Some(key),
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
        | SyncOp::BarrierWait
        | SyncOp::BarrierDestroy
        | SyncOp::CondInit
        | SyncOp::CondWait { .. }
        | SyncOp::CondEnqueue
        | SyncOp::CondSignal
        | SyncOp::CondBroadcast
        | SyncOp::CondBlock
        | SyncOp::CondDestroy => false,
    })
}

/// What the answer to an operation of the calling thread says.
pub fn learn(key: SyncKey, op: SyncOp, result: i32) {
    KNOWN.with_borrow_mut(|known| match op {
        SyncOp::MutexLock | SyncOp::MutexTryLock if result == 0 => known.held.push(key),
        SyncOp::MutexUnlock => known.held.retain(|held| *held != key),
        SyncOp::SemInit(_)
        | SyncOp::SemWait
        | SyncOp::SemTryWait
        | SyncOp::SemPost
        | SyncOp::SemGetValue
            if result >= 0 =>
        {
            known.semaphores[place(key)] = Some(key);
        }
        SyncOp::SemDestroy => known.semaphores[place(key)] = None,
        // The mutex was given up, and did not come back.
        SyncOp::CondWait { mutex } if result < 0 => known.held.retain(|held| *held != mutex),
        SyncOp::MutexInit
        | SyncOp::MutexLock
        | SyncOp::MutexTryLock
        | SyncOp::MutexDestroy
        | SyncOp::SemInit(_)
        | SyncOp::SemWait
        | SyncOp::SemTryWait
        | SyncOp::SemPost
        | SyncOp::SemGetValue
        | SyncOp::BarrierInit(_)
        | SyncOp::BarrierWait
        | SyncOp::BarrierDestroy
        | SyncOp::CondInit
        | SyncOp::CondWait { .. }
        | SyncOp::CondEnqueue
        | SyncOp::CondSignal
        | SyncOp::CondBroadcast
        | SyncOp::CondBlock
        | SyncOp::CondDestroy => {}
    });
}

fn place(key: SyncKey) -> usize {
    // Neighbours in an array of semaphores get places of their own.
    (key.0 >> 4) as usize % SEMAPHORES
}

/// Requests of this node whose threads have gone on, and which were not answered.
pub static UNANSWERED: Unanswered = Unanswered(AtomicUsize::new(0));

/// A count with a limit.
pub struct Unanswered(AtomicUsize);

impl Unanswered {
    /// One more, if the limit allows: a thread that posts in a loop must not fill the links.
    pub fn begin(&self) -> bool {
        // Relaxed, here and below: a count and nothing else.
        if self.0.fetch_add(1, Ordering::Relaxed) < UNANSWERED_MAX {
            return true;
        }
        self.end();
        false
    }

    /// One less.
    pub fn end(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Semaphores that a thread remembers.
const SEMAPHORES: usize = 64;

/// Some 100 us of requests at 1 us each; then a thread waits as it did before.
pub const UNANSWERED_MAX: usize = 128;
