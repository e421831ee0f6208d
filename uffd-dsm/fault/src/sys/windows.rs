//! Where the views of this process are: read by signal handlers, grows only.

use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::posts::Posts;

/// The views of one space.
pub struct Window {
    /// In the order of their addresses; what must be added to an address to get the engine view's.
    pub views: Vec<(Range<usize>, usize)>,
    /// How signals report its faults, if they do.
    pub reports: Option<Reports>,
    next: *const Window,
}

/// How handlers learn of a window's faults, and whom they tell.
#[derive(Clone, Copy)]
pub struct Reports {
    /// Where they are posted.
    pub posts: &'static Posts,
    /// SIGSEGV; or SIGBUS, from a userfaultfd.
    pub signal: i32,
}

impl Window {
    /// Whether one of its views holds an address.
    pub fn contains(&self, address: usize) -> bool {
        self.distance(address).is_some()
    }

    /// What must be added to an address to get the engine view's, if one of its views holds it.
    pub fn distance(&self, address: usize) -> Option<usize> {
        let after = self
            .views
            .partition_point(|(view, _)| view.start <= address);
        let (view, distance) = self.views.get(after.checked_sub(1)?)?;
        view.contains(&address).then_some(*distance)
    }
}

static FIRST: AtomicPtr<Window> = AtomicPtr::new(ptr::null_mut());

/// Makes a space's views known, for ever. `views` are sorted.
pub fn add(views: Vec<(Range<usize>, usize)>, reports: Option<Reports>) {
    let window = Box::leak(Box::new(Window {
        views,
        reports,
        next: ptr::null(),
    }));
    let mut first = FIRST.load(Ordering::Acquire);
    loop {
        window.next = first;
        // Release: publishes the window; pairs with the load in `find`.
        match FIRST.compare_exchange_weak(first, window, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return,
            Err(now) => first = now,
        }
    }
}

/// The space whose view holds an address.
pub fn find(address: usize) -> Option<&'static Window> {
    let mut next: *const Window = FIRST.load(Ordering::Acquire);
    // SAFETY: null, or a window that lives for ever and isn't changed once it is in the list.
    while let Some(window) = unsafe { next.as_ref() } {
        if window.contains(address) {
            return Some(window);
        }
        next = window.next;
    }
    None
}
