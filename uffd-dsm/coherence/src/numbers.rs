//! What is known by numbers that are given out one after the other: those in use are neighbours, and the oldest is done first.
//!
//! A flush of many gives out a number for each unit, and takes it back when that is answered. In a search tree both cost
//! more than to compare the unit with its twin.

use alloc::collections::{BTreeMap, VecDeque};

/// Values by numbers: a place for each number from the oldest in use to the newest.
///
/// Whatever a number is for is answered at once, so there are few places without a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Numbered<V> {
    /// The first place's; 0 if there is none.
    first: u64,
    /// Neither the first nor the last is empty.
    places: VecDeque<Option<V>>,
}

impl<V> Default for Numbered<V> {
    fn default() -> Self {
        Self {
            first: 0,
            places: VecDeque::new(),
        }
    }
}

impl<V> Numbered<V> {
    /// `number` is above all that have a value.
    pub(crate) fn push(&mut self, number: u64, value: V) {
        if self.places.is_empty() {
            self.first = number;
        }
        let end = self.first + self.places.len() as u64;
        self.places.extend((end..number).map(|_| None));
        self.places.push_back(Some(value));
    }

    pub(crate) fn get(&self, number: u64) -> Option<&V> {
        self.places.get(self.index(number)?)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut V> {
        let index = self.index(number)?;
        self.places.get_mut(index)?.as_mut()
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<V> {
        let index = self.index(number)?;
        let value = self.places.get_mut(index)?.take();
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
        while let Some(None) = self.places.back() {
            self.places.pop_back();
        }
        if self.places.is_empty() {
            self.first = 0;
        }
        value
    }

    /// The smallest with a value.
    pub(crate) fn first(&self) -> Option<u64> {
        (!self.places.is_empty()).then_some(self.first)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &V)> {
        let places = (self.first..).zip(&self.places);
        places.filter_map(|(number, value)| Some((number, value.as_ref()?)))
    }

    fn index(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }
}

/// A set of numbers: a bit for each, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Numbers {
    /// By the upper bits; none is 0.
    words: BTreeMap<u64, u64>,
}

impl Numbers {
    pub(crate) fn insert(&mut self, number: u64) {
        *self.words.entry(number / 64).or_default() |= 1 << (number % 64);
    }

    pub(crate) fn remove(&mut self, number: u64) {
        if let Some(word) = self.words.get_mut(&(number / 64)) {
            *word &= !(1 << (number % 64));
            if *word == 0 {
                self.words.remove(&(number / 64));
            }
        }
    }

    /// The smallest.
    pub(crate) fn first(&self) -> Option<u64> {
        let (upper, word) = self.words.first_key_value()?;
        Some(upper * 64 + u64::from(word.trailing_zeros()))
    }

    pub(crate) fn newest_first(&self) -> impl Iterator<Item = u64> {
        self.words.iter().rev().flat_map(|(upper, word)| {
            let bits = (0..64).rev().filter(move |bit| word >> bit & 1 == 1);
            bits.map(move |bit| upper * 64 + bit)
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    use super::*;

    /// The same steps with plain trees.
    #[test]
    fn they_are_what_trees_are() {
        let mut values = Numbered::default();
        let mut tree = BTreeMap::new();
        let mut numbers = Numbers::default();
        let mut set = BTreeSet::new();
        let mut state = 88_172_645_463_325_252_u64;
        let mut last = 0;
        for step in 0..20_000_u64 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if state % 100 < 45 + step / 1000 % 2 * 10 {
                last += 1 + u64::from(state >> 60 == 0) * 70;
                values.push(last, step);
                tree.insert(last, step);
            } else {
                let keys: Vec<u64> = tree.keys().copied().collect();
                let old = (state >> 20) as usize % (keys.len() + 1);
                let number = keys.get(old).copied().unwrap_or(last + 1);
                assert_eq!(values.remove(number), tree.remove(&number));
            }
            let number = (state >> 32) % 300;
            match state % 2 {
                0 => {
                    numbers.insert(number);
                    set.insert(number);
                }
                _ => {
                    numbers.remove(number);
                    set.remove(&number);
                }
            }
            assert_eq!(values.first(), tree.keys().next().copied());
            assert_eq!(values.get(number), tree.get(&number));
            assert_eq!(values.get_mut(last), tree.get_mut(&last));
            assert_eq!(values.is_empty(), tree.is_empty());
            assert_eq!(numbers.first(), set.first().copied());
            assert_eq!(numbers.is_empty(), set.is_empty());
            assert!(numbers.newest_first().eq(set.iter().rev().copied()));
            if step % 100 == 0 {
                let plain = tree.iter().map(|(number, value)| (*number, value));
                assert!(values.iter().eq(plain));
            }
        }
        for number in tree.keys() {
            values.remove(*number);
        }
        set.iter().for_each(|number| numbers.remove(*number));
        // Equal contents are equal, however they came about.
        assert!(values == Numbered::default() && numbers == Numbers::default());
    }
}
