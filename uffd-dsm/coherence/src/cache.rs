//! The cache side: this node's copies of objects whose homes are elsewhere.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use umbel_wire::{Access, NodeId, ObjectId};

use crate::effect::{Effect, Outgoing};
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
    /// A read copy.
    Shared,
    /// A read copy; `Get(Write)` sent.
    Upgrading,
    /// The writable copy.
    Exclusive,
}

impl CopyState {
    /// What threads may do with the copy.
    pub fn rights(self) -> Option<Access> {
        match self {
            Self::Invalid | Self::FetchRead | Self::FetchWrite => None,
            Self::Shared | Self::Upgrading => Some(Access::Read),
            Self::Exclusive => Some(Access::Write),
        }
    }

    /// Whether a `Get` is under way.
    pub fn is_waiting(self) -> bool {
        match self {
            Self::FetchRead | Self::FetchWrite | Self::Upgrading => true,
            Self::Invalid | Self::Shared | Self::Exclusive => false,
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
        }
    }
}

/// A message put off until the end of the hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Deferred {
    Recall { keep_read: bool },
    Invalidate,
}

/// Record of one copy. There is none for `Invalid`.
/// Invariant: `deferred.is_some()` implies `holds > 0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Copy {
    state: CopyState,
    /// Holds begun and not yet expired; saturates, which ends a hold early.
    holds: u8,
    deferred: Option<Deferred>,
}

const _: () = assert!(size_of::<Copy>() <= limits::COPY_BYTES_MAX);

/// The state a message found, where it cannot be accepted.
type Refusal = &'static str;

const AWAITS_HOLD: Refusal = "answering an earlier message after its hold";

/// This node's copies of objects whose homes are elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Cache {
    minimum_hold: bool,
    copies: BTreeMap<ObjectId, Copy>,
}

impl Cache {
    pub(crate) fn new(minimum_hold: bool) -> Self {
        Self {
            minimum_hold,
            copies: BTreeMap::new(),
        }
    }

    pub(crate) fn state(&self, object: ObjectId) -> CopyState {
        self.copies
            .get(&object)
            .map_or(CopyState::Invalid, |copy| copy.state)
    }

    pub(crate) fn len(&self) -> usize {
        self.copies.len()
    }

