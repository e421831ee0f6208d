//! Synchronization objects at their home: mutex, semaphore, barrier, condition variable.
//!
//! One [`SyncHome`] per node serves the objects whose home that node is. A request is answered by
//! exactly one [`SyncEffect::Reply`], at once or when the wait is over; a request that must wait
//! joins a queue, and queues are served in order of arrival. Those who meet at a barrier again and again do so along a
//! tree of nodes: `barrier` has the home's part, [`SyncBranches`] the others'.
//!
//! # Rules
//!
//! | operation | object in use as another kind | else |
//! |---|---|---|
//! | any, first use | | made on first use, as the static initializers do; a barrier is not: EINVAL |
//! | `*Init` | EBUSY if busy, else it replaces it | EBUSY if busy, else a fresh object |
//! | `*Destroy` | EINVAL | EBUSY if busy, else the record goes; unknown: 0 (barrier: EINVAL) |
//! | `MutexLock` | EINVAL | free: 0. Held by the caller: EDEADLK. Held: waits; hand-over first in, first out |
//! | `MutexTryLock` | EINVAL | free: 0. Held by anybody: EBUSY |
//! | `MutexUnlock` | EINVAL | held by the caller: 0, the longest waiting gets it. Else EPERM |
//! | `SemInit(v)` | as `*Init` | `v` above 2^31-1: EINVAL |
//! | `SemWait` | EINVAL | takes one, or waits |
//! | `SemTryWait` | EINVAL | takes one, or EAGAIN |
//! | `SemPost` | EINVAL | the longest waiting gets it, or the value rises; at 2^31-1: EOVERFLOW |
//! | `SemGetValue` | EINVAL | the value |
//! | `BarrierInit(n)` | as `*Init` | `n` = 0: EINVAL |
//! | `BarrierWait` | EINVAL | waits for `n` callers; the last gets 1, the others 0 |
//! | `CondWait` | EINVAL | mutex not held by the caller: EPERM. Gives the mutex up and joins in one step |
//! | `CondEnqueue` | EINVAL | joins; already in: EINVAL |
//! | `CondBlock` | EINVAL | 0 once signalled; never joined: EINVAL |
//! | `CondSignal` | EINVAL | the longest waiting is signalled; nobody waits: nothing |
//! | `CondBroadcast` | EINVAL | as `CondSignal` for everybody who waits now |
//!
//! A mutex is *busy* while held, waited for, or due to come back to a condition waiter; the others
//! while waited on. A signalled `CondWait` joins the queue of its mutex and is answered when it holds
//! it. Signalled waiters no longer wait: a condition variable may be destroyed right after a broadcast.
//!
//! After [`SyncHome::forget`], waiters of the objects get EINVAL. After [`SyncHome::on_node_lost`], a
//! mutex held there goes to the longest waiting, who gets EOWNERDEAD, as with robust mutexes.

mod ahead;
mod barrier;
mod branches;
mod cond;
mod errno;
mod mutex;
mod semaphore;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Range;

use umbel_wire::limits::BARRIER_BRANCHES_MAX;
use umbel_wire::sync::{Sync, SyncKey, SyncOp};
use umbel_wire::{NodeId, ThreadId, Token};

use crate::limits;
use barrier::{Barrier, Ground};
pub use branches::SyncBranches;
use cond::Cond;
use errno::{EBUSY, EINVAL, ENOMEM};
use mutex::Mutex;
use semaphore::Semaphore;

/// What a home, or a node's part of a tree, tells its driver to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncEffect {
    /// Answer a request; `to` may be the home itself.
    Reply {
        /// The node of the thread that asked.
        to: NodeId,
        /// As in the request.
        token: Token,
        /// 0 or more: done; negative: -errno.
        result: i32,
    },
    /// Send another message, which carries happens-before. To one node, these and replies keep their order.
    Send {
        /// Another node.
        to: NodeId,
        /// About a barrier's tree, or a request that waited here.
        message: Sync,
    },
}

/// A thread whose request waits for its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Waiter {
    node: NodeId,
    token: Token,
    thread: ThreadId,
}

impl Waiter {
    fn reply(self, result: i32, out: &mut Vec<SyncEffect>) {
        out.push(SyncEffect::Reply {
            to: self.node,
            token: self.token,
            result,
        });
    }
}

/// How an operation ends: with a result, or with the caller in a queue.
enum Outcome {
    Done(i32),
    Waits,
}

/// An error number, not negated.
type Errno = i32;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Record {
    Mutex(Mutex),
    Semaphore(Semaphore),
    Barrier(Barrier),
    Cond(Cond),
}

