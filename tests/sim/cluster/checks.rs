//! What must hold in a run, and at its end.

use umbel_wire::{Access, ObjectId};

use super::Cluster;
use crate::model::home_of;
use crate::model::node::Place;
use crate::sim::plan::{CELL_COUNT, is_weak};
use crate::sim::program::Operation;
use crate::sim::threads::Wait;

impl Cluster {
    /// One writer or many readers of a sequential object; a weak one is written with a twin, or alone.
    pub(super) fn check_rights(&self, object: ObjectId) -> Result<(), String> {
        let is_sequential =
            !is_weak(self.plan.fixed(object)) || self.strengthened.contains(&object);
        let present = self.members.iter().filter(|member| !member.is_lost);
        let places: Vec<_> = present.map(|member| member.node.place(object)).collect();
        let is_alone = |place: &&&Place<u64, CELL_COUNT>| {
            place.view == Some(Access::Write) && (is_sequential || place.twin.is_none())
        };
        let holders = places.iter().filter(|place| place.view.is_some()).count();
        // Nobody keeps the copies of a lost home current.
        let is_kept = is_sequential || !self.members[home_of(object)].is_lost;
        if is_kept && holders > 1 && places.iter().any(|place| is_alone(&place)) {
            let rule = if is_sequential {
                "one writer or many readers"
            } else {
                "a weak copy is written with a twin, or alone"
            };
            return Err(format!("{rule}: {object:?} {places:?}"));
        }
        Ok(())
    }

    /// No view above what its machine gave.
    pub(super) fn check_views(&self, rank: usize) -> Result<(), String> {
        let node = &self.members[rank].node;
        if !node.is_free() {
            return Ok(());
        }
        for fixed in &self.plan.objects {
            let object = fixed.object;
            if node.place(object).view > node.machine.rights(object) {
                return Err(format!(
                    "a view has no more rights than the machine gave: node {rank} {object:?}"
                ));
            }
        }
        Ok(())
    }

    /// Threads that have not ended: node, what they wait for, what they do next.
    pub(super) fn unfinished(&self) -> Vec<(usize, Wait, Option<Operation>)> {
        let threads = self
            .present()
            .flat_map(|(rank, member)| member.threads.iter().map(move |thread| (rank, thread)));
        threads
            .filter(|(_, thread)| !thread.has_ended())
            .map(|(rank, thread)| (rank, thread.waits, thread.next()))
            .collect()
    }

    pub(super) fn check_end(&self) -> Result<(), String> {
        for (rank, member) in self.present() {
            for thread in &member.threads {
                if !thread.has_ended() {
                    return Err(format!(
                        "every program ends: node {rank} waits for {:?}",
                        thread.waits
                    ));
                }
            }
            for fixed in self.plan.objects.iter() {
                if home_of(fixed.object) == rank {
                    self.check_copies(fixed.object)?;
                }
            }
        }
        let is_lost = |object: ObjectId| self.members[home_of(object)].is_lost;
        let mut unfinished = self.reclaiming.iter().filter(|object| !is_lost(**object));
        if let Some(object) = unfinished.next() {
            return Err(format!("every reclaim ends: {object:?}"));
        }
        if let Some(asked) = self.strengthening.first() {
            return Err(format!("every operation is answered: {asked:?}"));
        }
        self.history
            .check(|cell| self.plan.is_judged(cell.object))
            .map_err(|error| format!("the history is one memory's: {error}"))
    }

    /// At rest a clean copy shows what the home shows, or what the home's threads have not flushed.
    fn check_copies(&self, object: ObjectId) -> Result<(), String> {
        let home = &self.members[home_of(object)].node;
        let Some(entry) = home.machine.entry(object) else {
            return Ok(());
        };
        if entry.is_busy() {
            return Err(format!("nothing is pending at rest: {entry:?}"));
        }
        let own = home.place(object);
        let told = own.twin.unwrap_or(own.bytes);
        for reader in entry.copyset().iter().map(|node| usize::from(node.0)) {
            let copy = self.members[reader].node.place(object);
            let clean = copy.twin.unwrap_or(copy.bytes);
            let differs = |index: &usize| {
                let index = *index;
                let went_early =
                    clean[index] != copy.bytes[index] && copy.bytes[index] == told[index];
                let is_dirty = own.bytes[index] != told[index];
                clean[index] != told[index] && !is_dirty && !went_early
            };
            if (0..CELL_COUNT).any(|index| differs(&index)) {
                return Err(format!(
                    "at rest every copy equals the home's: node {reader} has {copy:?}, the home {own:?}"
                ));
            }
        }
        Ok(())
    }
}
