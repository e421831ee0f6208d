//! Processes that a node's program forks.
//!
//! Such a process has a copy of the node's private memory and one thread. It has none of the window (its views are
//! not inherited: a copy would go stale silently) and no service thread, so what needs either ends it with a message.
//! What only tidies up (the end of a scope, of a thread, of the process) does nothing there: the objects are the
//! node's. `exec` is free of all this: every descriptor of ours is closed by it, and the job is not in the environment.
//!
//! A child of vfork or posix_spawn shares the node's memory until it execs and *is* the node as far as memory goes.
//! So process numbers say nothing: a page does that the kernel clears in whoever gets a copy (MADV_WIPEONFORK).

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use crate::error::STATUS_FATAL;
use crate::sys::process;

/// The page: the node's process number, 0 in a copy. Null: nothing was started here.
static WITNESS: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

/// What to call the node in messages.
static NODE: AtomicU32 = AtomicU32::new(0);

/// From now on, copies of this process are told from it.
pub fn watch(rank: u16) -> io::Result<()> {
    // SAFETY: the kernel chooses a free place.
    let page = unsafe {
        libc::mmap(
            ptr::null_mut(),
            umbel_fault::PAGE_BYTES,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the page was just mapped.
    if unsafe { libc::madvise(page, umbel_fault::PAGE_BYTES, libc::MADV_WIPEONFORK) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let page = page.cast::<AtomicU32>();
    // SAFETY: a page of zeros is a valid AtomicU32; it is never unmapped.
    unsafe { &*page }.store(std::process::id(), Ordering::Relaxed);
    NODE.store(u32::from(rank), Ordering::Relaxed);
    // Release: pairs with the Acquire load in `is_copy`; publishes the number.
    WITNESS.store(page, Ordering::Release);
    Ok(())
}

/// Whether this process is a copy of a node, made by fork.
pub fn is_copy() -> bool {
    let page = WITNESS.load(Ordering::Acquire);
    // SAFETY: not null, so it points to the page that `watch` mapped, or to the kernel's copy of that.
    !page.is_null() && unsafe { &*page }.load(Ordering::Relaxed) == 0
}

/// Ends this copy of a node with a message; `did` says what it did: "called dist_malloc".
#[cold]
pub fn end_copy(did: &str) -> ! {
    let text = format!(
        "umbel: process {}, made by fork on node {}, {did}: it has a copy of the node's private memory, but none of \
         the shared objects and no part in the job; have it call exec, or copy what it needs before fork\n",
        std::process::id(),
        NODE.load(Ordering::Relaxed),
    );
    // Not through the standard library's stream: another thread may have held its lock when this copy was made.
    // SAFETY: the text is live and of this length.
    unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
    process::end_now(STATUS_FATAL)
}
