//! The coarse clock: a thread that sets it each millisecond.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::clock;
use super::taker::Shared;

/// The clock's resolution.
const STEP: Duration = Duration::from_millis(1);

/// Sets the coarse clock until it is dropped.
pub struct Ticker {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Starts it.
    pub fn start(shared: Arc<Shared>) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = thread::Builder::new()
            .name("umbel-clock".into())
            .spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    shared.live.set_coarse(clock::ticks(shared.clock));
                    thread::sleep(STEP);
                }
            });
        Self {
            is_over,
            // Without it all times are the session's first: the order of events is right all the same.
            thread: thread.ok(),
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
