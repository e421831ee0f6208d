//! Requests of this node's application threads.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use uffd_dsm::window::Place;
use umbel_agents::{Joiner, Reach};
use umbel_wire::sync::{Sync, SyncOp};
use umbel_wire::thread::Thread;
use umbel_wire::{Message, NodeId, ObjectId, ThreadId, Token};

use super::{Service, Waiting};
use crate::atomics::SEQUENTIAL;
use crate::capi_keys::key_in_window;
use crate::chain;
use crate::error::Error;
use crate::happens_before::releases;
use crate::local;
use crate::modules;
use crate::request::{Reply, Request};
use crate::sys::abi;
use crate::sys::process::{self, now_ns};
use crate::sys::starter::Work;

impl Service {
    pub(super) fn on_requests(&mut self) -> Result<(), Error> {
        while self.node.has_requests() {
            for request in self.node.take_requests() {
                self.on_request(request)?;
            }
        }
        Ok(())
    }

    pub(super) fn on_request(&mut self, request: Request) -> Result<(), Error> {
        match request {
            Request::Spawn {
                father,
                node,
                code,
                function,
                argument,
                frames,
                reach,
                reply,
            } => {
                let node = node.unwrap_or_else(|| self.threads.place());
                let thread = self.threads.create(father, node, reach);
                self.names.insert(thread, function_text(function, argument));
                let spawn = Thread::Spawn {
                    thread,
                    father,
                    code,
                    function,
                    argument,
                    frames,
                };
                self.waiting
                    .insert(spawn_token(thread), Waiting::Reply(reply));
                if node == self.rank {
                    self.start_thread(spawn)?;
                } else {
                    self.depart(node, Message::Thread(spawn));
                }
            }
            Request::Started {
                thread,
                stack,
                result,
            } => {
                if result != 0 {
                    self.threads_started -= 1;
                    self.threads_alive -= 1;
                    self.node.put_stack(stack);
                }
                self.tell_started(thread, result)?;
            }
            Request::Join {
                waiter,
                thread,
                reply,
            } => {
                let token = self.wait_for(Waiting::Reply(reply));
                if thread.creator() == self.rank {
                    self.join(self.rank, token, waiter, thread)?;
                } else {
                    let join = Thread::Join {
                        token,
                        waiter,
                        thread,
                    };
                    self.links
                        .send_message(thread.creator(), &Message::Thread(join));
                }
            }
            Request::JoinAll { father, reply } => {
                let token = self.wait_for(Waiting::JoinAll(reply, father));
                self.wait_children(father, None, token)?;
            }
            Request::Leave {
                father,
                above,
                objects,
                reply,
            } => {
                let token = self.wait_for(Waiting::Leave(reply, objects));
                self.wait_children(father, Some(above), token)?;
            }
            Request::Ended { thread, stack } => {
                // Not one that the program made by itself.
                if thread.creator() != self.rank || self.names.contains_key(&thread) {
                    self.threads_alive -= 1;
                }
                self.node.put_stack(stack);
                self.threads.collect(thread);
                if thread.creator() == self.rank {
                    self.on_ended(self.rank, thread)?;
                } else {
                    let ended = Message::Thread(Thread::Ended { thread });
                    self.depart(thread.creator(), ended);
                }
            }
            Request::Stack { stack, map } => {
                if let Some(engine) = &mut self.engine {
                    engine.add_stack(stack, map);
                }
            }
            Request::Sync {
                thread,
                key,
                home,
                op,
                reply,
            } => {
                let request = match reply {
                    Some(reply) if op == SyncOp::BarrierWait => {
                        let token = self.wait_for(Waiting::Reply(reply));
                        return self.meet(token, thread, key, home);
                    }
                    Some(reply) => Sync::Request {
                        token: self.wait_for(Waiting::Reply(reply)),
                        thread,
                        key,
                        op,
                    },
                    None => Sync::Tell {
                        token: self.begin_debt(home, key, op),
                        thread,
                        key,
                        op,
                    },
                };
                let request = Message::Sync(request);
                if releases(op) {
                    self.depart(home, request);
                } else {
                    self.send_behind(home, request);
                }
            }
            Request::Flush { reply } => self.answer_flushed(reply),
            Request::Operate {
                address,
                operation,
                reply,
            } => {
                let token = self.wait_for(Waiting::Reply(reply));
                self.with_engine(|engine, links| {
                    engine.operate(address, token, operation, now_ns(), links)
                })?;
            }
            Request::Strengthen { address, reply } => {
                let unit = self.node.place_at(address).map(Place::id);
                let token = self.wait_for(Waiting::Strengthen(reply, unit));
                self.with_engine(|engine, links| {
                    engine.strengthen(address, token, now_ns(), links)
                })?;
            }
            Request::Pin {
                range,
                writable,
                reply,
            } => self.on_pin(range, writable, reply)?,
            Request::Unpin { range, reply } => self.on_unpin(range, &reply)?,
            Request::SendSync => self.send_sync(),
            Request::FlushAhead => self.flush_ahead(),
            Request::HeapFreed(urgency) => self.on_heap_freed(urgency),
            Request::Heap {
                home,
                address,
                site,
                reply,
            } => self.on_heap_request(home, address, site, reply),
            Request::Exit { status, reply } => self.on_exit(status, reply),
            Request::Fatal { text } => self.fail(&text),
        }
        Ok(())
    }

