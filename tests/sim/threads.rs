//! What the threads of a run do when they run.

use std::collections::VecDeque;

use umbel_wire::{Access, ObjectId, OperationKind, Token};

use super::cluster::{Cluster, Input, Packet};
use super::history::Event;
use super::plan::LockKind;
use super::program::{Cell, Operation};
use crate::model::home_of;
use crate::model::node::INCREMENT;

/// From wake to running on another core (notes: fault costs).
const WAKE_NS: (u64, u64) = (500, 45_000);

/// Between two tries to get a lock.
const BACKOFF_NS: (u64, u64) = (20_000, 200_000);

/// What a thread waits for; it tries again when it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Nothing.
    Nothing,
    /// Access to an object.
    Fault(ObjectId),
    /// A flush.
    Flush(Token),
    /// The answer to an operation.
    Operation(Token, ObjectId),
    /// The lock service.
    Lock,
    /// The others.
    Barrier,
}

/// One thread.
pub struct Thread {
    program: VecDeque<Operation>,
    pub(super) waits: Wait,
}

impl Thread {
    /// A thread at the start of its program.
    pub fn new(program: &[Operation]) -> Self {
        Self {
            program: program.iter().copied().collect(),
            waits: Wait::Nothing,
        }
    }

    /// Ends the thread where it is.
    pub fn end(&mut self) {
        self.waits = Wait::Nothing;
        self.program.clear();
    }

    /// What it does next.
    pub fn next(&self) -> Option<Operation> {
        self.program.front().copied()
    }

    /// Whether it has done all.
    pub fn has_ended(&self) -> bool {
        self.program.is_empty()
    }
}

/// A lock of the lock service.
#[derive(Debug, Default)]
pub struct Lock {
    is_taken: bool,
    waiting: VecDeque<(usize, usize)>,
}

/// An operation of a lock made of a word: 0 is free, 1 is taken.
fn exchange(kind: OperationKind, operand: u64) -> umbel_wire::Operation {
    umbel_wire::Operation {
        kind,
        operand,
        ..INCREMENT
    }
}

impl Cluster {
    pub(super) fn run_thread(&mut self, rank: usize, thread: usize) {
        let member = &mut self.members[rank];
        let Some(operation) = member.threads[thread].program.front().copied() else {
            return;
        };
        if member.is_lost {
            return;
        }
        match operation {
            Operation::Load(cell) => {
                if self.may(rank, thread, cell.object, Access::Read) {
                    let value = *self.value(rank, cell);
                    self.history.add(self.now_ns, cell, Event::Load(value));
                    self.done(rank, thread);
                }
            }
            Operation::Store(cell) => {
                if self.may(rank, thread, cell.object, Access::Write) {
                    self.next_value += 1 << 20;
                    self.store(rank, cell, self.next_value);
                    self.done(rank, thread);
                }
            }
            Operation::Increment(cell) => self.increment(rank, thread, cell),
            Operation::Operate(object) if home_of(object) == rank => {
                self.increment(rank, thread, Cell { object, index: 0 });
            }
            Operation::Operate(object) => self.operate(rank, thread, object, INCREMENT),
            Operation::Acquire(lock) => self.acquire(rank, thread, lock),
            Operation::Release(lock) => self.release(rank, thread, lock),
            Operation::Flush => self.flush(rank, thread),
            Operation::Barrier => {
                self.members[rank].threads[thread].waits = Wait::Barrier;
                self.enqueue(rank, Input::Meet(thread));
            }
        }
    }

    pub(super) fn wake(&mut self, rank: usize, object: ObjectId) {
        for thread in 0..self.members[rank].threads.len() {
            if self.members[rank].threads[thread].waits == Wait::Fault(object) {
                self.members[rank].threads[thread].waits = Wait::Nothing;
                self.resume_thread(WAKE_NS, rank, thread);
            }
        }
    }

    pub(super) fn flushed(&mut self, rank: usize, token: Token) -> Result<(), String> {
        if let Some((to, message)) = self.departing.remove(&token) {
            self.send(rank, to, Packet::Sync(message));
            return Ok(());
        }
        let thread = self.waiting_thread(rank, Wait::Flush(token))?;
        match self.members[rank].threads[thread].program.front() {
            Some(Operation::Release(lock)) => {
                let lock = &mut self.locks[*lock];
                lock.is_taken = false;
                if let Some((rank, thread)) = lock.waiting.pop_front() {
                    self.members[rank].threads[thread].waits = Wait::Nothing;
                    self.resume_thread(WAKE_NS, rank, thread);
                }
                self.done(rank, thread);
            }
            Some(_) | None => self.done(rank, thread),
        }
        Ok(())
    }

