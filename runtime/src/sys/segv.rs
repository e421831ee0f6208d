//! Accesses of inaccessible memory that no fault backend reports: freed heap objects in a program alone, and shared
//! objects in a process that was forked from a node.

use umbel_fault::signals::{self, Access};

use crate::error::STATUS_FATAL;
use crate::heap;
use crate::node::{self, Node};
use crate::sys::{fork, process};

/// From now on, such an access ends the process with a message. Others are the program's own, and so is its handler.
pub fn watch() {
    if let Err(error) = signals::install() {
        node::fatal(&error.to_string());
    }
    signals::set_hook(on_access);
}

/// Runs in a signal handler of the thread that made the access. What it calls takes locks, none of which an access
/// of the program's can have happened under; the process ends in any case.
fn on_access(access: &Access) {
    let Access {
        address,
        write,
        forked,
    } = *access;
    if forked {
        let verb = if write { "wrote to" } else { "read" };
        fork::end_copy(&format!("{verb} shared memory at {address:#x}"));
    }
    if Node::get().distributed() {
        return;
    }
    if let Some(error) = heap::wild_access_alone(address, write) {
        eprintln!("umbel: {error}");
        process::end_now(STATUS_FATAL);
    }
}
