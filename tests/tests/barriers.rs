//! Every reachable state of nodes that meet at a barrier: asking its home, along a tree, and between the two.
//!
//! The shipping machines. A link takes messages in the order sent; links among each other in any order. Threads come when
//! they like. Each state is checked: nobody goes on before as many as the barrier's count have come. And each state at
//! rest: as many as the count don't wait, and one of each round was the serial thread.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::hash::{Hash, Hasher};

use umbel_coherence::{SyncBranches, SyncEffect, SyncHome};
use umbel_wire::sync::{Sync, SyncKey, SyncOp};
use umbel_wire::{NodeId, ThreadId, Token};

const HOME: NodeId = NodeId(0);
const BARRIER: SyncKey = SyncKey(8);

struct Scenario {
    nodes: u16,
    branches: usize,
    count: u32,
    /// The nodes of the threads. The first `count` of them meet once before the search begins.
    threads: &'static [u16],
    /// How often each comes.
    rounds: u32,
    /// One of these may die.
    mortal: &'static [u16],
    /// When nobody waits the barrier may be destroyed, and made again, once.
    is_reset: bool,
    /// Its scope may end.
    is_forgotten: bool,
    /// What is wrong on purpose.
    fault: Option<Fault>,
}

/// What a driver could do wrong: the checks must find it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nodes are not told that a tree is gone.
    Untold,
    /// What comes before its plan is lost.
    Impatient,
    /// A tree that is gone is said to have met once more.
    Boastful,
}

const PLAIN: Scenario = Scenario {
    nodes: 3,
    branches: 1,
    count: 3,
    threads: &[0, 1, 2],
    rounds: 6,
    mortal: &[],
    is_reset: false,
    is_forgotten: false,
    fault: None,
};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Thread {
    node: NodeId,
    left: u32,
    waits: bool,
}

#[derive(Clone, Hash)]
struct World {
    home: SyncHome,
    others: Vec<SyncBranches>,
    links: BTreeMap<(NodeId, NodeId), VecDeque<Sync>>,
    threads: Vec<Thread>,
    lost: Option<NodeId>,
    is_lost_noticed: bool,
    was_reset: bool,
    was_forgotten: bool,
    /// How many have come, gone on, and been the serial thread.
    came: u32,
    went_on: u32,
    serial: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Come(usize),
    Deliver(NodeId, NodeId),
    Lose(NodeId),
    Notice,
    Reset,
    Forget,
}

/// What a search has met.
type Met = BTreeSet<&'static str>;

impl World {
    fn new(scenario: &Scenario) -> Self {
        let thread = |node: &u16| Thread {
            node: NodeId(*node),
            left: scenario.rounds,
            waits: false,
        };
        let mut world = Self {
            home: SyncHome::with_branches(HOME, scenario.branches),
            others: (1..scenario.nodes)
                .map(|rank| SyncBranches::new(NodeId(rank)))
                .collect(),
            links: BTreeMap::new(),
            threads: scenario.threads.iter().map(thread).collect(),
            lost: None,
            is_lost_noticed: false,
            was_reset: false,
            was_forgotten: false,
            came: 0,
            went_on: 0,
            serial: 0,
        };
        world.operate(SyncOp::BarrierInit(scenario.count));
        for thread in 0..scenario.count as usize {
            world.take(scenario, Step::Come(thread), &mut Met::new());
        }
        while let Some(step) = world.deliveries().first() {
            world.take(scenario, *step, &mut Met::new());
        }
        world
    }

    /// The home's thread does something that is answered at once, with 0.
    fn operate(&mut self, op: SyncOp) {
        let mut out = Vec::new();
        let thread = ThreadId::new(HOME, 999);
        self.home
            .on_request(HOME, Token(999), thread, BARRIER, op, &mut out);
        let own = out
            .pop_if(|effect| matches!(effect, SyncEffect::Reply { token, .. } if token.0 == 999));
        let result = own.map(|effect| match effect {
            SyncEffect::Reply { result, .. } => result,
            SyncEffect::Send { .. } => unreachable!("it is a reply"),
        });
        assert_eq!(result, Some(0), "{op:?}");
        self.carry_out(HOME, out);
    }

