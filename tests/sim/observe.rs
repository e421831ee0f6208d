//! Recognizes interesting paths from outside the machine: state before, input, effects after.

use umbel_wire::{Access, Coherence, ObjectId};

use super::cluster::Input;
use super::coverage::{Coverage, Sometimes};
use crate::model::{Node, home_of};
use crate::subject::{CopyState, Effect, Entry, Holding, Outgoing};

/// What was so before an input.
pub struct Before {
    copy: CopyState,
    view: Option<Access>,
    rights: Option<Access>,
    is_shared: bool,
    is_busy: bool,
    reader_waits: bool,
    holding: Option<Holding>,
    /// Entries whose invalidation, in progress, the lost node has not answered.
    is_awaited: bool,
}

impl Before {
    /// Looks at what `input` is about.
    pub fn new(node: &Node<u64>, rank: usize, input: &Input) -> Self {
        let object = match input {
            Input::Fault(object, _) | Input::HoldExpired(object) | Input::Reclaim(object) => {
                *object
            }
            Input::Message(_, message) => message.object(),
            Input::NodeLost(gone) => return Self::of_loss(node, *gone),
        };
        let is_home = home_of(object) == rank;
        let entry = node.machine.entry(object).filter(|_| is_home);
        Self {
            copy: node.machine.copy_state(object),
            view: node.place(object).view,
            rights: node.machine.rights(object),
            is_shared: entry.is_some(),
            is_busy: entry.is_some_and(Entry::is_busy),
            reader_waits: node.place(object).reader_waits,
            holding: entry.map(Entry::holding),
            is_awaited: false,
        }
    }

    fn of_loss(node: &Node<u64>, gone: usize) -> Self {
        let is_gone = |reader: umbel_wire::NodeId| usize::from(reader.0) == gone;
        let is_awaited = node
            .machine
            .entries()
            .any(|(_, entry)| entry.is_busy() && entry.copyset().iter().any(is_gone));
        Self {
            copy: CopyState::Invalid,
            view: None,
            rights: None,
            is_shared: false,
            is_busy: false,
            reader_waits: false,
            holding: None,
            is_awaited,
        }
    }

    /// Whether a home's fault on an object it has alone made a directory entry.
    pub fn leaves_entry(&self, node: &Node<u64>, rank: usize, input: &Input) -> bool {
        match input {
            Input::Fault(object, _) => {
                home_of(*object) == rank && !self.is_shared && node.machine.entry(*object).is_some()
            }
            Input::Message(..) | Input::HoldExpired(_) | Input::Reclaim(_) | Input::NodeLost(_) => {
                false
            }
        }
    }

    /// Counts the paths that `input` took.
    pub fn reach(
        &self,
        node: &Node<u64>,
        rank: usize,
        input: &Input,
        lost: &[ObjectId],
        coverage: &mut Coverage,
    ) {
        match input {
            Input::Fault(object, access) => self.reach_fault(rank, *object, *access, coverage),
            Input::Message(_, message) => self.reach_message(node, message, coverage),
            Input::HoldExpired(_) => {}
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
                coverage.reach(Sometimes::FaultJoins);
            }
            (
                CopyState::Invalid
                | CopyState::Shared
                | CopyState::Upgrading
                | CopyState::Exclusive
                | CopyState::Dirty
                | CopyState::Resting
                | CopyState::GivingBack { .. }
                | CopyState::Returning
                | CopyState::Leaving { .. },
                _,
            ) => {}
        }
    }

    fn reach_message(&self, node: &Node<u64>, message: &Coherence<u64>, coverage: &mut Coverage) {
        let is_silent = node.outbox.is_empty();
        match message {
            Coherence::Get { .. } if is_silent => {
                coverage.reach(if self.is_busy {
                    Sometimes::RequestQueues
                } else {
                    Sometimes::HomeHoldDefers
                });
            }
            Coherence::Recall { .. } if is_silent => coverage.reach(Sometimes::RecallDeferred),
            Coherence::Recall {
                keep_read: true, ..
            } => coverage.reach(Sometimes::RecallKeepsRead),
            Coherence::Recall {
                keep_read: false, ..
            } => coverage.reach(Sometimes::RecallTakesAll),
            Coherence::Invalidate { .. } if is_silent => {
                coverage.reach(Sometimes::InvalidateDeferred)
            }
            Coherence::Invalidate { .. } if self.copy == CopyState::Upgrading => {
                coverage.reach(Sometimes::UpgradeOvertaken);
            }
            Coherence::Grant { data: None, .. } => coverage.reach(Sometimes::UpgradeWithoutBytes),
            Coherence::Get { .. }
            | Coherence::Grant { data: Some(_), .. }
            | Coherence::Recalled { .. }
            | Coherence::Invalidate { .. }
            | Coherence::Invalidated { .. }
            | Coherence::Deny { .. }
            | Coherence::Flush { .. }
            | Coherence::Return { .. }
            | Coherence::Flushed { .. }
            | Coherence::Update { .. }
            | Coherence::Updated { .. }
            | Coherence::Operate { .. }
            | Coherence::Operated { .. }
            | Coherence::Strengthen { .. }
            | Coherence::Strengthened { .. } => {}
        }
    }
}

fn reach_effects(node: &Node<u64>, coverage: &mut Coverage) {
    let is_invalidate = |effect: &&Effect<u64>| {
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
    let is_end = |effect: &Effect<u64>| matches!(effect, Effect::Reclaimed { .. });
    let is_grant = |effect: &Effect<u64>| {
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
