//! Forwarding: the owner sends what is recalled for a third node straight to it.
//!
//! ```text
//! requester R      home H         owner O                  R               H               O
//!    | -- Get -----> | -- Recall(R) -> |                   | -- Get -----> | -- Recall ---> |
//!    | <-------------|--- Grant ------ |    instead of     |               | <- Recalled -- |
//!    |               | <- Recalled --- |                   | <-- Grant --- |                |
//! ```
//!
//! Three messages on the critical path, and the home's copy of the bytes beside it. The home forwards requests for
//! access of other nodes; it never forwards to itself, nor what needs it to be alone. The owner grants what the home
//! would have: `Read` if it keeps a read copy, `Write` if it does not, in the mode that the home says.
//!
//! Two of the three links carry what the third one's messages depend on. All that can come too early:
//!
//! 1. *At the home: what R says of the copy before O's Recalled.* R was granted, used the copy, and sends Flush, Return
//!    or a Get(Write). The home, Recalling, sends R nothing about the object, and each of these makes R wait for the
//!    home: so it is one message. It is postponed ([`Effect::Postpone`]) until the Recalled is in, and taken up before any request
//!    is served. A diff among it counts as outstanding from the moment it comes: departures of the home wait for it.
//! 2. *At R: what the home says of the copy before O's Grant.* The home has the Recalled, takes R for a holder, and sends
//!    Recall, Invalidate or Update. R is in FetchRead or FetchWrite, and knows by that that a grant is on its way: a home
//!    sends these only to holders, and R asked when it was none and had answered all that went before (a copy that
//!    leaves is Leaving until the home has said that it knows). They are postponed until the grant is in; then its
//!    hold counts as any. But a *weak read copy* of which something is postponed is not shown: a thread of R may know
//!    of newer bytes, by what was behind the Invalidate or Update (see `flush`). It leaves as if evicted, Flush(leave), which
//!    crosses what is postponed; then R asks again.
//! 3. *At O: nothing.* All that O is told about the object comes from the home, as ever.
//!
//! A postponed message is as one that is still on its link. What one link delays, the order of each link kept, is what
//! the protocol allows anyway: forwarding adds no interleaving but this. Operate and Strengthen need no delay, for they
//! say nothing of a copy.
//!
//! *No new wait.* Whoever sent what is postponed had seen the other half: R had the Grant, so O had sent the Recalled; the
//! home had the Recalled, so O had sent the Grant. What is postponed waits for a message under way, and no circle closes.
//!
//! *O has the copy no more.* Its Return, or its Flushed-to-be, crosses the Recall: the home takes the Return as the answer,
//! knows by it that nothing was forwarded, and grants itself. O never answers a Recall without forwarding.
//!
//! *Bytes.* Grant and Recalled are sealed in one outbox, after O's rights were lowered and (sequential objects) after its
//! flush: they carry the same bytes. So all copies are equal, as if the home had granted.
//!
//! *Who may grant.* R knows the home, not the owner. It refuses a Grant of another node unless it waits for one, brings
//! bytes, and fits what R asked for; and a home's own Grant where the home has just taken R for a holder. A node of the
//! job that lies can still grant, to a node that waits at that moment, an object that it does not own: R works with false
//! bytes, and closes the link to whoever grants next. It can't do so to an object that nobody is fetching. An owner
//! could always give false bytes, and links belong to nodes of one job with one secret; a number in Get, Recall and Grant
//! would be the remedy.
//!
//! | cache's state | Grant of another node | Recall, Invalidate, Update |
//! |---|---|---|
//! | FetchRead, FetchWrite | as the home's | postpone |
//! | all others | V | as in their tables |
//!
//! | home's state | Recalled from o | Return from o | Get, Flush, Return from n |
//! |---|---|---|---|
//! | Recalling(o), forwarded to n | store, n is granted: to Shared{o, n} or Owned(n); take up | as in the directory's table; take up | postpone the first; then V |

use alloc::collections::BTreeMap;

use umbel_wire::{Access, Coherence, Forward, NodeId, ObjectId};

use crate::cache::{Cache, Refusal};
use crate::copy::CopyState;
use crate::directory::Directory;
use crate::effect::{Effect, Outgoing};
use crate::entry::{Awaited, Entry, Want};
use crate::flush::For;
use crate::grant::note_granted;
use crate::limits::POSTPONED_PER_COPY_MAX;
use crate::turn::Turn;

