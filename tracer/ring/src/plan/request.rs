//! Asking for plans that nobody has made yet.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use super::region::{Lookup, Plans, Region};
use crate::Live;
use crate::sys::{futex_wait, futex_wake, is_alive, monotonic_ns};

/// A place is being filled in.
const FILLING: u64 = 1;

/// Bits of [`Request::detail`] above the function's address.
const CALLER: u64 = 1;
const RETURN: u64 = 2;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where it was put; for [`Region::answered`].
    pub slot: usize,
    /// Whose plan.
    pub return_address: u64,
    /// The function whose hook asks; of a caller's frame, the one that it called.
    pub function: u64,
    /// Of the frame that called the function, not its own.
    pub is_caller: bool,
    /// The function returns.
    pub is_return: bool,
}

impl Request {
    /// One that has no place yet.
    pub fn new(return_address: u64, function: u64, is_caller: bool, is_return: bool) -> Self {
        Self {
            slot: 0,
            return_address,
            function,
            is_caller,
            is_return,
        }
    }

    fn detail(&self) -> u64 {
        let caller = if self.is_caller { CALLER } else { 0 };
        let returns = if self.is_return { RETURN } else { 0 };
        self.function << 2 | caller | returns
    }
}

impl Region {
    /// What is wanted now. Each is to be answered by [`Region::publish`] and [`Region::answered`] before the next look.
    pub fn requests(&self) -> impl Iterator<Item = Request> {
        let desk = self.desk();
        let places = desk.requests.iter().zip(&desk.details).enumerate();
        places.filter_map(|(slot, (place, detail))| {
            // Acquire: pairs with the store in `ask`; the detail was there before.
            let return_address = place.load(Ordering::Acquire);
            let detail = detail.load(Ordering::Relaxed);
            (return_address > FILLING).then_some(Request {
                slot,
                return_address,
                function: detail >> 2,
                is_caller: detail & CALLER != 0,
                is_return: detail & RETURN != 0,
            })
        })
    }

    /// The table has what `request` wants.
    pub fn answered(&self, request: &Request) {
        let desk = self.desk();
        if let Some(place) = desk.requests.get(request.slot) {
            give_up(place, request.return_address);
        }
        // Release: the table's entry is seen with it.
        desk.answered.fetch_add(1, Ordering::Release);
        futex_wake(&desk.answered);
    }
}

/// How long one waits before one looks whether the recorder lives; and from then on.
const FIRST_ROUND: Duration = Duration::from_millis(2);
const ROUND: Duration = Duration::from_millis(20);

/// How long who asks may wait.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For one answer.
    pub ns: u64,
}

impl Plans {
    /// Asks the recorder and waits: not longer than `patience`, and not for a dead one. What the table says then.
    pub fn ask(&self, live: &Live, request: &Request, patience: Patience) -> Lookup {
        let wanted = request.return_address;
        let desk = self.desk();
        let taken = desk.requests.iter().zip(&desk.details).find(|(place, _)| {
            place
                .compare_exchange(0, FILLING, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        });
        let Some((place, detail)) = taken else {
            // The next event asks again.
            return Lookup::Unasked;
        };
        detail.store(request.detail(), Ordering::Relaxed);
        // Release: pairs with the load in `requests`.
        place.store(wanted, Ordering::Release);
        live.ring();
        let end = monotonic_ns().saturating_add(patience.ns);
        let recorder = live.header().recorder_pid.load(Ordering::Relaxed);
        let (mut round, mut is_silent) = (FIRST_ROUND, false);
        loop {
            let seen = desk.answered.load(Ordering::Acquire);
            let lookup = self.lookup(wanted);
            let is_open = place.load(Ordering::Acquire) == wanted;
            if lookup != Lookup::Unasked || !is_open {
                // Somebody else may have asked for it before, and ours is still there.
                give_up(place, wanted);
                return lookup;
            }
            // One that lives answers within the first round, mostly: nobody asks the kernel for it then.
            let now = monotonic_ns();
            if now >= end || (is_silent && !is_alive(recorder)) {
                give_up(place, wanted);
                return lookup;
            }
            let rest = Duration::from_nanos(end - now);
            futex_wait(&desk.answered, seen, rest.min(round));
            is_silent = desk.answered.load(Ordering::Acquire) == seen;
            round = ROUND;
        }
    }
}

/// Frees a place, if it is still what was asked.
fn give_up(place: &AtomicU64, return_address: u64) {
    let _ = place.compare_exchange(return_address, 0, Ordering::AcqRel, Ordering::Relaxed);
}
