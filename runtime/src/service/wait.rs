//! How the service thread waits: it looks for a while, if nobody else wants the processor, and then sleeps.
//!
//! A wake-up on another, sleeping processor costs 20 us and more in a virtual machine, a look at a ring some
//! nanoseconds, a look at a socket 0.2 us.

use std::io;
use std::sync::atomic::{Ordering, fence};

use uffd_dsm::Engine;

use super::Service;
use crate::sys::poll::Poll;
use crate::sys::process::now_ns;
use crate::turn::Held;

/// Waits for events, or for bytes or requests that a look finds; whether a look found bytes. Nothing at all after an
/// interruption. While the service thread sleeps, others may have the turn.
///
/// Looks first when every thread of this node waits for something that comes through this loop: then nobody
/// else wants the processor, and the next event finds it awake. How long, the last waits tell.
pub(super) fn wait(mut service: Held, poll: &mut Poll) -> (Held, io::Result<bool>) {
    poll.clear();
    if !(service.looks() && service.running_threads() == 0) {
        return sleep(service, poll);
    }
    let turn = &service.node.turn;
    let start_ns = now_ns();
    let found = service.look(poll, start_ns + turn.look_ns());
    match found {
        Ok(None) => {
            let spin_ns = service.spin_ns;
            let (service, found) = sleep(service, poll);
            turn.learn(now_ns() - start_ns, spin_ns);
            (service, found)
        }
        Ok(Some(found)) => (service, Ok(found)),
        Err(error) => (service, Err(error)),
    }
}

fn sleep(mut service: Held, poll: &mut Poll) -> (Held, io::Result<bool>) {
    let node = service.node;
    service.turns_unasked = 0;
    // Relaxed: the fence orders it before the looks, as in `Node::submit` before the look at this.
    node.service_sleeps.store(true, Ordering::Relaxed);
    let found = service.links.ask_to_be_rung();
    fence(Ordering::SeqCst);
    let busy = found || node.has_requests();
    drop(service);
    let waited = poll.wait(!busy);
    let mut service = node.turn.take();
    if let Some(began_ns) = node.turn.gave_up() {
        node.turn.learn(now_ns() - began_ns, service.spin_ns);
    }
    node.service_sleeps.store(false, Ordering::Relaxed);
    service.links.are_awake();
    let found = waited.map(|_| found && service.links.look());
    (service, found)
}

impl Service {
    /// Whether to look for events at all.
    pub(super) fn looks(&self) -> bool {
        self.spin_ns > 0
    }

    /// Looks until then: whether bytes were found, or nothing if nothing was.
    fn look(&mut self, poll: &mut Poll, end_ns: u64) -> io::Result<Option<bool>> {
        for look in 1_u32.. {
            let found = self.links.look();
            if found || self.node.has_requests() {
                self.turns_unasked += 1;
                if self.turns_unasked >= TURNS_UNASKED_MAX {
                    self.ask(poll)?;
                }
                return Ok(Some(found));
            }
            if look % LOOKS_PER_QUESTION == 0 {
                if self.ask(poll)? {
                    return Ok(Some(false));
                }
                if now_ns() >= end_ns {
                    break;
                }
            }
            std::hint::spin_loop();
        }
        Ok(None)
    }

    /// Asks the kernel for events, without waiting; whether there are any.
    fn ask(&mut self, poll: &mut Poll) -> io::Result<bool> {
        self.turns_unasked = 0;
        poll.wait(false)
    }

    /// How many of this node's threads don't wait for something that comes through here.
    pub(super) fn running_threads(&self) -> usize {
        let faulting = self.engine.as_ref().map_or(0, Engine::waiting_count);
        let waiting = faulting + self.waiting.len() + self.node.sync.waiting_count();
        self.threads_alive.saturating_sub(waiting)
    }
}

/// Looks between two questions to the kernel, 0.5 us each, for what no look finds: some microseconds.
const LOOKS_PER_QUESTION: u32 = 32;

/// Turns in a row without such a question.
const TURNS_UNASKED_MAX: u32 = 16;
