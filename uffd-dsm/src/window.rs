//! The window: the address range that is equal on all nodes, and what each address names.
//!
//! ```text
//! 0x2000_0000_0000  126 views of 64 GiB, 64 KiB apart: 64 of the arena of 64-byte slots, 32 of the one of
//!                   128-byte slots, and so on to 2 of the one of 2048-byte slots
//! 0x2800_0000_0000  the page arena, 16 TiB: everything larger
//! 0x3800_0000_0000  the tracked arena, 8 TiB: large arrays that several nodes write
//! ```
//!
//! Each arena is cut into [`STACKS`] parts of equal size. A *stack* is one number's part of every arena; a
//! job's nodes own equal, power-of-two shares of the stacks, so the home of an object is a shift of its
//! number. Threads' shadow stacks take a node's stacks from the first one up and use 64-byte slots and pages;
//! the heap takes them from the last one down, as chunks of one arena each.
//!
//! A small object lies on a physical page with others but has a virtual page of its own, because each of the
//! page's slots is addressed through another view (MultiView: Itzkovitz and Schuster, OSDI '99). Slots are
//! numbered so that neighbours are consecutive pages of one view: one call covers a run.

use umbel_fault::{PAGE_BYTES, SpaceLayout, View};
use umbel_wire::{NodeId, ObjectId};

/// Stacks in the window, over all nodes: threads that can live at a time, and chunks of the heap.
pub const STACKS: u32 = 1 << STACKS_LOG2;
const STACKS_LOG2: u32 = 12;

/// Bytes of the smallest slot: a cache line.
pub const SLOT_BYTES: usize = 64;

/// Slots of that size in one stack.
pub const SLOTS: u64 = 1 << SLOTS_LOG2;
const SLOTS_LOG2: u32 = 18;

/// Pages of one stack's page arena: 4 GiB.
pub const PAGES: u64 = 1 << PAGES_LOG2;
const PAGES_LOG2: u32 = 20;

/// Pages of a view that hold neighbouring slots.
pub const GROUP_PAGES: u64 = 16;
/// Views of the arena of the smallest slots; the next one has half as many, and so on.
const LINE_VIEWS: usize = PAGE_BYTES / SLOT_BYTES;
const VIEWS: usize = Class::COUNT.first_view();
const SMALL_BASE: usize = 0x2000_0000_0000;
const PAGE_BASE: usize = 0x2800_0000_0000;
const SMALL_STACK_BYTES: usize = SLOTS as usize * SLOT_BYTES;
const VIEW_BYTES: usize = SMALL_STACK_BYTES << STACKS_LOG2;
/// From a view to the next. Were it a power of two, a group's pages of all views would share a few sets of
/// the TLB (measured: following a list through 1000 slots took 27.8 ns a step, with this 4.7).
const VIEW_STRIDE: usize = VIEW_BYTES + GROUP_PAGES as usize * PAGE_BYTES;
const SMALL_FILE_BYTES: usize = Class::COUNT.0 as usize * VIEW_BYTES;
const PAGE_STACK_BYTES: usize = PAGES as usize * PAGE_BYTES;
const PAGE_ARENA_BYTES: usize = PAGE_STACK_BYTES << STACKS_LOG2;
/// Pages of one stack's tracked arena: 2 GiB, for the window ends at 2^46.
pub const TRACKED_PAGES: u64 = PAGES / 2;
const TRACKED_BASE: usize = PAGE_BASE + PAGE_ARENA_BYTES;
const TRACKED_STACK_BYTES: usize = TRACKED_PAGES as usize * PAGE_BYTES;
const TRACKED_ARENA_BYTES: usize = TRACKED_STACK_BYTES << STACKS_LOG2;
const TRACKED_FILE_START: usize = SMALL_FILE_BYTES + PAGE_ARENA_BYTES;

const _: () = assert!(SMALL_BASE + VIEWS * VIEW_STRIDE <= PAGE_BASE);
const _: () = assert!(TRACKED_BASE + TRACKED_ARENA_BYTES <= 1 << 46);
const _: () = assert!(SLOTS_LOG2 <= PAGES_LOG2);
const _: () = assert!(SLOT_BYTES << (Class::COUNT.0 - 1) == PAGE_BYTES / 2);

/// Size of small objects' slots: a cache line, doubled up to half a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class(u8);

impl Class {
    /// Slots of a cache line: what threads' shadow stacks are made of.
    pub const LINE: Self = Self(0);
    /// One past the last.
    const COUNT: Self = Self(6);