    /// Runs a thread here, and tells its creator.
    pub(super) fn start_thread(&mut self, spawn: Thread) -> Result<(), Error> {
        let Thread::Spawn { thread, .. } = spawn else {
            return Ok(());
        };
        match self.try_start(spawn) {
            Ok(true) => self.tell_started(thread, 0),
            Ok(false) => Ok(()),
            Err(errno) => self.tell_started(thread, -errno),
        }
    }

    /// Whether the thread begins for certain; if not, that is told later.
    fn try_start(&mut self, spawn: Thread) -> Result<bool, i32> {
        let Thread::Spawn {
            thread,
            father,
            code,
            function,
            argument,
            frames,
        } = spawn
        else {
            return Err(libc::EINVAL);
        };
        let code = chain::find_code(code, function, &frames).ok_or(libc::EINVAL)?;
        let (stack, new) = match self.node.take_stack() {
            Ok(found) => found.ok_or(libc::EAGAIN)?,
            Err(_) => return Err(libc::ENOMEM),
        };
        if let (Some(engine), true) = (&mut self.engine, new) {
            engine.add_stack(stack.index, stack.map);
        }
        self.threads_started += 1;
        self.threads_alive += 1;
        let (node, index) = (self.node, stack.index);
        Ok(self.starter.start(Work {
            name: format!("umbel-{}.{}", thread.creator().0, thread.sequence()),
            run: Box::new(move || {
                process::unblock_signals();
                local::run_thread((thread, father), stack, code, argument, &frames);
            }),
            told: Box::new(move |result| {
                node.submit(Request::Started {
                    thread,
                    stack: index,
                    result: result.map_or(-libc::EAGAIN, |()| 0),
                });
            }),
        }))
    }

    /// Tells who created a thread whether it runs here.
    fn tell_started(&mut self, thread: ThreadId, result: i32) -> Result<(), Error> {
        if thread.creator() == self.rank {
            return self.on_spawned(self.rank, thread, result);
        }
        let spawned = Message::Thread(Thread::Spawned { thread, result });
        self.links.send_message(thread.creator(), &spawned);
        Ok(())
    }

    pub(super) fn on_spawned(
        &mut self,
        from: NodeId,
        thread: ThreadId,
        result: i32,
    ) -> Result<(), Error> {
        self.check(from, |threads| threads.on_spawned(from, thread, result))?;
        if result != 0 {
            self.names.remove(&thread);
        }
        let answer = if result == 0 {
            thread.0 as i64
        } else {
            i64::from(result)
        };
        self.answer(spawn_token(thread), answer)
    }

