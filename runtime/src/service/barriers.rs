//! Barriers of other nodes, at which this one's threads wait here: they meet along a tree of nodes.

use umbel_coherence::SyncEffect;
use umbel_wire::sync::{Sync, SyncKey, SyncOp};
use umbel_wire::{Message, NodeId, ThreadId, Token};

use super::Service;
use crate::error::Error;

impl Service {
    /// A thread of this node comes to a barrier of `home`.
    pub(super) fn meet(
        &mut self,
        token: Token,
        thread: ThreadId,
        key: SyncKey,
        home: NodeId,
    ) -> Result<(), Error> {
        let mut effects = Vec::new();
        if !self.branches.wait(token, thread, key, &mut effects) {
            let request = Sync::Request {
                token,
                thread,
                key,
                op: SyncOp::BarrierWait,
            };
            self.depart(home, Message::Sync(request));
            return Ok(());
        }
        if effects.is_empty() {
            self.flush_ahead();
        }
        self.carry_out_meeting(effects)
    }

    /// A message about a tree has come.
    pub(super) fn on_meeting(&mut self, from: NodeId, message: Sync) -> Result<(), Error> {
        self.take_what_came_before()?;
        match message {
            Sync::Arrived { key, home, plan } if home == self.rank => {
                self.node.sync.on_arrived(from, key, plan);
                self.send_sync();
                Ok(())
            }
            Sync::Withdrawn { key, plan } => {
                self.node.sync.on_withdrawn(from, key, plan);
                self.send_sync();
                Ok(())
            }
            message => {
                let mut effects = Vec::new();
                self.branches.on_message(from, message, &mut effects);
                self.carry_out_meeting(effects)
            }
        }
    }

    fn carry_out_meeting(&mut self, effects: Vec<SyncEffect>) -> Result<(), Error> {
        for effect in effects {
            match effect {
                SyncEffect::Reply { token, result, .. } => self.answer(token, i64::from(result))?,
                SyncEffect::Send { to, message } => self.depart(to, Message::Sync(message)),
            }
        }
        Ok(())
    }
}
