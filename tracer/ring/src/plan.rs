//! Capture plans: which bytes a program copies for an event, as small programs that the recorder makes out of the debug information and
//! the hooks carry out. No types, no names: those stay with the recorder.
//!
//! A **plan** belongs to a frame that waits at a return address: that of a hook's call (its function's arguments, locals, return value),
//! or that of the call of the traced function (its caller's locals). The **plan region** of a process, in the shared file, is read by
//! its hooks and written by the recorder alone; programs have all but its first page mapped for reading only, so they trust it:
//!
//! | pages | |
//! |---|---|
//! | first | [`Desk`]: what programs ask |
//! | second | [`Index`]: where the table is, and how much is there |
//! | rest | tables, plans and shapes, appended |
//!
//! A table has for each return address the word offset of its plan in the region, and above that of its quick form, if it has one
//! ([`Found`]); [`NOTHING`]: nothing is captured there; [`UNASKED`]: nobody has asked yet (what it was belonged to a module that is gone).
//! The hooks look at the first place themselves. Its place is `hash(return address)`, then the next
//! ones, until an empty key. The recorder writes the second word, then the key. A hook that finds no key asks.
//!
//! # A plan: words
//!
//! word 0: [`PlanHead`]; then [`Op`]s until [`Opcode::End`] or [`Opcode::Caller`]. An op is one word, some take more.
//!
//! # What it captures
//!
//! The payload of a [`crate::word::Code::Values`] word: the time of the event that it belongs to, exactly; then frames. Words behind the
//! last frame mean nothing. ([`crate::word::Code::Numbers`] says the same of a plan of a few numbers in fewer words: [`values_of`].) A frame is:
//!
//! | word | |
//! |---|---|
//! | 0 | bits 0..32: the plan's number; 0: no plan, and no more frames. 32..48: registers (DWARF's numbers) that nobody knows in this frame; [`STACK_MISSING`] |
//! | then | what its ops append, in whole words |
//! | then | number of regions |
//! | then | regions |
//!
//! A plan that ends with [`Opcode::Caller`] is followed by the caller's frame.
//! A **region** is memory that was found by following pointers: address; bytes in the low half and a [`RegionState`] above; if it was
//! captured, its bytes, padded with 0 to whole words. The first ones are those of [`Opcode::Region`]s, one for each, in the plan's order;
//! then those that shapes found, breadth first.
//!
//! # Shapes
//!
//! A **shape** says where in captured bytes pointers lie, and what of their targets is captured: word 0: number of instructions; each
//! [`Instruction::WORDS`] words. Pointers are followed to the plan's depth; no address twice; null never.

mod encode;
mod expected;
mod follow;
mod frame;
mod interpret;
mod quick;
mod region;
mod request;
mod text;
mod triggers;
mod wanted;

pub use encode::{Arithmetic, Follow, Instruction, Op, Opcode, PlanHead, RegionState, op};
pub use umbel_probe::kernel::Piece;

pub use interpret::{Captured, Code, Finder, Probe, Registers, Scratch, UNKNOWN_AT_HOOK, Unread};
pub use quick::{NUMBERS_MAX, QUICK_WORDS, numbers, values_of};
pub use region::{Found, Lookup, Plans, Region, VECTORS_WANTED};
pub use request::{Patience, Request};
pub use text::{
    ALWAYS, COMPARED_BYTES_MAX, ENDS_WITH_NUL, IS_NOT, Matcher, NEVER, TABLE_HEAD_WORDS,
};
pub use triggers::{Held, Hold, Triggered, Triggers};
pub use wanted::{At, From, Level, STOPPED_AT_CALL, STOPPED_AT_RETURN, Until, Wanted};

use core::sync::atomic::{AtomicU32, AtomicU64};

/// The register number that stands for the canonical frame address.
pub const CFA: u8 = 0xff;

/// A register of the caller that can't be told.
pub const UNKNOWN: i16 = i16::MIN;

/// Threads that can ask at one time; others go without.
pub const REQUESTS: usize = 32;

/// Threads that can be held at one time; others go on.
pub const HELD: usize = 64;

/// Threads that can be on their way to where their user wants them stopped, at one time.
pub const WANTED: usize = 60;

/// Bytes of a region: 2 Mi words, for a hundred thousand plans.
pub const REGION_BYTES: usize = 16 << 20;

/// Regions of a session at most; none is used twice.
pub const REGIONS_MAX: usize = 32 * 1024;

/// Where regions begin in the shared file.
pub const REGIONS_OFFSET: u64 = (crate::FILTERS_OFFSET + crate::FILTERS_BYTES) as u64;

/// Words that a payload may have, with its time.
pub const PAYLOAD_WORDS: usize = 2304;

/// In a frame's first word: something on the stack could not be read, and is zeroes.
pub const STACK_MISSING: u64 = 1 << 48;

/// Frames of a payload at most.
pub const FRAMES_MAX: usize = 16;

/// Set in a return address that the table is asked for: of the frame that waits there, only what it put into registers for the function
/// that it calls. No program has such addresses.
pub const ENTRIES: u64 = 1 << 63;

/// DWARF's number of the base of the segment fs: the thread's own address, which its thread-local variables lie beside.
pub const THREAD: u8 = 58;

/// In the table: nothing is captured there.
pub const NOTHING: u64 = 0;

/// In the table: ask.
pub const UNASKED: u64 = 1;

/// What programs write in a region: its first page.
#[repr(C)]
pub struct Desk {
    /// Incremented, and futex-woken, when requests were answered.
    pub answered: AtomicU32,
    /// Return addresses whose plans are wanted; 0: free; 1: being filled in. The asker takes a place by compare-and-swap, rings the bell and
    /// waits until the recorder has made an entry in the table and puts 0.
    pub requests: [AtomicU64; REQUESTS],
    /// What the hook knew of each request: bit 0: 1 for a caller's frame; 2: a return; address of the function above.
    pub details: [AtomicU64; REQUESTS],
    /// Threads that wait to be let go: tid, and the number of the trigger in the upper half; 0: free. The thread takes a place; the recorder
    /// puts 0 and wakes the low half.
    pub held: [AtomicU64; HELD],
    /// Threads that are to stop. The recorder puts wishes, threads take them away.
    pub wanted: Wanted,
}

/// What the recorder tells of a region: its second page.
#[repr(C)]
pub struct Index {
    /// Word offset of the table in the low half, its entries less one above: a power of two. It grows only. The hooks read the halves one by
    /// one, the upper one first: what they find then may be the wrong place, but is in a table.
    pub table: AtomicU64,
    /// Words of the region that are there: nothing behind them is looked at.
    pub words: AtomicU64,
}

/// By which [`hash`] multiplies.
pub const HASH: u64 = 0x9e37_79b9_7f4a_7c15;

/// Where in the table an address is looked for first.
pub fn hash(address: u64) -> u64 {
    address.wrapping_mul(HASH) >> 32
}

const _: () = assert!(size_of::<Desk>() <= crate::PAGE_BYTES);
const _: () = assert!(PAYLOAD_WORDS < crate::CHUNK_WORDS / 2);
