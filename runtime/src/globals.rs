//! Shared globals and static locals: addresses that are equal on every node, initial values on node 0.
//!
//! The first shadow stack of node 0 belongs to no thread but to the globals. Every node goes through the modules'
//! tables in the same order (the program is the same, and so is the order in which its modules are loaded), so the
//! addresses come out equal without a message. Node 0 is their home and copies the initial values; the others wait
//! for that before their constructors go on, at a semaphore of the module's own.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use uffd_dsm::stack::{PageObject, StackMap};
use uffd_dsm::window::{Arena, Homes, PAGES, Place, SLOT_BYTES, SLOTS, shared_geometry};
use umbel_fault::PAGE_BYTES;
use umbel_wire::sync::{SyncKey, SyncOp};
use umbel_wire::{NodeId, ThreadId};

use crate::capi_keys::{MODULE_LOG2, START_KEY};
use crate::node::{self, MAIN, Node};
use crate::request::{Reply, Request};
use crate::sys::abi::{self, Global, Module};

/// The shadow stack that holds them.
const STACK: u32 = 0;

/// Keeps their initial values and directory.
pub const HOME: NodeId = NodeId(0);

/// Whether a stack can be spared for them: in the largest jobs a node has one, which its first thread needs.
pub fn have_room(homes: Homes) -> bool {
    homes.stacks(HOME).len() > 1
}

/// What is in use of the globals' stack.
#[derive(Default)]
struct Layout {
    slots: u64,
    pages: u64,
    /// What lives there; at home only.
    map: Option<StackMap>,
}

static LAYOUT: Mutex<Layout> = Mutex::new(Layout {
    slots: 0,
    pages: 0,
    map: None,
});

static PROGRAM_RUNS: AtomicBool = AtomicBool::new(false);

/// This node's constructors are done. From now on, modules are loaded by the program: on one node perhaps, in any
/// order.
///
/// With globals the nodes meet before their constructors are done. So node 0, which is about to enter main, waits for
/// the others here: no thread of the program may run on a node whose constructors still do.
pub fn program_runs(node: &'static Node) {
    // Relaxed: a flag of its own; what is loaded later is loaded by a thread of the program.
    PROGRAM_RUNS.store(true, Ordering::Relaxed);
    let layout = LAYOUT.lock().expect("no code under this lock panics");
    let met_early = node.distributed() && (layout.slots > 0 || layout.pages > 0);
    drop(layout);
    match (met_early, node.rank) {
        (false, _) => {}
        (true, HOME) => {
            (1..node.node_count).for_each(|_| at_home(node, START_KEY, SyncOp::SemWait))
        }
        (true, _) => from_elsewhere(node, START_KEY, SyncOp::SemPost),
    }
}

/// Gives the globals of a module their addresses; `index` is its place among the modules.
pub fn register(module: &Module, index: usize) {
    let globals: Vec<Global> = module.globals().collect();
    if globals.is_empty() {
        return;
    }
    let node = Node::get();
    if !node.distributed() {
        globals.iter().for_each(Global::keep_private);
        globals.iter().for_each(Global::fix);
        return;
    }
    if PROGRAM_RUNS.load(Ordering::Relaxed) {
        let (name, _) = abi::object_name(globals[0].record);
        node::fatal(&format!(
            "a module loaded by dlopen has shared globals ({name} is one): each node would place them on its own; \
             link the module to the program"
        ));
    }
    if !have_room(node.homes) {
        let (name, _) = abi::object_name(globals[0].record);
        node::fatal(&format!(
            "the program has shared globals ({name} is one), for which a job of {} nodes has no room; use fewer nodes",
            node.node_count
        ));
    }
    let places = place_all(node, &globals);
    for (global, (address, _)) in globals.iter().zip(&places) {
        global.set_address(*address);
    }
    globals.iter().for_each(Global::fix);
    let key = SyncKey((index as u64) << MODULE_LOG2);
    if node.rank == HOME {
        for (global, (address, size)) in globals.iter().zip(&places) {
            global.copy_initial(*address, *size);
        }
        (1..node.node_count).for_each(|_| at_home(node, key, SyncOp::SemPost));
    } else {
        from_elsewhere(node, key, SyncOp::SemWait);
    }
}

