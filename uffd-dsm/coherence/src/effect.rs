//! What the machine tells its driver to do.

use umbel_wire::{Access, Coherence, NodeId, ObjectId, Token};

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
        /// The message, without bytes.
        message: Outgoing,
    },
    /// Write these bytes into the object, through the engine view.
    Store {
        /// The object.
        object: ObjectId,
        /// Its newest bytes.
        data: D,
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
    /// The directory entry is gone; the home's bytes are all there is.
    Retire {
        /// The object.
        object: ObjectId,
        /// What the entry counted: to be added to the node's statistics.
        counters: Counters,
    },
    /// Every object of the range given to `reclaim` is this node's alone.
    Reclaimed {
        /// As given to `reclaim`.
        token: Token,
    },
}

/// A [`Coherence`] message whose bytes have not been read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outgoing {
    /// As [`Coherence::Get`].
    Get {
        /// The object.
        object: ObjectId,
        /// What the thread was about to do.
        access: Access,
    },
    /// As [`Coherence::Grant`].
    Grant {
        /// The object.
        object: ObjectId,
        /// What the copy may be used for.
        access: Access,
        /// Whether the bytes go along.
        with_data: bool,
    },
    /// As [`Coherence::Recall`].
    Recall {
        /// The object.
        object: ObjectId,
        /// Whether the owner becomes a reader.
        keep_read: bool,
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
    },
    /// As [`Coherence::Invalidated`].
    Invalidated {
        /// The object.
        object: ObjectId,
    },
}

impl Outgoing {
    /// Makes the message, calling `read` for the object's bytes if it carries them.
    pub fn seal<D>(self, read: impl FnOnce(ObjectId) -> D) -> Coherence<D> {
        match self {
            Self::Get { object, access } => Coherence::Get { object, access },
            Self::Grant {
                object,
                access,
                with_data,
            } => Coherence::Grant {
                object,
                access,
                data: with_data.then(|| read(object)),
            },
            Self::Recall { object, keep_read } => Coherence::Recall { object, keep_read },
            Self::Recalled { object } => Coherence::Recalled {
                object,
                data: read(object),
            },
            Self::Invalidate { object } => Coherence::Invalidate { object },
            Self::Invalidated { object } => Coherence::Invalidated { object },
        }
    }
}
