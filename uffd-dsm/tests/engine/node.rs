//! The engine under test, the peer that a test plays, and threads that use the window.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use uffd_dsm::stack::{Found, PageObject, StackMap};
use uffd_dsm::window::{Arena, Homes, Place};
use uffd_dsm::{Engine, EngineConfig, Event, Link, Payload, Policy};
use umbel_wire::codec::Put;
use umbel_wire::{
    Access, Coherence, Consistency, Message, Mode, NodeId, ObjectId, Protocol, Token, codec,
};

/// The peer that most tests play.
pub const PEER: NodeId = NodeId(0);
/// The engine's rank.
pub const HERE: NodeId = NodeId(1);
/// Record of a weak object, as far as these tests are concerned.
pub const WEAK: u64 = 0x1000;

/// One engine for all tests, for there is one window in a process; whoever has it is alone with it.
pub struct Node {
    pub engine: Engine,
    /// What the engine has sent and the test has not yet taken.
    pub sent: Sent,
    now_ns: u64,
    next_token: u64,
}

/// The messages, and how often more was said to follow.
#[derive(Default)]
pub struct Sent(pub VecDeque<Coherence<Vec<u8>>>, pub u32);

impl Link for Sent {
    fn send(&mut self, to: NodeId, message: &Coherence<&dyn Put>) {
        assert_ne!(to, HERE);
        let mut bytes = Vec::new();
        codec::encode_coherence(message, &mut bytes);
        match codec::decode(&bytes) {
            Ok(Some((Message::Coherence(message), _))) => self.0.push_back(message),
            other => panic!("{other:?}"),
        }
    }

    fn more_follows(&mut self, _to: NodeId) {
        self.1 += 1;
    }
}

pub fn node() -> MutexGuard<'static, Node> {
    static NODE: OnceLock<Mutex<Node>> = OnceLock::new();
    let node = NODE.get_or_init(|| {
        let mut engine = Engine::new(EngineConfig {
            node: HERE,
            node_count: 3,
            hold_ns: 0,
            cache_bytes: crate::CACHE_BYTES,
            tracks_writes: true,
            policy_of,
            release_count: || 0,
        })
        .expect("a fault backend is needed for this test");
        engine.set_pages_together(|found| if found.record == WEAK + 8 { 4 } else { 1 });
        Mutex::new(Node {
            engine,
            sent: Sent::default(),
            now_ns: 1,
            next_token: 0,
        })
    });
    // A test that failed is no reason for the others to.
    let mut node = node
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    node.sent.0.clear();
    node
}

fn policy_of(found: &Found) -> Policy {
    match found.record {
        WEAK => Policy {
            consistency: Consistency::Weak,
            protocol: Some(Protocol::Invalidate),
            operations: false,
        },
        _ => Policy::SEQUENTIAL,
    }
}

/// A stack that no other test uses.
pub fn foreign_stack() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A stack of the engine's node that no other test uses, with an object of `pages` pages in it.
pub fn own_stack(node: &mut Node, pages: u64, record: u64) -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let stack = Homes::new(3).stacks(HERE).start + NEXT.fetch_add(1, Ordering::Relaxed);
    let map = StackMap::new().expect("address space is all it takes");
    map.push(PageObject {
        page: 0,
        page_count: pages,
        offset_bytes: 0,
        size_bytes: pages * 4096,
        record,
        is_tracked: false,
    });
    node.engine.add_stack(stack, map);
    stack
}

pub fn page(stack: u32, number: u64) -> Place {
    Place {
        stack,
        arena: Arena::Pages,
        number,
    }
}

/// Whole pages as they travel.
pub fn page_data(bytes: &[u8]) -> Vec<u8> {
    let mut data = vec![0; 2];
    data.extend(bytes);
    data
}

