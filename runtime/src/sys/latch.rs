//! What happens once, and a thread that waits for it.
//!
//! Not [`std::thread::park`]: that has one word for all waits of a thread, and a handler that interrupts a wait to wait
//! itself takes away what the first is to be woken by. Here each wait has a word of its own.

use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

const CLOSED: u32 = 0;
/// A thread sleeps, or is about to.
const AWAITED: u32 = 1;
const OPEN: u32 = 2;

/// Closed until it is opened, once.
#[derive(Debug, Default)]
pub struct Latch(AtomicU32);

impl Latch {
    /// Lets the thread that waits go on; what was done before this is seen by it.
    pub fn open(&self) {
        // Release: pairs with the loads in `is_open`.
        if self.0.swap(OPEN, Ordering::Release) == AWAITED {
            self.futex(libc::FUTEX_WAKE, 1);
        }
    }

    /// Whether it was opened.
    pub fn is_open(&self) -> bool {
        // Acquire: pairs with the swap in `open`.
        self.0.load(Ordering::Acquire) == OPEN
    }

    /// Waits for that; one thread may.
    pub fn wait(&self) {
        // Relaxed: it says nothing but that one must be woken.
        let awaited =
            self.0
                .compare_exchange(CLOSED, AWAITED, Ordering::Relaxed, Ordering::Relaxed);
        debug_assert_ne!(awaited, Err(AWAITED), "one thread waits");
        while !self.is_open() {
            self.futex(libc::FUTEX_WAIT, AWAITED);
        }
    }

    fn futex(&self, operation: i32, value: u32) {
        // SAFETY: the word is a live futex; without a timeout.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.0.as_ptr(),
                operation | libc::FUTEX_PRIVATE_FLAG,
                value,
                ptr::null::<libc::timespec>(),
            )
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn who_waits_goes_on_when_it_is_opened() {
        for _ in 0..1000 {
            let latch = Arc::new(Latch::default());
            let is_done = Arc::new(AtomicBool::new(false));
            let opener = std::thread::spawn({
                let (latch, is_done) = (Arc::clone(&latch), Arc::clone(&is_done));
                move || {
                    is_done.store(true, Ordering::Relaxed);
                    latch.open();
                }
            });
            latch.wait();
            assert!(is_done.load(Ordering::Relaxed));
            opener.join().expect("it does not panic");
        }
    }

    #[test]
    fn what_wakes_a_thread_for_another_wait_does_not_end_this_one() {
        let latches = [(); 2].map(|()| Arc::new(Latch::default()));
        let waiter = std::thread::spawn({
            let latches = latches.clone();
            move || {
                let me = std::thread::current();
                me.unpark();
                latches.iter().for_each(|latch| latch.wait());
                // Nobody took it.
                std::thread::park();
                latches.iter().all(|latch| latch.is_open())
            }
        });
        for latch in latches.iter().rev() {
            latch.open();
        }
        assert!(waiter.join().expect("it does not panic"));
    }
}
