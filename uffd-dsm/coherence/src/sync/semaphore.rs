//! Semaphore: a value that is never negative, and those who wait for it to rise.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use umbel_wire::NodeId;

use super::errno::{EAGAIN, EINVAL, EOVERFLOW};
use super::{Errno, Outcome, SyncEffect, Waiter};
use crate::limits;

/// Invariant: threads wait only while the value is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Semaphore {
    value: u32,
    waiters: VecDeque<Waiter>,
}

impl Semaphore {
    pub(super) fn new(value: u32) -> Result<Self, Errno> {
        if value > limits::SEMAPHORE_VALUE_MAX {
            return Err(EINVAL);
        }
        Ok(Self {
            value,
            waiters: VecDeque::new(),
        })
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.waiters.is_empty()
    }

    pub(super) fn wait(&mut self, caller: Waiter) -> Result<Outcome, Errno> {
        if self.value > 0 {
            self.value -= 1;
            return Ok(Outcome::Done(0));
        }
        if self.waiters.len() >= limits::WAITERS_PER_OBJECT_MAX {
            return Err(EAGAIN);
        }
        self.waiters.push_back(caller);
        Ok(Outcome::Waits)
    }

    pub(super) fn try_wait(&mut self) -> Result<Outcome, Errno> {
        if self.value == 0 {
            return Err(EAGAIN);
        }
        self.value -= 1;
        Ok(Outcome::Done(0))
    }

    pub(super) fn post(&mut self, out: &mut Vec<SyncEffect>) -> Result<Outcome, Errno> {
        if let Some(next) = self.waiters.pop_front() {
            next.reply(0, out);
        } else if self.value == limits::SEMAPHORE_VALUE_MAX {
            return Err(EOVERFLOW);
        } else {
            self.value += 1;
        }
        Ok(Outcome::Done(0))
    }

    pub(super) fn value(&self) -> i32 {
        i32::try_from(self.value).expect("bounded by SEMAPHORE_VALUE_MAX")
    }

    pub(super) fn into_waiters(self) -> Vec<Waiter> {
        self.waiters.into()
    }

    pub(super) fn on_node_lost(&mut self, node: NodeId) {
        self.waiters.retain(|waiter| waiter.node != node);
    }
}
