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
//! The last edge is an *exchange*, for one way instead of two: when all have come but those of one branch, the home sends
//! that one `Released` ahead of time. The branch goes on as soon as all below it have come, says so as ever, and the home
//! then lets the others go on. A round takes as many messages as without. Where a message is shorter under way than its
//! receiver takes to come to the barrier, it would disturb him: there it is left out ([`super::SyncHome::exchanging`]).
//!
//! A plan is a guess. A thread that it has no place for asks the home, which then dissolves it: the nodes are told, and
//! those that wait there ask the home after all. That is enough: the numbers of a plan add up to the barrier's count, so
//! if as many have arrived, either each has its place or one has none. Nobody waits for a time to pass.
//!
//! While a release sent ahead is out, nobody at the home knows which round it is: who has no place, and what ends the
//! barrier's life, is *held*, and the branch asked to give it back ([`Sync::Withdraw`]). It answers `Withdrawn`,
//! or has used it: then its `Arrived` came before anything it could answer, and all have met. So one of the two comes,
//! unless the branch is lost. After it the home goes on as if the release had been sent in time or not at all.
//! So `Dissolved` is never sent while one is out, unless the scope has ended, and nobody is counted with those of the next round.
//!
//! `Dissolved` says how often all have met along the tree, and so is the release of a round, too, if it
//! overtakes that; what was sent along the tree before and comes later names a plan that is gone. The loss of a node of a plan dissolves it.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use umbel_wire::NodeId;
use umbel_wire::sync::{Branches, Sync, SyncKey, SyncOp};

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
    /// Whether the last edge of a tree is an exchange.
    pub(super) exchanges: bool,
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
    ahead: Option<Ahead>,
    rounds: u64,
}

/// A release that was sent before all had come.
/// Invariant: those of the home, and of all branches but this one, wait for its round to end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Ahead {
    to: NodeId,
    is_asked_back: bool,
    held: Vec<Held>,
}

