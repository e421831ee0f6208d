//! The shared structures, field by field. All are atomic: two processes may write each at any time.
//!
//! Who trusts whom: a traced program may write anything into the file, by a wild pointer. The recorder takes every number in it
//! as a claim and checks it; nothing in it makes the recorder crash, wait for ever or write outside its own files.

use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::{CHUNK_BYTES, PAGE_BYTES};

/// First bytes of the file.
pub const MAGIC: u64 = u64::from_le_bytes(*b"UMBLLIVE");

/// Version of this layout: the preloaded library refuses another.
pub const VERSION: u32 = 4;

/// The head of the file.
#[repr(C)]
pub struct Header {
    /// [`MAGIC`], written last by whoever makes the file.
    pub magic: AtomicU64,
    /// [`VERSION`].
    pub version: AtomicU32,
    /// [`CHUNK_BYTES`] of whoever made it.
    pub chunk_bytes: AtomicU32,
    /// Chunks there are now. Grows only: the recorder makes the file longer first (its blocks reserved, so that a full disk
    /// is an error of the recorder and not a SIGBUS of the program).
    pub chunk_count: AtomicU32,
    /// Chunks there may ever be: what everybody maps. Fixed for the session.
    pub chunk_max: AtomicU32,
    /// What a thread does without a free chunk: a [`Full`].
    pub when_full: AtomicU32,
    /// Where the time comes from: a [`Clock`]. Fixed for the session.
    pub clock: AtomicU32,
    /// How programs read memory that may not be there: `umbel_probe::Method`. Set before the first process begins.
    pub probe: AtomicU32,
    /// The [`Mode`] a new process begins with.
    pub first_mode: AtomicU32,
    /// Ticks of the clock per second; 0 while the recorder doesn't know it well enough.
    pub ticks_per_second: AtomicU64,
    /// The recorder's pid, 0 when it has ended in good order.
    pub recorder_pid: AtomicU32,
    /// Rung (incremented, then futex-woken) when the recorder should look: a question in a process page, few free chunks.
    pub bell: AtomicU32,
    /// 1 while the recorder sleeps on the bell: others wake it only then.
    pub recorder_sleeps: AtomicU32,
    /// Chunks that are not free, by the recorder's last count and what was taken since. The bell is rung when it passes
    /// half of `chunk_count`.
    pub used_count: AtomicU32,
    /// Incremented, and its low half futex-woken, when chunks become free: those who wait for one sleep on it.
    pub freed: AtomicU64,
    /// Threads that sleep on `freed`.
    pub waiting: AtomicU64,
    /// Next serial of a thread.
    pub next_thread: AtomicU64,
    /// Next serial of a process (an exec makes a new one).
    pub next_process: AtomicU64,
    /// The coarse clock, in ticks of this session's clock: the recorder sets it each millisecond. Only with [`Clock::Coarse`].
    pub coarse_ticks: AtomicU64,
    /// Events that nobody could write down at all, not even as lost records: no process page, no chunk ever.
    pub lost_without_chunk: AtomicU64,
    /// Name of the session: random.
    pub session: [AtomicU64; 2],
}

/// What a thread does when no chunk is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Full {
    /// Drops events and counts them: a `Lost` word says so.
    Drop = 0,
    /// Waits for the recorder, as long as it lives.
    Wait = 1,
    /// Takes its own oldest full chunk: a flight recorder. The recorder empties nothing until it is asked.
    Overwrite = 2,
}

/// Where the time of an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Clock {
    /// rdtsc. Only where it runs evenly on all processors.
    Tsc = 0,
    /// clock_gettime(CLOCK_MONOTONIC), in nanoseconds.
    Monotonic = 1,
    /// [`Header::coarse_ticks`]: a millisecond's resolution at a third of the price.
    Coarse = 2,
}

