//! Where a deque's elements are: in blocks, to each of which a map has a pointer.

use super::DequePlace;

/// Bytes of a block, unless one element is larger.
const BLOCK_BYTES: u64 = 512;

/// A deque's pointers, as they were read.
#[derive(Clone, Copy, Debug)]
pub struct Deque {
    element_bytes: u64,
    block_bytes: u64,
    /// The first element, the end of its block, and where the map has that block.
    begin: u64,
    begin_last: u64,
    begin_node: u64,
    /// Behind the last element, the begin of the block there, and where the map has that.
    end: u64,
    end_first: u64,
    end_node: u64,
}

impl Deque {
    /// Reads the pointers of a deque whose elements have so many bytes, not 0. `word` reads what is at an offset of it.
    pub fn read<E>(
        (begin, end): (DequePlace, DequePlace),
        element_bytes: u64,
        word: impl Fn(u64) -> Result<u64, E>,
    ) -> Result<Self, E> {
        Ok(Self {
            element_bytes,
            block_bytes: (BLOCK_BYTES / element_bytes).max(1) * element_bytes,
            begin: word(begin.current)?,
            begin_last: word(begin.last)?,
            begin_node: word(begin.node)?,
            end: word(end.current)?,
            end_first: word(end.first)?,
            end_node: word(end.node)?,
        })
    }

    /// How many elements it has; `None`: its pointers make no sense, it wasn't constructed yet or is being changed.
    pub fn count(&self) -> Option<u64> {
        let bytes = match self.blocks()? {
            0 => self.end.checked_sub(self.begin)?,
            blocks => {
                let first = self.begin_last.checked_sub(self.begin)?;
                let middle = (blocks - 1).checked_mul(self.block_bytes)?;
                let rest = self.end.checked_sub(self.end_first)?;
                first.checked_add(middle)?.checked_add(rest)?
            }
        };
        Some(bytes / self.element_bytes)
    }

    /// Blocks behind the first.
    fn blocks(&self) -> Option<u64> {
        Some(self.end_node.checked_sub(self.begin_node)? / 8)
    }

    /// The address of element `index`, which is less than the count. `word` reads the map at an address, which is not needed for
    /// the first block: of a captured deque only that may be there.
    pub fn element<E>(
        &self,
        index: u64,
        word: impl FnOnce(u64) -> Result<u64, E>,
    ) -> Result<u64, E> {
        let offset = index.wrapping_mul(self.element_bytes);
        let in_first = self.begin_last.wrapping_sub(self.begin);
        if offset < in_first || self.blocks() == Some(0) {
            return Ok(self.begin.wrapping_add(offset));
        }
        let behind = offset - in_first;
        let node = 8 * (1 + behind / self.block_bytes);
        let block = word(self.begin_node.wrapping_add(node))?;
        Ok(block.wrapping_add(behind % self.block_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the begin's and the end's iterators are, as gcc's library has them.
    const PLACES: (DequePlace, DequePlace) = (place(16), place(48));

    const fn place(at: u64) -> DequePlace {
        DequePlace {
            current: at,
            first: at + 8,
            last: at + 16,
            node: at + 24,
        }
    }

    const MAP: u64 = 0x9000;

    /// Blocks lie far from each other, and not in their order.
    fn block(index: u64) -> u64 {
        0x10_0000 - 0x1000 * index
    }

    /// A deque of elements of 200 bytes, two of which are in a block: `before` are left out at the begin of the first.
    fn deque(before: u64, count: u64) -> (Deque, Vec<u64>) {
        let element = |index: u64| block(index / 2) + 200 * (index % 2);
        let last = before + count;
        let word = |offset: u64| {
            let (index, part) = match offset {
                16.. if offset < 48 => (before, offset - 16),
                _ => (last, offset - 48),
            };
            Ok::<_, ()>(match part {
                0 => element(index),
                8 => block(index / 2),
                16 => block(index / 2) + 400,
                _ => MAP + 8 * (index / 2),
            })
        };
        let deque = Deque::read(PLACES, 200, word).expect("its words are there");
        (deque, (before..last).map(element).collect())
    }

    #[test]
    fn elements_are_where_the_blocks_are() {
        let map = |address: u64| Ok::<_, ()>(block((address - MAP) / 8));
        for (before, count) in [
            (0, 0),
            (1, 0),
            (0, 1),
            (1, 1),
            (0, 2),
            (1, 2),
            (0, 9),
            (1, 8),
        ] {
            let (deque, wanted) = deque(before, count);
            assert_eq!(deque.count(), Some(count));
            let found: Result<Vec<u64>, ()> =
                (0..count).map(|index| deque.element(index, map)).collect();
            assert_eq!(found, Ok(wanted), "{count} behind {before}");
        }
    }

    #[test]
    fn the_first_block_needs_no_map() {
        let (deque, wanted) = deque(0, 5);
        assert_eq!(deque.element(1, |_| Err(())), Ok(wanted[1]));
        assert_eq!(deque.element(2, |_| Err(())), Err(()));
    }

    #[test]
    fn what_makes_no_sense_has_no_count() {
        let (mut deque, _) = deque(1, 4);
        deque.end_node = deque.begin_node - 8;
        assert_eq!(deque.count(), None);
        deque.end_node = u64::MAX;
        assert_eq!(deque.count(), None);
    }
}