    /// From the smallest to the largest.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator {
        (0..Self::COUNT.0).map(Self)
    }

    /// The smallest that holds this many bytes; none above half a page.
    pub fn for_bytes(bytes: usize) -> Option<Self> {
        Self::all().find(|class| bytes <= class.slot_bytes())
    }

    /// Its place in [`Class::all`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Bytes of a slot.
    pub const fn slot_bytes(self) -> usize {
        SLOT_BYTES << self.0
    }

    /// Slots in one stack.
    pub const fn slots(self) -> u64 {
        SLOTS >> self.0
    }

    /// Slots on one physical page, each in a view of its own.
    pub const fn views(self) -> usize {
        LINE_VIEWS >> self.0
    }

    /// Slots of a group: [`GROUP_PAGES`] physical pages in all views.
    pub const fn group_slots(self) -> u64 {
        GROUP_PAGES * self.views() as u64
    }

    const fn first_view(self) -> usize {
        2 * LINE_VIEWS - ((2 * LINE_VIEWS) >> self.0)
    }

    fn of_view(view: usize) -> Self {
        let from_end = (2 * LINE_VIEWS - view).next_power_of_two();
        Self(((2 * LINE_VIEWS).ilog2() - from_end.ilog2()) as u8)
    }
}

/// One kind of memory that a stack has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arena {
    /// Objects that share physical pages: the number is a slot of this size.
    Small(Class),
    /// Larger ones: the number is a page.
    Pages,
    /// Large arrays whose written pages the kernel tells, where it can: the number is a page, and no two objects of
    /// a stack have the same one in this arena and in `Pages`.
    Tracked,
}

impl Arena {
    /// Slots or pages of one stack.
    pub const fn count(self) -> u64 {
        match self {
            Self::Small(class) => class.slots(),
            Self::Pages => PAGES,
            Self::Tracked => TRACKED_PAGES,
        }
    }

    /// Bytes of a slot or page.
    pub const fn unit_bytes(self) -> usize {
        match self {
            Self::Small(class) => class.slot_bytes(),
            Self::Pages | Self::Tracked => PAGE_BYTES,
        }
    }
}

/// What an [`ObjectId`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which stack.
    pub stack: u32,
    /// Which of its arenas.
    pub arena: Arena,
    /// Slot or page.
    pub number: u64,
}

const ARENA_SHIFT: u32 = PAGES_LOG2;
const ARENA_MASK: u64 = 7;
/// What stands for the page arena where a class could.
const PAGES_CODE: u64 = Class::COUNT.0 as u64;
/// And for the tracked one.
const TRACKED_CODE: u64 = PAGES_CODE + 1;
const STACK_SHIFT: u32 = ARENA_SHIFT + 3;

const _: () = assert!(TRACKED_CODE <= ARENA_MASK);

impl Place {
    /// The place's number among all objects; follows allocation order within an arena.
    pub fn id(self) -> ObjectId {
        let arena = match self.arena {
            Arena::Small(class) => u64::from(class.0),
            Arena::Pages => PAGES_CODE,
            Arena::Tracked => TRACKED_CODE,
        };
        ObjectId(u64::from(self.stack) << STACK_SHIFT | arena << ARENA_SHIFT | self.number)
    }

