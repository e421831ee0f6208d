//! What leaves the node and carries happens-before: it waits until everything that this node's threads wrote is
//! visible everywhere.
//!
//! ```text
//! unlock, post, ... of another home ─┐
//! an answer that lets a thread go on ├─► clean? ── yes ──► link
//! Spawn, Ended, Joined               ┘     └─ no ─► gathered ── end of turn: one flush ──► Flushed ──► link
//! ```
//!
//! Eager release consistency: the releasing side makes its writes visible, so an acquire costs nothing, and a
//! release that stays on the node costs nothing either. Departures keep their order among themselves. Nothing
//! here wakes the loop: a flush ends with the arrival of a message.

use std::collections::VecDeque;

use umbel_wire::{Message, NodeId, Token};

use super::Service;
use crate::error::Error;
use crate::request::Reply;
use crate::sys::process::now_ns;

/// One thing that waits.
pub(super) enum Departure {
    /// To a peer.
    Message(NodeId, Message),
    /// A thread of this node asked for a flush and nothing else.
    Answer(Reply),
}

/// Departures that wait, oldest first.
#[derive(Default)]
pub(super) struct Departures {
    /// Those of this turn of the loop: they share a flush.
    gathered: Vec<Departure>,
    flushing: VecDeque<Flushing>,
}

struct Flushing {
    token: Token,
    done: bool,
    departures: Vec<Departure>,
}

impl Departures {
    fn is_empty(&self) -> bool {
        self.gathered.is_empty() && self.flushing.is_empty()
    }
}

impl Service {
    /// Sends a message that carries happens-before, now or after a flush.
    pub(super) fn depart(&mut self, to: NodeId, message: Message) {
        if self.may_depart() {
            self.links.send_message(to, &message);
        } else {
            let departure = Departure::Message(to, message);
            self.departures.gathered.push(departure);
        }
    }

    /// Answers when everything written on this node before is visible everywhere.
    pub(super) fn answer_flushed(&mut self, reply: Reply) {
        if self.may_depart() {
            reply.send(0);
        } else {
            self.departures.gathered.push(Departure::Answer(reply));
        }
    }

    /// Begins the flush of what this turn has gathered.
    pub(super) fn flush_departures(&mut self) -> Result<(), Error> {
        // An event of a flush that is done at once may bring about another departure.
        while !self.departures.gathered.is_empty() {
            let departures = std::mem::take(&mut self.departures.gathered);
            self.next_token += 1;
            let token = Token(self.next_token);
            self.departures.flushing.push_back(Flushing {
                token,
                done: false,
                departures,
            });
            self.with_engine(|engine, links| engine.flush(token, now_ns(), links))?;
            self.on_engine_events()?;
        }
        Ok(())
    }

    pub(super) fn on_flushed(&mut self, token: Token) {
        let flushing = &mut self.departures.flushing;
        if let Some(flush) = flushing.iter_mut().find(|flush| flush.token == token) {
            flush.done = true;
        }
        while self
            .departures
            .flushing
            .front()
            .is_some_and(|flush| flush.done)
        {
            let Some(flush) = self.departures.flushing.pop_front() else {
                break;
            };
            for departure in flush.departures {
                match departure {
                    Departure::Message(to, message) => self.links.send_message(to, &message),
                    Departure::Answer(reply) => reply.send(0),
                }
            }
        }
    }

    fn may_depart(&self) -> bool {
        let clean = self.engine.as_ref().is_none_or(uffd_dsm::Engine::is_clean);
        clean && self.departures.is_empty()
    }
}
