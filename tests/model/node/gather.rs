//! A driver that gathers the effects of several messages, as the engine's does (`uffd-dsm/src/engine/turn.rs`): one change
//! of rights costs as much as that of many neighbours.

use umbel_wire::Coherence;

use super::{Node, Value, node_id};
use crate::model::data::Cells;
use crate::subject::{Effect, Violation};

impl<V: Value, const N: usize> Node<V, N> {
    /// A message arrives, and its effects join those that are put off; or they are put off themselves, if they can be.
    pub fn message_to_gather(
        &mut self,
        from: usize,
        message: Coherence<Cells<V, N>>,
    ) -> Result<(), Violation> {
        assert!(
            self.is_free() || self.may_gather(from, &message),
            "the driver carries out what can't wait before the next input"
        );
        let (from, object) = (node_id(from), message.object());
        let can_wait = can_wait(&message);
        let taken =
            self.input_amid(|machine, memory, out| machine.on_message(from, message, memory, out));
        let is_put_off = can_wait && !self.outbox.is_empty() && self.outbox.iter().all(is_quiet);
        self.put_off = is_put_off.then_some((from, object));
        taken
    }

    /// Whether effects are put off that this message's may join.
    pub fn may_gather(&self, from: usize, message: &Coherence<Cells<V, N>>) -> bool {
        let goes_on = |(sender, last)| sender == node_id(from) && message.object() > last;
        can_wait(message) && self.put_off.is_some_and(goes_on)
    }

    /// Whether more effects may come before those that are there are carried out.
    pub fn is_put_off(&self) -> bool {
        self.put_off.is_some()
    }
}

/// Whether the engine puts the effects of such a message off (`engine/turn.rs`).
fn can_wait<D>(message: &Coherence<D>) -> bool {
    matches!(
        message,
        Coherence::Get { .. }
            | Coherence::Grant { .. }
            | Coherence::Recall { .. }
            | Coherence::Invalidate { .. }
    )
}

/// Whether such an effect doesn't end that.
fn is_quiet<D>(effect: &Effect<D>) -> bool {
    matches!(
        effect,
        Effect::SetAccess { .. }
            | Effect::Send { .. }
            | Effect::Store { .. }
            | Effect::Twin { .. }
            | Effect::DropTwin { .. }
            | Effect::Resume { .. }
    )
}
