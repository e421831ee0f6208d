//! How a job grows, by counting: messages, the longest chain of them, what is looked at, and bytes of bookkeeping.
//!
//! The shipping machines, up to a thousand of them, on links that take each message in the order sent. A message is one
//! link later than the latest thing that caused it: what a wait costs is the number of links from its fault to its wake.

use std::collections::{BTreeSet, VecDeque};

use umbel_coherence::{
    Config, Effect, Homes, Machine, Memory, Policy, SyncBranches, SyncEffect, SyncHome,
};
use umbel_wire::sync::{Sync, SyncKey, SyncOp};
use umbel_wire::{Access, Coherence, Consistency, NodeId, ObjectId, Protocol, ThreadId, Token};

const HOMES: Homes = Homes {
    objects_per_node_log2: 32,
};

/// One node's objects: all of one kind; those in `written` were stored to.
struct Objects {
    consistency: Consistency,
    written: BTreeSet<ObjectId>,
    looked_at: usize,
}

impl Memory<()> for Objects {
    fn policy(&self, _: ObjectId) -> Policy {
        Policy {
            consistency: self.consistency,
            protocol: Some(Protocol::Invalidate),
            operations: false,
        }
    }

    fn exists(&self, _: ObjectId) -> bool {
        true
    }

    fn tracks_writes(&self, _: ObjectId) -> bool {
        false
    }

    fn take_diff(&mut self, object: ObjectId) -> Option<()> {
        self.looked_at += 1;
        self.written.remove(&object).then_some(())
    }

    fn differs(&self, _: ObjectId, (): &()) -> bool {
        true
    }
}

struct Node {
    machine: Machine<Homes>,
    objects: Objects,
    early: Vec<(NodeId, Coherence<()>)>,
}

/// What happened since it was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    messages: usize,
    /// Links from the first input to the last wake, or to the last answer to a flush.
    links: usize,
}

struct Job {
    nodes: Vec<Node>,
    /// From, to, how many links behind the first input.
    under_way: VecDeque<(NodeId, NodeId, Coherence<()>, usize)>,
    counts: Counts,
}

