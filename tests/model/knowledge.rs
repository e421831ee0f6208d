//! What each node must see: versions that were flushed, and versions that came before what it saw.
//!
//! A cell's versions count up. A load that could happen is taken to happen: in every state every node
//! loads every cell that it can. So no load needs a step of its own, and each node knows the most
//! that it can know.

use umbel_wire::Token;

use super::node::Value;
use super::scenario::{CELL_COUNT, Declared, Scenario, Writer};

/// A version for every cell of every object; then, by node, how many tasks its threads asked (in the first cell).
pub type Versions = Vec<[u8; CELL_COUNT]>;

/// The version a cell has at its home at first. Elsewhere there is nothing yet, version 0.
pub const FIRST: u8 = 1;

/// A flush under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Flush {
    rank: usize,
    token: Token,
    /// What everybody must see when it is complete.
    versions: Versions,
}

/// Who must see what. Weak cells alone are listed here: sequential ones have one version at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Knowledge {
    /// By node: what its threads stored, or learnt by a sequential object; no load there may see less.
    knows: Vec<Versions>,
    /// By node: what its threads loaded, though perhaps by a race; no load there may see less.
    seen: Vec<Versions>,
    /// No load anywhere may see less.
    flushed: Versions,
    /// By sequential object: what its last writer knew when it stored.
    carried: Vec<Versions>,
    flushing: Vec<Flush>,
}

impl Knowledge {
    /// Every node knows the first versions.
    pub fn new(scenario: &Scenario) -> Self {
        let objects = scenario.objects.iter();
        let cells = objects.map(|declared| std::array::from_fn(|cell| counted(declared, cell)));
        let nobody_asked = std::iter::repeat_n([0; CELL_COUNT], scenario.node_count.into());
        let first: Versions = cells.chain(nobody_asked).collect();
        Self {
            knows: vec![first.clone(); usize::from(scenario.node_count)],
            seen: vec![first.clone(); usize::from(scenario.node_count)],
            carried: vec![first.clone(); scenario.objects.len()],
            flushed: first,
            flushing: Vec::new(),
        }
    }

    /// A thread of `rank` stored this version.
    pub fn stored(&mut self, rank: usize, index: usize, cell: usize, version: u8) {
        self.knows[rank][index][cell] = version;
    }

    /// A thread of `rank` asked its task with this number.
    pub fn asked(&mut self, rank: usize, number: u8) {
        let row = self.carried.len() + rank;
        self.knows[rank][row][0] = number;
    }

    /// How many tasks of `asker` came before what a thread of `rank` knows.
    pub fn tasks_known(&self, rank: usize, asker: usize) -> u8 {
        self.knows[rank][self.carried.len() + asker][0]
    }

    /// A thread of `rank` stored into this sequential object, or its operation was run there.
    pub fn released(&mut self, rank: usize, index: usize) {
        let (carried, knows) = (&mut self.carried[index], &self.knows[rank]);
        raise(carried, knows);
    }

    /// Whether `acquired` would tell something new.
    pub fn learns(&self, rank: usize, index: usize) -> bool {
        let pairs = self.knows[rank].iter().zip(&self.carried[index]);
        pairs
            .flat_map(|(knows, carried)| knows.iter().zip(carried))
            .any(|(knows, carried)| knows < carried)
    }

    /// A thread of `rank` loaded from this sequential object what was stored last.
    pub fn acquired(&mut self, rank: usize, index: usize) {
        let (carried, knows) = (&self.carried[index], &mut self.knows[rank]);
        raise(knows, carried);
    }

    /// What came before the last store into this sequential object.
    pub fn carried(&self, index: usize) -> &Versions {
        &self.carried[index]
    }

    /// What threads of `rank` stored or learnt.
    pub fn known(&self, rank: usize) -> &Versions {
        &self.knows[rank]
    }

    /// An operation of a thread that knew this was run on the sequential object.
    pub fn announced(&mut self, index: usize, knew: &Versions) {
        raise(&mut self.carried[index], knew);
    }

    /// A thread of `rank` was told of all this.
    pub fn learnt(&mut self, rank: usize, versions: &Versions) {
        raise(&mut self.knows[rank], versions);
    }

