//! How far the counters of two processors are apart: measured, by threads on both that answer each other.
//!
//! Between a question and its answer the other's counter showed a value: that gives a lower and an upper bound of the difference.
//! Of many rounds the narrowest bounds count. On a busy machine the two threads may never run at the same time: then
//! nothing is known but what the kernel asks of such a clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::sys::counter;

/// Processors that are compared with the first: more take too long, and are made alike.
const PROCESSORS_MAX: usize = 4;

/// Questions to each.
const ROUNDS: u64 = 64;

/// How long one comparison may take.
const TIME_MAX: Duration = Duration::from_micros(700);

/// Upper bound of the difference of any two counters, in ticks; `None` if it could not be found out in the time there is.
pub fn measure() -> Option<u64> {
    let here = Pid::from_raw(0);
    let allowed = sched_getaffinity(here).ok()?;
    let processors: Vec<usize> = (0..CpuSet::count())
        .filter(|&processor| allowed.is_set(processor).unwrap_or(false))
        .collect();
    let (first, others) = processors.split_first()?;
    let mut bound = 0;
    let step = others.len().div_ceil(PROCESSORS_MAX).max(1);
    for other in others.iter().step_by(step) {
        bound = bound.max(compare(*first, *other)?);
    }
    // Two others are each that far from the first.
    Some(if others.len() > 1 { 2 * bound } else { bound })
}

/// Upper bound of the difference of these two.
fn compare(one: usize, two: usize) -> Option<u64> {
    let end = Instant::now() + TIME_MAX;
    let asked = AtomicU64::new(0);
    let answered = AtomicU64::new(0);
    let answer = AtomicU64::new(0);
    let wait = |word: &AtomicU64, round: u64| {
        // Acquire: what was written before it is seen.
        while word.load(Ordering::Acquire) != round {
            if Instant::now() > end {
                return false;
            }
            std::hint::spin_loop();
        }
        true
    };
    let run_on = |processor: usize| {
        let mut set = CpuSet::new();
        set.set(processor).is_ok() && sched_setaffinity(Pid::from_raw(0), &set).is_ok()
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            if !run_on(two) {
                return;
            }
            for round in 1..=ROUNDS {
                if !wait(&asked, round) {
                    return;
                }
                answer.store(counter::ticks(), Ordering::Relaxed);
                answered.store(round, Ordering::Release);
            }
        });
        // Not the session's own thread: its children would inherit the processor.
        let asking = scope.spawn(|| {
            if !run_on(one) {
                return None;
            }
            let (mut least, mut most) = (i128::MIN, i128::MAX);
            for round in 1..=ROUNDS {
                let before = i128::from(counter::ticks());
                asked.store(round, Ordering::Release);
                if !wait(&answered, round) {
                    break;
                }
                let after = i128::from(counter::ticks());
                let there = i128::from(answer.load(Ordering::Relaxed));
                least = least.max(there - after);
                most = most.min(there - before);
            }
            let farthest = least.unsigned_abs().max(most.unsigned_abs());
            (least > i128::MIN && most < i128::MAX && least <= most)
                .then(|| u64::try_from(farthest).ok())?
        });
        asking.join().ok()?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_that_the_kernel_trusts_are_close() {
        if !super::super::clock::counter_is_even() {
            return;
        }
        // A busy machine may need some attempts, and may have no time at all.
        let bound = (0..20).find_map(|_| measure());
        if let Some(ticks) = bound {
            assert!(ticks < 10_000_000, "{ticks} ticks apart");
        }
    }
}
