//! Barrier: lets its count of threads go on together, again and again.

use alloc::vec::Vec;

use umbel_wire::NodeId;

use super::errno::{EAGAIN, EINVAL};
use super::{Errno, Outcome, SyncEffect, Waiter};
use crate::limits;

/// What the last thread to arrive gets: PTHREAD_BARRIER_SERIAL_THREAD, made positive for the reply.
const SERIAL_THREAD: i32 = 1;

/// Invariant: fewer than `count` threads have arrived.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Barrier {
    count: u32,
    arrived: Vec<Waiter>,
}

impl Barrier {
    pub(super) fn new(count: u32) -> Result<Self, Errno> {
        match count as usize {
            0 => Err(EINVAL),
            // That many threads could never be waiting.
            count if count > limits::WAITERS_PER_OBJECT_MAX => Err(EAGAIN),
            _ => Ok(Self {
                count,
                arrived: Vec::new(),
            }),
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.arrived.is_empty()
    }

    pub(super) fn wait(
        &mut self,
        caller: Waiter,
        out: &mut Vec<SyncEffect>,
    ) -> Result<Outcome, Errno> {
        if self.arrived.len() + 1 < self.count as usize {
            self.arrived.push(caller);
            return Ok(Outcome::Waits);
        }
        for waiter in self.arrived.drain(..) {
            waiter.reply(0, out);
        }
        Ok(Outcome::Done(SERIAL_THREAD))
    }

    pub(super) fn into_waiters(self) -> Vec<Waiter> {
        self.arrived
    }

    /// The others wait on: their count cannot be reached unless a thread comes twice.
    pub(super) fn on_node_lost(&mut self, node: NodeId) {
        self.arrived.retain(|waiter| waiter.node != node);
    }
}
