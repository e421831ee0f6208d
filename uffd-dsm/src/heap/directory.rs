//! What lives at the places of this node's stacks, whichever way it came there.

use std::collections::BTreeMap;
use std::ops::Range;

use umbel_fault::PAGE_BYTES;

use super::Heap;
use crate::stack::{Found, StackMap};
use crate::window::{Arena, GROUP_PAGES, Place};

/// Threads' shadow stacks, and the heap: what the engine asks about its own node's objects.
#[derive(Default)]
pub struct Directory {
    /// Shadow stacks that are or were in use.
    stacks: BTreeMap<u32, StackMap>,
    heap: Option<&'static Heap>,
}

impl Directory {
    /// Makes a shadow stack known, before its first object.
    pub fn add_stack(&mut self, stack: u32, map: StackMap) {
        self.stacks.insert(stack, map);
    }

    /// Makes the node's heap known.
    pub fn set_heap(&mut self, heap: &'static Heap) {
        self.heap = Some(heap);
    }

    /// Whether a fault or a request at this place may be served: the stack is known, and no object of the heap
    /// was freed there.
    ///
    /// Anything in a known shadow stack may: its owner may still be about to publish what lives there.
    pub fn may_use(&self, place: Place) -> bool {
        if self.stacks.contains_key(&place.stack) {
            return true;
        }
        self.heap.is_some_and(|heap| heap.exists(place))
    }

    /// Whether this shadow stack is known.
    pub fn knows_stack(&self, stack: u32) -> bool {
        self.stacks.contains_key(&stack)
    }

    /// Whether the place is in a chunk of the heap, which is known as soon as an address there is.
    pub fn is_in_heap(&self, place: Place) -> bool {
        self.heap.is_some_and(|heap| heap.has_chunk(place.stack))
    }

    /// Whether an object is known to live at this place.
    pub fn exists(&self, place: Place) -> bool {
        match self.stacks.get(&place.stack) {
            Some(map) => map.find(place).is_some(),
            None => self.heap.is_some_and(|heap| heap.exists(place)),
        }
    }

    /// The object at a place.
    pub fn find(&self, place: Place) -> Option<Found> {
        match self.stacks.get(&place.stack) {
            Some(map) => map.find(place),
            None => self.heap?.find(place),
        }
    }

    /// Which bytes of the place's page are the object's: (offset, length).
    pub fn extent(&self, place: Place) -> (usize, usize) {
        match (self.stacks.get(&place.stack), self.heap) {
            (Some(map), _) => map.extent(place, PAGE_BYTES),
            (None, Some(heap)) => heap.extent(place),
            (None, None) => (place.offset_in_page(), place.arena.unit_bytes()),
        }
    }

    /// Another node asks for this place.
    pub fn lend(&self, place: Place) {
        if let (Some(map), Arena::Pages | Arena::Tracked) =
            (self.stacks.get(&place.stack), place.arena)
        {
            map.lend_page(place.number);
        }
    }

    /// Units around this one that may get rights together at its first touch: all that is worth a try, and, if one
    /// of them is shared, the nearest.
    pub fn first_touch(&self, place: Place) -> [Range<u64>; 2] {
        let near = self.neighbours(place);
        let block = self.heap.map_or(0..0, |heap| heap.first_block(place));
        [
            if block.is_empty() {
                near.clone()
            } else {
                block
            },
            near,
        ]
    }

    fn neighbours(&self, place: Place) -> Range<u64> {
        let most = match place.arena {
            Arena::Small(_) => GROUP_PAGES,
            Arena::Pages | Arena::Tracked => PAGES_PER_FIRST_TOUCH,
        };
        match self.heap {
            Some(heap) if heap.has_chunk(place.stack) => heap.first_touch(place, most),
            Some(_) | None => {
                let first = place.number & !(most - 1);
                first..first + most
            }
        }
    }

    pub(super) fn heap(&self) -> Option<&'static Heap> {
        self.heap
    }
}

/// Pages of a large object mapped at its first touch: beyond this the fault itself no longer matters.
const PAGES_PER_FIRST_TOUCH: u64 = 64;
