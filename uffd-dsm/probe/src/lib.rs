//! Reads memory that may not be there: unmapped at this moment by another thread, without the right to read, behind the end of a file,
//! at an address that can't be one. No standard library, no allocation, no C library: it runs in hooks of other people's programs.
//!
//! Three ways, by [`Method`]:
//!
//! * [`guarded`]: the thread itself reads, by instructions that [`chain`]'s handler of SIGSEGV and SIGBUS knows: a fault there goes on
//!   at a landing. 2 ns if the memory is there. Only while the thread can take these signals and the handler is ours. A fault is 2 us:
//!   [`Reads`] asks the kernel first where one is likely;
//! * [`kernel`]: the kernel reads: 0.4 us, whatever the signals are; several pieces together ([`Batch`]) take less;
//! * [`victim`]: another thread reads, and dies of it if need be (dos Santos et al., section 4.3): its successor is made by who waits for it.

#![no_std]

mod batch;
pub mod chain;
mod learned;
mod reads;
mod sys;

pub use batch::Batch;
pub use learned::Learned;
pub use reads::Reads;
pub use sys::call::call;
pub use sys::{guarded, kernel, victim};

/// How memory is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Method {
    /// By the thread, where its signals allow it; else by the kernel.
    Guarded = 0,
    /// By the kernel.
    Kernel = 1,
    /// By the victim.
    Victim = 2,
}

impl Method {
    /// The one that is written as `number`; [`Method::Guarded`] for any other.
    pub fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Kernel,
            2 => Self::Victim,
            _ => Self::Guarded,
        }
    }
}

/// Why memory was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// None is there, or not for reading.
    Invalid,
    /// Nobody can tell.
    Untold,
}

/// Addresses that no program can have memory at: the first page, and what isn't the lower half.
pub fn is_hopeless(address: usize, bytes: usize) -> bool {
    const FIRST: usize = 4096;
    const END: usize = 1 << 47;
    address < FIRST || bytes > END || address > END - bytes
}