/// One live process.
#[repr(C)]
pub struct ProcessPage {
    /// A [`PageState`].
    pub state: AtomicU32,
    /// What the hooks do: a [`Mode`]. The recorder sets it; the hooks look at it each time.
    pub mode: AtomicU32,
    /// The process.
    pub pid: AtomicU32,
    /// Incremented by the process when modules came or went and it waits for a verdict; then the bell rings.
    pub asked: AtomicU32,
    /// Set to `asked` by the recorder, and futex-woken, when the call sites are patched and the filters stand.
    pub answered: AtomicU32,
    /// Serial of the process.
    pub serial: AtomicU64,
    /// When the process began, in clock ticks of /proc/PID/stat: tells a recycled pid.
    pub started: AtomicU64,
    /// Events dropped for want of a chunk that no `Lost` word tells of yet: final when the process is dead.
    pub lost: AtomicU64,
    /// Modules in `filters`.
    pub filter_count: AtomicU32,
    /// The plan region that says what is captured: 1 and up; 0: nothing is. The recorder sets it before it answers a question; a child of
    /// fork begins with its parent's.
    pub region: AtomicU32,
    /// Modules with bitmaps of excluded functions; looked at only in [`Mode::Filter`].
    pub filters: [ModuleFilter; FILTERS_MAX],
}

/// Modules with a bitmap, per process.
pub const FILTERS_MAX: usize = 64;

/// Excluded functions of a module: bit `n` of the bitmap stands for address `begin + n`.
#[repr(C)]
pub struct ModuleFilter {
    /// First address.
    pub begin: AtomicU64,
    /// Bytes of text: bits of the bitmap.
    pub bytes: AtomicU64,
    /// Offset of the bitmap in the shared file.
    pub offset: AtomicU64,
}

/// Life of a process page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum PageState {
    /// Anybody may take it, by compare-and-swap.
    Free = 0,
    /// A process has it.
    Taken = 1,
}

/// What the hooks of a process do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Mode {
    /// Nothing: tracing is off.
    Off = 0,
    /// Record every event.
    Record = 1,
    /// Record what the bitmaps don't exclude.
    Filter = 2,
}

/// The head of a chunk: whose words follow. Written while the chunk is [`ChunkState::Claimed`], but for `taken`. The words
/// behind it are empty until they are written, and whole up to the first empty one.
#[repr(C)]
pub struct ChunkHeader {
    /// A [`Kind`].
    pub kind: AtomicU32,
    /// The thread's pid and tid, for whoever looks at the file alone.
    pub pid: AtomicU32,
    /// See `pid`.
    pub tid: AtomicU32,
    /// Serial of the process.
    pub process: AtomicU64,
    /// Serial of the thread.
    pub thread: AtomicU64,
    /// Number of the chunk in its thread (of its kind), from 0: gaps are losses.
    pub number: AtomicU64,
    /// Words that this thread wrote to earlier chunks of this kind.
    pub words_before: AtomicU64,
    /// Up to where the recorder has taken the words: the word's index, and in the upper half the low half of `number`.
    /// Another number there: nothing is taken. Readers of a dead session begin there.
    pub taken: AtomicU64,
    /// The chunk that the thread took after this one, while it has both: who overwrites its oldest finds the next oldest here.
    pub next: AtomicU32,
}

/// Where the words begin in a chunk.
pub const WORDS_OFFSET: usize = 128;

/// Life of a chunk, kept in the table before the chunks ([`crate::pool`] has the rules):
/// free -> claimed -> owned -> full -> claimed -> free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ChunkState {
    /// Anybody may claim it.
    Free = 0,
    /// Its thread appends.
    Owned = 1,
    /// Nobody appends any more.
    Full = 2,
    /// Somebody has it for a moment: who prepares it, who takes its last words. What lies in it is nobody's.
    Claimed = 3,
}

/// What a chunk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// Calls and what lies among them.
    Events = 0,
    /// A process's journal: `thread` is 0. Never overwritten.
    Journal = 1,
}

const _: () = assert!(size_of::<Header>() <= PAGE_BYTES);
const _: () = assert!(size_of::<ProcessPage>() <= PAGE_BYTES);
const _: () = assert!(size_of::<ChunkHeader>() <= WORDS_OFFSET && WORDS_OFFSET < CHUNK_BYTES);
