//! Small objects: a table of states for each chunk, and what of one size class can be allocated.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use umbel_fault::{PAGE_BYTES, zeroed_words};
use umbel_wire::NodeId;

use super::{Freer, Meaning, Object, Run, Wanted};
use crate::window::{Arena, Class, GROUP_PAGES, Place};

/// State of every slot of one chunk: 16 bytes each.
///
/// ```text
/// head   bits 0-47 record   48-59 size in bytes   60-63 state
/// tail   bits 0-47 where it was freed   48-63 on which node
/// ```
pub(super) struct SlotTable {
    class: Class,
    words: &'static [AtomicU64],
    /// Blocks of slots that were mapped together once: a bit each.
    blocks: Vec<AtomicU64>,
}

/// Slots that get rights together when the first of them is used: in a new part of the heap one fault serves as
/// many objects. They share the physical pages of a group, so that costs page-table entries only.
const BLOCK_SLOTS: u64 = 128;

const WORDS_PER_SLOT: usize = 2;
const ADDRESS_MASK: u64 = (1 << 48) - 1;
const SIZE_SHIFT: u32 = 48;
const SIZE_MASK: u64 = (1 << 12) - 1;
const STATE_SHIFT: u32 = 60;
const UNUSED: u64 = 0;
const LIVE: u64 = 1;
const FREEING: u64 = 2;
const FREED: u64 = 3;
/// Freed, and out of the quarantine: may get rights with its neighbours.
const RIPE: u64 = 4;

const _: () = assert!(PAGE_BYTES / 2 <= SIZE_MASK as usize);

impl SlotTable {
    /// No slot was ever used. Costs address space only.
    pub fn new(class: Class) -> io::Result<Self> {
        Ok(Self {
            class,
            words: zeroed_words(class.slots() as usize * WORDS_PER_SLOT)?,
            blocks: (0..class.slots().div_ceil(block_slots(class) * 64))
                .map(|_| AtomicU64::new(0))
                .collect(),
        })
    }

    pub fn class(&self) -> Class {
        self.class
    }

    /// A new object, in a slot that nobody else knows.
    pub fn begin(&self, number: u64, wanted: Wanted) {
        let head = LIVE << STATE_SHIFT | wanted.bytes << SIZE_SHIFT | wanted.record & ADDRESS_MASK;
        // Release: pairs with the Acquire loads of other threads, which have the address from this one.
        self.head(number).store(head, Ordering::Release);
    }

