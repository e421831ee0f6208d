//! Guarded reads of one occasion, for example of an event: what they find out they remember.

use core::cell::Cell;

use crate::Unread;
use crate::learned::Learned;
use crate::sys::{ask, guarded};

const PAGE_BITS: u32 = 12;
const PAGE_BYTES: u64 = 1 << PAGE_BITS;

/// Pages that could not be read, which are remembered while it lasts: not longer, for another thread may map them at any time.
const BAD_PAGES: usize = 4;

/// Pages of a read that the kernel is asked about; the guard finds what is the matter with those behind.
const ASKED_MAX: u64 = 4;

/// See above.
#[derive(Debug)]
pub struct Reads<'a> {
    /// What the thread has learned; `None`: everything is read at once.
    learned: Option<&'a Learned>,
    bad_pages: [Cell<u64>; BAD_PAGES],
    bad_count: Cell<usize>,
}

impl<'a> Reads<'a> {
    /// None so far. Without `learned` the kernel is never asked.
    #[inline]
    pub fn new(learned: Option<&'a Learned>) -> Self {
        Self {
            learned,
            bad_pages: [const { Cell::new(0) }; BAD_PAGES],
            bad_count: Cell::new(0),
        }
    }

    /// Is the page at `from` one that could not be read, a moment ago?
    #[inline]
    pub fn is_known_bad(&self, from: u64) -> bool {
        let page = from >> PAGE_BITS;
        self.bad_count.get() > 0 && self.bad_pages.iter().any(|bad| bad.get() == page)
    }

    /// The page at `from` can't be read.
    #[cold]
    pub fn note_bad(&self, from: u64) {
        let count = self.bad_count.get();
        if let Some(place) = self.bad_pages.get(count % BAD_PAGES) {
            place.set(from >> PAGE_BITS);
        }
        self.bad_count.set(count + 1);
        if let Some(learned) = self.learned {
            learned.was_not_there(from);
        }
    }

    /// 8 bytes of one page.
    ///
    /// # Errors
    /// They can't be read.
    ///
    /// # Safety
    /// The thread can take SIGSEGV and SIGBUS, and their handler asks [`guarded::landing`]; or they can be read.
    #[inline]
    pub unsafe fn load(&self, from: u64) -> Result<u64, Unread> {
        if self.is_known_bad(from) || !self.may_be_there(from, 8) {
            return Err(Unread::Invalid);
        }
        // SAFETY: the caller's.
        let number = unsafe { guarded::load(from as usize) };
        number.ok_or_else(|| {
            self.note_bad(from);
            Unread::Invalid
        })
    }

    /// Copies `bytes` bytes, one or more.
    ///
    /// # Errors
    /// They can't be read.
    ///
    /// # Safety
    /// `to` has room for them. The thread can take SIGSEGV and SIGBUS, and their handler asks [`guarded::landing`]; or all can be read.
    #[inline]
    pub unsafe fn copy(&self, from: u64, to: *mut u8, bytes: usize) -> Result<(), Unread> {
        if self.is_known_bad(from) || !self.may_be_there(from, bytes) {
            return Err(Unread::Invalid);
        }
        // SAFETY: the caller's.
        if unsafe { guarded::copy(from as usize, to, bytes) } {
            return Ok(());
        }
        self.note_fault(from, bytes);
        Err(Unread::Invalid)
    }

    /// False: it isn't there.
    #[inline]
    fn may_be_there(&self, from: u64, bytes: usize) -> bool {
        self.learned.is_none_or(|learned| {
            learned.is_likely(from, bytes) || self.is_there(learned, from, bytes)
        })
    }

    /// Asks about the pages of a range, those that aren't likely to be there.
    #[cold]
    fn is_there(&self, learned: &Learned, from: u64, bytes: usize) -> bool {
        for at in pages(from, bytes) {
            if learned.is_likely(at, 1) {
                continue;
            }
            // What is trusted is known to be there after it was read: not worth another look, it is asked about if it faults.
            if learned.is_trusted(at) {
                learned.was_there(at);
                continue;
            }
            match readable(at) {
                Some(true) => learned.was_there(at),
                Some(false) => {
                    self.note_bad(at);
                    return false;
                }
                None => return true,
            }
        }
        true
    }

    /// A read faulted: at which of its pages?
    #[cold]
    fn note_fault(&self, from: u64, bytes: usize) {
        let is_one = from % PAGE_BYTES + bytes as u64 <= PAGE_BYTES;
        let bad = match is_one {
            true => Some(from),
            // Only where the kernel may be asked at all.
            false if self.learned.is_none() => None,
            false => pages(from, bytes).find(|&at| readable(at) == Some(false)),
        };
        if let Some(bad) = bad {
            self.note_bad(bad);
        }
    }
}

/// Where a range has its first byte in each of its pages, as far as they are asked about.
fn pages(from: u64, bytes: usize) -> impl Iterator<Item = u64> {
    let last = from.saturating_add(bytes as u64 - 1) >> PAGE_BITS;
    let first = from >> PAGE_BITS;
    let rest = (first + 1..=last).map(|page| page << PAGE_BITS);
    core::iter::once(from).chain(rest).take(ASKED_MAX as usize)
}

/// Can the page at `address` be read? It is there as a whole or not at all, so the 8 bytes that are tried need not be those.
fn readable(address: u64) -> Option<bool> {
    ask::is_readable(address as usize & !7)
}
