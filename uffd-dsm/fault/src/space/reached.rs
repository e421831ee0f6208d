//! Which pages the engine view shows already, and which the file is known to have.
//!
//! Writing a page through the engine view faults, unless its entry is there: 1 us, as much as everything else that a page
//! of a stream costs. The kernel makes the entries of 16 neighbours with one read fault where the file has their
//! memory, and none need be made twice: only giving the memory back takes them away. (So does swapping, after which a
//! page faults as if nothing were known.)

use std::collections::BTreeMap;
use std::ops::Range;

/// What is known of the file's pages; they go by number.
#[derive(Debug, Default)]
pub(super) struct Reached(BTreeMap<u64, Chunk>);

/// A bit for each page of [`CHUNK_PAGES`].
#[derive(Clone, Copy, Debug, Default)]
struct Chunk {
    /// The file has memory for it.
    present: u64,
    /// The engine view shows it; present, too.
    shown: u64,
}

/// How the engine view reaches a run of pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It shows them.
    Shown(Range<u64>),
    /// They are in the file.
    Present(Range<u64>),
    /// Nobody knows.
    Unknown(Range<u64>),
}

impl Reached {
    /// The file has memory for these pages.
    pub(super) fn note_present(&mut self, pages: Range<u64>) {
        self.change(pages, |chunk, mask| chunk.present |= mask);
    }

    /// The engine view shows these pages.
    pub(super) fn note_shown(&mut self, pages: Range<u64>) {
        self.change(pages, |chunk, mask| {
            chunk.present |= mask;
            chunk.shown |= mask;
        });
    }

    /// The memory of these pages was given back.
    pub(super) fn forget(&mut self, pages: Range<u64>) {
        let chunks = pages.start / CHUNK_PAGES..pages.end.div_ceil(CHUNK_PAGES);
        let known: Vec<u64> = self.0.range(chunks).map(|(number, _)| *number).collect();
        for number in known {
            let mask = mask_of(number, &pages);
            let Some(chunk) = self.0.get_mut(&number) else {
                continue;
            };
            chunk.present &= !mask;
            chunk.shown &= !mask;
            if chunk.present == 0 {
                self.0.remove(&number);
            }
        }
    }

    /// What is known of these pages, in runs, in their order.
    pub(super) fn ways(&self, pages: Range<u64>) -> Vec<Way> {
        let mut ways: Vec<Way> = Vec::new();
        for page in pages {
            let chunk = self.0.get(&(page / CHUNK_PAGES));
            let chunk = chunk.copied().unwrap_or_default();
            let bit = 1 << (page % CHUNK_PAGES);
            let is_shown = chunk.shown & bit != 0;
            let is_present = chunk.present & bit != 0;
            match ways.last_mut() {
                Some(Way::Shown(run)) if is_shown => run.end += 1,
                Some(Way::Present(run)) if is_present && !is_shown => run.end += 1,
                Some(Way::Unknown(run)) if !is_present => run.end += 1,
                _ if is_shown => ways.push(Way::Shown(page..page + 1)),
                _ if is_present => ways.push(Way::Present(page..page + 1)),
                _ => ways.push(Way::Unknown(page..page + 1)),
            }
        }
        ways
    }

    fn change(&mut self, pages: Range<u64>, change: impl Fn(&mut Chunk, u64)) {
        if pages.is_empty() {
            return;
        }
        for number in pages.start / CHUNK_PAGES..=(pages.end - 1) / CHUNK_PAGES {
            let chunk = self.0.entry(number).or_default();
            change(chunk, mask_of(number, &pages));
        }
    }
}

/// The bits of those pages that are in this chunk.
fn mask_of(number: u64, pages: &Range<u64>) -> u64 {
    let first = number * CHUNK_PAGES;
    let start = pages.start.clamp(first, first + CHUNK_PAGES) - first;
    let end = pages.end.clamp(first, first + CHUNK_PAGES) - first;
    match end - start {
        0 => 0,
        count => (u64::MAX >> (CHUNK_PAGES - count)) << start,
    }
}

const CHUNK_PAGES: u64 = u64::BITS as u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_pages_are_known_as_they_were_noted_across_chunks() {
        let mut reached = Reached::default();
        reached.note_present(60..130);
        reached.note_shown(63..66);
        reached.note_shown(128..129);
        let ways = [
            Way::Unknown(58..60),
            Way::Present(60..63),
            Way::Shown(63..66),
            Way::Present(66..128),
            Way::Shown(128..129),
            Way::Present(129..130),
            Way::Unknown(130..131),
        ];
        assert_eq!(reached.ways(58..131), ways);
    }

    #[test]
    fn nothing_is_known_of_memory_that_was_given_back() {
        let mut reached = Reached::default();
        reached.note_shown(0..200);
        reached.forget(10..190);
        let ways = [
            Way::Shown(0..10),
            Way::Unknown(10..190),
            Way::Shown(190..200),
        ];
        assert_eq!(reached.ways(0..200), ways);
        reached.forget(0..1000);
        assert_eq!(reached.ways(0..3), [Way::Unknown(0..3)]);
        assert!(reached.0.is_empty());
    }

    #[test]
    fn no_pages_are_no_runs() {
        let mut reached = Reached::default();
        reached.note_shown(64..64);
        assert_eq!(reached.ways(64..64), []);
        assert!(reached.0.is_empty());
    }
}
