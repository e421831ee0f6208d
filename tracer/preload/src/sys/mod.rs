//! Unsafe: the hooks in assembly, thread-local and global state, calls into the C library and the loader.

pub mod exclusive;
pub mod global;
pub mod hooks;
pub mod jumps;
pub mod libc_calls;
pub mod loader;
pub mod memory;
mod plain_functions;
pub mod spawn;
pub mod start;

use core::alloc::{GlobalAlloc, Layout};

/// There is none: the shared file's recorder side, which nobody calls here, could allocate.
struct NoMemory;

// SAFETY: it never gives memory out.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static NO_MEMORY: NoMemory = NoMemory;

/// Nothing in here panics; if it did, there would be no way to go on.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    crate::message::tell(format_args!("stopped by a mistake of its own"));
    core::arch::x86_64::_mm_pause();
    memory::stop()
}
