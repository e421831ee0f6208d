//! Messages of the coherence protocol: `uffd-dsm/coherence` gives them meaning.

use crate::{Access, NodeId, ObjectId, Token};

/// What the threads of different nodes may rely on when they use an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consistency {
    /// Stores are visible elsewhere after the next release: many nodes may write at once.
    Weak,
    /// Every load sees the last store, in one order for all.
    Sequential,
}

/// How the copies of an object are kept current.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Who writes takes the others' copies away.
    Invalidate,
    /// Who reads gets the only copy: he is about to write.
    Migratory,
    /// Nobody writes.
    ReadOnly,
    /// What was written is sent to the copies. Weak objects only.
    Update,
    /// Atomic operations go to the home as messages.
    Remote,
}

/// What a copy's node must know of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mode {
    /// What threads may rely on.
    pub consistency: Consistency,
    /// How the copies are kept current.
    pub protocol: Protocol,
}

/// To whom an owner sends the newest bytes, and what the home grants with them: `Read` if the owner keeps a read
/// copy, else `Write`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Forward {
    /// Who asked the home; neither the home nor the owner.
    pub node: NodeId,
    /// What the object is now.
    pub mode: Mode,
}

/// What an [`Operation`] does; the result of each is the value before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperationKind {
    /// Nothing.
    Load,
    /// The operand takes the value's place.
    Store,
    /// As `Store`; the source says exchange.
    Exchange,
    /// The operand takes the value's place if it is the expected one.
    CompareExchange,
    /// Adds the operand.
    Add,
    /// Subtracts the operand.
    Sub,
    /// Bitwise and.
    And,
    /// Bitwise or.
    Or,
    /// Bitwise exclusive or.
    Xor,
    /// Bitwise and, negated.
    Nand,
}

impl OperationKind {
    /// Every kind, in the order of their numbers on the wire and in the ABI.
    pub const ALL: [Self; 10] = [
        Self::Load,
        Self::Store,
        Self::Exchange,
        Self::CompareExchange,
        Self::Add,
        Self::Sub,
        Self::And,
        Self::Or,
        Self::Xor,
        Self::Nand,
    ];
}

/// One atomic operation on a naturally aligned integer of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operation {
    /// Where the integer is, in bytes from the start of the object's page.
    pub offset: u16,
    /// Its size: 1, 2, 4 or 8 bytes.
    pub width: u8,
    /// What is done.
    pub kind: OperationKind,
    /// The new value, or the other operand; zero-extended.
    pub operand: u64,
    /// What `CompareExchange` compares with; zero-extended.
    pub expected: u64,
}

/// Message between the cache of one node and the directory of an object's home; a `Grant` may come from the owner.
///
/// `D` is the object's bytes, or a *diff* of them: `&[u8]` or `Vec<u8>` on real nodes, a small value in the
/// model. Between two nodes messages arrive in the order sent; between different pairs in any order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coherence<D> {
    /// Cache to home: a thread needs `access`.
    Get {
        /// The object.
        object: ObjectId,
        /// What the thread was about to do.
        access: Access,
        /// No thread waits: the home may `Deny`.
        prefetch: bool,
    },
    /// Home, or owner, to cache: `access` is granted. `data` is absent when the cache's read copy is current.
    Grant {
        /// The object.
        object: ObjectId,
        /// What the copy may be used for. `Write`: it is the only one.
        access: Access,
        /// What the object is now. A weak read copy may be written after a local twin was made.
        mode: Mode,
        /// The newest bytes.
        data: Option<D>,
    },
    /// Home to cache: a prefetch that is not worth serving.
    Deny {
        /// The object.
        object: ObjectId,
    },
    /// Home to the owner: send the newest bytes back; keep a read copy if `keep_read`.
    Recall {
        /// The object.
        object: ObjectId,
        /// Whether the owner becomes a reader (true) or loses its copy (false).
        keep_read: bool,
        /// Who gets a `Grant` with the bytes from the owner, before it answers.
        forward: Option<Forward>,
    },
    /// Owner to home: the answer to `Recall`, with the newest bytes.
    Recalled {
        /// The object.
        object: ObjectId,
        /// The newest bytes.
        data: D,
    },
    /// Home to a reader, or to any copy of an object whose life is over: drop the copy.
    Invalidate {
        /// The object.
        object: ObjectId,
        /// The object's life is over: no hold, no diff wanted.
        end_of_life: bool,
    },
    /// The answer to `Invalidate`.
    Invalidated {
        /// The object.
        object: ObjectId,
        /// What a weak copy had that the home has not: as a `Flush` of this sequence.
        diff: Option<(u64, D)>,
    },
    /// Cache to home: what was written to a weak copy. Answered by `Flushed`.
    Flush {
        /// The object.
        object: ObjectId,
        /// The sender's number of this flush; its numbers increase.
        sequence: u64,
        /// The copy is dropped, too.
        leave: bool,
        /// What was written; absent only if `leave`.
        diff: Option<D>,
    },
    /// Owner to home: the copy and its bytes, unasked. Answered by `Flushed`.
    Return {
        /// The object.
        object: ObjectId,
        /// As in `Flush`.
        sequence: u64,
        /// The newest bytes.
        data: D,
    },
    /// Home to cache: what this flush brought is in every copy.
    Flushed {
        /// The object.
        object: ObjectId,
        /// The flush.
        sequence: u64,
        /// The receiver's copy is now the only one.
        exclusive: bool,
    },
    /// Home to copy: somebody wrote this.
    Update {
        /// The object.
        object: ObjectId,
        /// What was written.
        diff: D,
    },
    /// The answer to `Update`.
    Updated {
        /// The object.
        object: ObjectId,
        /// The copy was not used for some updates, and is gone.
        leave: bool,
    },
    /// Cache to home: run an atomic operation there.
    Operate {
        /// The object.
        object: ObjectId,
        /// Names the request.
        token: Token,
        /// What to do.
        operation: Operation,
    },
    /// The answer to `Operate`.
    Operated {
        /// The object.
        object: ObjectId,
        /// The request.
        token: Token,
        /// The value before the operation, zero-extended.
        result: u64,
        /// What the object is now.
        mode: Mode,
    },
    /// Cache to home: make the object sequential for the rest of its life.
    Strengthen {
        /// The object.
        object: ObjectId,
        /// Names the request.
        token: Token,
    },
    /// The answer to `Strengthen`.
    Strengthened {
        /// The object.
        object: ObjectId,
        /// The request.
        token: Token,
    },
}

