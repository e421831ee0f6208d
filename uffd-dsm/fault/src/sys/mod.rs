//! All unsafe code of the fault machinery: one system call or one pointer operation per block.

pub mod context;
pub mod lines;
pub mod map;
pub mod pagemap;
pub mod pool;
pub mod posts;
pub mod signal;
pub mod steps;
pub mod uffd;
pub mod windows;

use std::cell::Cell;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use userfaultfd::Uffd;

/// Hands a descriptor opened by [`uffd::open`] to the crate's handle.
pub fn adopt(descriptor: OwnedFd) -> Uffd {
    // SAFETY: the descriptor is a userfaultfd whose API handshake is done, and ownership moves.
    unsafe { Uffd::from_raw_fd(descriptor.into_raw_fd()) }
}

/// The calling thread, as the kernel names it; in a forked process, as it named the one that forked.
pub fn thread_id() -> u32 {
    thread_local! {
        /// 0: not asked yet.
        static KNOWN: Cell<u32> = const { Cell::new(0) };
    }
    if KNOWN.get() == 0 {
        // SAFETY: always succeeds and touches no memory.
        KNOWN.set(unsafe { libc::syscall(libc::SYS_gettid) as u32 });
    }
    KNOWN.get()
}

/// Accesses for the tests of the rights.
#[cfg(test)]
pub mod testing {
    /// Loads a byte of a view that a test mapped.
    pub fn load(address: usize) -> u8 {
        // SAFETY: the test mapped the address and keeps the mapping for ever.
        unsafe { (address as *const u8).read_volatile() }
    }

    /// Stores a byte of a view that a test mapped.
    pub fn store(address: usize, value: u8) {
        // SAFETY: as above; no other thread uses the byte.
        unsafe { (address as *mut u8).write_volatile(value) };
    }
}
