//! Names that travel between nodes.

/// Rank of a node in the job, 0 to `node_count - 1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u16);

/// Unit of coherence: one virtual page of the window that belongs to one object (or to one
/// page-sized part of a larger object).
///
/// Numbers follow allocation order within a thread's shadow stack, so that a scope is a contiguous
/// range; `uffd_dsm::window` maps them to addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub u64);

/// A distributed thread: the node that created it and that node's running number.
///
/// The creator's node keeps the thread's record until it is joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadId(pub u64);

impl ThreadId {
    /// Bits that number a node's threads; the node's rank is above them.
    pub const SEQUENCE_BITS: u32 = 40;

    /// Thread `sequence` (1 or more) created by `creator`.
    pub const fn new(creator: NodeId, sequence: u64) -> Self {
        Self(((creator.0 as u64) << Self::SEQUENCE_BITS) | sequence)
    }

    /// The node that created the thread and keeps its record.
    pub const fn creator(self) -> NodeId {
        NodeId((self.0 >> Self::SEQUENCE_BITS) as u16)
    }

    /// The running number at the creator.
    pub const fn sequence(self) -> u64 {
        self.0 & ((1 << Self::SEQUENCE_BITS) - 1)
    }
}

/// Names a request of a node's application thread, so that the reply finds it; opaque to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What a copy of an object may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Loads only.
    Read,
    /// Loads and stores.
    Write,
}
