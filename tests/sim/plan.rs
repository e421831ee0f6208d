//! What one seed decides: the cluster, its speed, its program and its accidents.

use umbel_wire::{Access, Consistency, NodeId, ObjectId, Protocol};

use super::program::{self, Operation};
use super::random::Random;
use crate::model::node::Fixed;
use crate::model::{HOMES, object_of};
use crate::subject::{Config, Homes, Policy};

/// Cells of every object of the simulator.
pub const CELL_COUNT: usize = 4;

/// Something that a driver, a home or the world does by itself.
#[derive(Clone, Copy, Debug)]
pub enum Accident {
    /// A home leaves an object's scope.
    Reclaim(ObjectId),
    /// A node drops a copy for want of room.
    Evict(usize, ObjectId),
    /// A node asks for what its threads may want.
    Prefetch(usize, ObjectId, Access),
    /// A home switches.
    Switch(ObjectId, Protocol),
    /// A thread of a node needs a weak object to be sequential from now on.
    Strengthen(usize, ObjectId),
    /// A node is lost.
    Loss(usize),
}

/// How a lock is made of what a program has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// A service hands it on; who releases flushes first.
    Service,
    /// A word of a sequential object, tried again and again. Who releases just stores.
    Spin(ObjectId),
    /// A word that operations at its home change.
    Operated(ObjectId),
}

/// How the threads of a run agree about weak cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Every weak cell belongs to a lock.
    Locked,
    /// Each thread writes its own cells, a barrier, all read everything, a barrier.
    Phased,
    /// They do not; only what holds for all programs is checked of weak cells.
    Racy,
}

/// Swarm testing (Groce and others, ISSTA '12): each run has its own mixture, some without holds, some
/// without stores, so that one feature cannot hide another's faults.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Nodes.
    pub node_count: u16,
    /// Objects, spread over the homes; those of locks at the end.
    pub objects: Vec<Fixed>,
    /// How weak cells are agreed about.
    pub style: Style,
    /// The locks; weak cell `n` of the run belongs to lock `n % locks.len()`.
    pub locks: Vec<LockKind>,
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
    /// What happens by itself, and when.
    pub accidents: Vec<(u64, Accident)>,
    /// `threads[node][thread]`: what to do, in order.
    pub threads: Vec<Vec<Vec<Operation>>>,
}

/// From fault to wake takes some 100 us; a run takes a few ms of virtual time.
const ACCIDENTS_NS: (u64, u64) = (10_000, 4_000_000);

/// The protocols a weak object may have.
const WEAK_PROTOCOLS: [Protocol; 4] = [
    Protocol::Invalidate,
    Protocol::Migratory,
    Protocol::ReadOnly,
    Protocol::Update,
];

/// The protocols a sequential object may have.
const SEQUENTIAL_PROTOCOLS: [Protocol; 4] = [
    Protocol::Invalidate,
    Protocol::Migratory,
    Protocol::ReadOnly,
    Protocol::Remote,
];

impl Plan {
    /// The plan of a seed.
    pub fn new(random: &mut Random) -> Self {
        let node_count = u16::try_from(random.between(8, 12)).expect("a small number");
        let with_loss = random.chance(20);
        let style = match random.index(5) {
            _ if with_loss => Style::Racy,
            0 => Style::Racy,
            1 => Style::Phased,
            _ => Style::Locked,
        };
        let mut objects = objects(random, node_count);
        let locks = locks(random, node_count, style, &mut objects);
        let program = program::Shape::new(random, style, &objects, &locks);
        let threads = program.threads(random, node_count);
        let delay_low_ns = random.between(500, 30_000);
        // Without holds a word that all want is stolen again and again before its thread has tried it.
        let has_words = locks.iter().any(|lock| *lock != LockKind::Service);
        let accidents = accidents(random, node_count, &objects, locks.len(), with_loss);
        Self {
            node_count,
            style,
            hold_ns: (has_words || random.chance(60)).then(|| random.between(50_000, 200_000)),
            delay_ns: (delay_low_ns, delay_low_ns + random.between(0, 100_000)),
            slow_percent: random.between(0, 5),
            service_ns: (200, random.between(300, 20_000)),
            think_ns: (0, random.between(100, 100_000)),
            duplicate_percent: random.between(0, 20),
            accidents,
            threads,
            objects,
            locks,
        }
    }

    /// Whether the drivers put off the effects of messages: in half of the runs.
    pub fn gathers(&self) -> bool {
        self.node_count.is_multiple_of(2)
    }

    /// Whether the object's life ends in this run.
    pub fn has_reclaim(&self, object: ObjectId) -> bool {
        let is_end = |(_, accident): &(u64, Accident)| matches!(accident, Accident::Reclaim(ended) if *ended == object);
        self.accidents.iter().any(is_end)
    }

    /// What the machine of this node knows. Who goes on without lost nodes does not forward.
    pub fn config(&self, rank: u16) -> Config<Homes> {
        let may_lose = |(_, accident): &(u64, Accident)| matches!(accident, Accident::Loss(_));
        Config {
            node: NodeId(rank),
            homes: HOMES,
            node_count: self.node_count,
            minimum_hold: self.hold_ns.is_some(),
            forwards: !self.accidents.iter().any(may_lose),
        }
    }

    /// Whether nothing but the end of a hold may lower what was granted with it.
    pub fn keeps_holds(&self) -> bool {
        self.accidents.iter().all(|(_, accident)| match accident {
            // After an object's life, holds left over from it may end those of the next one early; to
            // evict is the node's own wish.
            Accident::Reclaim(_) | Accident::Evict(..) | Accident::Strengthen(..) => false,
            Accident::Prefetch(..) | Accident::Switch(..) | Accident::Loss(_) => true,
        })
    }

