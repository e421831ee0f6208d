//! The shadow stack's slow paths, stubs, and the registration of modules.

use std::ffi::c_void;
use std::sync::OnceLock;

use uffd_dsm::stack::{Found, PageObject};
use uffd_dsm::window::{Arena, PAGES, Place, SLOTS, TRACKED_PAGES};
use umbel_agents::Reach;
use umbel_fault::PAGE_BYTES;
use umbel_wire::{Consistency, Protocol};

use crate::node::Node;
use crate::sys::abi::{self, Module, ModuleRecord};
use crate::sys::stubs;
use crate::{local, modules, node, policy};

/// See `umbel_abi.h`.
///
/// # Safety
/// `record` points to a live `struct umbel_module`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn umbel_register(record: *const ModuleRecord) {
    // SAFETY: by the contract above.
    modules::register(unsafe { Module::read(record) });
}

/// See `umbel_abi.h`.
///
/// # Safety
/// As [`umbel_register`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn umbel_unregister(record: *const ModuleRecord) {
    // SAFETY: by the contract above.
    let module = unsafe { Module::read(record) };
    modules::unregister(module.base);
}

/// First use of the thread's stack, or the stack is full.
#[unsafe(no_mangle)]
pub extern "C" fn __umbel_alloc_slow(object: usize) -> *mut c_void {
    local::with(|local| {
        let slot = local.counters().small;
        if slot >= SLOTS {
            let (name, _) = abi::object_name(object);
            node::fatal(&format!(
                "the shadow stack is full: {SLOTS} sharable small objects live in one thread, the last one is \
                 {name}; does a recursion not end?"
            ));
        }
        local.update(|own| own.small = slot + 1);
        local.stack.map.set_slot(slot, object as u64);
        local.stack.geometry.slot_address(slot) as *mut c_void
    })
}

/// Object of the page arena.
#[unsafe(no_mangle)]
pub extern "C" fn __umbel_alloc_pages(object: usize, bytes: u64) -> *mut c_void {
    local::with(|local| {
        let (_, align) = abi::object_size_and_align(object);
        let own = local.counters();
        let align_pages = (align / PAGE_BYTES as u64).max(1);
        let page = own.pages.next_multiple_of(align_pages);
        let page_count = bytes.div_ceil(PAGE_BYTES as u64).max(1);
        if page_count > PAGES || page + page_count > PAGES {
            let (name, _) = abi::object_name(object);
            node::fatal(&format!(
                "no room for {name} of {bytes} bytes: the large objects of one thread may take {} bytes together, \
                 {} are in use",
                PAGES * PAGE_BYTES as u64,
                own.pages * PAGE_BYTES as u64
            ));
        }
        // Objects that leave room start at different cache sets.
        let spread = bytes <= SPREAD_BYTES && align <= SPREAD_ALIGN;
        let offset_bytes = if spread {
            page * 5 % (SPREAD_BYTES / SPREAD_ALIGN) * SPREAD_ALIGN
        } else {
            0
        };
        if page < local.stack.map.lent_pages() {
            // Copies of an earlier object here, whose owner did not know that it was shared: they hold as
            // much of the page as that one needed.
            local.leave(Reach {
                small: own.small,
                pages: page,
            });
        }
        local.stack.map.truncate(page);
        let record = object as u64;
        let is_tracked = is_tracked(object, page, page_count);
        local.stack.map.push(PageObject {
            page,
            page_count,
            offset_bytes,
            size_bytes: bytes,
            record,
            is_tracked,
        });
        local.update(|own| own.pages = page + page_count);
        let place = Place {
            stack: local.stack.index,
            arena: if is_tracked {
                Arena::Tracked
            } else {
                Arena::Pages
            },
            number: page,
        };
        (place.page_address() + offset_bytes as usize) as *mut c_void
    })
}

/// Whether an object belongs in the tracked arena: several nodes may write it at once, and it is large.
fn is_tracked(object: usize, page: u64, page_count: u64) -> bool {
    if page_count < TRACKED_PAGES_MIN
        || page + page_count > TRACKED_PAGES
        || !Node::get().distributed()
        || !tracking_is_wanted()
    {
        return false;
    }
    let found = Found {
        record: object as u64,
        size_bytes: page_count * PAGE_BYTES as u64,
        page: 0,
    };
    let policy = policy::of(&found);
    let is_shared_by_writers = match policy.protocol {
        None | Some(Protocol::Invalidate | Protocol::Update) => true,
        Some(Protocol::Migratory | Protocol::ReadOnly | Protocol::Remote) => false,
    };
    policy.consistency == Consistency::Weak
        && is_shared_by_writers
        && policy::pages_together(&found) <= 1
}

/// Only if asked for: see ARCHITECTURE.md.
fn tracking_is_wanted() -> bool {
    static WANTED: OnceLock<bool> = OnceLock::new();
    *WANTED.get_or_init(|| {
        std::env::var_os("UMBEL_WRITE_TRACKING").is_some_and(|value| value == "1")
            && umbel_fault::write_tracking().is_ok()
    })
}

/// The end of a scope whose objects others may know.
#[unsafe(no_mangle)]
pub extern "C" fn __umbel_leave_slow(small: u64, pages: u64) {
    local::with(|local| local.leave(Reach { small, pages }));
}

/// See `umbel_abi.h`.
#[unsafe(no_mangle)]
pub extern "C" fn __umbel_stub_mark() -> u64 {
    local::with(|local| local.stub_mark() as u64)
}

/// See `umbel_abi.h`.
#[unsafe(no_mangle)]
pub extern "C" fn __umbel_stub_make(code: usize, chain: usize) -> *mut c_void {
    let Some(stub) = stubs::take(code, chain) else {
        node::fatal(&format!(
            "more than {} pointers to nested functions are alive at a time; does a recursion not end?",
            stubs::STUBS_MAX
        ))
    };
    local::with(|local| local.hold_stub(stub));
    stubs::address(stub) as *mut c_void
}

/// See `umbel_abi.h`.
#[unsafe(no_mangle)]
pub extern "C" fn __umbel_stub_leave(mark: u64) {
    local::with(|local| local.drop_stubs(mark as usize));
}

/// Pages of an object from which on one scan is cheaper than a fault for each.
const TRACKED_PAGES_MIN: u64 = 64;

/// Objects of at most half a page are spread over the first half of their page, a cache line apart.
const SPREAD_BYTES: u64 = 2048;
const SPREAD_ALIGN: u64 = 64;
