//! The recorder's unsafe code: the processor's counter, and calls that no crate wraps.

pub mod counter;
pub mod pages;
pub mod pidfd;
pub mod robust;
pub mod spawn;
