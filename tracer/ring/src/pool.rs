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

/// Claims the first free chunk.
pub fn claim<C: Cell>(table: &[C], owner: Owner) -> Option<usize> {
    let claimed = Entry::new(ChunkState::Claimed, owner);
    table.iter().position(|entry| {
        entry.load() == Entry::FREE.0 && entry.replace(Entry::FREE.0, claimed.0).is_ok()
    })
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

/// Claims a free chunk, or waits: `sleep(value)` returns when `freed` isn't `value` any more or when it likes, and says whether
/// to try again.
pub fn claim_or_wait<C: Cell>(
    table: &[C],
    owner: Owner,
    freed: &C,
    waiting: &C,
    mut sleep: impl FnMut(u64) -> bool,
) -> Option<usize> {
    loop {
        if let Some(index) = claim(table, owner) {
            return Some(index);
        }
        waiting.add(1);
        C::fence();
        let seen = freed.load();
        let found = claim(table, owner);
        let again = found.is_some() || sleep(seen);
        waiting.add(u64::MAX);
        if found.is_some() || !again {
            return found;
        }
    }
}
