//! Pieces of memory that the kernel reads together: a call takes 0.3 us, and each piece of it 0.1.
//!
//! Whoever knows what he will read says so ([`Batch::fill`]), and finds it here when he reads it ([`Batch::copy`]). What isn't here is read
//! as ever.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::Unread;
use crate::sys::kernel::{self, PIECES_MAX, Piece};

/// Words for the bytes of all pieces.
const WORDS: usize = 1024;

const PAGE_BYTES: usize = 4096;

/// State of a piece that can't be read; of others it is the byte where they begin.
const BAD: u64 = u64::MAX;

/// Zeroes at first. A thread's: a signal handler that fills it anew takes away what was there; whoever may be interrupted by one begins
/// again then.
#[derive(Debug)]
#[repr(C)]
pub struct Batch {
    /// Address, bytes, state.
    pieces: [[AtomicU64; 3]; PIECES_MAX],
    count: AtomicUsize,
    bytes: [AtomicU64; WORDS],
}

impl Batch {
    /// Nothing.
    pub const fn new() -> Self {
        Self {
            pieces: [const { [const { AtomicU64::new(0) }; 3] }; PIECES_MAX],
            count: AtomicUsize::new(0),
            bytes: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    /// Forgets what is here, and reads `pieces`, as far as there is room. A piece that can't be read ends the kernel's call: the next one
    /// begins behind it. Calls of the kernel.
    pub fn fill(&self, pieces: &[Piece]) -> usize {
        self.count.store(0, Ordering::Relaxed);
        let pieces = fitting(pieces);
        let (mut first, mut used, mut calls) = (0, 0, 0);
        while let Some(rest) = pieces.get(first..).filter(|rest| !rest.is_empty()) {
            calls += 1;
            let to = Piece {
                address: self.bytes.as_ptr() as usize + used,
                bytes: size_of_val(&self.bytes) - used,
            };
            // SAFETY: what is behind `used` is this thread's, atomics that nobody else reads meanwhile, and has room: `fitting`.
            let mut read = match unsafe { kernel::copy_all(rest, to) } {
                Ok(bytes) => bytes,
                Err(Unread::Invalid) => 0,
                // Nobody can tell: they are read as if they were not expected.
                Err(Unread::Untold) => return calls,
            };
            for piece in rest {
                first += 1;
                if piece.bytes > read {
                    self.add(piece, BAD);
                    first += self.add_bad(piece, pieces.get(first..).unwrap_or_default());
                    break;
                }
                self.add(piece, used as u64);
                read -= piece.bytes;
                used += piece.bytes;
            }
        }
        calls
    }

    /// Adds those of `next` that lie in the page that `bad` is all in: they are as bad, nobody needs to ask. How many.
    fn add_bad(&self, bad: &Piece, next: &[Piece]) -> usize {
        let is_same = |piece: &&Piece| {
            let page = bad.address / PAGE_BYTES;
            let end = |piece: &Piece| (piece.address + piece.bytes.max(1) - 1) / PAGE_BYTES;
            page == end(bad) && (piece.address / PAGE_BYTES..=end(piece)).contains(&page)
        };
        let same = next.iter().take_while(is_same);
        same.inspect(|piece| self.add(piece, BAD)).count()
    }

    fn add(&self, piece: &Piece, state: u64) {
        let count = self.count.load(Ordering::Relaxed);
        if let Some(place) = self.pieces.get(count) {
            let words = [piece.address as u64, piece.bytes as u64, state];
            for (word, value) in place.iter().zip(words) {
                word.store(value, Ordering::Relaxed);
            }
            self.count.store(count + 1, Ordering::Relaxed);
        }
    }

    /// Copies `bytes` bytes from here; `None`: they aren't here.
    ///
    /// # Safety
    /// `to` has room for them.
    pub unsafe fn copy(&self, from: u64, to: *mut u8, bytes: usize) -> Option<Result<(), Unread>> {
        let count = self.count.load(Ordering::Relaxed);
        let end = from.checked_add(bytes as u64)?;
        for place in self.pieces.get(..count)? {
            let [begin, length, state] = [0, 1, 2].map(|word| place[word].load(Ordering::Relaxed));
            let piece_end = begin.wrapping_add(length);
            // Parts of what can't be read may be there.
            if state == BAD {
                if from <= begin && end >= piece_end {
                    return Some(Err(Unread::Invalid));
                }
                continue;
            }
            if from < begin || end > piece_end {
                continue;
            }
            let at = (state + (from - begin)) as usize;
            // A handler may have changed what was found above.
            if at.checked_add(bytes)? > size_of_val(&self.bytes) {
                return None;
            }
            let source = self.bytes.as_ptr().cast::<u8>().wrapping_add(at);
            // SAFETY: inside, as was seen just now; `to` has room (the caller's), and isn't part of this.
            unsafe { core::ptr::copy_nonoverlapping(source, to, bytes) };
            return Some(Ok(()));
        }
        None
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

/// Those that there is room for.
fn fitting(pieces: &[Piece]) -> &[Piece] {
    let mut room = 8 * WORDS;
    let fits = |piece: &&Piece| {
        let fits = piece.bytes <= room;
        room = room.saturating_sub(piece.bytes);
        fits
    };
    let count = pieces.iter().take(PIECES_MAX).take_while(fits).count();
    pieces.get(..count).unwrap_or_default()
}
