//! Clean copies of the objects that this node writes, kept until the difference has been sent.
//!
//! Their memory comes from blocks of a few sizes and is used again: a phase of a program dirties the same
//! number of objects as the one before.

use std::ops::Range;

use umbel_wire::ObjectId;

use crate::ids::IdMap;

/// The twins of one node.
#[derive(Debug)]
pub(crate) struct Twins {
    places: IdMap<Twin>,
    pools: [Pool; POOLS],
    bytes: usize,
}

/// Where a twin is.
#[derive(Clone, Copy, Debug)]
struct Twin {
    /// Which bytes of the unit it is of.
    first_byte: u16,
    len: u16,
    block: u32,
}

impl Default for Twins {
    fn default() -> Self {
        Self {
            places: IdMap::default(),
            pools: std::array::from_fn(|index| Pool::new(SMALLEST_BLOCK_BYTES << index)),
            bytes: 0,
        }
    }
}

impl Twins {
    /// Keeps `bytes` as the object's twin, in the place of an older one; they begin at `first_byte` of its unit.
    pub(crate) fn insert(&mut self, object: ObjectId, first_byte: usize, bytes: &[u8]) {
        self.remove(object);
        if bytes.is_empty() {
            return;
        }
        let pool = &mut self.pools[pool_index(bytes.len())];
        let block = pool.take();
        pool.block_mut(block)[..bytes.len()].copy_from_slice(bytes);
        self.bytes += pool.block_bytes;
        let twin = Twin {
            first_byte: first_byte as u16,
            len: bytes.len() as u16,
            block,
        };
        self.places.insert(object, twin);
    }

    /// The object's twin, if there is one, and the byte of the unit at which it begins.
    pub(crate) fn get(&self, object: ObjectId) -> Option<(usize, &[u8])> {
        let twin = self.places.get(&object)?;
        let len = usize::from(twin.len);
        let block = self.pools[pool_index(len)].block(twin.block);
        Some((usize::from(twin.first_byte), &block[..len]))
    }

    /// As [`Twins::get`], to be changed.
    pub(crate) fn get_mut(&mut self, object: ObjectId) -> Option<(usize, &mut [u8])> {
        let twin = self.places.get(&object)?;
        let len = usize::from(twin.len);
        let block = self.pools[pool_index(len)].block_mut(twin.block);
        Some((usize::from(twin.first_byte), &mut block[..len]))
    }

    /// Forgets the object's twin.
    pub(crate) fn remove(&mut self, object: ObjectId) {
        if let Some(twin) = self.places.remove(&object) {
            let pool = &mut self.pools[pool_index(usize::from(twin.len))];
            pool.free.push(twin.block);
            self.bytes -= pool.block_bytes;
        }
    }

    /// Bytes of memory in use.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Blocks of one size. Never shrinks: what a phase needed the next one will need.
#[derive(Debug)]
struct Pool {
    block_bytes: usize,
    chunks: Vec<Box<[u8]>>,
    free: Vec<u32>,
}

impl Pool {
    fn new(block_bytes: usize) -> Self {
        Self {
            block_bytes,
            chunks: Vec::new(),
            free: Vec::new(),
        }
    }

    fn take(&mut self) -> u32 {
        if self.free.is_empty() {
            let per_chunk = (CHUNK_BYTES / self.block_bytes) as u32;
            let first = self.chunks.len() as u32 * per_chunk;
            self.chunks.push(vec![0; CHUNK_BYTES].into_boxed_slice());
            self.free.extend((first..first + per_chunk).rev());
        }
        self.free.pop().expect("a chunk has blocks")
    }

    fn block(&self, block: u32) -> &[u8] {
        let (chunk, range) = self.place(block);
        &self.chunks[chunk][range]
    }

    fn block_mut(&mut self, block: u32) -> &mut [u8] {
        let (chunk, range) = self.place(block);
        &mut self.chunks[chunk][range]
    }

    fn place(&self, block: u32) -> (usize, Range<usize>) {
        let per_chunk = CHUNK_BYTES / self.block_bytes;
        let start = block as usize % per_chunk * self.block_bytes;
        (block as usize / per_chunk, start..start + self.block_bytes)
    }
}

fn pool_index(len: usize) -> usize {
    let block_bytes = len.next_power_of_two().max(SMALLEST_BLOCK_BYTES);
    (block_bytes / SMALLEST_BLOCK_BYTES).ilog2() as usize
}

/// A small object's slot.
const SMALLEST_BLOCK_BYTES: usize = 64;
/// 64 bytes to a page.
const POOLS: usize = 7;
/// Memory taken at a time.
const CHUNK_BYTES: usize = 64 * 1024;

const _: () = assert!(SMALLEST_BLOCK_BYTES << (POOLS - 1) == umbel_fault::PAGE_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_gets_back_its_own_bytes() {
        let mut twins = Twins::default();
        let lens = [1, 64, 65, 100, 512, 4095, 4096];
        for round in 0..50 {
            for (index, len) in lens.iter().enumerate() {
                let id = ObjectId(round * 100 + index as u64);
                twins.insert(id, index, &vec![(round + index as u64) as u8; *len]);
            }
        }
        for round in 0..50 {
            for (index, len) in lens.iter().enumerate() {
                let (first_byte, bytes) =
                    twins.get_mut(ObjectId(round * 100 + index as u64)).unwrap();
                assert_eq!(first_byte, index);
                assert_eq!(bytes, vec![(round + index as u64) as u8; *len]);
            }
        }
    }

    #[test]
    fn what_was_removed_costs_nothing_and_is_used_again() {
        let mut twins = Twins::default();
        for round in 0..10 {
            for object in 0..100 {
                twins.insert(ObjectId(object), 0, &[round; 4096]);
            }
            assert_eq!(twins.bytes(), 100 * 4096);
            (0..100).for_each(|object| twins.remove(ObjectId(object)));
            assert!(twins.bytes() == 0 && twins.get_mut(ObjectId(1)).is_none());
        }
        assert_eq!(twins.pools[POOLS - 1].chunks.len(), 7);
    }
}