    fn deliveries(&self) -> Vec<Step> {
        let links = self.links.iter().filter(|(_, queue)| !queue.is_empty());
        links
            .map(|((from, to), _)| Step::Deliver(*from, *to))
            .collect()
    }

    fn is_at_rest(&self, scenario: &Scenario) -> bool {
        self.deliveries().is_empty() && !self.steps(scenario).contains(&Step::Notice)
    }

    fn steps(&self, scenario: &Scenario) -> Vec<Step> {
        let mut steps = self.deliveries();
        for (index, thread) in self.threads.iter().enumerate() {
            let twin = self.threads[..index].contains(thread);
            if !thread.waits && thread.left > 0 && !twin {
                steps.push(Step::Come(index));
            }
        }
        match self.lost {
            None => {
                let mortal = scenario.mortal.iter();
                steps.extend(mortal.map(|rank| Step::Lose(NodeId(*rank))));
            }
            Some(lost) if !self.is_lost_noticed => {
                let link = self.links.get(&(lost, HOME));
                if link.is_none_or(VecDeque::is_empty) {
                    steps.push(Step::Notice);
                }
            }
            Some(_) => {}
        }
        let nobody_waits = self.threads.iter().all(|thread| !thread.waits);
        if scenario.is_reset && !self.was_reset && nobody_waits {
            steps.push(Step::Reset);
        }
        if scenario.is_forgotten && !self.was_forgotten {
            steps.push(Step::Forget);
        }
        steps
    }

    fn take(&mut self, scenario: &Scenario, step: Step, met: &mut Met) {
        match step {
            Step::Come(index) => {
                self.threads[index].waits = true;
                self.threads[index].left -= 1;
                self.came += 1;
                self.come(index, met);
            }
            Step::Deliver(from, to) => {
                let queue = self.links.get_mut(&(from, to));
                let message = queue.and_then(VecDeque::pop_front);
                self.links.retain(|_, queue| !queue.is_empty());
                let message = message.expect("the link was not empty");
                if let Some(message) = self.spoil(scenario.fault, to, message) {
                    self.deliver(from, to, message, met);
                }
            }
            Step::Lose(node) => {
                self.lost = Some(node);
                self.threads.iter_mut().for_each(|thread| {
                    if thread.node == node {
                        (thread.left, thread.waits) = (0, false);
                    }
                });
                self.links.retain(|(_, to), _| *to != node);
            }
            Step::Notice => {
                self.is_lost_noticed = true;
                let mut out = Vec::new();
                let lost = self.lost.expect("one is lost");
                self.home.on_node_lost(lost, &mut out);
                self.carry_out(HOME, out);
            }
            Step::Reset => {
                self.was_reset = true;
                self.operate(SyncOp::BarrierDestroy);
                self.operate(SyncOp::BarrierInit(scenario.count));
            }
            Step::Forget => {
                self.was_forgotten = true;
                let mut out = Vec::new();
                let keys = BARRIER..SyncKey(BARRIER.0 + 1);
                self.home.forget(keys, &mut out);
                self.carry_out(HOME, out);
            }
        }
        let rounds = self.came / scenario.count;
        assert!(
            self.went_on <= rounds * scenario.count,
            "nobody goes on before all have come"
        );
    }

    /// The message as it arrives, if it does.
    fn spoil(&self, fault: Option<Fault>, to: NodeId, message: Sync) -> Option<Sync> {
        let has_part =
            |to: NodeId| to == HOME || self.others[usize::from(to.0) - 1].part_count() > 0;
        match (fault, message) {
            (Some(Fault::Untold), Sync::Dissolved { .. }) => None,
            (Some(Fault::Impatient), Sync::Arrived { .. }) if !has_part(to) => None,
            (Some(Fault::Boastful), Sync::Dissolved { key, plan, rounds }) => {
                let rounds = rounds + 1;
                Some(Sync::Dissolved { key, plan, rounds })
            }
            _ => Some(message),
        }
    }

