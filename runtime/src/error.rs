//! What can keep a node from running, in words for its user.

use std::io;

/// A reason to end the job.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The memory.
    #[error(transparent)]
    Memory(#[from] uffd_dsm::Error),
    /// What the launcher passed on.
    #[error(
        "cannot use {variable} from the environment: {reason}; start distributed programs with `umbel run`"
    )]
    Launch {
        /// The variable.
        variable: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A call on the event loop's descriptors.
    #[error("cannot {operation}: {source}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A peer sent what it may not send.
    #[error("node {rank} broke the protocol: {reason}")]
    Peer {
        /// The peer's rank.
        rank: u16,
        /// What it did.
        reason: String,
    },
    /// A thread used an address that belongs to no node.
    #[error(
        "a thread on node {node} {verb} address {address:#x}, where no shared object is: a stray pointer"
    )]
    WildAccess {
        /// Where it ran.
        node: u16,
        /// "read" or "wrote to".
        verb: &'static str,
        /// The page.
        address: usize,
    },
    /// The program misused the shared heap.
    #[error("{0}")]
    Heap(String),
}

impl Error {
    /// For `map_err`: names the operation.
    pub fn system(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { operation, source }
    }
}

/// Exit status of a node that could not go on (`umbel run --help` lists all).
pub const STATUS_FATAL: i32 = 120;