impl Record {
    fn is_busy(&self) -> bool {
        match self {
            Self::Mutex(mutex) => mutex.is_busy(),
            Self::Semaphore(semaphore) => semaphore.is_busy(),
            Self::Barrier(barrier) => barrier.is_busy(),
            Self::Cond(cond) => cond.is_busy(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mutex,
    Semaphore,
    Barrier,
    Cond,
}

impl Record {
    fn kind(&self) -> Kind {
        match self {
            Self::Mutex(_) => Kind::Mutex,
            Self::Semaphore(_) => Kind::Semaphore,
            Self::Barrier(_) => Kind::Barrier,
            Self::Cond(_) => Kind::Cond,
        }
    }
}

/// The synchronization objects of one home.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SyncHome {
    ground: Ground,
    records: BTreeMap<SyncKey, Record>,
    /// Threads signalled between `CondEnqueue` and `CondBlock`; outlives the condition variable.
    signalled: BTreeSet<(SyncKey, ThreadId)>,
}

impl SyncHome {
    /// A home whose objects have not been used.
    pub fn new(node: NodeId) -> Self {
        Self::with_branches(node, BARRIER_BRANCHES_MAX)
    }

    /// As `new`, with trees of so many branches at each node: 1 to [`BARRIER_BRANCHES_MAX`].
    pub fn with_branches(node: NodeId, branches_max: usize) -> Self {
        let branches_max = branches_max.clamp(1, BARRIER_BRANCHES_MAX);
        Self {
            ground: Ground {
                node,
                branches_max,
                exchanges: true,
                last_plan: 0,
            },
            records: BTreeMap::new(),
            signalled: BTreeSet::new(),
        }
    }

    /// Whether the nodes of a barrier are told ahead of time that only they are missing (the default): one way less until all
    /// go on, but a message that may find its receiver at work.
    pub fn exchanging(mut self, exchanges: bool) -> Self {
        self.ground.exchanges = exchanges;
        self
    }

    /// Runs `op` for a thread of `from`, and answers it and every thread it lets go on.
    pub fn on_request(
        &mut self,
        from: NodeId,
        token: Token,
        thread: ThreadId,
        key: SyncKey,
        op: SyncOp,
        out: &mut Vec<SyncEffect>,
    ) {
        let caller = Waiter {
            node: from,
            token,
            thread,
        };
        self.serve(caller, key, op, out);
    }

    fn serve(&mut self, caller: Waiter, key: SyncKey, op: SyncOp, out: &mut Vec<SyncEffect>) {
        match self.run(caller, key, op, out) {
            Ok(Outcome::Done(result)) => caller.reply(result, out),
            Ok(Outcome::Waits) => {}
            Err(errno) => caller.reply(-errno, out),
        }
    }

    /// The objects' scope is left: drops their records; who still waits gets EINVAL.
    pub fn forget(&mut self, keys: Range<SyncKey>, out: &mut Vec<SyncEffect>) {
        let known: Vec<SyncKey> = self
            .records
            .range(keys.clone())
            .map(|(key, _)| *key)
            .collect();
        let mut is_mutex_promised = false;
        for key in known {
            let waiters = match self.records.remove(&key).expect("the key was just listed") {
                Record::Mutex(mutex) => {
                    is_mutex_promised |= mutex.is_promised();
                    mutex.into_waiters()
                }
                Record::Semaphore(semaphore) => semaphore.into_waiters(),
                Record::Barrier(barrier) => barrier.end(key, out),
                Record::Cond(cond) => self.dissolve(cond),
            };
            for waiter in waiters {
                waiter.reply(-EINVAL, out);
            }
        }
        if is_mutex_promised {
            self.refuse_waits_for(&keys, out);
        }
        self.signalled.retain(|(key, _)| !keys.contains(key));
    }

    /// The threads of `node` are gone: they neither wait nor hold anything any more.
    pub fn on_node_lost(&mut self, node: NodeId, out: &mut Vec<SyncEffect>) {
        let mut promises_broken = Vec::new();
        let mut back = Vec::new();
        for (key, record) in &mut self.records {
            match record {
                Record::Mutex(mutex) => mutex.on_node_lost(node, out),
                Record::Semaphore(semaphore) => semaphore.on_node_lost(node),
                Record::Barrier(barrier) => {
                    let held = barrier.on_node_lost(node, *key, out);
                    back.push((*key, held));
                }
                Record::Cond(cond) => cond.on_node_lost(node, &mut promises_broken),
            }
        }
        for mutex in promises_broken {
            self.break_promise(mutex);
        }
        for (key, held) in back {
            self.resume(key, held, out);
        }
    }

    /// How many objects have a record.
    pub fn record_count(&self) -> usize {
        self.records.len()
    }

    fn run(
        &mut self,
        caller: Waiter,
        key: SyncKey,
        op: SyncOp,
        out: &mut Vec<SyncEffect>,
    ) -> Result<Outcome, Errno> {
        if let Some(held) = self.hold(caller, key, op, out) {
            return held;
        }
        match op {
            SyncOp::MutexInit => self.init(key, Record::Mutex(Mutex::default()), out),
            SyncOp::MutexLock => self.mutex(key)?.lock(caller),
            SyncOp::MutexTryLock => self.mutex(key)?.try_lock(caller),
            SyncOp::MutexUnlock => self.mutex(key)?.unlock(caller.thread, out),
            SyncOp::MutexDestroy => self.destroy(key, Kind::Mutex, out),
            SyncOp::SemInit(value) => {
                self.init(key, Record::Semaphore(Semaphore::new(value)?), out)
            }
            SyncOp::SemWait => self.semaphore(key)?.wait(caller),
            SyncOp::SemTryWait => self.semaphore(key)?.try_wait(),
            SyncOp::SemPost => self.semaphore(key)?.post(out),
            SyncOp::SemGetValue => Ok(Outcome::Done(self.semaphore(key)?.value())),
            SyncOp::SemDestroy => self.destroy(key, Kind::Semaphore, out),
            SyncOp::BarrierInit(count) => {
                self.init(key, Record::Barrier(Barrier::new(count)?), out)
            }
            SyncOp::BarrierWait => self.barrier_wait(caller, key, out),
            SyncOp::BarrierDestroy => self.destroy(key, Kind::Barrier, out),
            SyncOp::CondInit => self.init(key, Record::Cond(Cond::default()), out),
            SyncOp::CondWait { mutex } => self.cond_wait(caller, key, mutex, out),
            SyncOp::CondEnqueue => self.cond_enqueue(caller, key),
            SyncOp::CondBlock => self.cond_block(caller, key),
            SyncOp::CondSignal => self.cond_signal(key, out),
            SyncOp::CondBroadcast => self.cond_broadcast(key, out),
            SyncOp::CondDestroy => self.destroy(key, Kind::Cond, out),
        }
    }

    fn init(
        &mut self,
        key: SyncKey,
        fresh: Record,
        out: &mut Vec<SyncEffect>,
    ) -> Result<Outcome, Errno> {
        if self.records.get(&key).is_some_and(Record::is_busy) {
            return Err(EBUSY);
        }
        self.check_room(key)?;
        if let Some(Record::Barrier(mut barrier)) = self.records.insert(key, fresh) {
            barrier.dissolve(key, out);
        }
        Ok(Outcome::Done(0))
    }

    fn destroy(
        &mut self,
        key: SyncKey,
        kind: Kind,
        out: &mut Vec<SyncEffect>,
    ) -> Result<Outcome, Errno> {
        match self.records.get(&key) {
            None if kind == Kind::Barrier => Err(EINVAL),
            None => Ok(Outcome::Done(0)),
            Some(record) if record.kind() != kind => Err(EINVAL),
            Some(record) if record.is_busy() => Err(EBUSY),
            Some(_) => {
                if let Some(Record::Barrier(mut barrier)) = self.records.remove(&key) {
                    barrier.dissolve(key, out);
                }
                Ok(Outcome::Done(0))
            }
        }
    }

    fn mutex(&mut self, key: SyncKey) -> Result<&mut Mutex, Errno> {
        match self.record(key, || Record::Mutex(Mutex::default()))? {
            Record::Mutex(mutex) => Ok(mutex),
            Record::Semaphore(_) | Record::Barrier(_) | Record::Cond(_) => Err(EINVAL),
        }
    }

    fn semaphore(&mut self, key: SyncKey) -> Result<&mut Semaphore, Errno> {
        match self.record(key, || Record::Semaphore(Semaphore::default()))? {
            Record::Semaphore(semaphore) => Ok(semaphore),
            Record::Mutex(_) | Record::Barrier(_) | Record::Cond(_) => Err(EINVAL),
        }
    }

    fn barrier_wait(
        &mut self,
        caller: Waiter,
        key: SyncKey,
        out: &mut Vec<SyncEffect>,
    ) -> Result<Outcome, Errno> {
        match self.records.get_mut(&key) {
            Some(Record::Barrier(barrier)) => barrier.wait(caller, key, &mut self.ground, out),
            Some(Record::Mutex(_) | Record::Semaphore(_) | Record::Cond(_)) | None => Err(EINVAL),
        }
    }

    fn cond(&mut self, key: SyncKey) -> Result<&mut Cond, Errno> {
        match self.record(key, || Record::Cond(Cond::default()))? {
            Record::Cond(cond) => Ok(cond),
            Record::Mutex(_) | Record::Semaphore(_) | Record::Barrier(_) => Err(EINVAL),
        }
    }

    fn record(
        &mut self,
        key: SyncKey,
        zero: impl FnOnce() -> Record,
    ) -> Result<&mut Record, Errno> {
        self.check_room(key)?;
        Ok(self.records.entry(key).or_insert_with(zero))
    }

    fn check_room(&self, key: SyncKey) -> Result<(), Errno> {
        let is_full =
            self.records.len() >= limits::SYNC_OBJECTS_MAX && !self.records.contains_key(&key);
        if is_full { Err(ENOMEM) } else { Ok(()) }
    }
}
