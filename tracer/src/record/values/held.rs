//! Threads that wait in their hooks, and threads that shall.

use std::path::Path;

use umbel_trace_ring::plan::{From, Until};

use super::Planner;

/// A thread that waits to be let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldThread {
    /// Its number.
    pub tid: u32,
    /// The trigger's number of the case, or one of [`umbel_trace_ring::plan::STOPPED_AT_CALL`] and its kin.
    pub number: u32,
}

impl Planner {
    /// Threads that are held.
    pub fn held(&self) -> Vec<HeldThread> {
        let held = self
            .regions
            .values()
            .flat_map(|mapped| mapped.region.held());
        let mut held: Vec<HeldThread> = held
            .map(|held| HeldThread {
                tid: held.tid,
                number: held.number,
            })
            .collect();
        held.sort_unstable();
        held
    }

    /// Lets threads go on; how many.
    pub fn let_go(&self, is_meant: impl Fn(u32, u32) -> bool) -> usize {
        let mut count = 0;
        for mapped in self.regions.values() {
            for held in mapped.region.held() {
                if is_meant(held.tid, held.number) {
                    mapped.region.let_go(&held);
                    count += 1;
                }
            }
        }
        count
    }

    /// Wants a thread of a process to stop. `false`: of too many others that is wanted, or the process has no region for plans.
    pub fn want(&self, process: u64, tid: u32, until: Until, from: From) -> bool {
        let region = self.processes.get(&process);
        let mapped = region.and_then(|(number, _)| self.regions.get(number));
        let Some(region) = mapped.map(|mapped| &mapped.region) else {
            return false;
        };
        if region.want(tid, until, from) {
            return true;
        }
        // Those that have ended need their places no more.
        let is_dead = |tid: &u32| !Path::new(&format!("/proc/{tid}")).exists();
        let known = region.wanted().map(|(tid, _)| tid);
        let dead: Vec<u32> = known.filter(is_dead).collect();
        for dead in dead {
            region.unwant(dead);
        }
        region.want(tid, until, from)
    }

    /// Wants threads to stop no more; how many.
    pub fn unwant(&self, is_meant: impl Fn(u32) -> bool) -> usize {
        let mut count = 0;
        for mapped in self.regions.values() {
            let wanted = mapped.region.wanted();
            let wanted: Vec<(u32, bool)> = wanted.filter(|(tid, _)| is_meant(*tid)).collect();
            for (tid, stops) in wanted {
                count += usize::from(mapped.region.unwant(tid) && stops);
            }
        }
        count
    }

    /// Threads that are to stop.
    pub fn wanted(&self) -> Vec<u32> {
        let regions = self.regions.values();
        let wanted = regions.flat_map(|mapped| mapped.region.wanted());
        let stopping = wanted.filter(|(_, stops)| *stops);
        stopping.map(|(tid, _)| tid).collect()
    }

    /// Whether all threads are to stop of which nothing else is wanted, those that begin later too.
    pub fn want_all(&mut self, are_wanted: bool) {
        self.wants_all = are_wanted;
        for mapped in self.regions.values() {
            mapped.region.want_all(are_wanted);
        }
    }

    /// Whether they are.
    pub fn wants_all(&self) -> bool {
        self.wants_all
    }
}