/// An operation on a semaphore of ours, on node 0.
fn at_home(node: &'static Node, key: SyncKey, op: SyncOp) {
    let send = || node.submit(Request::SendSync);
    node.sync.run(MAIN, key, op, send, Reply::wait);
}

/// The same on another node, for which no thread has a name yet.
fn from_elsewhere(node: &'static Node, key: SyncKey, op: SyncOp) {
    let reply = Reply::new();
    node.submit(Request::Sync {
        thread: ThreadId::new(node.rank, 1),
        key,
        home: HOME,
        op,
        reply: Some(reply.clone()),
    });
    reply.wait();
}

/// Address and size of each.
fn place_all(node: &'static Node, globals: &[Global]) -> Vec<(usize, u64)> {
    let mut layout = LAYOUT.lock().expect("no code under this lock panics");
    if node.rank == HOME && layout.map.is_none() {
        let map = match StackMap::new() {
            Ok(map) => map,
            Err(error) => node::fatal(&format!(
                "cannot get memory for the table of shared globals: {error}; raise `ulimit -v`"
            )),
        };
        layout.map = Some(map);
        node.submit(Request::Stack { stack: STACK, map });
    }
    globals
        .iter()
        .map(|global| {
            let (size, align) = abi::object_size_and_align(global.record);
            match layout.place(global.record as u64, size, align) {
                Some(address) => (address, size),
                None => {
                    let (name, _) = abi::object_name(global.record);
                    node::fatal(&format!(
                        "no room for the shared global {name} of {size} bytes: all of them may take {} bytes, and \
                         {SLOTS} may be small",
                        PAGES * PAGE_BYTES as u64
                    ))
                }
            }
        })
        .collect()
}

impl Layout {
    /// The address of the next one; none if there is no room.
    fn place(&mut self, record: u64, size: u64, align: u64) -> Option<usize> {
        if size <= SLOT_BYTES as u64 && align <= SLOT_BYTES as u64 {
            let slot = self.slots;
            if slot >= SLOTS {
                return None;
            }
            self.slots += 1;
            if let Some(map) = &self.map {
                map.set_slot(slot, record);
            }
            return Some(shared_geometry(STACK).slot_address(slot));
        }
        let align_pages = align.div_ceil(PAGE_BYTES as u64).max(1);
        let page = self.pages.checked_next_multiple_of(align_pages)?;
        let page_count = size.div_ceil(PAGE_BYTES as u64);
        let end = page.checked_add(page_count).filter(|end| *end <= PAGES)?;
        self.pages = end;
        if let Some(map) = &self.map {
            map.push(PageObject {
                page,
                page_count,
                offset_bytes: 0,
                size_bytes: size,
                record,
                is_tracked: false,
            });
        }
        let place = Place {
            stack: STACK,
            arena: Arena::Pages,
            number: page,
        };
        Some(place.page_address())
    }
}

#[cfg(test)]
mod tests {
    use uffd_dsm::window::Class;

    use super::*;

    fn place_at(address: usize) -> Place {
        Place::at(address).expect("globals lie in the window")
    }

    #[test]
    fn globals_follow_each_other_in_the_stack_of_their_own() {
        let mut layout = Layout::default();
        for (size, align, arena, number) in [
            (4, 4, Arena::Small(Class::LINE), 0),
            (64, 64, Arena::Small(Class::LINE), 1),
            (65, 1, Arena::Pages, 0),
            (8, 128, Arena::Pages, 1),
            (4097, 8, Arena::Pages, 2),
            (1, 16384, Arena::Pages, 4),
            (0, 1, Arena::Small(Class::LINE), 2),
        ] {
            let address = layout.place(1, size, align).unwrap();
            let place = place_at(address);
            assert_eq!(
                (place.stack, place.arena, place.number),
                (STACK, arena, number),
                "{size}"
            );
            assert_eq!(address as u64 % align, 0);
        }
    }

    #[test]
    fn what_does_not_fit_has_no_address() {
        let mut layout = Layout::default();
        assert_eq!(layout.place(1, PAGES * PAGE_BYTES as u64 + 1, 8), None);
        assert!(layout.place(1, PAGES * PAGE_BYTES as u64, 8).is_some());
        assert_eq!(layout.place(1, 100, 8), None);
        layout.slots = SLOTS;
        assert_eq!(layout.place(1, 1, 1), None);
    }
}
