//! What is kept of every shared object and is mostly little: who has copies, and what was counted.
//!
//! A home may have ten million objects. So two copies and counts below 256 are in the entry, and only what is more than that
//! takes memory of its own.

use alloc::boxed::Box;
use alloc::vec::Vec;

use umbel_wire::{Access, NodeId};

use crate::entry::Counters;

/// Copies and counts of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Record {
    /// The nodes with copies, sorted, if they are so few; else none is here.
    few: [NodeId; COPIES_IN_PLACE],
    few_count: u8,
    /// What was counted since it was last added to what is in `more`, in the order of [`Counted`].
    counts: [u8; COUNTERS],
    more: Option<Box<More>>,
}

/// What did not fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct More {
    /// All nodes with copies, sorted, if they are not few; else empty.
    copies: Vec<NodeId>,
    counters: Counters,
}

/// A counter of [`Counters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    ReadFault,
    WriteFault,
    Invalidation,
    Recall,
    GrantWithData,
    Flush,
    Update,
    Operation,
    Switch,
}

impl From<Access> for Counted {
    fn from(access: Access) -> Self {
        match access {
            Access::Read => Self::ReadFault,
            Access::Write => Self::WriteFault,
        }
    }
}

impl Record {
    /// The nodes with copies, ascending.
    pub(crate) fn copies(&self) -> &[NodeId] {
        match &self.more {
            Some(more) if !more.copies.is_empty() => &more.copies,
            Some(_) | None => &self.few[..usize::from(self.few_count)],
        }
    }

    pub(crate) fn has_copy(&self, node: NodeId) -> bool {
        self.copies().binary_search(&node).is_ok()
    }

    /// False if it was there.
    pub(crate) fn add_copy(&mut self, node: NodeId) -> bool {
        let Err(place) = self.copies().binary_search(&node) else {
            return false;
        };
        let mut copies = self.copies().to_vec();
        copies.insert(place, node);
        self.set_copies(copies);
        true
    }

    /// False if it was not there.
    pub(crate) fn remove_copy(&mut self, node: NodeId) -> bool {
        let Ok(place) = self.copies().binary_search(&node) else {
            return false;
        };
        let mut copies = self.copies().to_vec();
        copies.remove(place);
        self.set_copies(copies);
        true
    }

    fn set_copies(&mut self, copies: Vec<NodeId>) {
        self.few = Default::default();
        self.few_count = 0;
        if copies.len() > COPIES_IN_PLACE {
            self.more.get_or_insert_default().copies = copies;
            return;
        }
        self.few[..copies.len()].copy_from_slice(&copies);
        self.few_count = copies.len() as u8;
        if let Some(more) = &mut self.more {
            more.copies = Vec::new();
            if more.counters == Counters::default() {
                self.more = None;
            }
        }
    }

    pub(crate) fn count(&mut self, counted: Counted) {
        let count = &mut self.counts[counted as usize];
        *count += 1;
        if *count == u8::MAX {
            self.more.get_or_insert_default().counters = self.counters();
            self.counts = Default::default();
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        let [
            read_faults,
            write_faults,
            invalidations,
            recalls,
            grants_with_data,
            flushes,
            updates,
            operations,
            switches,
        ] = self.counts.map(u32::from);
        let mut counters = Counters {
            read_faults,
            write_faults,
            invalidations,
            recalls,
            grants_with_data,
            flushes,
            updates,
            operations,
            switches,
        };
        if let Some(more) = &self.more {
            counters.add(&more.counters);
        }
        counters
    }

    pub(crate) fn reset_counters(&mut self) {
        self.counts = Default::default();
        if let Some(more) = &mut self.more {
            more.counters = Counters::default();
            if more.copies.is_empty() {
                self.more = None;
            }
        }
    }
}

/// Most objects have no more: a reader, or two.
const COPIES_IN_PLACE: usize = 2;
/// Fields of [`Counters`].
const COUNTERS: usize = Counted::Switch as usize + 1;

const _: () = assert!(size_of::<Counters>() == COUNTERS * size_of::<u32>());

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn copies_stay_sorted_and_without_duplicates_in_place_or_not() {
        let mut record = Record::default();
        let mut set = BTreeSet::new();
        let mut state = 1_u32;
        for step in 0..2000_u32 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let node = NodeId((state >> 20) as u16 % 6);
            // Many at times, few at times.
            if (state >> 28) % 4 < 1 + step / 100 % 3 {
                assert_eq!(record.add_copy(node), set.insert(node));
            } else {
                assert_eq!(record.remove_copy(node), set.remove(&node));
            }
            assert!(record.copies().iter().eq(&set));
            assert_eq!(record.has_copy(node), set.contains(&node));
            assert_eq!(record.more.is_some(), set.len() > COPIES_IN_PLACE);
        }
        // Equal contents are equal, however they came about.
        set.iter()
            .for_each(|node| assert!(record.remove_copy(*node)));
        assert_eq!(record, Record::default());
    }

    #[test]
    fn counts_go_on_beyond_a_byte() {
        let mut record = Record::default();
        for _ in 0..254 {
            record.count(Counted::Update);
        }
        assert!(record.more.is_none());
        for _ in 254..1000 {
            record.count(Counted::Update);
            record.count(Counted::from(Access::Write));
        }
        let expected = Counters {
            updates: 1000,
            write_faults: 746,
            ..Counters::default()
        };
        assert_eq!(record.counters(), expected);
        record.reset_counters();
        assert_eq!(record, Record::default());
    }
}
