//! What this node's threads asked other homes to do: operations and strengthening.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use umbel_wire::{NodeId, ObjectId, Operation, Token};

use crate::cache::Refusal;
use crate::effect::{Effect, Outgoing};
use crate::flush::Waiter;
use crate::turn::Turn;

const NOT_ASKED: Refusal = "not asked for under that token";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Asked {
    object: ObjectId,
    /// `None`: sent.
    unsent: Option<Operation>,
}

/// Requests that were not answered, by their tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Requests {
    operations: BTreeMap<Token, Asked>,
    strengthens: BTreeMap<Token, ObjectId>,
}

impl Requests {
    /// The operation is sent when a flush that begins now is done: see [`Requests::on_flush_done`].
    pub(crate) fn operate(&mut self, object: ObjectId, token: Token, operation: Operation) {
        let asked = Asked {
            object,
            unsent: Some(operation),
        };
        let earlier = self.operations.insert(token, asked);
        assert!(earlier.is_none(), "operation token {} is in use", token.0);
    }

    pub(crate) fn on_flush_done<D>(
        &mut self,
        token: Token,
        home: impl Fn(ObjectId) -> NodeId,
        turn: &mut Turn<'_, D>,
    ) {
        let Some(asked) = self.operations.get_mut(&token) else {
            return;
        };
        let object = asked.object;
        if let Some(operation) = asked.unsent.take() {
            let message = Outgoing::Operate {
                object,
                token,
                operation,
            };
            turn.send(home(object), message);
        }
    }

    pub(crate) fn on_operated<D>(
        &mut self,
        object: ObjectId,
        token: Token,
        result: u64,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), Refusal> {
        let sent = Asked {
            object,
            unsent: None,
        };
        if self.operations.get(&token) != Some(&sent) {
            return Err(NOT_ASKED);
        }
        self.operations.remove(&token);
        turn.out.push(Effect::Operated { token, result });
        Ok(())
    }

    pub(crate) fn strengthen<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        token: Token,
        turn: &mut Turn<'_, D>,
    ) {
        let earlier = self.strengthens.insert(token, object);
        assert!(earlier.is_none(), "strengthen token {} is in use", token.0);
        turn.send(home, Outgoing::Strengthen { object, token });
    }

    pub(crate) fn on_strengthened<D>(
        &mut self,
        object: ObjectId,
        token: Token,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), Refusal> {
        if self.strengthens.get(&token) != Some(&object) {
            return Err(NOT_ASKED);
        }
        self.strengthens.remove(&token);
        turn.out.push(Effect::Strengthened { token });
        Ok(())
    }

    /// Nobody will answer: who wants an object sequential may go on, who wants a result can't.
    pub(crate) fn on_home_lost<D>(
        &mut self,
        is_lost: impl Fn(ObjectId) -> bool,
        lost: &mut Vec<ObjectId>,
        turn: &mut Turn<'_, D>,
    ) {
        self.operations.retain(|token, asked| {
            let is_gone = is_lost(asked.object);
            if is_gone {
                turn.flushes.cancel(Waiter::Operation(*token));
                lost.push(asked.object);
            }
            !is_gone
        });
        self.strengthens.retain(|token, object| {
            let is_gone = is_lost(*object);
            if is_gone {
                turn.out.push(Effect::Strengthened { token: *token });
            }
            !is_gone
        });
    }
}
