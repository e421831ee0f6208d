//! What a cache knows of one copy.

use umbel_wire::{Access, Consistency, Mode};

use crate::limits;

/// What a cache has of an object, and what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CopyState {
    /// No copy, nothing asked for.
    Invalid,
    /// No copy; `Get(Read)` sent.
    FetchRead,
    /// No copy; `Get(Write)` sent.
    FetchWrite,
    /// A read copy. A weak one becomes `Dirty` with the first store, without a message.
    Shared,
    /// A sequential read copy; `Get(Write)` sent.
    Upgrading,
    /// The only copy, writable.
    Exclusive,
    /// A weak copy that may be written, with a twin; others have copies, too.
    Dirty,
    /// A weak read copy without rights, for it was updated and not used; it still is updated.
    Resting,
    /// A sequential copy that was recalled: its bytes leave after a flush.
    GivingBack {
        /// A read copy stays.
        keep_read: bool,
    },
    /// A sequential copy that is evicted: its bytes leave after a flush.
    Returning,
    /// No copy; the home was told that it is gone, and has not answered.
    Leaving {
        /// It was the only one.
        was_owner: bool,
    },
}

impl CopyState {
    /// What threads may do with the copy; the view has this much or less.
    pub fn rights(self) -> Option<Access> {
        match self {
            Self::Invalid
            | Self::FetchRead
            | Self::FetchWrite
            | Self::Resting
            | Self::GivingBack { keep_read: false }
            | Self::Returning
            | Self::Leaving { .. } => None,
            Self::Shared | Self::Upgrading | Self::GivingBack { keep_read: true } => {
                Some(Access::Read)
            }
            Self::Exclusive | Self::Dirty => Some(Access::Write),
        }
    }

    /// Whether a `Get` is under way.
    pub fn is_waiting(self) -> bool {
        match self {
            Self::FetchRead | Self::FetchWrite | Self::Upgrading => true,
            Self::Invalid
            | Self::Shared
            | Self::Exclusive
            | Self::Dirty
            | Self::Resting
            | Self::GivingBack { .. }
            | Self::Returning
            | Self::Leaving { .. } => false,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Invalid => "Invalid",
            Self::FetchRead => "FetchRead",
            Self::FetchWrite => "FetchWrite",
            Self::Shared => "Shared",
            Self::Upgrading => "Upgrading",
            Self::Exclusive => "Exclusive",
            Self::Dirty => "Dirty",
            Self::Resting => "Resting",
            Self::GivingBack { .. } => "GivingBack",
            Self::Returning => "Returning",
            Self::Leaving { .. } => "Leaving",
        }
    }
}

/// A message put off until the end of the hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Deferred {
    Recall { keep_read: bool },
    Invalidate,
}

/// Record of one copy. There is none for `Invalid`.
///
/// Invariants: `deferred.is_some()` implies `holds > 0`; `wanted` is set only while a prefetch is under way,
/// or what the copy was is on its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Copy {
    pub(crate) state: CopyState,
    /// Holds begun and not yet expired; saturates, which ends a hold early.
    pub(crate) holds: u8,
    pub(crate) deferred: Option<Deferred>,
    /// As the last grant said.
    pub(crate) mode: Mode,
    /// Updates since the last local fault, or since the copy began to rest.
    pub(crate) unused: u8,
    /// The `Get` under way is a prefetch.
    pub(crate) is_prefetch: bool,
    /// A thread waits for what can't be asked for now.
    pub(crate) wanted: Option<Access>,
}

const _: () = assert!(size_of::<Copy>() <= limits::COPY_BYTES_MAX);

impl Copy {
    pub(crate) fn new(state: CopyState) -> Self {
        Self {
            state,
            holds: 0,
            deferred: None,
            mode: crate::memory::Policy::SEQUENTIAL.mode(),
            unused: 0,
            is_prefetch: false,
            wanted: None,
        }
    }

    pub(crate) fn is_weak(&self) -> bool {
        self.mode.consistency == Consistency::Weak
    }

    /// A thread waits for `access`, too.
    pub(crate) fn want(&mut self, access: Access) {
        self.wanted = self.wanted.max(Some(access));
    }
}
