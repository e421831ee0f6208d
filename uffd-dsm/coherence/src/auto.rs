//! Which protocol an object gets when the source does not say.
//!
//! The home begins with `invalidate`, and keeps small scores of what it sees. Evidence for a protocol adds to its
//! score, contrary evidence takes from it; a switch is made when no work is in progress, and clears the scores.
//!
//! | protocol | evidence | enough | what ends it |
//! |---|---|---|---|
//! | `migratory`, or `update` if it is weak and only the home and one other node have used it | n alone has read since m wrote, and writes now (upgrade, or flush) | 3 | as many grants that came back unwritten; a new trial |
//! | `update` | n flushes again, and a node whose copy its last flush dropped, or the home whose rights it took, has read since; or two nodes have written at once | 3 | every copy left by itself; a new trial |
//! | `read_only` | a read request of another node since the last write | 16 | a write |
//! | `remote` | a write request takes the object from another node, and nobody has read it since that one wrote | 4 | 32 operations in a row of one node |
//!
//! Two nodes have *written at once* if the flush of one joins the round of the other, if a copy hands over a diff
//! when it is dropped, or if the home has a diff of its own after it merged one beside its twin. That is evidence
//! against `migratory`, too, unless only the home and one other node have used the object: then all that speaks for either
//! speaks for `update`, and adds up. A flush beside the home's twin says nothing until the home flushes.
//!
//! *A new trial*: under `migratory` the home sees of a writer only that it took the object, and under `update` of a
//! reader nothing; what spoke for them may have ended long ago. So after some recalls, or some flushes each of
//! another node than the one before, `invalidate` looks again. A trial costs about 3 hand-overs; whenever it ends
//! with the same protocol, the time until the next doubles.
//!
//! Whether the home still reads what the only other copy's node flushes is not seen, either: now and then its rights
//! are taken. If they are still gone at the next flush, the writer becomes owner ([`crate::round`]).
//!
//! Between two nodes `update` hands a weak object over with the messages of a mutex or flag: nobody misses, and nobody
//! else gets what he doesn't want.
//!
//! `update` is for weak objects, `remote` for sequential ones whose operations are compiled as calls. A node that
//! writes with a copy to itself is noted as the writer when it is recalled, if its bytes differ from the home's.

use core::num::NonZeroU8;

use umbel_wire::limits::NODES_MAX;
use umbel_wire::{Access, Consistency, Mode, NodeId, ObjectId, Protocol};

use crate::entry::{Awaited, Entry, Holding, Request, Want};
use crate::memory::{Memory, Policy};
use crate::record::Counted;

const MIGRATORY_ENOUGH: u8 = 3;
const UPDATE_ENOUGH: u8 = 3;
const READS_ENOUGH: u8 = 16;
const HANDOVERS_ENOUGH: u8 = 4;
const OPERATIONS_ENOUGH: u8 = 32;

/// Flushes until the home has to show that it reads them: that takes an interrupt and a fault, 20 us.
const UNSEEN_ENOUGH: u8 = 32;

/// Hand-overs until a protocol is tried anew, at first and at most.
const TRIAL_AFTER_MIN: NonZeroU8 = NonZeroU8::new(16).expect("not 0");
const TRIAL_AFTER_MAX: NonZeroU8 = NonZeroU8::new(128).expect("not 0");
const TWICE: NonZeroU8 = NonZeroU8::new(2).expect("not 0");

/// What speaks for another protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Scores {
    /// Operations are compiled as calls.
    operations: bool,
    /// Somebody whose copy was dropped by the last flush has fetched it again.
    is_fetched_again: bool,
    /// A diff was merged beside the home's twin, and the home has not flushed since.
    is_crossed: bool,
    /// Who wrote last.
    writer: Readers,
    /// Who has read since.
    readers: Readers,
    /// A node whose copy the last flush dropped, or the home if the flush took its rights.
    dropped: Readers,
    /// Who operated last.
    operator: Readers,
    /// Who has used it besides the home, under `invalidate` and since.
    partners: Readers,
    reads: u8,
    migratory: u8,
    update: u8,
    handovers: u8,
    operations_in_row: u8,
    /// Flushes under `update` that only the home may have seen, since it has shown that it does.
    unseen: u8,
    /// Hand-overs under the protocol in force.
    turns: u8,
    /// As many end it; none if the source says what the protocol is.
    trial_after: Option<NonZeroU8>,
    /// What was chosen last that is tried anew.
    chosen: Option<Protocol>,
}

/// Nobody, one node, or several, in two bytes: every shared object has five of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Readers(u16);

impl Readers {
    const NONE: Self = Self(u16::MAX);
    const MANY: Self = Self(u16::MAX - 1);

    fn one(node: NodeId) -> Self {
        Self(node.0)
    }

    fn is_one(self) -> bool {
        self != Self::NONE && self != Self::MANY
    }

    fn and(self, node: NodeId) -> Self {
        match self {
            Self::NONE => Self::one(node),
            other if other == Self::one(node) => self,
            _ => Self::MANY,
        }
    }
}

