//! What leaves the node and carries happens-before: it waits until everything that this node's threads wrote is
//! visible to whoever may hear of it.
//!
//! ```text
//! unlock, post, ... of another home ─┐
//! an answer that lets a thread go on ├─► clean? ── yes ──► link
//! Spawn, Ended, Joined               ┘     └─ no ─► gathered ── end of turn: one flush ──► Flushed ──► link
//! ```
//!
//! Eager release consistency: the releasing side makes its writes visible, so an acquire costs nothing, and a
//! release that stays on the node costs nothing either.
//!
//! A departure to node X leaves right behind what X is sent, without X's answer: the machine's `flush` module says
//! why that is enough, and answers as soon as it is. X keeps its half: `Service::on_message` has the engine carry out
//! what came before, then passes the news on. Departures to one node keep their order, those to different nodes
//! don't. Nothing here wakes the loop: a flush ends with the arrival of a message.
//!
//! A thread that unlocks its mutex of another home, or posts a semaphore that is known there, goes on at once: the
//! answer can only be 0 (`capi/sync.rs`). It is a *debt* until it comes, and departures to others wait for it. If it is
//! an error after all, for the program took the object away or posted 2^31 times, that is told on standard error.

use std::collections::BTreeMap;

use umbel_wire::sync::{SyncKey, SyncOp};
use umbel_wire::{Message, NodeId, Token};

use super::Service;
use crate::error::Error;
use crate::held::UNANSWERED;
use crate::request::Reply;
use crate::sys::process::now_ns;

/// One thing that waits.
enum Departure {
    /// To the peer that the flush is for.
    Message(Message),
    /// A thread of this node asked for a flush and nothing else.
    Answer(Reply),
}

/// Departures that wait, by the one node they are news for.
#[derive(Default)]
pub(super) struct Departures {
    /// Those of this turn of the loop: they share a flush. Oldest first.
    gathered: BTreeMap<Option<NodeId>, Vec<Departure>>,
    /// By the flush they wait for. Those for one node end in the order in which they began.
    flushing: BTreeMap<Token, (Option<NodeId>, Vec<Departure>)>,
    /// Requests whose threads have gone on, by their tokens.
    debts: BTreeMap<Token, Debt>,
}

/// A request whose thread has gone on.
struct Debt {
    /// As the machine calls it.
    number: Option<u64>,
    to: NodeId,
    key: SyncKey,
    op: SyncOp,
}

impl Departures {
    fn is_empty(&self) -> bool {
        self.gathered.is_empty() && self.flushing.is_empty()
    }

    fn has_any_for(&self, to: NodeId) -> bool {
        let mut waiting = self.flushing.values();
        self.gathered.contains_key(&Some(to)) || waiting.any(|(other, _)| *other == Some(to))
    }

    fn gather(&mut self, to: Option<NodeId>, departure: Departure) {
        self.gathered.entry(to).or_default().push(departure);
    }
}

impl Service {
    /// Sends a message that carries happens-before, now or after a flush.
    pub(super) fn depart(&mut self, to: NodeId, message: Message) {
        if self.may_depart() {
            self.links.send_message(to, &message);
        } else {
            self.departures
                .gather(Some(to), Departure::Message(message));
        }
    }

    /// Sends a message that carries none, but must not overtake what the same thread asked for before.
    pub(super) fn send_behind(&mut self, to: NodeId, message: Message) {
        if self.departures.has_any_for(to) {
            self.departures
                .gather(Some(to), Departure::Message(message));
        } else {
            self.links.send_message(to, &message);
        }
    }

    /// Answers when everything written on this node before is visible everywhere.
    pub(super) fn answer_flushed(&mut self, reply: Reply) {
        if self.may_depart() {
            reply.send(0);
        } else {
            self.departures.gather(None, Departure::Answer(reply));
        }
    }

    /// Begins the flush of what this turn has gathered.
    pub(super) fn flush_departures(&mut self) -> Result<(), Error> {
        // An event of a flush that is done at once may bring about another departure.
        while !self.departures.gathered.is_empty() {
            let gathered = std::mem::take(&mut self.departures.gathered);
            let mut asked = Vec::with_capacity(gathered.len());
            for (to, departures) in gathered {
                self.next_token += 1;
                let token = Token(self.next_token);
                self.departures.flushing.insert(token, (to, departures));
                asked.push((token, to));
            }
            self.with_engine(|engine, links| engine.flush(&asked, now_ns(), links))?;
            self.on_engine_events()?;
        }
        Ok(())
    }

    pub(super) fn on_flushed(&mut self, token: Token) {
        let Some((to, departures)) = self.departures.flushing.remove(&token) else {
            return;
        };
        for departure in departures {
            match (departure, to) {
                (Departure::Message(message), Some(to)) => self.links.send_message(to, &message),
                (Departure::Message(_), None) => unreachable!("a message goes to somebody"),
                (Departure::Answer(reply), _) => reply.send(0),
            }
        }
    }

    /// A token for an answer that no thread waits for.
    pub(super) fn begin_debt(&mut self, to: NodeId, key: SyncKey, op: SyncOp) -> Token {
        self.next_token += 1;
        let token = Token(self.next_token);
        let number = self.engine.as_mut().map(|engine| engine.begin_debt(to));
        let debt = Debt {
            number,
            to,
            key,
            op,
        };
        self.departures.debts.insert(token, debt);
        token
    }

    /// An answer has come; false if a thread waits for it.
    pub(super) fn end_debt(&mut self, token: Token, result: i32) -> Result<bool, Error> {
        let Some(debt) = self.departures.debts.remove(&token) else {
            return Ok(false);
        };
        UNANSWERED.end();
        if result < 0 {
            let Debt { to, key, op, .. } = debt;
            let error = std::io::Error::from_raw_os_error(-result);
            eprintln!(
                "umbel: node {}: {op:?} of object {:#x} of node {} failed after its thread went on: {error}",
                self.rank.0, key.0, to.0
            );
        }
        if let Some(number) = debt.number {
            self.with_engine(|engine, links| engine.end_debt(number, now_ns(), links))?;
        }
        Ok(true)
    }

    fn may_depart(&self) -> bool {
        let clean = self.engine.as_ref().is_none_or(uffd_dsm::Engine::is_clean);
        clean && self.departures.is_empty()
    }
}
