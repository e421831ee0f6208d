//! Bytes between two processes of one machine: a ring in shared memory for each direction.
//!
//! The launcher makes the memory of a pair of nodes ([`Memory::create`]) and hands it to both; each maps it
//! ([`Memory::open`]) and has a [`Writer`] and a [`Reader`]. Whoever sleeps is rung over something else, a socket: this
//! crate only says when ([`ring`] has the rules).
//!
//! | offset | bytes | meaning |
//! |---|---|---|
//! | 0 | 2048 | [`Cursors`] of the ring from the lower rank to the higher |
//! | 2048 | 2048 | those of the other ring |
//! | 4096 | [`RING_BYTES`] | bytes from the lower rank to the higher |
//! | 4096 + RING_BYTES | RING_BYTES | bytes from the higher rank to the lower |
//!
//! The peer is trusted with nothing but its own bytes: its cursor is checked at each use, the memory can't shrink
//! under us (it is sealed), and bytes are copied out before anybody looks at them.

mod ring;
mod sys;

pub use ring::{Corrupt, Cursors, Reader, RingMemory, Word, Writer};
pub use sys::{Memory, Side};

/// Bytes of one ring, a power of two. A stream of pages keeps some 32 of them under way; more would only leave
/// the caches.
pub const RING_BYTES: usize = 256 * 1024;

/// Bytes of the memory of a pair.
pub const FILE_BYTES: usize = CURSORS_BYTES + 2 * RING_BYTES;

/// Of both rings: a page.
const CURSORS_BYTES: usize = 4096;

const _: () = assert!(RING_BYTES.is_power_of_two());
