//! The C interface: `umbel.h` for programs, `umbel_abi.h` for the plugin. Documented there.

pub mod atomics;
mod heap;
mod memory;
mod pins;
mod sync;
mod threads;
