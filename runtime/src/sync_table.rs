//! Synchronization objects whose home is this node.
//!
//! The one piece of a node's state that application threads touch themselves, under a lock: an operation on an
//! object at hand costs 0.2 us this way, and 10 to 50 us when it is handed to the service thread and back
//! (two wake-ups; DESIGN.md §3: never hand on what the thread at hand can do). Answers to other nodes' threads go
//! through the service thread, which owns the links.
//!
//! The service thread never waits for the lock: a handler may have interrupted who holds it, and wait for that thread to serve
//! its fault. What other nodes ask is *posted*, and done by whoever has the lock next, before anything else; who gives it up
//! looks once more. So nothing overtakes what was posted before it:
//!
//! ```text
//! service thread   post ─ try to lock ─ (held by somebody) ─ goes on
//! who holds it                   its operation ─ unlock ─ posted? ─ lock ─ do it ─ unlock ─ SendSync
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Mutex, MutexGuard, TryLockError};

use umbel_coherence::{SyncEffect, SyncHome};
use umbel_wire::sync::{Sync, SyncKey, SyncOp};
use umbel_wire::{NodeId, ThreadId, Token};

use crate::happens_before::acquires;
use crate::request::Reply;
use crate::sys::inbox::Inbox;

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
    /// What the service thread wants done, oldest first.
    posted: Inbox<Posted>,
    waiting_count: AtomicUsize,
}

/// What is not a request of a thread of this node.
enum Posted {
    Request {
        from: NodeId,
        token: Token,
        thread: ThreadId,
        key: SyncKey,
        op: SyncOp,
        except: Except,
    },
    Arrived {
        from: NodeId,
        key: SyncKey,
        plan: u64,
    },
    Withdrawn {
        from: NodeId,
        key: SyncKey,
        plan: u64,
    },
    Forget(Range<SyncKey>),
}

