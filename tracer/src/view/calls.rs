//! Calls added up by their stacks.

use std::collections::HashMap;

use umbel_chains::Cut;

use super::names::NameId;
use super::steps::{Step, StepKind};

/// The stacks that occurred, as a tree. Node 0 is the root: it stands for no function.
pub struct CallTree {
    nodes: Vec<Node>,
    children: HashMap<(u32, NameId), u32>,
    open: Vec<u32>,
}

/// A function where it was called from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its caller's node; the root is its own.
    pub parent: u32,
    /// The function; of the root a number without meaning.
    pub name: NameId,
    /// How often it was called.
    pub calls: u64,
    /// Nanoseconds from its calls to their ends.
    pub total_ns: u64,
    /// Nanoseconds in it and in none that it called.
    pub self_ns: u64,
}

/// Of the root.
pub const ROOT: u32 = 0;

impl Default for CallTree {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            children: HashMap::new(),
            open: Vec::new(),
        }
    }
}

impl CallTree {
    /// All nodes: callers before those they call.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Takes a thread's step. A return whose call was not recorded counts as a call where it was seen, without time.
    pub fn step(&mut self, step: &Step) {
        match &step.kind {
            StepKind::Begin { name, .. } => {
                let parent = self.open.last().copied().unwrap_or(ROOT);
                let node = self.child(parent, *name);
                self.open.push(node);
            }
            StepKind::End {
                self_ns,
                begin_ns,
                cut,
                ..
            } => {
                let Some(node) = self.open.pop() else {
                    return;
                };
                let node = &mut self.nodes[node as usize];
                node.calls += u64::from(*cut != Some(Cut::Suspended));
                node.total_ns += step.ns - begin_ns;
                node.self_ns += self_ns;
            }
            StepKind::Unseen { name, .. } => {
                let parent = self.open.last().copied().unwrap_or(ROOT);
                let node = self.child(parent, *name);
                self.nodes[node as usize].calls += 1;
            }
            StepKind::Mark(_) | StepKind::Message(_) | StepKind::Lost { .. } => {}
        }
    }

    /// The functions from the outermost to the node's.
    pub fn stack(&self, mut node: u32) -> Vec<NameId> {
        let mut stack = Vec::new();
        while node != ROOT {
            let Node { parent, name, .. } = self.nodes[node as usize];
            stack.push(name);
            node = parent;
        }
        stack.reverse();
        stack
    }

    fn child(&mut self, parent: u32, name: NameId) -> u32 {
        *self.children.entry((parent, name)).or_insert_with(|| {
            self.nodes.push(Node {
                parent,
                name,
                ..Node::default()
            });
            u32::try_from(self.nodes.len() - 1).expect("nodes take memory: 2^32 don't fit")
        })
    }
}