pub fn grant(
    object: ObjectId,
    access: Access,
    consistency: Consistency,
    fill: u8,
) -> Coherence<Vec<u8>> {
    Coherence::Grant {
        object,
        access,
        mode: Mode {
            consistency,
            protocol: Protocol::Invalidate,
        },
        data: Some(page_data(&[fill; 4096])),
    }
}

pub fn load(address: usize) -> u8 {
    // SAFETY: the window is mapped for the process's life; the engine serves the fault.
    unsafe { (address as *const u8).read_volatile() }
}

pub fn store(address: usize, value: u8) {
    // SAFETY: as above.
    unsafe { (address as *mut u8).write_volatile(value) }
}

impl Node {
    /// A message from the peer, in a turn that goes on.
    pub fn receive(&mut self, message: Coherence<Vec<u8>>) {
        self.receive_from(PEER, message);
    }

    /// As [`Node::receive`], from another peer.
    pub fn receive_from(&mut self, from: NodeId, message: Coherence<Vec<u8>>) {
        let now_ns = self.now_ns;
        let message = message.map_ref(|bytes| Payload::from(bytes.clone()));
        self.engine
            .on_message(from, message, now_ns, &mut self.sent)
            .expect("the kernel does what it is asked to")
            .expect("the peer keeps to the protocol");
    }

    /// Serves faults and ends the turn.
    pub fn turn(&mut self) {
        // Turns in a cluster are closer together: here nothing is new for long.
        self.now_ns += 1_000_000;
        let now_ns = self.now_ns;
        self.engine.on_faults(now_ns, &mut self.sent).unwrap();
        self.engine.on_tick(now_ns, &mut self.sent).unwrap();
    }

    pub fn take_sent(&mut self) -> Vec<Coherence<Vec<u8>>> {
        self.sent.0.drain(..).collect()
    }

    pub fn take_events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.engine.next_event()).collect()
    }

    /// Takes every copy of an own object back.
    pub fn end_of_life(&mut self, object: ObjectId) {
        self.next_token += 1;
        let token = Token(self.next_token);
        let objects = object..ObjectId(object.0 + 1);
        self.engine
            .reclaim(objects, token, self.now_ns, &mut self.sent)
            .unwrap();
        for from in [PEER, NodeId(2)] {
            let diff = None;
            self.receive_from(from, Coherence::Invalidated { object, diff });
        }
        self.turn();
        let _ = self.take_sent();
        assert!(self.take_events().contains(&Event::Reclaimed(token)));
    }

    /// Flushes, with `answer` as the peer, until that is done.
    pub fn flush(
        &mut self,
        mut answer: impl FnMut(&Coherence<Vec<u8>>) -> Vec<Coherence<Vec<u8>>>,
    ) {
        let now_ns = self.now_ns;
        self.next_token += 1;
        let token = Token(self.next_token);
        self.engine
            .flush(&[(token, None)], now_ns, &mut self.sent)
            .unwrap();
        for _ in 0..1000 {
            for message in self.take_sent() {
                for reply in answer(&message) {
                    self.receive(reply);
                }
            }
            self.turn();
            if self.take_events().contains(&Event::Flushed(token)) {
                return;
            }
        }
        panic!("the flush does not end");
    }

    /// Runs `access` on a thread, and the engine with `answer` as the peer, until it is done; what it returned.
    pub fn run<T: Send + 'static>(
        &mut self,
        access: impl FnOnce() -> T + Send + 'static,
        mut answer: impl FnMut(&Coherence<Vec<u8>>) -> Vec<Coherence<Vec<u8>>>,
    ) -> T {
        let (sender, done): (_, Receiver<T>) = channel();
        thread::spawn(move || sender.send(access()));
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            self.turn();
            for message in self.take_sent() {
                for reply in answer(&message) {
                    self.receive(reply);
                }
            }
            self.turn();
            if self.sent.0.is_empty()
                && let Ok(result) = done.try_recv()
            {
                self.turn();
                return result;
            }
            assert!(Instant::now() < end, "a thread still waits");
            thread::yield_now();
        }
    }
}
