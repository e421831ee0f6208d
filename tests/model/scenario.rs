//! What to explore: a cluster, its objects, and how often its threads may do what.

use umbel_wire::{Consistency, NodeId, ObjectId, Protocol};

use super::node::HOMES;
use crate::subject::{Config, Homes, Policy};

/// Cells of every object of the model.
pub const CELL_COUNT: usize = 2;

/// Who may store into a cell. A weak cell with one writer is free of races whatever the threads do;
/// where anybody writes, only the rules for all programs are left to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// Nobody.
    Nobody,
    /// The threads of one node.
    Only(usize),
    /// Every thread.
    Anybody,
}

/// One object of a scenario.
#[derive(Clone, Debug)]
pub struct Declared {
    /// The object.
    pub object: ObjectId,
    /// What its source says of it.
    pub policy: Policy,
    /// Who writes which cell.
    pub writers: [Writer; CELL_COUNT],
    /// Whether its home knows of it (or else a prefetch of it is denied).
    pub exists: bool,
    /// Whether the kernel tells which of its pages were written.
    pub tracks_writes: bool,
}

impl Declared {
    /// Sequentially consistent, one cell, written by everybody.
    pub fn sequential(object: ObjectId, protocol: Protocol) -> Self {
        Self {
            object,
            policy: policy(Consistency::Sequential, protocol),
            writers: [Writer::Anybody, Writer::Nobody],
            exists: true,
            tracks_writes: false,
        }
    }

    /// Weakly consistent; a writer for each cell.
    pub fn weak(object: ObjectId, protocol: Protocol, writers: [Writer; CELL_COUNT]) -> Self {
        Self {
            policy: policy(Consistency::Weak, protocol),
            writers,
            ..Self::sequential(object, protocol)
        }
    }

    /// Whether weakly consistent at first.
    pub fn is_weak(&self) -> bool {
        self.policy.consistency == Consistency::Weak
    }

    /// Whether threads of `rank` store into `cell`.
    pub fn may_write(&self, rank: usize, cell: usize) -> bool {
        match self.writers[cell] {
            Writer::Nobody => false,
            Writer::Only(writer) => writer == rank,
            Writer::Anybody => true,
        }
    }

    /// Whether the cell's versions have an order that every reader must see.
    pub fn is_ordered(&self, cell: usize) -> bool {
        match self.writers[cell] {
            Writer::Nobody | Writer::Only(_) => true,
            Writer::Anybody => !self.is_weak(),
        }
    }
}

fn policy(consistency: Consistency, protocol: Protocol) -> Policy {
    Policy {
        consistency,
        protocol: Some(protocol),
        operations: false,
    }
}

/// How often something may be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Flushes: releases to everybody.
    pub flushes: u8,
    /// News to one node of what came before: releases to it.
    pub news: u8,
    /// Copies dropped for want of room.
    pub evictions: u8,
    /// Prefetches.
    pub prefetches: u8,
    /// Operations at the home of the object.
    pub operations: u8,
    /// Requests to make a weak object sequential.
    pub strengthens: u8,
    /// Pins.
    pub pins: u8,
    /// Rights to write that come before they are wanted.
    pub aheads: u8,
    /// Parts of a flush that are sent before the others are looked at.
    pub parts: u8,
    /// Tasks for other nodes whose answers no thread waits for.
    pub tasks: u8,
    /// Switches of the protocol, for objects of this home.
    pub switches: u8,
}

/// What to explore.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Nodes of the cluster.
    pub node_count: u16,
    /// The objects used.
    pub objects: Vec<Declared>,
    /// Whether grants come with a hold.
    pub minimum_hold: bool,
    /// Whether drivers may put off the effects of a message until they have taken the next ones.
    pub gathers: bool,
    /// Faults per node; `None`: any number.
    pub faults_per_node: Option<u8>,
    /// Stores per cell; `None`: any number, for sequential objects alone.
    pub stores_per_cell: Option<u8>,
    /// Reclaims per object; `None`: any number.
    pub reclaims_per_object: Option<u8>,
    /// Whether faults happen though the view allows the access already, or the thread waits already.
    pub stray_faults: bool,
    /// A node that may be lost at any time.
    pub may_lose: Option<usize>,
    /// What else each node may do; nothing, where the list ends before the node.
    pub budgets: Vec<Budget>,
    /// What a switch may switch to.
    pub protocols: Vec<Protocol>,
}

impl Scenario {
    /// Nodes that load and store these objects, and do nothing else.
    pub fn new(node_count: u16, objects: Vec<Declared>) -> Self {
        Self {
            node_count,
            objects,
            minimum_hold: false,
            gathers: false,
            faults_per_node: None,
            stores_per_cell: None,
            reclaims_per_object: Some(0),
            stray_faults: false,
            may_lose: None,
            budgets: vec![Budget::default(); usize::from(node_count)],
            protocols: Vec::new(),
        }
    }

    /// What the machine of this node knows. Who goes on without lost nodes does not forward.
    pub fn config(&self, rank: u16) -> Config<Homes> {
        Config {
            node: NodeId(rank),
            homes: HOMES,
            node_count: self.node_count,
            minimum_hold: self.minimum_hold,
            forwards: self.may_lose.is_none(),
        }
    }

    /// Place of an object in the list.
    pub fn index_of(&self, object: ObjectId) -> usize {
        self.objects
            .iter()
            .position(|known| known.object == object)
            .expect("the scenario lists its objects")
    }
}