pub(crate) const NOT_TO_BE_FORWARDED: Refusal = "not to be forwarded there";
const POSTPONED: Refusal = "waiting for a grant of its owner";

/// What a cache has to do with forwarding now; mostly nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Forwarding {
    /// Of copies that were recalled and not given back.
    to: BTreeMap<ObjectId, Forward>,
    /// How many messages of the home were postponed.
    postponed: BTreeMap<ObjectId, u16>,
}

impl Forwarding {
    /// The copy is recalled for this node.
    pub(crate) fn note(&mut self, object: ObjectId, forward: Option<Forward>) {
        if let Some(forward) = forward {
            self.to.insert(object, forward);
        }
    }

    /// The rights were lowered: sends the bytes to whom they are for, and to the home.
    pub(crate) fn answer<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        keep_read: bool,
        turn: &mut Turn<'_, D>,
    ) {
        if let Some(Forward { node, mode }) = self.to.remove(&object) {
            let access = match keep_read {
                true => Access::Read,
                false => Access::Write,
            };
            let message = Outgoing::Grant {
                object,
                access,
                mode,
                with_data: true,
            };
            turn.send(node, message);
        }
        turn.send(home, Outgoing::Recalled { object });
    }

    /// A home that takes this node for a holder grants nothing itself.
    pub(crate) fn check_grant(&self, is_home: bool, object: ObjectId) -> Result<(), Refusal> {
        match is_home && self.postponed.contains_key(&object) {
            true => Err(POSTPONED),
            false => Ok(()),
        }
    }

    /// Whether the home has said something of the copy since it was granted.
    pub(crate) fn has_postponed(&self, object: ObjectId) -> bool {
        self.postponed.contains_key(&object)
    }

    /// The grant is in.
    pub(crate) fn take_up<D>(&mut self, object: ObjectId, turn: &mut Turn<'_, D>) {
        if self.postponed.remove(&object).is_some() {
            turn.out.push(Effect::TakeUp { object });
        }
    }
}

impl Cache {
    /// A weak read copy is granted that the home has invalidated or updated since: a thread here may have been told
    /// of the newer bytes by what was behind that. So the old ones are not shown; the copy leaves, as if evicted.
    pub(crate) fn leave_unseen<D>(
        &mut self,
        home: NodeId,
        object: ObjectId,
        turn: &mut Turn<'_, D>,
    ) {
        if let Some(copy) = self.copies.get_mut(&object) {
            let asked = match copy.state {
                CopyState::FetchWrite => Access::Write,
                _ => Access::Read,
            };
            if !copy.is_prefetch {
                copy.want(asked);
            }
            copy.is_prefetch = false;
        }
        self.leave(home, object, None, turn);
        self.forwarding.take_up(object, turn);
    }

    /// Whether this message of the home is about a copy whose grant is on its way.
    pub(crate) fn postpones<D>(
        &mut self,
        message: &Coherence<D>,
        turn: &Turn<'_, D>,
    ) -> Result<bool, Refusal> {
        let object = message.object();
        let is_of_holder = match message {
            Coherence::Recall { .. } | Coherence::Invalidate { .. } | Coherence::Update { .. } => {
                true
            }
            Coherence::Get { .. }
            | Coherence::Grant { .. }
            | Coherence::Deny { .. }
            | Coherence::Recalled { .. }
            | Coherence::Invalidated { .. }
            | Coherence::Flush { .. }
            | Coherence::Return { .. }
            | Coherence::Flushed { .. }
            | Coherence::Updated { .. }
            | Coherence::Operate { .. }
            | Coherence::Operated { .. }
            | Coherence::Strengthen { .. }
            | Coherence::Strengthened { .. } => false,
        };
        let is_granted = match self.state(object) {
            CopyState::FetchRead | CopyState::FetchWrite => turn.forwards,
            CopyState::Invalid
            | CopyState::Shared
            | CopyState::Upgrading
            | CopyState::Exclusive
            | CopyState::Dirty
            | CopyState::Resting
            | CopyState::GivingBack { .. }
            | CopyState::Returning
            | CopyState::Leaving { .. } => false,
        };
        if !is_of_holder || !is_granted {
            return Ok(false);
        }
        let count = self.forwarding.postponed.entry(object).or_default();
        if *count >= POSTPONED_PER_COPY_MAX {
            return Err(POSTPONED);
        }
        *count += 1;
        Ok(true)
    }
}

