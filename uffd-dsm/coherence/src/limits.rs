//! Every bound of the machines, with its reason.

use umbel_wire::limits::NODES_MAX;

/// Requests one node may have waiting at an object's home: a cache asks once and waits for the answer.
pub const REQUESTS_PER_NODE_MAX: usize = 1;

/// Requests waiting at an object's home: one per node, the home itself included.
pub const REQUESTS_PER_OBJECT_MAX: usize = NODES_MAX * REQUESTS_PER_NODE_MAX;

/// Messages put off until the end of a hold, per copy: the home awaits the answer before it sends another.
pub const DEFERRED_PER_COPY_MAX: usize = 1;

/// Bytes of a directory entry, its copyset and its waiting requests apart: one cache line.
pub const ENTRY_BYTES_MAX: usize = 64;

/// Bytes of a cached copy's record: a node caches far more objects than it is home to.
pub const COPY_BYTES_MAX: usize = 8;

// The counters of an entry are 32 bits wide; a full queue must not wrap them.
const _: () = assert!(REQUESTS_PER_OBJECT_MAX < u32::MAX as usize);
// `Copy::deferred` is an `Option`.
const _: () = assert!(DEFERRED_PER_COPY_MAX == 1);

/// Threads waiting for one synchronization object; one more gets EAGAIN. A thread waits for one thing
/// at a time, so this bounds a broken peer, not a program.
pub const WAITERS_PER_OBJECT_MAX: usize = 1 << 20;

/// Synchronization objects of one home; one more gets ENOMEM. Also a bound for broken peers.
pub const SYNC_OBJECTS_MAX: usize = 1 << 24;

/// Largest value of a semaphore: SEM_VALUE_MAX of glibc.
pub const SEMAPHORE_VALUE_MAX: u32 = i32::MAX as u32;

// A reply says a semaphore's value as a non-negative result.
const _: () = assert!(SEMAPHORE_VALUE_MAX <= i32::MAX as u32);
