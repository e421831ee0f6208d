//! The shared heap of one node: which of its objects are where, whose they are, and who ended them.
//!
//! Every node allocates from its own share of the window, so the home of an object is the node that
//! allocated it. Objects of at most half a page take a slot of their size [`Class`](crate::window::Class), larger ones whole pages;
//! each slot or page is a unit of coherence with rights of its own. The heap takes the node's stacks from the
//! last one down, as *chunks*: all slots, or all pages, of one stack number.
//!
//! # Life of an object
//!
//! | state | entered by | engine: exists | program: may free |
//! |---|---|---|---|
//! | unused | | no, but may be mapped with its neighbours | no |
//! | live | [`Heap::allocate`], any thread | yes | yes |
//! | freeing | [`Heap::free`], any thread | yes: faults of before are still being served | no: freed twice |
//! | freed | [`Heap::take_freed`], the service thread | no: whoever uses it is diagnosed | no: freed twice |
//!
//! From *freed* the service thread takes rights and copies back, zeroes the bytes, and [`Heap::bury`]s the
//! object: its slot or pages wait in a queue (the quarantine) until enough others have been freed after it,
//! and are live again then. So every new object is zero, and a stale pointer meets no rights for long.
//!
//! # Threads
//!
//! Application threads and the service thread call it side by side. States are words that change by
//! compare-and-exchange; what can be allocated is behind one lock per size class and one for pages. Nothing
//! under a lock touches shared memory, waits, or calls back, but for taking a chunk and giving pages back.
//!
//! A handler may interrupt a thread that holds one, use shared memory, and so wait for the service thread. That therefore waits
//! for no lock of slots, nor of what was freed: it comes back. For that of pages it must wait, for a fault may need it; so
//! application threads call what concerns pages ([`Heap::is_in_pages`], [`Heap::wants_pages`]) with their signals blocked.

mod directory;
mod pages;
mod release;
mod slots;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, OnceLock, TryLockError};

use umbel_fault::PAGE_BYTES;
use umbel_wire::NodeId;

use crate::stack::Found;
use crate::window::{Arena, Class, PAGES, Place};
pub use directory::Directory;
use pages::PageHeap;
use slots::{SlotHeap, SlotTable};

/// The heap of one node.
pub struct Heap {
    /// The node's stacks, of which the last ones are chunks.
    stacks: Range<u32>,
    /// Whether slots have views of their own, or all lie in one (a program alone).
    shared: bool,
    /// What each of the node's stacks is used for, if it is a chunk.
    chunks: Vec<OnceLock<Chunk>>,
    /// By [`Class::index`].
    small: Vec<Mutex<SlotHeap>>,
    pages: Mutex<PageHeap>,
    /// What this node's threads have freed.
    freed: Mutex<Vec<Run>>,
    /// What others' threads have: the service thread's alone.
    freed_by_others: Mutex<Vec<Run>>,
}

enum Chunk {
    Slots(SlotTable),
    Pages,
}

/// Neighbouring units of one stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first.
    pub first: Place,
    /// How many.
    pub count: u64,
}

/// What a program asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Size in bytes.
    pub bytes: u64,
    /// A power of two.
    pub align: u64,
    /// Address of the `umbel_object` that stands for the allocation's place in the source and its policy.
    pub record: u64,
}

/// An object of the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its first byte.
    pub address: usize,
    /// Size in bytes.
    pub size_bytes: u64,
    /// As in [`Wanted`].
    pub record: u64,
}

/// Who freed an object, and where in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freer {
    /// Address of the code after the call; 0 if unknown.
    pub site: u64,
    /// The node that it ran on.
    pub node: NodeId,
}

/// A new object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocated {
    /// Its first byte.
    pub address: usize,
    /// What was there before, and was freed, if its place is known.
    pub before: Option<(Object, Freer)>,
}

/// What an address in the heap means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// No object of this heap has ever been there.
    Nothing,
    /// In a live object.
    Live(Object),
    /// In an object that was freed.
    Freed(Object, Freer),
}

/// How soon the service thread must see to freed objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// It knows already.
    Known,
    /// Within a moment: more may follow.
    Soon,
    /// Now: many are waiting.
    Now,
}

/// Freed objects that are not put off to be seen to together with later ones.
const FREED_BATCH: usize = 1024;

impl Heap {
    /// An empty heap, of the node that owns these stacks. `shared`: other nodes share the window.
    pub fn new(stacks: Range<u32>, shared: bool) -> Self {
        Self {
            chunks: stacks.clone().map(|_| OnceLock::new()).collect(),
            stacks,
            shared,
            small: Class::all()
                .map(|class| Mutex::new(SlotHeap::new(class)))
                .collect(),
            pages: Mutex::default(),
            freed: Mutex::default(),
            freed_by_others: Mutex::default(),
        }
    }

