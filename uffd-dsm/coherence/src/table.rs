//! A table by objects, dense where objects are: neighbours were allocated together, are used together, and are asked for in
//! one go.
//!
//! Objects whose numbers differ in the lower bits alone share a *leaf*, which keeps what is there side by side, with a bit
//! for each place. A tree of leaves finds them. So a neighbour costs its value and 1.5 bytes more, where a tree of
//! single values is half empty; an object without neighbours costs a leaf of some 100 bytes. And a table of a thousand
//! neighbours is found in a tree of sixteen.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use umbel_wire::ObjectId;

/// Values by objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Table<V> {
    /// By the upper bits of the objects' numbers; none is empty.
    leaves: BTreeMap<u64, Leaf<V>>,
    len: usize,
}

/// Values of objects that are neighbours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Leaf<V> {
    /// A bit for each object that has a value.
    present: u64,
    /// Of those, in order.
    values: Vec<V>,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            leaves: BTreeMap::new(),
            len: 0,
        }
    }
}

impl<V> Table<V> {
    pub(crate) fn get(&self, object: &ObjectId) -> Option<&V> {
        let (key, bit) = place(*object);
        let leaf = self.leaves.get(&key)?;
        leaf.values.get(leaf.index(bit)?)
    }

    pub(crate) fn get_mut(&mut self, object: &ObjectId) -> Option<&mut V> {
        let (key, bit) = place(*object);
        let leaf = self.leaves.get_mut(&key)?;
        let index = leaf.index(bit)?;
        leaf.values.get_mut(index)
    }

    pub(crate) fn contains_key(&self, object: &ObjectId) -> bool {
        self.get(object).is_some()
    }

    /// The value, made if there is none.
    pub(crate) fn get_or_insert_with(
        &mut self,
        object: ObjectId,
        make: impl FnOnce() -> V,
    ) -> &mut V {
        let (key, bit) = place(object);
        let leaf = self.leaves.entry(key).or_insert_with(|| Leaf {
            present: 0,
            values: Vec::new(),
        });
        let index = leaf.index_below(bit);
        if leaf.present & bit == 0 {
            leaf.make_room();
            leaf.values.insert(index, make());
            leaf.present |= bit;
            self.len += 1;
        }
        &mut leaf.values[index]
    }

    /// Sets the value.
    pub(crate) fn insert(&mut self, object: ObjectId, value: V) {
        match self.get_mut(&object) {
            Some(place) => *place = value,
            None => {
                self.get_or_insert_with(object, || value);
            }
        }
    }

    pub(crate) fn remove(&mut self, object: &ObjectId) -> Option<V> {
        let (key, bit) = place(*object);
        let leaf = self.leaves.get_mut(&key)?;
        let index = leaf.index(bit)?;
        let value = leaf.values.remove(index);
        leaf.present &= !bit;
        self.len -= 1;
        if leaf.present == 0 {
            self.leaves.remove(&key);
        }
        Some(value)
    }

    /// Keeps those of which `stays` says so, asked in ascending order.
    pub(crate) fn retain(&mut self, mut stays: impl FnMut(ObjectId, &mut V) -> bool) {
        let mut len = 0;
        self.leaves.retain(|key, leaf| {
            let mut objects = objects(*key, leaf.present);
            let mut present = leaf.present;
            leaf.values.retain_mut(|value| {
                let object = objects.next().expect("a bit for each value");
                let stays = stays(object, value);
                if !stays {
                    present &= !place(object).1;
                }
                stays
            });
            leaf.present = present;
            len += leaf.values.len();
            present != 0
        });
        self.len = len;
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ObjectId, &V)> {
        let leaves = self.leaves.iter();
        leaves.flat_map(|(key, leaf)| objects(*key, leaf.present).zip(&leaf.values))
    }

    /// Ascending.
    pub(crate) fn keys(&self) -> impl Iterator<Item = ObjectId> {
        let leaves = self.leaves.iter();
        leaves.flat_map(|(key, leaf)| objects(*key, leaf.present))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.leaves.values().flat_map(|leaf| &leaf.values)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.leaves.values_mut().flat_map(|leaf| &mut leaf.values)
    }

