//! Accesses of inaccessible memory that no fault backend reports: freed heap objects in a program alone, and shared
//! objects in a process that was forked from a node.

use std::mem::{MaybeUninit, zeroed};
use std::ptr;
use std::sync::Once;

use uffd_dsm::window::Place;

use crate::error::STATUS_FATAL;
use crate::heap;
use crate::node::Node;
use crate::sys::{fork, process};

static INSTALLED: Once = Once::new();

/// From now on, such an access ends the process with a message, unless the program has a handler of its own for
/// SIGSEGV, or sets one.
pub fn watch() {
    INSTALLED.call_once(|| {
        let mut current = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: asks for the current action, which it fills in.
        let asked = unsafe { libc::sigaction(libc::SIGSEGV, ptr::null(), current.as_mut_ptr()) };
        // SAFETY: it was filled in if the call succeeded, which is looked at first.
        if asked == 0 && unsafe { current.assume_init() }.sa_sigaction == libc::SIG_DFL {
            set(
                on_fault as *const () as usize,
                libc::SA_SIGINFO | libc::SA_ONSTACK,
            );
        }
    });
}

/// Runs in the thread that made the access. What it calls takes locks, none of which an access of the program's
/// can have happened under; the program ends in any case.
extern "C" fn on_fault(_: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes both pointers to a handler with SA_SIGINFO.
    let info = unsafe { *info };
    // SAFETY: SIGSEGV comes with an address.
    let address = unsafe { info.si_addr() } as usize;
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: as above.
    let error = unsafe { (*context).uc_mcontext.gregs[libc::REG_ERR as usize] };
    let write = error & WRITE != 0;
    if let Some(verb) = in_copy(address, write) {
        fork::end_copy(&format!("{verb} shared memory at {address:#x}"));
    }
    if let Some(error) = heap::wild_access_alone(address, write) {
        eprintln!("umbel: {error}");
        process::end_now(STATUS_FATAL);
    }
    // Not ours: the access is tried again, and ends the program as if there had been no handler.
    set(libc::SIG_DFL, 0);
    if info.si_code <= 0 {
        // Sent, not met: it doesn't come again by itself.
        // SAFETY: sends a signal to the calling thread.
        unsafe { libc::raise(libc::SIGSEGV) };
    }
}

/// What a process forked from a node of several did, if that was to shared memory.
fn in_copy(address: usize, write: bool) -> Option<&'static str> {
    let is_shared = fork::is_copy() && Place::at(address).is_some() && Node::get().distributed();
    is_shared.then_some(if write { "wrote to" } else { "read" })
}

fn set(action: usize, flags: libc::c_int) {
    // SAFETY: all zero is a valid sigaction: the default, no signals blocked.
    let mut new: libc::sigaction = unsafe { zeroed() };
    new.sa_sigaction = action;
    new.sa_flags = flags;
    // SAFETY: `new` is a live sigaction whose handler is a function of this library, which is never unloaded.
    unsafe { libc::sigaction(libc::SIGSEGV, &new, ptr::null_mut()) };
}

/// In a page fault's error code: it was a store.
const WRITE: i64 = 2;
