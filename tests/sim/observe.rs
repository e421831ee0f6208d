//! Recognizes interesting paths from outside the machine: state before, input, effects after.

use umbel_wire::{Access, Coherence, Consistency, ObjectId};

use super::cluster::{Input, Message, SimNode};
use super::coverage::{Coverage, Sometimes};
use super::plan::CELL_COUNT;
use crate::model::{Cells, home_of};
use crate::subject::{CopyState, Effect, Entry, Holding, Outgoing};

type SimEffect = Effect<Cells<u64, CELL_COUNT>>;
type SimOutgoing = Outgoing<Cells<u64, CELL_COUNT>>;

/// What was so before an input.
pub struct Before {
    copy: CopyState,
    view: Option<Access>,
    rights: Option<Access>,
    has_twin: bool,
    is_shared: bool,
    is_busy: bool,
    is_weak: bool,
    reader_waits: bool,
    holding: Option<Holding>,
    /// Entries whose invalidation, in progress, the lost node has not answered.
    is_awaited: bool,
    switches: u32,
}

impl Before {
    /// Looks at what `input` is about.
    pub fn new(node: &SimNode, rank: usize, input: &Input) -> Self {
        let object = match input {
            Input::Fault(object, _)
            | Input::HoldExpired(object)
            | Input::Operate(object, ..)
            | Input::Strengthen(object, _)
            | Input::Evict(object)
            | Input::Prefetch(object, _)
            | Input::Switch(object, _)
            | Input::Reclaim(object) => *object,
            Input::Message(_, message) => message.object(),
            Input::Flush(_) | Input::Depart(..) | Input::Meet(_) | Input::Sync(..) => {
                return Self::of_node(false);
            }
            Input::NodeLost(gone) => return Self::of_node(awaits(node, *gone)),
        };
        let is_home = home_of(object) == rank;
        let entry = node.machine.entry(object).filter(|_| is_home);
        Self {
            copy: node.machine.copy_state(object),
            view: node.place(object).view,
            rights: node.machine.rights(object),
            has_twin: node.place(object).twin.is_some(),
            is_shared: entry.is_some(),
            is_busy: entry.is_some_and(Entry::is_busy),
            is_weak: entry.is_some_and(|entry| entry.mode().consistency == Consistency::Weak),
            reader_waits: node.place(object).reader_waits,
            holding: entry.map(Entry::holding),
            is_awaited: false,
            switches: entry.map_or(0, |entry| entry.counters().switches),
        }
    }

    fn of_node(is_awaited: bool) -> Self {
        Self {
            copy: CopyState::Invalid,
            view: None,
            rights: None,
            has_twin: false,
            is_shared: false,
            is_busy: false,
            is_weak: false,
            reader_waits: false,
            holding: None,
            is_awaited,
            switches: 0,
        }
    }

    /// Whether a home's fault on an object it has alone made a directory entry.
    pub fn leaves_entry(&self, node: &SimNode, rank: usize, input: &Input) -> bool {
        matches!(input, Input::Fault(object, _)
            if home_of(*object) == rank && !self.is_shared && node.machine.entry(*object).is_some())
    }

