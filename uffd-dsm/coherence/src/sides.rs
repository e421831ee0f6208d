//! Both sides of a machine, while it serves one input.

use umbel_wire::{Coherence, NodeId, ObjectId};

use crate::cache::{Cache, Refusal};
use crate::directory::Directory;
use crate::effect::Effect;
use crate::flush::Waiter;
use crate::homes::HomeMap;
use crate::requests::Requests;
use crate::turn::{Resume, Turn};

/// The machine without what both sides share.
pub(crate) struct Sides<'a, H> {
    pub(crate) homes: &'a H,
    pub(crate) cache: &'a mut Cache,
    pub(crate) directory: &'a mut Directory,
    pub(crate) requests: &'a mut Requests,
}

impl<H: HomeMap> Sides<'_, H> {
    pub(crate) fn on_message<D: Clone>(
        &mut self,
        from: NodeId,
        home: NodeId,
        message: Coherence<D>,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), Refusal> {
        let object = message.object();
        let is_for_home = match &message {
            Coherence::Get { .. }
            | Coherence::Recalled { .. }
            | Coherence::Invalidated { .. }
            | Coherence::Flush { .. }
            | Coherence::Return { .. }
            | Coherence::Updated { .. }
            | Coherence::Operate { .. }
            | Coherence::Strengthen { .. } => true,
            Coherence::Grant { .. }
            | Coherence::Deny { .. }
            | Coherence::Recall { .. }
            | Coherence::Invalidate { .. }
            | Coherence::Flushed { .. }
            | Coherence::Update { .. }
            | Coherence::Operated { .. }
            | Coherence::Strengthened { .. } => false,
        };
        if is_for_home && home != turn.node {
            return Err("not at home");
        }
        let may_forward = match &message {
            Coherence::Grant { data, .. } => turn.forwards && data.is_some() && home != turn.node,
            _ => false,
        };
        if !is_for_home && home != from && !may_forward {
            return Err("at home elsewhere");
        }
        let (cache, directory) = (&mut *self.cache, &mut *self.directory);
        let comes_early = match is_for_home {
            true => directory.postpones(from, &message, turn)?,
            false => cache.postpones(&message, turn)?,
        };
        if comes_early {
            turn.out.push(Effect::Postpone { from, message });
            return Ok(());
        }
        match message {
            Coherence::Get {
                access, prefetch, ..
            } => directory.on_get(from, object, access, prefetch, turn),
            Coherence::Recalled { data, .. } => directory.on_recalled(from, object, data, turn),
            Coherence::Invalidated { diff, .. } => {
                directory.on_invalidated(from, object, diff, turn)
            }
            Coherence::Flush {
                sequence,
                leave,
                diff,
                ..
            } => directory.on_flush(from, object, sequence, leave, diff, turn),
            Coherence::Return { sequence, data, .. } => {
                directory.on_return(from, object, sequence, data, turn)
            }
            Coherence::Updated { leave, .. } => directory.on_updated(from, object, leave, turn),
            Coherence::Operate {
                token, operation, ..
            } => directory.on_operate(from, object, token, operation, turn),
            Coherence::Strengthen { token, .. } => {
                directory.on_strengthen(from, object, token, turn)
            }
            Coherence::Grant {
                access, mode, data, ..
            } => {
                cache.forwarding.check_grant(home == from, object)?;
                cache.on_grant(home, object, access, mode, data, turn)
            }
            Coherence::Deny { .. } => cache.on_deny(home, object, turn),
            Coherence::Recall {
                keep_read, forward, ..
            } => cache.on_recall(home, object, keep_read, forward, turn),
            Coherence::Invalidate { end_of_life, .. } => {
                cache.on_invalidate(home, object, end_of_life, turn)
            }
            Coherence::Flushed {
                sequence,
                exclusive,
                ..
            } => cache.on_flushed(home, object, sequence, exclusive, turn),
            Coherence::Update { diff, .. } => cache.on_update(home, object, diff, turn),
            Coherence::Operated { token, result, .. } => {
                self.requests.on_operated(object, token, result, turn)
            }
            Coherence::Strengthened { token, .. } => {
                self.requests.on_strengthened(object, token, turn)
            }
        }
    }

    pub(crate) fn on_resumed<D: Clone>(
        &mut self,
        object: ObjectId,
        home: NodeId,
        reason: Resume,
        turn: &mut Turn<'_, D>,
    ) {
        match reason {
            Resume::Clean if home == turn.node => self.directory.on_cleaned(object, turn),
            Resume::Clean => self.cache.on_cleaned(home, object, turn),
            Resume::Invalidate => self.cache.on_revoked(home, object, turn),
            Resume::Leave => self.cache.on_evicted(home, object, turn),
            Resume::GiveBack => self.flush(Waiter::Copy(object), turn),
            Resume::Grant => self.flush(Waiter::Home(object), turn),
            Resume::Again => self.directory.on_again(object, turn),
        }
    }

    /// Sends all that was written here; `waiter` waits for it, and for all that is under way already.
    pub(crate) fn flush<D: Clone>(&mut self, waiter: Waiter, turn: &mut Turn<'_, D>) {
        self.send_written(turn);
        turn.flushes.wait(waiter, None);
    }

    /// Sends all that was written here.
    pub(crate) fn send_written<D: Clone>(&mut self, turn: &mut Turn<'_, D>) {
        let units = turn.flushes.units(turn.memory);
        self.send_written_of(&units, turn);
    }

    /// Sends what was written of these.
    pub(crate) fn send_written_of<D: Clone>(&mut self, units: &[ObjectId], turn: &mut Turn<'_, D>) {
        for object in units.iter().copied() {
            let home = self.homes.home(object);
            if home == turn.node {
                self.directory.flush(object, turn);
            } else {
                self.cache.flush(home, object, turn);
            }
        }
    }

    /// Goes on with what waited for flushes that are done now.
    pub(crate) fn settle<D: Clone>(&mut self, turn: &mut Turn<'_, D>) {
        while let Some(waiter) = turn.flushes.next_done() {
            match waiter {
                Waiter::Caller(token) => turn.out.push(Effect::Flushed { token }),
                Waiter::Copy(object) => {
                    let home = self.homes.home(object);
                    self.cache.on_flush_done(home, object, turn);
                }
                Waiter::Home(object) => self.directory.on_flush_done(object, turn),
                Waiter::Operation(token) => {
                    let homes = self.homes;
                    self.requests
                        .on_flush_done(token, |object| homes.home(object), turn);
                }
            }
        }
    }
}
