//! A thread that appends: its chunks one after another, and what was lost between them.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::append::{Attempt, Both, NoRoom, Place};
use crate::layout::{ChunkState, Full, Kind, WORDS_OFFSET};
use crate::pool::{self, Entry, Owner};
use crate::sys::{Mapping, Own};
use crate::word::{Code, TIME_BITS, empty};
use crate::{CHUNK_BYTES, CHUNKS_OFFSET, Live};

/// Chunks that only journals may take: which modules and threads there are is worth more than any call.
const JOURNAL_CHUNKS: usize = 2;

/// The process to which a thread belongs.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// Its serial.
    pub serial: u64,
    /// Its pid.
    pub pid: u32,
    /// Index of its page.
    pub page: u16,
}

/// What a thread knows of its chunks: zeroes at first, in thread-local memory. The hooks in assembly use the first three fields.
/// Atomic for the signal handlers of the thread; nobody else looks at it.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Producer {
    /// Address of the next word.
    pub cursor: AtomicU64,
    /// What is there.
    pub empty: AtomicU64,
    /// Time of the last `Time` word without its low 16 bits.
    pub time_upper: AtomicU64,
    /// Where the chunk begins, 0 if there is none.
    chunk: AtomicU64,
    /// Serial of the thread; 0 before its first event.
    thread: AtomicU64,
    /// The number the next chunk gets.
    number: AtomicU64,
    /// Words in all chunks before this one.
    words_before: AtomicU64,
    /// 1 + index of the thread's oldest chunk, 0 if it isn't known.
    oldest: AtomicU64,
    /// Events lost since the last chunk; the times of the first and the last.
    lost: [AtomicU64; 3],
    /// `Header::freed` when there was no chunk.
    freed_seen: AtomicU64,
    tid: AtomicU32,
    /// The slow path is running: hooks that arrive meanwhile (of functions that it calls, if the program replaced them) are lost.
    pub inside: AtomicU32,
}

const RELAXED: Ordering = Ordering::Relaxed;

impl Producer {
    /// One without a chunk.
    pub const fn new() -> Self {
        Self {
            cursor: AtomicU64::new(0),
            empty: AtomicU64::new(0),
            time_upper: AtomicU64::new(0),
            chunk: AtomicU64::new(0),
            thread: AtomicU64::new(0),
            number: AtomicU64::new(0),
            words_before: AtomicU64::new(0),
            oldest: AtomicU64::new(0),
            lost: [const { AtomicU64::new(0) }; 3],
            freed_seen: AtomicU64::new(0),
            tid: AtomicU32::new(0),
            inside: AtomicU32::new(0),
        }
    }

    /// Its thread's serial, 0 before [`Producer::begin`].
    pub fn thread(&self) -> u64 {
        self.thread.load(RELAXED)
    }

    /// Its thread's tid.
    pub fn tid(&self) -> u32 {
        self.tid.load(RELAXED)
    }

    /// Whether it has a chunk now.
    pub fn has_chunk(&self) -> bool {
        self.chunk.load(RELAXED) != 0
    }

    /// The first event of a thread; `thread` 0: a journal.
    pub fn begin(&self, thread: u64, tid: u32) {
        self.forget();
        self.thread.store(thread, RELAXED);
        self.tid.store(tid, RELAXED);
    }

    /// After fork, in the child: the chunk is the parent's.
    pub fn forget(&self) {
        self.cursor.store(0, RELAXED);
        for field in [
            &self.empty,
            &self.time_upper,
            &self.chunk,
            &self.thread,
            &self.number,
        ] {
            field.store(0, RELAXED);
        }
        for field in [&self.words_before, &self.oldest, &self.freed_seen]
            .into_iter()
            .chain(&self.lost)
        {
            field.store(0, RELAXED);
        }
        self.tid.store(0, RELAXED);
        self.inside.store(0, RELAXED);
    }

    fn place<'a>(&'a self, live: &'a Live) -> Place<'a, Mapping> {
        Place {
            cursor: Own::of(&self.cursor),
            chunk: Own::of(&self.chunk),
            empty: Own::of(&self.empty),
            memory: &live.mapping,
        }
    }

    /// Appends a call or return: `word` without its time. The time that it got.
    ///
    /// # Errors
    /// The chunk is full: [`Producer::next_chunk`] first.
    #[inline]
    pub fn event(&self, live: &Live, word: u64, now: impl Fn() -> u64) -> Result<u64, NoRoom> {
        let place = self.place(live);
        loop {
            let slot = place.slot()?;
            let ticks = now();
            if ticks >> TIME_BITS != self.time_upper.load(RELAXED) {
                self.time(live, ticks)?;
                continue;
            }
            if place.append(slot, word | ticks << 48) == Attempt::Done {
                return Ok(ticks);
            }
        }
    }

