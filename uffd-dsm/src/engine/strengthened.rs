//! Foreign objects that this node's threads have made sequential, and the next lives of their places.
//!
//! The owner of an engine remembers what was strengthened, so as not to ask again; but the end of a life is told
//! only to nodes with a copy. So a fault where there is no copy asks for strengthening first: the link keeps the
//! order, the home answers both in one turn, and where the object is sequential already it does nothing. A copy
//! that is there was fetched in that way.

use std::collections::BTreeSet;

use umbel_coherence::CopyState;
use umbel_wire::{ObjectId, Token};

use super::Engine;

/// What the engine itself asks for; its owner's tokens are smaller, and answers to these are nobody's.
const OWN_TOKENS: u64 = 1 << 62;

/// The objects: as many as threads have used through pointers to volatile or atomic types, on other nodes' stacks
/// that are in use or were.
#[derive(Default)]
pub(super) struct Strengthened {
    objects: BTreeSet<ObjectId>,
    asked: u64,
}

impl Strengthened {
    pub(super) fn insert(&mut self, object: ObjectId) {
        self.objects.insert(object);
    }

    /// For a request of the engine itself.
    pub(super) fn next_token(&mut self) -> Token {
        self.asked += 1;
        Token(OWN_TOKENS | self.asked)
    }

    pub(super) fn contains(&self, object: ObjectId) -> bool {
        self.objects.contains(&object)
    }
}

impl Engine {
    /// Before a fault's own request.
    pub(super) fn strengthen_again(&mut self, object: ObjectId) {
        if !self.strengthened.contains(object)
            || self.machine.copy_state(object) != CopyState::Invalid
        {
            return;
        }
        let token = self.strengthened.next_token();
        self.machine
            .strengthen(object, token, &mut self.memory, &mut self.effects);
    }
}
