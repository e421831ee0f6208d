//! A word that several threads, processes or signal handlers read and write: an atomic, or loom's model of one.

use core::sync::atomic::{AtomicU64, Ordering};

/// What the algorithms here need of a shared word.
pub trait Cell {
    /// Its value; what was written before the store that is seen is seen too (Acquire).
    fn load(&self) -> u64;
    /// Sets it; publishes what was written before (Release).
    fn store(&self, value: u64);
    /// Sets it to `new` if it is `current`, else tells what it is (AcqRel).
    fn replace(&self, current: u64, new: u64) -> Result<u64, u64>;
    /// Adds and tells the value before (AcqRel).
    fn add(&self, value: u64) -> u64;
    /// Between a store of one's own and a load of the other's, where each must see at least one of the two (SeqCst).
    fn fence();
}

impl Cell for AtomicU64 {
    #[inline]
    fn load(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    #[inline]
    fn store(&self, value: u64) {
        self.store(value, Ordering::Release);
    }

    #[inline]
    fn replace(&self, current: u64, new: u64) -> Result<u64, u64> {
        self.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
    }

    fn add(&self, value: u64) -> u64 {
        self.fetch_add(value, Ordering::AcqRel)
    }

    fn fence() {
        core::sync::atomic::fence(Ordering::SeqCst);
    }
}
