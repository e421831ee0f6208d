//! Barrier: lets its count of threads go on together, again and again.
//!
//! At first every thread asks the home. When the same nodes have met with the same numbers of threads a few times,
//! and a tree has less to send or is less deep at the home, the home makes a *plan* ([`Tree`]): from then on
//! threads wait at their nodes ([`super::branches`]), and each node sends one message up and one down:
//!
//! ```text
//! home    ─ threads here, and Arrived of all branches ─► Released to the branches
//! node    ─ threads here, and Arrived of all branches ─► Arrived to the parent ··· Released ─► threads, branches
//! ```
//!
//! A plan is a guess. A thread that it has no place for asks the home, which then dissolves it: the nodes are told, and
//! those that wait there ask the home after all. That is enough: the numbers of a plan add up to the barrier's count, so
//! if as many have arrived, either each has its place or one has none. Nobody waits for a time to pass.
//!
//! `Dissolved` says how often all have met along the tree, and so is the release of a round, too, if it
//! overtakes that; what was sent along the tree before and comes later names a plan that is gone. The loss of a node of a plan dissolves it.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use umbel_wire::NodeId;
use umbel_wire::sync::{Branches, Sync, SyncKey};

use super::errno::{EAGAIN, EINVAL};
use super::{Errno, Outcome, SyncEffect, Waiter};
use crate::limits;

/// What the last thread to arrive gets: PTHREAD_BARRIER_SERIAL_THREAD, made positive for the reply.
pub(super) const SERIAL_THREAD: i32 = 1;

/// What a barrier must know of its home.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ground {
    /// The home.
    pub(super) node: NodeId,
    /// Branches of a node; at most what a plan has room for.
    pub(super) branches_max: usize,
    /// The number of the newest plan.
    pub(super) last_plan: u64,
}

/// Invariant: fewer than `count` threads have arrived.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Barrier {
    count: u32,
    /// Those that have asked here. While there is a tree, they are threads of the home.
    arrived: Vec<Waiter>,
    tree: Option<Tree>,
    habit: Habit,
}

/// Along what the nodes meet, as far as the home must know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Tree {
    plan: u64,
    /// All nodes but the home.
    nodes: Vec<NodeId>,
    /// How many threads of the home meet.
    own: u32,
    branches: Vec<NodeId>,
    /// Branches below which all have arrived.
    came: BTreeSet<NodeId>,
    rounds: u64,
}

/// Who met the last times.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Habit {
    /// Nodes, and the numbers of their threads.
    last: Vec<(NodeId, u32)>,
    /// How often in a row.
    same: u32,
    /// Plans that did not hold.
    failed: u32,
}

impl Barrier {
    pub(super) fn new(count: u32) -> Result<Self, Errno> {
        match count as usize {
            0 => Err(EINVAL),
            // That many threads could never be waiting.
            count if count > limits::WAITERS_PER_OBJECT_MAX => Err(EAGAIN),
            _ => Ok(Self {
                count,
                arrived: Vec::new(),
                tree: None,
                habit: Habit::default(),
            }),
        }
    }

    /// Whether threads wait, as far as the home knows.
    pub(super) fn is_busy(&self) -> bool {
        let came = self.tree.as_ref().is_some_and(|tree| !tree.came.is_empty());
        came || !self.arrived.is_empty()
    }

    pub(super) fn wait(
        &mut self,
        caller: Waiter,
        key: SyncKey,
        ground: &mut Ground,
        out: &mut Vec<SyncEffect>,
    ) -> Result<Outcome, Errno> {
        if let Some(tree) = &self.tree {
            if caller.node == ground.node && self.arrived.len() < tree.own as usize {
                self.arrived.push(caller);
                self.release_along_tree(key, out);
                return Ok(Outcome::Waits);
            }
            self.dissolve(key, out);
            self.habit.failed = self.habit.failed.saturating_add(1);
        }
        if self.arrived.len() + 1 < self.count as usize {
            self.arrived.push(caller);
            return Ok(Outcome::Waits);
        }
        // Nodes hear of the plan first: their threads may come again at once.
        self.consider_tree(caller, key, ground, out);
        for waiter in self.arrived.drain(..) {
            waiter.reply(0, out);
        }
        Ok(Outcome::Done(SERIAL_THREAD))
    }

    /// All below that branch have arrived.
    pub(super) fn on_arrived(
        &mut self,
        from: NodeId,
        key: SyncKey,
        plan: u64,
        out: &mut Vec<SyncEffect>,
    ) {
        if let Some(tree) = self.tree.as_mut().filter(|tree| tree.plan == plan)
            && tree.branches.contains(&from)
        {
            tree.came.insert(from);
            self.release_along_tree(key, out);
        }
    }