    /// Whether the history of this object must be that of one memory.
    pub fn is_judged(&self, object: ObjectId) -> bool {
        let is_free_of_races = self.style != Style::Racy && !self.has_reclaim(object);
        !is_weak(self.fixed(object)) || is_free_of_races
    }

    /// What every node knows of an object.
    pub fn fixed(&self, object: ObjectId) -> &Fixed {
        let is_it = |fixed: &&Fixed| fixed.object == object;
        self.objects
            .iter()
            .find(is_it)
            .expect("the plan lists its objects")
    }
}

/// Whether the source says that the object is weak.
pub fn is_weak(fixed: &Fixed) -> bool {
    fixed.policy.consistency == Consistency::Weak
}

fn objects(random: &mut Random, node_count: u16) -> Vec<Fixed> {
    let weak_percent = [0, 50, 100][random.index(3)];
    let auto_percent = [0, 0, 50, 100][random.index(4)];
    let tracks_percent = [0, 0, 0, 50][random.index(4)];
    let mut names: Vec<ObjectId> = Vec::new();
    for _ in 0..random.between(1, 6) {
        let home = u16::try_from(random.index(usize::from(node_count).min(3))).expect("a rank");
        names.push(object_of(home, random.between(0, LOCKS_FROM - 1)));
    }
    names.sort_unstable();
    names.dedup();
    let make = |object| {
        let is_weak = random.chance(weak_percent);
        let (consistency, protocols) = if is_weak {
            (Consistency::Weak, WEAK_PROTOCOLS)
        } else {
            (Consistency::Sequential, SEQUENTIAL_PROTOCOLS)
        };
        let protocol = protocols[random.index(protocols.len())];
        Fixed {
            object,
            policy: Policy {
                consistency,
                protocol: (!random.chance(auto_percent)).then_some(protocol),
                operations: random.chance(50),
            },
            exists: random.chance(90),
            tracks_writes: is_weak && random.chance(tracks_percent),
        }
    };
    names.into_iter().map(make).collect()
}

/// The objects of one home from this number on are locks.
const LOCKS_FROM: u64 = (1 << HOMES.objects_per_node_log2) - 3;

/// Adds the locks' own objects to `objects`.
fn locks(
    random: &mut Random,
    node_count: u16,
    style: Style,
    objects: &mut Vec<Fixed>,
) -> Vec<LockKind> {
    if style != Style::Locked {
        return Vec::new();
    }
    let mut locks = Vec::new();
    for number in 0..random.between(1, 3) {
        let home = u16::try_from(random.index(usize::from(node_count))).expect("a rank");
        let object = object_of(home, LOCKS_FROM + number);
        let (lock, protocol) = match random.index(3) {
            0 => (LockKind::Service, None),
            1 => (
                LockKind::Spin(object),
                [None, Some(Protocol::Invalidate), Some(Protocol::Migratory)][random.index(3)],
            ),
            _ => (
                LockKind::Operated(object),
                [None, Some(Protocol::Remote)][random.index(2)],
            ),
        };
        locks.push(lock);
        if lock != LockKind::Service {
            objects.push(Fixed {
                object,
                policy: Policy {
                    consistency: Consistency::Sequential,
                    protocol,
                    operations: matches!(lock, LockKind::Operated(_)),
                },
                exists: true,
                tracks_writes: false,
            });
        }
    }
    locks
}

fn accidents(
    random: &mut Random,
    node_count: u16,
    objects: &[Fixed],
    lock_count: usize,
    with_loss: bool,
) -> Vec<(u64, Accident)> {
    let mut accidents = Vec::new();
    let (low, high) = ACCIDENTS_NS;
    let is_lock = |fixed: &Fixed| fixed.object.0 % (1 << HOMES.objects_per_node_log2) >= LOCKS_FROM;
    let ending: Vec<ObjectId> = objects
        .iter()
        .filter(|fixed| lock_count == 0 || !is_lock(fixed))
        .map(|fixed| fixed.object)
        .collect();
    let mut add = |random: &mut Random, percent, most, make: &dyn Fn(&mut Random) -> Accident| {
        if random.chance(percent) {
            for _ in 0..random.between(1, most) {
                accidents.push((random.between(low, high), make(random)));
            }
        }
    };
    let node = |random: &mut Random| random.index(usize::from(node_count));
    let object = |random: &mut Random| objects[random.index(objects.len())].object;
    add(random, 30, 12, &|random| {
        Accident::Reclaim(ending[random.index(ending.len())])
    });
    add(random, 40, 100, &|random| {
        Accident::Evict(node(random), object(random))
    });
    add(random, 30, 40, &|random| {
        let access = [Access::Read, Access::Write][random.index(2)];
        Accident::Prefetch(node(random), object(random), access)
    });
    add(random, 30, 20, &|random| {
        let fixed = &objects[random.index(objects.len())];
        let protocols = if is_weak(fixed) {
            WEAK_PROTOCOLS
        } else {
            SEQUENTIAL_PROTOCOLS
        };
        Accident::Switch(fixed.object, protocols[random.index(protocols.len())])
    });
    add(random, 15, 3, &|random| {
        Accident::Strengthen(node(random), object(random))
    });
    add(random, if with_loss { 100 } else { 0 }, 1, &|random| {
        Accident::Loss(node(random))
    });
    accidents
}
