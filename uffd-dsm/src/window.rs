//! The window: the address range that is equal on all nodes, and what each address names.
//!
//! ```text
//! 0x2000_0000_0000  64 views of one small arena of 64 GiB: objects up to 64 bytes, one view apart;
//!                   64 KiB lie between two views
//! 0x2800_0000_0000  the page arena, 16 TiB: everything larger
//! ```
//!
//! Both arenas are cut into [`STACKS`] shadow stacks of equal size; a job's nodes own equal,
//! power-of-two shares of them, so the home of an object is a shift of its number. A small object lies
//! on a physical page with others but has a virtual page of its own, because each of the page's 64
//! slots is addressed through another view (MultiView: Itzkovitz and Schuster, OSDI '99). Slots are
//! numbered so that neighbours are consecutive pages of one view: one call covers a run.

use umbel_fault::{PAGE_BYTES, SpaceLayout, View};
use umbel_wire::{NodeId, ObjectId};

/// Shadow stacks in the window, over all nodes: the number of threads that can live at a time.
pub const STACKS: u32 = 1 << STACKS_LOG2;
const STACKS_LOG2: u32 = 12;

/// Bytes of a small object's slot: a cache line.
pub const SLOT_BYTES: usize = 64;

/// Small objects of one stack.
pub const SLOTS: u64 = 1 << SLOTS_LOG2;
const SLOTS_LOG2: u32 = 18;

/// Pages of one stack's page arena: 4 GiB.
pub const PAGES: u64 = 1 << PAGES_LOG2;
const PAGES_LOG2: u32 = 20;

/// Pages of a view that hold neighbouring slots.
pub const GROUP_PAGES: u64 = 16;
const VIEWS: usize = PAGE_BYTES / SLOT_BYTES;
const SMALL_BASE: usize = 0x2000_0000_0000;
const PAGE_BASE: usize = 0x2800_0000_0000;
const SMALL_STACK_BYTES: usize = SLOTS as usize * SLOT_BYTES;
const VIEW_BYTES: usize = SMALL_STACK_BYTES << STACKS_LOG2;
/// From a view to the next. Were it a power of two, a group's pages of all views would share a few sets of
/// the TLB (measured: following a list through 1000 slots took 27.8 ns a step, with this 4.7).
const VIEW_STRIDE: usize = VIEW_BYTES + GROUP_PAGES as usize * PAGE_BYTES;
const PAGE_STACK_BYTES: usize = PAGES as usize * PAGE_BYTES;
const PAGE_ARENA_BYTES: usize = PAGE_STACK_BYTES << STACKS_LOG2;
const GROUP_SLOTS: u64 = GROUP_PAGES * VIEWS as u64;

const _: () = assert!(SMALL_BASE + VIEWS * VIEW_STRIDE <= PAGE_BASE);
const _: () = assert!(SLOTS_LOG2 <= PAGES_LOG2);

/// One of a thread's two shadow stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arena {
    /// Objects of at most [`SLOT_BYTES`]: the number is a slot.
    Small,
    /// Larger ones: the number is a page.
    Pages,
}

/// What an [`ObjectId`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which shadow stack.
    pub stack: u32,
    /// Which of its arenas.
    pub arena: Arena,
    /// Slot or page.
    pub number: u64,
}

const ARENA_BIT: u32 = PAGES_LOG2;
const STACK_SHIFT: u32 = PAGES_LOG2 + 1;

impl Place {
    /// The place's number among all objects; follows allocation order within an arena.
    pub fn id(self) -> ObjectId {
        let arena = match self.arena {
            Arena::Small => 0,
            Arena::Pages => 1 << ARENA_BIT,
        };
        ObjectId(u64::from(self.stack) << STACK_SHIFT | arena | self.number)
    }

    /// The place with this number, if there is one.
    pub fn of(object: ObjectId) -> Option<Self> {
        let stack = u32::try_from(object.0 >> STACK_SHIFT)
            .ok()
            .filter(|stack| *stack < STACKS)?;
        let number = object.0 & (PAGES - 1);
        if object.0 & (1 << ARENA_BIT) != 0 {
            return Some(Self {
                stack,
                arena: Arena::Pages,
                number,
            });
        }
        (number < SLOTS).then_some(Self {
            stack,
            arena: Arena::Small,
            number,
        })
    }

