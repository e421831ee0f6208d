//! System calls on shared objects where the kernel cannot wait for a page.
//!
//! Without a full userfaultfd a system call on an object that is not here fails with EFAULT, with no event. So this
//! library stands before the C library's functions that hand a program's memory to the kernel. Such a call *bounces*:
//! what the kernel reads is copied to private memory first, what it has written is copied back. The copying is done
//! by the calling thread, whose faults are served as those of its own loads and stores.
//!
//! ```text
//! program ── read(fd, shared, n) ──► here ── read(fd, private, n) ──► C library ──► kernel
//!                 shared ◄──── copy as far as the result says ────┘
//! ```
//!
//! Elsewhere - a full userfaultfd, one node, private memory - a call costs one or two compares more. A thread that is
//! cancelled, or a signal handler that jumps away, finds no frame of ours with anything to undo but private memory.
//!
//! | module | what |
//! |---|---|
//! | `table` | `calls!`: makes the functions from rows that read as C's prototypes |
//! | `kinds`, `vectors` | what an argument is to the kernel, and how it is copied |
//! | `frame` | private memory of one call |
//! | `next` | the definitions that these stand before |
//! | the others | the rows, by subject |

#[macro_use]
mod table;

mod control;
mod descriptors;
mod files;
mod format;
mod frame;
mod kinds;
mod next;
mod process;
mod raw;
mod stdio;
mod time;
mod transfer;
mod vectors;

use std::sync::atomic::{AtomicBool, Ordering};

use uffd_dsm::window;

/// Whether calls on shared memory bounce. Set once, when the node starts.
static BOUNCE: AtomicBool = AtomicBool::new(false);

/// Calls on shared memory bounce from now on: the kernel cannot wait for its pages.
pub fn bounce() {
    // Relaxed: set before the program's main, and before it has any thread of another node's.
    BOUNCE.store(true, Ordering::Relaxed);
}

#[inline(always)]
fn bouncing() -> bool {
    BOUNCE.load(Ordering::Relaxed)
}

/// Whether a pointer leads into the window.
#[inline(always)]
pub fn shared<T>(pointer: *const T) -> bool {
    window::contains(pointer as usize)
}

/// Every function that this module stands before.
static ALL: &[&[&next::Next]] = &[
    transfer::ALL,
    transfer::OWN,
    files::ALL,
    files::OWN,
    stdio::ALL,
    stdio::OWN,
    descriptors::ALL,
    time::ALL,
    process::ALL,
    process::VARIADIC,
    control::OWN,
    raw::OWN,
    format::OWN,
    format::VARIADIC,
];
