//! Pins: holds without an end of their own.
//!
//! A pinned object keeps the rights that it was pinned for: what would lower them waits as it waits for a minimum
//! hold (*Holds* on the crate's page), until [`crate::Machine::on_hold_expired`] ends the pin. Nobody holds against
//! the end of a life, nor does a pin.
//!
//! | at | state | pin for reading | pin for writing |
//! |---|---|---|---|
//! | home | no work in progress, Home (or no entry) | held | held |
//! | home | no work in progress, Shared, sequential | held | missing |
//! | copy | Exclusive | held | held |
//! | copy | Shared, Upgrading, sequential | held | missing |
//! | either | Shared, Dirty, Resting of a weak object | shared | shared |
//! | either | all others | missing | missing |
//!
//! *missing*: ask for the rights as for a fault, and try again when they may be there. *shared*: a weak copy has
//! others beside it that are written at the same time; it can't be held without holding their flushes up. Once the
//! object is strengthened it can.

use umbel_wire::{Access, ObjectId};

use crate::cache::Cache;
use crate::copy::CopyState;
use crate::directory::Directory;
use crate::entry::{Entry, Holding};
use crate::memory::Memory;

/// What came of [`crate::Machine::pin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// The object is held.
    Held,
    /// The rights are not there.
    Missing,
    /// The object is weak, and other nodes may have copies.
    Shared,
}

impl Directory {
    pub(crate) fn pin<D>(
        &mut self,
        object: ObjectId,
        access: Access,
        memory: &dyn Memory<D>,
    ) -> Pinned {
        let entry = self
            .entries
            .get_or_insert_with(object, || Entry::new(memory.policy(object)));
        // What is in progress was granted already: it would not wait.
        if entry.awaited().is_some() || entry.holds == u8::MAX {
            return Pinned::Missing;
        }
        match (entry.holding, access) {
            (Holding::Shared, Access::Read | Access::Write) if entry.is_weak() => Pinned::Shared,
            (Holding::Home, Access::Read | Access::Write) | (Holding::Shared, Access::Read) => {
                entry.holds += 1;
                Pinned::Held
            }
            (Holding::Shared, Access::Write)
            | (Holding::Owned(_), Access::Read | Access::Write) => Pinned::Missing,
        }
    }
}

impl Cache {
    pub(crate) fn pin(&mut self, object: ObjectId, access: Access) -> Pinned {
        use CopyState::*;
        let Some(copy) = self.copies.get_mut(&object) else {
            return Pinned::Missing;
        };
        if copy.holds == u8::MAX {
            return Pinned::Missing;
        }
        match (copy.state, access) {
            (Shared | Dirty | Resting, Access::Read | Access::Write) if copy.is_weak() => {
                Pinned::Shared
            }
            (Exclusive, Access::Read | Access::Write) | (Shared | Upgrading, Access::Read) => {
                copy.holds += 1;
                Pinned::Held
            }
            (Shared | Upgrading, Access::Write)
            | (
                Invalid
                | FetchRead
                | FetchWrite
                | Dirty
                | Resting
                | GivingBack { .. }
                | Returning
                | Leaving { .. },
                Access::Read | Access::Write,
            ) => Pinned::Missing,
        }
    }
}