    /// The place whose virtual page holds `address`, if it is in the window.
    pub fn at(address: usize) -> Option<Self> {
        if (SMALL_BASE..SMALL_BASE + VIEWS * VIEW_STRIDE).contains(&address) {
            let view = (address - SMALL_BASE) / VIEW_STRIDE;
            let offset = (address - SMALL_BASE) % VIEW_STRIDE;
            if offset >= VIEW_BYTES {
                return None;
            }
            let page = (offset % SMALL_STACK_BYTES / PAGE_BYTES) as u64;
            return Some(Self {
                stack: (offset / SMALL_STACK_BYTES) as u32,
                arena: Arena::Small,
                number: page / GROUP_PAGES * GROUP_SLOTS
                    + view as u64 * GROUP_PAGES
                    + page % GROUP_PAGES,
            });
        }
        let offset = address
            .checked_sub(PAGE_BASE)
            .filter(|offset| *offset < PAGE_ARENA_BYTES)?;
        Some(Self {
            stack: (offset / PAGE_STACK_BYTES) as u32,
            arena: Arena::Pages,
            number: (offset % PAGE_STACK_BYTES / PAGE_BYTES) as u64,
        })
    }

    /// The place that a pointer names in a program alone, whose views are folded into one.
    pub fn at_solo(address: usize) -> Option<Self> {
        let place = Self::at(address)?;
        let view = match place.arena {
            Arena::Small => (address % PAGE_BYTES / SLOT_BYTES) as u64,
            Arena::Pages => 0,
        };
        Some(Self {
            number: place.number + view * GROUP_PAGES,
            ..place
        })
    }

    /// Start of the virtual page whose rights are the object's.
    pub fn page_address(self) -> usize {
        match self.arena {
            Arena::Small => {
                SMALL_BASE
                    + self.view() * VIEW_STRIDE
                    + self.stack as usize * SMALL_STACK_BYTES
                    + self.physical_page() * PAGE_BYTES
            }
            Arena::Pages => {
                PAGE_BASE
                    + self.stack as usize * PAGE_STACK_BYTES
                    + self.number as usize * PAGE_BYTES
            }
        }
    }

    /// First byte of the slot, or of the page.
    pub fn address(self) -> usize {
        self.page_address() + self.offset_in_page()
    }

    /// Bytes from the page's start to the object's slot.
    pub fn offset_in_page(self) -> usize {
        match self.arena {
            Arena::Small => self.view() * SLOT_BYTES,
            Arena::Pages => 0,
        }
    }

    /// Where the virtual page lies in the memory file.
    pub fn page_file_offset(self) -> u64 {
        let offset = match self.arena {
            Arena::Small => {
                self.stack as usize * SMALL_STACK_BYTES + self.physical_page() * PAGE_BYTES
            }
            Arena::Pages => {
                VIEW_BYTES
                    + self.stack as usize * PAGE_STACK_BYTES
                    + self.number as usize * PAGE_BYTES
            }
        };
        offset as u64
    }

    fn view(self) -> usize {
        (self.number / GROUP_PAGES) as usize % VIEWS
    }

    fn physical_page(self) -> usize {
        (self.number / GROUP_SLOTS * GROUP_PAGES + self.number % GROUP_PAGES) as usize
    }
}

/// The window's mappings.
pub fn layout() -> SpaceLayout {
    let small = (0..VIEWS).map(|view| View {
        address: SMALL_BASE + view * VIEW_STRIDE,
        len: VIEW_BYTES,
        file_offset: 0,
    });
    let pages = View {
        address: PAGE_BASE,
        len: PAGE_ARENA_BYTES,
        file_offset: VIEW_BYTES as u64,
    };
    SpaceLayout {
        file_bytes: (VIEW_BYTES + PAGE_ARENA_BYTES) as u64,
        views: small.chain([pages]).collect(),
    }
}

/// How a stack's slots lie in memory: the constants that compiled code adds up (`umbel_abi.h`).
#[derive(Clone, Copy, Debug)]
pub struct SlotGeometry {
    /// Address of slot 0.
    pub base: usize,
    /// From a slot to the next one of the same page.
    pub view_stride: usize,
}

impl SlotGeometry {
    /// Address of a slot, as `__umbel_alloc` in `umbel_abi.h` computes it.
    pub fn slot_address(self, slot: u64) -> usize {
        let slot = slot as usize;
        self.base
            + ((slot >> 10) << 16)
            + ((slot & 15) << 12)
            + ((slot >> 4) & 63) * self.view_stride
    }
}

/// Geometry of `stack` when several nodes share the window.
pub fn shared_geometry(stack: u32) -> SlotGeometry {
    let base = Place {
        stack,
        arena: Arena::Small,
        number: 0,
    }
    .address();
    SlotGeometry {
        base,
        view_stride: VIEW_STRIDE + SLOT_BYTES,
    }
}

/// Geometry of `stack` in a program alone: one view, private memory, nothing ever faults here.
pub fn solo_geometry(stack: u32) -> SlotGeometry {
    let base = Place {
        stack,
        arena: Arena::Small,
        number: 0,
    }
    .page_address();
    SlotGeometry {
        base,
        view_stride: SLOT_BYTES,
    }
}

