//! What the threads saw, and whether memory could have shown it.

use std::collections::BTreeMap;

use super::program::Cell;

/// One thing that happened to a cell's value, at one instant of virtual time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A load returned this.
    Load(u64),
    /// A store of this.
    Store(u64),
    /// An atomic increment found this.
    Increment(u64),
    /// A new life of the object begins with this, or its newest bytes were lost and older ones returned.
    Reset(u64),
}

/// Events in the order in which they happened.
#[derive(Clone, Debug, Default)]
pub struct History(Vec<(u64, Cell, Event)>);

impl History {
    /// Adds what happens now.
    pub fn add(&mut self, now_ns: u64, cell: Cell, event: Event) {
        self.0.push((now_ns, cell, event));
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Replays the events of these cells on a plain map; the first that it cannot explain is returned.
    pub fn check(&self, is_judged: impl Fn(Cell) -> bool) -> Result<(), String> {
        let mut memory: BTreeMap<Cell, u64> = BTreeMap::new();
        let mut before_ns = 0;
        for (at_ns, cell, event) in &self.0 {
            assert!(before_ns <= *at_ns, "virtual time runs forward");
            before_ns = *at_ns;
            if !is_judged(*cell) {
                continue;
            }
            let value = memory.entry(*cell).or_default();
            match *event {
                Event::Load(seen) | Event::Increment(seen) if seen != *value => {
                    return Err(format!(
                        "{cell:?} at {at_ns} ns: {event:?}, but the last value was {value}"
                    ));
                }
                Event::Load(_) => {}
                Event::Increment(seen) => *value = seen + 1,
                Event::Store(written) | Event::Reset(written) => *value = written,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use umbel_wire::ObjectId;

    use super::*;

    const A: Cell = Cell {
        object: ObjectId(1),
        index: 0,
    };
    const B: Cell = Cell {
        object: ObjectId(1),
        index: 1,
    };

    fn history(events: &[(Cell, Event)]) -> History {
        let mut history = History::default();
        for (at_ns, (cell, event)) in (0..).zip(events) {
            history.add(at_ns, *cell, *event);
        }
        history
    }

    #[test]
    fn replay_accepts_what_one_memory_shows() {
        let seen = [
            (A, Event::Store(7)),
            (B, Event::Load(0)),
            (A, Event::Increment(7)),
            (A, Event::Load(8)),
        ];
        assert_eq!(history(&seen).check(|_| true), Ok(()));
    }

    #[test]
    fn replay_refuses_a_stale_load_and_a_lost_increment() {
        let stale = [(A, Event::Store(7)), (A, Event::Load(0))];
        assert!(history(&stale).check(|_| true).is_err());
        assert_eq!(history(&stale).check(|cell| cell == B), Ok(()));
        let lost = [(A, Event::Increment(0)), (A, Event::Increment(0))];
        assert!(history(&lost).check(|_| true).is_err());
    }
}
