//! The nodes with read copies of one object.

use alloc::vec::Vec;

use umbel_wire::NodeId;

/// Nodes with read copies, sorted; mostly empty or a handful, so a vector and not a mask of all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Copyset(Vec<NodeId>);

impl Copyset {
    /// Whether no node has a copy.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `node` has a copy.
    pub fn contains(&self, node: NodeId) -> bool {
        self.0.binary_search(&node).is_ok()
    }

    /// The nodes, ascending.
    pub fn iter(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.0.iter().copied()
    }

    /// Adds `node`; false if it was there.
    pub(crate) fn insert(&mut self, node: NodeId) -> bool {
        match self.0.binary_search(&node) {
            Ok(_) => false,
            Err(place) => {
                self.0.insert(place, node);
                true
            }
        }
    }

    /// Removes `node`; false if it was not there.
    pub(crate) fn remove(&mut self, node: NodeId) -> bool {
        match self.0.binary_search(&node) {
            Ok(place) => {
                self.0.remove(place);
                true
            }
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copyset_stays_sorted_and_without_duplicates() {
        let mut copyset = Copyset::default();
        for node in [5, 1, 3, 1, 5] {
            copyset.insert(NodeId(node));
        }
        assert!(copyset.iter().map(|node| node.0).eq([1, 3, 5]));
        assert!(copyset.contains(NodeId(3)));
        assert!(copyset.remove(NodeId(3)) && !copyset.remove(NodeId(3)));
        assert!(copyset.iter().map(|node| node.0).eq([1, 5]));
    }
}