    /// Live to freeing: false if it isn't live, or another thread was faster.
    pub fn free(&self, number: u64, freer: Freer) -> bool {
        let head = self.head(number);
        let mut value = head.load(Ordering::Acquire);
        while state(value) == LIVE {
            // AcqRel: the winner's `tail` is written after every load of a loser that found it live.
            let swapped = head.compare_exchange(
                value,
                with_state(value, FREEING),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match swapped {
                Err(now) => value = now,
                Ok(_) => {
                    let tail = u64::from(freer.node.0) << SIZE_SHIFT | freer.site & ADDRESS_MASK;
                    self.tail(number).store(tail, Ordering::Release);
                    return true;
                }
            }
        }
        false
    }

    /// Freeing to freed.
    pub fn end(&self, numbers: Range<u64>) {
        for number in numbers {
            let head = self.head(number);
            // Nobody else changes a slot that is being freed.
            let value = head.load(Ordering::Acquire);
            debug_assert_eq!(state(value), FREEING);
            head.store(with_state(value, FREED), Ordering::Release);
        }
    }

    /// Freed to ripe.
    pub fn ripen(&self, number: u64) {
        let head = self.head(number);
        let value = head.load(Ordering::Acquire);
        debug_assert_eq!(state(value), FREED);
        head.store(with_state(value, RIPE), Ordering::Release);
    }

    /// Another size in the same slot; false if it needs another slot, or should have a smaller one.
    pub fn resize(&self, number: u64, bytes: u64) -> bool {
        let slot_bytes = self.class.slot_bytes() as u64;
        let fits = bytes <= slot_bytes && (self.class == Class::LINE || bytes > slot_bytes / 4);
        let head = self.head(number);
        let value = head.load(Ordering::Acquire);
        let resized = value & !(SIZE_MASK << SIZE_SHIFT) | bytes << SIZE_SHIFT;
        // Fails if another thread frees the object meanwhile, which will be diagnosed.
        fits && state(value) == LIVE
            && head
                .compare_exchange(value, resized, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }

    pub fn exists(&self, number: u64) -> bool {
        matches!(self.state(number), LIVE | FREEING)
    }

    pub fn meaning(&self, number: u64, address: usize) -> Meaning {
        let head = self.head(number).load(Ordering::Acquire);
        let object = Object {
            address,
            size_bytes: head >> SIZE_SHIFT & SIZE_MASK,
            record: head & ADDRESS_MASK,
        };
        match state(head) {
            UNUSED => Meaning::Nothing,
            LIVE => Meaning::Live(object),
            _ => {
                let tail = self.tail(number).load(Ordering::Acquire);
                let freer = Freer {
                    site: tail & ADDRESS_MASK,
                    node: NodeId((tail >> SIZE_SHIFT) as u16),
                };
                Meaning::Freed(object, freer)
            }
        }
    }

    /// The block of a slot, if this is the first call for it and no slot of it was freed. For the service thread.
    pub fn first_block(&self, number: u64) -> Range<u64> {
        let slots = block_slots(self.class);
        let block = number / slots;
        let first = block * slots;
        let bit = 1 << (block % 64);
        // Relaxed: only the service thread uses these.
        let earlier = self.blocks[(block / 64) as usize].fetch_or(bit, Ordering::Relaxed);
        let slots = first..first + slots;
        let fresh = earlier & bit == 0 && slots.clone().all(|slot| self.state(slot) != FREED);
        if fresh { slots } else { 0..0 }
    }

    /// The slots of `among` around `number` with none between that was freed.
    pub fn usable(&self, number: u64, among: Range<u64>) -> Range<u64> {
        let usable = |slot: &u64| self.state(*slot) != FREED;
        let before = (among.start..number).rev().take_while(usable).count() as u64;
        let after = (number + 1..among.end).take_while(usable).count() as u64;
        number - before..number + 1 + after
    }

    fn state(&self, number: u64) -> u64 {
        // Acquire: pairs with the Release stores above.
        state(self.head(number).load(Ordering::Acquire))
    }

    fn head(&self, number: u64) -> &AtomicU64 {
        &self.words[number as usize * WORDS_PER_SLOT]
    }

    fn tail(&self, number: u64) -> &AtomicU64 {
        &self.words[number as usize * WORDS_PER_SLOT + 1]
    }
}

fn block_slots(class: Class) -> u64 {
    BLOCK_SLOTS.min(class.group_slots())
}

fn state(head: u64) -> u64 {
    head >> STATE_SHIFT
}

fn with_state(head: u64, state: u64) -> u64 {
    head & !(0xF << STATE_SHIFT) | state << STATE_SHIFT
}

/// What can be allocated of one class, and how much of each physical page is in use.
pub(super) struct SlotHeap {
    class: Class,
    /// The chunk whose slots are given out for the first time, and the next one.
    fresh: Option<(u32, u64)>,
    /// Freed slots, the one freed first in front.
    quarantine: VecDeque<(u32, u32)>,
    /// Slots that have left it, next to be used.
    ripe: VecDeque<(u32, u32)>,
    /// By chunk: slots that are live or not yet buried, for each physical page.
    live: BTreeMap<u32, Vec<u8>>,
}

impl SlotHeap {
    pub fn new(class: Class) -> Self {
        Self {
            class,
            fresh: None,
            quarantine: VecDeque::new(),
            ripe: VecDeque::new(),
            live: BTreeMap::new(),
        }
    }

    /// A chunk of this class.
    pub fn add(&mut self, stack: u32) {
        self.fresh = Some((stack, 0));
        let pages = self.class.slots() as usize / self.class.views();
        self.live.insert(stack, vec![0; pages]);
    }

    /// A slot, as (stack, number). `hard`: there will be no more chunks, so the quarantine must give. `ripen` is
    /// told the slots that leave it: several at a time, for neighbours are used with one fault.
    pub fn take(&mut self, hard: bool, ripen: impl Fn(u32, u64)) -> Option<(u32, u64)> {
        let fresh = self.fresh.filter(|(_, next)| *next < self.class.slots());
        if self.ripe.is_empty()
            && (self.quarantine.len() > QUARANTINE_SLOTS || hard && fresh.is_none())
        {
            let count = RIPE_SLOTS.min(self.quarantine.len());
            self.ripe = self.quarantine.drain(..count).collect();
            for (stack, number) in &self.ripe {
                ripen(*stack, u64::from(*number));
            }
        }
        let (stack, number) = if let Some((stack, number)) = self.ripe.pop_front() {
            (stack, u64::from(number))
        } else {
            let (stack, next) = fresh?;
            self.fresh = Some((stack, next + 1));
            (stack, next)
        };
        let page = self.place(stack, number).physical_page() as usize;
        let live = self.live.get_mut(&stack).expect("the chunk was added");
        live[page] += 1;
        Some((stack, number))
    }

    /// Puts freed slots at the end of the quarantine, and gives back the physical pages that hold nothing any
    /// more: under the lock, so that nobody gets a slot there meanwhile.
    pub fn bury<E>(
        &mut self,
        run: Run,
        mut discard: impl FnMut(Place, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let stack = run.first.stack;
        let live = self.live.get_mut(&stack).expect("the chunk was added");
        let mut empty = Vec::new();
        for place in run.places() {
            let page = place.physical_page();
            live[page as usize] -= 1;
            if live[page as usize] == 0 {
                empty.push(page);
            }
            self.quarantine.push_back((stack, place.number as u32));
        }
        if let Some((fresh_stack, next)) = self.fresh
            && fresh_stack == stack
        {
            // New objects come to these pages next.
            let group = next / self.class.group_slots();
            empty.retain(|page| page / GROUP_PAGES != group);
        }
        empty.sort_unstable();
        for pages in empty.chunk_by(|a, b| a + 1 == *b) {
            let first = pages[0] / GROUP_PAGES * self.class.group_slots() + pages[0] % GROUP_PAGES;
            discard(self.place(stack, first), pages.len() as u64)?;
        }
        Ok(())
    }

    fn place(&self, stack: u32, number: u64) -> Place {
        Place {
            stack,
            arena: Arena::Small(self.class),
            number,
        }
    }
}

/// Freed slots of a class that wait before the first is used again. What that costs: 24 bytes of tables each.
const QUARANTINE_SLOTS: usize = 1 << 16;

/// Slots that leave the quarantine together.
const RIPE_SLOTS: usize = 64;

const _: () = assert!(PAGE_BYTES / Class::LINE.slot_bytes() <= u8::MAX as usize);
