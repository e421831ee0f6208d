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
    /// Nowhere, though all others stop.
    Never = 4,
}

/// The function that is to return, in case its return doesn't come: a jump may leave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Where it begins; 0: not known.
    pub function: u64,
    /// Its stack pointer when it called the hook, or whom it waits for.
    pub stack: u64,
    /// Its canonical frame address: a stack pointer from there on is that of one of its callers. 0: not known.
    pub end: u64,
    /// Behind the last address of its stack.
    pub limit: u64,
    /// Where it returns to: what lies below the end of its frame as long as nobody else has a frame there.
    pub return_address: u64,
}

/// An event of the calling thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// It is a return.
    pub is_return: bool,
    /// Of this function.
    pub function: u64,
    /// Its stack pointer.
    pub stack: u64,
}

/// Where a thread is when it is wanted to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct From {
    /// It is held at a call, not at a return.
    pub is_at_call: bool,
    /// A trigger holds it: the hook has not asked yet whether it is to stop at this event, which it is not.
    pub is_in_event: bool,
    /// What it is wanted to return from.
    pub level: Level,
}

/// In a wish: the next question is still about the event that the thread was at.
const SAME_EVENT: u64 = 1 << 63;

/// Wishes, as they lie in a [`super::Desk`].
#[repr(C)]
pub struct Wanted {
    /// How many there may be: while it is 0, hooks look no further.
    count: AtomicU32,
    /// 1: all threads are to stop that nothing else is wanted of, also those that begin later.
    all: AtomicU32,
    /// The thread, and what is wanted of it in the upper half; 0: free.
    wishes: [AtomicU64; WANTED],
    /// Calls that it is deeper than it was, or than the caller of the call that it was at. From then on only it writes this.
    depths: [AtomicI64; WANTED],
    /// The function, the end of its frame, from there down to its stack pointer (low half) and up to the stack's end, and where it returns to.
    levels: [[AtomicU64; 4]; WANTED],
}