    /// The nodes meet here again; who waits elsewhere will ask.
    pub(super) fn dissolve(&mut self, key: SyncKey, out: &mut Vec<SyncEffect>) {
        let Some(tree) = self.tree.take() else {
            return;
        };
        self.habit.same = 0;
        let message = Sync::Dissolved {
            key,
            plan: tree.plan,
            rounds: tree.rounds,
        };
        let told = tree.nodes.into_iter();
        out.extend(told.map(|to| SyncEffect::Send { to, message }));
    }

    pub(super) fn into_waiters(self) -> Vec<Waiter> {
        self.arrived
    }

    /// The others wait on: their count cannot be reached unless a thread comes twice.
    pub(super) fn on_node_lost(&mut self, node: NodeId, key: SyncKey, out: &mut Vec<SyncEffect>) {
        if let Some(tree) = &mut self.tree
            && tree.nodes.contains(&node)
        {
            tree.nodes.retain(|other| *other != node);
            self.dissolve(key, out);
        }
        self.arrived.retain(|waiter| waiter.node != node);
    }

    fn release_along_tree(&mut self, key: SyncKey, out: &mut Vec<SyncEffect>) {
        let Some(tree) = &mut self.tree else {
            return;
        };
        if self.arrived.len() < tree.own as usize || tree.came.len() < tree.branches.len() {
            return;
        }
        tree.rounds += 1;
        tree.came.clear();
        let message = Sync::Released {
            key,
            plan: tree.plan,
        };
        let branches = tree.branches.iter();
        out.extend(branches.map(|to| SyncEffect::Send { to: *to, message }));
        let last = self.arrived.pop();
        for waiter in self.arrived.drain(..) {
            waiter.reply(0, out);
        }
        if let Some(last) = last {
            last.reply(SERIAL_THREAD, out);
        }
    }

    /// `last`, and those that have arrived, are complete: makes a plan for them if they do this again and again.
    fn consider_tree(
        &mut self,
        last: Waiter,
        key: SyncKey,
        ground: &mut Ground,
        out: &mut Vec<SyncEffect>,
    ) {
        let met = met(self.arrived.iter().chain([&last]));
        if met != self.habit.last {
            self.habit.last = met;
            self.habit.same = 0;
            return;
        }
        self.habit.same = self.habit.same.saturating_add(1);
        let is_doubtful = self.habit.same < 1 << self.habit.failed.min(PATIENCE_LOG2_MAX);
        if is_doubtful || !is_worthwhile(&met, ground) {
            return;
        }
        ground.last_plan += 1;
        let threads = |node: NodeId| {
            let found = met.iter().find(|(other, _)| *other == node);
            found.map_or(0, |(_, threads)| *threads)
        };
        let own = threads(ground.node);
        let others = met.iter().filter(|(node, _)| *node != ground.node);
        let nodes: Vec<(NodeId, u32)> = core::iter::once((ground.node, own))
            .chain(others.copied())
            .collect();
        let branches = |index: usize| {
            let first = index * ground.branches_max + 1;
            (first..first + ground.branches_max)
                .filter_map(|branch| nodes.get(branch).map(|(node, _)| *node))
        };
        for (index, (to, threads)) in nodes.iter().enumerate().skip(1) {
            let mut places = Branches::default();
            for (place, branch) in places.iter_mut().zip(branches(index)) {
                *place = Some(branch);
            }
            let message = Sync::Plan {
                key,
                plan: ground.last_plan,
                parent: nodes[(index - 1) / ground.branches_max].0,
                branches: places,
                threads: *threads,
                is_serial: own == 0 && index == 1,
            };
            out.push(SyncEffect::Send { to: *to, message });
        }
        self.tree = Some(Tree {
            plan: ground.last_plan,
            own,
            branches: branches(0).collect(),
            came: BTreeSet::new(),
            rounds: 0,
            nodes: nodes.into_iter().skip(1).map(|(node, _)| node).collect(),
        });
    }
}

/// The nodes of these threads, with their numbers.
fn met<'a>(waiters: impl Iterator<Item = &'a Waiter>) -> Vec<(NodeId, u32)> {
    let mut nodes: Vec<NodeId> = waiters.map(|waiter| waiter.node).collect();
    nodes.sort_unstable();
    let groups = nodes.chunk_by(|a, b| a == b);
    groups.map(|group| (group[0], group.len() as u32)).collect()
}

/// Whether a tree has fewer messages, or the home fewer neighbours.
fn is_worthwhile(met: &[(NodeId, u32)], ground: &Ground) -> bool {
    let others = met.iter().filter(|(node, _)| *node != ground.node);
    let (nodes, threads) = others.fold((0, 0), |(nodes, threads), (_, more)| {
        (nodes + 1, threads + *more as usize)
    });
    threads > nodes || nodes > ground.branches_max
}

/// A plan is made for who has met twice; after each that failed, twice as many rounds later, and at most after so many (log2).
const PATIENCE_LOG2_MAX: u32 = 10;