    /// A new object, all zero; nothing if there is no room. `take_chunks` gives the first of so many adjacent
    /// stacks, ready for use as this arena.
    pub fn allocate(
        &self,
        wanted: Wanted,
        take_chunks: impl FnMut(u32, Arena) -> Option<u32>,
    ) -> Option<Allocated> {
        let bytes = wanted.bytes.max(1);
        let least = usize::try_from(bytes.max(wanted.align)).ok()?;
        match Class::for_bytes(least) {
            Some(class) => self.allocate_slot(class, wanted, take_chunks),
            None => self.allocate_pages(wanted, take_chunks),
        }
    }

    /// What lives, or lived, at this address of the node's share of the window.
    pub fn meaning(&self, address: usize) -> Meaning {
        match self.place_at(address) {
            None => Meaning::Nothing,
            Some(place) => self.meaning_of(place),
        }
    }

    /// Whether what is asked for takes whole pages.
    pub fn wants_pages(wanted: &Wanted) -> bool {
        Class::for_bytes(usize::try_from(wanted.bytes.max(wanted.align)).unwrap_or(usize::MAX))
            .is_none()
    }

    /// Whether this address is among objects that take whole pages.
    pub fn is_in_pages(&self, address: usize) -> bool {
        let place = self.place_at(address);
        place.is_some_and(|place| place.arena == Arena::Pages)
    }

    /// Ends the object that begins at `address`, for a thread of this node. What the address means, if that can't be.
    pub fn free(&self, address: usize, freer: Freer) -> Result<Urgency, Meaning> {
        Ok(put(&self.freed, self.end_object(address, freer)?))
    }

    /// The same for a thread of another, for the service thread.
    pub fn free_for_other(&self, address: usize, freer: Freer) -> Result<Urgency, Meaning> {
        Ok(put(&self.freed_by_others, self.end_object(address, freer)?))
    }

    fn end_object(&self, address: usize, freer: Freer) -> Result<Vec<Run>, Meaning> {
        let Some(place) = self.place_at(address) else {
            return Err(Meaning::Nothing);
        };
        let runs = match self.chunk(place.stack) {
            Some(Chunk::Slots(table)) if Arena::Small(table.class()) == place.arena => {
                if self.address_of(place) != address || !table.free(place.number, freer) {
                    return Err(self.meaning_of(place));
                }
                vec![Run {
                    first: place,
                    count: 1,
                }]
            }
            Some(Chunk::Pages) if place.arena == Arena::Pages => {
                let page = global_page(place);
                let begins = address.is_multiple_of(PAGE_BYTES);
                let freed = begins.then(|| lock(&self.pages).free(page, freer));
                let Some(page_count) = freed.flatten() else {
                    return Err(self.meaning_of(place));
                };
                runs_of(page, page_count).collect()
            }
            Some(Chunk::Slots(_) | Chunk::Pages) | None => return Err(Meaning::Nothing),
        };
        Ok(runs)
    }

    /// Gives a live object another size where it is; false if it must move for that.
    pub fn resize(&self, address: usize, bytes: u64) -> bool {
        let Some(place) = self.place_at(address) else {
            return false;
        };
        match self.chunk(place.stack) {
            Some(Chunk::Slots(table)) => table.resize(place.number, bytes),
            Some(Chunk::Pages) => lock(&self.pages).resize(global_page(place), bytes),
            None => false,
        }
    }

    /// The objects freed since the last call, neighbours together, in order: from now on none of them exists. Nothing if a
    /// thread is just freeing one: to be called again.
    pub fn take_freed(&self) -> Option<Vec<Run>> {
        let mut runs = std::mem::take(&mut *self.try_lock(&self.freed)?);
        runs.append(&mut lock(&self.freed_by_others));
        runs.sort_unstable_by_key(|run| run.first.id());
        runs.dedup_by(|next, run| {
            let adjacent = next.first.id().0 == run.first.id().0 + run.count;
            if adjacent {
                run.count += next.count;
            }
            adjacent
        });
        for run in &runs {
            match self.chunk(run.first.stack) {
                Some(Chunk::Slots(table)) => table.end(run.numbers()),
                Some(Chunk::Pages) => lock(&self.pages).end(global_page(run.first), run.count),
                None => {}
            }
        }
        Some(runs)
    }

