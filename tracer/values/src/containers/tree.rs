//! The order of a tree's nodes.

use super::TreeLinks;

/// No tree of 64-bit pointers is higher.
const HEIGHT_MAX: usize = 128;

impl TreeLinks {
    /// The node behind `node`, which is not the last; `None`: the links make no sense, it wasn't constructed yet or is being
    /// changed. `word` reads what is at an address.
    pub fn after<E>(
        self,
        node: u64,
        word: impl Fn(u64) -> Result<u64, E>,
    ) -> Result<Option<u64>, E> {
        let link = |node: u64, offset: u64| word(node.wrapping_add(offset));
        let right = link(node, self.right)?;
        if right != 0 {
            let mut found = right;
            for _ in 0..HEIGHT_MAX {
                match link(found, self.left)? {
                    0 => return Ok(Some(found)),
                    left => found = left,
                }
            }
            return Ok(None);
        }
        let mut child = node;
        for _ in 0..HEIGHT_MAX {
            let parent = link(child, self.parent)?;
            if link(parent, self.right)? != child {
                return Ok(Some(parent));
            }
            child = parent;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKS: TreeLinks = TreeLinks {
        parent: 8,
        left: 16,
        right: 24,
    };

    /// Parent, left and right of each node, which lie 32 bytes apart.
    ///
    /// ```text
    ///       4
    ///     2   6
    ///    1 3 5 7
    /// ```
    const NODES: [[u64; 3]; 8] = [
        // The header: its parent is the root, its children are the first and the last.
        [4, 1, 7],
        [2, 0, 0],
        [4, 1, 3],
        [2, 0, 0],
        [0, 2, 6],
        [6, 0, 0],
        [4, 5, 7],
        [6, 0, 0],
    ];

    const BASE: u64 = 0x1000;

    fn word(address: u64) -> Result<u64, ()> {
        let (node, part) = ((address - BASE) / 32, (address - BASE) % 32);
        let linked = NODES[node as usize][part as usize / 8 - 1];
        // The root's parent is the header; others without a child have none.
        Ok(match linked == 0 && part != LINKS.parent {
            true => 0,
            false => BASE + 32 * linked,
        })
    }

    #[test]
    fn nodes_follow_in_their_order() {
        for node in 1..7 {
            let next = LINKS.after(BASE + 32 * node, word);
            assert_eq!(next, Ok(Some(BASE + 32 * (node + 1))));
        }
    }

    #[test]
    fn a_tree_without_end_makes_no_sense() {
        assert_eq!(LINKS.after(BASE, |_| Ok::<_, ()>(BASE)), Ok(None));
        // Each is the right child of the next.
        let upward = |address: u64| {
            let (node, part) = (address / 32 * 32, address % 32);
            Ok::<_, ()>(match (node, part == LINKS.right) {
                (BASE, true) => 0,
                (_, true) => node - 32,
                (_, false) => node + 32,
            })
        };
        assert_eq!(LINKS.after(BASE, upward), Ok(None));
    }
}
