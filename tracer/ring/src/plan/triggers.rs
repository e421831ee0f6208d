//! What events trigger, and threads that are held for it.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::time::Duration;

use super::encode::Op;
use super::region::{Plans, Region};
use crate::Live;
use crate::sys::{futex_wait, futex_wake, is_alive, low_half, tid};

/// Triggers of one event at most.
const TRIGGERS_MAX: usize = 4;

/// How long a held thread sleeps before it looks whether there is a recorder still.
const ROUND: Duration = Duration::from_millis(100);

/// A trigger of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Triggered {
    /// Its number.
    pub number: u32,
    /// The thread waits until it is let go.
    pub holds: bool,
}

/// The triggers of the event that is being captured.
#[derive(Debug)]
#[repr(C)]
pub struct Triggers {
    /// Number, and 1 in the upper half if it holds.
    places: [AtomicU64; TRIGGERS_MAX],
    count: AtomicU32,
}

impl Triggers {
    pub(super) const fn new() -> Self {
        Self {
            places: [const { AtomicU64::new(0) }; TRIGGERS_MAX],
            count: AtomicU32::new(0),
        }
    }

    pub(super) fn clear(&self) {
        self.count.store(0, Ordering::Relaxed);
    }

    pub(super) fn push(&self, op: Op) {
        let count = self.count.load(Ordering::Relaxed);
        if let Some(place) = self.places.get(count as usize) {
            let holds = u64::from(op.register == 1);
            place.store(u64::from(op.offset as u32) | holds << 32, Ordering::Relaxed);
            self.count.store(count + 1, Ordering::Relaxed);
        }
    }

    /// A copy: how many, and which.
    pub fn all(&self) -> (usize, [Triggered; TRIGGERS_MAX]) {
        let count = self.count.load(Ordering::Relaxed) as usize;
        let triggered = self.places.each_ref().map(|place| {
            let place = place.load(Ordering::Relaxed);
            Triggered {
                number: place as u32,
                holds: place >> 32 != 0,
            }
        });
        (count.min(TRIGGERS_MAX), triggered)
    }
}

/// A thread that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Where it waits; for [`Region::let_go`].
    pub slot: usize,
    /// The thread.
    pub tid: u32,
    /// The trigger that holds it.
    pub number: u32,
}

/// A thread's place among those that are held. Whoever reads what it writes from here on finds it there.
#[derive(Debug)]
pub struct Hold<'a> {
    place: &'a AtomicU64,
    held: u64,
}

impl Plans {
    /// Takes a place for the calling thread; `None`: too many are held.
    pub fn begin_hold(&self, number: u32) -> Option<Hold<'_>> {
        let held = u64::from(tid()) | u64::from(number) << 32;
        let place = self.desk().held.iter().find(|place| {
            place
                .compare_exchange(0, held, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        })?;
        Some(Hold { place, held })
    }
}

impl Hold<'_> {
    /// Waits until the recorder lets the thread go; not if there is none.
    pub fn wait(self, live: &Live) {
        let Self { place, held } = self;
        live.ring();
        let recorder = || live.header().recorder_pid.load(Ordering::Relaxed);
        // A signal handler may come meanwhile, and be held itself: in another place.
        while place.load(Ordering::Acquire) == held {
            if !is_alive(recorder()) {
                let _ = place.compare_exchange(held, 0, Ordering::AcqRel, Ordering::Relaxed);
                return;
            }
            futex_wait(low_half(place), held as u32, ROUND);
        }
    }
}

impl Region {
    /// The threads that are held now.
    pub fn held(&self) -> impl Iterator<Item = Held> {
        let places = self.desk().held.iter().enumerate();
        places.filter_map(|(slot, place)| {
            let held = place.load(Ordering::Acquire);
            (held != 0).then_some(Held {
                slot,
                tid: held as u32,
                number: (held >> 32) as u32,
            })
        })
    }

    /// Lets a thread go on.
    pub fn let_go(&self, held: &Held) {
        let Some(place) = self.desk().held.get(held.slot) else {
            return;
        };
        let value = u64::from(held.tid) | u64::from(held.number) << 32;
        let _ = place.compare_exchange(value, 0, Ordering::AcqRel, Ordering::Relaxed);
        futex_wake(low_half(place));
    }
}
