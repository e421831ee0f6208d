//! Texts that triggers ask for, compared by a table that the recorder made of the pattern: one step for each byte, no way back, a bounded
//! number of bytes.
//!
//! | word | |
//! |---|---|
//! | 0 | bits 0..8: the state in which it begins; 8..17: number of classes |
//! | 1..5 | a bit for each state: a text that ends in it is meant |
//! | 5..37 | a byte for each byte of a text: its class |
//! | then | bytes: the states after state 2, one for each class; those after state 3, ... |
//!
//! In state [`NEVER`] no text can be meant any more, in [`ALWAYS`] each is, whatever follows.

use core::sync::atomic::{AtomicU64, Ordering};

use super::encode::Op;
use super::frame::Frame;
use super::interpret::{Probe, Unread};

/// The state of texts that aren't meant, however they go on.
pub const NEVER: u8 = 0;

/// The state of texts that are meant, however they go on.
pub const ALWAYS: u8 = 1;

/// Words of a table before its states.
pub const TABLE_HEAD_WORDS: usize = 37;

/// Bytes of a text that are compared: of one that is still undecided then nobody can tell.
pub const COMPARED_BYTES_MAX: usize = 4096;

/// In the register of an [`super::Opcode::Text`]: a 0 ends the text.
pub const ENDS_WITH_NUL: u8 = 1;

/// In the register of an [`super::Opcode::Text`]: true where the text isn't meant.
pub const IS_NOT: u8 = 2;

/// Bytes that are read together: their begin is a multiple of as many, so that none is read beyond the page of the one before.
const BLOCK_BYTES: usize = 64;

/// A table, wherever it is.
#[derive(Clone, Copy, Debug)]
pub struct Matcher<'a> {
    words: &'a [AtomicU64],
    class_count: usize,
    /// Where it begins.
    pub start: u8,
}

impl<'a> Matcher<'a> {
    /// The table in these words; `None`: there is none.
    pub fn new(words: &'a [AtomicU64]) -> Option<Self> {
        let head = words.first()?.load(Ordering::Relaxed);
        Some(Self {
            words,
            class_count: usize::from((head >> 8) as u16 & 0x1ff),
            start: head as u8,
        })
    }

    /// The state after a byte; `None`: the table is damaged.
    #[inline]
    pub fn next(&self, state: u8, byte: u8) -> Option<u8> {
        let Some(row) = state.checked_sub(2) else {
            return Some(state);
        };
        let class = self.byte(5, byte.into())?;
        self.byte(
            TABLE_HEAD_WORDS,
            usize::from(row) * self.class_count + usize::from(class),
        )
    }

    /// Whether a text that ends in `state` is meant.
    pub fn ends(&self, state: u8) -> Option<bool> {
        let word = self.words.get(1 + usize::from(state / 64))?;
        Some(word.load(Ordering::Relaxed) >> (state % 64) & 1 != 0)
    }

    #[inline]
    fn byte(&self, words: usize, index: usize) -> Option<u8> {
        let word = self.words.get(words + index / 8)?;
        Some((word.load(Ordering::Relaxed) >> (8 * (index % 8))) as u8)
    }
}

impl<P: Probe> Frame<'_, P> {
    /// Takes a count and an address, pushes whether the text there is meant. `None`: the plan makes no sense.
    pub(super) fn compare(&mut self, op: Op, table: &[AtomicU64]) -> Option<()> {
        let count = self.numbers.pop()?;
        let from = self.numbers.pop()?;
        let matcher = Matcher::new(table)?;
        let has_nul = op.register & ENDS_WITH_NUL != 0;
        match self.is_meant(&matcher, from, count, has_nul)? {
            Ok(is_meant) => {
                let is_not = op.register & IS_NOT != 0;
                self.numbers.push(u64::from(is_meant != is_not))
            }
            Err(why) => {
                self.numbers.failed = Some((from, why));
                Some(())
            }
        }
    }

    fn is_meant(
        &self,
        matcher: &Matcher,
        from: u64,
        count: u64,
        has_nul: bool,
    ) -> Option<Result<bool, Unread>> {
        let block = [const { AtomicU64::new(0) }; BLOCK_BYTES / 8];
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut state = matcher.start;
        let mut done = 0;
        while done < count {
            let at = from.wrapping_add(done as u64);
            let bytes = (BLOCK_BYTES - at as usize % BLOCK_BYTES).min(count - done);
            if done >= COMPARED_BYTES_MAX || self.scratch.is_overwritten(at, bytes) {
                return Some(Err(Unread::Untold));
            }
            if let Err(why) = self.probe.copy(at, &block, 0, bytes) {
                return Some(Err(why));
            }
            for index in 0..bytes {
                let word = block.get(index / 8)?.load(Ordering::Relaxed);
                let byte = (word >> (8 * (index % 8))) as u8;
                if has_nul && byte == 0 {
                    return Some(Ok(matcher.ends(state)?));
                }
                state = matcher.next(state, byte)?;
                if state <= ALWAYS {
                    return Some(Ok(state == ALWAYS));
                }
            }
            done += bytes;
        }
        Some(Ok(matcher.ends(state)?))
    }
}
