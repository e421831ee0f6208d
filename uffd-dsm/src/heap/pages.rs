//! Large objects: whole pages, numbered through all stacks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use umbel_fault::PAGE_BYTES;

use super::{Freer, Meaning, Object, Wanted, place_of_page};

/// Objects in pages, and the pages where there is none.
#[derive(Default)]
pub(super) struct PageHeap {
    /// By first page; those that were freed until their pages leave the quarantine.
    objects: BTreeMap<u64, PageObject>,
    /// Free pages by start; adjacent runs are one.
    free: BTreeMap<u64, u64>,
    /// The same as (length, start).
    free_by_length: BTreeSet<(u64, u64)>,
    /// Freed runs, the one freed first in front.
    quarantine: VecDeque<(u64, u64)>,
    quarantine_pages: u64,
}

#[derive(Clone, Copy)]
struct PageObject {
    page_count: u64,
    size_bytes: u64,
    /// Bytes that travel; fixed, for copies elsewhere hold just these.
    extent_bytes: u64,
    record: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Live,
    Freeing(Freer),
    Freed(Freer),
}

impl PageHeap {
    /// More pages.
    pub fn add(&mut self, page: u64, count: u64) {
        self.put_free(page, count);
    }

    /// Takes so many adjacent pages, the smallest run that has them: best fit leaves the large ones whole.
    pub fn take(&mut self, count: u64, align: u64) -> Option<u64> {
        while self.quarantine.len() > QUARANTINE_RUNS || self.quarantine_pages > QUARANTINE_PAGES {
            self.release_oldest();
        }
        let fits = |(length, start): &(u64, u64)| {
            let first = start.next_multiple_of(align);
            first + count <= start + length
        };
        let (length, start) = self
            .free_by_length
            .range((count, 0)..)
            .copied()
            .find(fits)?;
        let first = start.next_multiple_of(align);
        self.remove_free(start, length);
        if first > start {
            self.put_free(start, first - start);
        }
        let rest = start + length - (first + count);
        if rest > 0 {
            self.put_free(first + count, rest);
        }
        Some(first)
    }

    /// Every page in the quarantine may be used again.
    pub fn end_quarantine(&mut self) {
        while !self.quarantine.is_empty() {
            self.release_oldest();
        }
    }

    /// A new object in pages just taken.
    pub fn begin(&mut self, page: u64, page_count: u64, wanted: Wanted) {
        let grain = if page_count == 1 {
            LINE_BYTES
        } else {
            PAGE_BYTES as u64
        };
        let object = PageObject {
            page_count,
            size_bytes: wanted.bytes,
            extent_bytes: wanted.bytes.next_multiple_of(grain),
            record: wanted.record,
            state: State::Live,
        };
        let earlier = self.objects.insert(page, object);
        assert!(earlier.is_none(), "an object of before is still there");
    }

    /// Live to freeing, if an object begins at `page`: its pages.
    pub fn free(&mut self, page: u64, freer: Freer) -> Option<u64> {
        let object = self.objects.get_mut(&page)?;
        if object.state != State::Live {
            return None;
        }
        object.state = State::Freeing(freer);
        Some(object.page_count)
    }

    /// Freeing to freed, for every object that has pages there.
    pub fn end(&mut self, page: u64, count: u64) {
        let first = self.object(page).map_or(page, |(start, _)| start);
        for (_, object) in self.objects.range_mut(first..page + count) {
            if let State::Freeing(freer) = object.state {
                object.state = State::Freed(freer);
            }
        }
    }

    /// Puts freed pages at the end of the quarantine.
    pub fn bury(&mut self, page: u64, count: u64) {
        self.quarantine.push_back((page, count));
        self.quarantine_pages += count;
    }

    /// Another size with the same extent; false if it must move.
    pub fn resize(&mut self, page: u64, bytes: u64) -> bool {
        let Some(object) = self.objects.get_mut(&page) else {
            return false;
        };
        let fits = bytes <= object.extent_bytes && bytes > object.extent_bytes / 2;
        if fits {
            object.size_bytes = bytes;
        }
        fits
    }

    pub fn exists(&self, page: u64) -> bool {
        self.object(page)
            .is_some_and(|(_, object)| !matches!(object.state, State::Freed(_)))
    }

    pub fn meaning(&self, page: u64) -> Meaning {
        let Some((start, object)) = self.object(page) else {
            return Meaning::Nothing;
        };
        let known = Object {
            address: place_of_page(start).address(),
            size_bytes: object.size_bytes,
            record: object.record,
        };
        match object.state {
            State::Live => Meaning::Live(known),
            State::Freeing(freer) | State::Freed(freer) => Meaning::Freed(known, freer),
        }
    }

    /// Which bytes of the page are an object's; all, if none is known.
    pub fn extent(&self, page: u64) -> (usize, usize) {
        let Some((start, object)) = self.object(page) else {
            return (0, PAGE_BYTES);
        };
        let before = (page - start) * PAGE_BYTES as u64;
        let bytes = object.extent_bytes.saturating_sub(before);
        (0, bytes.min(PAGE_BYTES as u64) as usize)
    }

    /// Pages of the object at `page`; that page, if there is none.
    pub fn object_pages(&self, page: u64) -> Range<u64> {
        self.object(page).map_or(page..page + 1, |(start, object)| {
            start..start + object.page_count
        })
    }

    fn object(&self, page: u64) -> Option<(u64, PageObject)> {
        let (start, object) = self.objects.range(..=page).next_back()?;
        (page < start + object.page_count).then_some((*start, *object))
    }

    fn release_oldest(&mut self) {
        let Some((page, count)) = self.quarantine.pop_front() else {
            return;
        };
        self.quarantine_pages -= count;
        // An object that spans stacks was buried in parts: with the first one it is forgotten.
        let first = self.object(page).map_or(page, |(start, _)| start);
        let gone: Vec<u64> = self
            .objects
            .range(first..page + count)
            .map(|(start, _)| *start)
            .collect();
        for start in gone {
            self.objects.remove(&start);
        }
        self.put_free(page, count);
    }

    fn put_free(&mut self, page: u64, count: u64) {
        let (mut start, mut end) = (page, page + count);
        if let Some((before, length)) = self.free.range(..page).next_back()
            && before + length == page
        {
            start = *before;
            self.remove_free(start, page - start);
        }
        if let Some(length) = self.free.get(&end).copied() {
            self.remove_free(end, length);
            end += length;
        }
        self.free.insert(start, end - start);
        self.free_by_length.insert((end - start, start));
    }

    fn remove_free(&mut self, start: u64, length: u64) {
        self.free.remove(&start);
        self.free_by_length.remove(&(length, start));
    }
}

/// Freed runs that wait before the first is used again: their tables take some 100 bytes each.
const QUARANTINE_RUNS: usize = 1 << 16;

/// Freed pages that wait: addresses for 64 GiB, no memory.
const QUARANTINE_PAGES: u64 = 1 << 24;

/// Bytes of a cache line: an object of one page travels in these.
const LINE_BYTES: u64 = 64;
