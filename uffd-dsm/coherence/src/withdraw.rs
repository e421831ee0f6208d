//! What needs the home to be alone: operations of other nodes, and strengthening.
//!
//! *Remote.* Under the protocol `remote` the atomic operations of other nodes come as messages. `Operate` waits
//! in the queue like a write request of the home itself, until every copy is withdrawn; then the driver runs it on the
//! home's bytes ([`crate::Effect::Operate`], [`crate::Machine::on_operated`]). Its result goes after a flush of this
//! node, if its threads could have stored to a sequential object: the asker sees what they wrote before. The asker
//! flushes before it sends `Operate`, in the same way. `Get` is granted as under `invalidate`.
//!
//! *Strengthen.* A weak object becomes sequential for the rest of its life: every copy is withdrawn, with its diff;
//! then the mode changes, and the next grants carry it. No weak copy is left that could be written beside a twin.
//!
//! | state | Operate | Strengthen of a weak object |
//! |---|---|---|
//! | Unshared | makes the entry (Home), goes on there | the same |
//! | Home | run it, to Operating | change the mode, Strengthened |
//! | Shared{c} | Invalidate c, Withdrawing, then as Home | the same |
//! | Owned(o) | Recall, Recalling, then as Home | the same |
//! | all others | queues | queues |
//!
//! Strengthened is the answer to a sequential object's at once. More than
//! [`crate::limits::OPERATIONS_PER_NODE_MAX`] waiting requests of a node, or two with one token, are V.

use alloc::boxed::Box;

use umbel_wire::{Access, Consistency, NodeId, ObjectId, Operation, Token};

use crate::cache::Refusal;
use crate::directory::{Directory, invalidate_copies, recall_all};
use crate::effect::{Effect, Outgoing};
use crate::entry::{Awaited, Entry, Holding, Request, Want};
use crate::limits::OPERATIONS_PER_NODE_MAX;
use crate::memory::allowed;
use crate::record::Counted;
use crate::turn::Turn;

const TOO_MANY: Refusal = "waited for too often by that node";

impl Directory {
    pub(crate) fn on_operate<D: Clone>(
        &mut self,
        from: NodeId,
        object: ObjectId,
        token: Token,
        operation: Operation,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), Refusal> {
        let want = Want::Operate(Box::new((token, operation)));
        self.check_and_ask(from, object, token, want, turn)
    }

    pub(crate) fn on_strengthen<D: Clone>(
        &mut self,
        from: NodeId,
        object: ObjectId,
        token: Token,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), Refusal> {
        let is_sequential = match self.entries.get(&object) {
            Some(entry) => !entry.is_weak(),
            // It needs no entry to be remembered.
            None => turn.memory.policy(object).consistency == Consistency::Sequential,
        };
        if is_sequential {
            strengthened(object, from, token, turn);
            return Ok(());
        }
        self.check_and_ask(from, object, token, Want::Strengthen(token), turn)
    }

    fn check_and_ask<D: Clone>(
        &mut self,
        from: NodeId,
        object: ObjectId,
        token: Token,
        want: Want,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), Refusal> {
        if let Some(entry) = self.entries.get(&object) {
            let mut waiting = 0;
            for request in entry.requests().filter(|request| request.node == from) {
                match (&request.want, &want) {
                    (Want::Operate(earlier), Want::Operate(_)) if earlier.0 == token => {
                        return Err(TOO_MANY);
                    }
                    (Want::Strengthen(earlier), Want::Strengthen(_)) if *earlier == token => {
                        return Err(TOO_MANY);
                    }
                    (Want::Access(_), _) => {}
                    (Want::Operate(_) | Want::Strengthen(_), _) => waiting += 1,
                }
            }
            if waiting >= OPERATIONS_PER_NODE_MAX {
                return Err(TOO_MANY);
            }
        }
        self.ask(object, Request { node: from, want }, turn);
        Ok(())
    }

    /// Serves a request that needs the home to be alone.
    pub(crate) fn start_alone<D: Clone>(
        &mut self,
        object: ObjectId,
        request: Request,
        turn: &mut Turn<'_, D>,
    ) {
        let entry = self
            .entries
            .get_mut(&object)
            .expect("the request is for this entry");
        match entry.holding {
            Holding::Home => serve_alone(entry, object, request, turn),
            Holding::Shared => {
                entry.end_read_only();
                entry.begin(Awaited::Withdrawn, Some(request));
                invalidate_copies(entry, object, None, false, turn);
            }
            Holding::Owned(owner) => recall_all(entry, object, owner, request, turn),
        }
    }

    /// The driver ran an operation. True if its result has to wait for a flush.
    pub(crate) fn on_operated<D: Clone>(
        &mut self,
        object: ObjectId,
        from: NodeId,
        token: Token,
        result: u64,
        turn: &mut Turn<'_, D>,
    ) -> bool {
        let entry = self
            .entries
            .get_mut(&object)
            .expect("work is in progress on this entry");
        assert_eq!(entry.awaited(), Some(Awaited::Operated), "no operation ran");
        entry.record.count(Counted::Operation);
        let work = entry.update_pending(|pending| pending.work.take());
        let Some(request) = work.and_then(|work| work.request) else {
            // Who asked is lost.
            self.advance(object, turn);
            return false;
        };
        let is_his = match &request.want {
            Want::Operate(asked) => request.node == from && asked.0 == token,
            Want::Access(_) | Want::Strengthen(_) => false,
        };
        assert!(is_his, "another operation was to be run");
        if entry.view == Some(Access::Write) && !entry.is_weak() && !turn.flushes.is_clean() {
            entry.begin(Awaited::Reply { result }, Some(request));
            return true;
        }
        self.reply(object, &request, result, turn);
        self.advance(object, turn);
        false
    }

    pub(crate) fn reply<D>(
        &mut self,
        object: ObjectId,
        request: &Request,
        result: u64,
        turn: &mut Turn<'_, D>,
    ) {
        let (Some(entry), Want::Operate(asked)) = (self.entries.get(&object), &request.want) else {
            unreachable!("only an operation has a result")
        };
        let message = Outgoing::Operated {
            object,
            token: asked.0,
            result,
            mode: entry.mode,
        };
        turn.send(request.node, message);
    }
}

fn serve_alone<D>(entry: &mut Entry, object: ObjectId, request: Request, turn: &mut Turn<'_, D>) {
    match &request.want {
        Want::Operate(asked) => {
            let (token, operation) = **asked;
            turn.out.push(Effect::Operate {
                object,
                from: request.node,
                token,
                operation,
            });
            entry.begin(Awaited::Operated, Some(request));
        }
        Want::Strengthen(token) => {
            entry.mode.consistency = Consistency::Sequential;
            entry.mode.protocol = allowed(entry.mode.consistency, entry.mode.protocol);
            strengthened(object, request.node, *token, turn);
        }
        Want::Access(_) => unreachable!("access needs nobody to be alone"),
    }
}

fn strengthened<D>(object: ObjectId, node: NodeId, token: Token, turn: &mut Turn<'_, D>) {
    if node == turn.node {
        turn.out.push(Effect::Strengthened { token });
    } else {
        turn.send(node, Outgoing::Strengthened { object, token });
    }
}
