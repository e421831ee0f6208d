//! One directory entry: what an object's home knows of it.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use umbel_wire::{Access, Consistency, Mode, NodeId, Operation, Protocol, Token};

use crate::auto::Scores;
use crate::limits;
use crate::memory::Policy;
use crate::record::Record;

/// Where the newest bytes of an object are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holding {
    /// At the home alone.
    Home,
    /// At the home and at every node of the copyset; if the object is weak, what was flushed.
    Shared,
    /// At this node alone.
    Owned(NodeId),
}

/// What the home has seen of an object.
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
    /// Diffs that arrived, the home's own included.
    pub flushes: u32,
    /// `Update` messages sent.
    pub updates: u32,
    /// Operations run for other nodes.
    pub operations: u32,
    /// Changes of the protocol.
    pub switches: u32,
}

impl Counters {
    /// Adds what another entry counted.
    pub fn add(&mut self, other: &Self) {
        let Self {
            read_faults,
            write_faults,
            invalidations,
            recalls,
            grants_with_data,
            flushes,
            updates,
            operations,
            switches,
        } = *other;
        for (sum, more) in [
            (&mut self.read_faults, read_faults),
            (&mut self.write_faults, write_faults),
            (&mut self.invalidations, invalidations),
            (&mut self.recalls, recalls),
            (&mut self.grants_with_data, grants_with_data),
            (&mut self.flushes, flushes),
            (&mut self.updates, updates),
            (&mut self.operations, operations),
            (&mut self.switches, switches),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// What a node waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Want {
    Access(Access),
    /// Boxed: most requests are for access, and queues shall be small.
    Operate(Box<(Token, Operation)>),
    Strengthen(Token),
}

/// A node waiting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Request {
    pub(crate) node: NodeId,
    pub(crate) want: Want,
}

/// What the home awaits before it can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Awaited {
    /// The owner's `Recalled`, or a `Return` that crossed the `Recall`.
    Recalled {
        /// What the `Recall` said.
        keep_read: bool,
        /// Whether the owner grants what was asked for.
        forwards: bool,
    },
    /// What is due: every reader's `Invalidated`.
    Invalidated {
        /// The requester had a current read copy: its grant needs no bytes.
        is_upgrade: bool,
    },
    /// What is due: the copies are being made current with flushes.
    Round,
    /// What is due: every copy's `Invalidated`, so that the home is alone.
    Withdrawn,
    /// What is due: every copy's `Invalidated` at the end of the object's life.
    EndOfLife,
    /// A flush of this node, then the bytes go.
    Flush,
    /// The driver's word that an operation was run.
    Operated,
    /// A flush of this node, then the result goes.
    Reply {
        /// The value before the operation.
        result: u64,
    },
}

impl Awaited {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Recalled { .. } => "Recalling",
            Self::Invalidated { .. } => "Invalidating",
            Self::Round => "Flushing",
            Self::Withdrawn => "Withdrawing",
            Self::EndOfLife => "Reclaiming",
            Self::Flush => "Granting",
            Self::Operated | Self::Reply { .. } => "Operating",
        }
    }
}

/// The work in progress.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Work {
    pub(crate) awaited: Awaited,
    /// `None` for a round, at the end of life, or if the requester was lost.
    pub(crate) request: Option<Request>,
}

/// An answer that a node owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Answer {
    Invalidated,
    Updated,
}

/// What an entry has only while somebody waits for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pending {
    pub(crate) work: Option<Work>,
    /// In order of arrival; at most one request for access per node.
    pub(crate) queue: VecDeque<Request>,
    /// Answers that the work awaits, sorted; a node owes one per `Update`.
    pub(crate) due: Vec<(NodeId, Answer)>,
    /// Flushes to be answered when the work is done, sorted; those of the home itself among them.
    pub(crate) flushes: Vec<(NodeId, u64)>,
    /// The number under which this node's departures wait for the work, on account of flushes of other nodes.
    pub(crate) foreign_round: Option<u64>,
    /// The object's life ends as soon as no work is in progress.
    pub(crate) reclaim: Option<Token>,
    /// The protocol to change to as soon as no work is in progress.
    pub(crate) switch: Option<Protocol>,
    /// The requester that the owner grants to has sent something already, which is postponed.
    pub(crate) has_postponed: bool,
}

impl Pending {
    /// What this node's departures call the work: the numbers that are owed by those of whom an answer is due.
    pub(crate) fn numbers(&self, home: NodeId) -> impl Iterator<Item = u64> {
        let own = self.flushes.iter().filter(move |(node, _)| *node == home);
        own.map(|(_, number)| *number).chain(self.foreign_round)
    }
}

/// Directory entry of one object, kept by its home.
///
/// Invariants: the copyset is empty unless `Shared`; while copies are being withdrawn it lists who may still
/// have one. Neither owner nor copyset is ever the home itself. `view` is never above `home_rights`.
/// `is_dirty` implies `Shared` and weak. `pending` is `None` when nothing is pending.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    pub(crate) holding: Holding,
    /// Upper bound of what the home's threads can do now: spares a revocation when it is low already.
    pub(crate) view: Option<Access>,
    /// The home's own holds, begun and not yet expired; saturates, which ends a hold early.
    pub(crate) holds: u8,
    pub(crate) mode: Mode,
    /// The home's threads may write a copy of their own, with a twin.
    pub(crate) is_dirty: bool,
    /// The home's threads used the object, which is weak, since it was granted away last.
    pub(crate) is_used: bool,
    pub(crate) scores: Scores,
    /// The copyset, and what was counted.
    pub(crate) record: Record,
    pub(crate) pending: Option<Box<Pending>>,
}

