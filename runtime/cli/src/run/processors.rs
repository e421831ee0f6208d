//! Which processors each node runs on.
//!
//! A wake-up of a thread on another, sleeping processor costs 20 to 45 us in a virtual machine, more than all the
//! rest of a remote fault. So each node keeps to a share of its own, as MPI launchers have it; and a node that
//! has processors to itself may spin a little before it sleeps.

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// The shares of all nodes, or nothing if there are more nodes than processors.
#[derive(Clone, Debug, Default)]
pub struct Shares {
    processors: Vec<usize>,
    node_count: usize,
}

impl Shares {
    /// Shares out the processors that the launcher may use.
    pub fn new(node_count: usize) -> Self {
        let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
        let is_allowed = |processor: &usize| allowed.is_set(*processor).unwrap_or(false);
        let processors: Vec<usize> = (0..CpuSet::count()).filter(is_allowed).collect();
        Self::of(processors, node_count)
    }

    fn of(processors: Vec<usize>, node_count: usize) -> Self {
        if node_count < 2 || node_count > processors.len() {
            return Self::default();
        }
        Self {
            processors,
            node_count,
        }
    }

    /// The processors of one node: neighbours, as many as the others have, or one more.
    pub fn of_node(&self, rank: usize) -> &[usize] {
        if self.processors.is_empty() {
            return &[];
        }
        let start = |rank: usize| rank * self.processors.len() / self.node_count;
        &self.processors[start(rank)..start(rank + 1)]
    }
}

/// A share as the kernel takes it; nothing for no share.
pub fn cpu_set(share: &[usize]) -> Option<CpuSet> {
    let mut set = CpuSet::new();
    for processor in share {
        set.set(*processor).ok()?;
    }
    (!share.is_empty()).then_some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_processor_belongs_to_one_node_and_every_node_has_one() {
        for (processor_count, node_count) in [(2, 2), (8, 3), (7, 7), (64, 5)] {
            let shares = Shares::of((10..10 + processor_count).collect(), node_count);
            let all: Vec<usize> = (0..node_count)
                .flat_map(|rank| shares.of_node(rank).to_vec())
                .collect();
            assert_eq!(all, (10..10 + processor_count).collect::<Vec<_>>());
            assert!((0..node_count).all(|rank| !shares.of_node(rank).is_empty()));
        }
    }

    #[test]
    fn alone_or_crowded_nodes_are_free() {
        assert!(Shares::of(vec![0, 1], 1).of_node(0).is_empty());
        assert!(Shares::of(vec![0, 1], 3).of_node(2).is_empty());
        assert!(cpu_set(&[]).is_none());
    }
}