    fn come(&mut self, index: usize, met: &mut Met) {
        let node = self.threads[index].node;
        let (token, thread) = (Token(index as u64), ThreadId::new(node, index as u64 + 1));
        let op = SyncOp::BarrierWait;
        let mut out = Vec::new();
        if node == HOME {
            self.home
                .on_request(HOME, token, thread, BARRIER, op, &mut out);
        } else {
            let part = &mut self.others[usize::from(node.0) - 1];
            if !part.wait(token, thread, BARRIER, &mut out) {
                if part.part_count() > 0 {
                    met.insert("a thread without a place");
                }
                let message = Sync::Request {
                    token,
                    thread,
                    key: BARRIER,
                    op,
                };
                out.push(SyncEffect::Send { to: HOME, message });
            }
        }
        self.carry_out(node, out);
    }

    fn deliver(&mut self, from: NodeId, to: NodeId, message: Sync, met: &mut Met) {
        let mut out = Vec::new();
        match message {
            Sync::Reply { token, result } => self.answer(token, result),
            Sync::Request {
                token,
                thread,
                key,
                op,
            } => self.home.on_request(from, token, thread, key, op, &mut out),
            Sync::Arrived { key, plan, .. } if to == HOME => {
                self.home.on_arrived(from, key, plan, &mut out);
                if out.is_empty() {
                    met.insert("an arrival that waits, or is old");
                }
            }
            message => {
                let part = &mut self.others[usize::from(to.0) - 1];
                let parts = part.part_count();
                part.on_message(from, message, &mut out);
                let answers = out
                    .iter()
                    .any(|effect| matches!(effect, SyncEffect::Reply { .. }));
                let asks = out.iter().any(|effect| {
                    let SyncEffect::Send { message, .. } = effect else {
                        return false;
                    };
                    matches!(message, Sync::Request { .. })
                });
                match message {
                    Sync::Arrived { .. } if parts == 0 => met.insert("an early arrival"),
                    Sync::Dissolved { .. } if answers => met.insert("a release overtaken"),
                    Sync::Dissolved { .. } if asks => met.insert("waiters that ask after all"),
                    Sync::Released { .. } if answers => met.insert("a round along the tree"),
                    _ => false,
                };
            }
        }
        self.carry_out(to, out);
    }

    fn carry_out(&mut self, node: NodeId, out: Vec<SyncEffect>) {
        for effect in out {
            let (to, message) = match effect {
                SyncEffect::Reply { to, token, result } if to == node => {
                    self.answer(token, result);
                    continue;
                }
                SyncEffect::Reply { to, token, result } => (to, Sync::Reply { token, result }),
                SyncEffect::Send { to, message } => (to, message),
            };
            if self.lost != Some(to) {
                self.links.entry((node, to)).or_default().push_back(message);
            }
        }
    }

    fn answer(&mut self, token: Token, result: i32) {
        let thread = &mut self.threads[token.0 as usize];
        assert!(
            thread.waits || self.lost == Some(thread.node),
            "an answer comes once"
        );
        if result >= 0 && thread.waits {
            self.went_on += 1;
            self.serial += u32::from(result == 1);
        }
        assert!(result >= 0 || self.was_forgotten, "refused: {result}");
        thread.waits = false;
    }

    fn check_at_rest(&self, scenario: &Scenario) {
        let waiting = self.threads.iter().filter(|thread| thread.waits).count();
        if self.was_forgotten {
            assert_eq!(waiting, 0, "a wait that does not end");
            return;
        }
        assert!(
            waiting < scenario.count as usize,
            "{waiting} wait for each other"
        );
        if self.lost.is_none() {
            assert_eq!(self.serial * scenario.count, self.went_on, "serial threads");
        }
    }
}

/// Distinct states, and what was met.
fn search(scenario: &Scenario) -> (usize, Met) {
    let mut met = Met::new();
    let mut found = HashSet::new();
    let key = |world: &World| {
        let mut hasher = DefaultHasher::new();
        world.hash(&mut hasher);
        hasher.finish()
    };
    let first = World::new(scenario);
    found.insert(key(&first));
    let mut level = vec![(first, Vec::new())];
    while !level.is_empty() {
        let mut next_level = Vec::new();
        for (world, way) in level {
            for step in world.steps(scenario) {
                let mut next = world.clone();
                let mut way: Vec<Step> = way.clone();
                way.push(step);
                let told = Told(&way);
                next.take(scenario, step, &mut met);
                if next.is_at_rest(scenario) {
                    next.check_at_rest(scenario);
                }
                std::mem::forget(told);
                if found.insert(key(&next)) {
                    next_level.push((next, way));
                }
            }
            assert!(found.len() < STATES_MAX, "too many states");
        }
        level = next_level;
    }
    (found.len(), met)
}

