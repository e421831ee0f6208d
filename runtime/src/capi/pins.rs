//! `dist_pin` and `dist_unpin`.

use std::ops::Range;

use uffd_dsm::window::Place;
use umbel_wire::event::Why;

use crate::local;
use crate::node::Node;
use crate::recorder;
use crate::request::{Reply, Request};

/// See `umbel.h`.
#[unsafe(no_mangle)]
pub extern "C" fn dist_pin(address: usize, bytes: usize, writable: i32) -> i32 {
    let Some(range) = shared_range(address, bytes) else {
        return 0;
    };
    let Some(last) = Place::at(range.end - 1) else {
        return libc::EINVAL;
    };
    // What the home notes of it must go when the scope ends, though no other thread may ever see the object.
    local::with(|local| local.share(last));
    ask(address, |reply| Request::Pin {
        range,
        writable: writable != 0,
        reply,
    })
}

/// See `umbel.h`.
#[unsafe(no_mangle)]
pub extern "C" fn dist_unpin(address: usize, bytes: usize) -> i32 {
    match shared_range(address, bytes) {
        None => 0,
        Some(range) => ask(address, |reply| Request::Unpin { range, reply }),
    }
}

/// The range, not empty, if it begins in memory that is shared with other nodes.
fn shared_range(address: usize, bytes: usize) -> Option<Range<usize>> {
    let is_shared = bytes > 0 && Node::get().distributed() && Place::at(address).is_some();
    // One that wraps around ends where nothing is.
    is_shared.then_some(address..address.saturating_add(bytes))
}

fn ask(address: usize, request: impl FnOnce(Reply) -> Request) -> i32 {
    let reply = Reply::new();
    Node::get().submit(request(reply.clone()));
    let _why = recorder::because(Why::Memory, address as u64);
    -(reply.wait() as i32)
}