    /// The objects of a run have no copies, no rights, and only zeroes: they may be used again, some time. False if a thread is
    /// just allocating such ones, and nothing was done: to be called again. `discard` gives neighbouring physical pages of the run's arena back to the machine: from that of this place, so many.
    pub fn bury<E>(
        &self,
        run: Run,
        mut discard: impl FnMut(Place, u64) -> Result<(), E>,
    ) -> Result<bool, E> {
        match (self.chunk(run.first.stack), run.first.arena) {
            (Some(Chunk::Slots(_)), Arena::Small(class)) => {
                let Some(mut heap) = self.try_lock(&self.small[class.index()]) else {
                    return Ok(false);
                };
                heap.bury(run, discard)?;
            }
            (Some(Chunk::Pages), Arena::Pages) => {
                discard(run.first, run.count)?;
                lock(&self.pages).bury(global_page(run.first), run.count);
            }
            (Some(_) | None, Arena::Small(_) | Arena::Pages | Arena::Tracked) => {}
        }
        Ok(true)
    }

    /// Whether this stack is a chunk of the heap.
    pub fn has_chunk(&self, stack: u32) -> bool {
        self.chunk(stack).is_some()
    }

    /// Whether a live object is at this place, as far as the engine is concerned.
    pub fn exists(&self, place: Place) -> bool {
        match self.chunk(place.stack) {
            Some(Chunk::Slots(table)) => {
                Arena::Small(table.class()) == place.arena && table.exists(place.number)
            }
            Some(Chunk::Pages) => {
                place.arena == Arena::Pages && lock(&self.pages).exists(global_page(place))
            }
            None => false,
        }
    }

    /// The object at a place, also one that was freed.
    pub fn find(&self, place: Place) -> Option<Found> {
        match self.meaning_of(place) {
            Meaning::Nothing => None,
            Meaning::Live(object) | Meaning::Freed(object, _) => Some(Found {
                record: object.record,
                size_bytes: object.size_bytes,
                page: (self.address_of(place) / PAGE_BYTES - object.address / PAGE_BYTES) as u64,
            }),
        }
    }

    /// Which bytes of the place's page are the object's: (offset, length).
    pub fn extent(&self, place: Place) -> (usize, usize) {
        match place.arena {
            Arena::Small(class) => (place.offset_in_page(), class.slot_bytes()),
            Arena::Pages => lock(&self.pages).extent(global_page(place)),
            // The heap has nothing there.
            Arena::Tracked => (0, PAGE_BYTES),
        }
    }

    /// Small objects that lie on the physical pages of this one's neighbours and may get rights with it: the first
    /// time that any of them is used. Empty otherwise.
    pub fn first_block(&self, place: Place) -> Range<u64> {
        match (self.chunk(place.stack), place.arena) {
            (Some(Chunk::Slots(table)), Arena::Small(_)) => table.first_block(place.number),
            (Some(_) | None, Arena::Small(_) | Arena::Pages | Arena::Tracked) => 0..0,
        }
    }

    /// Units around an existing one, among so many aligned neighbours, that may get rights with it: none was freed.
    pub fn first_touch(&self, place: Place, most: u64) -> Range<u64> {
        let first = place.number & !(most - 1);
        match self.chunk(place.stack) {
            Some(Chunk::Slots(table)) => table.usable(place.number, first..first + most),
            Some(Chunk::Pages) => {
                let before = global_page(place) - place.number;
                let object = lock(&self.pages).object_pages(global_page(place));
                let start = object.start.saturating_sub(before);
                first.max(start)..(first + most).min(object.end - before)
            }
            None => place.number..place.number + 1,
        }
    }

    fn allocate_slot(
        &self,
        class: Class,
        wanted: Wanted,
        mut take_chunks: impl FnMut(u32, Arena) -> Option<u32>,
    ) -> Option<Allocated> {
        let mut heap = lock(&self.small[class.index()]);
        let ripen = |stack, number| {
            if let Some(Chunk::Slots(table)) = self.chunk(stack) {
                table.ripen(number);
            }
        };
        if let Some(slot) = heap.take(false, ripen) {
            return Some(self.begin_slot(class, slot, wanted));
        }
        let stack = take_chunks(1, Arena::Small(class)).and_then(|stack| {
            let fresh = Chunk::Slots(SlotTable::new(class).ok()?);
            self.add_chunk(stack, fresh);
            Some(stack)
        });
        if let Some(stack) = stack {
            heap.add(stack);
        }
        let slot = heap.take(true, ripen)?;
        Some(self.begin_slot(class, slot, wanted))
    }

    fn begin_slot(&self, class: Class, (stack, number): (u32, u64), wanted: Wanted) -> Allocated {
        let place = Place {
            stack,
            arena: Arena::Small(class),
            number,
        };
        let address = self.address_of(place);
        let Some(Chunk::Slots(table)) = self.chunk(stack) else {
            unreachable!("a class's slots lie in its chunks")
        };
        let before = match table.meaning(number, address) {
            Meaning::Freed(object, freer) => Some((object, freer)),
            Meaning::Nothing | Meaning::Live(_) => None,
        };
        table.begin(number, wanted);
        Allocated { address, before }
    }