const _: () = assert!(NODES_MAX < Readers::MANY.0 as usize);

impl Scores {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            operations: policy.operations,
            is_fetched_again: false,
            is_crossed: false,
            writer: Readers::NONE,
            readers: Readers::NONE,
            dropped: Readers::NONE,
            operator: Readers::NONE,
            partners: Readers::NONE,
            reads: 0,
            migratory: 0,
            update: 0,
            handovers: 0,
            operations_in_row: 0,
            unseen: 0,
            turns: 0,
            trial_after: policy.protocol.is_none().then_some(TRIAL_AFTER_MIN),
            chosen: None,
        }
    }

    fn is_auto(&self) -> bool {
        self.trial_after.is_some()
    }

    /// The protocol was set.
    pub(crate) fn end_auto(&mut self) {
        self.trial_after = None;
    }

    fn note_read(&mut self, node: NodeId) {
        if self.dropped == Readers::one(node) {
            self.is_fetched_again = true;
        }
        if self.writer == Readers::one(node) {
            return;
        }
        self.readers = self.readers.and(node);
        if self.readers == Readers::MANY {
            self.migratory = self.migratory.saturating_sub(1);
        }
    }

    /// `node` has written, or is about to; `is_beside_twin`: perhaps not it alone.
    fn note_write(&mut self, node: NodeId, is_beside_twin: bool) {
        let is_handed_on = self.writer.is_one() && self.writer != Readers::one(node);
        if is_handed_on && !is_beside_twin && self.readers == Readers::one(node) {
            raise(&mut self.migratory, MIGRATORY_ENOUGH);
            if !self.partners.is_one() {
                self.update = self.update.saturating_sub(1);
            }
        }
        if self.writer == Readers::one(node) && self.is_fetched_again {
            self.note_update();
        }
        self.begin_epoch(node);
    }

    /// `node` has written while another node did.
    fn note_write_at_once(&mut self, node: NodeId) {
        self.note_update();
        self.turns = 0;
        self.begin_epoch(node);
    }

    fn note_update(&mut self) {
        raise(&mut self.update, UPDATE_ENOUGH);
        // Between two nodes both speak for the same.
        if !self.partners.is_one() {
            self.migratory = 0;
        }
    }

    fn begin_epoch(&mut self, writer: NodeId) {
        self.writer = Readers::one(writer);
        self.readers = Readers::NONE;
        self.is_fetched_again = false;
        self.dropped = Readers::NONE;
        self.reads = 0;
    }

    /// The protocol in force has served another node than before.
    fn note_turn(&mut self) {
        let trial_after = self.trial_after.map_or(u8::MAX, NonZeroU8::get);
        raise(&mut self.turns, trial_after);
        if self.turns == trial_after {
            self.migratory = 0;
            self.update = 0;
        }
    }

    fn note_partner(&mut self, node: NodeId, home: NodeId) {
        if node != home {
            self.partners = self.partners.and(node);
        }
    }

    fn note_operation(&mut self, node: NodeId) {
        if self.operator == Readers::one(node) {
            raise(&mut self.operations_in_row, OPERATIONS_ENOUGH);
        } else {
            self.operations_in_row = 1;
        }
        self.operator = Readers::one(node);
    }

    fn next(&self, mode: Mode) -> Protocol {
        let is_weak = mode.consistency == Consistency::Weak;
        let is_between_two =
            self.migratory + self.update >= MIGRATORY_ENOUGH && self.partners.is_one();
        match mode.protocol {
            Protocol::Invalidate | Protocol::ReadOnly => {
                if self.operations && !is_weak && self.handovers >= HANDOVERS_ENOUGH {
                    Protocol::Remote
                } else if is_weak && (self.update >= UPDATE_ENOUGH || is_between_two) {
                    Protocol::Update
                } else if self.migratory >= MIGRATORY_ENOUGH {
                    Protocol::Migratory
                } else if self.reads >= READS_ENOUGH {
                    Protocol::ReadOnly
                } else {
                    mode.protocol
                }
            }
            Protocol::Migratory if self.migratory == 0 => Protocol::Invalidate,
            Protocol::Update if self.update == 0 => Protocol::Invalidate,
            Protocol::Remote if self.operations_in_row >= OPERATIONS_ENOUGH => Protocol::Invalidate,
            Protocol::Migratory | Protocol::Update | Protocol::Remote => mode.protocol,
        }
    }
}

