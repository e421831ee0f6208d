//! All unsafe code of the runtime besides the C interface: the program's tables, its threads' registers,
//! entry into `main`, inherited descriptors.

pub mod abi;
mod allocator;
pub mod call;
pub mod calls;
pub mod fork;
pub mod inbox;
pub mod latch;
pub mod memory;
pub mod operate;
pub mod poll;
pub mod process;
pub mod segv;
pub mod signals;
pub mod start;
pub mod starter;
pub mod stubs;
pub mod tracer;
