//! What both sides of the machine work with while they serve one input.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use umbel_wire::{Access, NodeId, ObjectId};

use crate::effect::{Effect, Outgoing};
use crate::flush::Flushes;
use crate::memory::Memory;

/// One input: whom to ask, what the sides share, where effects go.
pub(crate) struct Turn<'a, D> {
    pub(crate) node: NodeId,
    pub(crate) minimum_hold: bool,
    pub(crate) forwards: bool,
    pub(crate) flushes: &'a mut Flushes,
    pub(crate) resumes: &'a mut VecDeque<(ObjectId, Resume)>,
    pub(crate) memory: &'a mut dyn Memory<D>,
    pub(crate) out: &'a mut Vec<Effect<D>>,
}

/// What goes on when the effects before an [`Effect::Resume`] are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Resume {
    /// The rights of a copy that nobody wrote to for long were lowered: the last diff, then no twin.
    Clean,
    /// The rights of a dirty copy were taken: the last diff answers the `Invalidate`.
    Invalidate,
    /// The rights of a copy to be evicted were taken: its last diff leaves with it.
    Leave,
    /// The rights of a sequential copy were lowered: its bytes leave after a flush.
    GiveBack,
    /// The home's rights to a sequential object were lowered: its bytes leave after a flush.
    Grant,
    /// A flush of the home is answered, and its next is due.
    Again,
}

impl<D> Turn<'_, D> {
    pub(crate) fn send(&mut self, to: NodeId, message: Outgoing<D>) {
        self.out.push(Effect::Send { to, message });
    }

    pub(crate) fn set_access(&mut self, object: ObjectId, access: Option<Access>) {
        self.out.push(Effect::SetAccess { object, access });
    }

    /// Sets the threads' rights and wakes them.
    pub(crate) fn show(&mut self, object: ObjectId, access: Option<Access>) {
        self.set_access(object, access);
        self.out.push(Effect::Wake { object });
    }

    /// Keeps a twin: from now on the copy is flushed.
    pub(crate) fn begin_writing(&mut self, object: ObjectId) {
        self.out.push(Effect::Twin { object });
        self.flushes.begin_writing(object);
        if self.memory.tracks_writes(object) {
            self.flushes.note_tracked(object);
        }
    }

    /// Throws the twin of a copy away that needs no flush any more, if there is one.
    pub(crate) fn end_writing(&mut self, object: ObjectId) {
        if self.flushes.forget(object) {
            self.out.push(Effect::DropTwin { object });
        }
    }

    pub(crate) fn resume(&mut self, object: ObjectId, reason: Resume) {
        self.resumes.push_back((object, reason));
        self.out.push(Effect::Resume { object });
    }

    /// Whether a Resume of this object is under way.
    pub(crate) fn is_resuming(&self, object: ObjectId) -> bool {
        self.resumes.iter().any(|(other, _)| *other == object)
    }
}