/// Prints the way to a broken rule.
struct Told<'a>(&'a [Step]);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        eprintln!("broken after {:?}", self.0);
    }
}

const STATES_MAX: usize = 4_000_000;

#[track_caller]
fn check(scenario: &Scenario, states: usize, expected: &[&str]) {
    let (found, met) = search(scenario);
    for path in expected {
        assert!(met.contains(path), "{path} never happened: {met:?}");
    }
    assert_eq!(found, states, "states; met: {met:?}");
}

#[test]
fn nodes_in_a_chain_meet() {
    check(&PLAIN, 159, &["a round along the tree", "an early arrival"]);
    let longer = Scenario {
        nodes: 4,
        count: 4,
        threads: &[0, 1, 2, 3],
        ..PLAIN
    };
    check(
        &longer,
        636,
        &["a round along the tree", "an early arrival"],
    );
}

#[test]
fn threads_of_one_node_meet_there() {
    let scenario = Scenario {
        nodes: 2,
        threads: &[0, 1, 1],
        ..PLAIN
    };
    check(&scenario, 65, &["a round along the tree"]);
}

#[test]
fn a_home_without_threads_of_its_own_has_them_meet() {
    let scenario = Scenario {
        threads: &[1, 1, 2],
        ..PLAIN
    };
    check(&scenario, 122, &["a round along the tree"]);
}

#[test]
fn a_thread_more_than_the_count_has_the_tree_dissolved() {
    let all = [
        "a round along the tree",
        "a thread without a place",
        "a release overtaken",
        "waiters that ask after all",
    ];
    for (threads, rounds, states) in [
        (&[0, 1, 2, 2][..], 4, 24_768),
        (&[1, 1, 2, 0], 4, 11_869),
        (&[0, 1, 2, 1, 2], 3, 143_282),
    ] {
        let scenario = Scenario {
            threads,
            rounds,
            ..PLAIN
        };
        check(&scenario, states, &all);
    }
}

#[test]
fn the_loss_of_a_node_of_the_tree_has_the_others_ask() {
    let scenario = Scenario {
        nodes: 4,
        threads: &[1, 2, 3, 0],
        rounds: 4,
        mortal: &[1, 2],
        ..PLAIN
    };
    let expected = ["a release overtaken", "waiters that ask after all"];
    check(&scenario, 139_412, &expected);
    let broad = Scenario {
        branches: 2,
        ..scenario
    };
    check(&broad, 100_279, &["waiters that ask after all"]);
}

#[test]
fn a_barrier_may_be_made_again_while_its_nodes_have_a_tree() {
    let scenario = Scenario {
        is_reset: true,
        ..PLAIN
    };
    let expected = ["a round along the tree", "waiters that ask after all"];
    check(&scenario, 1532, &expected);
}

#[test]
fn nobody_waits_when_the_scope_has_ended() {
    let scenario = Scenario {
        is_forgotten: true,
        ..PLAIN
    };
    let expected = ["a release overtaken", "waiters that ask after all"];
    check(&scenario, 7963, &expected);
}

/// A search with a fault, which must be found.
fn spoilt(fault: Fault) {
    let scenario = Scenario {
        threads: &[0, 1, 2, 2],
        fault: Some(fault),
        ..PLAIN
    };
    search(&scenario);
}

#[test]
#[should_panic(expected = "wait for each other")]
fn a_tree_that_is_gone_unheard_of_is_found() {
    spoilt(Fault::Untold);
}

#[test]
#[should_panic(expected = "wait for each other")]
fn a_lost_arrival_is_found() {
    spoilt(Fault::Impatient);
}

#[test]
#[should_panic(expected = "nobody goes on before all have come")]
fn a_round_too_many_is_found() {
    spoilt(Fault::Boastful);
}