/// Maps the private memory of `stack` in a program alone.
pub fn map_solo_stack(stack: u32) -> std::io::Result<()> {
    umbel_fault::private_memory(solo_geometry(stack).base, SMALL_STACK_BYTES)?;
    let pages = Place {
        stack,
        arena: Arena::Pages,
        number: 0,
    };
    umbel_fault::private_memory(pages.page_address(), PAGE_STACK_BYTES)
}

/// Which node's stacks an object is among.
#[derive(Clone, Copy, Debug)]
pub struct Homes {
    stacks_log2: u32,
}

impl Homes {
    /// Shares the stacks among `node_count` nodes, equally, in power-of-two regions.
    pub fn new(node_count: u16) -> Self {
        let shares = u32::from(node_count.max(1)).next_power_of_two().ilog2();
        Self {
            stacks_log2: STACKS_LOG2.saturating_sub(shares),
        }
    }

    /// The node that owns a stack.
    pub fn home_of_stack(&self, stack: u32) -> NodeId {
        NodeId((stack >> self.stacks_log2) as u16)
    }

    /// A node's stacks.
    pub fn stacks(&self, node: NodeId) -> std::ops::Range<u32> {
        let first = u32::from(node.0) << self.stacks_log2;
        first..first + (1 << self.stacks_log2)
    }
}

impl umbel_coherence::HomeMap for Homes {
    fn home(&self, object: ObjectId) -> NodeId {
        self.home_of_stack((object.0 >> STACK_SHIFT) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> impl Iterator<Item = Place> {
        let numbers = [0, 1, 15, 16, 17, 1023, 1024, 1025, 65_536, SLOTS - 1];
        let stacks = [0, 1, 63, STACKS - 1];
        let arenas = [Arena::Small, Arena::Pages];
        stacks.into_iter().flat_map(move |stack| {
            arenas.into_iter().flat_map(move |arena| {
                numbers.into_iter().map(move |number| Place {
                    stack,
                    arena,
                    number,
                })
            })
        })
    }

    #[test]
    fn number_and_address_name_the_same_place() {
        for place in places() {
            assert_eq!(Place::of(place.id()), Some(place));
            assert_eq!(
                Place::at(place.address()),
                Some(place),
                "{:#x}",
                place.address()
            );
            assert_eq!(
                Place::at(place.page_address() + PAGE_BYTES - 1),
                Some(place)
            );
        }
    }

    #[test]
    fn no_two_slots_share_a_virtual_page_or_a_byte() {
        let slots: Vec<Place> = (0..3000)
            .map(|number| Place {
                stack: 3,
                arena: Arena::Small,
                number,
            })
            .collect();
        let pages: std::collections::BTreeSet<usize> =
            slots.iter().map(|slot| slot.page_address()).collect();
        let bytes: std::collections::BTreeSet<u64> = slots
            .iter()
            .map(|slot| slot.page_file_offset() + slot.offset_in_page() as u64)
            .collect();
        assert_eq!((pages.len(), bytes.len()), (slots.len(), slots.len()));
    }

    #[test]
    fn sixteen_neighbours_are_one_run_of_pages() {
        let first = Place {
            stack: 0,
            arena: Arena::Small,
            number: 32,
        };
        for i in 0..GROUP_PAGES {
            let slot = Place {
                number: 32 + i,
                ..first
            };
            assert_eq!(
                slot.page_address(),
                first.page_address() + i as usize * PAGE_BYTES
            );
        }
    }

    #[test]
    fn compiled_code_computes_the_same_address() {
        for place in places().filter(|place| place.arena == Arena::Small) {
            let address = shared_geometry(place.stack).slot_address(place.number);
            assert_eq!(address, place.address());
        }
    }

    #[test]
    fn alone_every_slot_is_found_by_its_address() {
        for place in places().filter(|place| place.arena == Arena::Small) {
            let address = solo_geometry(place.stack).slot_address(place.number);
            assert_eq!(Place::at_solo(address), Some(place));
            assert_eq!(Place::at_solo(address + SLOT_BYTES - 1), Some(place));
        }
    }

    #[test]
    fn every_stack_has_one_home() {
        for node_count in [1, 2, 3, 4, 7, 8, 100] {
            let homes = Homes::new(node_count);
            for node in 0..node_count {
                let stacks = homes.stacks(NodeId(node));
                assert!(stacks.end <= STACKS && !stacks.is_empty());
                assert!(
                    stacks
                        .clone()
                        .all(|stack| homes.home_of_stack(stack) == NodeId(node))
                );
            }
        }
    }

    #[test]
    fn addresses_outside_are_refused() {
        let between = SMALL_BASE + VIEW_BYTES;
        let after = PAGE_BASE + PAGE_ARENA_BYTES;
        for address in [
            0,
            0x1000,
            SMALL_BASE - 1,
            between,
            PAGE_BASE - 1,
            after,
            usize::MAX,
        ] {
            assert_eq!(Place::at(address), None, "{address:#x}");
        }
    }
}
