//! What the threads saw, and whether memory could have shown it.

use std::collections::BTreeMap;

use umbel_wire::ObjectId;

/// One thing that happened to an object's value, at one instant of virtual time.
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
pub struct History(Vec<(u64, ObjectId, Event)>);

impl History {
    /// Adds what happens now.
    pub fn add(&mut self, now_ns: u64, object: ObjectId, event: Event) {
        self.0.push((now_ns, object, event));
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Replays the whole history on a plain map; the first event it cannot explain is returned.
    pub fn check(&self) -> Result<(), String> {
        let mut memory: BTreeMap<ObjectId, u64> = BTreeMap::new();
        let mut before_ns = 0;
        for (at_ns, object, event) in &self.0 {
            assert!(before_ns <= *at_ns, "virtual time runs forward");
            before_ns = *at_ns;
            let value = memory.entry(*object).or_default();
            match *event {
                Event::Load(seen) | Event::Increment(seen) if seen != *value => {
                    return Err(format!(
                        "{object:?} at {at_ns} ns: {event:?}, but the last value was {value}"
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
    use super::*;

    const A: ObjectId = ObjectId(1);
    const B: ObjectId = ObjectId(2);

    fn history(events: &[(ObjectId, Event)]) -> History {
        let mut history = History::default();
        for (at_ns, (object, event)) in (0..).zip(events) {
            history.add(at_ns, *object, *event);
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
        assert_eq!(history(&seen).check(), Ok(()));
    }

    #[test]
    fn replay_refuses_a_stale_load_and_a_lost_increment() {
        assert!(
            history(&[(A, Event::Store(7)), (A, Event::Load(0))])
                .check()
                .is_err()
        );
        assert!(
            history(&[(A, Event::Increment(0)), (A, Event::Increment(0))])
                .check()
                .is_err()
        );
    }
}
