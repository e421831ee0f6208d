//! What lives in a thread's shadow stack: written by the thread, read by the service thread.
//!
//! The thread publishes an object before anything can reach it, so the reader, which looks an object up
//! only after another node has asked for it, sees the entry. Names and sizes are `struct umbel_object`
//! records of the program; here they are only numbers (addresses).

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use umbel_fault::zeroed_words;

use crate::window::{Arena, Class, PAGES, Place, SLOTS};

/// Directory of one shadow stack, at a fixed place for the process's life.
#[derive(Clone, Copy)]
pub struct StackMap {
    /// Per slot: the record of the object in it.
    slots: &'static [AtomicU64],
    /// Records of [`PAGE_RECORD_WORDS`] words, in allocation order.
    pages: &'static [AtomicU64],
    /// Number of page records.
    page_count: &'static AtomicU64,
    /// Pages below this number may have copies on other nodes that their owner doesn't know of.
    lent_pages: &'static AtomicU64,
}

/// Object of the page arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageObject {
    /// First page.
    pub page: u64,
    /// Number of pages.
    pub page_count: u64,
    /// Bytes from the first page's start: spreads small ones over the cache's sets.
    pub offset_bytes: u64,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Address of its `umbel_object`.
    pub record: u64,
    /// Whether it is in the tracked arena, which shares its numbers with the page arena.
    pub is_tracked: bool,
}

/// An object found by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Address of its `umbel_object`.
    pub record: u64,
    /// Size in bytes; 0 when only the record knows (small objects).
    pub size_bytes: u64,
    /// Which of the object's pages the place is.
    pub page: u64,
}

const PAGE_RECORD_WORDS: usize = 6;
/// Objects in one page arena: one page each at least.
const PAGE_RECORDS_MAX: usize = PAGES as usize;

impl StackMap {
    /// Empty directory. Costs address space only.
    pub fn new() -> io::Result<Self> {
        let head = zeroed_words(2)?;
        Ok(Self {
            slots: zeroed_words(SLOTS as usize)?,
            pages: zeroed_words(PAGE_RECORDS_MAX * PAGE_RECORD_WORDS)?,
            page_count: &head[0],
            lent_pages: &head[1],
        })
    }

    /// Table that compiled code writes (`umbel_self.small_objects`).
    pub fn slots_address(&self) -> usize {
        self.slots.as_ptr() as usize
    }

    /// Publishes a small object, as compiled code does.
    pub fn set_slot(&self, slot: u64, record: u64) {
        self.slots[slot as usize].store(record, Ordering::Release);
    }

    /// Publishes an object of the page arena. Called by the owning thread only.
    pub fn push(&self, object: PageObject) {
        // Relaxed: only the owner changes the count.
        let index = self.page_count.load(Ordering::Relaxed) as usize;
        let words = &self.pages[index * PAGE_RECORD_WORDS..][..PAGE_RECORD_WORDS];
        let values = [
            object.page,
            object.page_count,
            object.offset_bytes,
            object.size_bytes,
            object.record,
            u64::from(object.is_tracked),
        ];
        for (word, value) in words.iter().zip(values) {
            word.store(value, Ordering::Relaxed);
        }
        // Release: pairs with the Acquire load in `page_object`; publishes the words above.
        self.page_count.store(index as u64 + 1, Ordering::Release);
    }

    /// Withdraws the objects at and above `page`. Called by the owning thread only.
    pub fn truncate(&self, page: u64) {
        let mut count = self.page_count.load(Ordering::Relaxed);
        while count > 0 && self.page_record(count - 1).page >= page {
            count -= 1;
        }
        self.page_count.store(count, Ordering::Release);
    }

    /// Another node asks for this page: who knows its address need not have been told by a creation.
    /// Called by the service thread.
    pub fn lend_page(&self, page: u64) {
        // Relaxed: the owner reads it in a later life of the page, which it can begin only after whoever
        // asked has told it, in some way that orders both, that it is done.
        self.lent_pages.fetch_max(page + 1, Ordering::Relaxed);
    }

    /// Pages below this number may have copies elsewhere. Called by the owning thread.
    pub fn lent_pages(&self) -> u64 {
        self.lent_pages.load(Ordering::Relaxed)
    }

    /// Copies of the pages from here on were taken back. Called by the owning thread.
    pub fn take_back_pages(&self, from: u64) {
        self.lent_pages.fetch_min(from, Ordering::Relaxed);
    }

