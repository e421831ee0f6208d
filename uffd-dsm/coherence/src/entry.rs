//! One directory entry: what an object's home knows of it.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use umbel_wire::{Access, NodeId, Token};

use crate::copyset::Copyset;
use crate::limits;

/// Where the newest bytes of an object are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holding {
    /// At the home alone.
    Home,
    /// At the home and at every node of the copyset.
    Shared,
    /// At this node alone.
    Owned(NodeId),
}

/// What the home has seen of an object: `auto` chooses protocols by these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counters {
    /// Read requests granted, the home's own included.
    pub read_faults: u32,
    /// Write requests granted, the home's own included.
    pub write_faults: u32,
    /// `Invalidate` messages sent.
    pub invalidations: u32,
    /// `Recall` messages sent.
    pub recalls: u32,
    /// Grants that carried the bytes.
    pub grants_with_data: u32,
}

impl Counters {
    /// Adds what another entry counted.
    pub fn add(&mut self, other: &Self) {
        self.read_faults = self.read_faults.saturating_add(other.read_faults);
        self.write_faults = self.write_faults.saturating_add(other.write_faults);
        self.invalidations = self.invalidations.saturating_add(other.invalidations);
        self.recalls = self.recalls.saturating_add(other.recalls);
        self.grants_with_data = self.grants_with_data.saturating_add(other.grants_with_data);
    }

    pub(crate) fn count_request(&mut self, access: Access) {
        let counter = match access {
            Access::Read => &mut self.read_faults,
            Access::Write => &mut self.write_faults,
        };
        *counter = counter.saturating_add(1);
    }
}

/// A node waiting for access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Request {
    pub(crate) node: NodeId,
    pub(crate) access: Access,
}

/// What the home awaits before it can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Awaited {
    /// The owner's `Recalled`.
    Recalled {
        /// What the `Recall` said.
        keep_read: bool,
    },
    /// An `Invalidated` from each node left in the copyset.
    Invalidated {
        /// The requester had a current read copy: its grant needs no bytes.
        is_upgrade: bool,
    },
    /// An `Invalidated` from each node left in the copyset, or from the owner: the end of the object's life.
    EndOfLife,
}

impl Awaited {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Recalled { .. } => "Recalling",
            Self::Invalidated { .. } => "Invalidating",
            Self::EndOfLife => "Reclaiming",
        }
    }
}

/// The request in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Work {
    pub(crate) awaited: Awaited,
    /// `None` at the end of life, or if the requester was lost.
    pub(crate) request: Option<Request>,
}

/// What an entry has only while somebody waits for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pending {
    pub(crate) work: Option<Work>,
    /// In order of arrival; at most one per node.
    pub(crate) queue: VecDeque<Request>,
    /// The object's life ends as soon as no work is in progress.
    pub(crate) reclaim: Option<Token>,
}

/// Directory entry of one object, kept by its home.
///
/// Invariants: the copyset is empty unless `Shared`, or `Shared` objects being invalidated, where it
/// lists who has not answered. Neither owner nor copyset is ever the home itself. `view` is never
/// above `home_rights`. `pending` is `None` when nothing is pending.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    pub(crate) holding: Holding,
    /// Upper bound of what the home's threads can do now: spares a revocation when it is low already.
    pub(crate) view: Option<Access>,
    /// The home's own holds, begun and not yet expired; saturates, which ends a hold early.
    pub(crate) holds: u8,
    pub(crate) counters: Counters,
    pub(crate) copyset: Copyset,
    pending: Option<Box<Pending>>,
}

const _: () = assert!(size_of::<Entry>() <= limits::ENTRY_BYTES_MAX);

impl Entry {
    /// An object never shared until now: the home may have it writable.
    pub(crate) fn new() -> Self {
        Self {
            holding: Holding::Home,
            view: Some(Access::Write),
            holds: 0,
            counters: Counters::default(),
            copyset: Copyset::default(),
            pending: None,
        }
    }

    /// Where the newest bytes are.
    pub fn holding(&self) -> Holding {
        self.holding
    }

    /// The nodes with read copies; of an object being invalidated, those that have not answered.
    pub fn copyset(&self) -> &Copyset {
        &self.copyset
    }

    /// What was counted since the entry was made.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether a request is in progress or waiting.
    pub fn is_busy(&self) -> bool {
        self.pending.is_some()
    }

    /// What the home's own threads may do.
    pub fn home_rights(&self) -> Option<Access> {
        match self.holding {
            Holding::Home => Some(Access::Write),
            // Also while readers are being invalidated: no write has been granted yet.
            Holding::Shared => Some(Access::Read),
            Holding::Owned(_) => None,
        }
    }

    pub(crate) fn state_name(&self) -> &'static str {
        match (self.work(), self.holding) {
            (Some(work), _) => work.awaited.name(),
            (None, Holding::Home) => "Home",
            (None, Holding::Shared) => "Shared",
            (None, Holding::Owned(_)) => "Owned",
        }
    }

    pub(crate) fn work(&self) -> Option<Work> {
        self.pending.as_ref().and_then(|pending| pending.work)
    }

    pub(crate) fn front(&self) -> Option<Request> {
        self.pending
            .as_ref()
            .and_then(|pending| pending.queue.front().copied())
    }

    pub(crate) fn reclaim(&self) -> Option<Token> {
        self.pending.as_ref().and_then(|pending| pending.reclaim)
    }

    /// Whether `node` has asked and was not answered.
    pub(crate) fn has_request_of(&self, node: NodeId) -> bool {
        self.pending.as_ref().is_some_and(|pending| {
            let in_work = pending.work.and_then(|work| work.request);
            pending
                .queue
                .iter()
                .chain(in_work.iter())
                .any(|request| request.node == node)
        })
    }

    /// Changes what is pending, and drops it once it is nothing.
    pub(crate) fn update_pending<R>(&mut self, change: impl FnOnce(&mut Pending) -> R) -> R {
        let pending = self.pending.get_or_insert_default();
        let result = change(pending);
        if **pending == Pending::default() {
            self.pending = None;
        }
        result
    }

    pub(crate) fn begin(&mut self, awaited: Awaited, request: Option<Request>) {
        self.update_pending(|pending| pending.work = Some(Work { awaited, request }));
    }

    pub(crate) fn take_queue(&mut self) -> VecDeque<Request> {
        self.update_pending(|pending| core::mem::take(&mut pending.queue))
    }

    /// Whether the home's own hold keeps `request` waiting: it would lower the home's rights.
    pub(crate) fn is_held_against(&self, request: Request) -> bool {
        if self.holds == 0 {
            return false;
        }
        match (self.holding, request.access) {
            (Holding::Home, Access::Read | Access::Write) | (Holding::Shared, Access::Write) => {
                true
            }
            (Holding::Shared, Access::Read) | (Holding::Owned(_), Access::Read | Access::Write) => {
                false
            }
        }
    }
}
