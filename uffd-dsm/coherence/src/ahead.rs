//! Rights to write before a thread needs them: a fault costs more than a twin that is made for nothing.
//!
//! What is done is what a write fault of a weak copy does, but for waking: the copy is readable, others may
//! have it, and no message is needed. A copy that is never written gets clean again as any that nobody writes
//! ([`crate::limits::IDLE_FLUSHES_MAX`]). It counts as no use: neither a reader's updates nor what the home counts for
//! `auto` start anew.

use umbel_wire::{Access, ObjectId, Protocol};

use crate::cache::Cache;
use crate::copy::{Copy, CopyState};
use crate::directory::Directory;
use crate::entry::Holding;
use crate::turn::Turn;

impl Cache {
    /// False, and nothing done, if the copy is not readable, not weak, or written already; or if nobody is thought to write it.
    pub(crate) fn write_ahead<D>(&mut self, object: ObjectId, turn: &mut Turn<'_, D>) -> bool {
        let copy = self.copies.get_mut(&object);
        let is_to_be = |copy: &&mut Copy| {
            copy.state == CopyState::Shared
                && copy.is_weak()
                && copy.mode.protocol != Protocol::ReadOnly
        };
        let Some(copy) = copy.filter(is_to_be) else {
            return false;
        };
        copy.state = CopyState::Dirty;
        turn.begin_writing(object);
        turn.set_access(object, Some(Access::Write));
        true
    }
}

impl Directory {
    /// The same, of an object of this home that others have copies of.
    pub(crate) fn write_ahead<D>(&mut self, object: ObjectId, turn: &mut Turn<'_, D>) -> bool {
        let entry = self.entries.get_mut(&object).filter(|entry| {
            entry.is_weak()
                && entry.holding == Holding::Shared
                && entry.view == Some(Access::Read)
                // It may be about to become clean, with a twin over what was not sent.
                && !entry.is_dirty
                && entry.mode.protocol != Protocol::ReadOnly
                && entry.awaited().is_none()
        });
        let Some(entry) = entry else {
            return false;
        };
        entry.is_dirty = true;
        entry.view = Some(Access::Write);
        turn.begin_writing(object);
        turn.set_access(object, entry.view);
        true
    }
}