const _: () = assert!(size_of::<Entry>() <= limits::ENTRY_BYTES_MAX);
const _: () = assert!(size_of::<Request>() <= limits::REQUEST_BYTES_MAX);

impl Entry {
    /// An object never shared until now: the home may have it writable.
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            holding: Holding::Home,
            view: Some(Access::Write),
            holds: 0,
            mode: policy.mode(),
            is_dirty: false,
            is_used: false,
            scores: Scores::new(policy),
            record: Record::default(),
            pending: None,
        }
    }

    /// Where the newest bytes are.
    pub fn holding(&self) -> Holding {
        self.holding
    }

    /// The nodes with copies beside the home's; of an object being withdrawn, those that have not answered.
    pub fn copyset(&self) -> &[NodeId] {
        self.record.copies()
    }

    /// What was counted since the entry was made.
    pub fn counters(&self) -> Counters {
        self.record.counters()
    }

    /// What its copies are told that the object is.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether the home's own copy is written beside a twin.
    pub fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// Whether a request is in progress or waiting.
    pub fn is_busy(&self) -> bool {
        self.pending.is_some()
    }

    /// What the home's own threads may do.
    pub fn home_rights(&self) -> Option<Access> {
        match self.holding {
            // Its bytes are about to leave: what the threads still have is what they may have.
            _ if self.awaited() == Some(Awaited::Flush) => self.view,
            Holding::Home => Some(Access::Write),
            Holding::Shared if self.is_dirty => Some(Access::Write),
            // Also while readers are being invalidated: no write has been granted yet.
            Holding::Shared => Some(Access::Read),
            Holding::Owned(_) => None,
        }
    }

    pub(crate) fn is_weak(&self) -> bool {
        self.mode.consistency == Consistency::Weak
    }

    pub(crate) fn state_name(&self) -> &'static str {
        match (self.awaited(), self.holding) {
            (Some(awaited), _) => awaited.name(),
            (None, Holding::Home) => "Home",
            (None, Holding::Shared) => "Shared",
            (None, Holding::Owned(_)) => "Owned",
        }
    }

    pub(crate) fn awaited(&self) -> Option<Awaited> {
        let work = self
            .pending
            .as_ref()
            .and_then(|pending| pending.work.as_ref());
        work.map(|work| work.awaited)
    }

    pub(crate) fn front(&self) -> Option<&Request> {
        self.pending
            .as_ref()
            .and_then(|pending| pending.queue.front())
    }

    pub(crate) fn reclaim(&self) -> Option<Token> {
        self.pending.as_ref().and_then(|pending| pending.reclaim)
    }

    pub(crate) fn requests(&self) -> impl Iterator<Item = &Request> {
        self.pending.iter().flat_map(|pending| {
            let in_work = pending.work.iter().flat_map(|work| work.request.iter());
            pending.queue.iter().chain(in_work)
        })
    }

    /// Whether `node` has asked for access and was not answered.
    pub(crate) fn has_request_of(&self, node: NodeId) -> bool {
        self.requests().any(|request| {
            let is_access = match request.want {
                Want::Access(_) => true,
                Want::Operate(_) | Want::Strengthen(_) => false,
            };
            request.node == node && is_access
        })
    }

    /// Whether `node` owes this answer.
    pub(crate) fn is_due(&self, node: NodeId, answer: Answer) -> bool {
        self.pending
            .as_ref()
            .is_some_and(|pending| pending.due.contains(&(node, answer)))
    }

    pub(crate) fn is_anything_due(&self) -> bool {
        self.pending
            .as_ref()
            .is_some_and(|pending| !pending.due.is_empty())
    }

    /// Whether a flush of `node` waits to be answered.
    pub(crate) fn has_flush_of(&self, node: NodeId) -> bool {
        self.pending
            .as_ref()
            .is_some_and(|pending| pending.flushes.iter().any(|(other, _)| *other == node))
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

    /// Answers are awaited from now on.
    pub(crate) fn await_from(&mut self, nodes: &[NodeId], answer: Answer) {
        self.update_pending(|pending| {
            pending.due.extend(nodes.iter().map(|node| (*node, answer)));
            pending.due.sort_unstable();
        });
    }

    /// The answer has come; false if it was not due.
    pub(crate) fn settle(&mut self, node: NodeId, answer: Answer) -> bool {
        if !self.is_due(node, answer) {
            return false;
        }
        self.update_pending(|pending| {
            let place = pending.due.iter().position(|due| *due == (node, answer));
            place.map(|place| pending.due.remove(place));
        });
        true
    }

    /// Whether the home's own hold keeps `request` of another node waiting: it would lower the home's rights.
    pub(crate) fn is_held_against(&self, request: &Request) -> bool {
        if self.holds == 0 {
            return false;
        }
        match (self.holding, &request.want) {
            (Holding::Home, Want::Access(Access::Read | Access::Write)) => true,
            (Holding::Shared, Want::Access(Access::Write)) => !self.is_weak(),
            (Holding::Shared, Want::Access(Access::Read))
            | (Holding::Owned(_), Want::Access(Access::Read | Access::Write))
            | (
                Holding::Home | Holding::Shared | Holding::Owned(_),
                Want::Operate(_) | Want::Strengthen(_),
            ) => false,
        }
    }
}
