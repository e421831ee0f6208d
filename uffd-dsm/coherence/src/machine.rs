//! The machine of one node: sends every input to the cache side or the home side.

use alloc::vec::Vec;
use core::ops::Range;

use umbel_wire::{Access, Coherence, NodeId, ObjectId, Operation, Protocol, Token};

use crate::cache::{Cache, CopyState};
use crate::directory::Directory;
use crate::effect::Effect;
use crate::entry::Entry;
use crate::homes::HomeMap;
use crate::memory::Memory;
use crate::violation::{self, Violation};

/// What a machine must know of its node and job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Config<H> {
    /// The rank of this node.
    pub node: NodeId,
    /// The home of every object.
    pub homes: H,
    /// Nodes of the job; ranks are below.
    pub node_count: u16,
    /// Whether grants come with a minimum hold ([`Effect::Hold`]).
    pub minimum_hold: bool,
}

/// Coherence of one node: the copies it has of others' objects, and the directory of its own.
///
/// Every method appends to `out`; the driver carries the effects out in order before the next call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Machine<H> {
    config: Config<H>,
    cache: Cache,
    directory: Directory,
}

impl<H: HomeMap> Machine<H> {
    /// A machine at the start of the job: no object is shared.
    ///
    /// Panics if `node` is not below `node_count`.
    pub fn new(config: Config<H>) -> Self {
        assert!(
            config.node.0 < config.node_count,
            "rank {} in a job of {}",
            config.node.0,
            config.node_count
        );
        Self {
            cache: Cache::new(config.minimum_hold),
            directory: Directory::new(config.node, config.minimum_hold),
            config,
        }
    }

    /// A thread of this node waits for `access`; called again for the same fault it does no harm.
    ///
    /// Panics if the object has no home in this job: the driver knows stray pointers from objects.
    pub fn on_fault<D: Clone, M: Memory<D> + ?Sized>(
        &mut self,
        object: ObjectId,
        access: Access,
        _memory: &mut M,
        out: &mut Vec<Effect<D>>,
    ) {
        let home = self.config.homes.home(object);
        assert!(
            home.0 < self.config.node_count,
            "object {:#x} has no home",
            object.0
        );
        if home == self.config.node {
            self.directory.on_fault(object, access, out);
        } else {
            self.cache.on_fault(home, object, access, out);
        }
    }

    /// A message arrived from `from`. After a `Violation` nothing has changed.
    pub fn on_message<D: Clone, M: Memory<D> + ?Sized>(
        &mut self,
        from: NodeId,
        message: Coherence<D>,
        _memory: &mut M,
        out: &mut Vec<Effect<D>>,
    ) -> Result<(), Violation> {
        let object = message.object();
        let home = self.config.homes.home(object);
        let is_home = home == self.config.node;
        let name = violation::name(&message);
        let refuse = |state| Violation {
            from,
            object,
            state,
            message: name,
        };
        if from == self.config.node || from.0 >= self.config.node_count {
            return Err(refuse("not for that sender"));
        }
        match message {
            Coherence::Get { access, .. } if is_home => {
                self.directory.on_get(from, object, access, out)
            }
            Coherence::Recalled { data, .. } if is_home => {
                self.directory.on_recalled(from, object, data, out)
            }
            Coherence::Invalidated { .. } if is_home => {
                self.directory.on_invalidated(from, object, out)
            }
            Coherence::Get { .. } | Coherence::Recalled { .. } | Coherence::Invalidated { .. } => {
                Err("not at home")
            }
            Coherence::Grant { access, data, .. } if from == home => {
                self.cache.on_grant(object, access, data, out)
            }
            Coherence::Recall { keep_read, .. } if from == home => {
                self.cache.on_recall(home, object, keep_read, out)
            }
            Coherence::Invalidate { .. } if from == home => {
                self.cache.on_invalidate(home, object, out)
            }
            Coherence::Grant { .. } | Coherence::Recall { .. } | Coherence::Invalidate { .. } => {
                Err("at home elsewhere")
            }
            Coherence::Deny { .. }
            | Coherence::Flush { .. }
            | Coherence::Return { .. }
            | Coherence::Flushed { .. }
            | Coherence::Update { .. }
            | Coherence::Updated { .. }
            | Coherence::Operate { .. }
            | Coherence::Operated { .. }
            | Coherence::Strengthen { .. }
            | Coherence::Strengthened { .. } => Err("not served yet"),
        }
        .map_err(refuse)
    }

    /// The minimum hold asked for by one [`Effect::Hold`] is over.
    pub fn on_hold_expired<D: Clone, M: Memory<D> + ?Sized>(
        &mut self,
        object: ObjectId,
        _memory: &mut M,
        out: &mut Vec<Effect<D>>,
    ) {
        let home = self.config.homes.home(object);
        if home == self.config.node {
            self.directory.on_hold_expired(object, out);
        } else {
            self.cache.on_hold_expired(home, object, out);
        }
    }

    /// Whether the end of a hold of this object, and nothing else, lets something go on: a request at its
    /// home, or a message put off by its holder. Without that, holds may expire late.
    pub fn awaits_hold(&self, object: ObjectId) -> bool {
        if self.config.homes.home(object) == self.config.node {
            self.directory.awaits_hold(object)
        } else {
            self.cache.awaits_hold(object)
        }
    }

    /// The life of these objects of this home is over: withdraws every copy, without their bytes, and
    /// answers with [`Effect::Reclaimed`], at once if nothing is shared.
    ///
    /// Panics if `token`, or the reclaim of one of the objects, is in progress.
    pub fn reclaim<D: Clone, M: Memory<D> + ?Sized>(
        &mut self,
        objects: Range<ObjectId>,
        token: Token,
        _memory: &mut M,
        out: &mut Vec<Effect<D>>,
    ) {
        self.directory.reclaim(objects, token, out);
    }

