//! The session's clock: ticks to nanoseconds.

use super::metadata::{ClockKind, ClockPoint, SessionInfo};

/// Converts ticks to nanoseconds: between two points of the recording by interpolation, outside by the nearest two.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Ascending in all three clocks, at least one.
    points: Vec<ClockPoint>,
    /// Nanoseconds per tick over the whole recording.
    ns_per_tick: f64,
    /// Time 0 of the recording, in ticks.
    origin: u64,
    /// `ns_per_tick` is a guess.
    is_unknown: bool,
}

impl Clock {
    /// From the points that a recording has. `origin`: the first event, where times begin that are shown.
    pub fn new(session: &SessionInfo, points: &[ClockPoint], origin: Option<u64>) -> Self {
        let mut sorted = points.to_vec();
        sorted.sort_by_key(|point| point.ticks);
        // A damaged or jumping clock must not turn time round.
        let mut points: Vec<ClockPoint> = Vec::new();
        for point in sorted {
            let follows = points.last().is_none_or(|last| {
                point.ticks > last.ticks
                    && point.monotonic_ns > last.monotonic_ns
                    && point.realtime_ns > last.realtime_ns
            });
            if follows {
                points.push(point);
            }
        }
        let rate = match (session.clock, session.ticks_per_second) {
            (ClockKind::Monotonic, _) | (_, 0) => 1.0,
            (_, per_second) => 1e9 / per_second as f64,
        };
        let mut is_unknown = session.clock != ClockKind::Monotonic && session.ticks_per_second == 0;
        let ns_per_tick = match (points.first(), points.last()) {
            (Some(first), Some(last)) if last.ticks - first.ticks >= TICKS_MEASURED_MIN => {
                is_unknown = false;
                (last.monotonic_ns - first.monotonic_ns) as f64 / (last.ticks - first.ticks) as f64
            }
            _ => rate,
        };
        let first = points.first().map(|point| point.ticks);
        let origin = origin.or(first).unwrap_or(0);
        if points.is_empty() {
            points.push(ClockPoint {
                ticks: origin,
                ..ClockPoint::default()
            });
        }
        Self {
            points,
            ns_per_tick,
            origin,
            is_unknown,
        }
    }

    /// Time 0 of the recording, in ticks.
    pub fn origin(&self) -> u64 {
        self.origin
    }

    /// How long a tick is is not known: times are ticks.
    pub fn is_unknown(&self) -> bool {
        self.is_unknown
    }

    /// Nanoseconds that `ticks` ticks last.
    pub fn duration_ns(&self, ticks: u64) -> f64 {
        ticks as f64 * self.ns_per_tick
    }

    /// Ticks that last `ns` nanoseconds.
    pub fn duration_ticks(&self, ns: f64) -> u64 {
        (ns / self.ns_per_tick) as u64
    }

    /// Nanoseconds from the recording's time 0 to the moment `ticks`.
    pub fn since_origin_ns(&self, ticks: u64) -> i64 {
        let monotonic = |ticks| self.at(ticks, |point| point.monotonic_ns);
        (monotonic(ticks) - monotonic(self.origin)) as i64
    }

    /// CLOCK_MONOTONIC at the moment `ticks`, in nanoseconds.
    pub fn monotonic_ns(&self, ticks: u64) -> u64 {
        self.at(ticks, |point| point.monotonic_ns).max(0) as u64
    }

    /// Nanoseconds since 1970 at the moment `ticks`.
    pub fn realtime_ns(&self, ticks: u64) -> u64 {
        self.at(ticks, |point| point.realtime_ns).max(0) as u64
    }

    fn at(&self, ticks: u64, clock: impl Fn(&ClockPoint) -> u64) -> i128 {
        let after = self.points.partition_point(|point| point.ticks <= ticks);
        let base = &self.points[after.saturating_sub(1)];
        let elapsed = i128::from(ticks) - i128::from(base.ticks);
        let inside = after.checked_sub(1).and_then(|_| self.points.get(after));
        let ns = match inside {
            Some(next) => {
                let span = i128::from(next.ticks - base.ticks);
                elapsed * i128::from(clock(next) - clock(base)) / span
            }
            None => (elapsed as f64 * self.ns_per_tick) as i128,
        };
        i128::from(clock(base)) + ns
    }
}

/// Points nearer to each other than this say less about the rate than the session does: 1 ms.
const TICKS_MEASURED_MIN: u64 = 1_000_000;
