//! Threads whose user wants them stopped: at their next event, or at the next one that isn't inside of the call they are at.
//!
//! The recorder puts a wish; the thread fulfils it: only hooks know where a thread is. A wish is gone once the thread stops.

use core::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

use super::WANTED;
use super::region::{Plans, Region};
use crate::sys::tid;

/// What the number of a [`super::Held`] is where no trigger but the user stopped the thread: at a call, or at a return.
pub const STOPPED_AT_CALL: u32 = u32::MAX - 1;
/// See [`STOPPED_AT_CALL`].
pub const STOPPED_AT_RETURN: u32 = u32::MAX;

/// Where a thread is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Until {
    /// At its next event.
    Event = 1,
    /// At the next one that isn't inside of the call that it is at: over a call to its return.
    Level = 2,
    /// When the function returns that it is in.
    Return = 3,
}

/// Where a thread is when it is wanted to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct From {
    /// It is held at a call, not at a return.
    pub is_at_call: bool,
    /// A trigger holds it: the hook has not asked yet whether it is to stop at this event, which it is not.
    pub is_in_event: bool,
}

/// In a wish: the next question is still about the event that the thread was at.
const SAME_EVENT: u64 = 1 << 63;

/// Wishes, as they lie in a [`super::Desk`].
#[repr(C)]
pub struct Wanted {
    /// How many there may be: while it is 0, hooks look no further.
    count: AtomicU32,
    padding: AtomicU32,
    /// The thread, and what is wanted of it in the upper half; 0: free.
    wishes: [AtomicU64; WANTED],
    /// Calls that it is deeper than it was, or than the caller of the call that it was at. From then on only it writes this.
    depths: [AtomicI64; WANTED],
}

impl Region {
    /// Wants thread `tid` to stop, in place of what was wanted of it before. `false`: of too many others something is wanted.
    pub fn want(&self, tid: u32, until: Until, from: From) -> bool {
        self.unwant(tid);
        let wanted = &self.desk().wanted;
        let places = wanted.wishes.iter().zip(&wanted.depths);
        let mut free = places.filter(|(wish, _)| wish.load(Ordering::Relaxed) == 0);
        let Some((wish, depth)) = free.next() else {
            return false;
        };
        let is_inside = until == Until::Level && from.is_at_call;
        depth.store(i64::from(is_inside), Ordering::Relaxed);
        // Release: pairs with the load in `stops`; the depth is there.
        wish.store(
            u64::from(tid)
                | u64::from(until as u32) << 32
                | if from.is_in_event { SAME_EVENT } else { 0 },
            Ordering::Release,
        );
        self.count_wishes();
        true
    }

    /// Wants nothing of thread `tid` any more; whether anything was wanted.
    pub fn unwant(&self, tid: u32) -> bool {
        let mut was_wanted = false;
        for wish in &self.desk().wanted.wishes {
            let known = wish.load(Ordering::Relaxed);
            if known != 0 && known as u32 == tid {
                was_wanted |= wish
                    .compare_exchange(known, 0, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok();
            }
        }
        self.count_wishes();
        was_wanted
    }

    /// Threads of which something is wanted.
    pub fn wanted(&self) -> impl Iterator<Item = u32> {
        let wishes = self.desk().wanted.wishes.iter();
        wishes
            .map(|wish| wish.load(Ordering::Acquire))
            .filter(|wish| *wish != 0)
            .map(|wish| wish as u32)
    }

    fn count_wishes(&self) {
        let count = self.wanted().count() as u32;
        self.desk().wanted.count.store(count, Ordering::Release);
    }
}

impl Plans {
    /// Whether anything may be wanted of any thread.
    #[inline]
    pub fn is_anyone_wanted(&self) -> bool {
        self.desk().wanted.count.load(Ordering::Relaxed) != 0
    }

    /// Whether the calling thread is to stop at this event; the wish is fulfilled then.
    pub fn stops(&self, is_return: bool) -> bool {
        let wanted = &self.desk().wanted;
        let own = tid();
        for (wish, depth) in wanted.wishes.iter().zip(&wanted.depths) {
            // Acquire: pairs with the store in `want`.
            let known = wish.load(Ordering::Acquire);
            if known == 0 || known as u32 != own {
                continue;
            }
            if known & SAME_EVENT != 0 {
                let rest = known & !SAME_EVENT;
                let _ = wish.compare_exchange(known, rest, Ordering::AcqRel, Ordering::Relaxed);
                return false;
            }
            let now = depth.load(Ordering::Relaxed) + if is_return { -1 } else { 1 };
            depth.store(now, Ordering::Relaxed);
            let until = (known >> 32) as u32;
            // A call counts itself.
            let is_reached = match until {
                until if until == Until::Level as u32 => now <= i64::from(!is_return),
                until if until == Until::Return as u32 => is_return && now < 0,
                _ => true,
            };
            return is_reached
                && wish
                    .compare_exchange(known, 0, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok();
        }
        false
    }
}
