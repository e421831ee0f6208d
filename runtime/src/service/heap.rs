//! Freed heap objects, and other nodes' questions about those of this one.

use uffd_dsm::heap::{Freer, Run, Urgency};
use umbel_wire::heap::Heap;
use umbel_wire::{Message, NodeId, ObjectId, Token};

use super::{Service, Waiting};
use crate::atomics::SEQUENTIAL;
use crate::capi_keys::key_in_window;
use crate::error::Error;
use crate::heap::{self, Description};
use crate::request::{HeapReply, Reply};
use crate::sys::process::now_ns;

impl Service {
    /// Objects were freed: seen to at once if there are many, else together with those of the next moment.
    pub(super) fn on_heap_freed(&mut self, urgency: Urgency) {
        let deadline_ns = match urgency {
            Urgency::Known => return,
            Urgency::Soon => now_ns() + FREED_WAIT_NS,
            Urgency::Now => 1,
        };
        if self.freed_deadline_ns == 0 || deadline_ns < self.freed_deadline_ns {
            self.freed_deadline_ns = deadline_ns;
        }
    }

    /// Takes rights and copies of freed objects, if it is time.
    pub(super) fn see_to_freed(&mut self) -> Result<(), Error> {
        if self.freed_deadline_ns == 0 || now_ns() < self.freed_deadline_ns {
            return Ok(());
        }
        self.freed_deadline_ns = 0;
        let Some(engine) = &mut self.engine else {
            return Ok(());
        };
        let again_ns = now_ns() + FREED_WAIT_NS;
        for run in std::mem::take(&mut self.unburied) {
            if !engine.bury(run)? {
                self.unburied.push(run);
                self.freed_deadline_ns = again_ns;
            }
        }
        let Some(runs) = self.node.heap.objects.take_freed() else {
            self.freed_deadline_ns = again_ns;
            return Ok(());
        };
        engine.take_rights(&runs)?;
        for run in runs {
            self.end_life(run)?;
        }
        Ok(())
    }

    fn end_life(&mut self, run: Run) -> Result<(), Error> {
        let first = run.first.id();
        let objects = first..ObjectId(first.0 + run.count);
        SEQUENTIAL.remove_range(&objects);
        let keys = key_in_window(objects.start, 0)..key_in_window(objects.end, 0);
        self.node.sync.forget(keys);
        self.send_sync();
        self.next_token += 1;
        let token = Token(self.next_token);
        self.burying.insert(token, run);
        let Some(engine) = &mut self.engine else {
            return Ok(());
        };
        Ok(engine.reclaim(objects, token, now_ns(), &mut self.links)?)
    }

    /// Every copy of a range was taken back: if they were heap objects, that was the last of them.
    pub(super) fn on_reclaimed(&mut self, token: Token) -> Result<(), Error> {
        match (self.burying.remove(&token), &mut self.engine) {
            (Some(run), Some(engine)) => {
                if !engine.bury(run)? {
                    self.unburied.push(run);
                    self.on_heap_freed(Urgency::Soon);
                }
                Ok(())
            }
            (Some(_), None) => Ok(()),
            (None, _) => self.answer(token, 0),
        }
    }

    /// A thread frees an object of another node, or wants to know its size.
    pub(super) fn on_heap_request(
        &mut self,
        home: NodeId,
        address: u64,
        site: u64,
        reply: Option<(Reply, HeapReply)>,
    ) {
        let token = reply.map(|(reply, answer)| self.wait_for(Waiting::Heap(reply, answer)));
        self.send_behind(home, heap::message(address, site, token));
    }

    pub(super) fn on_heap(&mut self, from: NodeId, message: Heap) -> Result<(), Error> {
        match message {
            Heap::Free { address, site } => {
                let freer = Freer { site, node: from };
                let address = address as usize;
                match self.node.heap.objects.free_for_other(address, freer) {
                    Ok(urgency) => self.on_heap_freed(urgency),
                    Err(meaning) => {
                        let text = heap::misuse(address, "dist_free", freer, meaning);
                        return Err(Error::Heap(text));
                    }
                }
            }
            Heap::Find {
                token,
                address,
                site,
            } => {
                let asker = Freer { site, node: from };
                let Description { size_bytes, policy } =
                    heap::find(address as usize, asker).map_err(Error::Heap)?;
                let found = Heap::Found {
                    token,
                    size_bytes,
                    policy,
                };
                self.links.send_message(from, &Message::Heap(found));
            }
            Heap::Found {
                token,
                size_bytes,
                policy,
            } => {
                if let Some(Waiting::Heap(_, answer)) = self.waiting.get(&token) {
                    let mut answer = answer.lock().expect("no code under this lock panics");
                    *answer = Some(Description { size_bytes, policy });
                }
                return self.answer(token, 0);
            }
        }
        Ok(())
    }
}

/// How long freed objects wait for others: a wake-up and a call for each would cost more than all the rest.
const FREED_WAIT_NS: u64 = 1_000_000;
