//! Unsafe: the routines whose faults are known, signal handlers, the kernel without the C library, a thread without it.

pub mod ask;
pub mod call;
pub mod guarded;
pub mod kernel;
pub mod signals;
pub mod victim;

pub(crate) use call::pid;
