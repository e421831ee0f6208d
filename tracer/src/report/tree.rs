//! The call tree, merged by path: one node for all calls that came the same way.

use umbel_chains::{Cut, FrameEnded};

use super::fast::FastMap;

/// The node that stands for the thread itself.
pub const ROOT: u32 = 0;

/// A call tree.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    /// (parent, function) to node.
    places: FastMap<(u32, u32), u32>,
}

/// All calls of one function by one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The function's number in the profile; meaningless in the root.
    pub function: u32,
    /// The node of its caller.
    pub parent: u32,
    /// Calls.
    pub calls: u64,
    /// Ticks from call to return, of all of them.
    pub total: u64,
    /// The part of it that is in no node below.
    pub own: u64,
    /// The child that was called last.
    latest: (u32, u32),
}

/// Nodes after which deeper calls are counted in their caller's node: 4 million, some 300 MB.
const NODES_MAX: usize = 1 << 22;

impl Default for Tree {
    fn default() -> Self {
        Self {
            nodes: vec![Node::new(u32::MAX, ROOT)],
            places: FastMap::default(),
        }
    }
}

impl Node {
    fn new(function: u32, parent: u32) -> Self {
        Self {
            function,
            parent,
            calls: 0,
            total: 0,
            own: 0,
            latest: (u32::MAX, ROOT),
        }
    }
}

impl Tree {
    /// The node of calls of `function` from `parent`.
    #[inline]
    pub fn child(&mut self, parent: u32, function: u32) -> u32 {
        let latest = self.nodes[parent as usize].latest;
        if latest.0 == function {
            return latest.1;
        }
        let node = match self.places.get(&(parent, function)) {
            Some(&node) => node,
            None if self.nodes.len() >= NODES_MAX => return parent,
            None => {
                let node = self.nodes.len() as u32;
                self.nodes.push(Node::new(function, parent));
                self.places.insert((parent, function), node);
                node
            }
        };
        self.nodes[parent as usize].latest = (function, node);
        node
    }

    /// A call ended.
    #[inline]
    pub fn ended(&mut self, ended: &FrameEnded<u32>) {
        let node = &mut self.nodes[ended.tag as usize];
        if node.function == ended.function {
            let is_counted = !matches!(ended.cut, Some(Cut::BeganUnseen | Cut::Suspended));
            node.calls += u64::from(is_counted);
            node.total = node.total.saturating_add(ended.total_ticks());
        }
        node.own = node.own.saturating_add(ended.self_ticks);
    }

    /// Adds another thread's tree, whose functions have these numbers here.
    pub fn merge(&mut self, other: &Self, numbers: &[u32]) {
        let mut places = vec![ROOT; other.nodes.len()];
        // A parent's number is below its children's.
        for (index, node) in other.nodes.iter().enumerate().skip(1) {
            let function = numbers[node.function as usize];
            let place = self.child(places[node.parent as usize], function);
            places[index] = place;
            let into = &mut self.nodes[place as usize];
            if into.function == function {
                into.calls += node.calls;
                into.total = into.total.saturating_add(node.total);
            }
            into.own = into.own.saturating_add(node.own);
        }
    }

    /// The nodes; that with index 0 stands for the threads themselves.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// By node: its children, those with the most time first.
    pub fn children(&self) -> Vec<Vec<u32>> {
        let mut children = vec![Vec::new(); self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().skip(1) {
            children[node.parent as usize].push(index as u32);
        }
        for children in &mut children {
            children.sort_by_key(|&child| std::cmp::Reverse(self.nodes[child as usize].total));
        }
        children
    }

    /// Deep calls may have been counted in their caller's node.
    pub fn is_full(&self) -> bool {
        self.nodes.len() >= NODES_MAX
    }
}
