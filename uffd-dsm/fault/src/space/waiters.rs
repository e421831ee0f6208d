//! Threads that sleep in a signal handler until they were given what they posted.

use std::ops::Range;

use crate::sys::posts::{NEEDS_MAX, Posted};

/// Those that were taken from the list of posts.
#[derive(Default)]
pub(super) struct Waiters(Vec<Waiting>);

struct Waiting {
    posted: Posted,
    /// Which of its needs are open: a bit each.
    open: u32,
}

const _: () = assert!(NEEDS_MAX <= u32::BITS as usize);

impl Waiters {
    /// Adds one; `open` has a bit for each of its needs that is to be waited for.
    pub(super) fn add(&mut self, posted: Posted, open: u32) {
        self.0.push(Waiting { posted, open });
    }

    /// Whoever waits for nothing but pages of the range tries again: also with less than it needs, as the kernel's
    /// own waiters do.
    pub(super) fn wake(&mut self, range: &Range<usize>) {
        let mut index = 0;
        while let Some(waiting) = self.0.get_mut(index) {
            for (bit, need) in waiting.posted.needs().enumerate() {
                if range.contains(&need.address) {
                    waiting.open &= !(1 << bit);
                }
            }
            match waiting.open {
                // Whoever came first is woken first.
                0 => self.0.remove(index).posted.finish(),
                _ => index += 1,
            }
        }
    }
}
