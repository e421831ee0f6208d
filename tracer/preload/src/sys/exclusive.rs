//! A lock for what few threads want for a moment, with signals blocked.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use umbel_trace_ring::sys::{futex_wait, futex_wake};

/// A value that one thread at a time has.
pub struct Exclusive<T> {
    /// 0: free, 1: taken, 2: taken, and others may sleep.
    lock: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: only the thread that has the lock reaches the value.
unsafe impl<T: Send> Sync for Exclusive<T> {}

impl<T> Exclusive<T> {
    /// With its first value.
    pub const fn new(value: T) -> Self {
        Self {
            lock: AtomicU32::new(0),
            value: UnsafeCell::new(value),
        }
    }

    /// Lets `work` have the value. Signals must be blocked, and `work` must not come here again.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        if self
            .lock
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            while self.lock.swap(2, Ordering::Acquire) != 0 {
                futex_wait(&self.lock, 2, Duration::from_millis(100));
            }
        }
        // SAFETY: the lock is ours.
        let result = work(unsafe { &mut *self.value.get() });
        // Release: the next one sees what we did.
        if self.lock.swap(0, Ordering::Release) == 2 {
            futex_wake(&self.lock);
        }
        result
    }

    /// In a child of fork: whoever had it is not here.
    pub fn reset(&self) {
        self.lock.store(0, Ordering::Release);
    }
}