    /// Counts the paths that `input` took.
    pub fn reach(
        &self,
        node: &SimNode,
        rank: usize,
        input: &Input,
        lost: &[ObjectId],
        coverage: &mut Coverage,
    ) {
        match input {
            Input::Fault(object, access) => self.reach_fault(rank, *object, *access, coverage),
            Input::Message(from, message) => self.reach_message(node, *from, message, coverage),
            Input::HoldExpired(_)
            | Input::Strengthen(..)
            | Input::Prefetch(..)
            | Input::Depart(..)
            | Input::Meet(_)
            | Input::Sync(..) => {}
            Input::Flush(_) => reach_flush(node, coverage),
            Input::Operate(..) => {
                if sends(node, |message| matches!(message, Outgoing::Flush { .. })) {
                    coverage.reach(Sometimes::OperationFlushesFirst);
                }
            }
            Input::Evict(_) => self.reach_evict(node, coverage),
            Input::Switch(object, _) => {
                let entry = node.machine.entry(*object);
                let switches = entry.map_or(self.switches, |entry| entry.counters().switches);
                if switches > self.switches {
                    coverage.reach(Sometimes::Switched);
                } else if self.is_busy {
                    coverage.reach(Sometimes::SwitchQueued);
                }
            }
            Input::Reclaim(_) => match self.holding {
                Some(Holding::Owned(_)) => coverage.reach(Sometimes::OwnerReclaimed),
                Some(Holding::Shared) => coverage.reach(Sometimes::ReadersReclaimed),
                Some(Holding::Home) | None => coverage.reach(Sometimes::ReclaimedAtOnce),
            },
            Input::NodeLost(_) => {
                for object in lost {
                    let is_home = home_of(*object) == rank;
                    coverage.reach(if is_home {
                        Sometimes::OwnerLost
                    } else {
                        Sometimes::HomeLost
                    });
                }
                if self.is_awaited {
                    coverage.reach(Sometimes::ReaderLost);
                }
                if has(node, |effect| matches!(effect, Effect::Flushed { .. })) {
                    coverage.reach(Sometimes::FlushedHomeLost);
                }
            }
        }
        reach_effects(node, coverage);
    }

    fn reach_fault(&self, rank: usize, object: ObjectId, access: Access, coverage: &mut Coverage) {
        if self.view >= Some(access) {
            coverage.reach(Sometimes::FaultStale);
        }
        if home_of(object) == rank {
            if !self.is_shared {
                coverage.reach(Sometimes::FaultUnshared);
            } else if self.rights.is_none()
                && self.is_busy
                && self.reader_waits
                && access == Access::Write
            {
                coverage.reach(Sometimes::HomeRequestRaised);
            }
            return;
        }
        match (self.copy, access) {
            (CopyState::FetchRead, Access::Write) => coverage.reach(Sometimes::WriterJoinsReader),
            (CopyState::FetchRead, Access::Read)
            | (CopyState::FetchWrite, Access::Read | Access::Write) => {
                coverage.reach(if self.reader_waits {
                    Sometimes::FaultJoins
                } else {
                    Sometimes::PrefetchJoined
                });
            }
            (CopyState::Resting, _) => coverage.reach(Sometimes::HiddenCopyShown),
            (CopyState::GivingBack { .. } | CopyState::Returning, _) => {
                coverage.reach(Sometimes::GivingBackFault);
            }
            (CopyState::Leaving { .. }, _) => coverage.reach(Sometimes::LeavingFault),
            (
                CopyState::Invalid
                | CopyState::Shared
                | CopyState::Upgrading
                | CopyState::Exclusive
                | CopyState::Dirty,
                _,
            ) => {}
        }
    }

    fn reach_evict(&self, node: &SimNode, coverage: &mut Coverage) {
        match self.copy {
            CopyState::Shared if !node.is_free() => coverage.reach(Sometimes::EvictedClean),
            CopyState::Dirty if !node.is_free() => coverage.reach(Sometimes::EvictedDirty),
            CopyState::Exclusive if !node.is_free() => coverage.reach(Sometimes::EvictedOwner),
            _ => {}
        }
    }