struct State {
    home: SyncHome,
    waiting: BTreeMap<Token, Reply>,
    next_token: u64,
    /// To be sent, in the order in which it came up.
    remote: VecDeque<Remote>,
    /// What the request at hand brings about; empty between requests. Kept, for an operation that nobody waits for costs
    /// less than to get and give back memory for it.
    effects: Vec<SyncEffect>,
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
                effects: Vec::new(),
            }),
            posted: Inbox::new(),
            waiting_count: AtomicUsize::new(0),
        }
    }

    /// As [`SyncHome::exchanging`].
    pub fn exchanging(node: NodeId, exchanges: bool) -> Self {
        let mut table = Self::new(node);
        let state = table.state.get_mut().expect("no thread has had the lock");
        state.home = SyncHome::new(node).exchanging(exchanges);
        table
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
        self.do_posted(&mut state);
        state.next_token += 1;
        let token = Token(state.next_token);
        let State { home, effects, .. } = &mut *state;
        home.on_request(self.node, token, thread, key, op, effects);
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
        self.answer(&mut state, Except::None);
        let has_remote = !state.remote.is_empty();
        drop(state);
        let has_done = self.try_posted();
        if has_remote || has_done {
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
        let except = match (is_told, acquires(op)) {
            (true, _) => Except::Told(from, token),
            (false, false) => Except::Plain(from, token),
            (false, true) => Except::None,
        };
        self.post(Posted::Request {
            from,
            token,
            thread,
            key,
            op,
            except,
        });
    }

    /// All threads of `from`, and below it, have come to a barrier.
    pub fn on_arrived(&self, from: NodeId, key: SyncKey, plan: u64) {
        self.post(Posted::Arrived { from, key, plan });
    }

    /// A release that was sent ahead was not used.
    pub fn on_withdrawn(&self, from: NodeId, key: SyncKey, plan: u64) {
        self.post(Posted::Withdrawn { from, key, plan });
    }

    /// The scope of these objects has ended.
    pub fn forget(&self, keys: Range<SyncKey>) {
        self.post(Posted::Forget(keys));
    }

    /// What is for other nodes, in the order in which it came up: an answer must not overtake what the same node is told
    /// of a tree. What somebody who has the lock brings about is missing: he sees that there is some, and has it sent.
    pub fn take_remote(&self) -> VecDeque<Remote> {
        let mut remote = VecDeque::new();
        self.if_free(|state| remote.append(&mut state.remote));
        remote
    }

    fn post(&self, posted: Posted) {
        self.posted.push(posted);
        self.try_posted();
    }

    /// Does what was posted, unless somebody has the lock: he looks here when he has given it up. Whether anything was done.
    fn try_posted(&self) -> bool {
        let mut has_done = false;
        while self.has_posted() {
            let Some(mut state) = self.try_lock() else {
                break;
            };
            self.do_posted(&mut state);
            has_done = true;
        }
        has_done
    }

    /// Calls `body` under the lock, unless somebody has it; again if something was posted meanwhile.
    fn if_free(&self, mut body: impl FnMut(&mut State)) {
        while let Some(mut state) = self.try_lock() {
            self.do_posted(&mut state);
            body(&mut state);
            drop(state);
            if !self.has_posted() {
                break;
            }
        }
    }

    /// Who has posted asks this and then tries the lock; **everybody** who has had the lock, for whatever it was, asks it when
    /// he has given it up: who found it held may have been the one that would have looked.
    fn has_posted(&self) -> bool {
        // Either who posts finds the lock free, or who gives it up finds what was posted.
        fence(Ordering::SeqCst);
        !self.posted.is_empty()
    }

    fn do_posted(&self, state: &mut State) {
        for posted in self.posted.take() {
            let State { home, effects, .. } = &mut *state;
            let except = match posted {
                Posted::Request {
                    from,
                    token,
                    thread,
                    key,
                    op,
                    except,
                } => {
                    home.on_request(from, token, thread, key, op, effects);
                    except
                }
                Posted::Arrived { from, key, plan } => {
                    home.on_arrived(from, key, plan, effects);
                    Except::None
                }
                Posted::Withdrawn { from, key, plan } => {
                    home.on_withdrawn(from, key, plan, effects);
                    Except::None
                }
                Posted::Forget(keys) => {
                    home.forget(keys, effects);
                    Except::None
                }
            };
            self.answer(state, except);
        }
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Poisoned(_)) => unreachable!("no code under this lock panics"),
        }
    }

    /// Wakes this node's threads; keeps what is for others.
    fn answer(&self, state: &mut State, except: Except) {
        for effect in state.effects.drain(..) {
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

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: NodeId = NodeId(0);
    const OTHER: NodeId = NodeId(1);
    const MINE: ThreadId = ThreadId::new(HERE, 1);
    const OTHERS: ThreadId = ThreadId::new(OTHER, 1);
    const MUTEX: SyncKey = SyncKey(64);
    const SEMAPHORE: SyncKey = SyncKey(128);

    /// An operation of a thread of this node that need not wait; whether there was something to send.
    fn run(table: &SyncTable, key: SyncKey, op: SyncOp) -> (i32, bool) {
        let mut sends = false;
        let result = table.run(
            MINE,
            key,
            op,
            || sends = true,
            |_| unreachable!("nobody is in its way"),
        );
        (result, sends)
    }

    fn ask(table: &SyncTable, token: u64, key: SyncKey, op: SyncOp) {
        table.on_request((OTHER, Token(token)), false, OTHERS, key, op);
    }

    fn answers(table: &SyncTable) -> Vec<(Token, i32)> {
        let remote = table.take_remote().into_iter();
        remote
            .map(|remote| match remote.message {
                Sync::Reply { token, result } => (token, result),
                other => unreachable!("nobody meets here: {other:?}"),
            })
            .collect()
    }

    /// As if a handler had interrupted a thread that holds the lock: it returns only when the service thread has gone on.
    #[test]
    fn who_serves_peers_does_not_wait_for_the_lock() {
        let table = SyncTable::new(HERE);
        let state = table.state.lock().unwrap();
        ask(&table, 1, SEMAPHORE, SyncOp::SemInit(0));
        ask(&table, 2, SEMAPHORE, SyncOp::SemPost);
        table.forget(SyncKey(512)..SyncKey(1024));
        table.on_arrived(OTHER, SyncKey(256), 7);
        assert_eq!(answers(&table), []);
        drop(state);
        // Who has the lock next does it first, and has the answers sent.
        assert_eq!(run(&table, SEMAPHORE, SyncOp::SemGetValue), (1, true));
        assert_eq!(answers(&table), [(Token(1), 0), (Token(2), 0)]);
        assert_eq!(run(&table, SEMAPHORE, SyncOp::SemGetValue), (1, false));
    }

    #[test]
    fn what_is_posted_while_the_lock_is_held_is_done_when_it_is_given_up() {
        let table = SyncTable::new(HERE);
        let state = table.state.lock().unwrap();
        ask(&table, 1, MUTEX, SyncOp::MutexTryLock);
        ask(&table, 2, MUTEX, SyncOp::MutexUnlock);
        drop(state);
        assert!(table.try_posted());
        assert_eq!(answers(&table), [(Token(1), 0), (Token(2), 0)]);
    }

    /// A thread that gives the lock up looks while the service thread has it to take the answers, and so leaves it to that.
    #[test]
    fn who_took_the_answers_looks_for_what_was_posted_meanwhile() {
        let table = SyncTable::new(HERE);
        let mut calls = 0;
        table.if_free(|_| {
            calls += 1;
            if calls == 1 {
                ask(&table, 1, SEMAPHORE, SyncOp::SemInit(0));
                assert!(!table.try_posted());
            }
        });
        assert_eq!(calls, 2);
        assert_eq!(answers(&table), [(Token(1), 0)]);
    }

    #[test]
    fn nothing_is_left_behind_by_threads_that_give_the_lock_up_while_something_is_posted() {
        const ROUNDS: u64 = 20_000;
        let table = SyncTable::new(HERE);
        run(&table, SEMAPHORE, SyncOp::SemInit(0));
        let mut answered = 0;
        std::thread::scope(|scope| {
            let busy = scope.spawn(|| {
                for _ in 0..ROUNDS {
                    run(&table, MUTEX, SyncOp::MutexLock);
                    run(&table, MUTEX, SyncOp::MutexUnlock);
                }
            });
            for token in 1..=ROUNDS {
                ask(&table, token, SEMAPHORE, SyncOp::SemPost);
                answered += answers(&table).len() as u64;
            }
            busy.join().unwrap();
        });
        // Nobody looks any more but for what the last thread to unlock has asked for.
        assert!(table.posted.is_empty());
        assert_eq!(answered + answers(&table).len() as u64, ROUNDS);
        assert_eq!(run(&table, SEMAPHORE, SyncOp::SemGetValue).0 as u64, ROUNDS);
    }
}
