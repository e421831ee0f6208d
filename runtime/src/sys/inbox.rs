//! A list that many threads put things into, and one takes all of them out of, with no lock: a thread of the program may be
//! interrupted anywhere in here by a handler that waits for the one who takes.
//!
//! It only grows at its head and is taken as a whole, so nothing can be taken out and put back between two looks at
//! the head. (The queues of crossbeam wait in `pop`, awake, for a slot that is claimed and not yet filled.)

use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use crossbeam_utils::CachePadded;

/// Things that wait to be taken.
pub struct Inbox<T> {
    /// The newest. Every thread of the program writes it, the service thread looks at it again and again: what lies beside
    /// it is not to pay for that.
    head: CachePadded<AtomicPtr<Link<T>>>,
    _owns: PhantomData<Link<T>>,
}

struct Link<T> {
    next: *mut Link<T>,
    thing: T,
}

// SAFETY: what goes in is moved out by another thread, once.
unsafe impl<T: Send> Send for Inbox<T> {}
// SAFETY: as above; nobody gets a reference to what is inside.
unsafe impl<T: Send> Sync for Inbox<T> {}

impl<T> Inbox<T> {
    /// Nothing is in it.
    pub const fn new() -> Self {
        Self {
            head: CachePadded::new(AtomicPtr::new(ptr::null_mut())),
            _owns: PhantomData,
        }
    }

    /// Puts a thing in.
    pub fn push(&self, thing: T) {
        let link = Box::into_raw(Box::new(Link {
            next: ptr::null_mut(),
            thing,
        }));
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // SAFETY: it is this thread's alone until it is in the list.
            unsafe { (*link).next = head };
            // Release: publishes the link; pairs with the swap in `take`.
            match self
                .head
                .compare_exchange_weak(head, link, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Whether nothing is in it now.
    pub fn is_empty(&self) -> bool {
        // Relaxed: who must not miss a thing puts a fence before this, and its pusher one behind the push.
        self.head.load(Ordering::Relaxed).is_null()
    }

    /// All that is in it, oldest first.
    pub fn take(&self) -> Taken<T> {
        if self.is_empty() {
            return Taken(ptr::null_mut());
        }
        // Acquire: pairs with the exchange in `push`; the links are whole.
        let mut newest = self.head.swap(ptr::null_mut(), Ordering::Acquire);
        let mut oldest = ptr::null_mut();
        while !newest.is_null() {
            // SAFETY: a link of the list that was taken is this thread's alone, and live.
            let next = unsafe { std::mem::replace(&mut (*newest).next, oldest) };
            oldest = newest;
            newest = next;
        }
        Taken(oldest)
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// What was taken.
pub struct Taken<T>(*mut Link<T>);

impl<T> Iterator for Taken<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: `push` made it with `Box::into_raw`, and it is this thread's alone.
        let link = unsafe { Box::from_raw(self.0) };
        self.0 = link.next;
        Some(link.thing)
    }
}

impl<T> Drop for Taken<T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREADS: usize = 4;
    const EACH: usize = 10_000;

    #[test]
    fn nothing_is_lost_and_each_pusher_keeps_its_order() {
        let inbox = Inbox::new();
        let mut next = [0; THREADS];
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let inbox = &inbox;
                scope.spawn(move || (0..EACH).for_each(|number| inbox.push((thread, number))));
            }
            while next.iter().sum::<usize>() < THREADS * EACH {
                for (thread, number) in inbox.take() {
                    assert_eq!(next[thread], number);
                    next[thread] += 1;
                }
                std::thread::yield_now();
            }
        });
        assert!(inbox.is_empty());
    }

    #[test]
    fn what_nobody_takes_is_dropped() {
        let kept = std::sync::Arc::new(());
        let inbox = Inbox::new();
        (0..3).for_each(|_| inbox.push(kept.clone()));
        let mut taken = inbox.take();
        assert!(taken.next().is_some());
        inbox.push(kept.clone());
        drop(taken);
        drop(inbox);
        assert_eq!(std::sync::Arc::strong_count(&kept), 1);
    }
}