impl Region {
    /// Wants thread `tid` to stop, in place of what was wanted of it before. `false`: of too many others something is wanted.
    pub fn want(&self, tid: u32, until: Until, from: From) -> bool {
        self.unwant(tid);
        let wanted = &self.desk().wanted;
        let places = wanted.wishes.iter().zip(&wanted.depths);
        let places = places.zip(&wanted.levels);
        let mut free = places.filter(|((wish, _), _)| wish.load(Ordering::Relaxed) == 0);
        let Some(((wish, depth), level)) = free.next() else {
            return false;
        };
        for (place, word) in level.iter().zip(from.level.pack()) {
            place.store(word, Ordering::Relaxed);
        }
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

    /// Threads of which something is wanted, be it to go on.
    pub fn wanted(&self) -> impl Iterator<Item = (u32, bool)> {
        let wishes = self.desk().wanted.wishes.iter();
        wishes
            .map(|wish| wish.load(Ordering::Acquire))
            .filter(|wish| *wish != 0)
            .map(|wish| (wish as u32, until_of(wish) != Until::Never as u32))
    }

    /// Whether all threads are to stop that nothing else is wanted of.
    pub fn want_all(&self, are_wanted: bool) {
        let all = &self.desk().wanted.all;
        all.store(are_wanted.into(), Ordering::Relaxed);
        self.count_wishes();
    }

    fn count_wishes(&self) {
        let all = self.desk().wanted.all.load(Ordering::Relaxed);
        let count = self.wanted().count() as u32 + all;
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
    /// `number` reads 8 bytes of the thread's stack.
    pub fn stops(&self, at: &At, number: impl Fn(u64) -> Option<u64>) -> bool {
        let wanted = &self.desk().wanted;
        let own = tid();
        let is_return = at.is_return;
        let places = wanted.wishes.iter().zip(&wanted.depths);
        for ((wish, depth), level) in places.zip(&wanted.levels) {
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
            let until = until_of(known);
            let level = level.each_ref().map(|word| word.load(Ordering::Relaxed));
            // A call counts itself. Where a jump has left calls, counting is wrong, and the stack pointer right.
            let is_left = || Level::unpack(level).is_left(at, &number);
            let is_reached = match until {
                until if until == Until::Level as u32 => now <= i64::from(!is_return) || is_left(),
                until if until == Until::Return as u32 => is_return && now < 0 || is_left(),
                until if until == Until::Never as u32 => false,
                _ => true,
            };
            return is_reached
                && wish
                    .compare_exchange(known, 0, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok();
        }
        wanted.all.load(Ordering::Relaxed) != 0
    }
}

fn until_of(wish: u64) -> u32 {
    (wish >> 32) as u32 & 0xffff
}

impl Level {
    fn pack(self) -> [u64; 4] {
        let half = |bytes: u64| bytes.min(u32::MAX.into());
        let down = half(self.end.saturating_sub(self.stack));
        let up = half(self.limit.saturating_sub(self.end));
        [
            self.function,
            self.end,
            down | up << 32,
            self.return_address,
        ]
    }

    fn unpack([function, end, around, return_address]: [u64; 4]) -> Self {
        Self {
            function,
            stack: end.wrapping_sub(around & 0xffff_ffff),
            end,
            limit: end.saturating_add(around >> 32),
            return_address,
        }
    }

    /// Whether the function returns, or has been left. A handler on a stack of its own says nothing of it.
    fn is_left(&self, at: &At, number: &impl Fn(u64) -> Option<u64>) -> bool {
        let is_own = self.function != 0 && at.function == self.function;
        let is_inside = (self.stack..self.end).contains(&at.stack);
        let is_above = (self.end..self.limit).contains(&at.stack);
        // It returns, or is called anew at the same place.
        let is_begin_or_end = is_own && is_inside && (at.is_return || at.stack == self.stack);
        // What its caller has called since has its frame there.
        let is_replaced = || {
            let there = number(self.end.wrapping_sub(8));
            self.return_address != 0 && there.is_some_and(|there| there != self.return_address)
        };
        self.end != 0 && (is_above || is_begin_or_end || is_replaced())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_left_by_its_return_or_from_above() {
        let level = Level {
            function: 0x40_1000,
            stack: 0x7ff0_0100,
            end: 0x7ff0_0180,
            limit: 0x7ff1_0000,
            return_address: 0x40_2345,
        };
        assert_eq!(Level::unpack(level.pack()), level);
        let there = std::cell::Cell::new(Some(0x40_2345));
        let is_left = |is_return, function, stack| {
            let at = At {
                is_return,
                function,
                stack,
            };
            level.is_left(&at, &|address| {
                there.get().filter(|_| address == 0x7ff0_0178)
            })
        };
        assert!(is_left(true, 0x40_1000, 0x7ff0_0100));
        // The same function, called from within; another's return; its own call.
        assert!(!is_left(true, 0x40_1000, 0x7ff0_00f0));
        assert!(!is_left(true, 0x40_2000, 0x7ff0_0100));
        assert!(!is_left(false, 0x40_1000, 0x7ff0_00f0));
        assert!(is_left(false, 0x40_1000, 0x7ff0_0100), "it is called anew");
        // A caller's event, whatever it is; a handler's, on another stack.
        assert!(is_left(false, 0x40_2000, 0x7ff0_0180));
        assert!(!is_left(false, 0x40_2000, 0x7ff1_0000));
        // Its caller has called another, whose frame lies where its was; of what can't be read nothing is said.
        there.set(Some(0x40_2367));
        assert!(is_left(false, 0x40_2000, 0x7ff0_0110));
        there.set(None);
        assert!(!is_left(false, 0x40_2000, 0x7ff0_0110));
        assert!(!Level::default().is_left(&At::default(), &|_| Some(1)));
    }
}
