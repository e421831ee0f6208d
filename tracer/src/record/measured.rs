//! What was measured of the processor's counter, kept for the next session of the same machine: it takes some milliseconds, on a busy machine
//! tens of them, and is the same until the machine is started anew.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | ticks per second |
//! | 8 | ticks that the counters of two processors are apart at most |

use std::fs;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use umbel_trace_ring::layout::Clock;

use super::cache::{Cache, Content, Key};
use super::{clock, skew};
use crate::recording::ClockPoint;

/// What a session knows of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Ticks of a second.
    pub ticks_per_second: u64,
    /// How far the counters of two processors are apart at most; `None`: nobody knows.
    pub skew_ticks: Option<u64>,
}

/// Where it is kept.
#[derive(Clone, Debug)]
pub struct Place {
    cache: Cache,
    host: Vec<u8>,
    depends: u64,
}

/// A session that is shorter doesn't know better than the one before.
const BETTER_NS_MIN: u64 = 1_000_000_000;

/// Ticks of a second that no counter has less of, and more: what is kept is nonsense.
const SENSIBLE: std::ops::Range<u64> = 100_000_000..100_000_000_000;

impl Place {
    /// The user's, for this machine as it was started last, and for the processors that this process may use.
    pub fn of_user() -> Self {
        let boot = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let allowed = sched_getaffinity(Pid::from_raw(0));
        let processors: Vec<u8> = (0..CpuSet::count())
            .map(|number| {
                allowed
                    .is_ok_and(|set| set.is_set(number) == Ok(true))
                    .into()
            })
            .collect();
        let host = fs::read("/proc/sys/kernel/hostname");
        Self::new(
            Cache::of_user(),
            host.unwrap_or_default(),
            &boot,
            &processors,
        )
    }

    fn new(cache: Cache, host: Vec<u8>, boot: &[u8], processors: &[u8]) -> Self {
        let boot = u64::from(crc32fast::hash(boot));
        Self {
            cache,
            // A folder may be that of many machines: a file for each.
            host: crc32fast::hash(&host).to_le_bytes().to_vec(),
            depends: boot | u64::from(crc32fast::hash(processors)) << 32,
        }
    }

    fn key(&self) -> Key<'_> {
        Key {
            build_id: &self.host,
            what: "counter",
            depends: self.depends,
        }
    }

    /// What is known from before.
    fn read(&self) -> Option<Measured> {
        let bytes = self.cache.read(&self.key())?;
        let mut content = Content(&bytes);
        let (ticks_per_second, skew_ticks) = (content.long()?, content.long()?);
        SENSIBLE.contains(&ticks_per_second).then_some(Measured {
            ticks_per_second,
            skew_ticks: Some(skew_ticks),
        })
    }

    /// Keeps what a session knows when it ends that began at `first`: unless it was known before, and the session was too short to know better.
    pub fn keep(&self, measured: Measured, first: &ClockPoint, last: &ClockPoint) {
        let (Some(skew_ticks), Some(pace)) = (measured.skew_ticks, clock::pace(first, last)) else {
            return;
        };
        let is_short = last.monotonic_ns.saturating_sub(first.monotonic_ns) < BETTER_NS_MIN;
        if is_short && self.read().is_some() {
            return;
        }
        let content = [pace.to_le_bytes(), skew_ticks.to_le_bytes()].concat();
        self.cache.write(&self.key(), &content);
    }
}

/// What is known of `clock`, or can be found out now: a session begins at `first`.
pub fn measure(place: &Place, clock: Clock, first: &ClockPoint) -> Measured {
    let kept = match clock {
        Clock::Tsc => place.read(),
        Clock::Coarse | Clock::Monotonic => None,
    };
    kept.unwrap_or_else(|| Measured {
        skew_ticks: match clock {
            Clock::Tsc => skew::measure(),
            Clock::Monotonic | Clock::Coarse => None,
        },
        ticks_per_second: clock::first_pace(clock, first),
    })
}

#[cfg(test)]
mod tests {
    use super::super::cache::tests::Folder;
    use super::*;

    const KNOWN: Measured = Measured {
        ticks_per_second: 2_600_000_000,
        skew_ticks: Some(77),
    };

    fn at(seconds: u64, per_second: u64) -> ClockPoint {
        ClockPoint {
            ticks: 5 + seconds * per_second,
            monotonic_ns: seconds * 1_000_000_000,
            realtime_ns: 0,
        }
    }

    fn place(folder: &Folder, boot: &[u8], processors: &[u8]) -> Place {
        Place::new(Cache::at(&folder.0), b"host".to_vec(), boot, processors)
    }

    #[test]
    fn what_a_session_measured_the_next_one_knows_until_the_machine_is_started_anew() {
        let folder = Folder::new("counter");
        let here = place(&folder, b"boot", &[1, 1]);
        assert_eq!(here.read(), None);
        here.keep(KNOWN, &at(0, 2_600_000_000), &at(10, 2_600_000_000));
        assert_eq!(here.read(), Some(KNOWN));
        assert_eq!(measure(&here, Clock::Tsc, &at(0, 1)), KNOWN);
        assert_eq!(place(&folder, b"other boot", &[1, 1]).read(), None);
        assert_eq!(place(&folder, b"boot", &[1, 0]).read(), None);
    }

    #[test]
    fn a_longer_session_knows_better_and_a_short_one_does_not() {
        let folder = Folder::new("counter-better");
        let here = place(&folder, b"boot", &[1]);
        let (begin, pace) = (ClockPoint::default(), |place: &Place| {
            place.read().map(|known| known.ticks_per_second)
        });
        let short = ClockPoint {
            ticks: 2_000_000,
            monotonic_ns: 1_000_000,
            realtime_ns: 0,
        };
        here.keep(KNOWN, &begin, &short);
        assert_eq!(pace(&here), Some(2_000_000_000));
        let long = at(1, 2_500_000_000);
        here.keep(KNOWN, &begin, &long);
        assert_eq!(pace(&here), Some(2_500_000_005));
        here.keep(KNOWN, &begin, &short);
        assert_eq!(pace(&here), Some(2_500_000_005));
    }

    #[test]
    fn what_nobody_knows_is_not_kept_and_nonsense_is_not_believed() {
        let folder = Folder::new("counter-nonsense");
        let here = place(&folder, b"boot", &[1]);
        let unknown = Measured {
            skew_ticks: None,
            ..KNOWN
        };
        here.keep(unknown, &at(0, 2_600_000_000), &at(10, 2_600_000_000));
        assert_eq!(here.read(), None);
        here.keep(KNOWN, &at(0, 7), &at(10, 7));
        assert_eq!(here.read(), None);
        here.cache.write(&here.key(), &[1, 2, 3]);
        assert_eq!(here.read(), None);
    }
}
