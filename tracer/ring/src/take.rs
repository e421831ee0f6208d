//! How the recorder empties the chunks.
//!
//! Nothing that lies in the file is believed: words are copied out before anybody looks at them, and each number is checked
//! where it is used. A program that writes nonsense there gets nonsense recorded, of its own.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering, fence};

use crate::append::whole_words;
use crate::layout::{ChunkHeader, ChunkState, Kind};
use crate::pool::{self, Entry, Owner};
use crate::sys::{futex_wake, low_half};
use crate::{CHUNK_WORDS, Live};

/// Whose words a chunk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkInfo {
    /// Calls, or a process's journal.
    pub kind: Kind,
    /// Serial of the process.
    pub process: u64,
    /// Serial of the thread; 0 for a journal.
    pub thread: u64,
    /// Number of the chunk in its thread.
    pub number: u64,
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
}

/// Which chunks are to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Journals only: a flight recorder's calls stay where they are.
    Journals,
}

/// What was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Words handed on.
    pub words: u64,
    /// Chunks freed.
    pub freed: usize,
    /// Chunks that are not free now.
    pub used: usize,
}

/// A chunk with words, as it was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub index: usize,
    pub entry: Entry,
    pub info: ChunkInfo,
    pub words_before: u64,
    /// Index of the first word that was not taken yet.
    pub from: usize,
}

impl Found {
    /// Reads the head of a chunk that somebody has.
    pub fn read(index: usize, entry: Entry, header: &ChunkHeader) -> Option<Self> {
        let kind = match header.kind.load(Ordering::Relaxed) {
            0 => Kind::Events,
            1 => Kind::Journal,
            _ => return None,
        };
        let number = header.number.load(Ordering::Relaxed);
        let taken = header.taken.load(Ordering::Relaxed);
        let is_of_this_number = taken >> 32 == number & 0xffff_ffff;
        let from = if is_of_this_number {
            taken as u32 as usize
        } else {
            0
        };
        Some(Self {
            index,
            entry,
            info: ChunkInfo {
                kind,
                process: header.process.load(Ordering::Relaxed),
                thread: header.thread.load(Ordering::Relaxed),
                number,
                pid: header.pid.load(Ordering::Relaxed),
                tid: header.tid.load(Ordering::Relaxed),
            },
            words_before: header.words_before.load(Ordering::Relaxed),
            from: from.min(CHUNK_WORDS),
        })
    }

    /// Journals first, so that who reads a thread's words knows the thread; then each thread's chunks in their order.
    pub fn order(&self) -> (bool, u64, u64, u64) {
        let info = &self.info;
        (
            info.kind == Kind::Events,
            info.process,
            info.thread,
            info.number,
        )
    }
}

/// The one who takes: there is one per file.
#[derive(Debug, Default)]
pub struct Taker {
    found: Vec<Found>,
    earlier: Vec<(u64, u64, u64)>,
    words: Vec<u64>,
}

impl Taker {
    /// One that has taken nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands all new words to `sink`, with the position of the first among all words of its thread (of its kind), and frees what is
    /// full. Each thread's words come in order, without what was overwritten or lost between; journals come first. A special
    /// word always comes with its payload.
    pub fn take(
        &mut self,
        live: &Live,
        which: Which,
        sink: &mut impl FnMut(&ChunkInfo, u64, &[u64]),
    ) -> Taken {
        self.look(live);
        let mut taken = Taken::default();
        let mut found = core::mem::take(&mut self.found);
        for chunk in &found {
            if which == Which::All || chunk.info.kind == Kind::Journal {
                self.take_chunk(live, chunk, &mut taken, sink);
            }
        }
        found.clear();
        self.found = found;
        let table = live.table();
        taken.used = table
            .iter()
            .filter(|entry| entry.load(Ordering::Relaxed) != Entry::FREE.0)
            .count();
        // A program that died between its claim and its count leaves a wrong count: ours is right again.
        live.header()
            .used_count
            .store(taken.used as u32, Ordering::Relaxed);
        taken
    }

