//! Who runs through memory: what to ask for before it is needed.
//!
//! Faults at neighbouring units in one direction make a *stream*. From the third one on the units ahead are
//! asked for: one, and twice as many with every further fault, up to [`WINDOW_MAX`]. What arrives is shown to
//! the threads at once, but for a *mark* in every quarter of the window: the fault there, served without a message, tells
//! how far the threads are, and keeps the stream three quarters ahead of them. So the home reads one part while
//! another travels and a third is taken over. A fault elsewhere is part of no stream and asks for nothing more than
//! itself.

use umbel_wire::ObjectId;

/// Units asked for ahead of a thread: 1 MiB of pages, which is 400 us of a fast link; a quarter of it is a full batch.
pub(crate) const WINDOW_MAX: u64 = 256;

/// Units whose twins are made ahead of a thread that writes them: 3 us of twins for every fault of 6 to 10 us. Fewer than a
/// program may need for as many flushes as a copy stays writable.
pub(crate) const WRITTEN_AHEAD_MAX: u64 = 8;

/// The streams of one node, by the places of their last faults.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    streams: Vec<Stream>,
    clock: u64,
}

/// Consecutive units, in the order of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ahead {
    /// The first one.
    pub(crate) first: ObjectId,
    /// How many.
    pub(crate) count: u64,
    /// Which way.
    pub(crate) way: Way,
    /// From one mark to the next; the first unit is one.
    pub(crate) mark_every: u64,
}

/// A direction through the units of an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Rising numbers.
    Up,
    /// Falling numbers.
    Down,
}

impl Way {
    /// The unit `count` after `object`, in this direction; `None` beyond the first number.
    pub(crate) fn from(self, object: ObjectId, count: u64) -> Option<ObjectId> {
        match self {
            Self::Up => object.0.checked_add(count),
            Self::Down => object.0.checked_sub(count),
        }
        .map(ObjectId)
    }

    /// How many units `object` is after `start`, if it isn't before it.
    fn distance(self, start: ObjectId, object: ObjectId) -> Option<u64> {
        match self {
            Self::Up => object.0.checked_sub(start.0),
            Self::Down => start.0.checked_sub(object.0),
        }
    }
}

impl Ahead {
    /// The units.
    pub(crate) fn units(self) -> impl Iterator<Item = ObjectId> {
        (0..self.count).map_while(move |index| self.way.from(self.first, index))
    }

    /// Whether the fault at one of them is wanted.
    pub(crate) fn is_mark(self, unit: ObjectId) -> bool {
        let distance = self.way.distance(self.first, unit);
        distance.is_some_and(|distance| distance.is_multiple_of(self.mark_every))
    }
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    /// Where the last fault was.
    last: ObjectId,
    way: Option<Way>,
    /// Faults that continued it.
    steps: u32,
    /// How far ahead of the last fault units are asked for.
    window: u64,
    /// How many units after `last` have been asked for.
    asked: u64,
    /// Time of the last fault, in faults.
    used: u64,
}

impl Streams {
    /// A thread needs `object`: what to ask for besides, because it will be needed next; at most `window_max`
    /// units ahead.
    pub(crate) fn on_fault(&mut self, object: ObjectId, window_max: u64) -> Option<Ahead> {
        self.clock += 1;
        let clock = self.clock;
        for stream in &mut self.streams {
            if stream.last == object {
                // The same fault again, or another thread's.
                stream.used = clock;
                return None;
            }
            if let Some(steps) = stream.follows(object) {
                stream.used = clock;
                return stream.advance(object, steps, window_max);
            }
        }
        let stream = Stream {
            last: object,
            way: None,
            steps: 0,
            window: 0,
            asked: 0,
            used: clock,
        };
        if self.streams.len() < STREAMS_MAX {
            self.streams.push(stream);
        } else if let Some(oldest) = self.streams.iter_mut().min_by_key(|stream| stream.used) {
            *oldest = stream;
        }
        None
    }

    /// The home has nothing there: whatever ran up to it goes no further.
    pub(crate) fn on_denied(&mut self, object: ObjectId) {
        self.streams.retain(|stream| {
            let ahead = stream.way.and_then(|way| way.distance(stream.last, object));
            ahead.is_none_or(|ahead| ahead > stream.asked)
        });
    }

    /// How many of the units after `object` were asked for, and which way; `None` if it is the last fault of no
    /// stream.
    pub(crate) fn shown_ahead(&self, object: ObjectId) -> Option<(Way, u64)> {
        let stream = self.streams.iter().find(|stream| stream.last == object)?;
        Some((stream.way?, stream.asked))
    }
}

