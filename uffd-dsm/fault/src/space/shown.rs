//! What pages of the signal backends were told to allow, and what their mappings show.
//!
//! | shown | `mprotect` | `guard` |
//! |---|---|---|
//! | none | PROT_NONE | a guard page; PROT_NONE in a chunk of which nothing was ever shown |
//! | read | PROT_READ | PROT_READ, no guard |
//! | write | PROT_READ and PROT_WRITE | the same, no guard |
//!
//! With `guard`, a chunk is filled with guards and made writable when the first of its pages is shown; between none
//! and write no mapping is split after that.
//!
//! The kernel splits a mapping wherever the protection changes, and a process may have only so many
//! (vm.max_map_count). So the places where it changes are counted, and above a budget whole chunks are
//! *hidden*: they show nothing, whatever was told, and are one mapping. An access faults, and is answered from here.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::ops::Range;

use super::{Rights, Views};
use crate::PAGE_BYTES;
use crate::backend::Backend;

/// One page.
#[derive(Clone, Copy)]
struct Page {
    told: Rights,
    /// The mapping's protection.
    protection: Rights,
    is_guarded: bool,
}

const UNTOUCHED: Page = Page {
    told: Rights::None,
    protection: Rights::None,
    is_guarded: false,
};

impl Page {
    fn shown(self) -> Rights {
        if self.is_guarded {
            Rights::None
        } else {
            self.protection
        }
    }
}

/// Which chunk of which view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ChunkId {
    view: usize,
    number: usize,
}

struct Chunk {
    pages: Box<[Page; CHUNK_PAGES]>,
    /// It is in the queue of chunks that may be hidden.
    is_queued: bool,
}

impl Chunk {
    fn new() -> Self {
        Self {
            pages: Box::new([UNTOUCHED; CHUNK_PAGES]),
            is_queued: false,
        }
    }
}

/// Pages of one view.
#[derive(Clone)]
struct Pages {
    view: usize,
    numbers: Range<usize>,
}

impl Pages {
    fn chunk_of(&self, number: usize) -> ChunkId {
        ChunkId {
            view: self.view,
            number: number / CHUNK_PAGES,
        }
    }
}

/// The rights of every page of the views.
pub(super) struct Shown {
    uses_guards: bool,
    chunks: HashMap<ChunkId, Chunk>,
    /// Chunks that show something, longest first.
    queue: VecDeque<ChunkId>,
    /// Places where the protection changes from one page to the next: each costs a mapping.
    change_count: usize,
    change_count_max: usize,
}

impl Shown {
    pub(super) fn new(backend: Backend) -> Self {
        Self {
            uses_guards: backend == Backend::Guard,
            chunks: HashMap::new(),
            queue: VecDeque::new(),
            change_count: 0,
            change_count_max: change_count_max(),
        }
    }

    /// What the page was told to allow.
    pub(super) fn told(&self, views: &Views, address: usize) -> Rights {
        let (view, number) = views.page(address);
        self.page(view, number).told
    }

    /// Tells pages of one view their rights, and shows them. When it returns, no thread can do what isn't allowed,
    /// and what threads stored before can be read: the kernel has interrupted every processor that runs one.
    pub(super) fn set(
        &mut self,
        views: &Views,
        range: Range<usize>,
        rights: Rights,
    ) -> io::Result<()> {
        let (view, first) = views.page(range.start);
        let numbers = first..first + range.len() / PAGE_BYTES;
        let pages = Pages { view, numbers };
        self.for_pages(&pages, |page| page.told = rights);
        self.show(views, &pages, rights)?;
        self.keep_budget(views, &pages)
    }

    /// Shows a page what it was told, if it doesn't.
    pub(super) fn show_again(&mut self, views: &Views, address: usize) -> io::Result<()> {
        let (view, number) = views.page(address);
        let page = self.page(view, number);
        if page.shown() == page.told {
            return Ok(());
        }
        // Those around it that were told the same come with it.
        let id = ChunkId {
            view,
            number: number / CHUNK_PAGES,
        };
        let in_chunk = id.number * CHUNK_PAGES..(id.number + 1) * CHUNK_PAGES;
        let alike = |number: &usize| {
            let other = self.page(view, *number);
            other.told == page.told && other.shown() != other.told
        };
        let below = (in_chunk.start..number).rev().take_while(alike).count();
        let above = (number + 1..in_chunk.end).take_while(alike).count();
        let pages = Pages {
            view,
            numbers: number - below..number + 1 + above,
        };
        self.show(views, &pages, page.told)?;
        self.keep_budget(views, &pages)
    }

    fn page(&self, view: usize, number: usize) -> Page {
        let id = ChunkId {
            view,
            number: number / CHUNK_PAGES,
        };
        self.chunks
            .get(&id)
            .map_or(UNTOUCHED, |chunk| chunk.pages[number % CHUNK_PAGES])
    }

    fn for_pages(&mut self, pages: &Pages, mut change: impl FnMut(&mut Page)) {
        let mut next = pages.numbers.start;
        while next < pages.numbers.end {
            let id = pages.chunk_of(next);
            let end = pages.numbers.end.min((id.number + 1) * CHUNK_PAGES);
            let chunk = self.chunks.entry(id).or_insert_with(Chunk::new);
            let first = id.number * CHUNK_PAGES;
            chunk.pages[next - first..end - first]
                .iter_mut()
                .for_each(&mut change);
            next = end;
        }
    }