impl Directory {
    /// Whether this message of a cache is about a copy that its owner has granted, as the home does not know yet.
    pub(crate) fn postpones<D>(
        &mut self,
        from: NodeId,
        message: &Coherence<D>,
        turn: &mut Turn<'_, D>,
    ) -> Result<bool, Refusal> {
        let is_of_holder = match message {
            Coherence::Get { .. } | Coherence::Flush { .. } | Coherence::Return { .. } => true,
            Coherence::Grant { .. }
            | Coherence::Deny { .. }
            | Coherence::Recall { .. }
            | Coherence::Recalled { .. }
            | Coherence::Invalidate { .. }
            | Coherence::Invalidated { .. }
            | Coherence::Flushed { .. }
            | Coherence::Update { .. }
            | Coherence::Updated { .. }
            | Coherence::Operate { .. }
            | Coherence::Operated { .. }
            | Coherence::Strengthen { .. }
            | Coherence::Strengthened { .. } => false,
        };
        let entry = self.entries.get_mut(&message.object());
        let Some(entry) = entry.filter(|entry| is_of_holder && entry.pending.is_some()) else {
            return Ok(false);
        };
        match entry.forwards_to() {
            Some(requester) if requester == from => {}
            Some(_) => return Ok(false),
            None => {
                // It is being taken up, or there was none.
                entry.update_pending(|pending| pending.has_postponed = false);
                return Ok(false);
            }
        }
        // Each of these waits for an answer before it sends another.
        if entry.has_postponed() {
            return Err(POSTPONED);
        }
        let brings = matches!(message, Coherence::Flush { diff: Some(_), .. });
        let object = message.object();
        entry.update_pending(|pending| {
            pending.has_postponed = true;
            // This home's threads may be told of it by what is behind it.
            pending.foreign_round = brings.then(|| turn.flushes.number(object, For::Later));
        });
        Ok(true)
    }

    /// The owner has granted what was asked for, and the home's bytes are its.
    pub(crate) fn note_forwarded<D: Clone>(
        &mut self,
        object: ObjectId,
        keep_read: bool,
        turn: &mut Turn<'_, D>,
    ) {
        let entry = self
            .entries
            .get_mut(&object)
            .expect("work is in progress on this entry");
        let work = entry.update_pending(|pending| pending.work.take());
        if let Some(request) = work.and_then(|work| work.request) {
            let access = match keep_read {
                true => Access::Read,
                false => Access::Write,
            };
            if let Want::Access(wanted) = request.want {
                entry.record.count(wanted.into());
            }
            note_granted(entry, request.node, access, true);
        }
        self.take_up(object, turn);
        self.advance(object, turn);
    }

    /// The owner has answered. Nothing else is served before what was postponed: the home's threads may know of it.
    pub(crate) fn take_up<D>(&mut self, object: ObjectId, turn: &mut Turn<'_, D>) {
        if self.entries.get(&object).is_some_and(Entry::has_postponed) {
            turn.out.push(Effect::TakeUp { object });
        }
    }
}

impl Entry {
    /// Whether something of the object is postponed, or about to be taken up.
    pub(crate) fn has_postponed(&self) -> bool {
        self.pending
            .as_ref()
            .is_some_and(|pending| pending.has_postponed)
    }

    /// To whom the owner grants that was recalled.
    fn forwards_to(&self) -> Option<NodeId> {
        let work = self.pending.as_ref()?.work.as_ref()?;
        match work.awaited {
            Awaited::Recalled { forwards: true, .. } => {
                work.request.as_ref().map(|request| request.node)
            }
            Awaited::Recalled {
                forwards: false, ..
            }
            | Awaited::Invalidated { .. }
            | Awaited::Round
            | Awaited::Withdrawn
            | Awaited::EndOfLife
            | Awaited::Flush
            | Awaited::Operated
            | Awaited::Reply { .. } => None,
        }
    }
}
