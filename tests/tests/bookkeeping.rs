//! Bytes that a shared object costs in memory, counted where memory is taken: at its home and at a node with a copy.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use umbel_coherence::{Config, Effect, Homes, Machine, Memory, Policy};
use umbel_wire::{Access, Coherence, Consistency, NodeId, ObjectId};

/// The system's allocator; each thread counts what it holds.
struct Counting;

thread_local! {
    static HELD_BYTES: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    // A thread that ends frees after its counter is gone: nobody asks any more.
    let _ = HELD_BYTES.try_with(|held| held.set(held.get() + bytes));
}

/// What an allocation takes: 8 bytes before it, in multiples of 16, at least 32.
fn taken(layout: Layout) -> i64 {
    (layout.size() + 8).next_multiple_of(16).max(32) as i64
}

// SAFETY: everything is the system's allocator's doing; counting touches no memory that is given out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(taken(layout));
        // SAFETY: as our caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-taken(layout));
        // SAFETY: as our caller promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Weak objects whose protocol the home chooses: what a program has if its source says nothing.
struct Plain;

impl Memory<()> for Plain {
    fn policy(&self, _: ObjectId) -> Policy {
        Policy {
            consistency: Consistency::Weak,
            protocol: None,
            operations: false,
        }
    }

    fn exists(&self, _: ObjectId) -> bool {
        true
    }

    fn tracks_writes(&self, _: ObjectId) -> bool {
        false
    }

    fn take_diff(&mut self, _: ObjectId) -> Option<()> {
        None
    }

    fn differs(&self, _: ObjectId, (): &()) -> bool {
        true
    }
}

fn machine(node: u16) -> Machine<Homes> {
    Machine::new(Config {
        node: NodeId(node),
        homes: Homes {
            objects_per_node_log2: 40,
        },
        node_count: 64,
        minimum_hold: false,
        forwards: false,
    })
}

/// Bytes a shared object takes at its home and at each of its `readers`: objects are `step` numbers apart.
fn bytes_of_an_object(objects: u64, step: u64, readers: u16) -> (f64, f64) {
    let mut out = Vec::with_capacity(64);
    let mut home = machine(0);
    let mut reader = machine(1);
    let numbers = || (0..objects).map(|object| ObjectId(object * step));
    let mut grants = Vec::with_capacity(objects as usize);
    let before = HELD_BYTES.get();
    for object in numbers() {
        for node in 1..=readers {
            let asked = Coherence::Get {
                object,
                access: Access::Read,
                prefetch: false,
            };
            let accepted = home.on_message(NodeId(node), asked, &mut Plain, &mut out);
            accepted.expect("a reader may ask");
            for effect in out.drain(..) {
                if let (1, Effect::Send { message, .. }) = (node, effect) {
                    grants.push(message.seal(|_| ()));
                }
            }
        }
    }
    let at_home = HELD_BYTES.get() - before;
    let before = HELD_BYTES.get();
    for (object, grant) in numbers().zip(grants.drain(..)) {
        reader.on_fault(object, Access::Read, &mut Plain, &mut out);
        let accepted = reader.on_message(NodeId(0), grant, &mut Plain, &mut out);
        accepted.expect("the grant was asked for");
        out.clear();
    }
    let at_reader = HELD_BYTES.get() - before;
    let each = |bytes: i64| bytes as f64 / objects as f64;
    (each(at_home), each(at_reader))
}

#[test]
fn a_shared_object_takes_a_cache_line_at_its_home_and_some_bytes_at_a_reader() {
    for readers in [1, 2] {
        let (home, reader) = bytes_of_an_object(100_000, 1, readers);
        println!("{readers} readers: {home:.1} bytes at the home, {reader:.1} at a reader");
        // Four of them are the first two nodes of the copyset.
        assert!(home < 66.5, "{home} bytes at the home");
        assert!(reader < 14.0, "{reader} bytes at a reader");
    }
}

#[test]
fn more_readers_take_a_block_besides() {
    let (two, _) = bytes_of_an_object(10_000, 1, 2);
    for readers in [3_u16, 8, 32] {
        let (home, _) = bytes_of_an_object(10_000, 1, readers);
        println!("{readers} readers: {home:.1} bytes at the home");
        assert!(
            home - two <= 128.0 + 4.0 * f64::from(readers),
            "{home} bytes for {readers} readers"
        );
    }
}

#[test]
fn objects_without_neighbours_take_more_but_not_without_bound() {
    for step in [2, 8, 64] {
        let (home, reader) = bytes_of_an_object(10_000, step, 1);
        println!("{step} apart: {home:.1} bytes at the home, {reader:.1} at a reader");
        assert!(home < 200.0 && reader < 150.0);
    }
}
