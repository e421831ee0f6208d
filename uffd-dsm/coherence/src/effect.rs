//! What the machine tells its driver to do.

use umbel_wire::{Access, Coherence, Forward, Mode, NodeId, ObjectId, Operation, Token};

use crate::Counters;

/// One thing for the driver to do; carried out in the order of the outbox, each finished before the next.
///
/// The order carries the proof: rights are revoked before bytes are read, bytes are read before
/// they are sent, bytes are stored before they are exposed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect<D> {
    /// Send a message; [`Outgoing::seal`] reads the object's bytes now, where it carries them.
    Send {
        /// The peer; never the machine's own node.
        to: NodeId,
        /// The message, without bytes; a diff is inside.
        message: Outgoing<D>,
    },
    /// Write these bytes into the object, through the engine view.
    Store {
        /// The object.
        object: ObjectId,
        /// Its newest bytes.
        data: D,
    },
    /// Keep a clean copy of the object, its *twin*, to find later what was written. There is none yet.
    Twin {
        /// The object.
        object: ObjectId,
    },
    /// Throw the twin away.
    DropTwin {
        /// The object.
        object: ObjectId,
    },
    /// Write what another node wrote: into the twin, and into the object where it equals its twin. Without
    /// a twin: into the object.
    Merge {
        /// The object.
        object: ObjectId,
        /// What was written.
        diff: D,
    },
    /// Set what this node's threads may do with the object; finished when no thread can do more.
    SetAccess {
        /// The object.
        object: ObjectId,
        /// `None`: absent. `Read`: write-protected. `Write`: loads and stores.
        access: Option<Access>,
    },
    /// Threads waiting for the object may retry; those who still lack access fault again.
    Wake {
        /// The object.
        object: ObjectId,
    },
    /// Call `on_hold_expired` exactly once, after the minimum hold.
    Hold {
        /// The object.
        object: ObjectId,
    },
    /// When every effect of this outbox is carried out, and before any other input, call `on_resumed`: the
    /// machine wants to look at memory as the effects leave it. Several are called in their order.
    Resume {
        /// The object.
        object: ObjectId,
    },
    /// Keep this message, which came too early: `on_message` wants it again after [`Effect::TakeUp`].
    Postpone {
        /// Who sent it.
        from: NodeId,
        /// The message.
        message: Coherence<D>,
    },
    /// When every effect of this outbox is carried out, and before any other input, call `on_message` with what
    /// was postponed for this object, in the order in which it came.
    TakeUp {
        /// The object.
        object: ObjectId,
    },
    /// Run the operation atomically on the home's bytes, then call `on_operated`.
    Operate {
        /// The object.
        object: ObjectId,
        /// Who asked for it.
        from: NodeId,
        /// As the asking node named it.
        token: Token,
        /// What to do.
        operation: Operation,
    },
    /// The answer to `flush`.
    Flushed {
        /// As given to `flush`.
        token: Token,
    },
    /// The answer to `operate`.
    Operated {
        /// As given to `operate`.
        token: Token,
        /// The value before the operation.
        result: u64,
    },
    /// The answer to `strengthen`.
    Strengthened {
        /// As given to `strengthen`.
        token: Token,
    },
    /// The directory entry is gone; the home's bytes are all there is.
    Retire {
        /// The object.
        object: ObjectId,
        /// What the entry counted: to be added to the node's statistics.
        counters: Counters,
        /// What the object was last.
        mode: Mode,
    },
    /// Every object of the range given to `reclaim` is this node's alone.
    Reclaimed {
        /// As given to `reclaim`.
        token: Token,
    },
}

impl<D> Effect<D> {
    /// The object it is about, if it is about one.
    pub fn object(&self) -> Option<ObjectId> {
        match self {
            Self::Send { message, .. } => Some(message.object()),
            Self::Postpone { message, .. } => Some(message.object()),
            Self::TakeUp { object }
            | Self::Store { object, .. }
            | Self::Twin { object }
            | Self::DropTwin { object }
            | Self::Merge { object, .. }
            | Self::SetAccess { object, .. }
            | Self::Wake { object }
            | Self::Hold { object }
            | Self::Resume { object }
            | Self::Operate { object, .. }
            | Self::Retire { object, .. } => Some(*object),
            Self::Flushed { .. }
            | Self::Operated { .. }
            | Self::Strengthened { .. }
            | Self::Reclaimed { .. } => None,
        }
    }
}