    /// Appends an event and its numbers under the word `head`, as long as nothing is in the way: a full chunk, a new upper half of the time, a
    /// handler. The time that the event got if it alone is there.
    #[inline]
    pub fn event_with_numbers(
        &self,
        live: &Live,
        word: u64,
        head: u64,
        numbers: &[u64],
        now: impl Fn() -> u64,
    ) -> (Both, u64) {
        let mut ticks = 0;
        let both = self.place(live).append_both(head, numbers, || {
            ticks = now();
            let is_near = ticks >> TIME_BITS == self.time_upper.load(RELAXED);
            is_near.then_some(word | ticks << 48)
        });
        (both, ticks)
    }

    /// Appends a special word with its payload, which begins with its own time.
    ///
    /// # Errors
    /// The chunk hasn't enough room.
    pub fn special(&self, live: &Live, code: Code, payload: &[u64]) -> Result<(), NoRoom> {
        self.special_code(live, code as u16, payload.iter().copied())
    }

    /// The same with any code.
    ///
    /// # Errors
    /// The chunk hasn't enough room.
    pub fn special_code(
        &self,
        live: &Live,
        code: u16,
        payload: impl ExactSizeIterator<Item = u64> + Clone,
    ) -> Result<(), NoRoom> {
        self.place(live).append_special(code, payload)
    }

    /// Appends the values of an event. If `is_whole` says afterwards that `payload` was changed meanwhile, by a signal handler, they get a
    /// time that is no event's, and are nobody's: then this is to be done again.
    ///
    /// # Errors
    /// The chunk hasn't enough room.
    pub fn values(
        &self,
        live: &Live,
        payload: impl ExactSizeIterator<Item = u64> + Clone,
        is_whole: impl Fn() -> bool,
    ) -> Result<bool, NoRoom> {
        let code = Code::Values as u16;
        self.place(live).append_checked(code, payload, is_whole)
    }

    fn time(&self, live: &Live, ticks: u64) -> Result<(), NoRoom> {
        self.special(live, Code::Time, &[ticks])?;
        // A handler in between has written a later time, and set it; ours is then no event's any more, and the next one writes anew.
        self.time_upper.store(ticks >> TIME_BITS, RELAXED);
        Ok(())
    }

    /// Was there no chunk last time, and was none freed since?
    pub fn is_hopeless(&self, live: &Live) -> bool {
        let [lost, ..] = &self.lost;
        lost.load(RELAXED) > 0 && live.header().freed.load(RELAXED) == self.freed_seen.load(RELAXED)
    }

    /// Counts an event that can't be written.
    pub fn lose(&self, live: &Live, process: &Process, ticks: u64) {
        let [count, first, last] = &self.lost;
        if count.fetch_add(1, RELAXED) == 0 {
            first.store(ticks, RELAXED);
        }
        last.store(ticks, RELAXED);
        live.page(usize::from(process.page))
            .lost
            .fetch_add(1, RELAXED);
    }

    /// Gives the chunk to the recorder.
    pub fn retire(&self, live: &Live, process: &Process) {
        let chunk = self.chunk.load(RELAXED);
        if chunk == 0 {
            return;
        }
        let sealed = self.place(live).seal();
        let end = sealed.map_or(CHUNK_BYTES, |at| (at - chunk) as usize);
        let words = (end.saturating_sub(WORDS_OFFSET) / 8) as u64;
        self.words_before.fetch_add(words, RELAXED);
        self.cursor.store(0, RELAXED);
        self.chunk.store(0, RELAXED);
        let index = live.mapping.chunk_of(chunk as usize);
        if let Some(entry) = index.and_then(|index| live.table().get(index)) {
            pool::change(
                entry,
                self.owner(process),
                ChunkState::Owned,
                ChunkState::Full,
            );
        }
    }

    fn owner(&self, process: &Process) -> Owner {
        Owner {
            page: process.page,
            tid: self.tid.load(RELAXED),
        }
    }

    /// Retires the chunk and takes another, if there is one. Signals must be blocked: a handler that appends would find no chunk.
    pub fn next_chunk(&self, live: &Live, process: &Process, kind: Kind, ticks: u64) -> bool {
        let header = live.header();
        let before = self.chunk.load(RELAXED);
        self.retire(live, process);
        let freed = header.freed.load(Ordering::Acquire);
        let overwrite = header.when_full.load(RELAXED) == Full::Overwrite as u32;
        let claimed = self.claim(live, process, kind).or_else(|| {
            if overwrite {
                self.claim_oldest(live, process)
            } else {
                None
            }
        });
        let Some(index) = claimed else {
            self.freed_seen.store(freed, RELAXED);
            return false;
        };
        self.prepare(live, process, kind, index);
        self.link(live, before, index);
        // There's room for these.
        let _ = self.time(live, ticks);
        self.tell_lost(live, process, ticks);
        true
    }

    fn claim(&self, live: &Live, process: &Process, kind: Kind) -> Option<usize> {
        let table = live.table();
        let used = &live.header().used_count;
        let Some(index) = pool::claim(table, self.owner(process), spare_of(kind)) else {
            live.ring();
            return None;
        };
        let now_used = used.fetch_add(1, RELAXED) as usize + 1;
        // Half is gone: the recorder should look now, not at its next round.
        if 2 * now_used >= table.len() {
            live.ring();
        }
        live.mapping.populate(index);
        Some(index)
    }

