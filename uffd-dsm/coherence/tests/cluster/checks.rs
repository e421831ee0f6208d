//! What holds at every step, and at rest.

use std::collections::BTreeMap;

use umbel_coherence::{CopyState, HomeMap};
use umbel_wire::{ObjectId, Token};

use crate::{Cluster, HOMES, NODES, OBJECTS, SEQUENTIAL, WORDS};

impl Cluster {
    pub fn check(&self) {
        for (rank, node) in self.nodes.iter().enumerate() {
            let page = &node.memory.pages[&SEQUENTIAL];
            if page.view.is_some() && page.bytes != self.newest {
                let (seen, newest) = (page.bytes, self.newest);
                self.fail(&format!(
                    "node {rank} can read {seen:?}, stored was {newest:?}"
                ));
            }
        }
        for (rank, node) in self.nodes.iter().enumerate() {
            for (object, access) in &node.pins {
                let view = node.memory.pages[object].view;
                if view < Some(*access) {
                    self.fail(&format!(
                        "node {rank} pinned {object:?} for {access:?} and has {view:?}"
                    ));
                }
            }
        }
        if self.has_races {
            return;
        }
        for ((object, word), value) in &self.visible {
            for (rank, node) in self.nodes.iter().enumerate() {
                let page = &node.memory.pages[object];
                if page.view.is_some() && page.bytes[*word] < *value {
                    self.fail(&format!(
                        "node {rank} can read {} in word {word} of {object:?}, flushed was {value}",
                        page.bytes[*word]
                    ));
                }
            }
        }
        // Whoever can see what a node announced in the sequential object sees what it wrote before.
        for (rank, node) in self.nodes.iter().enumerate() {
            let announced = &node.memory.pages[&SEQUENTIAL];
            if announced.view.is_some() {
                for word in 0..WORDS {
                    self.check_announced(rank, word, announced.bytes[word]);
                }
            }
        }
    }

    /// Node `rank` has seen `value` in word `word` of the sequential object.
    pub fn check_announced(&self, rank: usize, word: usize, value: u64) {
        if self.has_races {
            return;
        }
        for object in OBJECTS.into_iter().filter(|object| *object != SEQUENTIAL) {
            let page = &self.nodes[rank].memory.pages[&object];
            if page.view.is_some() && page.bytes[word] < self.announced(word, object, value) {
                let seen = page.bytes[word];
                self.fail(&format!(
                    "node {rank} sees {value}, announced by {word}, and {seen} in {object:?}"
                ));
            }
        }
    }

    /// The last value up to `until` that node `word` wrote to its word of `object`.
    pub fn announced(&self, word: usize, object: ObjectId, until: u64) -> u64 {
        let history = self.nodes[word]
            .written
            .range((object, 0)..(object, usize::MAX));
        history
            .map(|((_, value), _)| *value as u64)
            .filter(|value| *value < until)
            .max()
            .unwrap_or(0)
    }

    /// Lets everything come to an end: nobody begins anything new.
    pub fn rest(&mut self) {
        for round in 0.. {
            let mut is_quiet = true;
            for rank in 0..NODES {
                while self.nodes[rank].is_busy() {
                    self.carry_out(rank);
                    is_quiet = false;
                }
                while !self.nodes[rank].pins.is_empty() {
                    self.unpin(rank);
                    while !self.nodes[rank].outbox.is_empty()
                        || !self.nodes[rank].resumes.is_empty()
                    {
                        self.carry_out(rank);
                    }
                    is_quiet = false;
                }
                while let Some(object) = self.nodes[rank].holds.pop() {
                    self.input(rank, "hold expired".into(), |machine, memory, out| {
                        machine.on_hold_expired(object, memory, out)
                    });
                    while self.nodes[rank].is_busy() {
                        self.carry_out(rank);
                    }
                    is_quiet = false;
                }
                for from in 0..NODES {
                    if self
                        .links
                        .get(&(from, rank))
                        .is_some_and(|link| !link.is_empty())
                    {
                        self.deliver(from, rank);
                        while self.nodes[rank].is_busy() {
                            self.carry_out(rank);
                        }
                        is_quiet = false;
                    }
                }
            }
            if is_quiet {
                break;
            }
            assert!(round < 10_000, "it never rests");
        }
        for rank in 0..NODES {
            let node = &self.nodes[rank];
            if !node.flushes.is_empty() || node.waiting > 0 {
                self.fail(&format!("a token of node {rank} waits for ever"));
            }
            for object in OBJECTS {
                if node.memory.pages[&object].waits.is_some() {
                    self.fail(&format!(
                        "a thread of node {rank} waits for {object:?} for ever"
                    ));
                }
                let has_twin = node.memory.pages[&object].twin.is_some();
                let is_dirty = node.machine.copy_state(object) == CopyState::Dirty
                    || node
                        .machine
                        .entry(object)
                        .is_some_and(|entry| entry.is_dirty());
                if has_twin != is_dirty {
                    self.fail(&format!(
                        "node {rank}, {object:?}: a twin without need, or none"
                    ));
                }
            }
            for (object, entry) in node.machine.entries() {
                if entry.is_busy() {
                    self.fail(&format!("{object:?} is busy for ever: {entry:?}"));
                }
            }
        }
    }

    pub fn flush_all(&mut self) {
        for rank in 0..NODES {
            let token = Token(u64::MAX - rank as u64);
            self.nodes[rank].flushes.insert(token, BTreeMap::new());
            self.input(rank, "flush".into(), |machine, memory, out| {
                machine.flush(&[(token, None)], memory, out)
            });
            self.rest();
        }
    }

    /// Every copy that can be read equals the home's, or the owner's.
    pub fn check_equal(&self) {
        for object in OBJECTS {
            let home = usize::from(HOMES.home(object).0);
            let reading = |rank: &usize| {
                let page = &self.nodes[*rank].memory.pages[&object];
                page.view.is_some()
                    || (*rank == home && self.nodes[home].machine.rights(object).is_some())
            };
            let mut pages = (0..NODES)
                .filter(reading)
                .map(|rank| (rank, self.nodes[rank].memory.pages[&object].bytes));
            let first = pages.next();
            for page in pages {
                if first.map(|first| first.1) != Some(page.1) {
                    self.fail(&format!("{object:?}: copies differ: {first:?} {page:?}"));
                }
            }
        }
    }
}