    /// A thread of `rank` began a flush.
    pub fn flush_began(&mut self, scenario: &Scenario, rank: usize, token: Token) {
        let mut versions = self.knows[rank].clone();
        let (objects, tasks) = versions.split_at_mut(scenario.objects.len());
        tasks.fill([0; CELL_COUNT]);
        for (declared, cells) in scenario.objects.iter().zip(objects) {
            for (cell, version) in cells.iter_mut().enumerate() {
                // What others stored they flush themselves.
                *version *= u8::from(declared.writers[cell] == Writer::Only(rank));
            }
        }
        self.flushing.push(Flush {
            rank,
            token,
            versions,
        });
    }

    /// A flush is complete; false if none was under way. What was stored into objects whose lives are
    /// ending need not be visible.
    pub fn flush_ended(&mut self, rank: usize, token: Token, ending: &[bool]) -> bool {
        let is_it = |flush: &Flush| flush.rank == rank && flush.token == token;
        let Some(place) = self.flushing.iter().position(is_it) else {
            return false;
        };
        let mut flush = self.flushing.remove(place);
        for (versions, is_ending) in flush.versions.iter_mut().zip(ending) {
            if *is_ending {
                *versions = [0; CELL_COUNT];
            }
        }
        raise(&mut self.flushed, &flush.versions);
        true
    }

    /// Whether a thread of `rank` waits for a flush with this token.
    pub fn is_flushing(&self, rank: usize, token: Token) -> bool {
        self.flushing
            .iter()
            .any(|flush| flush.rank == rank && flush.token == token)
    }

    /// Who waits for a flush.
    pub fn waits_for_flush(&self) -> Option<usize> {
        self.flushing.first().map(|flush| flush.rank)
    }

    /// A node can load this version: whether that is news, or the rule that it breaks.
    pub fn judge(
        &self,
        rank: usize,
        index: usize,
        cell: usize,
        version: u8,
        latest: u8,
    ) -> Result<bool, &'static str> {
        // An older version of the same value is as good: nobody can tell it from a newer one.
        let is_older =
            |than: u8| version < than && !(than..=latest).any(|newer| version.is_same(newer));
        if is_older(self.flushed[index][cell]) {
            return Err("a load sees what was flushed");
        }
        if is_older(self.knows[rank][index][cell]) {
            return Err("a load sees what came before");
        }
        if is_older(self.seen[rank][index][cell]) {
            return Err("loads never go back");
        }
        Ok(version > self.seen[rank][index][cell])
    }

    /// A thread of `rank` loaded this version.
    pub fn saw(&mut self, rank: usize, index: usize, cell: usize, version: u8) {
        self.seen[rank][index][cell] = version;
    }

    /// The object begins anew with this version in every cell: its life was over, or its newest bytes
    /// were lost.
    pub fn began_anew(&mut self, index: usize, version: [u8; CELL_COUNT]) {
        self.flushed[index] = version;
        let all = self.knows.iter_mut().chain(&mut self.seen);
        for versions in all.chain(&mut self.carried) {
            versions[index] = version;
        }
        for flush in &mut self.flushing {
            flush.versions[index] = [0; CELL_COUNT];
        }
    }

    /// What a lost sequential object's last writer knew is lost with it.
    pub fn lost_carrier(&mut self, index: usize) {
        self.carried[index] = self.nothing();
    }

    /// A node is gone.
    pub fn lost(&mut self, rank: usize) {
        self.flushing.retain(|flush| flush.rank != rank);
        let nothing = self.nothing();
        self.knows[rank].clone_from(&nothing);
        self.seen[rank] = nothing;
    }

    fn nothing(&self) -> Versions {
        vec![[0; CELL_COUNT]; self.flushed.len()]
    }
}

/// The first version, of cells whose versions are told apart.
fn counted(declared: &Declared, cell: usize) -> u8 {
    if declared.is_weak() && declared.is_ordered(cell) {
        FIRST
    } else {
        0
    }
}

fn raise(versions: &mut Versions, to: &Versions) {
    for (mine, other) in versions.iter_mut().flatten().zip(to.iter().flatten()) {
        *mine = (*mine).max(*other);
    }
}
