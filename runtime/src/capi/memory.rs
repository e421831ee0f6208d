//! The shadow stack's slow paths, stubs, and the registration of modules.

use std::ffi::c_void;

use uffd_dsm::stack::PageObject;
use uffd_dsm::window::{Arena, PAGES, Place, SLOTS};
use umbel_agents::Reach;
use umbel_fault::PAGE_BYTES;

use crate::sys::abi::{self, Module, ModuleRecord};
use crate::sys::stubs;
use crate::{local, modules, node};

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
        local.stack.map.push(PageObject {
            page,
            page_count,
            offset_bytes,
            size_bytes: bytes,
            record,
        });
        local.update(|own| own.pages = page + page_count);
        let place = Place {
            stack: local.stack.index,
            arena: Arena::Pages,
            number: page,
        };
        (place.page_address() + offset_bytes as usize) as *mut c_void
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

/// Objects of at most half a page are spread over the first half of their page, a cache line apart.
const SPREAD_BYTES: u64 = 2048;
const SPREAD_ALIGN: u64 = 64;
