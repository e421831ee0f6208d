//! Three machines, random inputs, links that keep order: what a flush promises holds at every step.
//!
//! Word w of an object is written by node w alone, with growing values; so who may read an old value of it is
//! plain to see. A last phase has every node write every word (races): at rest all copies are equal.

mod checks;
mod node;

use std::collections::{BTreeMap, VecDeque};

use node::{Data, Node, Page, Pages};
use umbel_coherence::{Config, Effect, HomeMap, Homes, Machine, Pinned, Policy};
use umbel_wire::{
    Access, Coherence, Consistency, NodeId, ObjectId, Operation, OperationKind, Protocol, Token,
};

const NODES: usize = 3;
const WORDS: usize = NODES;
const HOMES: Homes = Homes {
    objects_per_node_log2: 4,
};
/// Of nodes 0 and 1; the third is sequential, the last tracks writes.
const OBJECTS: [ObjectId; 4] = [ObjectId(1), ObjectId(17), ObjectId(2), ObjectId(18)];
const SEQUENTIAL: ObjectId = OBJECTS[2];
const TRACKED: ObjectId = OBJECTS[3];
const SEEDS: u64 = 400;
const STEPS: usize = 1500;

struct Cluster {
    nodes: Vec<Node>,
    links: BTreeMap<(usize, usize), VecDeque<Coherence<Data>>>,
    /// What was flushed: any copy has at least this.
    visible: BTreeMap<(ObjectId, usize), u64>,
    /// The last stores to the sequential object.
    newest: [u64; WORDS],
    value: u64,
    random: u64,
    has_races: bool,
    /// Whether effects of several messages may wait for one another.
    gathers: bool,
    flushes_often: bool,
    trace: Vec<String>,
}

