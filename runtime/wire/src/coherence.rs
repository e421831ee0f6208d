//! Messages of the coherence protocol: `uffd-dsm/coherence` gives them meaning.

use crate::{Access, ObjectId};

/// Message between the cache of one node and the directory of an object's home.
///
/// `D` is the object's bytes: `&[u8]` or `Vec<u8>` on real nodes, a number in the model.
/// Between two nodes messages arrive in the order sent; between different pairs in any order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coherence<D> {
    /// Cache to home: a thread needs `access`.
    Get {
        /// The object.
        object: ObjectId,
        /// What the thread was about to do.
        access: Access,
    },
    /// Home to cache: `access` is granted. `data` is absent when the cache's read copy is current.
    Grant {
        /// The object.
        object: ObjectId,
        /// What the copy may be used for.
        access: Access,
        /// The newest bytes.
        data: Option<D>,
    },
    /// Home to the owner: send the newest bytes back; keep a read copy if `keep_read`.
    Recall {
        /// The object.
        object: ObjectId,
        /// Whether the owner becomes a reader (true) or loses its copy (false).
        keep_read: bool,
    },
    /// Owner to home: the answer to `Recall`, with the newest bytes.
    Recalled {
        /// The object.
        object: ObjectId,
        /// The newest bytes.
        data: D,
    },
    /// Home to a reader, or to the owner of an object whose life is over: drop the copy.
    Invalidate {
        /// The object.
        object: ObjectId,
    },
    /// The answer to `Invalidate`.
    Invalidated {
        /// The object.
        object: ObjectId,
    },
}

impl<D> Coherence<D> {
    /// The object the message is about.
    pub fn object(&self) -> ObjectId {
        match self {
            Self::Get { object, .. }
            | Self::Grant { object, .. }
            | Self::Recall { object, .. }
            | Self::Recalled { object, .. }
            | Self::Invalidate { object }
            | Self::Invalidated { object } => *object,
        }
    }
}
