//! The machine of one node: sends every input to the cache side or the home side.

use alloc::vec::Vec;
use core::ops::Range;

use umbel_wire::{Access, Coherence, NodeId, ObjectId, Token};

use crate::cache::{Cache, CopyState};
use crate::directory::Directory;
use crate::effect::Effect;
use crate::entry::Entry;
use crate::homes::HomeMap;
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
    pub fn on_fault<D>(&mut self, object: ObjectId, access: Access, out: &mut Vec<Effect<D>>) {
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
    pub fn on_message<D>(
        &mut self,
        from: NodeId,
        message: Coherence<D>,
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
        }
        .map_err(refuse)
    }

    /// The minimum hold asked for by one [`Effect::Hold`] is over.
    pub fn on_hold_expired<D>(&mut self, object: ObjectId, out: &mut Vec<Effect<D>>) {
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
    pub fn reclaim<D>(&mut self, objects: Range<ObjectId>, token: Token, out: &mut Vec<Effect<D>>) {
        self.directory.reclaim(objects, token, out);
    }

    /// Goes on without `node`. Returns the objects whose newest bytes, or whose home, this node can no
    /// longer reach: those `node` owned, and those of its own that a thread here waits for.
    ///
    /// The home's older bytes take the place of the lost ones: a driver that cannot accept that ends
    /// the job instead of carrying the effects out.
    pub fn on_node_lost<D>(&mut self, node: NodeId, out: &mut Vec<Effect<D>>) -> Vec<ObjectId> {
        let mut lost = self.directory.on_node_lost(node, out);
        self.cache
            .on_home_lost(|object| self.config.homes.home(object) == node, &mut lost);
        lost
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
