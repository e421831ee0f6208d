//! Who has which chunk: the table, one word per chunk.
//!
//! | from | to | by | when |
//! |---|---|---|---|
//! | Free | Claimed | a thread, compare-and-swap | it needs a chunk: the first in the table, whose pages are warm |
//! | Claimed | Owned | its owner | words are empty and the head says whose they are |
//! | Owned | Full | its owner | it has taken another, or ends |
//! | Owned | Full | the recorder, or the next image after exec | the owner is dead |
//! | Claimed | Free | the recorder, or the next image after exec | the owner is dead: nothing was written |
//! | Full | Claimed | the recorder; a thread that overwrites its oldest | compare-and-swap |
//! | Claimed | Free | the recorder | its words are taken |
//!
//! The entry names its owner in the same word, so that a death between any two steps leaves no chunk without an heir.

use crate::Cell;
use crate::layout::ChunkState;

/// Whose a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Index of the process page.
    pub page: u16,
    /// The thread; the pid for a journal.
    pub tid: u32,
}

/// A word of the table.
///
/// | bits | meaning |
/// |---|---|
/// | 0..8 | [`ChunkState`] |
/// | 8..16 | 0 |
/// | 16..32 | index of the process page |
/// | 32..64 | tid |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry(pub u64);

impl Entry {
    /// A chunk of nobody.
    pub const FREE: Self = Self(0);

    /// A chunk in `state`, not free, of `owner`.
    pub fn new(state: ChunkState, owner: Owner) -> Self {
        Self(state as u64 | u64::from(owner.page) << 16 | u64::from(owner.tid) << 32)
    }

    /// Its state; `None` if nobody of us wrote it.
    pub fn state(self) -> Option<ChunkState> {
        match self.0 as u8 {
            0 => Some(ChunkState::Free),
            1 => Some(ChunkState::Owned),
            2 => Some(ChunkState::Full),
            3 => Some(ChunkState::Claimed),
            _ => None,
        }
    }

    /// Its owner, unless it is free.
    pub fn owner(self) -> Owner {
        Owner {
            page: (self.0 >> 16) as u16,
            tid: (self.0 >> 32) as u32,
        }
    }
}

/// Claims the first free chunk, if `spare` more are free.
pub fn claim<C: Cell>(table: &[C], owner: Owner, spare: usize) -> Option<usize> {
    let claimed = Entry::new(ChunkState::Claimed, owner);
    loop {
        let first = first_free(table, spare)?;
        if table[first].replace(Entry::FREE.0, claimed.0).is_ok() {
            return Some(first);
        }
    }
}

fn first_free<C: Cell>(table: &[C], spare: usize) -> Option<usize> {
    let mut free = (0..table.len()).filter(|&index| table[index].load() == Entry::FREE.0);
    let first = free.next()?;
    (free.take(spare).count() == spare).then_some(first)
}

/// Moves a chunk from one state to the next, if it is still there.
pub fn change<C: Cell>(entry: &C, owner: Owner, from: ChunkState, to: ChunkState) -> bool {
    let (from, to) = (Entry::new(from, owner), Entry::new(to, owner));
    entry.replace(from.0, to.0).is_ok()
}

/// Frees a claimed chunk and tells whether somebody waits for it: then `freed` is to be woken.
pub fn free<C: Cell>(entry: &C, freed: &C, waiting: &C) -> bool {
    entry.store(Entry::FREE.0);
    freed.add(1);
    // A waiter counts itself, then looks at the table once more: one of us sees the other.
    C::fence();
    waiting.load() > 0
}

/// Waits until a claim may succeed: `sleep(value)` returns when `freed` isn't `value` any more, or when it likes.
pub fn wait_for_free<C: Cell>(
    table: &[C],
    spare: usize,
    freed: &C,
    waiting: &C,
    sleep: impl FnOnce(u64),
) {
    waiting.add(1);
    C::fence();
    let seen = freed.load();
    // What was freed before we were counted is seen here; what is freed after changes `freed`, and we are woken.
    if first_free(table, spare).is_none() {
        sleep(seen);
    }
    waiting.add(u64::MAX);
}
