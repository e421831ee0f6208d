//! Which protocol an object gets when the source does not say.

use umbel_wire::{NodeId, ObjectId};

use crate::entry::{Entry, Request, count};
use crate::memory::{Memory, Policy};

/// What speaks for another protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Scores {
    pub(crate) is_auto: bool,
    pub(crate) operations: bool,
}

impl Scores {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            is_auto: policy.protocol.is_none(),
            operations: policy.operations,
        }
    }
}

impl Entry {
    pub(crate) fn note_request(&mut self, _request: &Request, _home: NodeId) {}
    pub(crate) fn note_recalled<D>(
        &mut self,
        _object: ObjectId,
        _owner: NodeId,
        _data: &D,
        _memory: &dyn Memory<D>,
    ) {
    }
    pub(crate) fn note_home_write(&mut self) {}
    pub(crate) fn note_flush(&mut self, _from: NodeId, _leave: bool) {
        count(&mut self.counters.flushes);
    }
}
