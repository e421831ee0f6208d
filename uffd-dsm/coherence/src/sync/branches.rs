//! Barriers of other homes, whose nodes meet along a tree: a node's part. [`super::barrier`] has the home's, and the idea.
//!
//! | what comes | with a part of that plan | else |
//! |---|---|---|
//! | a thread | waits here, if it has a place; all there: `Arrived` to the parent, and on if it is released | asks the home |
//! | `Plan` | | the node has a part; takes up what came too early; replaces another plan's |
//! | `Arrived` | noted; all there: as above | of a plan yet to come: kept; else nothing |
//! | `Released` | all there: the threads go on; `Released` to the branches. Else it came ahead of time: kept | nothing |
//! | `Withdraw` | one is kept: it is no more, `Withdrawn`. Else it was used | `Withdrawn` |
//! | `Dissolved` | that round was completed: the threads go on; else they ask the home | nothing |
//!
//! A home's plans come in the order of their numbers, and before anything else about them that it sends; what others send
//! about them may come earlier.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use umbel_wire::sync::{Sync, SyncKey, SyncOp};
use umbel_wire::{NodeId, ThreadId, Token};

use super::SyncEffect;
use super::barrier::SERIAL_THREAD;
use crate::limits;

/// One node's parts in the trees of other homes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SyncBranches {
    node: NodeId,
    parts: BTreeMap<SyncKey, Part>,
    /// The newest plan of each home.
    last_plans: BTreeMap<NodeId, u64>,
    /// `Arrived` of plans that are yet to come: home, plan, branch.
    early: BTreeSet<(NodeId, u64, NodeId)>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Part {
    home: NodeId,
    plan: u64,
    parent: NodeId,
    branches: BTreeSet<NodeId>,
    threads: u32,
    is_serial: bool,
    waiting: Vec<(Token, ThreadId)>,
    /// Branches below which all have arrived.
    came: BTreeSet<NodeId>,
    /// Everybody elsewhere has arrived. Invariant: not while the part is complete.
    is_released: bool,
    /// How often it has been released.
    rounds: u64,
}

impl Part {
    fn is_complete(&self) -> bool {
        self.waiting.len() == self.threads as usize && self.came.len() == self.branches.len()
    }

    /// Tells the parent, if all have arrived, and goes on if everybody else has; to be called when one has.
    fn pass_on(&mut self, node: NodeId, key: SyncKey, out: &mut Vec<SyncEffect>) {
        if self.is_complete() {
            let message = Sync::Arrived {
                key,
                home: self.home,
                plan: self.plan,
            };
            out.push(SyncEffect::Send {
                to: self.parent,
                message,
            });
            if self.is_released {
                self.release(node, key, out);
            }
        }
    }

    fn release(&mut self, node: NodeId, key: SyncKey, out: &mut Vec<SyncEffect>) {
        let message = Sync::Released {
            key,
            plan: self.plan,
        };
        let branches = self.branches.iter();
        out.extend(branches.map(|to| SyncEffect::Send { to: *to, message }));
        self.let_go_on(node, out);
    }

    fn let_go_on(&mut self, to: NodeId, out: &mut Vec<SyncEffect>) {
        let last = self.waiting.len().saturating_sub(1);
        for (index, (token, _)) in self.waiting.drain(..).enumerate() {
            let result = match self.is_serial && index == last {
                true => SERIAL_THREAD,
                false => 0,
            };
            out.push(SyncEffect::Reply { to, token, result });
        }
        self.came.clear();
        self.is_released = false;
        self.rounds += 1;
    }
}

impl SyncBranches {
    /// Nothing is planned.
    pub fn new(node: NodeId) -> Self {
        Self {
            node,
            parts: BTreeMap::new(),
            last_plans: BTreeMap::new(),
            early: BTreeSet::new(),
        }
    }

    /// A thread of this node comes to a barrier of another home. Whether it waits here, or has its answer; else it asks the home.
    pub fn wait(
        &mut self,
        token: Token,
        thread: ThreadId,
        key: SyncKey,
        out: &mut Vec<SyncEffect>,
    ) -> bool {
        let part = self.parts.get_mut(&key);
        let Some(part) = part.filter(|part| part.waiting.len() < part.threads as usize) else {
            return false;
        };
        part.waiting.push((token, thread));
        part.pass_on(self.node, key, out);
        true
    }

    /// A message about a tree; requests and answers are none.
    pub fn on_message(&mut self, from: NodeId, message: Sync, out: &mut Vec<SyncEffect>) {
        match message {
            Sync::Plan {
                key,
                plan,
                parent,
                branches,
                threads,
                is_serial,
            } => {
                let mut part = Part {
                    home: from,
                    plan,
                    parent,
                    branches: branches.into_iter().flatten().collect(),
                    threads,
                    is_serial,
                    waiting: Vec::new(),
                    came: BTreeSet::new(),
                    is_released: false,
                    rounds: 0,
                };
                self.last_plans.insert(from, plan);
                let came = (from, plan, NodeId(0))..=(from, plan, NodeId(u16::MAX));
                let early: Vec<_> = self.early.range(came).copied().collect();
                for early in early {
                    self.early.remove(&early);
                    part.came.extend(part.branches.get(&early.2));
                }
                self.parts.insert(key, part);
            }
            Sync::Arrived { key, home, plan } => {
                let node = self.node;
                let is_early = self.last_plans.get(&home).is_none_or(|last| *last < plan);
                if let Some(part) = self.part(key, home, plan) {
                    if part.branches.contains(&from) && part.came.insert(from) {
                        part.pass_on(node, key, out);
                    }
                } else if is_early && self.early.len() < limits::EARLY_ARRIVALS_MAX {
                    self.early.insert((home, plan, from));
                }
            }
            Sync::Released { key, plan } => {
                let node = self.node;
                let part = self.parts.get_mut(&key);
                if let Some(part) = part.filter(|part| (part.parent, part.plan) == (from, plan)) {
                    match part.is_complete() {
                        true => part.release(node, key, out),
                        false => part.is_released = true,
                    }
                }
            }
            Sync::Withdraw { key, plan } => {
                let is_used = match self.part(key, from, plan) {
                    Some(part) => !core::mem::take(&mut part.is_released),
                    None => false,
                };
                // If it was used, `Arrived` went before, and is the answer.
                if !is_used {
                    let message = Sync::Withdrawn { key, plan };
                    out.push(SyncEffect::Send { to: from, message });
                }
            }
            Sync::Dissolved { key, plan, rounds } => {
                if self.part(key, from, plan).is_none() {
                    return;
                }
                let Some(mut part) = self.parts.remove(&key) else {
                    return;
                };
                if part.rounds < rounds {
                    part.let_go_on(self.node, out);
                }
                for (token, thread) in part.waiting {
                    let message = Sync::Request {
                        token,
                        thread,
                        key,
                        op: SyncOp::BarrierWait,
                    };
                    out.push(SyncEffect::Send { to: from, message });
                }
            }
            Sync::Withdrawn { .. }
            | Sync::Request { .. }
            | Sync::Tell { .. }
            | Sync::Fence { .. }
            | Sync::Reply { .. } => {}
        }
    }

    /// In how many trees the node has a part.
    pub fn part_count(&self) -> usize {
        self.parts.len()
    }

    fn part(&mut self, key: SyncKey, home: NodeId, plan: u64) -> Option<&mut Part> {
        let part = self.parts.get_mut(&key);
        part.filter(|part| (part.home, part.plan) == (home, plan))
    }
}
