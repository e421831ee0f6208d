//! The message type that links carry.

use alloc::vec::Vec;

use crate::coherence::Coherence;
use crate::heap::Heap;
use crate::sync::Sync;
use crate::thread::Thread;

/// First message on a link, in both directions: who is there, and is it the same job and program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The sender's rank.
    pub rank: u16,
    /// Nodes in the job.
    pub node_count: u16,
    /// The job's secret, known only to its nodes and launcher.
    pub job: [u8; 16],
    /// Digest of the program: addresses in it are sent as offsets, so it must be the same on every node.
    pub program: [u8; 20],
}

/// Anything that one node sends another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Who is there.
    Hello(Hello),
    /// Object coherence.
    Coherence(Coherence<Vec<u8>>),
    /// Threads.
    Thread(Thread),
    /// Synchronization objects.
    Sync(Sync),
    /// Heap objects of another node.
    Heap(Heap),
    /// The sender leaves in order; nothing follows.
    Bye,
}