impl Cluster {
    fn new(seed: u64, protocol: Option<Protocol>, minimum_hold: bool) -> Self {
        let forwards = seed % 4 != 1;
        let node = |rank: usize| {
            let mut pages = BTreeMap::new();
            let mut policies = BTreeMap::new();
            for object in OBJECTS {
                let is_home = usize::from(HOMES.home(object).0) == rank;
                let page = Page {
                    view: is_home.then_some(Access::Write),
                    ..Page::default()
                };
                pages.insert(object, page);
                let consistency = match object == SEQUENTIAL {
                    true => Consistency::Sequential,
                    false => Consistency::Weak,
                };
                let policy = Policy {
                    consistency,
                    protocol,
                    operations: true,
                };
                policies.insert(object, policy);
            }
            Node {
                machine: Machine::new(Config {
                    node: NodeId(rank as u16),
                    homes: HOMES,
                    node_count: NODES as u16,
                    minimum_hold,
                    forwards,
                }),
                memory: Pages { pages, policies },
                outbox: VecDeque::new(),
                resumes: VecDeque::new(),
                operations: VecDeque::new(),
                gathers_from: None,
                early: Vec::new(),
                taken_up: VecDeque::new(),
                holds: Vec::new(),
                pins: Vec::new(),
                written: BTreeMap::new(),
                flushes: BTreeMap::new(),
                operated: BTreeMap::new(),
                tokens: 0,
                waiting: 0,
            }
        };
        Self {
            nodes: (0..NODES).map(node).collect(),
            links: BTreeMap::new(),
            visible: BTreeMap::new(),
            newest: [0; WORDS],
            value: 0,
            random: seed | 1,
            has_races: false,
            gathers: seed.is_multiple_of(2),
            flushes_often: seed % 16 < 6,
            trace: Vec::new(),
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn input(
        &mut self,
        rank: usize,
        what: String,
        f: impl FnOnce(&mut Machine<Homes>, &mut Pages, &mut Vec<Effect<Data>>),
    ) {
        let node = &mut self.nodes[rank];
        node.gathers_from = None;
        let mut out = Vec::new();
        f(&mut node.machine, &mut node.memory, &mut out);
        self.trace.push(format!("node {rank}: {what} -> {out:?}"));
        node.outbox.extend(out);
    }

    /// Carries out one effect, or what follows the last one.
    fn carry_out(&mut self, rank: usize) {
        self.nodes[rank].gathers_from = None;
        let Some(effect) = self.nodes[rank].outbox.pop_front() else {
            if let Some((from, message)) = self.nodes[rank].taken_up.pop_front() {
                self.take(rank, from, message);
            } else if let Some(object) = self.nodes[rank].resumes.front().copied() {
                if self.nodes[rank].machine.flushes_when_resumed(object) && self.below(2) == 0 {
                    return self.send_some(rank);
                }
                self.nodes[rank].resumes.pop_front();
                self.input(
                    rank,
                    format!("resumed {object:?}"),
                    |machine, memory, out| {
                        machine.on_resumed(object, memory, out);
                    },
                );
            } else if let Some((object, from, token, operation)) =
                self.nodes[rank].operations.pop_front()
            {
                let word = usize::from(operation.offset) / 8;
                let page = self.nodes[rank]
                    .memory
                    .pages
                    .get_mut(&object)
                    .expect("known");
                let result = page.bytes[word];
                page.bytes[word] = operation.operand.max(result);
                self.newest[word] = page.bytes[word];
                self.input(rank, "operated".into(), |machine, memory, out| {
                    machine.on_operated(object, from, token, result, memory, out);
                });
            }
            return;
        };
        let node = &mut self.nodes[rank];
        match effect {
            Effect::Send { to, message } => {
                let sealed = message.seal(|object| {
                    // What was not flushed must not leave in any other way.
                    let page = &node.memory.pages[&object];
                    let bytes = page.twin.unwrap_or(page.bytes);
                    bytes.into_iter().enumerate().collect()
                });
                self.links
                    .entry((rank, usize::from(to.0)))
                    .or_default()
                    .push_back(sealed);
            }
            Effect::Store { object, data } => {
                let page = node.memory.pages.get_mut(&object).expect("known");
                assert_eq!(page.twin, None, "no twin where bytes are stored");
                for (word, value) in data {
                    page.bytes[word] = value;
                }
            }
            Effect::Twin { object } => {
                let page = node.memory.pages.get_mut(&object).expect("known");
                assert_eq!(page.twin, None, "one twin");
                page.twin = Some(page.bytes);
            }
            Effect::DropTwin { object } => {
                let page = node.memory.pages.get_mut(&object).expect("known");
                assert!(page.twin.is_some(), "there is a twin");
                page.twin = None;
            }
            Effect::Merge { object, diff } => {
                let page = node.memory.pages.get_mut(&object).expect("known");
                for (word, value) in diff {
                    let Some(twin) = &mut page.twin else {
                        page.bytes[word] = value;
                        continue;
                    };
                    if page.bytes[word] == twin[word] {
                        page.bytes[word] = value;
                    }
                    twin[word] = value;
                }
            }
            Effect::SetAccess { object, access } => {
                node.memory.pages.get_mut(&object).expect("known").view = access;
            }
            Effect::Wake { object } => {
                node.memory.pages.get_mut(&object).expect("known").waits = None;
            }
            Effect::Hold { object } => node.holds.push(object),
            Effect::Resume { object } => node.resumes.push_back(object),
            Effect::Postpone { from, message } => node.early.push((from, message)),
            Effect::TakeUp { object } => {
                let is_it = |early: &mut (_, Coherence<_>)| early.1.object() == object;
                node.taken_up.extend(node.early.extract_if(.., is_it));
            }
            Effect::Operate {
                object,
                from,
                token,
                operation,
            } => {
                node.operations.push_back((object, from, token, operation));
            }
            Effect::Flushed { token } => {
                let promised = node.flushes.remove(&token).expect("asked for once");
                for (place, value) in promised {
                    let visible = self.visible.entry(place).or_default();
                    *visible = value.max(*visible);
                }
            }
            Effect::Operated { token, result } => {
                node.waiting -= 1;
                let word = node.operated.remove(&token).expect("asked for once");
                self.check_announced(rank, word, result);
            }
            Effect::Strengthened { .. } => node.waiting -= 1,
            Effect::Retire { .. } | Effect::Reclaimed { .. } => {}
        }
        self.check();
    }

    /// Fails; what happened is shown.
    fn fail(&self, why: &str) -> ! {
        panic!("{why}");
    }

    fn deliver(&mut self, from: usize, to: usize) {
        let Some(message) = self.links.entry((from, to)).or_default().pop_front() else {
            return;
        };
        self.take(to, NodeId(from as u16), message);
        self.nodes[to].gathers_from = Some(from);
    }

    fn take(&mut self, to: usize, from: NodeId, message: Coherence<Data>) {
        let what = format!("from {} {message:?}", from.0);
        let mut failed = None;
        self.input(to, what, |machine, memory, out| {
            if let Err(violation) = machine.on_message(from, message, memory, out) {
                failed = Some(violation);
            }
        });
        if let Some(violation) = failed {
            self.fail(&violation.to_string());
        }
    }

    fn store(&mut self, rank: usize, object: ObjectId, word: usize) {
        self.value += 1;
        let value = self.value;
        let node = &mut self.nodes[rank];
        node.memory.pages.get_mut(&object).expect("known").bytes[word] = value;
        self.trace.push(format!(
            "node {rank}: stores {value} in {word} of {object:?}"
        ));
        if object == SEQUENTIAL {
            self.newest[word] = value;
        } else {
            node.written.insert((object, value as usize), value);
        }
    }

    fn step(&mut self, protocols: &[Protocol], may_end: bool) {
        let rank = self.below(NODES);
        if self.nodes[rank].is_busy() {
            if self.gathers && self.nodes[rank].gathers_from.is_some() && self.below(4) > 0 {
                self.gather(rank);
            }
            return self.go_on(rank);
        }
        if self.flushes_often && self.below(3) == 0 {
            // A copy that is not written soon becomes clean.
            return self.flush(rank);
        }
        let object = OBJECTS[self.below(OBJECTS.len())];
        let is_home = usize::from(HOMES.home(object).0) == rank;
        match self.below(27) {
            0..=8 => {
                let other = self.below(NODES);
                self.deliver(other, rank);
            }
            9..=14 => {
                let access = if self.below(2) == 0 {
                    Access::Read
                } else {
                    Access::Write
                };
                let page = self.nodes[rank]
                    .memory
                    .pages
                    .get_mut(&object)
                    .expect("known");
                if page.view >= Some(Access::Write) {
                    let word = if self.has_races {
                        self.below(WORDS)
                    } else {
                        rank
                    };
                    return self.store(rank, object, word);
                }
                if page.view < Some(access) {
                    page.waits = page.waits.max(Some(access));
                    self.input(
                        rank,
                        format!("fault {access:?} {object:?}"),
                        |machine, memory, out| machine.on_fault(object, access, memory, out),
                    );
                }
            }
            15 | 16 => self.flush(rank),
            17 | 18 if !is_home => {
                self.input(rank, format!("evict {object:?}"), |machine, memory, out| {
                    machine.evict(object, memory, out);
                })
            }
            19 if !is_home => {
                let access = [Access::Read, Access::Write][self.below(2)];
                let what = format!("prefetch {access:?} {object:?}");
                self.input(rank, what, |machine, _, out| {
                    machine.prefetch(object, access, out);
                })
            }
            26 => self.input(
                rank,
                format!("write ahead {object:?}"),
                |machine, memory, out| {
                    machine.write_ahead(object, memory, out);
                },
            ),
            20 if !self.nodes[rank].holds.is_empty() => {
                let object = self.nodes[rank].holds.remove(0);
                self.input(
                    rank,
                    format!("hold expired {object:?}"),
                    |machine, memory, out| machine.on_hold_expired(object, memory, out),
                );
            }
            21 if !protocols.is_empty() && is_home => {
                let protocol = protocols[self.below(protocols.len())];
                self.input(
                    rank,
                    format!("protocol {protocol:?}"),
                    |machine, memory, out| machine.set_protocol(object, protocol, memory, out),
                );
            }
            22 if !is_home && object == SEQUENTIAL && self.below(3) == 0 => {
                self.nodes[rank].tokens += 1;
                self.nodes[rank].waiting += 1;
                self.value += 1;
                let token = Token(self.nodes[rank].tokens);
                let word = self.below(NODES);
                let operation = Operation {
                    offset: (word * 8) as u16,
                    width: 8,
                    kind: OperationKind::Add,
                    operand: if word == rank { self.value } else { 0 },
                    expected: 0,
                };
                self.nodes[rank].operated.insert(token, word);
                self.input(rank, "operate".into(), |machine, memory, out| {
                    machine.operate(object, token, operation, memory, out)
                });
            }
            23 if may_end && self.below(20) == 0 => {
                self.nodes[rank].tokens += 1;
                self.nodes[rank].waiting += 1;
                let token = Token(self.nodes[rank].tokens);
                self.input(
                    rank,
                    format!("strengthen {object:?}"),
                    |machine, memory, out| machine.strengthen(object, token, memory, out),
                );
            }
            24 => self.pin(rank, object),
            25 if !self.nodes[rank].pins.is_empty() => self.unpin(rank),
            _ => {}
        }
    }

    fn flush(&mut self, rank: usize) {
        let node = &mut self.nodes[rank];
        node.tokens += 1;
        let token = Token(node.tokens);
        let mut promised: BTreeMap<(ObjectId, usize), u64> = BTreeMap::new();
        for ((object, _), value) in &node.written {
            let seen = promised.entry((*object, rank)).or_default();
            *seen = value.max(seen).to_owned();
        }
        node.flushes.insert(token, promised);
        if self.below(2) == 0 {
            return self.input(rank, "flush".into(), |machine, memory, out| {
                machine.flush(&[(token, None)], memory, out)
            });
        }
        let node = &mut self.nodes[rank];
        let units = node.machine.units_to_flush(&mut node.memory);
        for part in units.chunks(1 + self.below(2)) {
            self.input(rank, format!("send {part:?}"), |machine, memory, out| {
                machine.send_written(part, memory, out)
            });
            while self.nodes[rank].is_busy() {
                self.go_on(rank);
            }
        }
        self.input(rank, "await flushes".into(), |machine, memory, out| {
            machine.await_flushes(&[(token, None)], memory, out)
        });
    }

    /// Begins a flush with some of what was written.
    fn send_some(&mut self, rank: usize) {
        let node = &mut self.nodes[rank];
        let mut units = node.machine.units_to_flush(&mut node.memory);
        units.truncate(self.below(units.len() + 1));
        self.input(rank, format!("send {units:?}"), |machine, memory, out| {
            machine.send_written(&units, memory, out)
        });
    }

    /// Carries out an effect, or stores something: threads run between any two effects.
    fn go_on(&mut self, rank: usize) {
        if self.below(4) > 0 {
            return self.carry_out(rank);
        }
        let object = OBJECTS[self.below(OBJECTS.len())];
        if self.nodes[rank].memory.pages[&object].view == Some(Access::Write) {
            let word = if self.has_races {
                self.below(WORDS)
            } else {
                rank
            };
            self.store(rank, object, word);
        }
    }

    /// What only lowers rights and is answered, or brings what nobody waits for, may come before the effects of others of
    /// its kind were carried out.
    fn gather(&mut self, rank: usize) {
        let Some(from) = self.nodes[rank].gathers_from else {
            return;
        };
        let waits = self.nodes[rank].waits_for_more();
        let next = self.links.get(&(from, rank)).and_then(|link| link.front());
        let can_wait = matches!(
            next,
            Some(
                Coherence::Get { .. }
                    | Coherence::Grant { .. }
                    | Coherence::Recall { .. }
                    | Coherence::Invalidate { .. }
            )
        );
        if waits && can_wait {
            self.deliver(from, rank);
        }
    }

    /// Pins what a thread can use now.
    fn pin(&mut self, rank: usize, object: ObjectId) {
        let node = &mut self.nodes[rank];
        let Some(access) = node.memory.pages[&object].view else {
            return;
        };
        if node.machine.pin(object, access, &node.memory) == Pinned::Held {
            node.pins.push((object, access));
            self.trace
                .push(format!("node {rank}: pins {object:?} for {access:?}"));
        }
    }

    fn unpin(&mut self, rank: usize) {
        let (object, _) = self.nodes[rank].pins.remove(0);
        self.input(rank, format!("unpin {object:?}"), |machine, memory, out| {
            machine.on_hold_expired(object, memory, out)
        });
    }
}

fn run(name: &str, protocol: Option<Protocol>, protocols: &[Protocol], minimum_hold: bool) {
    for seed in 0..SEEDS {
        let result = std::panic::catch_unwind(|| {
            let mut cluster = Cluster::new(seed * 0x9e37_79b9 + 1, protocol, minimum_hold);
            for step in 0..STEPS {
                cluster.step(protocols, seed % 3 == 0 && step > STEPS / 2);
            }
            cluster.rest();
            cluster.has_races = true;
            for _ in 0..STEPS / 2 {
                cluster.step(protocols, false);
            }
            cluster.rest();
            cluster.flush_all();
            cluster.check_equal();
        });
        assert!(result.is_ok(), "{name}: seed {seed}");
    }
}

const ALL: [Protocol; 5] = [
    Protocol::Invalidate,
    Protocol::Migratory,
    Protocol::ReadOnly,
    Protocol::Update,
    Protocol::Remote,
];

#[test]
fn a_flush_keeps_its_promise_under_every_protocol() {
    for protocol in ALL {
        run("fixed", Some(protocol), &[], false);
    }
}

#[test]
fn a_flush_keeps_its_promise_while_protocols_change() {
    run("changing", Some(Protocol::Invalidate), &ALL, true);
    run("auto", None, &[], false);
    run("auto, holds", None, &[], true);
}

/// Whatever fails, what happened until then is shown.
impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for line in &self.trace {
                eprintln!("{line}");
            }
        }
    }
}