    /// The object at a place of this stack.
    pub fn find(&self, place: Place) -> Option<Found> {
        match place.arena {
            Arena::Small(class) if class != Class::LINE => None,
            Arena::Small(_) => {
                let record = self
                    .slots
                    .get(place.number as usize)?
                    .load(Ordering::Acquire);
                (record != 0).then_some(Found {
                    record,
                    size_bytes: 0,
                    page: 0,
                })
            }
            Arena::Pages | Arena::Tracked => {
                let object = self.page_object(place)?;
                Some(Found {
                    record: object.record,
                    size_bytes: object.size_bytes,
                    page: place.number - object.page,
                })
            }
        }
    }

    /// Which bytes of the place's page are the object's: (offset, length).
    pub fn extent(&self, place: Place, page_bytes: usize) -> (usize, usize) {
        match place.arena {
            Arena::Small(class) => (place.offset_in_page(), class.slot_bytes()),
            Arena::Pages | Arena::Tracked => match self.page_object(place) {
                None => (0, page_bytes),
                Some(object) => {
                    let start = object.offset_bytes as usize;
                    let before = (place.number - object.page) as usize * page_bytes;
                    let end = (start + object.size_bytes as usize)
                        .saturating_sub(before)
                        .min(page_bytes);
                    let first = if before == 0 { start } else { 0 };
                    (first, end.saturating_sub(first))
                }
            },
        }
    }

    fn page_object(&self, place: Place) -> Option<PageObject> {
        let page = place.number;
        // Acquire: pairs with the Release store in `push`.
        let count = self.page_count.load(Ordering::Acquire);
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = (low + high) / 2;
            if self.page_record(middle).page <= page {
                low = middle + 1
            } else {
                high = middle
            }
        }
        let object = self.page_record(low.checked_sub(1)?);
        let is_there = object.is_tracked == (place.arena == Arena::Tracked);
        (is_there && page < object.page + object.page_count).then_some(object)
    }

    fn page_record(&self, index: u64) -> PageObject {
        let words = &self.pages[index as usize * PAGE_RECORD_WORDS..][..PAGE_RECORD_WORDS];
        let word = |i: usize| words[i].load(Ordering::Relaxed);
        PageObject {
            page: word(0),
            page_count: word(1),
            offset_bytes: word(2),
            size_bytes: word(3),
            record: word(4),
            is_tracked: word(5) != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(number: u64) -> Place {
        Place {
            stack: 0,
            arena: Arena::Pages,
            number,
        }
    }

    fn object(page: u64, page_count: u64, offset_bytes: u64, size_bytes: u64) -> PageObject {
        PageObject {
            page,
            page_count,
            offset_bytes,
            size_bytes,
            record: 0x1000 + page,
            is_tracked: false,
        }
    }

    #[test]
    fn a_page_finds_its_object_and_only_its_bytes() {
        let map = StackMap::new().unwrap();
        map.push(object(0, 1, 192, 100));
        map.push(object(1, 3, 0, 2 * 4096 + 10));
        assert_eq!(map.extent(pages(0), 4096), (192, 100));
        assert_eq!(map.extent(pages(1), 4096), (0, 4096));
        assert_eq!(map.extent(pages(3), 4096), (0, 10));
        assert_eq!(map.find(pages(2)).unwrap().record, 0x1001);
        assert_eq!(map.find(pages(4)), None);
        assert_eq!(
            map.extent(pages(4), 4096),
            (0, 4096),
            "an unknown page travels whole"
        );
    }

    #[test]
    fn pages_are_lent_until_they_are_taken_back() {
        let map = StackMap::new().unwrap();
        assert_eq!(map.lent_pages(), 0);
        map.lend_page(7);
        map.lend_page(3);
        assert_eq!(map.lent_pages(), 8);
        map.take_back_pages(9);
        assert_eq!(map.lent_pages(), 8);
        map.take_back_pages(2);
        assert_eq!(map.lent_pages(), 2);
    }

    #[test]
    fn truncate_withdraws_what_lies_above() {
        let map = StackMap::new().unwrap();
        map.push(object(0, 2, 0, 8192));
        map.push(object(2, 1, 0, 4096));
        map.truncate(2);
        assert_eq!(map.find(pages(2)), None);
        assert!(map.find(pages(1)).is_some());
        map.push(object(2, 4, 0, 4 * 4096));
        assert_eq!(map.find(pages(5)).unwrap().size_bytes, 4 * 4096);
    }
}