    fn allocate_pages(
        &self,
        wanted: Wanted,
        mut take_chunks: impl FnMut(u32, Arena) -> Option<u32>,
    ) -> Option<Allocated> {
        let page_count = wanted.bytes.max(1).div_ceil(PAGE_BYTES as u64);
        let align_pages = (wanted.align / PAGE_BYTES as u64).max(1);
        let mut heap = lock(&self.pages);
        let mut page = heap.take(page_count, align_pages);
        if page.is_none() {
            // Chunks are aligned to their own size; an alignment above that may cost as much again.
            let spare = if align_pages > PAGES { align_pages } else { 0 };
            let needed = page_count.checked_add(spare)?.div_ceil(PAGES);
            let needed = u32::try_from(needed).ok()?;
            if let Some(stack) = take_chunks(needed, Arena::Pages) {
                for stack in stack..stack + needed {
                    self.add_chunk(stack, Chunk::Pages);
                }
                heap.add(u64::from(stack) * PAGES, u64::from(needed) * PAGES);
            } else {
                heap.end_quarantine();
            }
            page = heap.take(page_count, align_pages);
        }
        let page = page?;
        heap.begin(page, page_count, wanted);
        Some(Allocated {
            address: place_of_page(page).address(),
            before: None,
        })
    }

    fn add_chunk(&self, stack: u32, chunk: Chunk) {
        let cell = &self.chunks[(stack - self.stacks.start) as usize];
        assert!(cell.set(chunk).is_ok(), "stack {stack} is a chunk already");
    }

    fn chunk(&self, stack: u32) -> Option<&Chunk> {
        let index = stack.checked_sub(self.stacks.start)?;
        self.chunks.get(index as usize)?.get()
    }

    fn meaning_of(&self, place: Place) -> Meaning {
        match self.chunk(place.stack) {
            Some(Chunk::Slots(table)) if Arena::Small(table.class()) == place.arena => {
                table.meaning(place.number, self.address_of(place))
            }
            Some(Chunk::Pages) if place.arena == Arena::Pages => {
                lock(&self.pages).meaning(global_page(place))
            }
            Some(Chunk::Slots(_) | Chunk::Pages) | None => Meaning::Nothing,
        }
    }

    /// For the service thread. In a program alone there is none that others wait for, or that comes back: nothing if another
    /// thread has the lock, elsewhere.
    fn try_lock<'a, T>(&self, mutex: &'a Mutex<T>) -> Option<MutexGuard<'a, T>> {
        if !self.shared {
            return Some(lock(mutex));
        }
        match mutex.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Poisoned(_)) => unreachable!("no code under this lock panics"),
        }
    }

    fn place_at(&self, address: usize) -> Option<Place> {
        if self.shared {
            Place::at(address)
        } else {
            Place::at_solo(address)
        }
    }

    fn address_of(&self, place: Place) -> usize {
        if self.shared {
            place.address()
        } else {
            place.solo_address()
        }
    }
}

impl Run {
    /// Their numbers.
    pub fn numbers(self) -> Range<u64> {
        self.first.number..self.first.number + self.count
    }

    /// Their places.
    pub fn places(self) -> impl Iterator<Item = Place> {
        self.numbers().map(move |number| Place {
            number,
            ..self.first
        })
    }
}

/// Pages are numbered through all stacks: objects may span them.
fn global_page(place: Place) -> u64 {
    u64::from(place.stack) * PAGES + place.number
}

fn place_of_page(page: u64) -> Place {
    Place {
        stack: (page / PAGES) as u32,
        arena: Arena::Pages,
        number: page % PAGES,
    }
}

/// Pages `page..page + count`, split where a stack ends.
fn runs_of(page: u64, count: u64) -> impl Iterator<Item = Run> {
    let end = page + count;
    let first_stack = page / PAGES;
    (first_stack..end.div_ceil(PAGES)).map(move |stack| {
        let first = page.max(stack * PAGES);
        Run {
            first: place_of_page(first),
            count: end.min((stack + 1) * PAGES) - first,
        }
    })
}

fn put(freed: &Mutex<Vec<Run>>, runs: Vec<Run>) -> Urgency {
    let mut freed = lock(freed);
    let urgency = match freed.len() {
        0 => Urgency::Soon,
        FREED_BATCH => Urgency::Now,
        _ => Urgency::Known,
    };
    freed.extend(runs);
    urgency
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code under this lock panics")
}