impl Stream {
    /// Which way `object` continues the stream, and by how many units, if it does.
    fn follows(&self, object: ObjectId) -> Option<(Way, u64)> {
        let next = |way: Way| {
            let distance = way.distance(self.last, object)?;
            (1..=self.asked + 1)
                .contains(&distance)
                .then_some((way, distance))
        };
        match self.way {
            Some(way) => next(way),
            None => next(Way::Up).or_else(|| next(Way::Down)),
        }
    }

    fn advance(
        &mut self,
        object: ObjectId,
        (way, distance): (Way, u64),
        window_max: u64,
    ) -> Option<Ahead> {
        self.last = object;
        self.way = Some(way);
        self.steps += 1;
        self.asked = self.asked.saturating_sub(distance);
        if self.steps < STEPS_BEFORE_ASKING {
            return None;
        }
        self.window = (2 * self.window).max(1).min(window_max);
        let mark_every = (self.window / MARKS).max(1);
        let room = self.window.saturating_sub(self.asked);
        // Less than a part would bring marks that are closer to each other.
        let count = room / mark_every * mark_every;
        if count == 0 {
            return None;
        }
        let first = way.from(object, self.asked + 1)?;
        self.asked += count;
        Some(Ahead {
            first,
            count,
            way,
            mark_every,
        })
    }
}

/// Marks in a window.
const MARKS: u64 = 4;
/// Streams at a time: more threads than this seldom run through memory on one node.
const STREAMS_MAX: usize = 16;
/// Two neighbours may be chance: of 4096 pages accessed at random two of the last 16 are, once in 130 times.
const STEPS_BEFORE_ASKING: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// Faults at every unit that was not asked for, or is a mark: what a thread that runs through memory does.
    fn run(streams: &mut Streams, units: impl Iterator<Item = u64>) -> (u64, u64, u64) {
        let mut there = std::collections::BTreeMap::new();
        let (mut waits, mut faults, mut asked) = (0, 0, 0);
        for unit in units {
            let is_mark = there.insert(unit, false);
            if is_mark == Some(false) {
                continue;
            }
            faults += 1;
            waits += u64::from(is_mark.is_none());
            if let Some(ahead) = streams.on_fault(ObjectId(unit), WINDOW_MAX) {
                asked += ahead.count;
                for unit in ahead.units() {
                    there.insert(unit.0, ahead.is_mark(unit));
                }
            }
        }
        (faults, waits, asked)
    }

    #[test]
    fn running_through_memory_waits_three_times_and_faults_once_in_a_quarter_window() {
        for way in [Way::Up, Way::Down] {
            let units = (0..4096).map(|step| way.from(ObjectId(1 << 20), step).unwrap().0);
            let (faults, waits, asked) = run(&mut Streams::default(), units);
            assert_eq!(waits, 3);
            assert!((65..100).contains(&faults), "{faults} faults");
            assert!(asked <= 4096 + WINDOW_MAX);
        }
    }

    #[test]
    fn random_accesses_ask_for_nothing_else() {
        let mut state = 88_172_645_463_325_252_u64;
        let units = (0..4000).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % 65_536
        });
        let (faults, waits, asked) = run(&mut Streams::default(), units);
        assert_eq!((faults, asked), (waits, 0));
    }

    #[test]
    fn two_threads_run_side_by_side() {
        let units = (0..1000).flat_map(|step| [step, 1_000_000 - step]);
        let (_, waits, _) = run(&mut Streams::default(), units);
        assert_eq!(waits, 6);
    }

    #[test]
    fn nothing_is_asked_for_beyond_a_denial() {
        let mut streams = Streams::default();
        let ahead = (0..6)
            .filter_map(|unit| streams.on_fault(ObjectId(unit), WINDOW_MAX))
            .last()
            .unwrap();
        streams.on_denied(ahead.first);
        assert_eq!(streams.on_fault(ObjectId(6), WINDOW_MAX), None);
        assert_eq!(streams.on_fault(ObjectId(7), WINDOW_MAX), None);
    }

    #[test]
    fn the_first_unit_of_all_is_the_end_of_the_way_down() {
        let mut streams = Streams::default();
        let asked: Vec<u64> = (0..5)
            .rev()
            .filter_map(|unit| streams.on_fault(ObjectId(unit), WINDOW_MAX))
            .flat_map(Ahead::units)
            .map(|unit| unit.0)
            .collect();
        assert_eq!(asked, [1, 0]);
    }
}
