//! Messages of the thread life cycle: creation, end, join.

use alloc::vec::Vec;

use crate::{ThreadId, Token};

/// Place in a loaded module, equal on all nodes though their load addresses differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeRef {
    /// Index of the module in registration order; 0 is the program.
    pub module: u32,
    /// Bytes from the module's ELF header.
    pub offset: u64,
}

/// One FRAME record of a static chain, innermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The frame's table (`struct umbel_frame`).
    pub table: CodeRef,
    /// The record's bytes at the creator.
    pub bytes: Vec<u8>,
}

/// Message about a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thread {
    /// Creator to the chosen node: run this thread.
    Spawn {
        /// Its name.
        thread: ThreadId,
        /// Its father.
        father: ThreadId,
        /// Its code.
        code: CodeRef,
        /// The record of its function (`struct umbel_function`), offset 0 if it has none.
        function: CodeRef,
        /// Its argument.
        argument: u64,
        /// Its static chain, innermost frame first.
        frames: Vec<Frame>,
    },
    /// The chosen node's answer: 0 or -errno.
    Spawned {
        /// The thread.
        thread: ThreadId,
        /// 0, or -errno.
        result: i32,
    },
    /// The thread's node to its creator: it has ended, and so have its children.
    Ended {
        /// The thread.
        thread: ThreadId,
    },
    /// Any node to the creator: answer when this thread has ended.
    Join {
        /// Finds the waiting thread at its node.
        token: Token,
        /// Who waits: a thread may not join itself.
        waiter: ThreadId,
        /// Whom to wait for.
        thread: ThreadId,
    },
    /// Creator's answer to `Join`: 0 or -errno.
    Joined {
        /// As in `Join`.
        token: Token,
        /// 0, or -errno.
        result: i32,
    },
}