    fn any(&self, pages: &Pages, is: impl Fn(Page) -> bool) -> bool {
        pages
            .numbers
            .clone()
            .any(|number| is(self.page(pages.view, number)))
    }

    fn show(&mut self, views: &Views, pages: &Pages, rights: Rights) -> io::Result<()> {
        if !self.any(pages, |page| page.shown() != rights) {
            return Ok(());
        }
        match (self.uses_guards, rights) {
            (false, _) => self.protect(views, pages, rights),
            (true, Rights::None) => self.guard(views, pages),
            (true, Rights::Read | Rights::Write) => {
                self.open(views, pages)?;
                // Before the guards go: until then nobody can use the pages.
                if self.any(pages, |page| page.protection != rights) {
                    self.protect(views, pages, rights)?;
                }
                self.unguard(views, pages)
            }
        }
    }

    /// Changes the protection of mappings; counts where it changes from page to page.
    fn protect(&mut self, views: &Views, pages: &Pages, rights: Rights) -> io::Result<()> {
        views.protect(pages.view, pages.numbers.clone(), rights)?;
        self.note_protection(pages, rights);
        Ok(())
    }

    fn note_protection(&mut self, pages: &Pages, rights: Rights) {
        let before = self.count_changes(pages);
        self.for_pages(pages, |page| page.protection = rights);
        self.change_count = self.change_count + self.count_changes(pages) - before;
        if rights != Rights::None {
            self.enqueue(pages);
        }
    }

    /// Where the protection changes: at the first page, between pages, and behind the last.
    fn count_changes(&self, pages: &Pages) -> usize {
        let mut before = match pages.numbers.start {
            // What is outside of the view is another mapping in any case.
            0 => None,
            first => Some(self.page(pages.view, first - 1).protection),
        };
        let mut count = 0;
        for number in pages.numbers.start..pages.numbers.end + 1 {
            let protection = self.page(pages.view, number).protection;
            count += usize::from(before.is_some_and(|before| before != protection));
            before = Some(protection);
        }
        count
    }

    fn enqueue(&mut self, pages: &Pages) {
        let mut next = pages.numbers.start;
        while next < pages.numbers.end {
            let id = pages.chunk_of(next);
            let chunk = self.chunks.entry(id).or_insert_with(Chunk::new);
            if !chunk.is_queued {
                chunk.is_queued = true;
                self.queue.push_back(id);
            }
            next = (id.number + 1) * CHUNK_PAGES;
        }
    }

    /// Makes chunks of which nothing was shown writable, behind guards.
    fn open(&mut self, views: &Views, pages: &Pages) -> io::Result<()> {
        let mut next = pages.numbers.start;
        while next < pages.numbers.end {
            let id = pages.chunk_of(next);
            let first = id.number * CHUNK_PAGES;
            let end = (first + CHUNK_PAGES).min(views.page_count(id.view));
            let chunk = Pages {
                view: id.view,
                numbers: first..end,
            };
            if !self.any(&chunk, |page| page.protection != Rights::None) {
                self.guard(views, &chunk)?;
                self.protect(views, &chunk, Rights::Write)?;
            }
            next = end;
        }
        Ok(())
    }

    fn guard(&mut self, views: &Views, pages: &Pages) -> io::Result<()> {
        match views.guard(pages.view, pages.numbers.clone()) {
            Ok(()) => {
                self.for_pages(pages, |page| page.is_guarded = true);
                Ok(())
            }
            // The program locked its memory (mlockall): no guards there.
            Err(_) => self.protect(views, pages, Rights::None),
        }
    }

    fn unguard(&mut self, views: &Views, pages: &Pages) -> io::Result<()> {
        if self.any(pages, |page| page.is_guarded) {
            views.unguard(pages.view, pages.numbers.clone())?;
            self.for_pages(pages, |page| page.is_guarded = false);
        }
        Ok(())
    }

    /// Hides the chunks that were shown longest, but not these pages'.
    fn keep_budget(&mut self, views: &Views, pages: &Pages) -> io::Result<()> {
        let mut looks = self.queue.len();
        while self.change_count > self.change_count_max && looks > 0 {
            looks -= 1;
            let Some(id) = self.queue.pop_front() else {
                break;
            };
            let first = id.number * CHUNK_PAGES;
            let end = (first + CHUNK_PAGES).min(views.page_count(id.view));
            let is_new =
                id.view == pages.view && first < pages.numbers.end && pages.numbers.start < end;
            if is_new {
                self.queue.push_back(id);
                continue;
            }
            let chunk = Pages {
                view: id.view,
                numbers: first..end,
            };
            self.protect(views, &chunk, Rights::None)?;
            if let Some(chunk) = self.chunks.get_mut(&id) {
                chunk.is_queued = false;
            }
        }
        Ok(())
    }
}

/// How many mappings the views may be split into, besides one each: what the program and its libraries need stays free.
fn change_count_max() -> usize {
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count");
    let limit = limit.ok().and_then(|text| text.trim().parse().ok());
    limit.unwrap_or(MAP_COUNT_DEFAULT) / MAP_COUNT_SHARE
}

/// Pages that are hidden together, and opened together behind guards (2 us).
const CHUNK_PAGES: usize = 128;
/// The kernel's own default.
const MAP_COUNT_DEFAULT: usize = 65_530;
const MAP_COUNT_SHARE: usize = 2;
