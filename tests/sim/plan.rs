//! What one seed decides: the cluster, its speed, its program and its accidents.

use umbel_wire::ObjectId;

use super::random::Random;
use crate::model::{HOMES, object_of};

/// One thing a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Loads.
    Load(ObjectId),
    /// Stores a value no other store of the run has.
    Store(ObjectId),
    /// Adds one, atomically.
    Increment(ObjectId),
}

impl Operation {
    /// What it works on.
    pub fn object(self) -> ObjectId {
        match self {
            Self::Load(object) | Self::Store(object) | Self::Increment(object) => object,
        }
    }
}

/// Swarm testing (Groce and others, ISSTA '12): each run has its own mixture, some without holds, some
/// without stores, so that one feature cannot hide another's faults.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Nodes.
    pub node_count: u16,
    /// Objects, spread over the homes.
    pub objects: Vec<ObjectId>,
    /// Length of a hold; `None`: no holds.
    pub hold_ns: Option<u64>,
    /// Shortest and longest time on a link.
    pub delay_ns: (u64, u64),
    /// Messages in a hundred that take ten times the longest time; those behind them wait.
    pub slow_percent: u64,
    /// Shortest and longest time to carry out an effect or take an input.
    pub service_ns: (u64, u64),
    /// Shortest and longest time between two operations of a thread.
    pub think_ns: (u64, u64),
    /// Faults in a hundred that are reported twice.
    pub duplicate_percent: u64,
    /// Times at which a home leaves an object's scope.
    pub reclaims: Vec<(u64, ObjectId)>,
    /// When which node is lost.
    pub loss: Option<(u64, usize)>,
    /// `threads[node][thread]`: what to do, in order.
    pub threads: Vec<Vec<Vec<Operation>>>,
}

/// From fault to wake takes some 100 us; a run takes a few ms of virtual time.
const ACCIDENTS_NS: (u64, u64) = (10_000, 4_000_000);

impl Plan {
    /// The plan of a seed.
    pub fn new(random: &mut Random) -> Self {
        let node_count = u16::try_from(random.between(8, 12)).expect("a small number");
        let object_count = random.between(1, 6);
        let objects_per_home = 1 << HOMES.objects_per_node_log2;
        let mut objects: Vec<ObjectId> = Vec::new();
        for _ in 0..object_count {
            let home = u16::try_from(random.index(usize::from(node_count).min(3))).expect("a rank");
            objects.push(object_of(home, random.between(0, objects_per_home - 1)));
        }
        objects.sort_unstable();
        objects.dedup();

        let delay_low_ns = random.between(500, 30_000);
        let with_reclaims = random.chance(30);
        let with_loss = random.chance(20);
        let reclaim_count = if with_reclaims {
            random.between(1, 12)
        } else {
            0
        };
        let (low, high) = ACCIDENTS_NS;
        let reclaims = (0..reclaim_count)
            .map(|_| {
                (
                    random.between(low, high),
                    objects[random.index(objects.len())],
                )
            })
            .collect();
        let loss = with_loss.then(|| {
            (
                random.between(low, high),
                random.index(usize::from(node_count)),
            )
        });
        let write_percent = [0, 5, 20, 50, 100][random.index(5)];
        let thread_count_max = random.between(1, 3);
        let operation_count_max = random.between(4, 60);
        let threads = (0..node_count)
            .map(|_| {
                let thread_count = random.between(1, thread_count_max);
                let mut program = |_| {
                    let count = random.between(1, operation_count_max);
                    (0..count)
                        .map(|_| operation(random, &objects, write_percent))
                        .collect()
                };
                (0..thread_count).map(&mut program).collect()
            })
            .collect();
        Self {
            node_count,
            hold_ns: random.chance(60).then(|| random.between(20_000, 200_000)),
            delay_ns: (delay_low_ns, delay_low_ns + random.between(0, 100_000)),
            slow_percent: random.between(0, 5),
            service_ns: (200, random.between(300, 20_000)),
            think_ns: (0, random.between(100, 100_000)),
            duplicate_percent: random.between(0, 20),
            reclaims,
            loss,
            threads,
            objects,
        }
    }
}

fn operation(random: &mut Random, objects: &[ObjectId], write_percent: u64) -> Operation {
    let object = objects[random.index(objects.len())];
    match (random.chance(write_percent), random.chance(50)) {
        (false, _) => Operation::Load(object),
        (true, false) => Operation::Store(object),
        (true, true) => Operation::Increment(object),
    }
}
