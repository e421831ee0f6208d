//! Atomic operations on objects that may be in remote mode, and accesses that make an object sequential.

use std::sync::atomic::{AtomicU8, Ordering};

use uffd_dsm::window::Place;
use umbel_fault::PAGE_BYTES;
use umbel_wire::event::Why;
use umbel_wire::{Operation, OperationKind};

use crate::atomics::{REMOTE, SEQUENTIAL};
use crate::local;
use crate::node::{self, Node};
use crate::recorder;
use crate::request::{Reply, Request};
use crate::sys::operate::{InPlace, in_place};

/// Compiled code looks here before each operation that could go by message.
#[unsafe(no_mangle)]
pub static umbel_remote_active: AtomicU8 = AtomicU8::new(0);

/// Whether any object is in remote mode at this node.
pub fn set_remote_active(active: bool) {
    // Relaxed: a thread that reads the old value runs its operation in place, which is right as well.
    umbel_remote_active.store(active.into(), Ordering::Relaxed);
}

/// See `umbel_abi.h`.
#[unsafe(no_mangle)]
pub extern "C" fn __umbel_operate(
    address: usize,
    kind: u32,
    width: u32,
    operand: u64,
    expected: u64,
) -> u64 {
    let Some(&kind) = OperationKind::ALL.get(kind as usize) else {
        node::fatal(&format!(
            "operation {kind} is unknown: was the program compiled for another runtime?"
        ))
    };
    let width = match width {
        1 | 2 | 4 | 8 => width as u8,
        width => node::fatal(&format!(
            "an atomic operation of {width} bytes: was the program compiled for another runtime?"
        )),
    };
    let aligned = address.is_multiple_of(usize::from(width));
    if aligned && REMOTE.count() > 0 && is_remote(address) {
        let reply = Reply::new();
        Node::get().submit(Request::Operate {
            address,
            operation: Operation {
                offset: (address % PAGE_BYTES) as u16,
                width,
                kind,
                operand,
                expected,
            },
            reply: reply.clone(),
        });
        let _why = recorder::because(Why::Operation, address as u64);
        return reply.wait() as u64;
    }
    in_place(InPlace {
        address,
        width,
        kind,
        operand,
        expected,
    })
}

/// See `umbel_abi.h`.
#[unsafe(no_mangle)]
pub extern "C" fn __umbel_strengthen(address: usize) {
    let node = Node::get();
    // Alone there is nobody to disagree with.
    if !node.distributed() {
        return;
    }
    let Some(place) = node.place_at(address) else {
        return;
    };
    if SEQUENTIAL.contains(place.id()) {
        return;
    }
    strengthen(address, place);
}

#[cold]
fn strengthen(address: usize, place: Place) {
    // What the home notes of it must go when the scope ends, though no other thread may ever see the object.
    local::with(|local| local.share(place));
    let reply = Reply::new();
    Node::get().submit(Request::Strengthen {
        address,
        reply: reply.clone(),
    });
    let _why = recorder::because(Why::Operation, address as u64);
    reply.wait();
}

fn is_remote(address: usize) -> bool {
    let node = Node::get();
    let place = node.place_at(address);
    place.is_some_and(|place| REMOTE.contains(place.id()))
}

/// See `umbel.h`.
#[unsafe(no_mangle)]
pub extern "C" fn dist_flush() {
    let node = Node::get();
    if !node.distributed() {
        return;
    }
    let reply = Reply::new();
    node.submit(Request::Flush {
        reply: reply.clone(),
    });
    let _why = recorder::because(Why::Flush, 0);
    reply.wait();
}
