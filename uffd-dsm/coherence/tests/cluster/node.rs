//! One node: a machine and the memory of its threads.

use std::collections::{BTreeMap, VecDeque};

use umbel_coherence::{Effect, Homes, Machine, Memory, Policy};
use umbel_wire::{Access, Coherence, NodeId, ObjectId, Operation, Token};

use crate::{TRACKED, WORDS};

/// (word, value) of what changed, or of all words.
pub type Data = Vec<(usize, u64)>;

#[derive(Clone, Default)]
pub struct Page {
    pub bytes: [u64; WORDS],
    pub twin: Option<[u64; WORDS]>,
    pub view: Option<Access>,
    pub waits: Option<Access>,
}

pub struct Pages {
    pub pages: BTreeMap<ObjectId, Page>,
    pub policies: BTreeMap<ObjectId, Policy>,
}

impl Memory<Data> for Pages {
    fn policy(&self, object: ObjectId) -> Policy {
        self.policies[&object]
    }

    fn exists(&self, _: ObjectId) -> bool {
        true
    }

    fn tracks_writes(&self, object: ObjectId) -> bool {
        object == TRACKED
    }

    fn take_diff(&mut self, object: ObjectId) -> Option<Data> {
        let page = self.pages.get_mut(&object).expect("known");
        let twin = page.twin.as_mut().expect("a unit has a twin");
        let changed = (0..WORDS).filter(|word| page.bytes[*word] != twin[*word]);
        let diff: Data = changed.map(|word| (word, page.bytes[word])).collect();
        *twin = page.bytes;
        (!diff.is_empty()).then_some(diff)
    }

    fn differs(&self, object: ObjectId, data: &Data) -> bool {
        let page = &self.pages[&object];
        data.iter().any(|(word, value)| page.bytes[*word] != *value)
    }
}

pub struct Node {
    pub machine: Machine<Homes>,
    pub memory: Pages,
    pub outbox: VecDeque<Effect<Data>>,
    pub resumes: VecDeque<ObjectId>,
    pub operations: VecDeque<(ObjectId, NodeId, Token, Operation)>,
    /// Who sent the last message, while none of its effects are carried out.
    pub gathers_from: Option<usize>,
    pub early: Vec<(NodeId, Coherence<Data>)>,
    pub taken_up: VecDeque<(NodeId, Coherence<Data>)>,
    pub holds: Vec<ObjectId>,
    pub pins: Vec<(ObjectId, Access)>,
    pub written: BTreeMap<(ObjectId, usize), u64>,
    pub flushes: BTreeMap<Token, BTreeMap<(ObjectId, usize), u64>>,
    /// The words that operations under way are about.
    pub operated: BTreeMap<Token, usize>,
    pub tokens: u64,
    pub waiting: u64,
}

impl Node {
    /// Whether something is to be done before the next input.
    pub fn is_busy(&self) -> bool {
        !self.outbox.is_empty()
            || !self.resumes.is_empty()
            || !self.operations.is_empty()
            || !self.taken_up.is_empty()
    }

    /// Whether all that is to be done may wait for more of its kind.
    pub fn waits_for_more(&self) -> bool {
        let is_quiet = self.outbox.iter().all(|effect| {
            matches!(
                effect,
                Effect::SetAccess { .. }
                    | Effect::Send { .. }
                    | Effect::Store { .. }
                    | Effect::Twin { .. }
                    | Effect::DropTwin { .. }
                    | Effect::Resume { .. }
            )
        });
        let is_begun =
            !self.resumes.is_empty() || !self.operations.is_empty() || !self.taken_up.is_empty();
        is_quiet && !is_begun
    }
}
