//! What a traced program and its recorder share: a file that both map, beside the recording that is being made.
//!
//! The recorder makes it; every process of the job maps it. It is cut into equal **chunks**; a thread owns one and appends
//! 8-byte **words** to it ([`word`] has their layout), and takes another when it is full; the recorder empties the full ones and
//! frees them. What one thread writes is a row of chunks with consecutive numbers, so a ring whose pages are shared by all
//! threads: a burst of one may use them all, an idle thread holds one. Everything lies in a file, so that it outlives a
//! SIGKILL of the program, and of the recorder too.
//!
//! | offset | bytes | meaning |
//! |---|---|---|
//! | 0 | [`PAGE_BYTES`] | [`layout::Header`] |
//! | [`PAGE_BYTES`] | [`PROCESSES_MAX`] * [`PAGE_BYTES`] | a [`layout::ProcessPage`] for each live process |
//! | [`TABLE_OFFSET`] | [`CHUNKS_MAX`] * 8 | who has each chunk: [`pool::Entry`] |
//! | [`CHUNKS_OFFSET`] | [`CHUNK_BYTES`] * `chunk_count` | chunks: [`layout::ChunkHeader`], then words |
//! | [`FILTERS_OFFSET`] | what is needed | bitmaps of excluded functions, where call sites can't be patched |
//! | [`plan::REGIONS_OFFSET`] | what is needed | capture plans, where values are wanted |
//!
//! Neither the standard library nor an allocating one is needed by what runs in traced programs ([`append`], [`pool`],
//! [`journal`]): those call the kernel themselves, so that nothing a program may have replaced is in between.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod append;
mod cell;
mod error;
pub mod journal;
pub mod layout;
mod live;
pub mod plan;
pub mod pool;
mod producer;
mod recorder;
pub mod sys;
mod take;
mod untaken;
pub mod word;

pub use cell::Cell;
pub use error::{Error, Result};
pub use live::{Live, Setup};
pub use producer::{Process, Producer};
pub use recorder::Page;
pub use take::{ChunkInfo, Taken, Taker, Which};
pub use untaken::Untaken;

/// Bytes of the header and of a process page.
pub const PAGE_BYTES: usize = 4096;

/// Processes of a job that are traced at one time; the pages of ended ones are used again.
pub const PROCESSES_MAX: usize = 959;

/// Where the table of the chunks begins.
pub const TABLE_OFFSET: usize = PAGE_BYTES * (1 + PROCESSES_MAX);

/// Where the chunks begin: aligned for chunks and for huge pages.
pub const CHUNKS_OFFSET: usize = 4 << 20;

/// Bytes of a chunk with its header, a power of two, to which chunks are aligned also in memory: 100 us of the
/// busiest thread, and small enough to stay in the caches between two threads.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// Words of a chunk.
pub const CHUNK_WORDS: usize = (CHUNK_BYTES - layout::WORDS_OFFSET) / 8;

/// Chunks at most: 2 GiB of records that the recorder has not taken yet.
pub const CHUNKS_MAX: usize = 32 * 1024;

/// Where the bitmaps of excluded functions begin.
pub const FILTERS_OFFSET: usize = CHUNKS_OFFSET + CHUNKS_MAX * CHUNK_BYTES;

/// Bytes of all bitmaps: 512 MiB of text.
pub const FILTERS_BYTES: usize = 64 << 20;

const _: () = assert!(TABLE_OFFSET + 8 * CHUNKS_MAX <= CHUNKS_OFFSET);
const _: () = assert!(CHUNK_BYTES.is_power_of_two() && CHUNKS_OFFSET.is_multiple_of(CHUNK_BYTES));