impl Job {
    fn new(node_count: u16, consistency: Consistency) -> Self {
        let node = |rank| Node {
            machine: Machine::new(Config {
                node: NodeId(rank),
                homes: HOMES,
                node_count,
                minimum_hold: false,
                forwards: true,
            }),
            objects: Objects {
                consistency,
                written: BTreeSet::new(),
                looked_at: 0,
            },
            early: Vec::new(),
        };
        Self {
            nodes: (0..node_count).map(node).collect(),
            under_way: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// A thread's access, and all that follows from it.
    fn fault(&mut self, rank: u16, object: ObjectId, access: Access) -> Counts {
        self.input(rank, 0, |node, out| {
            node.machine
                .on_fault(object, access, &mut node.objects, out);
        });
        self.rest()
    }

    /// A thread stores to a copy that it may write.
    fn store(&mut self, rank: u16, object: ObjectId) {
        self.fault(rank, object, Access::Write);
        self.nodes[usize::from(rank)].objects.written.insert(object);
    }

    /// A release for all who may hear of it.
    fn release(&mut self, rank: u16) -> Counts {
        self.input(rank, 0, |node, out| {
            let asked = [(Token(1), None)];
            node.machine.flush(&asked, &mut node.objects, out);
        });
        self.rest()
    }

    fn rest(&mut self) -> Counts {
        while let Some((from, to, message, links)) = self.under_way.pop_front() {
            self.input(to.0, links, |node, out| {
                node.machine
                    .on_message(from, message, &mut node.objects, out)
                    .expect("every message is expected");
            });
        }
        std::mem::take(&mut self.counts)
    }

    fn input(
        &mut self,
        rank: u16,
        links: usize,
        input: impl FnOnce(&mut Node, &mut Vec<Effect<()>>),
    ) {
        let node = &mut self.nodes[usize::from(rank)];
        let mut out = Vec::new();
        input(node, &mut out);
        for effect in out {
            match effect {
                Effect::Send { to, message } => {
                    self.counts.messages += 1;
                    let sealed = message.seal(|_| ());
                    self.under_way
                        .push_back((NodeId(rank), to, sealed, links + 1));
                }
                Effect::Wake { .. } | Effect::Flushed { .. } => {
                    self.counts.links = self.counts.links.max(links);
                }
                Effect::Postpone { from, message } => node.early.push((from, message)),
                Effect::TakeUp { .. } | Effect::Resume { .. } | Effect::Operate { .. } => {
                    panic!("nothing here crosses: {effect:?}")
                }
                _ => {}
            }
        }
    }
}

/// Objects of node 0 that nodes 1 and 2 have read: each has a directory entry and two copies.
fn with_shared(node_count: u16, consistency: Consistency, object_count: u64) -> Job {
    let mut job = Job::new(node_count, consistency);
    for object in (1..=object_count).map(ObjectId) {
        for reader in 1..node_count.min(3) {
            job.fault(reader, object, Access::Read);
        }
    }
    job
}

const TARGET: ObjectId = ObjectId(0);
const BOTH: [Consistency; 2] = [Consistency::Sequential, Consistency::Weak];

#[test]
fn a_miss_takes_two_messages_or_three_whatever_the_number_of_nodes_and_objects() {
    for consistency in BOTH {
        for (node_count, object_count) in [(3, 1), (16, 1000), (1000, 10), (3, 100_000)] {
            for access in [Access::Read, Access::Write] {
                let mut job = with_shared(node_count, consistency, object_count);
                let from_home = job.fault(1, TARGET, Access::Write);
                let forwarded = job.fault(node_count - 1, TARGET, access);
                let expected = |messages, links| Counts { messages, links };
                assert_eq!(from_home, expected(2, 2), "{node_count} nodes");
                // Recalled is beside the way to the requester.
                assert_eq!(forwarded, expected(4, 3), "{node_count} nodes");
            }
        }
    }
}

#[test]
fn invalidating_copies_takes_one_message_each_at_once_and_its_answer() {
    for sharers in [1, 15, 998] {
        let mut job = Job::new(sharers + 2, Consistency::Sequential);
        for reader in 1..=sharers {
            job.fault(reader, TARGET, Access::Read);
        }
        let counts = job.fault(sharers + 1, TARGET, Access::Write);
        let expected = Counts {
            messages: 2 + 2 * usize::from(sharers),
            links: 4,
        };
        assert_eq!(counts, expected, "{sharers} sharers");
    }
}

#[test]
fn a_release_costs_what_is_dirty_and_an_acquire_nothing_whatever_is_cached() {
    for cached in [10, 10_000] {
        for dirty in [0, 1, 10] {
            let mut job = with_shared(4, Consistency::Weak, cached);
            for object in (1..=dirty).map(ObjectId) {
                job.store(1, object);
            }
            let counts = job.release(1);
            // Flush and Flushed; Invalidate and Invalidated of the other reader.
            assert_eq!(counts.messages, 4 * dirty as usize, "{cached} cached");
            assert_eq!(counts.links, if dirty == 0 { 0 } else { 4 });
            assert_eq!(job.nodes[1].objects.looked_at, dirty as usize);
            assert_eq!(job.release(1).messages, 0, "nothing was written since");
        }
    }
}

/// Messages that pass a link while threads of `ranks` run `op` at a home of rank 0, one after the other.
fn sync_messages(home: &mut SyncHome, ranks: &[u16], op: SyncOp) -> usize {
    let mut count = 0;
    for rank in ranks {
        let mut out = Vec::new();
        let (node, token) = (NodeId(*rank), Token(u64::from(*rank)));
        let thread = ThreadId(token.0 + 1);
        home.on_request(node, token, thread, SyncKey(8), op, &mut out);
        let replies = out.iter().filter(|effect| match effect {
            // Who unlocks does not wait for an answer.
            SyncEffect::Reply { to, .. } => {
                to.0 != 0 && !(op == SyncOp::MutexUnlock && *to == node)
            }
            SyncEffect::Send { .. } => true,
        });
        count += usize::from(*rank != 0) + replies.count();
    }
    count
}

#[test]
fn a_mutex_changes_hands_with_three_messages() {
    let mut home = SyncHome::new(NodeId(0));
    sync_messages(&mut home, &[0], SyncOp::MutexInit);
    for node in 1..1000 {
        let taken = sync_messages(&mut home, &[node], SyncOp::MutexLock);
        let given = sync_messages(&mut home, &[node], SyncOp::MutexUnlock);
        assert_eq!(taken + given, 3, "request, reply, unlock");
    }
    sync_messages(&mut home, &[1], SyncOp::MutexLock);
    let waits = sync_messages(&mut home, &[2], SyncOp::MutexLock);
    let handed_on = sync_messages(&mut home, &[1], SyncOp::MutexUnlock);
    assert_eq!(waits + handed_on, 3, "the unlock's other end is the reply");
}

/// Nodes with threads that meet at a barrier of the first.
struct Meeting {
    home: SyncHome,
    others: Vec<SyncBranches>,
    /// Sender, receiver, how many links behind the last to arrive.
    under_way: VecDeque<(NodeId, NodeId, Sync, usize)>,
    counts: Counts,
    released: usize,
}

const BARRIER: SyncKey = SyncKey(8);

impl Meeting {
    fn new(node_count: u16, threads: u32) -> Self {
        let mut home = SyncHome::new(NodeId(0));
        let init = SyncOp::BarrierInit(u32::from(node_count) * threads);
        home.on_request(
            NodeId(0),
            Token(0),
            ThreadId(1),
            BARRIER,
            init,
            &mut Vec::new(),
        );
        Self {
            home,
            others: (1..node_count)
                .map(|rank| SyncBranches::new(NodeId(rank)))
                .collect(),
            under_way: VecDeque::new(),
            counts: Counts::default(),
            released: 0,
        }
    }

    /// Everybody comes once. What that costs.
    fn meet(&mut self, threads: u32) -> Counts {
        let node_count = self.others.len() as u16 + 1;
        self.released = 0;
        for thread in 0..threads {
            for rank in 0..node_count {
                let node = NodeId(rank);
                let token = Token(u64::from(thread) << 16 | u64::from(rank));
                let thread = ThreadId(token.0 + 1);
                let op = SyncOp::BarrierWait;
                let mut out = Vec::new();
                match rank {
                    0 => self
                        .home
                        .on_request(node, token, thread, BARRIER, op, &mut out),
                    _ => {
                        let part = &mut self.others[usize::from(rank) - 1];
                        if !part.wait(token, thread, BARRIER, &mut out) {
                            let message = Sync::Request {
                                token,
                                thread,
                                key: BARRIER,
                                op,
                            };
                            let to = NodeId(0);
                            out.push(SyncEffect::Send { to, message });
                        }
                    }
                }
                self.carry_out(node, out, 0);
            }
        }
        while let Some((from, to, message, links)) = self.under_way.pop_front() {
            let mut out = Vec::new();
            match (to.0, message) {
                (
                    0,
                    Sync::Request {
                        token,
                        thread,
                        key,
                        op,
                    },
                ) => self.home.on_request(from, token, thread, key, op, &mut out),
                (0, Sync::Arrived { key, plan, .. }) => {
                    self.home.on_arrived(from, key, plan, &mut out);
                }
                (_, Sync::Reply { .. }) => self.released += 1,
                (rank, message) => {
                    self.others[usize::from(rank) - 1].on_message(from, message, &mut out);
                }
            }
            self.carry_out(to, out, links);
        }
        std::mem::take(&mut self.counts)
    }

    fn carry_out(&mut self, node: NodeId, out: Vec<SyncEffect>, links: usize) {
        for effect in out {
            let (to, message) = match effect {
                SyncEffect::Reply { to, .. } if to == node => {
                    self.released += 1;
                    continue;
                }
                SyncEffect::Reply { to, token, result } => (to, Sync::Reply { token, result }),
                SyncEffect::Send { to, message } => (to, message),
            };
            self.counts.messages += 1;
            self.counts.links = self.counts.links.max(links + 1);
            self.under_way.push_back((node, to, message, links + 1));
        }
    }
}

#[test]
fn a_barrier_takes_two_messages_for_each_node_but_its_home_and_is_as_deep_as_a_tree() {
    // Down a tree of four branches and up again, but the last edge is taken both ways at once.
    for (node_count, links) in [(2, 1), (5, 2), (6, 3), (16, 4), (64, 6), (1000, 10)] {
        for threads in [1, 3] {
            let mut meeting = Meeting::new(node_count, threads);
            let all = usize::from(node_count) * threads as usize;
            let others = usize::from(node_count) - 1;
            let first = meeting.meet(threads);
            assert_eq!(first.messages, 2 * others * threads as usize, "to the home");
            // The home tells the tree.
            meeting.meet(threads);
            assert_eq!(meeting.released, all);
            for _ in 0..3 {
                let expected = Counts {
                    messages: 2 * others,
                    links,
                };
                assert_eq!(meeting.meet(threads), expected, "{node_count} nodes");
                assert_eq!(meeting.released, all);
            }
        }
    }
}

/// Resident bytes of this process.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages = status
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok());
    pages.map_or(0, |pages: usize| pages * 4096)
}

/// Prints figures: `cargo test --release -p umbel-tests --test growth figures -- --ignored --nocapture`.
#[test]
#[ignore = "measures; some GB for 10^7 objects"]
fn figures() {
    for count in [10_000_u64, 100_000, 1_000_000, 10_000_000] {
        let mut job = Job::new(3, Consistency::Weak);
        let before = resident_bytes();
        for object in 0..count {
            job.fault(1, ObjectId(object), Access::Read);
        }
        let bytes = resident_bytes().saturating_sub(before);
        let start = std::time::Instant::now();
        const LOOKUPS: u64 = 1_000_000;
        let mut found = 0;
        for lookup in 0..LOOKUPS {
            // Far apart, as the objects of a hash table are.
            let object = ObjectId(lookup.wrapping_mul(0x9e37_79b9_7f4a_7c15) % count);
            found += u64::from(job.nodes[0].machine.entry(object).is_some());
        }
        assert_eq!(found, LOOKUPS);
        println!(
            "{count:>9} objects, 1 sharer each: {:>4} bytes each at home and sharer together, {:>4} ns a lookup",
            bytes as u64 / count,
            start.elapsed().as_nanos() as u64 / LOOKUPS,
        );
    }
}
