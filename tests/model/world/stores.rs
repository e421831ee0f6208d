//! Stores, and what else gives an object new bytes.

use std::sync::Arc;

use umbel_wire::{Coherence, ObjectId};

use super::{Message, Sent, World};
use crate::model::data::Cells;
use crate::model::knowledge::FIRST;
use crate::model::node::home_of;
use crate::model::scenario::{CELL_COUNT, Scenario};
use crate::subject::Effect;

impl World {
    pub(super) fn store(&mut self, scenario: &Scenario, rank: usize, index: usize, cell: usize) {
        if scenario.stores_per_cell.is_none() {
            return self.store_newest(scenario, rank, index);
        }
        self.stores_left[index][cell] -= 1;
        self.latest[index][cell] += 1;
        let version = self.latest[index][cell];
        self.node_mut(rank).places[index].bytes[cell] = version;
        let declared = &scenario.objects[index];
        if self.is_sequential[index] {
            self.knowledge_mut().released(rank, index);
        }
        if declared.is_weak() && declared.is_ordered(cell) {
            self.knowledge_mut().stored(rank, index, cell, version);
        }
    }

    /// The bytes of the object's home become those of a new life, or of one whose newest bytes were lost.
    pub(super) fn begin_anew(&mut self, scenario: &Scenario, index: usize) {
        let declared = &scenario.objects[index];
        let rank = home_of(declared.object);
        if scenario.stores_per_cell.is_none() {
            return self.store_newest(scenario, rank, index);
        }
        // As if the home had stored: so what was there before can be told from it.
        for version in &mut self.latest[index] {
            *version += 1;
        }
        let bytes = self.latest[index];
        self.node_mut(rank).places[index].bytes = bytes;
        self.knowledge_mut().lost_carrier(index);
        if declared.is_weak() {
            let latest = self.latest[index];
            let ordered = |cell| latest[cell] * u8::from(declared.is_ordered(cell));
            self.knowledge_mut()
                .began_anew(index, std::array::from_fn(ordered));
        }
    }

    /// The node's bytes of a sequential object become the newest; all others are stale, on the way
    /// too. So the number of stores needs no bound and there are finitely many states all the same.
    fn store_newest(&mut self, scenario: &Scenario, rank: usize, index: usize) {
        let declared = &scenario.objects[index];
        assert!(!declared.is_weak(), "weak stores have versions");
        const STALE: [u8; CELL_COUNT] = [FIRST - 1; CELL_COUNT];
        for node in &mut self.nodes {
            let node = Arc::make_mut(node);
            node.places[index].bytes = STALE;
            for effect in &mut node.outbox {
                if let Effect::Store { object, data } = effect
                    && *object == declared.object
                {
                    *data = Cells::whole(&STALE);
                }
            }
        }
        for node in &mut self.nodes {
            for (_, message) in &mut Arc::make_mut(node).postponed {
                make_stale(message, declared.object, &STALE);
            }
        }
        let links = self.links.iter_mut().flat_map(Arc::make_mut);
        for sent in links.flatten() {
            if let Sent::Message(message) = sent {
                make_stale(message, declared.object, &STALE);
            }
        }
        self.node_mut(rank).places[index].bytes = [FIRST; CELL_COUNT];
    }
}

fn make_stale(message: &mut Message, stale: ObjectId, bytes: &[u8; CELL_COUNT]) {
    match message {
        Coherence::Grant {
            object,
            data: Some(data),
            ..
        }
        | Coherence::Recalled { object, data, .. }
        | Coherence::Return { object, data, .. }
            if *object == stale =>
        {
            *data = Cells::whole(bytes);
        }
        _ => {}
    }
}
