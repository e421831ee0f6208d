//! What happened to the objects of this home.

use umbel_coherence::Counters;
use umbel_wire::{Coherence, Consistency, Mode, NodeId, ObjectId};

use super::Engine;
use super::memory::place;
use crate::payload::Payload;
use crate::sharing::SharingWatch;
use crate::stats::{ObjectStats, StatsTable};

impl Engine {
    /// Whether statistics are wanted: then who writes what is looked at from now on.
    pub fn set_watching(&mut self, is_on: bool) {
        self.sharing = is_on.then(SharingWatch::default);
    }

    /// Objects of this node that were ever shared: counters by `umbel_object` record.
    pub fn object_stats(&mut self) -> Vec<ObjectStats> {
        let mut table = self.stats.clone();
        for (object, entry) in self.machine.entries() {
            self.count(&mut table, object, &entry.counters(), entry.mode());
        }
        table.into_rows()
    }

    /// A message about an object of this home, to another node or from it: `holder` could write the object until now.
    pub(super) fn note_bytes(&mut self, holder: NodeId, message: &Coherence<Payload>) {
        let Some(watch) = &mut self.sharing else {
            return;
        };
        let object = message.object();
        if !self.memory.is_own(object) {
            return;
        }
        let (data, is_whole) = match message {
            Coherence::Grant {
                data: Some(data), ..
            }
            | Coherence::Recalled { data, .. }
            | Coherence::Return { data, .. } => (data.bytes(), true),
            Coherence::Invalidated {
                diff: Some((_, diff)),
                ..
            }
            | Coherence::Flush {
                diff: Some(diff), ..
            }
            | Coherence::Update { diff, .. } => (diff.bytes(), false),
            _ => return,
        };
        watch.count_moved(object, data.len() as u64);
        let is_sequential = || {
            let entry = self.machine.entry(object);
            entry.is_some_and(|entry| entry.mode().consistency == Consistency::Sequential)
        };
        if let (true, Some(bytes)) = (is_whole, data.get(HEAD_BYTES..))
            && is_sequential()
        {
            watch.on_hand_over(object, holder, bytes, 0);
        }
    }

    pub(super) fn count_retired(&mut self, object: ObjectId, counters: &Counters, mode: Mode) {
        let mut table = std::mem::take(&mut self.stats);
        self.count(&mut table, object, counters, mode);
        self.stats = table;
        if let Some(watch) = &mut self.sharing {
            watch.forget(object);
        }
    }

    fn count(&self, table: &mut StatsTable, object: ObjectId, counters: &Counters, mode: Mode) {
        let found = self.memory.find(place(object));
        let row = table.add(found, counters, mode);
        if let Some(watch) = &self.sharing {
            row.bytes += watch.moved(object);
            if let Some(sharing) = watch.of(object) {
                row.sharing.add(sharing);
            }
        }
    }
}

/// Bytes before an object's own in a message.
const HEAD_BYTES: usize = 2;