    /// Waits until a chunk is free for events: until `freed` changes at the latest, and no longer than `sleep` likes.
    pub fn wait(live: &Live, sleep: impl FnOnce(u64)) {
        let header = live.header();
        let spare = spare_of(Kind::Events);
        pool::wait_for_free(live.table(), spare, &header.freed, &header.waiting, sleep);
    }

    /// Takes over the thread's oldest full chunk, or if it has none anybody's.
    fn claim_oldest(&self, live: &Live, process: &Process) -> Option<usize> {
        let table = live.table();
        let owner = self.owner(process);
        let is_mine = |index: &usize| {
            table.get(*index).is_some_and(|entry| {
                pool::change(entry, owner, ChunkState::Full, ChunkState::Claimed)
            })
        };
        let known = self
            .oldest
            .load(RELAXED)
            .checked_sub(1)
            .map(|index| index as usize);
        if let Some(index) = known.filter(is_mine) {
            self.oldest.store(
                u64::from(live.mapping.chunk(index).next.load(RELAXED)),
                RELAXED,
            );
            return Some(index);
        }
        self.oldest.store(0, RELAXED);
        let full = Entry::new(ChunkState::Full, owner).0;
        let mine = (0..table.len()).filter(|&index| table[index].load(RELAXED) == full);
        let oldest = mine.min_by_key(|&index| live.mapping.chunk(index).number.load(RELAXED));
        if let Some(index) = oldest.filter(is_mine) {
            return Some(index);
        }
        (0..table.len()).find(|&index| steal(live, index, owner))
    }

    fn prepare(&self, live: &Live, process: &Process, kind: Kind, index: usize) {
        let header = live.mapping.chunk(index);
        let number = self.number.fetch_add(1, RELAXED);
        let tid = self.tid.load(RELAXED);
        let thread = self.thread.load(RELAXED);
        // Another one than at this chunk's last uses, most likely: by this thread it is sure.
        let empty = empty(number.wrapping_add(thread.wrapping_mul(0x9e37)));
        live.mapping.fill(index, empty);
        header.kind.store(kind as u32, RELAXED);
        header.pid.store(process.pid, RELAXED);
        header.tid.store(tid, RELAXED);
        header.process.store(process.serial, RELAXED);
        header.thread.store(thread, RELAXED);
        header.number.store(number, RELAXED);
        header
            .words_before
            .store(self.words_before.load(RELAXED), RELAXED);
        header.taken.store(number << 32, RELAXED);
        header.next.store(0, RELAXED);
        let entry = Entry::new(ChunkState::Owned, self.owner(process));
        // Release: whoever sees it owned sees its head and its words.
        live.table()[index].store(entry.0, Ordering::Release);
        self.chunk.store(start_of(live, index), RELAXED);
        self.empty.store(empty, RELAXED);
        self.cursor
            .store(start_of(live, index) + WORDS_OFFSET as u64, RELAXED);
    }

    /// The chunk before leads to this one, for who overwrites.
    fn link(&self, live: &Live, before: u64, index: usize) {
        let Some(before) = live.mapping.chunk_of(before as usize) else {
            return;
        };
        live.mapping
            .chunk(before)
            .next
            .store(index as u32 + 1, RELAXED);
        if self.oldest.load(RELAXED) == 0 && self.number.load(RELAXED) == 2 {
            self.oldest.store(before as u64 + 1, RELAXED);
        }
    }

    fn tell_lost(&self, live: &Live, process: &Process, ticks: u64) {
        let [count, first, last] = &self.lost;
        let lost = count.swap(0, RELAXED);
        if lost > 0 {
            let payload = [first.load(RELAXED), last.load(RELAXED).min(ticks), lost];
            let _ = self.special(live, Code::Lost, &payload);
            live.page(usize::from(process.page))
                .lost
                .fetch_sub(lost, RELAXED);
        }
    }
}

/// Takes over another thread's full chunk, unless it is a journal.
fn steal(live: &Live, index: usize, owner: Owner) -> bool {
    let entry = &live.table()[index];
    let value = Entry(entry.load(Ordering::Acquire));
    let its = value.owner();
    if value.state() != Some(ChunkState::Full)
        || !pool::change(entry, its, ChunkState::Full, ChunkState::Claimed)
    {
        return false;
    }
    let is_journal = live.mapping.chunk(index).kind.load(RELAXED) == Kind::Journal as u32;
    let (state, owner) = match is_journal {
        true => (ChunkState::Full, its),
        false => (ChunkState::Claimed, owner),
    };
    entry.store(Entry::new(state, owner).0, Ordering::Release);
    !is_journal
}

/// Free chunks that one for `kind` must leave to others.
fn spare_of(kind: Kind) -> usize {
    match kind {
        Kind::Journal => 0,
        Kind::Events => JOURNAL_CHUNKS,
    }
}

fn start_of(live: &Live, index: usize) -> u64 {
    (live.mapping.base() + CHUNKS_OFFSET + index * CHUNK_BYTES) as u64
}
