//! How a thread appends words to its chunk, whatever interrupts it.
//!
//! The thread has a **cursor**: the address of its chunk's next word. All words are [`Code::Empty`] until written, so a word is
//! appended by two steps, each of one instruction: the word replaces the empty one at the cursor; the cursor moves on. A signal
//! handler of the same thread may append between any two instructions:
//!
//! * before the first step: the place is taken, the interrupted one begins again, with a new time. It is also taken when the
//!   handler has filled the chunk and the recorder has freed it, and somebody uses it anew: each use has another empty word;
//! * between the two: the handler finds a word at the cursor, and goes on behind it. The interrupted one then sets the cursor
//!   back to where the handler began, perhaps even in a chunk that isn't the thread's any more: there the first step fails, for
//!   one of the two reasons above, and [`Place::slot`] walks to where the words end;
//! * a handler that never comes back (siglongjmp) leaves nothing behind that the next one doesn't see.
//!
//! A handler that gives the chunk up before its end, for want of room, changes the empty word at the end ([`Place::seal`]): the interrupted
//! one may have its eye on it.
//!
//! A special word with payload appends its first word as [`Code::Pending`] with its length (from then on the place is its
//! own), then writes the payload, then the real first word. Nobody else's words are between.
//!
//! The reader ([`whole_words`]) needs no number of the writer: it goes on to the first empty word. The hooks in
//! `tracer/preload` have the two steps for calls in assembly; these here are for all else, and for loom.

use crate::layout::WORDS_OFFSET;
use crate::word::{Code, Word, is_empty};
use crate::{CHUNK_BYTES, CHUNK_WORDS, Cell};

/// The chunk has no room (or there is none): take another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// How an attempt to append went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It is there.
    Done,
    /// A handler was faster: look at the time again.
    Again,
}

/// How an attempt to append an event with its values went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Both {
    /// Both are there.
    Done,
    /// Neither: there is no room, or a handler was faster. [`Place::slot`] finds out.
    Neither,
    /// The event is there. A handler has the place behind it.
    EventAlone,
}

/// The words' memory, by the addresses that are in cursors.
pub trait Memory {
    /// What a word lies in.
    type Cell: Cell;
    /// The word at `address`, which a cursor held.
    fn slot(&self, address: u64) -> &Self::Cell;
    /// `count` words from `address` on, which a cursor held, if all are in one chunk.
    fn row(&self, address: u64, count: usize) -> Option<&[Self::Cell]>;

    /// Sets the words from `address` on.
    fn store_all(&self, address: u64, values: impl Iterator<Item = u64>) {
        for (place, value) in values.enumerate() {
            self.slot(address + 8 * place as u64).store(value);
        }
    }
}

/// Where a thread appends.
#[derive(Debug)]
pub struct Place<'a, M: Memory> {
    /// The address of the next word, or of one before; a multiple of [`CHUNK_BYTES`]: no room, or no chunk.
    pub cursor: &'a M::Cell,
    /// Where the thread's chunk begins; 0: it has none.
    pub chunk: &'a M::Cell,
    /// What is at the cursor before it is written. Set before the cursor when the chunk changes, and read before it.
    pub empty: &'a M::Cell,
    /// The words.
    pub memory: &'a M,
}

/// A place for a word, which may be taken by a handler before it is used.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    at: u64,
    end: u64,
    empty: u64,
}

