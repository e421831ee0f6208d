//! Unsafe: the hooks in assembly, thread-local and global state, calls into the C library and the loader.

// With a test harness there is a standard library, which has these.
#[cfg(not(test))]
mod alone;
pub mod emit;
pub mod exclusive;
pub mod global;
pub mod hooks;
pub mod jumps;
pub mod libc_calls;
pub mod loader;
pub mod memory;
mod plain_functions;
pub mod signals;
pub mod spawn;
pub mod start;
pub mod values;
pub mod vdso;
