//! Messages of the synchronization objects: mutex, semaphore, barrier, condition variable.

use crate::limits::BARRIER_BRANCHES_MAX;
use crate::{NodeId, ThreadId, Token};

/// Name of a synchronization object: its address in the window, or a static object's place in its module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SyncKey(pub u64);

/// Operation on a synchronization object, run at its home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncOp {
    /// Make or reset a mutex.
    MutexInit,
    /// Wait until the mutex is free and take it.
    MutexLock,
    /// Take the mutex if it is free, else answer EBUSY.
    MutexTryLock,
    /// Give the mutex to the longest waiting thread.
    MutexUnlock,
    /// End of a mutex's life.
    MutexDestroy,
    /// Make or reset a semaphore with this value.
    SemInit(u32),
    /// Wait until the value is above 0, then take one.
    SemWait,
    /// Take one if the value is above 0, else answer EAGAIN.
    SemTryWait,
    /// Add one, or wake the longest waiting thread.
    SemPost,
    /// The value now (0 while threads wait).
    SemGetValue,
    /// End of a semaphore's life.
    SemDestroy,
    /// Make or reset a barrier for this many threads.
    BarrierInit(u32),
    /// Wait until that many threads have called.
    BarrierWait,
    /// End of a barrier's life.
    BarrierDestroy,
    /// Make or reset a condition variable.
    CondInit,
    /// Release the mutex and wait; answered when signalled *and* the mutex is held again.
    CondWait {
        /// The mutex; it has the same home (else the caller uses the two halves below).
        mutex: SyncKey,
    },
    /// First half of a wait whose mutex has another home: join the queue, answer at once.
    CondEnqueue,
    /// Second half, after the mutex was released: answered when signalled.
    CondBlock,
    /// Wake the longest waiting thread.
    CondSignal,
    /// Wake all waiting threads.
    CondBroadcast,
    /// End of a condition variable's life.
    CondDestroy,
}

/// Message about a synchronization object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sync {
    /// A thread's node to the object's home.
    Request {
        /// Finds the waiting thread at its node.
        token: Token,
        /// Who asks: owner checks of mutexes.
        thread: ThreadId,
        /// Which object.
        key: SyncKey,
        /// What to do.
        op: SyncOp,
    },
    /// As `Request`, of a thread that has gone on: answered only if it fails.
    Tell {
        /// Names the request.
        token: Token,
        /// Who asks.
        thread: ThreadId,
        /// Which object.
        key: SyncKey,
        /// What to do.
        op: SyncOp,
    },
    /// Answered when everything that came before it on the link has been done.
    Fence {
        /// Names the request.
        token: Token,
    },
    /// Home to the thread's node: the operation is done, or refused; everything before it on the link was done
    /// earlier.
    Reply {
        /// As in the request.
        token: Token,
        /// 0 or more: done (a semaphore's value; 1 for a barrier's serial thread); negative: -errno.
        result: i32,
    },
    /// Home to a node whose threads met at a barrier: from now on they wait there, and the nodes meet along a tree.
    Plan {
        /// Which barrier.
        key: SyncKey,
        /// Names the tree; a home's numbers rise.
        plan: u64,
        /// Where the node tells that all have arrived.
        parent: NodeId,
        /// Who tells it the same.
        branches: Branches,
        /// How many threads of the node meet.
        threads: u32,
        /// One of them is the serial thread.
        is_serial: bool,
    },
    /// To the parent: every thread of the node, and of all nodes below it, has arrived.
    Arrived {
        /// Which barrier.
        key: SyncKey,
        /// Its home.
        home: NodeId,
        /// As in `Plan`.
        plan: u64,
    },
    /// To the branches: every thread has arrived. Of the home also ahead of time, to the branch that is the last to come: every
    /// other thread has.
    Released {
        /// Which barrier.
        key: SyncKey,
        /// As in `Plan`.
        plan: u64,
    },
    /// Home to the branch that it sent `Released` ahead of time: not to be used any more, unless it was.
    Withdraw {
        /// Which barrier.
        key: SyncKey,
        /// As in `Plan`.
        plan: u64,
    },
    /// To the home: what was sent ahead was not used, and is gone. If it was, `Arrived` is the answer.
    Withdrawn {
        /// Which barrier.
        key: SyncKey,
        /// As in `Plan`.
        plan: u64,
    },
    /// Home to the nodes of a tree: it holds no longer. Who waits there asks the home.
    Dissolved {
        /// Which barrier.
        key: SyncKey,
        /// As in `Plan`.
        plan: u64,
        /// How often all threads have met along the tree.
        rounds: u64,
    },
}

/// The nodes right below one in a tree.
pub type Branches = [Option<NodeId>; BARRIER_BRANCHES_MAX];
