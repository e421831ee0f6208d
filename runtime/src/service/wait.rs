//! How the service thread waits: it looks for a while, if nobody else wants the processor, and then sleeps.
//!
//! A wake-up on another, sleeping processor costs 20 us and more in a virtual machine, a look at a ring some
//! nanoseconds, a look at a socket 0.2 us.

use std::io;
use std::sync::atomic::{Ordering, fence};

use uffd_dsm::Engine;

use super::Service;
use crate::sys::process::now_ns;

impl Service {
    /// Waits for events, or for bytes or requests that a look finds; whether a look found bytes. Nothing at all after an
    /// interruption.
    ///
    /// Looks first when every thread of this node waits for something that comes through this loop: then nobody
    /// else wants the processor, and the next event finds it awake. How long, the last waits tell: a little longer than
    /// they took, if they were short, and else not so long that it matters.
    pub(super) fn wait(&mut self) -> io::Result<bool> {
        self.poll.clear();
        if self.spin_ns > 0 && self.all_threads_wait() {
            let start_ns = now_ns();
            let end_ns = start_ns + self.look_ns;
            for look in 1_u32.. {
                let found = self.links.look();
                if found || self.node.has_requests() {
                    self.turns_unasked += 1;
                    if self.turns_unasked >= TURNS_UNASKED_MAX {
                        self.ask()?;
                    }
                    return Ok(found);
                }
                if look % LOOKS_PER_QUESTION == 0 {
                    if self.ask()? {
                        return Ok(false);
                    }
                    if now_ns() >= end_ns {
                        break;
                    }
                }
                std::hint::spin_loop();
            }
            let found = self.sleep()?;
            let waited_ns = now_ns() - start_ns;
            self.look_ns = match waited_ns < self.spin_ns * LOOK_MAX {
                true => 2 * waited_ns,
                false => (self.look_ns / 2).max(self.spin_ns / LOOK_MAX),
            };
            return Ok(found);
        }
        self.sleep()
    }

    /// Asks the kernel for events, without waiting; whether there are any.
    fn ask(&mut self) -> io::Result<bool> {
        self.turns_unasked = 0;
        self.poll.wait(false)
    }

    fn sleep(&mut self) -> io::Result<bool> {
        self.turns_unasked = 0;
        // Relaxed: the fence orders it before the looks, as in `Node::submit` before the look at this.
        self.node.service_sleeps.store(true, Ordering::Relaxed);
        let found = self.links.ask_to_be_rung();
        fence(Ordering::SeqCst);
        let busy = found || self.node.has_requests();
        self.poll.wait(!busy)?;
        self.node.service_sleeps.store(false, Ordering::Relaxed);
        self.links.are_awake();
        Ok(found && self.links.look())
    }

    fn all_threads_wait(&self) -> bool {
        let faulting = self.engine.as_ref().map_or(0, Engine::waiting_count);
        self.threads_alive <= faulting + self.waiting.len() + self.node.sync.waiting_count()
    }
}

/// A thread looks for at most twice so many times as long as it was told at the start, and at least for that part
/// of it: long enough for steps of computation between two messages, and short enough to be lost in a long wait.
const LOOK_MAX: u64 = 8;

/// Looks between two questions to the kernel, 0.5 us each, for what no look finds: some microseconds.
const LOOKS_PER_QUESTION: u32 = 32;

/// Turns in a row without such a question.
const TURNS_UNASKED_MAX: u32 = 16;
