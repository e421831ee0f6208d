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
//! answer could only be 0 (`held.rs`), and is not sent. It is a *debt* of that home until it is known to be done,
//! and departures to others wait for it. A home does what comes on a link in order, so each answer from it ends the debts
//! before it; if something waits and no answer is due, or debts become many, a *fence* asks for one. If it fails after all,
//! for the program took the object away or posted 2^31 times, that is told on standard error.
//!
//! What such threads tell is *put off* while the node that it goes to owes answers to the flush before, a thread here
//! runs, which may have more to tell, and nobody waits for it: several rows of a pipeline share one comparison, one write
//! and one wake-up. That node has the news before to work on meanwhile. It answers them at once, so this takes no longer
//! than a round trip, and the answer wakes the loop.

use std::collections::BTreeMap;

use umbel_wire::sync::{Sync, SyncKey, SyncOp};
use umbel_wire::{Message, NodeId, Token};

use super::Service;
use crate::error::Error;
use crate::held::{UNANSWERED, UNANSWERED_MAX};
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
    /// The last fence of each node that has not answered it, and the newest debt that was sent before it.
    fences: BTreeMap<NodeId, (Token, Token)>,
}

/// A request whose thread has gone on.
struct Debt {
    /// As the machine calls it.
    number: Option<u64>,
    to: NodeId,
    key: SyncKey,
    op: SyncOp,
    /// Else it waits to depart.
    is_sent: bool,
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
            self.leave(to, &message);
        } else {
            self.departures
                .gather(Some(to), Departure::Message(message));
        }
    }

    fn leave(&mut self, to: NodeId, message: &Message) {
        if let Message::Sync(Sync::Tell { token, .. }) = message
            && let Some(debt) = self.departures.debts.get_mut(token)
        {
            debt.is_sent = true;
        }
        self.links.send_message(to, message);
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

    /// Begins a flush that nothing waits for yet, if every thread of this node waits: what departs later finds its news on
    /// their way. While a thread runs it may write more of the same, and an object is flushed once at a time.
    pub(super) fn flush_ahead(&mut self) {
        if self.running_threads() == 0 && !self.may_depart() && self.departures.is_empty() {
            self.departures.gathered.entry(None).or_default();
        }
    }

    /// Begins the flush of what this turn has gathered, unless it is put off.
    pub(super) fn flush_departures(&mut self) -> Result<(), Error> {
        if self.may_put_off() {
            return Ok(());
        }
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
        self.send_fences();
        Ok(())
    }

    pub(super) fn on_flushed(&mut self, token: Token) {
        let Some((to, departures)) = self.departures.flushing.remove(&token) else {
            return;
        };
        for departure in departures {
            match (departure, to) {
                (Departure::Message(message), Some(to)) => self.leave(to, &message),
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
            is_sent: false,
        };
        self.departures.debts.insert(token, debt);
        token
    }

    /// An answer of `from` has come: what was asked of it before is done.
    pub(super) fn end_debts(
        &mut self,
        from: NodeId,
        token: Token,
        result: i32,
    ) -> Result<(), Error> {
        let newest = match self.departures.fences.get(&from) {
            Some((fence, newest)) if *fence == token => *newest,
            // A request: it went behind every debt with a smaller token.
            Some(_) | None => token,
        };
        if newest != token {
            self.departures.fences.remove(&from);
        }
        let earlier = self.departures.debts.range(..=newest);
        let ended: Vec<Token> = earlier
            .filter(|(_, debt)| debt.to == from)
            .map(|(token, _)| *token)
            .collect();
        for ended in ended {
            let Some(Debt {
                number,
                to,
                key,
                op,
                ..
            }) = self.departures.debts.remove(&ended)
            else {
                continue;
            };
            UNANSWERED.end();
            if ended == token && result < 0 {
                let error = std::io::Error::from_raw_os_error(-result);
                let rank = self.rank.0;
                eprintln!(
                    "umbel: node {rank}: {op:?} of object {:#x} of node {} failed after its thread went on: {error}",
                    key.0, to.0
                );
            }
            if let Some(number) = number {
                self.with_engine(|engine, links| engine.end_debt(number, now_ns(), links))?;
            }
        }
        Ok(())
    }

    /// Asks for the answers that something waits for.
    fn send_fences(&mut self) {
        let mut debtors = match &self.engine {
            Some(engine) if !self.departures.debts.is_empty() => engine.awaited_debtors(),
            Some(_) | None => return,
        };
        // In good time: at the limit a thread would have to wait.
        if self.departures.debts.len() >= DEBTS_MANY
            && let Some((_, oldest)) = self.departures.debts.first_key_value()
            && oldest.is_sent
            && !self.departures.fences.contains_key(&oldest.to)
        {
            debtors.push(oldest.to);
        }
        for to in debtors {
            let mut debts = self.departures.debts.iter();
            let newest = debts.rfind(|(_, debt)| debt.to == to && debt.is_sent);
            let Some(newest) = newest.map(|(token, _)| *token) else {
                continue;
            };
            let asked = self.departures.fences.get(&to);
            if asked.is_none_or(|(_, asked)| *asked < newest) {
                self.next_token += 1;
                let token = Token(self.next_token);
                self.departures.fences.insert(to, (token, newest));
                // At once: what waits to depart may wait for its answer.
                let fence = Message::Sync(Sync::Fence { token });
                self.links.send_message(to, &fence);
            }
        }
    }

    /// Whether what was gathered may wait for the answers to the last flush: a flush has much to look at, only threads that have gone on asked for it,
    /// those it is for have not yet said that they took the news before it, and a thread here runs, and may have more.
    pub(super) fn may_put_off(&self) -> bool {
        let Some(engine) = &self.engine else {
            return false;
        };
        let is_told = |departure: &Departure| {
            matches!(
                departure,
                Departure::Message(Message::Sync(Sync::Tell { .. }))
            )
        };
        let may_wait = |(to, departures): (&Option<NodeId>, &Vec<Departure>)| {
            departures.len() < PUT_OFF_MAX
                && to.is_some_and(|to| engine.is_owed_by(to))
                && departures.iter().all(is_told)
        };
        !self.departures.gathered.is_empty()
            && engine.unit_count() >= PUT_OFF_UNITS
            && self.departures.gathered.iter().all(may_wait)
            && self.running_threads() > 0
            && engine.awaited_debtors().is_empty()
            && engine.next_deadline_ns().is_none()
    }

    fn may_depart(&self) -> bool {
        let clean = self.engine.as_ref().is_none_or(uffd_dsm::Engine::is_clean);
        clean && self.departures.is_empty()
    }
}

/// With fewer objects that are written, a flush costs less than the wake-up by the answers that it would wait for.
const PUT_OFF_UNITS: usize = 8;

/// What is put off for one node. More at once saves nothing here, and keeps that node waiting while this one compares.
const PUT_OFF_MAX: usize = 8;

/// Debts of which some are asked for although nothing waits for them.
const DEBTS_MANY: usize = UNANSWERED_MAX / 4;
