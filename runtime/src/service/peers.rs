//! Messages from peers.

use umbel_wire::sync::Sync;
use umbel_wire::thread::Thread;
use umbel_wire::{Hello, Message, NodeId};

use super::Service;
use crate::error::Error;
use crate::links::Received;
use crate::sys::process::now_ns;

impl Service {
    /// Tells every peer who we are; in a program alone, starts it.
    pub(super) fn greet(&mut self) {
        let hello = self.hello();
        for rank in 0..self.node_count {
            if NodeId(rank) != self.rank {
                self.links
                    .send_message(NodeId(rank), &Message::Hello(hello));
            }
        }
        self.links.flush();
        self.start_if_greeted();
    }

    pub(super) fn on_link(&mut self, from: NodeId) -> Result<(), Error> {
        if let Some(socket) = &mut self.links.sockets[usize::from(from.0)] {
            socket.fill();
        }
        self.on_messages(from)
    }

    /// What has arrived from a peer.
    pub(super) fn on_messages(&mut self, from: NodeId) -> Result<(), Error> {
        let refuse = |reason: String| Error::Peer {
            rank: from.0,
            reason,
        };
        let mut arrived_ns = 0;
        let mut count = 0_u32;
        while let Some(message) = self.links.next_message(from).map_err(refuse)? {
            if count.is_multiple_of(MESSAGES_PER_CLOCK) {
                arrived_ns = now_ns();
            }
            count += 1;
            self.on_message(from, message, arrived_ns)?;
        }
        // Perhaps cut off inside a message: the launcher reports the death.
        self.links.drop_if_closed(from);
        Ok(())
    }

    fn on_message(
        &mut self,
        from: NodeId,
        received: Received,
        arrived_ns: u64,
    ) -> Result<(), Error> {
        let greeted = self.greeted[usize::from(from.0)];
        let refuse = |reason: String| {
            Err(Error::Peer {
                rank: from.0,
                reason,
            })
        };
        let message = match received {
            Received::Coherence(message) if greeted => {
                let Some(engine) = &mut self.engine else {
                    return Ok(());
                };
                return match engine.on_message(from, message, arrived_ns, &mut self.links)? {
                    Ok(()) => Ok(()),
                    Err(violation) => refuse(violation.to_string()),
                };
            }
            Received::Coherence(_) => {
                return refuse("it sent a message before its greeting".into());
            }
            Received::Other(message) => message,
        };
        match message {
            Message::Hello(_) if greeted => refuse("it greeted twice".into()),
            Message::Hello(hello) => self.on_hello(from, hello),
            _ if !greeted => refuse("it sent a message before its greeting".into()),
            Message::Coherence(_) => unreachable!("the links take these apart"),
            Message::Thread(thread) => {
                self.take_what_came_before()?;
                self.on_thread(from, thread)
            }
            Message::Sync(Sync::Request {
                token,
                thread,
                key,
                op,
            }) => {
                self.take_what_came_before()?;
                let sync = &self.node.sync;
                sync.on_request((from, token), false, thread, key, op);
                self.send_sync();
                Ok(())
            }
            Message::Sync(Sync::Tell {
                token,
                thread,
                key,
                op,
            }) => {
                self.take_what_came_before()?;
                let sync = &self.node.sync;
                sync.on_request((from, token), true, thread, key, op);
                self.send_sync();
                Ok(())
            }
            Message::Sync(Sync::Fence { token }) => {
                let done = Message::Sync(Sync::Reply { token, result: 0 });
                self.links.send_message(from, &done);
                Ok(())
            }
            Message::Sync(Sync::Reply { token, result }) => {
                self.take_what_came_before()?;
                self.end_debts(from, token, result)?;
                self.answer(token, i64::from(result))
            }
            Message::Sync(
                message @ (Sync::Plan { .. }
                | Sync::Arrived { .. }
                | Sync::Released { .. }
                | Sync::Withdraw { .. }
                | Sync::Withdrawn { .. }
                | Sync::Dissolved { .. }),
            ) => self.on_meeting(from, message),
            Message::Heap(message) => self.on_heap(from, message),
            Message::Bye => Ok(()),
        }
    }

    /// News lets a thread go on, which must not see what messages before it on the link took away: `departures`.
    pub(super) fn take_what_came_before(&mut self) -> Result<(), Error> {
        self.with_engine(|engine, links| engine.settle(now_ns(), links))
    }

    fn on_hello(&mut self, from: NodeId, hello: Hello) -> Result<(), Error> {
        let own = self.hello();
        let reason = if hello.job != own.job {
            "it belongs to another job"
        } else if hello.rank != from.0 || hello.node_count != own.node_count {
            "it takes itself for another node"
        } else if hello.program != own.program {
            "it runs another program: every node must have the same binary"
        } else {
            self.greeted[usize::from(from.0)] = true;
            self.start_if_greeted();
            return Ok(());
        };
        Err(Error::Peer {
            rank: from.0,
            reason: reason.into(),
        })
    }

    pub(super) fn on_thread(&mut self, from: NodeId, message: Thread) -> Result<(), Error> {
        match message {
            Thread::Spawn { thread, father, .. } if thread.creator() != from => {
                let reason = format!(
                    "it created thread {:#x}, which is not its own (father {:#x})",
                    thread.0, father.0
                );
                Err(Error::Peer {
                    rank: from.0,
                    reason,
                })
            }
            spawn @ Thread::Spawn { .. } => self.start_thread(spawn),
            Thread::Spawned { thread, result } => self.on_spawned(from, thread, result),
            Thread::Ended { thread } => self.on_ended(from, thread),
            Thread::Join {
                token,
                waiter,
                thread,
            } => self.join(from, token, waiter, thread),
            Thread::Joined { token, result } => self.answer(token, i64::from(result)),
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            rank: self.rank.0,
            node_count: self.node_count,
            job: self.job,
            program: crate::program::digest(),
        }
    }

    fn start_if_greeted(&mut self) {
        if !self.greeted.iter().all(|greeted| *greeted) {
            return;
        }
        if let Some(start) = self.start.take() {
            self.send_control(&umbel_wire::control::Control::Ready { rank: self.rank.0 });
            start.send(0);
        }
    }
}

/// Messages that are told the same time of arrival: 40 ns for each clock, and no more than some 20 us of handling behind it.
const MESSAGES_PER_CLOCK: u32 = 64;