/// A [`Coherence`] message whose bytes have not been read yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outgoing<D> {
    /// As [`Coherence::Get`].
    Get {
        /// The object.
        object: ObjectId,
        /// What the thread was about to do.
        access: Access,
        /// No thread waits.
        prefetch: bool,
    },
    /// As [`Coherence::Grant`].
    Grant {
        /// The object.
        object: ObjectId,
        /// What the copy may be used for.
        access: Access,
        /// What the object is now.
        mode: Mode,
        /// Whether the bytes go along.
        with_data: bool,
    },
    /// As [`Coherence::Deny`].
    Deny {
        /// The object.
        object: ObjectId,
    },
    /// As [`Coherence::Recall`].
    Recall {
        /// The object.
        object: ObjectId,
        /// Whether the owner becomes a reader.
        keep_read: bool,
        /// To whom it grants.
        forward: Option<Forward>,
    },
    /// As [`Coherence::Recalled`]; the bytes go along.
    Recalled {
        /// The object.
        object: ObjectId,
    },
    /// As [`Coherence::Invalidate`].
    Invalidate {
        /// The object.
        object: ObjectId,
        /// The object's life is over.
        end_of_life: bool,
    },
    /// As [`Coherence::Invalidated`].
    Invalidated {
        /// The object.
        object: ObjectId,
        /// What the home has not.
        diff: Option<(u64, D)>,
    },
    /// As [`Coherence::Flush`].
    Flush {
        /// The object.
        object: ObjectId,
        /// The number of this flush.
        sequence: u64,
        /// The copy is dropped, too.
        leave: bool,
        /// What was written.
        diff: Option<D>,
    },
    /// As [`Coherence::Return`]; the bytes go along.
    Return {
        /// The object.
        object: ObjectId,
        /// The number of this flush.
        sequence: u64,
    },
    /// As [`Coherence::Flushed`].
    Flushed {
        /// The object.
        object: ObjectId,
        /// The flush.
        sequence: u64,
        /// The receiver's copy is now the only one.
        exclusive: bool,
    },
    /// As [`Coherence::Update`].
    Update {
        /// The object.
        object: ObjectId,
        /// What was written.
        diff: D,
    },
    /// As [`Coherence::Updated`].
    Updated {
        /// The object.
        object: ObjectId,
        /// The copy is gone.
        leave: bool,
    },
    /// As [`Coherence::Operate`].
    Operate {
        /// The object.
        object: ObjectId,
        /// Names the request.
        token: Token,
        /// What to do.
        operation: Operation,
    },
    /// As [`Coherence::Operated`].
    Operated {
        /// The object.
        object: ObjectId,
        /// The request.
        token: Token,
        /// The value before the operation.
        result: u64,
        /// What the object is now.
        mode: Mode,
    },
    /// As [`Coherence::Strengthen`].
    Strengthen {
        /// The object.
        object: ObjectId,
        /// Names the request.
        token: Token,
    },
    /// As [`Coherence::Strengthened`].
    Strengthened {
        /// The object.
        object: ObjectId,
        /// The request.
        token: Token,
    },
}

impl<D> Outgoing<D> {
    /// The object the message is about.
    pub fn object(&self) -> ObjectId {
        match self {
            Self::Get { object, .. }
            | Self::Grant { object, .. }
            | Self::Deny { object }
            | Self::Recall { object, .. }
            | Self::Recalled { object }
            | Self::Invalidate { object, .. }
            | Self::Invalidated { object, .. }
            | Self::Flush { object, .. }
            | Self::Return { object, .. }
            | Self::Flushed { object, .. }
            | Self::Update { object, .. }
            | Self::Updated { object, .. }
            | Self::Operate { object, .. }
            | Self::Operated { object, .. }
            | Self::Strengthen { object, .. }
            | Self::Strengthened { object, .. } => *object,
        }
    }

    /// Makes the message, calling `read` for the object's bytes if it carries them: those of its twin, if it
    /// has one. What was stored since must leave as a diff alone. Had it left in these bytes and were it
    /// stored back to what it was, no diff would find that, and the receiver would keep it for ever.
    pub fn seal(self, read: impl FnOnce(ObjectId) -> D) -> Coherence<D> {
        match self {
            Self::Get {
                object,
                access,
                prefetch,
            } => Coherence::Get {
                object,
                access,
                prefetch,
            },
            Self::Grant {
                object,
                access,
                mode,
                with_data,
            } => Coherence::Grant {
                object,
                access,
                mode,
                data: with_data.then(|| read(object)),
            },
            Self::Deny { object } => Coherence::Deny { object },
            Self::Recall {
                object,
                keep_read,
                forward,
            } => Coherence::Recall {
                object,
                keep_read,
                forward,
            },
            Self::Recalled { object } => Coherence::Recalled {
                object,
                data: read(object),
            },
            Self::Invalidate {
                object,
                end_of_life,
            } => Coherence::Invalidate {
                object,
                end_of_life,
            },
            Self::Invalidated { object, diff } => Coherence::Invalidated { object, diff },
            Self::Flush {
                object,
                sequence,
                leave,
                diff,
            } => Coherence::Flush {
                object,
                sequence,
                leave,
                diff,
            },
            Self::Return { object, sequence } => Coherence::Return {
                object,
                sequence,
                data: read(object),
            },
            Self::Flushed {
                object,
                sequence,
                exclusive,
            } => Coherence::Flushed {
                object,
                sequence,
                exclusive,
            },
            Self::Update { object, diff } => Coherence::Update { object, diff },
            Self::Updated { object, leave } => Coherence::Updated { object, leave },
            Self::Operate {
                object,
                token,
                operation,
            } => Coherence::Operate {
                object,
                token,
                operation,
            },
            Self::Operated {
                object,
                token,
                result,
                mode,
            } => Coherence::Operated {
                object,
                token,
                result,
                mode,
            },
            Self::Strengthen { object, token } => Coherence::Strengthen { object, token },
            Self::Strengthened { object, token } => Coherence::Strengthened { object, token },
        }
    }
}
