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
    /// It is never hidden.
    is_kept: bool,
}

const UNTOUCHED: Page = Page {
    told: Rights::None,
    protection: Rights::None,
    is_guarded: false,
    is_kept: false,
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
    is_refused: bool,
}

impl Shown {
    /// `change_count_max`: how many mappings the views may be split into, besides one each.
    pub(super) fn new(backend: Backend, change_count_max: usize) -> Self {
        Self {
            uses_guards: backend == Backend::Guard,
            chunks: HashMap::new(),
            queue: VecDeque::new(),
            change_count: 0,
            change_count_max,
            is_refused: false,
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

    /// Shows a page what it was told, if it doesn't; `false` if the kernel has no mappings left for that.
    pub(super) fn show_again(&mut self, views: &Views, address: usize) -> io::Result<bool> {
        let (view, number) = views.page(address);
        let page = self.page(view, number);
        if page.shown() == page.told {
            return Ok(true);
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
        self.keep_budget(views, &pages)?;
        Ok(self.page(view, number).shown() == page.told)
    }

    /// Shows a page what it was told, and keeps it shown, or ends that.
    pub(super) fn keep(&mut self, views: &Views, address: usize, is_kept: bool) -> io::Result<()> {
        let (view, number) = views.page(address);
        let numbers = number..number + 1;
        self.for_pages(&Pages { view, numbers }, |page| page.is_kept = is_kept);
        if is_kept {
            self.show_again(views, address)?;
        }
        Ok(())
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

    /// Shows pages these rights; or less, if the kernel has no mappings left.
    fn show(&mut self, views: &Views, pages: &Pages, rights: Rights) -> io::Result<()> {
        if !self.any(pages, |page| page.shown() != rights) {
            return Ok(());
        }
        if self.is_refused && rights != Rights::None {
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

    /// Shows nothing from now on, as if the kernel had no mappings left.
    pub(super) fn refuse(&mut self) {
        self.is_refused = true;
    }

    /// Changes the protection of mappings. Where the process has no mappings left, others are hidden; if there is
    /// nothing to hide, these pages are.
    fn protect(&mut self, views: &Views, pages: &Pages, rights: Rights) -> io::Result<()> {
        loop {
            match views.protect(pages.view, pages.numbers.clone(), rights) {
                Ok(()) => {
                    self.note_protection(views, pages, rights);
                    return Ok(());
                }
                Err(error) if error.raw_os_error() != Some(libc::ENOMEM) => return Err(error),
                Err(_) => {}
            }
            // A part may be done.
            let Some(chunk) = self.oldest_chunk(views, pages) else {
                return self.hide_whole(views, pages);
            };
            self.hide_whole(views, &chunk)?;
        }
    }

    /// Hides pages with all around them that show something: where that ends, mappings end already, so that the
    /// kernel need not split any.
    fn hide_whole(&mut self, views: &Views, pages: &Pages) -> io::Result<()> {
        let is_shown = |number: &usize| self.page(pages.view, *number).protection != Rights::None;
        let Range { start, end } = pages.numbers.clone();
        let below = (0..start).rev().take_while(is_shown).count();
        let above = (end..views.page_count(pages.view)).take_while(is_shown);
        let whole = Pages {
            view: pages.view,
            numbers: start - below..end + above.count(),
        };
        views.protect(whole.view, whole.numbers.clone(), Rights::None)?;
        self.note_protection(views, &whole, Rights::None);
        Ok(())
    }

    fn note_protection(&mut self, views: &Views, pages: &Pages, rights: Rights) {
        let before = self.count_changes(views, pages);
        self.for_pages(pages, |page| page.protection = rights);
        self.change_count = self.change_count + self.count_changes(views, pages) - before;
        if rights != Rights::None {
            self.enqueue(pages);
        }
    }

    /// Where the protection changes: at the first page, between pages, and behind the last.
    fn count_changes(&self, views: &Views, pages: &Pages) -> usize {
        let mut before = match pages.numbers.start {
            // What is outside of the view is another mapping in any case.
            0 => None,
            first => Some(self.page(pages.view, first - 1).protection),
        };
        let mut count = 0;
        let end = (pages.numbers.end + 1).min(views.page_count(pages.view));
        for number in pages.numbers.start..end {
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

    /// Makes chunks of which nothing is shown writable, behind guards.
    fn open(&mut self, views: &Views, pages: &Pages) -> io::Result<()> {
        let mut next = pages.numbers.start;
        while next < pages.numbers.end {
            let chunk = chunk_pages(views, pages.chunk_of(next));
            next = chunk.numbers.end;
            if self.any(&chunk, |page| page.protection != Rights::None) {
                continue;
            }
            // Else (the program has locked its memory) its pages are shown one by one.
            if views.guard(chunk.view, chunk.numbers.clone()).is_ok() {
                self.for_pages(&chunk, |page| page.is_guarded = true);
                self.protect(views, &chunk, Rights::Write)?;
            }
        }
        Ok(())
    }

    fn guard(&mut self, views: &Views, pages: &Pages) -> io::Result<()> {
        if views.guard(pages.view, pages.numbers.clone()).is_ok() {
            self.for_pages(pages, |page| page.is_guarded = true);
            return Ok(());
        }
        // As above. A part may be done.
        self.protect(views, pages, Rights::None)?;
        self.remove_guards(views, pages)
    }

    fn unguard(&mut self, views: &Views, pages: &Pages) -> io::Result<()> {
        match self.any(pages, |page| page.is_guarded) {
            true => self.remove_guards(views, pages),
            false => Ok(()),
        }
    }

    fn remove_guards(&mut self, views: &Views, pages: &Pages) -> io::Result<()> {
        views.unguard(pages.view, pages.numbers.clone())?;
        self.for_pages(pages, |page| page.is_guarded = false);
        Ok(())
    }

    /// Hides chunks that were shown long, if that saves mappings.
    fn keep_budget(&mut self, views: &Views, pages: &Pages) -> io::Result<()> {
        for _ in 0..LOOKS_PER_CALL {
            if self.change_count <= self.change_count_max {
                break;
            }
            let Some(chunk) = self.oldest_chunk(views, pages) else {
                break;
            };
            let is_shown = |number: usize| {
                usize::from(self.page(chunk.view, number).protection != Rights::None)
            };
            let Range { start, end } = chunk.numbers;
            let left = start.checked_sub(1).map_or(0, is_shown) + is_shown(end);
            match left < self.count_changes(views, &chunk) {
                true => self.protect(views, &chunk, Rights::None)?,
                false => self.enqueue(&chunk),
            }
        }
        Ok(())
    }

    /// Takes the chunk that was shown longest from the queue: not one of these pages', or with pages that are kept.
    fn oldest_chunk(&mut self, views: &Views, pages: &Pages) -> Option<Pages> {
        for _ in 0..self.queue.len() {
            let id = self.queue.pop_front()?;
            let chunk = chunk_pages(views, id);
            let is_new = id.view == pages.view
                && chunk.numbers.start < pages.numbers.end
                && pages.numbers.start < chunk.numbers.end;
            if is_new || self.any(&chunk, |page| page.is_kept) {
                self.queue.push_back(id);
                continue;
            }
            if let Some(state) = self.chunks.get_mut(&id) {
                state.is_queued = false;
            }
            return Some(chunk);
        }
        None
    }
}

fn chunk_pages(views: &Views, id: ChunkId) -> Pages {
    let first = id.number * CHUNK_PAGES;
    Pages {
        view: id.view,
        numbers: first..(first + CHUNK_PAGES).min(views.page_count(id.view)),
    }
}

/// A budget of mappings for the views: what the program and its libraries need stays free.
pub(super) fn change_count_max() -> usize {
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count");
    let limit = limit.ok().and_then(|text| text.trim().parse().ok());
    limit.unwrap_or(MAP_COUNT_DEFAULT) / MAP_COUNT_SHARE
}

/// Chunks looked at when the budget is used up: a call adds but a few mappings.
const LOOKS_PER_CALL: usize = 64;
/// Pages that are hidden together, and opened together behind guards (2 us).
const CHUNK_PAGES: usize = 128;
/// The kernel's own default.
const MAP_COUNT_DEFAULT: usize = 65_530;
const MAP_COUNT_SHARE: usize = 2;

#[cfg(test)]
mod tests;
