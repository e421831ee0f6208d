//! Synchronization objects whose home is this node.
//!
//! The one piece of a node's state that application threads touch themselves, under a lock: an operation on an
//! object at hand costs 0.2 us this way, and 10 to 50 us when it is handed to the service thread and back
//! (two wake-ups; DESIGN.md §3: never hand on what the thread at hand can do). Answers to other nodes' threads go
//! through the service thread, which owns the links.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use umbel_coherence::{SyncEffect, SyncHome};
use umbel_wire::sync::{SyncKey, SyncOp};
use umbel_wire::{NodeId, ThreadId, Token};

use crate::happens_before::acquires;
use crate::request::Reply;

/// Answer to a thread of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteReply {
    /// Its node.
    pub to: NodeId,
    /// Its request there.
    pub token: Token,
    /// As in `sync::Sync::Reply`.
    pub result: i32,
    /// It may let its thread go on after something that was released here.
    pub acquires: bool,
}

/// The objects, and this node's threads that wait for one of them.
pub struct SyncTable {
    node: NodeId,
    state: Mutex<State>,
    waiting_count: AtomicUsize,
}

#[derive(Default)]
struct State {
    home: SyncHome,
    waiting: BTreeMap<Token, Reply>,
    next_token: u64,
}

impl SyncTable {
    /// No object has been used.
    pub fn new(node: NodeId) -> Self {
        Self {
            node,
            state: Mutex::default(),
            waiting_count: AtomicUsize::new(0),
        }
    }

    /// Runs `op` for the calling thread and waits until it is answered. `send` gets the answers to other nodes; `wait` is
    /// called to wait for the answer.
    pub fn run(
        &self,
        thread: ThreadId,
        key: SyncKey,
        op: SyncOp,
        send: impl FnOnce(Vec<RemoteReply>),
        wait: impl FnOnce(&Reply) -> i64,
    ) -> i32 {
        let mut state = self.state.lock().expect("no code under this lock panics");
        state.next_token += 1;
        let token = Token(state.next_token);
        let mut effects = Vec::new();
        state
            .home
            .on_request(self.node, token, thread, key, op, &mut effects);
        let own = effects.iter().find_map(
            |SyncEffect::Reply {
                 to,
                 token: answered,
                 result,
             }| { (*to == self.node && *answered == token).then_some(*result) },
        );
        let reply = own.is_none().then(|| {
            let reply = Reply::new();
            state.waiting.insert(token, reply.clone());
            reply
        });
        let remote = self.answer(&mut state, effects, None);
        drop(state);
        if !remote.is_empty() {
            send(remote);
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

    /// A request of another node's thread.
    pub fn on_request(
        &self,
        from: NodeId,
        token: Token,
        thread: ThreadId,
        key: SyncKey,
        op: SyncOp,
    ) -> Vec<RemoteReply> {
        let mut state = self.state.lock().expect("no code under this lock panics");
        let mut effects = Vec::new();
        state
            .home
            .on_request(from, token, thread, key, op, &mut effects);
        let plain = (!acquires(op)).then_some((from, token));
        self.answer(&mut state, effects, plain)
    }

    /// The scope of these objects has ended.
    pub fn forget(&self, keys: Range<SyncKey>) -> Vec<RemoteReply> {
        let mut state = self.state.lock().expect("no code under this lock panics");
        let mut effects = Vec::new();
        state.home.forget(keys, &mut effects);
        self.answer(&mut state, effects, None)
    }

    /// Wakes this node's threads; what is for others is returned. `plain`: the one whom nothing lets go on.
    fn answer(
        &self,
        state: &mut State,
        effects: Vec<SyncEffect>,
        plain: Option<(NodeId, Token)>,
    ) -> Vec<RemoteReply> {
        let mut remote = Vec::new();
        for SyncEffect::Reply { to, token, result } in effects {
            if to != self.node {
                remote.push(RemoteReply {
                    to,
                    token,
                    result,
                    acquires: result >= 0 && plain != Some((to, token)),
                });
            } else if let Some(reply) = state.waiting.remove(&token) {
                reply.send(i64::from(result));
            }
        }
        // Counted when they are woken, not when they run: the service thread must not spin in their way.
        self.waiting_count
            .store(state.waiting.len(), Ordering::Relaxed);
        remote
    }
}
