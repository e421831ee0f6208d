//! What an application thread asks of its node's service thread, and how it waits for the answer.

use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use uffd_dsm::heap::Urgency;
use uffd_dsm::stack::StackMap;
use umbel_agents::Reach;
use umbel_wire::sync::{SyncKey, SyncOp};
use umbel_wire::thread::{CodeRef, Frame};
use umbel_wire::{NodeId, ObjectId, Operation, ThreadId};

use crate::heap::Description;
use crate::recorder;
use crate::sys::latch::Latch;

/// A request; those with a [`Reply`] are answered once.
pub enum Request {
    /// Start a thread.
    Spawn {
        /// Its father, the caller.
        father: ThreadId,
        /// Where; round robin if absent.
        node: Option<NodeId>,
        /// What it runs.
        code: CodeRef,
        /// The record of that function, or the default.
        function: CodeRef,
        /// Its argument.
        argument: u64,
        /// Its static chain.
        frames: Vec<Frame>,
        /// What it can reach of the father's stacks.
        reach: Reach,
        /// The thread's name, or -errno.
        reply: Reply,
    },
    /// A thread that was to be started here has begun, or can't.
    Started {
        /// Who.
        thread: ThreadId,
        /// Its stack.
        stack: u32,
        /// 0 or -errno.
        result: i32,
    },
    /// Wait for a thread.
    Join {
        /// The caller.
        waiter: ThreadId,
        /// Whom to wait for.
        thread: ThreadId,
        /// 0 or -errno.
        reply: Reply,
    },
    /// Wait for all children of the caller, and forget them.
    JoinAll {
        /// The caller.
        father: ThreadId,
        /// 0.
        reply: Reply,
    },
    /// The caller's scope ends: wait for the children that reach above the marks, then take its objects back.
    Leave {
        /// The caller.
        father: ThreadId,
        /// The marks.
        above: Reach,
        /// The objects above the marks that others may know: slots, pages.
        objects: [Range<ObjectId>; 3],
        /// 0.
        reply: Reply,
    },
    /// The thread has ended, and so have its children; its stack is empty.
    Ended {
        /// Who.
        thread: ThreadId,
        /// Its stack, free again.
        stack: u32,
    },
    /// A thread was given a stack that was never used before.
    Stack {
        /// Which.
        stack: u32,
        /// Its map.
        map: StackMap,
    },
    /// An operation on a synchronization object of another home.
    Sync {
        /// The caller.
        thread: ThreadId,
        /// Which object.
        key: SyncKey,
        /// Its home.
        home: NodeId,
        /// What to do.
        op: SyncOp,
        /// As in `sync::Sync::Reply`; none if the thread has gone on, for it will be 0.
        reply: Option<Reply>,
    },
    /// Make everything that this node's threads wrote visible everywhere.
    Flush {
        /// 0.
        reply: Reply,
    },
    /// An atomic operation that runs at the object's home.
    Operate {
        /// Where.
        address: usize,
        /// What.
        operation: Operation,
        /// The value before it, as bits.
        reply: Reply,
    },
    /// Make the unit at this address sequential for the rest of its life.
    Strengthen {
        /// Where.
        address: usize,
        /// 0.
        reply: Reply,
    },
    /// Get rights to a range and keep them.
    Pin {
        /// Addresses of the window.
        range: Range<usize>,
        /// Also for stores.
        writable: bool,
        /// 0 or -errno.
        reply: Reply,
    },
    /// End that.
    Unpin {
        /// As it was pinned.
        range: Range<usize>,
        /// 0 or -errno.
        reply: Reply,
    },
    /// Answers to other nodes' threads, which an operation of the caller brought about.
    SendSync,
    /// The caller waits for others, and when they have come all that this node has written must be visible: it may as
    /// well travel now.
    FlushAhead,
    /// Objects of this node's heap were freed.
    HeapFreed(Urgency),
    /// Frees a heap object of another node, or asks what it is.
    Heap {
        /// The other node.
        home: NodeId,
        /// The object.
        address: u64,
        /// Where in the program.
        site: u64,
        /// Present if it is a question.
        reply: Option<(Reply, HeapReply)>,
    },
    /// The program ended with this status.
    Exit {
        /// Its status.
        status: i32,
        /// Answered when the node may go.
        reply: Reply,
    },
    /// The caller met something that the job can't survive.
    Fatal {
        /// For the user.
        text: String,
    },
}

/// Where the answer to a question about a heap object is put before the reply is sent.
pub type HeapReply = Arc<Mutex<Option<Description>>>;

/// Where an answer goes.
#[derive(Clone)]
pub struct Reply(Arc<Cell>);

struct Cell {
    value: AtomicI64,
    answered: Latch,
}

impl Reply {
    /// For one request of the calling thread.
    pub fn new() -> Self {
        Self(Arc::new(Cell {
            value: AtomicI64::new(0),
            answered: Latch::default(),
        }))
    }

    /// Answers.
    pub fn send(&self, value: i64) {
        self.0.value.store(value, Ordering::Relaxed);
        self.0.answered.open();
    }

    /// Whether it was answered.
    pub fn is_answered(&self) -> bool {
        self.0.answered.is_open()
    }

    /// Waits for the answer; to be called by one thread, once.
    pub fn wait(&self) -> i64 {
        let _shown = (!self.is_answered()).then(recorder::wait_began);
        self.0.answered.wait();
        self.0.value.load(Ordering::Relaxed)
    }
}
