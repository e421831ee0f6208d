//! Which node is an object's home.

use umbel_wire::{NodeId, ObjectId};

/// Tells the home of every object; all nodes of a job answer alike, for the object's life.
pub trait HomeMap {
    /// The home of `object`; a rank of `node_count` or more if the object cannot exist.
    fn home(&self, object: ObjectId) -> NodeId;
}

/// Homes by equal slices of the window: the rank is what lies above `objects_per_node_log2` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Homes {
    /// Objects of one node's slice, as a power of two; less than 64.
    pub objects_per_node_log2: u32,
}

impl HomeMap for Homes {
    fn home(&self, object: ObjectId) -> NodeId {
        let rank = object.0 >> self.objects_per_node_log2;
        NodeId(u16::try_from(rank).unwrap_or(u16::MAX))
    }
}
