//! Every bound of the machines, with its reason.

use umbel_wire::limits::NODES_MAX;

/// Requests one node may have waiting at an object's home: a cache asks once and waits for the answer.
pub const REQUESTS_PER_NODE_MAX: usize = 1;

/// Requests waiting at an object's home: one per node, the home itself included.
pub const REQUESTS_PER_OBJECT_MAX: usize = NODES_MAX * REQUESTS_PER_NODE_MAX;

/// Messages put off until the end of a hold, per copy: the home awaits the answer before it sends another.
pub const DEFERRED_PER_COPY_MAX: usize = 1;

/// Bytes of a directory entry, more than two copies, counts above 255 and waiting requests apart: a cache line.
pub const ENTRY_BYTES_MAX: usize = 64;

/// Bytes of a waiting request: a queue's first allocation has room for four.
pub const REQUEST_BYTES_MAX: usize = 24;

/// Bytes of a cached copy's record: a node caches far more objects than it is home to. The mode, who waits and
/// how much the copy is used take 5 of them; what is written or under way is kept apart, for few copies are.
pub const COPY_BYTES_MAX: usize = 10;

/// Messages of an object's home put off while a forwarded grant is on its way: at most one update for the flush of
/// each node, or what ends the copy.
pub const POSTPONED_PER_COPY_MAX: u16 = NODES_MAX as u16;

// The counters of an entry are 32 bits wide; a full queue must not wrap them.
const _: () = assert!(REQUESTS_PER_OBJECT_MAX < u32::MAX as usize);
// `Copy::deferred` is an `Option`.
const _: () = assert!(DEFERRED_PER_COPY_MAX == 1);
const _: () = assert!(NODES_MAX <= u16::MAX as usize);

/// Threads waiting for one synchronization object; one more gets EAGAIN. A thread waits for one thing
/// at a time, so this bounds a broken peer, not a program.
pub const WAITERS_PER_OBJECT_MAX: usize = 1 << 20;

/// Synchronization objects of one home; one more gets ENOMEM. Also a bound for broken peers.
pub const SYNC_OBJECTS_MAX: usize = 1 << 24;

/// Largest value of a semaphore: SEM_VALUE_MAX of glibc.
pub const SEMAPHORE_VALUE_MAX: u32 = i32::MAX as u32;

// A reply says a semaphore's value as a non-negative result.
const _: () = assert!(SEMAPHORE_VALUE_MAX <= i32::MAX as u32);

/// Flushes in a row that find nothing before a written copy is protected again. Taking rights interrupts every
/// processor (14 us), and the next store faults (5 us): a diff of a page costs 0.2 us.
pub const IDLE_FLUSHES_MAX: u8 = 8;

/// Updates of a copy without an access before its rights are taken: the next access shows that it is used.
pub const UNUSED_UPDATES_MAX: u8 = 4;

/// Updates of a copy without rights before it is dropped: as many messages were for nothing.
pub const RESTING_UPDATES_MAX: u8 = 4;

/// Operations of one node waiting at an object's home, and likewise its requests to strengthen it: a thread
/// waits for its answer, so this bounds a broken peer, not a program.
pub const OPERATIONS_PER_NODE_MAX: usize = 4096;

/// `Arrived` messages of barriers' trees that wait for their plan: one per child and plan on its way, so this bounds a
/// broken peer.
pub const EARLY_ARRIVALS_MAX: usize = 1 << 20;
