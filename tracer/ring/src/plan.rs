//! Capture plans: which bytes a program copies for an event, as small programs that the recorder makes out of the debug information and
//! the hooks carry out. No types, no names: those stay with the recorder.
//!
//! A **plan** belongs to a frame that waits at a return address: that of a hook's call (its function's arguments, locals, return value),
//! or that of the call of the traced function (its caller's locals). The **plan region** of a process, in the shared file, is read by
//! its hooks and written by the recorder alone:
//!
//! | words | |
//! |---|---|
//! | head | [`RegionHead`] |
//! | table | `table_len` (a power of two) times: return address, then word offset of its plan in the region (0: nothing is captured there) |
//! | rest | plans and shapes, appended |
//!
//! A place in the table is `hash(return address)`, then the next ones, until an empty key. The recorder writes the second word, then the
//! key (release). A hook that finds no key asks ([`RegionHead::requests`]).
//!
//! # A plan: words
//!
//! word 0: [`PlanHead`]; then ops until [`Opcode::End`]. An op is one word, some take more:
//!
//! | bits | |
//! |---|---|
//! | 0..8 | [`Opcode`] |
//! | 8..16 | a register, by DWARF's number: rbx 3, rbp 6, rsp 7, r12-r15; [`CFA`] |
//! | 16..32 | a number of bytes |
//! | 32..64 | an offset, signed |
//!
//! # What it captures
//!
//! The payload of a [`crate::word::Code::Values`] word: time; then for each frame: word offset of the plan, what its ops append, one
//! word with the number of regions, the regions; a [`Opcode::Caller`]'s frame follows (word 0: there is no plan for it).
//! A **region** is memory that was found by following pointers: address; bytes in the low half and a [`RegionState`] above; its bytes, padded
//! with 0 to whole words, if it could be read.
//!
//! # Shapes
//!
//! A **shape** says where in captured bytes pointers lie, and what of their targets is captured: word 0: number of instructions; each two
//! words: [`Follow`] (8 bits), a number (24), an offset in the bytes (32); then a count or second offset (32), word offset of the
//! shape of the target (32; 0: none). Pointers are followed breadth first, to the plan's depth; no address twice; null never.

use core::sync::atomic::{AtomicU32, AtomicU64};

/// The register number that stands for the canonical frame address.
pub const CFA: u8 = 0xff;

/// Threads that can ask at one time; others wait for a place.
pub const REQUESTS: usize = 32;

/// The head of a plan region.
#[repr(C)]
pub struct RegionHead {
    /// Entries of the table.
    pub table_len: AtomicU32,
    /// Incremented, and futex-woken, when requests were answered.
    pub answered: AtomicU32,
    /// Return addresses whose plans are wanted; 0: free. The asker puts it by compare-and-swap, rings the bell and waits until the recorder
    /// has made an entry (of 0, if it can't tell) and puts 0. An asker whose recorder is gone goes on without values.
    pub requests: [AtomicU64; REQUESTS],
    /// What the hook knew of each request: bit 0: 1 for a caller's frame; 2: a return; address of the function above.
    pub details: [AtomicU64; REQUESTS],
}

/// Word 0 of a plan.
///
/// | bits | |
/// |---|---|
/// | 0..16 | words of a payload at most |
/// | 16..24 | how deep pointers are followed |
/// | 24..32 | regions at most |
/// | 32..64 | words of the plan |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanHead {
    /// Words of the frame's payload at most: what doesn't fit is left out, and its region says so.
    pub payload_words: u16,
    /// How deep pointers are followed.
    pub depth: u8,
    /// Regions at most.
    pub regions: u8,
    /// Words of the plan with this one.
    pub words: u32,
}

/// What an op does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// The plan ends.
    End = 0,
    /// Appends a register.
    Register = 1,
    /// Appends bytes of the frame's own stack: the register plus the offset, not guarded.
    Stack = 2,
    /// Follows the pointers in what the op before appended. Next word: offset of the shape.
    Shape = 3,
    /// Pushes register plus offset.
    Push = 4,
    /// Pushes the next word.
    Constant = 5,
    /// Replaces the top by what lies there, guarded: so many bytes, sign-extended if the offset is 1. Nothing there: the
    /// plan's ops up to the next [`Opcode::Region`] are left out, which appends an invalid region.
    Load = 6,
    /// Takes two, pushes their combination; the offset is a [`Arithmetic`].
    Combine = 7,
    /// Takes an address from the stack: a region of so many bytes as the next word says in its low half; its upper half is the
    /// offset of its shape, or 0. Bits 16..32: bytes of an element, not 0: takes a count from the stack first, and the low half is
    /// the most bytes of all.
    Region = 8,
    /// The frame's caller. Register and offset give its CFA (the frame's own); the next two words six signed 16-bit numbers: where rbx, rbp,
    /// r12, r13, r14, r15 of the caller lie, in words from the CFA; 0: where they are; [`UNKNOWN`]: not known. The plan ends.
    Caller = 9,
    /// Sets the frame's CFA to register plus offset: before any op that uses [`CFA`].
    SetCfa = 10,
    /// Appends all 16 bytes of an xmm register (number 17..): only where they were saved: at a return, xmm0 and xmm1.
    Vector = 11,
}

/// A register of the caller that can't be told.
pub const UNKNOWN: i16 = i16::MIN;

/// Combinations of two numbers; the first is the one below the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "they are called as in DWARF")]
pub enum Arithmetic {
    Plus = 0,
    Minus = 1,
    Mul = 2,
    And = 3,
    Or = 4,
    Xor = 5,
    Shl = 6,
    Shr = 7,
    Shra = 8,
}

/// What is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Follow {
    /// A pointer at the offset to an object: the number is its bytes.
    Object = 1,
    /// The same, at no cost in depth: the next node of a list or tree.
    Link = 2,
    /// A pointer to a text: up to its NUL, at most the number of bytes.
    Text = 3,
    /// Pointers to the begin (at the offset) and the end (at the second offset) of elements of the number's bytes: a vector.
    Span = 4,
    /// A pointer at the offset and a count of 8 bytes at the second offset, elements of the number's bytes: a string.
    Counted = 5,
    /// No pointer: the shape applies to each of count elements of the number's bytes from the offset on.
    Each = 6,
}

/// What became of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RegionState {
    /// Its bytes follow.
    Captured = 0,
    /// No memory can be read there.
    Invalid = 1,
    /// A limit left it out.
    LeftOut = 2,
}

/// Where in the table an address is looked for first.
pub fn hash(address: u64) -> u64 {
    address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}
