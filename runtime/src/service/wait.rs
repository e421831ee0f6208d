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
    /// else wants the processor, and the next event finds it awake.
    pub(super) fn wait(&mut self) -> io::Result<bool> {
        self.poll.clear();
        if self.spin_ns > 0 && self.all_threads_wait() {
            let end_ns = now_ns() + self.spin_ns;
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

/// Looks between two questions to the kernel, 0.5 us each, for what no look finds: some microseconds.
const LOOKS_PER_QUESTION: u32 = 32;

/// Turns in a row without such a question.
const TURNS_UNASKED_MAX: u32 = 16;
