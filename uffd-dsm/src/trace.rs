//! What the engine tells of faults as they happen, for timelines.

use umbel_wire::ObjectId;

/// Something that happened to a thread of this node. Messages are recorded where they leave and arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traced {
    /// A thread began to wait for an object.
    FaultBegan {
        /// When, as the caller's clock says.
        at_ns: u64,
        /// The thread, as the kernel numbers it.
        thread: u32,
        /// The object.
        object: ObjectId,
        /// Whether it was a store.
        write: bool,
    },
    /// The threads that wait for this object go on.
    FaultEnded {
        /// When, just before they are woken.
        at_ns: u64,
        /// The object.
        object: ObjectId,
    },
}

/// A bounded list of what happened; nothing while it is off.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    is_on: bool,
    records: Vec<Traced>,
    lost: u64,
}

impl Trace {
    pub(crate) fn switch(&mut self, is_on: bool) {
        self.is_on = is_on;
    }

    #[inline]
    pub(crate) fn add(&mut self, traced: Traced) {
        if self.is_on {
            self.keep(traced);
        }
    }

    pub(crate) fn take(&mut self) -> Vec<Traced> {
        std::mem::take(&mut self.records)
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    #[cold]
    fn keep(&mut self, traced: Traced) {
        if self.records.len() < RECORDS_MAX {
            self.records.push(traced);
        } else {
            self.lost += 1;
        }
    }
}

/// Between two calls of `take`, that is in one turn of the owner's loop: each thread faults once or twice.
const RECORDS_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted_and_nothing_is_kept_while_it_is_off() {
        let ended = Traced::FaultEnded {
            at_ns: 1,
            object: ObjectId(2),
        };
        let mut trace = Trace::default();
        trace.add(ended);
        assert_eq!(trace.take(), []);
        trace.switch(true);
        for _ in 0..RECORDS_MAX + 3 {
            trace.add(ended);
        }
        assert_eq!((trace.take().len(), trace.lost()), (RECORDS_MAX, 3));
    }
}