    pub(crate) fn on_fault<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        access: Access,
        out: &mut Vec<Effect<D>>,
    ) {
        use CopyState::*;
        let state = self.state(object);
        let next = match (state, access) {
            (Invalid, Access::Read) => FetchRead,
            (Invalid, Access::Write) => FetchWrite,
            (Shared, Access::Write) => Upgrading,
            // Already asked; the grant wakes every thread, and a writer woken by a read grant faults
            // again. Remembering it would need the same messages: a Get once sent cannot be raised.
            (FetchRead | FetchWrite, Access::Read | Access::Write) | (Upgrading, Access::Write) => {
                return;
            }
            // A stale or duplicate fault: expose what there is.
            (Shared | Upgrading, Access::Read) | (Exclusive, Access::Read | Access::Write) => {
                out.push(Effect::SetAccess {
                    object,
                    access: state.rights(),
                });
                out.push(Effect::Wake { object });
                return;
            }
        };
        let copy = self.copies.entry(object).or_insert(Copy {
            state,
            holds: 0,
            deferred: None,
        });
        copy.state = next;
        out.push(Effect::Send {
            to: home,
            message: Outgoing::Get {
                object,
                access,
                prefetch: false,
            },
        });
    }

    pub(crate) fn on_grant<D>(
        &mut self,
        object: ObjectId,
        access: Access,
        data: Option<D>,
        out: &mut Vec<Effect<D>>,
    ) -> Result<(), Refusal> {
        use CopyState::*;
        let Some(copy) = self.copies.get_mut(&object) else {
            return Err(Invalid.name());
        };
        if copy.deferred.is_some() {
            // The home awaits our answer before it grants anybody anything.
            return Err(AWAITS_HOLD);
        }
        let (next, data) = match (copy.state, access, data) {
            (FetchRead, Access::Read, Some(data)) => (Shared, Some(data)),
            (FetchWrite, Access::Write, Some(data)) => (Exclusive, Some(data)),
            // Sound without bytes: the home listed us when it sent this, so it had not sent an
            // Invalidate that we have not answered; the link keeps order, so our copy is that one.
            (Upgrading, Access::Write, None) => (Exclusive, None),
            // Had we lost the copy, we would be FetchWrite: the home and we disagree.
            (Upgrading, Access::Write, Some(_))
            | (Upgrading, Access::Read, Some(_) | None)
            | (FetchRead, Access::Read, None)
            | (FetchRead, Access::Write, Some(_) | None)
            | (FetchWrite, Access::Write, None)
            | (FetchWrite, Access::Read, Some(_) | None)
            | (Invalid | Shared | Exclusive, Access::Read | Access::Write, Some(_) | None) => {
                return Err(copy.state.name());
            }
        };
        copy.state = next;
        if let Some(data) = data {
            out.push(Effect::Store { object, data });
        }
        out.push(Effect::SetAccess {
            object,
            access: next.rights(),
        });
        out.push(Effect::Wake { object });
        if self.minimum_hold {
            copy.holds = copy.holds.saturating_add(1);
            out.push(Effect::Hold { object });
        }
        Ok(())
    }

    pub(crate) fn on_recall<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        keep_read: bool,
        out: &mut Vec<Effect<D>>,
    ) -> Result<(), Refusal> {
        use CopyState::*;
        let Some(copy) = self.copies.get_mut(&object) else {
            return Err(Invalid.name());
        };
        match (copy.state, copy.deferred) {
            (Exclusive, None) if copy.holds > 0 => {
                copy.deferred = Some(Deferred::Recall { keep_read })
            }
            (Exclusive, None) => self.give_back(home, object, keep_read, out),
            (Exclusive, Some(Deferred::Recall { .. } | Deferred::Invalidate)) => {
                return Err(AWAITS_HOLD);
            }
            (Invalid | FetchRead | FetchWrite | Shared | Upgrading, _) => {
                return Err(copy.state.name());
            }
        }
        Ok(())
    }

    pub(crate) fn on_invalidate<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        out: &mut Vec<Effect<D>>,
    ) -> Result<(), Refusal> {
        use CopyState::*;
        let Some(copy) = self.copies.get_mut(&object) else {
            return Err(Invalid.name());
        };
        match (copy.state, copy.deferred) {
            (Shared | Upgrading, None) if copy.holds > 0 => {
                copy.deferred = Some(Deferred::Invalidate)
            }
            // An owner is invalidated only when the object's life is over: nothing is left to hold for.
            (Shared | Upgrading | Exclusive, None) => self.drop_copy(home, object, out),
            (
                Shared | Upgrading | Exclusive,
                Some(Deferred::Recall { .. } | Deferred::Invalidate),
            ) => {
                return Err(AWAITS_HOLD);
            }
            (Invalid | FetchRead | FetchWrite, _) => return Err(copy.state.name()),
        }
        Ok(())
    }

    pub(crate) fn awaits_hold(&self, object: ObjectId) -> bool {
        self.copies
            .get(&object)
            .is_some_and(|copy| copy.deferred.is_some())
    }

    /// Ignores a hold whose copy is gone.
    pub(crate) fn on_hold_expired<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        out: &mut Vec<Effect<D>>,
    ) {
        let Some(copy) = self.copies.get_mut(&object) else {
            return;
        };
        copy.holds = copy.holds.saturating_sub(1);
        if copy.holds > 0 {
            return;
        }
        match copy.deferred.take() {
            Some(Deferred::Recall { keep_read }) => self.give_back(home, object, keep_read, out),
            Some(Deferred::Invalidate) => self.drop_copy(home, object, out),
            None => {}
        }
    }

    /// Forgets what the lost home was to answer or be answered; the copies stay readable.
    pub(crate) fn on_home_lost(
        &mut self,
        is_lost: impl Fn(ObjectId) -> bool,
        lost: &mut Vec<ObjectId>,
    ) {
        self.copies.retain(|object, copy| {
            if !is_lost(*object) {
                return true;
            }
            copy.deferred = None;
            match copy.state {
                CopyState::FetchRead | CopyState::FetchWrite => {
                    lost.push(*object);
                    false
                }
                CopyState::Upgrading => {
                    lost.push(*object);
                    copy.state = CopyState::Shared;
                    true
                }
                CopyState::Invalid | CopyState::Shared | CopyState::Exclusive => true,
            }
        });
    }

    /// Revoke, then copy, then answer: any other order loses stores.
    fn give_back<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        keep_read: bool,
        out: &mut Vec<Effect<D>>,
    ) {
        if keep_read {
            self.set_state(object, CopyState::Shared, out);
        } else {
            self.set_state(object, CopyState::Invalid, out);
        }
        out.push(Effect::Send {
            to: home,
            message: Outgoing::Recalled { object },
        });
    }

    fn drop_copy<D>(&mut self, home: NodeId, object: ObjectId, out: &mut Vec<Effect<D>>) {
        let next = match self.state(object) {
            // Our Get(Write) is with the home, which will now answer it with bytes.
            CopyState::Upgrading => CopyState::FetchWrite,
            CopyState::Shared | CopyState::Exclusive => CopyState::Invalid,
            CopyState::Invalid | CopyState::FetchRead | CopyState::FetchWrite => {
                unreachable!("callers drop copies only where there is one")
            }
        };
        self.set_state(object, next, out);
        out.push(Effect::Send {
            to: home,
            message: Outgoing::Invalidated { object, diff: None },
        });
    }

    /// Moves to `next` and lowers the threads' rights to it.
    fn set_state<D>(&mut self, object: ObjectId, next: CopyState, out: &mut Vec<Effect<D>>) {
        if next == CopyState::Invalid {
            self.copies.remove(&object);
        } else if let Some(copy) = self.copies.get_mut(&object) {
            copy.state = next;
        }
        out.push(Effect::SetAccess {
            object,
            access: next.rights(),
        });
    }
}