    pub(super) fn operated(
        &mut self,
        rank: usize,
        token: Token,
        result: u64,
    ) -> Result<(), String> {
        let threads = &self.members[rank].threads;
        let is_it = |wait: Wait| matches!(wait, Wait::Operation(asked, _) if asked == token);
        let Some(thread) = threads.iter().position(|thread| is_it(thread.waits)) else {
            return Err(format!("an answer comes once: {token:?}"));
        };
        if self.operating.contains(&token) {
            return Err(format!("an answer follows its operation: {token:?}"));
        }
        self.members[rank].threads[thread].waits = Wait::Nothing;
        match self.members[rank].threads[thread].program.front() {
            Some(Operation::Acquire(_)) if result != 0 => {
                self.resume_thread(BACKOFF_NS, rank, thread);
            }
            Some(_) | None => self.done(rank, thread),
        }
        Ok(())
    }

    /// Threads that wait for an operation at a lost home end.
    pub(super) fn end_operations(&mut self, rank: usize, gone: usize) {
        for thread in &mut self.members[rank].threads {
            if matches!(thread.waits, Wait::Operation(_, object) if home_of(object) == gone) {
                thread.end();
            }
        }
    }

    /// Whether the thread may use the object now; or else it waits.
    fn may(&mut self, rank: usize, thread: usize, object: ObjectId, access: Access) -> bool {
        if self.members[rank].node.place(object).view >= Some(access) {
            return true;
        }
        self.members[rank].threads[thread].waits = Wait::Fault(object);
        self.enqueue(rank, Input::Fault(object, access));
        if self.random.chance(self.plan.duplicate_percent) {
            self.enqueue(rank, Input::Fault(object, access));
        }
        false
    }

    fn value(&mut self, rank: usize, cell: Cell) -> &mut u64 {
        &mut self.members[rank].node.place_mut(cell.object).bytes[cell.index]
    }

    fn store(&mut self, rank: usize, cell: Cell, value: u64) {
        *self.value(rank, cell) = value;
        self.history.add(self.now_ns, cell, Event::Store(value));
    }

    fn increment(&mut self, rank: usize, thread: usize, cell: Cell) {
        if self.may(rank, thread, cell.object, Access::Write) {
            let found = *self.value(rank, cell);
            *self.value(rank, cell) += 1;
            self.history.add(self.now_ns, cell, Event::Increment(found));
            self.done(rank, thread);
        }
    }

    fn operate(
        &mut self,
        rank: usize,
        thread: usize,
        object: ObjectId,
        operation: umbel_wire::Operation,
    ) {
        let token = self.token();
        self.members[rank].threads[thread].waits = Wait::Operation(token, object);
        self.enqueue(rank, Input::Operate(object, token, operation));
    }

    fn acquire(&mut self, rank: usize, thread: usize, lock: usize) {
        match self.plan.locks[lock] {
            LockKind::Service if self.locks[lock].is_taken => {
                self.members[rank].threads[thread].waits = Wait::Lock;
                self.locks[lock].waiting.push_back((rank, thread));
            }
            LockKind::Service => {
                self.locks[lock].is_taken = true;
                self.done(rank, thread);
            }
            LockKind::Operated(object) if home_of(object) != rank => {
                self.operate(
                    rank,
                    thread,
                    object,
                    exchange(OperationKind::CompareExchange, 1),
                );
            }
            LockKind::Spin(object) | LockKind::Operated(object) => {
                let cell = Cell { object, index: 0 };
                if !self.may(rank, thread, object, Access::Write) {
                    return;
                }
                let found = *self.value(rank, cell);
                self.history.add(self.now_ns, cell, Event::Load(found));
                self.store(rank, cell, 1);
                if found == 0 {
                    self.done(rank, thread);
                } else {
                    self.resume_thread(BACKOFF_NS, rank, thread);
                }
            }
        }
    }

    /// No flush where the lock is a word: that it leaves the node suffices.
    fn release(&mut self, rank: usize, thread: usize, lock: usize) {
        match self.plan.locks[lock] {
            LockKind::Service => self.flush(rank, thread),
            LockKind::Operated(object) if home_of(object) != rank => {
                self.operate(rank, thread, object, exchange(OperationKind::Store, 0));
            }
            LockKind::Spin(object) | LockKind::Operated(object) => {
                let cell = Cell { object, index: 0 };
                if self.may(rank, thread, object, Access::Write) {
                    self.store(rank, cell, 0);
                    self.done(rank, thread);
                }
            }
        }
    }

    fn flush(&mut self, rank: usize, thread: usize) {
        let token = self.token();
        self.members[rank].threads[thread].waits = Wait::Flush(token);
        self.enqueue(rank, Input::Flush(token));
    }

    /// The thread's operation is done; it goes on with the next.
    pub(super) fn done(&mut self, rank: usize, thread: usize) {
        let member = &mut self.members[rank].threads[thread];
        member.waits = Wait::Nothing;
        member.program.pop_front();
        self.resume_thread(self.plan.think_ns, rank, thread);
    }

    fn waiting_thread(&self, rank: usize, wait: Wait) -> Result<usize, String> {
        let threads = &self.members[rank].threads;
        let place = threads.iter().position(|thread| thread.waits == wait);
        place.ok_or_else(|| format!("an answer comes once: {wait:?}"))
    }
}