    fn reach_message(
        &self,
        node: &SimNode,
        from: usize,
        message: &Message,
        coverage: &mut Coverage,
    ) {
        let is_silent = node.outbox.is_empty();
        let resumes = has(node, |effect| matches!(effect, Effect::Resume { .. }));
        let is_leaving = matches!(self.copy, CopyState::Leaving { .. });
        match message {
            Coherence::Get { .. } if is_silent => {
                coverage.reach(if self.is_busy {
                    Sometimes::RequestQueues
                } else {
                    Sometimes::HomeHoldDefers
                });
            }
            Coherence::Recall { .. } if is_leaving => coverage.reach(Sometimes::LeavingRecalled),
            Coherence::Recall { .. } if is_silent => coverage.reach(Sometimes::RecallDeferred),
            Coherence::Recall { .. } if resumes => coverage.reach(Sometimes::RecallWaitsForFlush),
            Coherence::Recall {
                keep_read: true, ..
            } => coverage.reach(Sometimes::RecallKeepsRead),
            Coherence::Recall {
                keep_read: false, ..
            } => coverage.reach(Sometimes::RecallTakesAll),
            Coherence::Invalidate { .. } if is_leaving => {
                coverage.reach(Sometimes::LeavingInvalidated);
            }
            Coherence::Invalidate { .. } if is_silent => {
                coverage.reach(Sometimes::InvalidateDeferred);
            }
            Coherence::Invalidate { .. } if self.copy == CopyState::Upgrading => {
                coverage.reach(Sometimes::UpgradeOvertaken);
            }
            Coherence::Grant { data: None, .. } => coverage.reach(Sometimes::UpgradeWithoutBytes),
            Coherence::Grant {
                access: Access::Write,
                ..
            } if self.copy == CopyState::FetchRead => coverage.reach(Sometimes::MigratoryRead),
            Coherence::Invalidated { diff: Some(_), .. } => {
                if sends(node, |message| matches!(message, Outgoing::Update { .. })) {
                    coverage.reach(Sometimes::DiffReachesWriter);
                }
            }
            Coherence::Flush { .. } => self.reach_flush_arrival(node, from, coverage),
            Coherence::Flushed { exclusive, .. } => {
                if *exclusive {
                    coverage.reach(Sometimes::FlushExclusive);
                } else if !is_leaving {
                    coverage.reach(Sometimes::FlushShared);
                }
                if sends(node, |message| matches!(message, Outgoing::Flush { .. })) {
                    coverage.reach(Sometimes::FlushAgain);
                }
            }
            Coherence::Update { .. } if is_leaving => coverage.reach(Sometimes::LeavingUpdated),
            Coherence::Update { .. } if self.has_twin => coverage.reach(Sometimes::UpdateMerged),
            Coherence::Update { .. } => {
                if self.view.is_some() && node.machine.rights(message.object()).is_none() {
                    coverage.reach(Sometimes::UpdateHides);
                }
                if sends(node, |sent| {
                    matches!(sent, Outgoing::Updated { leave: true, .. })
                }) {
                    coverage.reach(Sometimes::UpdateLeaves);
                }
            }
            Coherence::Deny { .. } => {
                coverage.reach(Sometimes::PrefetchDenied);
                if sends(node, |sent| matches!(sent, Outgoing::Get { .. })) {
                    coverage.reach(Sometimes::PrefetchDeniedWanted);
                }
            }
            Coherence::Operate { .. } if self.is_busy => coverage.reach(Sometimes::OperationQueues),
            Coherence::Strengthen { .. } if self.is_weak => coverage.reach(Sometimes::Strengthened),
            Coherence::Get { .. }
            | Coherence::Grant { data: Some(_), .. }
            | Coherence::Recalled { .. }
            | Coherence::Invalidate { .. }
            | Coherence::Invalidated { diff: None, .. }
            | Coherence::Return { .. }
            | Coherence::Updated { .. }
            | Coherence::Operate { .. }
            | Coherence::Operated { .. }
            | Coherence::Strengthen { .. }
            | Coherence::Strengthened { .. } => {}
        }
        if has(node, |effect| matches!(effect, Effect::Postpone { .. })) {
            coverage.reach(match message {
                Coherence::Get { .. } | Coherence::Flush { .. } | Coherence::Return { .. } => {
                    Sometimes::HomePostpones
                }
                _ => Sometimes::HolderPostpones,
            });
        }
        if let Coherence::Get { .. } = message
            && resumes
        {
            coverage.reach(Sometimes::GrantWaitsForFlush);
        }
    }