    pub(super) fn on_ended(&mut self, from: NodeId, thread: ThreadId) -> Result<(), Error> {
        // A thread that the program made by itself has no record.
        if !self.names.contains_key(&thread) && from == self.rank {
            return Ok(());
        }
        self.names.remove(&thread);
        let mut effects = Vec::new();
        self.check(from, |threads| threads.on_ended(from, thread, &mut effects))?;
        self.carry_out_threads(effects)
    }

    pub(super) fn join(
        &mut self,
        node: NodeId,
        token: Token,
        waiter: ThreadId,
        thread: ThreadId,
    ) -> Result<(), Error> {
        let mut effects = Vec::new();
        self.threads
            .join(waiter, thread, Joiner { node, token }, &mut effects);
        self.carry_out_threads(effects)
    }

    fn wait_children(
        &mut self,
        father: ThreadId,
        above: Option<Reach>,
        token: Token,
    ) -> Result<(), Error> {
        let mut effects = Vec::new();
        self.threads
            .wait_children(father, above, token, &mut effects);
        self.carry_out_threads(effects)
    }

    /// Takes a scope's objects back: nobody waits for its synchronization objects any more, and every
    /// copy of its memory goes.
    pub(super) fn reclaim(
        &mut self,
        reply: Reply,
        objects: [Range<ObjectId>; 3],
    ) -> Result<(), Error> {
        for range in objects.iter().filter(|range| !range.is_empty()) {
            SEQUENTIAL.remove_range(range);
            let keys = key_in_window(range.start, 0)..key_in_window(range.end, 0);
            self.node.sync.forget(keys);
            self.send_sync();
        }
        let parts: Vec<_> = objects
            .into_iter()
            .filter(|range| !range.is_empty())
            .collect();
        let Some(engine) = self.engine.as_mut().filter(|_| !parts.is_empty()) else {
            reply.send(0);
            return Ok(());
        };
        let shared = ReclaimParts::new(reply, parts.len());
        for range in parts {
            self.next_token += 1;
            let token = Token(self.next_token);
            self.waiting.insert(token, Waiting::Reclaim(shared.clone()));
            engine.reclaim(range, token, now_ns(), &mut self.links)?;
        }
        Ok(())
    }

    fn check(
        &mut self,
        from: NodeId,
        step: impl FnOnce(&mut umbel_agents::Threads) -> Result<(), umbel_agents::Violation>,
    ) -> Result<(), Error> {
        step(&mut self.threads).map_err(|violation| {
            let reason = format!("thread {:#x} {}", violation.thread.0, violation.what);
            Error::Peer {
                rank: from.0,
                reason,
            }
        })
    }
}

/// The answer to a scope's end: sent when all its parts were taken back.
#[derive(Clone)]
pub(super) struct ReclaimParts(Arc<(Reply, AtomicUsize)>);

impl ReclaimParts {
    fn new(reply: Reply, parts: usize) -> Self {
        Self(Arc::new((reply, AtomicUsize::new(parts))))
    }

    pub(super) fn done(&self) {
        let (reply, left) = &*self.0;
        // Relaxed: only the service thread counts; it is atomic because the service moves to that thread.
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            reply.send(0);
        }
    }
}

/// Tokens of creations: the thread's own name, apart from running numbers.
fn spawn_token(thread: ThreadId) -> Token {
    Token(1 << 63 | thread.0)
}

fn function_text(function: umbel_wire::thread::CodeRef, argument: u64) -> String {
    let record = if function.offset == 0 {
        None
    } else {
        modules::address(function)
    };
    let name = record.map_or_else(
        || "a thread function".into(),
        |record| abi::function(record).name,
    );
    format!("{name}({})", argument as i64)
}
