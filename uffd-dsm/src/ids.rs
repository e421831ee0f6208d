//! Tables by objects and page frames, for a thread that looks into several of them for each page.
//!
//! The numbers are those of places in the window, from a program's own layout: nobody can choose them so that they
//! collide, and the standard library's hash against such people takes longer than the rest of a look.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use umbel_wire::ObjectId;

/// A table by objects.
pub(crate) type IdMap<V> = HashMap<ObjectId, V, BuildHasherDefault<IdHasher>>;
/// Objects.
pub(crate) type IdSet = HashSet<ObjectId, BuildHasherDefault<IdHasher>>;
/// A table by offsets of page frames.
pub(crate) type FrameMap<V> = HashMap<u64, V, BuildHasherDefault<IdHasher>>;

/// Spreads one number by a multiplication.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number) * u128::from(SPREAD);
        // The upper half depends on the upper bits of the number as the lower half does on the lower ones.
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// 2^64 divided by the golden ratio, odd: neighbours end far apart.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault};

    use super::*;

    #[test]
    fn neighbours_and_equal_places_of_nodes_are_spread_over_a_table() {
        let hash =
            |number: u64| BuildHasherDefault::<IdHasher>::default().hash_one(ObjectId(number));
        for step in [1, 63, 64, 4096, 1 << 32, 1 << 40] {
            let places: std::collections::BTreeSet<u64> =
                (0..4096).map(|index| hash(index * step) & 0xffff).collect();
            // By chance 3970 of them.
            assert!(
                places.len() > 3000,
                "{} places for steps of {step}",
                places.len()
            );
        }
    }
}