    /// The place with this number, if there is one.
    pub fn of(object: ObjectId) -> Option<Self> {
        let stack = u32::try_from(object.0 >> STACK_SHIFT)
            .ok()
            .filter(|stack| *stack < STACKS)?;
        let arena = match object.0 >> ARENA_SHIFT & ARENA_MASK {
            PAGES_CODE => Arena::Pages,
            TRACKED_CODE => Arena::Tracked,
            class if class < PAGES_CODE => Arena::Small(Class(class as u8)),
            _ => return None,
        };
        let number = object.0 & (PAGES - 1);
        (number < arena.count()).then_some(Self {
            stack,
            arena,
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
            let class = Class::of_view(view);
            let page = (offset % SMALL_STACK_BYTES / PAGE_BYTES) as u64;
            return Some(Self {
                stack: (offset / SMALL_STACK_BYTES) as u32,
                arena: Arena::Small(class),
                number: page / GROUP_PAGES * class.group_slots()
                    + (view - class.first_view()) as u64 * GROUP_PAGES
                    + page % GROUP_PAGES,
            });
        }
        if let Some(offset) = address.checked_sub(TRACKED_BASE) {
            return (offset < TRACKED_ARENA_BYTES).then_some(Self {
                stack: (offset / TRACKED_STACK_BYTES) as u32,
                arena: Arena::Tracked,
                number: (offset % TRACKED_STACK_BYTES / PAGE_BYTES) as u64,
            });
        }
        let offset = address.checked_sub(PAGE_BASE)?;
        Some(Self {
            stack: (offset / PAGE_STACK_BYTES) as u32,
            arena: Arena::Pages,
            number: (offset % PAGE_STACK_BYTES / PAGE_BYTES) as u64,
        })
    }

    /// The place that a pointer names in a program alone, where each arena's views are folded into its first.
    pub fn at_solo(address: usize) -> Option<Self> {
        let place = Self::at(address)?;
        let view = (address % PAGE_BYTES / place.arena.unit_bytes()) as u64;
        Some(Self {
            number: place.number + view * GROUP_PAGES,
            ..place
        })
    }

    /// Start of the virtual page whose rights are the object's.
    pub fn page_address(self) -> usize {
        match self.arena {
            Arena::Small(class) => {
                let view = class.first_view() + self.view(class);
                SMALL_BASE + view * VIEW_STRIDE + self.offset_in_view(class)
            }
            Arena::Pages => PAGE_BASE + self.offset_in_page_arena(),
            Arena::Tracked => TRACKED_BASE + self.offset_in_tracked_arena(),
        }
    }

    /// First byte of the slot, or of the page.
    pub fn address(self) -> usize {
        self.page_address() + self.offset_in_page()
    }

    /// First byte of the slot, or of the page, in a program alone.
    pub fn solo_address(self) -> usize {
        match self.arena {
            Arena::Small(class) => {
                SMALL_BASE
                    + class.first_view() * VIEW_STRIDE
                    + self.offset_in_view(class)
                    + self.offset_in_page()
            }
            Arena::Pages | Arena::Tracked => self.page_address(),
        }
    }

    /// Bytes from the page's start to the object's slot.
    pub fn offset_in_page(self) -> usize {
        match self.arena {
            Arena::Small(class) => self.view(class) * class.slot_bytes(),
            Arena::Pages | Arena::Tracked => 0,
        }
    }

    /// Where the virtual page lies in the memory file.
    pub fn page_file_offset(self) -> u64 {
        let offset = match self.arena {
            Arena::Small(class) => class.index() * VIEW_BYTES + self.offset_in_view(class),
            Arena::Pages => SMALL_FILE_BYTES + self.offset_in_page_arena(),
            Arena::Tracked => TRACKED_FILE_START + self.offset_in_tracked_arena(),
        };
        offset as u64
    }

    /// Which of the stack's physical pages of this arena it lies on.
    pub fn physical_page(self) -> u64 {
        match self.arena {
            Arena::Small(class) => {
                self.number / class.group_slots() * GROUP_PAGES + self.number % GROUP_PAGES
            }
            Arena::Pages | Arena::Tracked => self.number,
        }
    }

    fn offset_in_view(self, class: Class) -> usize {
        debug_assert_eq!(self.arena, Arena::Small(class));
        self.stack as usize * SMALL_STACK_BYTES + self.physical_page() as usize * PAGE_BYTES
    }

    fn offset_in_page_arena(self) -> usize {
        self.stack as usize * PAGE_STACK_BYTES + self.number as usize * PAGE_BYTES
    }

    fn offset_in_tracked_arena(self) -> usize {
        self.stack as usize * TRACKED_STACK_BYTES + self.number as usize * PAGE_BYTES
    }

    /// Which of its arena's views it is addressed through.
    fn view(self, class: Class) -> usize {
        (self.number / GROUP_PAGES) as usize % class.views()
    }
}

/// Whether an address lies in the window, or between its parts.
pub const fn contains(address: usize) -> bool {
    address >> WINDOW_SHIFT == SMALL_BASE >> WINDOW_SHIFT
}

/// The window's addresses agree in what is above; nothing else of the process lies there.
const WINDOW_SHIFT: u32 = 45;
const _: () = assert!(contains(SMALL_BASE) && !contains(SMALL_BASE - 1));
const _: () = assert!(contains(TRACKED_BASE + TRACKED_ARENA_BYTES - 1));

/// The window's mappings; `tracks_writes`: the kernel is to tell which pages of the tracked arena were written.
pub fn layout(tracks_writes: bool) -> SpaceLayout {
    let small = (0..VIEWS).map(|view| View {
        address: SMALL_BASE + view * VIEW_STRIDE,
        len: VIEW_BYTES,
        file_offset: (Class::of_view(view).index() * VIEW_BYTES) as u64,
        is_tracked: false,
    });
    let pages = View {
        address: PAGE_BASE,
        len: PAGE_ARENA_BYTES,
        file_offset: SMALL_FILE_BYTES as u64,
        is_tracked: false,
    };
    let tracked = View {
        address: TRACKED_BASE,
        len: TRACKED_ARENA_BYTES,
        file_offset: TRACKED_FILE_START as u64,
        is_tracked: tracks_writes,
    };
    SpaceLayout {
        file_bytes: (TRACKED_FILE_START + TRACKED_ARENA_BYTES) as u64,
        views: small.chain([pages, tracked]).collect(),
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
        arena: Arena::Small(Class::LINE),
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
        arena: Arena::Small(Class::LINE),
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
    map_solo(stack, Arena::Small(Class::LINE))?;
    map_solo(stack, Arena::Pages)
}

/// Maps the private memory of one arena's part of `stack` in a program alone.
pub fn map_solo(stack: u32, arena: Arena) -> std::io::Result<()> {
    let first = Place {
        stack,
        arena,
        number: 0,
    };
    let bytes = match arena {
        Arena::Small(_) => SMALL_STACK_BYTES,
        Arena::Pages => PAGE_STACK_BYTES,
        Arena::Tracked => TRACKED_STACK_BYTES,
    };
    umbel_fault::private_memory(first.solo_address(), bytes)
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
mod tests;