    /// Goes on without `node`. Returns the objects whose newest bytes, or whose home, this node can no
    /// longer reach: those `node` owned, and those of its own that a thread here waits for.
    ///
    /// The home's older bytes take the place of the lost ones: a driver that cannot accept that ends
    /// the job instead of carrying the effects out.
    pub fn on_node_lost<D: Clone, M: Memory<D> + ?Sized>(
        &mut self,
        node: NodeId,
        _memory: &mut M,
        out: &mut Vec<Effect<D>>,
    ) -> Vec<ObjectId> {
        let mut lost = self.directory.on_node_lost(node, out);
        self.cache
            .on_home_lost(|object| self.config.homes.home(object) == node, &mut lost);
        lost
    }

    /// Fetches an object of another home before a thread wants it; false where that is of no use: there is a
    /// copy, or it was asked for, or the home is here.
    pub fn prefetch<D: Clone>(
        &mut self,
        _object: ObjectId,
        _access: Access,
        _out: &mut Vec<Effect<D>>,
    ) -> bool {
        false
    }

    /// Answers with [`Effect::Flushed`] when everything this node's threads wrote before this call is
    /// visible everywhere; at once if nothing is on its way.
    pub fn flush<D: Clone, M: Memory<D> + ?Sized>(
        &mut self,
        token: Token,
        _memory: &mut M,
        out: &mut Vec<Effect<D>>,
    ) {
        out.push(Effect::Flushed { token });
    }

    /// Whether a flush would be answered at once, for there is nothing to look at.
    pub fn is_clean(&self) -> bool {
        true
    }

    /// The effects before an [`Effect::Resume`] of this object are carried out.
    pub fn on_resumed<D: Clone, M: Memory<D> + ?Sized>(
        &mut self,
        object: ObjectId,
        _memory: &mut M,
        _out: &mut Vec<Effect<D>>,
    ) {
        unreachable!("object {:#x} was not to be resumed", object.0)
    }

    /// An [`Effect::Operate`] was carried out; `result` is the value before.
    pub fn on_operated<D: Clone, M: Memory<D> + ?Sized>(
        &mut self,
        object: ObjectId,
        _from: NodeId,
        _token: Token,
        _result: u64,
        _memory: &mut M,
        _out: &mut Vec<Effect<D>>,
    ) {
        unreachable!("object {:#x} was not to be operated on", object.0)
    }

    /// Runs an atomic operation on an object of another home; answers with [`Effect::Operated`].
    pub fn operate<D: Clone, M: Memory<D> + ?Sized>(
        &mut self,
        _object: ObjectId,
        token: Token,
        _operation: Operation,
        _memory: &mut M,
        out: &mut Vec<Effect<D>>,
    ) {
        out.push(Effect::Operated { token, result: 0 });
    }

    /// Makes an object of any home sequential for the rest of its life; answers with
    /// [`Effect::Strengthened`].
    pub fn strengthen<D: Clone, M: Memory<D> + ?Sized>(
        &mut self,
        _object: ObjectId,
        token: Token,
        _memory: &mut M,
        out: &mut Vec<Effect<D>>,
    ) {
        out.push(Effect::Strengthened { token });
    }

    /// Gives the copy of an object of another home back, to make room; false if it is busy or there is none.
    pub fn evict<D: Clone, M: Memory<D> + ?Sized>(
        &mut self,
        _object: ObjectId,
        _memory: &mut M,
        _out: &mut Vec<Effect<D>>,
    ) -> bool {
        false
    }

    /// Changes the protocol of a shared object of this home, as soon as no work is in progress; one that is
    /// not shared has none. Not in `auto`'s hands from then on.
    pub fn set_protocol<D: Clone, M: Memory<D> + ?Sized>(
        &mut self,
        _object: ObjectId,
        _protocol: Protocol,
        _memory: &mut M,
        _out: &mut Vec<Effect<D>>,
    ) {
    }

    /// What the machine was made with.
    pub fn config(&self) -> &Config<H> {
        &self.config
    }

    /// The directory entry of an object, if it is this node's and has been shared.
    pub fn entry(&self, object: ObjectId) -> Option<&Entry> {
        self.directory.entry(object)
    }

    /// All directory entries, ascending.
    pub fn entries(&self) -> impl Iterator<Item = (ObjectId, &Entry)> {
        self.directory.entries()
    }

    /// Starts a new window of observation: sets every entry's counters to 0.
    pub fn reset_counters(&mut self) {
        self.directory.reset_counters();
    }

    /// Whether any object of the range has a directory entry: one of them is or was shared.
    pub fn has_entries(&self, objects: Range<ObjectId>) -> bool {
        self.directory.has_entries(objects)
    }

    /// How many directory entries there are.
    pub fn entry_count(&self) -> usize {
        self.directory.len()
    }

    /// How many objects of other homes have a copy here or are asked for.
    pub fn copy_count(&self) -> usize {
        self.cache.len()
    }

    /// State of an object of another home.
    pub fn copy_state(&self, object: ObjectId) -> CopyState {
        self.cache.state(object)
    }

    /// What this node's threads may do with an object; the view has this much or less.
    pub fn rights(&self, object: ObjectId) -> Option<Access> {
        if self.config.homes.home(object) == self.config.node {
            self.directory
                .entry(object)
                .map_or(Some(Access::Write), Entry::home_rights)
        } else {
            self.cache.state(object).rights()
        }
    }
}
