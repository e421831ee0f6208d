//! What the machine asks its driver.

use alloc::vec::Vec;

use umbel_wire::{Consistency, Mode, ObjectId, Protocol};

/// What the source says of an object; asked once in its life, when its directory entry is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Policy {
    /// What its threads rely on.
    pub consistency: Consistency,
    /// The protocol; `None`: the home chooses, and changes its mind.
    pub protocol: Option<Protocol>,
    /// Its atomic operations are compiled as calls, so that the home may choose `Remote`.
    pub operations: bool,
}

impl Policy {
    /// Sequential, by invalidation: what every program may rely on.
    pub const SEQUENTIAL: Self = Self {
        consistency: Consistency::Sequential,
        protocol: Some(Protocol::Invalidate),
        operations: false,
    };

    /// How the object's life begins.
    pub(crate) fn mode(self) -> Mode {
        let protocol = self.protocol.unwrap_or(Protocol::Invalidate);
        Mode {
            consistency: self.consistency,
            protocol: allowed(self.consistency, protocol),
        }
    }
}

/// Who reads a sequential object must see the last store: an update comes too late.
pub(crate) fn allowed(consistency: Consistency, protocol: Protocol) -> Protocol {
    match (consistency, protocol) {
        (Consistency::Sequential, Protocol::Update) => Protocol::Invalidate,
        (Consistency::Sequential | Consistency::Weak, protocol) => protocol,
    }
}

/// The driver's memory as the machine needs to see it. Asked within an input, when the effects of all
/// earlier inputs have been carried out.
pub trait Memory<D> {
    /// What the source says of an object of this home.
    fn policy(&self, object: ObjectId) -> Policy;

    /// Whether an object of this home lives there now: a prefetch may ask beyond the last one.
    fn exists(&self, object: ObjectId) -> bool;

    /// Whether the kernel tells afterwards which bytes were written: the copy gets its twin at once and is
    /// never write-protected.
    fn tracks_writes(&self, object: ObjectId) -> bool;

    /// Whether who reads a sequential object must get the only copy: here stores to a read copy can't be refused.
    /// The home says it for all nodes.
    fn reads_alone(&self, _object: ObjectId) -> bool {
        false
    }

    /// The objects with a twin whose writes are tracked and which were written by now, those of earlier calls whose
    /// diff was not taken among them. `None`: not known, each must be looked at.
    fn written(&mut self) -> Option<Vec<ObjectId>> {
        None
    }

    /// What changed since the twin was made, or since the last diff; the twin takes it. `None`: nothing.
    fn take_diff(&mut self, object: ObjectId) -> Option<D>;

    /// Whether `take_diff` would find something; true if that is not known without much ado.
    fn is_changed(&self, _object: ObjectId) -> bool {
        true
    }

    /// Whether `data`, an owner's bytes, are other than the home's older ones: did he write?
    fn differs(&self, object: ObjectId, data: &D) -> bool;
}

/// Of a driver whose objects are all sequential.
impl<D> Memory<D> for () {
    fn policy(&self, _object: ObjectId) -> Policy {
        Policy::SEQUENTIAL
    }

    fn exists(&self, _object: ObjectId) -> bool {
        true
    }

    fn tracks_writes(&self, _object: ObjectId) -> bool {
        false
    }

    fn take_diff(&mut self, _object: ObjectId) -> Option<D> {
        None
    }

    fn differs(&self, _object: ObjectId, _data: &D) -> bool {
        true
    }
}
