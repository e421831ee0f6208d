//! What happened to the objects of this home.

use umbel_coherence::Counters;
use umbel_wire::{Mode, NodeId, ObjectId};

use super::Engine;
use super::memory::{Travelled, parse, place};
use crate::diff;
use crate::stats::{ObjectStats, StatsTable};

/// Who wrote an object last, and where in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    node: NodeId,
    /// First byte that he changed.
    start: usize,
    /// One past the last.
    end: usize,
    /// How often two nodes in a row wrote disjoint ranges of it.
    disjoint: u32,
}

impl Engine {
    /// Objects of this node that were ever shared: counters by `umbel_object` record.
    pub fn object_stats(&mut self) -> Vec<ObjectStats> {
        let mut table = self.stats.clone();
        for (object, entry) in self.machine.entries() {
            self.count(&mut table, object, entry.counters(), None);
        }
        table.into_rows()
    }

    /// An owner gives an object back; called while the home's older bytes are there.
    pub(super) fn note_written(&mut self, from: NodeId, object: ObjectId, data: &[u8]) {
        let Some(Travelled { offset, bytes, .. }) =
            parse(object, data).filter(|_| self.memory.is_own(object))
        else {
            return;
        };
        let mut older = vec![0; bytes.len()];
        self.memory
            .space
            .read(place(object).page_file_offset() + offset as u64, &mut older);
        let Some(changes) = diff::between(bytes, &older, 0) else {
            return;
        };
        let mut runs = diff::runs(&changes, bytes.len()).flatten();
        let start = runs.next().map_or(0, |run| run.offset);
        let end = diff::runs(&changes, bytes.len())
            .flatten()
            .last()
            .map_or(0, |run| run.offset + run.bytes.len());
        let written = self.written.entry(object).or_insert(Written {
            node: from,
            start,
            end,
            disjoint: 0,
        });
        let is_disjoint = end <= written.start || written.end <= start;
        *written = Written {
            node: from,
            start,
            end,
            disjoint: written.disjoint + u32::from(written.node != from && is_disjoint),
        };
    }

    pub(super) fn count_retired(&mut self, object: ObjectId, counters: &Counters, mode: Mode) {
        let mut table = std::mem::take(&mut self.stats);
        self.count(&mut table, object, counters, Some(mode));
        self.stats = table;
        self.written.remove(&object);
    }

    fn count(
        &self,
        table: &mut StatsTable,
        object: ObjectId,
        counters: &Counters,
        mode: Option<Mode>,
    ) {
        let found = self.memory.find(place(object));
        let (_, len) = self.memory.extent(object);
        let row = table.add(found, counters, len as u64);
        row.protocol = mode.map(|mode| mode.protocol).or(row.protocol);
        row.disjoint_writes += self
            .written
            .get(&object)
            .map_or(0, |written| u64::from(written.disjoint));
    }
}