    /// The objects of the range that have values, ascending.
    pub(crate) fn keys_in(&self, range: Range<ObjectId>) -> impl Iterator<Item = ObjectId> {
        let keys = range.start.0 / LEAF_OBJECTS..range.end.0.div_ceil(LEAF_OBJECTS);
        // An empty range may be upside down, which a tree does not like.
        let leaves = (!range.is_empty()).then(|| self.leaves.range(keys));
        leaves
            .into_iter()
            .flatten()
            .flat_map(|(key, leaf)| objects(*key, leaf.present))
            .filter(move |object| range.contains(object))
    }
}

impl<V> Leaf<V> {
    /// Where the value is, if there is one.
    fn index(&self, bit: u64) -> Option<usize> {
        (self.present & bit != 0).then(|| self.index_below(bit))
    }

    /// How many are before it.
    fn index_below(&self, bit: u64) -> usize {
        (self.present & (bit - 1)).count_ones() as usize
    }

    /// A vector that doubles is a third empty; this one is an eighth, and full when the leaf is.
    fn make_room(&mut self) {
        let len = self.values.len();
        if len == self.values.capacity() {
            let more = (len / 4 + 1).min(LEAF_OBJECTS as usize - len);
            self.values.reserve_exact(more);
        }
    }
}

/// The leaf, and the bit in it.
fn place(object: ObjectId) -> (u64, u64) {
    (object.0 / LEAF_OBJECTS, 1 << (object.0 % LEAF_OBJECTS))
}

/// Of the bits of a leaf.
fn objects(key: u64, mut present: u64) -> impl Iterator<Item = ObjectId> {
    core::iter::from_fn(move || {
        let lowest = (present != 0).then(|| present.trailing_zeros())?;
        present &= present - 1;
        Some(ObjectId(key * LEAF_OBJECTS + u64::from(lowest)))
    })
}

/// Objects of a leaf: bits of a word.
const LEAF_OBJECTS: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// The same steps with a plain tree.
    #[test]
    fn it_is_what_a_tree_of_single_values_is() {
        let mut table = Table::default();
        let mut tree = BTreeMap::new();
        let mut state = 88_172_645_463_325_252_u64;
        for step in 0..20_000_u64 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let object = ObjectId(state % 300 + (state >> 60) * 1000);
            match (state >> 32) % 8 {
                0..4 => {
                    table.insert(object, step);
                    tree.insert(object, step);
                }
                4 | 5 => assert_eq!(table.remove(&object), tree.remove(&object)),
                6 => {
                    let got = *table.get_or_insert_with(object, || step);
                    assert_eq!(got, *tree.entry(object).or_insert(step));
                }
                _ if step % 50 == 0 => {
                    table.retain(|object, value| object.0 % 3 > 0 || *value % 2 == 0);
                    tree.retain(|object, value| object.0 % 3 > 0 || *value % 2 == 0);
                }
                _ => {}
            }
            assert_eq!(table.get(&object), tree.get(&object));
            assert_eq!(table.len(), tree.len());
            if step % 100 == 0 {
                assert!(
                    table
                        .iter()
                        .eq(tree.iter().map(|(object, value)| (*object, value)))
                );
                assert!(table.keys().eq(tree.keys().copied()));
                let range = object..ObjectId(object.0 + state % 200);
                assert!(
                    table
                        .keys_in(range.clone())
                        .eq(tree.range(range).map(|(object, _)| *object))
                );
            }
        }
        table.retain(|_, _| false);
        assert!(table.is_empty() && table == Table::default());
    }

    #[test]
    fn a_range_that_is_empty_or_upside_down_has_nothing() {
        let mut table = Table::default();
        table.insert(ObjectId(70), ());
        let none = [(70, 70), (90, 10), (71, 128), (0, 70)];
        for (start, end) in none {
            assert_eq!(table.keys_in(ObjectId(start)..ObjectId(end)).count(), 0);
        }
        assert_eq!(table.keys_in(ObjectId(0)..ObjectId(71)).count(), 1);
    }

    #[test]
    fn a_full_leaf_has_no_room_to_spare() {
        let mut table = Table::default();
        for object in 0..LEAF_OBJECTS {
            table.insert(ObjectId(object), [0_u8; 56]);
        }
        assert_eq!(table.leaves[&0].values.capacity(), LEAF_OBJECTS as usize);
    }
}