impl<M: Memory> Place<'_, M> {
    /// The next place, behind whatever an interrupted writer has put there and not yet counted. Read the time after this.
    ///
    /// # Errors
    /// The chunk is full.
    #[inline]
    pub fn slot(&self) -> Result<Slot, NoRoom> {
        loop {
            let chunk = self.chunk.load();
            if chunk == 0 {
                return Err(NoRoom);
            }
            let start = chunk + WORDS_OFFSET as u64;
            let end = chunk + CHUNK_BYTES as u64;
            let empty = self.empty.load();
            let at = self.cursor.load();
            if !(start..=end).contains(&at) {
                let _ = self.cursor.replace(at, start);
                continue;
            }
            if at == end {
                return Err(NoRoom);
            }
            let there = self.memory.slot(at).load();
            if is_empty(there) {
                return Ok(Slot { at, end, empty });
            }
            // One that lies (a wild store of the program) doesn't lead out of the chunk.
            let next = (at + 8 * words_of(there)).min(end);
            let _ = self.cursor.replace(at, next);
        }
    }

    /// Appends one word.
    #[inline]
    pub fn append(&self, slot: Slot, word: u64) -> Attempt {
        let cell = self.memory.slot(slot.at);
        if cell.replace(slot.empty, word).is_err() {
            return Attempt::Again;
        }
        self.cursor.store(slot.at + 8);
        Attempt::Done
    }

    /// Where the words of a chunk that is given up end; `None`: it is full. An interrupted writer that has this place in mind finds
    /// it no longer as it was: another empty word is there, which no use of a chunk has next.
    pub fn seal(&self) -> Option<u64> {
        while let Ok(slot) = self.slot() {
            let other = slot.empty ^ 1 << 63;
            if self.memory.slot(slot.at).replace(slot.empty, other).is_ok() {
                return Some(slot.at);
            }
        }
        None
    }

    /// Appends an event's word and `numbers` right behind it, under the word `head`; the cursor moves once. As in the hooks, nothing is asked of
    /// the place but that it is empty. `word`: called when the place is known; the event's word with its time, or `None`: not now.
    #[inline]
    pub fn append_both(
        &self,
        head: u64,
        numbers: &[u64],
        word: impl FnOnce() -> Option<u64>,
    ) -> Both {
        let empty = self.empty.load();
        let at = self.cursor.load();
        let Some([event, first, rest @ ..]) = self.memory.row(at, 2 + numbers.len()) else {
            return Both::Neither;
        };
        let Some(word) = word() else {
            return Both::Neither;
        };
        if event.replace(empty, word).is_err() {
            return Both::Neither;
        }
        let pending = Word::Special {
            code: Code::Pending as u16,
            payload_words: numbers.len() as u16,
        };
        // Without numbers there is nothing to wait for; what is pending with none would be 0, which is no word.
        let before = match numbers {
            [] => head,
            _ => pending.pack(),
        };
        if first.replace(empty, before).is_err() {
            self.cursor.store(at + 8);
            return Both::EventAlone;
        }
        // A handler that comes from here on goes round them.
        for (place, &value) in rest.iter().zip(numbers) {
            place.store(value);
        }
        first.store(head);
        self.cursor.store(at + 16 + 8 * numbers.len() as u64);
        Both::Done
    }

    /// Appends a special word with its payload.
    ///
    /// # Errors
    /// The chunk hasn't enough room: its rest stays empty.
    pub fn append_special(
        &self,
        code: u16,
        payload: impl ExactSizeIterator<Item = u64> + Clone,
    ) -> Result<(), NoRoom> {
        self.append_checked(code, payload, || true).map(drop)
    }

    /// The same, with a payload that may change while it is appended: its first word, the time, becomes 0 if `is_whole` says so
    /// afterwards; what that said.
    ///
    /// # Errors
    /// As [`Place::append_special`].
    #[inline]
    pub fn append_checked(
        &self,
        code: u16,
        payload: impl ExactSizeIterator<Item = u64> + Clone,
        is_whole: impl Fn() -> bool,
    ) -> Result<bool, NoRoom> {
        let bytes = 8 * (1 + payload.len() as u64);
        let payload_words = payload.len() as u16;
        let first = |code: u16| Word::Special {
            code,
            payload_words,
        };
        loop {
            let slot = self.slot()?;
            if slot.at + bytes > slot.end {
                return Err(NoRoom);
            }
            let cell = self.memory.slot(slot.at);
            if cell
                .replace(slot.empty, first(Code::Pending as u16).pack())
                .is_err()
            {
                continue;
            }
            self.cursor.store(slot.at + bytes);
            self.memory.store_all(slot.at + 8, payload.clone());
            let whole = is_whole();
            if !whole {
                self.memory.slot(slot.at + 8).store(0);
            }
            cell.store(first(code).pack());
            return Ok(whole);
        }
    }
}

/// Words that the one at hand stands for: itself and its payload.
pub fn words_of(word: u64) -> u64 {
    match Word::parse(word) {
        Word::Special { payload_words, .. } => 1 + u64::from(payload_words),
        Word::Call { .. } | Word::Return { .. } => 1,
    }
}

/// How many words of a chunk are whole, from index `from` on; each is handed to `sink`. `read` gives the word at an index;
/// `live`: somebody may still be writing, so stop at what is pending.
#[inline]
pub fn whole_words(
    from: usize,
    live: bool,
    mut read: impl FnMut(usize) -> u64,
    mut sink: impl FnMut(u64),
) -> usize {
    let mut at = from;
    while at < CHUNK_WORDS {
        let word = read(at);
        if is_empty(word) {
            break;
        }
        if let Word::Special {
            code,
            payload_words,
        } = Word::parse(word)
        {
            let end = at + 1 + usize::from(payload_words);
            if end > CHUNK_WORDS || (live && code == Code::Pending as u16) {
                break;
            }
            sink(word);
            for index in at + 1..end {
                sink(read(index));
            }
            at = end;
        } else {
            sink(word);
            at += 1;
        }
    }
    at - from
}