/// What must wait until a release sent ahead was used, or is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Held {
    /// A thread without a place, or the barrier's end.
    Asked(Waiter, SyncOp),
    /// A node of the tree is lost.
    Dissolve,
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
                // Nothing was held: who has a place comes while no release is out.
                self.advance(key, ground.exchanges, out);
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

    /// All below that branch have arrived. What is held no longer.
    pub(super) fn on_arrived(
        &mut self,
        from: NodeId,
        key: SyncKey,
        plan: u64,
        exchanges: bool,
        out: &mut Vec<SyncEffect>,
    ) -> Vec<Held> {
        match self.tree.as_mut().filter(|tree| tree.plan == plan) {
            Some(tree) if tree.branches.contains(&from) => {
                tree.came.insert(from);
                self.advance(key, exchanges, out)
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// That branch did not use what it was sent ahead. What is held no longer.
    pub(super) fn on_withdrawn(&mut self, from: NodeId, plan: u64) -> Vec<Held> {
        let tree = self.tree.as_mut().filter(|tree| tree.plan == plan);
        let ahead = tree.map(|tree| &mut tree.ahead);
        let ahead =
            ahead.and_then(|ahead| ahead.take_if(|ahead| ahead.to == from && ahead.is_asked_back));
        ahead.map_or(Vec::new(), |ahead| ahead.held)
    }

    /// How much is held, if a release sent ahead is out.
    pub(super) fn held_count(&self) -> Option<usize> {
        let ahead = self.tree.as_ref()?.ahead.as_ref()?;
        Some(ahead.held.len())
    }

    /// Whether `held` waits: a release sent ahead is out, and asked for.
    pub(super) fn hold(&mut self, held: Held, key: SyncKey, out: &mut Vec<SyncEffect>) -> bool {
        let Some(tree) = &mut self.tree else {
            return false;
        };
        let Some(ahead) = &mut tree.ahead else {
            return false;
        };
        ahead.held.push(held);
        if !ahead.is_asked_back {
            ahead.is_asked_back = true;
            let plan = tree.plan;
            out.push(SyncEffect::Send {
                to: ahead.to,
                message: Sync::Withdraw { key, plan },
            });
        }
        true
    }

    /// The nodes meet here again; who waits elsewhere will ask. Not while a release is out, unless the scope has ended.
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

    /// As `dissolve`, as soon as it may be.
    pub(super) fn dissolve_in_time(&mut self, key: SyncKey, out: &mut Vec<SyncEffect>) {
        if !self.hold(Held::Dissolve, key, out) {
            self.dissolve(key, out);
        }
    }

    /// Its scope has ended. Who waits, or is held.
    pub(super) fn end(mut self, key: SyncKey, out: &mut Vec<SyncEffect>) -> Vec<Waiter> {
        let ahead = self.tree.as_mut().and_then(|tree| tree.ahead.take());
        self.dissolve(key, out);
        for held in ahead.map_or(Vec::new(), |ahead| ahead.held) {
            match held {
                Held::Asked(caller, _) => self.arrived.push(caller),
                Held::Dissolve => {}
            }
        }
        self.arrived
    }

    /// The others wait on: their count cannot be reached unless a thread comes twice. What is held no longer.
    pub(super) fn on_node_lost(
        &mut self,
        node: NodeId,
        key: SyncKey,
        out: &mut Vec<SyncEffect>,
    ) -> Vec<Held> {
        self.arrived.retain(|waiter| waiter.node != node);
        let Some(tree) = &mut self.tree else {
            return Vec::new();
        };
        let is_part = tree.nodes.contains(&node);
        tree.nodes.retain(|other| *other != node);
        if let Some(ahead) = &mut tree.ahead {
            ahead.held.retain(|held| match held {
                Held::Asked(caller, _) => caller.node != node,
                Held::Dissolve => true,
            });
        }
        // It answers no more, and said before that it had used it if it had.
        let back = tree.ahead.take_if(|ahead| ahead.to == node);
        if is_part {
            self.dissolve_in_time(key, out);
        }
        back.map_or(Vec::new(), |ahead| ahead.held)
    }

    /// To be called when one has arrived: lets all go on, or the last branch as soon as all there have come.
    /// What is held no longer.
    fn advance(&mut self, key: SyncKey, exchanges: bool, out: &mut Vec<SyncEffect>) -> Vec<Held> {
        let Some(tree) = &mut self.tree else {
            return Vec::new();
        };
        if self.arrived.len() < tree.own as usize {
            return Vec::new();
        }
        let message = Sync::Released {
            key,
            plan: tree.plan,
        };
        let branches = tree.branches.iter().copied();
        let mut missing = branches.filter(|branch| !tree.came.contains(branch));
        match (missing.next(), missing.next()) {
            (None, _) => {}
            (Some(to), None) if tree.ahead.is_none() => {
                // If nobody waits the barrier isn't busy, and who destroys it doesn't ask.
                if exchanges && (tree.own > 0 || !tree.came.is_empty()) {
                    out.push(SyncEffect::Send { to, message });
                    tree.ahead = Some(Ahead {
                        to,
                        is_asked_back: false,
                        held: Vec::new(),
                    });
                }
                return Vec::new();
            }
            (Some(_), _) => return Vec::new(),
        }
        let ahead = tree.ahead.take();
        tree.rounds += 1;
        tree.came.clear();
        for to in tree.branches.iter().copied() {
            if ahead.as_ref().is_none_or(|ahead| ahead.to != to) {
                out.push(SyncEffect::Send { to, message });
            }
        }
        let last = self.arrived.pop();
        for waiter in self.arrived.drain(..) {
            waiter.reply(0, out);
        }
        if let Some(last) = last {
            last.reply(SERIAL_THREAD, out);
        }
        ahead.map_or(Vec::new(), |ahead| ahead.held)
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
            ahead: None,
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

/// Whether a tree has fewer messages, or the home fewer neighbours, or threads, for whom the last edge is an exchange.
fn is_worthwhile(met: &[(NodeId, u32)], ground: &Ground) -> bool {
    let others = met.iter().filter(|(node, _)| *node != ground.node);
    let (nodes, threads) = others.fold((0, 0), |(nodes, threads), (_, more)| {
        (nodes + 1, threads + *more as usize)
    });
    let has_own = nodes < met.len();
    let is_exchange = ground.exchanges && has_own && nodes > 0;
    threads > nodes || nodes > ground.branches_max || is_exchange
}

/// A plan is made for who has met twice; after each that failed, twice as many rounds later, and at most after so many (log2).
const PATIENCE_LOG2_MAX: u32 = 10;