    /// Finds the chunks with words. Between two entries of the table a thread may fill a chunk that was passed as free and take
    /// one that is still to come; so the table is read twice, and only what the first look promises comes out of the second:
    /// whatever is older than a chunk seen first is there when we look again.
    fn look(&mut self, live: &Live) {
        self.earlier.clear();
        let seen =
            chunks(live).map(|chunk| (chunk.info.process, chunk.info.thread, chunk.info.number));
        self.earlier.extend(seen);
        self.earlier.sort_unstable();
        self.found.clear();
        let earlier = &self.earlier;
        self.found.extend(chunks(live).filter(|chunk| {
            let key = (chunk.info.process, chunk.info.thread);
            let end = earlier.partition_point(|&(process, thread, _)| (process, thread) <= key);
            let last = end.checked_sub(1).map(|index| earlier[index]);
            last.is_some_and(|(process, thread, number)| {
                (process, thread) == key && chunk.info.number <= number
            })
        }));
        self.found.sort_unstable_by_key(Found::order);
    }

    fn take_chunk(
        &mut self,
        live: &Live,
        chunk: &Found,
        taken: &mut Taken,
        sink: &mut impl FnMut(&ChunkInfo, u64, &[u64]),
    ) {
        let entry = &live.table()[chunk.index];
        let owner = chunk.entry.owner();
        // It may have become full since; an owned one can't be claimed, its owner goes on meanwhile.
        let claimed = pool::change(entry, owner, ChunkState::Full, ChunkState::Claimed);
        let header = live.mapping.chunk(chunk.index);
        let words = live.mapping.words(chunk.index);
        self.words.clear();
        let read = |index: usize| words[index].load(Ordering::Acquire);
        let count = whole_words(chunk.from, !claimed, read, |word| self.words.push(word));
        // Acquire: if what follows is unchanged, so was all that was read before.
        fence(Ordering::Acquire);
        let same = header.number.load(Ordering::Relaxed) == chunk.info.number
            && header.thread.load(Ordering::Relaxed) == chunk.info.thread
            && header.process.load(Ordering::Relaxed) == chunk.info.process;
        let state = Entry(entry.load(Ordering::Relaxed)).state();
        let still = claimed || matches!(state, Some(ChunkState::Owned | ChunkState::Full));
        if same && still && count > 0 {
            let position = chunk.words_before.wrapping_add(chunk.from as u64);
            sink(&chunk.info, position, &self.words);
            taken.words += count as u64;
            let up_to = (chunk.from + count) as u64;
            header
                .taken
                .store(chunk.info.number << 32 | up_to, Ordering::Release);
        }
        if claimed {
            give_back(live, entry);
            taken.freed += 1;
        }
    }

    /// The chunks of a process that is dead, or of those of its threads that are (`is_dead` of each tid), are taken next time.
    pub fn retire_dead(&mut self, live: &Live, page: usize, mut is_dead: impl FnMut(u32) -> bool) {
        for entry in live.table() {
            let value = Entry(entry.load(Ordering::Acquire));
            let owner = value.owner();
            let (Some(state), true) = (value.state(), usize::from(owner.page) == page) else {
                continue;
            };
            match state {
                ChunkState::Owned if is_dead(owner.tid) => {
                    pool::change(entry, owner, ChunkState::Owned, ChunkState::Full);
                }
                ChunkState::Claimed if is_dead(owner.tid) => give_back(live, entry),
                _ => {}
            }
        }
    }
}

/// Frees a claimed chunk, and wakes who waits for one.
fn give_back(live: &Live, entry: &AtomicU64) {
    let header = live.header();
    if pool::free(entry, &header.freed, &header.waiting) {
        futex_wake(low_half(&header.freed));
    }
}

/// What is owned or full now.
fn chunks(live: &Live) -> impl Iterator<Item = Found> + '_ {
    live.table()
        .iter()
        .enumerate()
        .filter_map(|(index, entry)| {
            let entry = Entry(entry.load(Ordering::Acquire));
            if !matches!(entry.state(), Some(ChunkState::Owned | ChunkState::Full)) {
                return None;
            }
            Found::read(index, entry, live.mapping.chunk(index))
        })
}

impl Owner {
    /// Retires what another image of this process, or its dead threads, left behind: after exec, before the first chunk is taken.
    pub fn retire_all_of(page: u16, live: &Live) {
        Taker::new().retire_dead(live, usize::from(page), |_| true);
    }
}