impl<D> Coherence<D> {
    /// The same message with `change` applied to its bytes.
    pub fn map_ref<'a, E>(&'a self, mut change: impl FnMut(&'a D) -> E) -> Coherence<E> {
        match self {
            Self::Get {
                object,
                access,
                prefetch,
            } => Coherence::Get {
                object: *object,
                access: *access,
                prefetch: *prefetch,
            },
            Self::Grant {
                object,
                access,
                mode,
                data,
            } => Coherence::Grant {
                object: *object,
                access: *access,
                mode: *mode,
                data: data.as_ref().map(change),
            },
            Self::Deny { object } => Coherence::Deny { object: *object },
            Self::Recall {
                object,
                keep_read,
                forward,
            } => Coherence::Recall {
                object: *object,
                keep_read: *keep_read,
                forward: *forward,
            },
            Self::Recalled { object, data } => Coherence::Recalled {
                object: *object,
                data: change(data),
            },
            Self::Invalidate {
                object,
                end_of_life,
            } => Coherence::Invalidate {
                object: *object,
                end_of_life: *end_of_life,
            },
            Self::Invalidated { object, diff } => Coherence::Invalidated {
                object: *object,
                diff: diff
                    .as_ref()
                    .map(|(sequence, diff)| (*sequence, change(diff))),
            },
            Self::Flush {
                object,
                sequence,
                leave,
                diff,
            } => Coherence::Flush {
                object: *object,
                sequence: *sequence,
                leave: *leave,
                diff: diff.as_ref().map(change),
            },
            Self::Return {
                object,
                sequence,
                data,
            } => Coherence::Return {
                object: *object,
                sequence: *sequence,
                data: change(data),
            },
            Self::Flushed {
                object,
                sequence,
                exclusive,
            } => Coherence::Flushed {
                object: *object,
                sequence: *sequence,
                exclusive: *exclusive,
            },
            Self::Update { object, diff } => Coherence::Update {
                object: *object,
                diff: change(diff),
            },
            Self::Updated { object, leave } => Coherence::Updated {
                object: *object,
                leave: *leave,
            },
            Self::Operate {
                object,
                token,
                operation,
            } => Coherence::Operate {
                object: *object,
                token: *token,
                operation: *operation,
            },
            Self::Operated {
                object,
                token,
                result,
                mode,
            } => Coherence::Operated {
                object: *object,
                token: *token,
                result: *result,
                mode: *mode,
            },
            Self::Strengthen { object, token } => Coherence::Strengthen {
                object: *object,
                token: *token,
            },
            Self::Strengthened { object, token } => Coherence::Strengthened {
                object: *object,
                token: *token,
            },
        }
    }

    /// The object the message is about.
    pub fn object(&self) -> ObjectId {
        match self {
            Self::Get { object, .. }
            | Self::Grant { object, .. }
            | Self::Deny { object }
            | Self::Recall { object, .. }
            | Self::Recalled { object, .. }
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
}
