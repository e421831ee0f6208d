//! Synchronization objects whose home is this node.
//!
//! The one piece of a node's state that application threads touch themselves, under a lock: an operation on an
//! object at hand costs 0.2 us this way, and 10 to 50 us when it is handed to the service thread and back
//! (two wake-ups; DESIGN.md §3: never hand on what the thread at hand can do). Answers to other nodes' threads go
//! through the service thread, which owns the links.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use umbel_coherence::{SyncEffect, SyncHome};
use umbel_wire::sync::{Sync, SyncKey, SyncOp};
use umbel_wire::{NodeId, ThreadId, Token};

use crate::happens_before::acquires;
use crate::request::Reply;

/// A message to another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Which.
    pub to: NodeId,
    /// An answer to one of its threads, or about a barrier's tree.
    pub message: Sync,
    /// It may let threads go on after something that was released here.
    pub acquires: bool,
}

/// The objects, and this node's threads that wait for one of them.
pub struct SyncTable {
    node: NodeId,
    state: Mutex<State>,
    waiting_count: AtomicUsize,
}

struct State {
    home: SyncHome,
    waiting: BTreeMap<Token, Reply>,
    next_token: u64,
    /// To be sent, in the order in which it came up.
    remote: VecDeque<Remote>,
}

/// An answer that is not like others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Except {
    None,
    /// Nothing lets that one go on.
    Plain(NodeId, Token),
    /// Who asked has gone on, and is told only of failures.
    Told(NodeId, Token),
}

impl SyncTable {
    /// No object has been used.
    pub fn new(node: NodeId) -> Self {
        Self {
            node,
            state: Mutex::new(State {
                home: SyncHome::new(node),
                waiting: BTreeMap::new(),
                next_token: 0,
                remote: VecDeque::new(),
            }),
            waiting_count: AtomicUsize::new(0),
        }
    }

    /// Runs `op` for the calling thread and waits until it is answered. `send` is called if there is something for other
    /// nodes; `wait` is called to wait for the answer.
    pub fn run(
        &self,
        thread: ThreadId,
        key: SyncKey,
        op: SyncOp,
        send: impl FnOnce(),
        wait: impl FnOnce(&Reply) -> i64,
    ) -> i32 {
        let mut state = self.state.lock().expect("no code under this lock panics");
        state.next_token += 1;
        let token = Token(state.next_token);
        let mut effects = Vec::new();
        state
            .home
            .on_request(self.node, token, thread, key, op, &mut effects);
        let own = effects.iter().find_map(|effect| match effect {
            SyncEffect::Reply {
                to,
                token: answered,
                result,
            } => (*to == self.node && *answered == token).then_some(*result),
            SyncEffect::Send { .. } => None,
        });
        let reply = own.is_none().then(|| {
            let reply = Reply::new();
            state.waiting.insert(token, reply.clone());
            reply
        });
        self.answer(&mut state, effects, Except::None);
        let has_remote = !state.remote.is_empty();
        drop(state);
        if has_remote {
            send();
        }
        match (own, reply) {
            (Some(result), _) => result,
            (None, Some(reply)) => wait(&reply) as i32,
            (None, None) => unreachable!("one of the two was made above"),
        }
    }

    /// How many threads of this node wait here.
    pub fn waiting_count(&self) -> usize {
        // Relaxed: a hint for how to wait.
        self.waiting_count.load(Ordering::Relaxed)
    }

    /// A request of another node's thread. `is_told`: it has gone on.
    pub fn on_request(
        &self,
        (from, token): (NodeId, Token),
        is_told: bool,
        thread: ThreadId,
        key: SyncKey,
        op: SyncOp,
    ) {
        let mut state = self.state.lock().expect("no code under this lock panics");
        let mut effects = Vec::new();
        state
            .home
            .on_request(from, token, thread, key, op, &mut effects);
        let except = match (is_told, acquires(op)) {
            (true, _) => Except::Told(from, token),
            (false, false) => Except::Plain(from, token),
            (false, true) => Except::None,
        };
        self.answer(&mut state, effects, except);
    }

    /// All threads of `from`, and below it, have come to a barrier.
    pub fn on_arrived(&self, from: NodeId, key: SyncKey, plan: u64) {
        let mut state = self.state.lock().expect("no code under this lock panics");
        let mut effects = Vec::new();
        state.home.on_arrived(from, key, plan, &mut effects);
        self.answer(&mut state, effects, Except::None);
    }

    /// The scope of these objects has ended.
    pub fn forget(&self, keys: Range<SyncKey>) {
        let mut state = self.state.lock().expect("no code under this lock panics");
        let mut effects = Vec::new();
        state.home.forget(keys, &mut effects);
        self.answer(&mut state, effects, Except::None);
    }

    /// What is for other nodes, in the order in which it came up: an answer must not overtake what the same node is told
    /// of a tree.
    pub fn take_remote(&self) -> VecDeque<Remote> {
        let mut state = self.state.lock().expect("no code under this lock panics");
        std::mem::take(&mut state.remote)
    }

    /// Wakes this node's threads; keeps what is for others.
    fn answer(&self, state: &mut State, effects: Vec<SyncEffect>, except: Except) {
        for effect in effects {
            let remote = match effect {
                SyncEffect::Reply { to, token, result } if to == self.node => {
                    if let Some(reply) = state.waiting.remove(&token) {
                        reply.send(i64::from(result));
                    }
                    continue;
                }
                SyncEffect::Reply { to, token, result }
                    if result >= 0 && except == Except::Told(to, token) =>
                {
                    continue;
                }
                SyncEffect::Reply { to, token, result } => Remote {
                    to,
                    message: Sync::Reply { token, result },
                    acquires: result >= 0 && except != Except::Plain(to, token),
                },
                SyncEffect::Send { to, message } => Remote {
                    to,
                    message,
                    acquires: true,
                },
            };
            state.remote.push_back(remote);
        }
        // Counted when they are woken, not when they run: the service thread must not spin in their way.
        self.waiting_count
            .store(state.waiting.len(), Ordering::Relaxed);
    }
}
