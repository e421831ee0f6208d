//! The session's clock: which one can be trusted, and what it shows beside the system's clocks.

use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use umbel_trace_ring::layout::Clock;

use super::sys::counter;
use crate::recording::{ClockKind, ClockPoint};

/// The processor's counter where it runs evenly on all processors, else CLOCK_MONOTONIC.
pub fn best() -> Clock {
    match counter_is_even() {
        true => Clock::Tsc,
        false => Clock::Monotonic,
    }
}

/// Whether the kernel itself takes its time from the counter, and the processor says that it never stops or changes its pace.
pub fn counter_is_even() -> bool {
    let source =
        fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = flags.lines().find(|line| line.starts_with("flags"));
    is_even(&source.unwrap_or_default(), flags.unwrap_or_default())
}

fn is_even(source: &str, flags: &str) -> bool {
    let has = |wanted: &str| flags.split_ascii_whitespace().any(|flag| flag == wanted);
    // A virtual machine's clock is made of the counter too, with a pace that the host gives.
    let from_counter = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page"].contains(&source.trim());
    from_counter && has("constant_tsc") && has("nonstop_tsc")
}

/// What `clock` shows now.
pub fn ticks(clock: Clock) -> u64 {
    match clock {
        Clock::Tsc | Clock::Coarse if cfg!(target_arch = "x86_64") => counter::ticks(),
        _ => nanoseconds(ClockId::CLOCK_MONOTONIC),
    }
}

/// One moment on all clocks: of some attempts, the one that took the shortest time.
pub fn point(clock: Clock) -> ClockPoint {
    let attempts = (0..ATTEMPTS).map(|_| {
        let before = ticks(clock);
        let monotonic_ns = nanoseconds(ClockId::CLOCK_MONOTONIC);
        let realtime_ns = nanoseconds(ClockId::CLOCK_REALTIME);
        let after = ticks(clock);
        let point = ClockPoint {
            ticks: before + after.saturating_sub(before) / 2,
            monotonic_ns,
            realtime_ns,
        };
        (after.saturating_sub(before), point)
    });
    let best = attempts.min_by_key(|(width, _)| *width);
    best.map(|(_, point)| point).unwrap_or_default()
}

/// An interrupt may fall into one or two of them, not into all.
const ATTEMPTS: usize = 5;

/// Ticks per second, by two moments some time apart; `None` if they are too close to tell.
pub fn pace(first: &ClockPoint, last: &ClockPoint) -> Option<u64> {
    let nanoseconds = last.monotonic_ns.checked_sub(first.monotonic_ns)?;
    let ticks = last.ticks.checked_sub(first.ticks)?;
    let per_second = u128::from(ticks) * 1_000_000_000 / u128::from(nanoseconds.max(1));
    (nanoseconds >= PACE_NS_MIN).then_some(u64::try_from(per_second).ok()?)
}

/// Ticks per second, as soon as they can be told: a millisecond after `first`, to a ten-thousandth.
pub fn first_pace(clock: Clock, first: &ClockPoint) -> u64 {
    if clock == Clock::Monotonic {
        return 1_000_000_000;
    }
    for _ in 0..PACE_ATTEMPTS {
        std::thread::sleep(Duration::from_nanos(PACE_NS_MIN));
        if let Some(pace) = pace(first, &point(clock)) {
            return pace;
        }
    }
    0
}

/// Readings of a counter that may stand still.
const PACE_ATTEMPTS: usize = 10;

/// Below, the error of a reading counts.
const PACE_NS_MIN: u64 = 1_000_000;

/// What a recording calls `clock`.
pub fn kind(clock: Clock) -> ClockKind {
    match clock {
        Clock::Tsc => ClockKind::Tsc,
        Clock::Monotonic => ClockKind::Monotonic,
        Clock::Coarse => ClockKind::Coarse,
    }
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).map(|time| (time.tv_sec(), time.tv_nsec()));
    let (seconds, nanoseconds) = time.unwrap_or_default();
    seconds.cast_unsigned() * 1_000_000_000 + nanoseconds.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_trusted_only_where_both_say_so() {
        let flags = "flags\t\t: fpu tsc constant_tsc nonstop_tsc";
        assert!(is_even("tsc\n", flags));
        assert!(is_even("kvm-clock\n", flags));
        assert!(!is_even("hpet\n", flags));
        assert!(!is_even("tsc\n", "flags : fpu tsc constant_tsc"));
        assert!(!is_even("", ""));
    }

    #[test]
    fn pace_needs_some_time_between() {
        let first = ClockPoint {
            ticks: 1000,
            monotonic_ns: 0,
            realtime_ns: 0,
        };
        let last = ClockPoint {
            ticks: 1000 + 26_000_000,
            monotonic_ns: 10_000_000,
            realtime_ns: 0,
        };
        assert_eq!(pace(&first, &last), Some(2_600_000_000));
        assert_eq!(pace(&first, &first), None);
        assert_eq!(pace(&last, &first), None);
    }

    #[test]
    fn clocks_go_forward() {
        for clock in [Clock::Tsc, Clock::Monotonic] {
            let first = point(clock);
            let last = point(clock);
            assert!(first.ticks <= last.ticks && first.monotonic_ns <= last.monotonic_ns);
        }
    }
}
