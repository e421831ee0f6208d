//! A few values that signal handlers borrow: they can't allocate their own.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

/// `N` places.
pub struct Pool<T, const N: usize> {
    places: [Place<T>; N],
}

struct Place<T> {
    /// Nobody may take it: somebody has it, or it was never filled.
    is_taken: AtomicBool,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: only who has set `is_taken` touches the value.
unsafe impl<T: Send, const N: usize> Sync for Pool<T, N> {}

impl<T, const N: usize> Pool<T, N> {
    pub const fn new() -> Self {
        Self {
            places: [const {
                Place {
                    is_taken: AtomicBool::new(true),
                    value: UnsafeCell::new(None),
                }
            }; N],
        }
    }

    /// Puts a value into each place; to be called once, before anything is taken.
    pub fn fill(&self, mut make: impl FnMut() -> T) {
        for place in &self.places {
            // SAFETY: nobody can have taken it: it has been closed since it was made.
            unsafe { *place.value.get() = Some(make()) };
            // Release: pairs with the exchange in `take`; publishes the value.
            place.is_taken.store(false, Ordering::Release);
        }
    }

    /// A value that nobody else has, if there is one. Doesn't wait.
    pub fn take(&self) -> Option<Taken<'_, T>> {
        let place = self.places.iter().find(|place| {
            // Acquire: pairs with the stores that open it.
            !place.is_taken.load(Ordering::Relaxed) && !place.is_taken.swap(true, Ordering::Acquire)
        })?;
        Some(Taken { place })
    }
}

/// A borrowed value.
pub struct Taken<'a, T> {
    place: &'a Place<T>,
}

impl<T> Deref for Taken<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this took the place.
        let value = unsafe { &*self.place.value.get() };
        value.as_ref().expect("only filled places are opened")
    }
}

impl<T> DerefMut for Taken<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above; `self` is borrowed mutably.
        let value = unsafe { &mut *self.place.value.get() };
        value.as_mut().expect("only filled places are opened")
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        // Release: pairs with the exchange in `take`.
        self.place.is_taken.store(false, Ordering::Release);
    }
}
