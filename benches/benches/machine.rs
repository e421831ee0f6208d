//! The coherence machine at an object's home, alone: what an operation costs as its directory grows.
//!
//! The directory is a balanced tree; objects are visited in an order that caches can't guess. Estimate:
//! local fault (an access at home that the home's rights allow): one search. 10 entries 15 ns (1 tree node),
//!   10^3 25 ns (3 nodes, first cache), 10^5 70 ns (5 nodes, second and third cache), 10^6 250 ns (6 nodes, 2
//!   or 3 of them in memory).
//! remote get (a read request, the grant written to the outbox): the same search and 20 ns.
//! invalidate k (the home wants to write what k nodes read: k messages out, k answers in): a search for each
//!   answer and for the request, 40 ns each: (k + 1) * 40 ns, hot after the first.
//! Last measured (`cargo xtask bench`, 2 cores of an AMD EPYC in a VM under load, 2026-11-21): local fault 16, 26, 474, 1060 ns and
//!   remote get 157, 829, 1260, 2730 ns with 10 to 10^6 entries; invalidate 1: 154, 831, 1730, 3210 ns; 10, 100,
//!   1000 readers: 1.6, 5.7, 69 us. A request's place in the queue is allocated for it: not in the estimate.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use umbel_coherence::{Config, Effect, Homes, Machine};
use umbel_wire::{Access, Coherence, NodeId, ObjectId};

type Outbox = Vec<Effect<()>>;

/// The home, with a directory of so many objects that node 1 reads.
struct Home {
    machine: Machine<Homes>,
    out: Outbox,
    entries: u64,
    next: u64,
}

impl Home {
    fn with_entries(entries: u64) -> Self {
        let homes = Homes {
            objects_per_node_log2: 32,
        };
        let config = Config {
            node: NodeId(0),
            homes,
            node_count: NODE_COUNT,
            minimum_hold: false,
            forwards: false,
        };
        let mut home = Self {
            machine: Machine::new(config),
            out: Vec::new(),
            entries,
            next: 0,
        };
        for object in 0..entries {
            home.get(1, ObjectId(object));
        }
        home
    }

    /// Visits all objects, far apart one after the other.
    fn next_object(&mut self) -> ObjectId {
        self.next = (self.next + STEP) % self.entries;
        ObjectId(self.next)
    }

    fn get(&mut self, from: u16, object: ObjectId) {
        let get = Coherence::Get {
            object,
            access: Access::Read,
            prefetch: false,
        };
        self.machine
            .on_message(NodeId(from), get, &mut (), &mut self.out)
            .expect("a request is in order");
        self.out.clear();
    }

    fn fault(&mut self, object: ObjectId, access: Access) {
        self.machine
            .on_fault(object, access, &mut (), &mut self.out);
        self.out.clear();
    }

    /// Takes the object back from nodes 1 to `readers`.
    fn invalidate(&mut self, object: ObjectId, readers: u16) {
        self.fault(object, Access::Write);
        for from in 1..=readers {
            let answer = Coherence::Invalidated { object, diff: None };
            self.machine
                .on_message(NodeId(from), answer, &mut (), &mut self.out)
                .expect("it was asked for");
            self.out.clear();
        }
    }
}

fn local_fault(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("local_fault");
    for entries in ENTRIES {
        let mut home = Home::with_entries(entries);
        group.bench_function(BenchmarkId::from_parameter(entries), |bencher| {
            bencher.iter(|| {
                let object = home.next_object();
                home.fault(object, Access::Read);
            });
        });
    }
}

fn remote_get(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("remote_get");
    for entries in ENTRIES {
        let mut home = Home::with_entries(entries);
        group.bench_function(BenchmarkId::from_parameter(entries), |bencher| {
            bencher.iter_custom(|count| {
                timed(count, PER_PASS.min(entries), |pass| {
                    let objects: Vec<ObjectId> = (0..pass).map(|_| home.next_object()).collect();
                    let start = Instant::now();
                    for object in &objects {
                        home.get(2, *object);
                    }
                    let elapsed = start.elapsed();
                    for object in objects {
                        home.invalidate(object, 2);
                        home.get(1, object);
                    }
                    elapsed
                })
            });
        });
    }
}

fn invalidate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("invalidate");
    let few = ENTRIES.map(|entries| (1, entries));
    let many = [(10, 1000), (100, 1000), (1000, 1000), (1000, 100_000)];
    for (readers, entries) in few.into_iter().chain(many) {
        let mut home = Home::with_entries(entries);
        group.bench_function(format!("{readers}_of_{entries}"), |bencher| {
            bencher.iter_custom(|count| {
                timed(
                    count,
                    (PER_PASS / u64::from(readers)).clamp(1, entries),
                    |pass| {
                        let objects: Vec<ObjectId> =
                            (0..pass).map(|_| home.next_object()).collect();
                        for object in &objects {
                            for reader in 2..=readers {
                                home.get(reader, *object);
                            }
                        }
                        let start = Instant::now();
                        for object in &objects {
                            home.invalidate(*object, readers);
                        }
                        let elapsed = start.elapsed();
                        for object in objects {
                            home.get(1, object);
                        }
                        elapsed
                    },
                )
            });
        });
    }
}

/// `count` operations in passes of at most `per_pass`, of which only a part is timed.
fn timed(count: u64, per_pass: u64, mut pass: impl FnMut(u64) -> Duration) -> Duration {
    let mut left = count;
    let mut elapsed = Duration::ZERO;
    while left > 0 {
        let now = left.min(per_pass);
        elapsed += pass(now);
        left -= now;
    }
    elapsed
}

const ENTRIES: [u64; 4] = [10, 1_000, 100_000, 1_000_000];

/// Readers may be as many as this, less the home.
const NODE_COUNT: u16 = 1024;

/// A prime, far from any power of two: consecutive visits share no tree node of a large directory.
const STEP: u64 = 611_953;

/// Operations timed at a stretch: few enough to be undone, many enough to hide the clock.
const PER_PASS: u64 = 1000;

fn quickly() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .sample_size(30)
}

criterion_group! {
    name = benches;
    config = quickly();
    targets = local_fault, remote_get, invalidate
}
criterion_main!(benches);
