//! Calls added up by their stacks.

use std::collections::HashMap;

use crate::view::names::NameId;
use crate::view::steps::{Step, StepKind};

/// What is added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Nanoseconds in a function and in none that it called.
    SelfTime,
    /// Calls.
    Calls,
}

/// The stacks that occurred, as a tree.
pub(super) struct CallTree {
    nodes: Vec<Node>,
    children: HashMap<(u32, NameId), u32>,
    open: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Node {
    parent: u32,
    name: NameId,
    amount: u64,
}

/// The root: no function, and its own parent.
const ROOT: u32 = 0;

impl CallTree {
    pub(super) fn new() -> Self {
        let root = Node {
            parent: ROOT,
            name: NameId(u32::MAX),
            amount: 0,
        };
        Self {
            nodes: vec![root],
            children: HashMap::new(),
            open: Vec::new(),
        }
    }

    /// Takes a thread's step. A return whose call was not recorded counts where it was seen.
    pub(super) fn step(&mut self, step: &Step, measure: Measure) {
        match &step.kind {
            StepKind::Begin { name, .. } => {
                let parent = self.open.last().copied().unwrap_or(ROOT);
                let node = self.child(parent, *name);
                self.open.push(node);
            }
            StepKind::End { self_ns, .. } => {
                let Some(node) = self.open.pop() else {
                    return;
                };
                let amount = &mut self.nodes[node as usize].amount;
                *amount += match measure {
                    Measure::SelfTime => *self_ns,
                    Measure::Calls => 1,
                };
            }
            StepKind::Unseen { name, .. } if measure == Measure::Calls => {
                let parent = self.open.last().copied().unwrap_or(ROOT);
                let node = self.child(parent, *name);
                self.nodes[node as usize].amount += 1;
            }
            StepKind::Unseen { .. }
            | StepKind::Mark(_)
            | StepKind::Message(_)
            | StepKind::Lost { .. } => {}
        }
    }

    /// The stacks with an amount, outermost first: names and amount.
    pub(super) fn stacks(&self) -> impl Iterator<Item = (Vec<NameId>, u64)> {
        let nodes = self.nodes.iter().filter(|node| node.amount > 0);
        nodes.map(|node| {
            let mut stack = vec![node.name];
            let mut at = node.parent;
            while at != ROOT {
                stack.push(self.nodes[at as usize].name);
                at = self.nodes[at as usize].parent;
            }
            stack.reverse();
            (stack, node.amount)
        })
    }

    fn child(&mut self, parent: u32, name: NameId) -> u32 {
        *self.children.entry((parent, name)).or_insert_with(|| {
            self.nodes.push(Node {
                parent,
                name,
                amount: 0,
            });
            u32::try_from(self.nodes.len() - 1).expect("nodes take memory: 2^32 don't fit")
        })
    }
}
