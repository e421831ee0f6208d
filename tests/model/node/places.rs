//! What a node has of each object: bytes, twins, rights; and as the machine asks for it.

use umbel_wire::{Access, ObjectId};

use crate::model::data::Cells;
use crate::subject::{Memory, Policy};

/// A value of a cell.
pub trait Value: Copy + Ord + Default + std::fmt::Debug + From<u8> + Into<u64> {
    /// This and one.
    fn next(self) -> Self;

    /// Whether a comparison of bytes finds no difference.
    fn is_same(self, other: Self) -> bool;
}

/// A version. Every other one has the value that was there before: who stores twice restores.
impl Value for u8 {
    fn next(self) -> Self {
        self + 1
    }

    fn is_same(self, other: Self) -> bool {
        self % 2 == other % 2
    }
}

impl Value for u64 {
    fn next(self) -> Self {
        self + 1
    }

    fn is_same(self, other: Self) -> bool {
        self == other
    }
}

/// What a node has of one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place<V, const N: usize> {
    /// What the engine view shows.
    pub bytes: [V; N],
    /// The clean copy, if there is one.
    pub twin: Option<[V; N]>,
    /// What the threads' view allows.
    pub view: Option<Access>,
    /// A thread waits to load.
    pub reader_waits: bool,
    /// A thread waits to store.
    pub writer_waits: bool,
    /// Holds begun and not expired.
    pub holds: u8,
    /// What a thread has it pinned for.
    pub pinned: Option<Access>,
}

impl<V: Value, const N: usize> Place<V, N> {
    /// What leaves the node when the object does: what was told to nobody stays, for it may be changed back,
    /// and then no diff would tell.
    pub fn clean(&self) -> &[V; N] {
        self.twin.as_ref().unwrap_or(&self.bytes)
    }

    /// What the threads changed since it was last told to anybody.
    pub fn changes(&self) -> Option<Cells<V, N>> {
        Cells::between(self.twin.as_ref()?, &self.bytes)
    }
}

/// What every node knows of an object, and never changes.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// The object.
    pub object: ObjectId,
    /// What its source says.
    pub policy: Policy,
    /// Whether its home knows of it.
    pub exists: bool,
    /// Whether the kernel tells which of its pages were written.
    pub tracks_writes: bool,
}

/// The node's memory, as the machine asks for it.
pub(super) struct Bytes<'a, V, const N: usize> {
    pub(super) objects: &'a [Fixed],
    pub(super) places: &'a mut [Place<V, N>],
}

impl<V, const N: usize> Bytes<'_, V, N> {
    fn index(&self, object: ObjectId) -> usize {
        index_of(self.objects, object)
    }
}

impl<V: Value, const N: usize> Memory<Cells<V, N>> for Bytes<'_, V, N> {
    fn policy(&self, object: ObjectId) -> Policy {
        self.objects[self.index(object)].policy
    }

    fn exists(&self, object: ObjectId) -> bool {
        self.objects[self.index(object)].exists
    }

    fn tracks_writes(&self, object: ObjectId) -> bool {
        self.objects[self.index(object)].tracks_writes
    }

    fn take_diff(&mut self, object: ObjectId) -> Option<Cells<V, N>> {
        let index = self.index(object);
        let place = &mut self.places[index];
        let diff = place.changes();
        if diff.is_some() {
            place.twin = Some(place.bytes);
        }
        diff
    }

    fn is_changed(&self, object: ObjectId) -> bool {
        self.places[self.index(object)].changes().is_some()
    }

    fn differs(&self, object: ObjectId, data: &Cells<V, N>) -> bool {
        self.places[self.index(object)].bytes != data.into_whole()
    }
}

/// Place of an object in a world's list.
pub(super) fn index_of(objects: &[Fixed], object: ObjectId) -> usize {
    objects
        .iter()
        .position(|known| known.object == object)
        .expect("the world lists its objects")
}
