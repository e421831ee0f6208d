//! What a node records of itself for `umbel run --timeline` and `--report`.

use alloc::string::String;

use crate::{NodeId, ObjectId, ThreadId};

/// Something that happened on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in nanoseconds of CLOCK_MONOTONIC.
    pub at_ns: u64,
    /// What.
    pub what: What,
}

/// What happened. `thread` is the kernel's thread id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A thread of the program begins to run.
    ThreadBegan {
        /// Who.
        thread: u32,
        /// Its name among the job's threads.
        id: ThreadId,
        /// Its function and argument: `work(3)`.
        name: String,
    },
    /// It has ended.
    ThreadEnded {
        /// Who.
        thread: u32,
    },
    /// A thread accessed an object without having the right to.
    FaultBegan {
        /// Who.
        thread: u32,
        /// The object.
        object: ObjectId,
        /// Whether it was a store.
        write: bool,
    },
    /// Every thread that waits for this object goes on.
    FaultEnded {
        /// The object.
        object: ObjectId,
    },
    /// A thread goes to sleep until something happens.
    WaitBegan {
        /// Who.
        thread: u32,
        /// What for.
        why: Why,
        /// Name of the synchronization object or of the thread waited for; 0 if neither.
        key: u64,
    },
    /// It goes on.
    WaitEnded {
        /// Who.
        thread: u32,
    },
    /// A message was queued for a peer.
    Sent(Traffic),
    /// A message from a peer was taken.
    Received(Traffic),
    /// From now on an object with this name in the source lives here; said by its home.
    Named {
        /// The object.
        object: ObjectId,
        /// Size in bytes of the whole variable.
        size_bytes: u64,
        /// `main:a`.
        name: String,
    },
}

/// A message between two nodes, as seen by one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// The other one.
    pub peer: NodeId,
    /// The header's kind: [`crate::codec::message_name`].
    pub kind: u8,
    /// The object it is about, if it is about one; never `u64::MAX`.
    pub object: Option<ObjectId>,
    /// Length with its header.
    pub bytes: u32,
    /// How many messages went the same way before: both ends count, which pairs sender and receiver.
    pub sequence: u64,
}

/// What a thread waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Why {
    /// None of those below.
    #[default]
    Other = 0,
    /// A mutex.
    Mutex = 1,
    /// A semaphore.
    Semaphore = 2,
    /// A barrier.
    Barrier = 3,
    /// A condition variable.
    Condition = 4,
    /// The end of a thread, or of all children.
    Join = 5,
    /// A scope's end: until nobody else can reach its objects.
    ScopeEnd = 6,
    /// The creation of a thread.
    Create = 7,
    /// Its writes to be visible everywhere.
    Flush = 8,
    /// An atomic operation, or an access, that runs at the object's home.
    Operation = 9,
    /// Shared memory to be allocated or freed.
    Memory = 10,
}

impl Why {
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Other,
        Self::Mutex,
        Self::Semaphore,
        Self::Barrier,
        Self::Condition,
        Self::Join,
        Self::ScopeEnd,
        Self::Create,
        Self::Flush,
        Self::Operation,
        Self::Memory,
    ];

    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Other => "wait",
            Self::Mutex => "mutex",
            Self::Semaphore => "semaphore",
            Self::Barrier => "barrier",
            Self::Condition => "condition",
            Self::Join => "join",
            Self::ScopeEnd => "scope end",
            Self::Create => "thread creation",
            Self::Flush => "flush",
            Self::Operation => "remote operation",
            Self::Memory => "shared memory",
        }
    }
}
