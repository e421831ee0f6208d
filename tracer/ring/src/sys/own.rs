//! A word that one thread and its signal handlers write.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::Cell;

/// What a thread appends to, and what it knows of it: others only read. So a compare-and-swap needs to be whole for signal handlers of this
/// thread alone: one instruction, without lock prefix, a third of the price.
#[derive(Debug)]
#[repr(transparent)]
pub struct Own(AtomicU64);

impl Own {
    /// `word` as one: which nobody else writes.
    #[inline]
    pub fn of(word: &AtomicU64) -> &Self {
        // SAFETY: transparent.
        unsafe { &*core::ptr::from_ref(word).cast() }
    }

    /// The same for several.
    #[inline]
    pub fn of_all(words: &[AtomicU64]) -> &[Self] {
        // SAFETY: transparent.
        unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), words.len()) }
    }
}

impl Cell for Own {
    #[inline]
    fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    #[inline]
    fn store(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    #[inline]
    fn replace(&self, current: u64, new: u64) -> Result<u64, u64> {
        let mut there = current;
        // SAFETY: an aligned word of an atomic; x86 orders its loads and stores as acquire and release do, and the compiler moves no
        // access to memory across.
        unsafe {
            asm!(
                "cmpxchg qword ptr [{word}], {new}",
                word = in(reg) self.0.as_ptr(),
                new = in(reg) new,
                inout("rax") there,
                options(nostack)
            );
        }
        if there == current {
            Ok(there)
        } else {
            Err(there)
        }
    }

    /// Not used: what is counted is others' too.
    fn add(&self, value: u64) -> u64 {
        self.0.fetch_add(value, Ordering::AcqRel)
    }

    fn fence() {
        core::sync::atomic::fence(Ordering::SeqCst);
    }
}