impl Entry {
    /// A request begins to be served.
    pub(crate) fn note_request(&mut self, request: &Request, home: NodeId) {
        if !self.scores.is_auto() {
            return;
        }
        let node = request.node;
        self.scores.note_partner(node, home);
        match request.want {
            Want::Access(Access::Read) => {
                if node != home {
                    raise(&mut self.scores.reads, READS_ENOUGH);
                }
                self.scores.handovers = 0;
                self.scores.note_read(node);
            }
            // Whether it writes is seen when it flushes.
            Want::Access(Access::Write) if self.is_weak() => self.scores.note_read(node),
            Want::Access(Access::Write) => {
                let is_taken = match self.holding {
                    Holding::Owned(owner) => owner != node,
                    Holding::Home => node != home && self.view.is_some(),
                    Holding::Shared => false,
                };
                if is_taken {
                    raise(&mut self.scores.handovers, HANDOVERS_ENOUGH);
                }
                self.scores.note_write(node, false);
            }
            Want::Operate(_) => self.scores.note_operation(node),
            Want::Strengthen(_) => {}
        }
        self.switch();
    }

    /// An owner's bytes come back.
    pub(crate) fn note_recalled<D>(
        &mut self,
        object: ObjectId,
        owner: NodeId,
        data: &D,
        memory: &dyn Memory<D>,
    ) {
        if !self.scores.is_auto() {
            return;
        }
        let has_written = memory.differs(object, data);
        if has_written {
            self.scores.writer = Readers::one(owner);
            self.scores.readers = Readers::NONE;
        }
        if self.mode.protocol == Protocol::Migratory {
            self.scores.migratory = match has_written {
                true => MIGRATORY_ENOUGH,
                false => self.scores.migratory.saturating_sub(1),
            };
            self.scores.note_turn();
        }
    }

    /// A diff of `from` was merged; `is_late`: it came with the answer to an `Invalidate`.
    pub(crate) fn note_flush(&mut self, from: NodeId, home: NodeId, is_late: bool) {
        self.record.count(Counted::Flush);
        let is_beside_twin = from != home && self.is_dirty;
        let is_round = self.awaited() == Some(Awaited::Round);
        let is_idle = self.awaited().is_none();
        let scores = &mut self.scores;
        if !scores.is_auto() {
            return;
        }
        scores.note_partner(from, home);
        let is_crossed = core::mem::replace(&mut scores.is_crossed, is_beside_twin);
        if is_late || is_round || (from == home && is_crossed) {
            scores.note_write_at_once(from);
        } else {
            let is_turn = scores.writer != Readers::one(from)
                && !is_beside_twin
                && scores.partners == Readers::MANY;
            if is_turn && self.mode.protocol == Protocol::Update {
                scores.note_turn();
            }
            scores.note_write(from, is_beside_twin);
        }
        if is_idle {
            self.switch();
            let mut others = self
                .record
                .copies()
                .iter()
                .copied()
                .filter(|node| *node != from);
            let is_home_dropped = from != home && !self.is_dirty && self.view.is_some();
            let dropped = others.next().or(is_home_dropped.then_some(home));
            self.scores.dropped = dropped.map_or(Readers::NONE, Readers::one);
        }
    }

    /// A flush of the only copy but the home's is answered. True if the home has to show anew that it reads it.
    pub(crate) fn is_home_to_show(&mut self) -> bool {
        let scores = &mut self.scores;
        if !scores.is_auto() || self.mode.protocol != Protocol::Update || self.view.is_none() {
            return false;
        }
        raise(&mut scores.unseen, UNSEEN_ENOUGH);
        let is_enough = scores.unseen == UNSEEN_ENOUGH;
        if is_enough {
            scores.unseen = 0;
        }
        is_enough
    }

    /// The last copy left because it was not used.
    pub(crate) fn note_unused(&mut self) {
        self.scores.update = 0;
    }

    /// Changes the protocol if there is enough evidence. No work is in progress.
    fn switch(&mut self) {
        let next = self.scores.next(self.mode);
        if next != self.mode.protocol {
            self.mode.protocol = next;
            self.record.count(Counted::Switch);
            let Scores {
                operations: _,
                is_fetched_again,
                is_crossed: _,
                writer: _,
                readers,
                dropped,
                operator,
                partners,
                reads,
                migratory,
                update,
                handovers,
                operations_in_row,
                unseen,
                turns,
                trial_after,
                chosen,
            } = &mut self.scores;
            *is_fetched_again = false;
            *readers = Readers::NONE;
            *dropped = Readers::NONE;
            *operator = Readers::NONE;
            if next == Protocol::Invalidate {
                *partners = Readers::NONE;
            }
            *reads = 0;
            *handovers = 0;
            *operations_in_row = 0;
            *unseen = 0;
            *turns = 0;
            if matches!(next, Protocol::Migratory | Protocol::Update) {
                *trial_after = trial_after.map(|trial_after| match *chosen == Some(next) {
                    true => TRIAL_AFTER_MAX.min(trial_after.saturating_mul(TWICE)),
                    false => TRIAL_AFTER_MIN,
                });
                *chosen = Some(next);
            }
            // What is in force begins with all its credit.
            *migratory = if next == Protocol::Migratory {
                MIGRATORY_ENOUGH
            } else {
                0
            };
            *update = if next == Protocol::Update {
                UPDATE_ENOUGH
            } else {
                0
            };
        }
    }
}

fn raise(score: &mut u8, enough: u8) {
    *score = enough.min(*score + 1);
}