    fn reach_flush_arrival(&self, node: &SimNode, from: usize, coverage: &mut Coverage) {
        let goes_back = |effect: &SimEffect| {
            matches!(effect, Effect::Send { to, message: Outgoing::Update { .. } }
                if usize::from(to.0) == from)
        };
        if has(node, goes_back) {
            coverage.reach(Sometimes::FlushCrossesUpdate);
        }
        if self.is_busy {
            coverage.reach(Sometimes::FlushQueues);
        }
    }
}

/// An answer to the machine is given: counts the paths that it takes.
pub fn reach_reply(node: &SimNode, coverage: &mut Coverage) {
    if sends(node, |message| {
        matches!(message, Outgoing::Invalidated { diff: None, .. })
    }) {
        coverage.reach(Sometimes::InvalidateTakesNothing);
    }
    reach_effects(node, coverage);
}

fn reach_flush(node: &SimNode, coverage: &mut Coverage) {
    if has(node, |effect| matches!(effect, Effect::Flushed { .. })) {
        coverage.reach(Sometimes::FlushedAtOnce);
    }
    if has(node, |effect| matches!(effect, Effect::Resume { .. })) {
        coverage.reach(Sometimes::DirtyCopyRests);
    }
    if sends(node, |message| {
        matches!(message, Outgoing::Invalidate { .. })
    }) {
        coverage.reach(Sometimes::HomeFlushes);
    }
    if sends(node, |message| matches!(message, Outgoing::Update { .. })) {
        coverage.reach(Sometimes::HomeFlushUpdates);
    }
}

fn reach_effects(node: &SimNode, coverage: &mut Coverage) {
    let is_invalidate = |effect: &&SimEffect| {
        matches!(
            effect,
            Effect::Send {
                message: Outgoing::Invalidate { .. },
                ..
            }
        )
    };
    if node.outbox.iter().filter(is_invalidate).count() >= 3 {
        coverage.reach(Sometimes::ManyInvalidations);
    }
    if has(node, |effect| matches!(effect, Effect::Twin { .. })) {
        coverage.reach(Sometimes::TwinMade);
    }
    let forwards = |message: &SimOutgoing| match message {
        Outgoing::Grant { object, .. } => {
            home_of(*object) != usize::from(node.machine.config().node.0)
        }
        _ => false,
    };
    if sends(node, forwards) {
        coverage.reach(Sometimes::Forwarded);
    }
    if has(node, |effect| matches!(effect, Effect::Operate { .. })) {
        coverage.reach(Sometimes::Operated);
    }
    if sends(node, |message| {
        matches!(message, Outgoing::Invalidated { diff: Some(_), .. })
    }) {
        coverage.reach(Sometimes::InvalidateTakesDiff);
    }
    let is_end = |effect: &SimEffect| matches!(effect, Effect::Reclaimed { .. });
    let is_grant = |effect: &SimEffect| {
        matches!(
            effect,
            Effect::Send {
                message: Outgoing::Grant { .. },
                ..
            }
        )
    };
    if let Some(end) = node.outbox.iter().position(is_end)
        && node.outbox.iter().skip(end).any(is_grant)
    {
        coverage.reach(Sometimes::WaiterOutlivesObject);
    }
}

/// Whether the home awaits an answer of the node that is gone.
fn awaits(node: &SimNode, gone: usize) -> bool {
    let is_gone = |reader: umbel_wire::NodeId| usize::from(reader.0) == gone;
    node.machine
        .entries()
        .any(|(_, entry)| entry.is_busy() && entry.copyset().iter().copied().any(is_gone))
}

fn has(node: &SimNode, is_it: impl Fn(&SimEffect) -> bool) -> bool {
    node.outbox.iter().any(is_it)
}

fn sends(node: &SimNode, is_it: impl Fn(&SimOutgoing) -> bool) -> bool {
    has(
        node,
        |effect| matches!(effect, Effect::Send { message, .. } if is_it(message)),
    )
}
