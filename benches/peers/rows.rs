//! What is compared, with the goal and the estimate of each row. The programs' heads derive the estimates.

use super::Transport;
use super::libraries::NAMES;

/// One row of the table.
pub struct Row {
    /// What is measured, and beside what.
    pub what: &'static str,
    /// What we take: "program.figure".
    pub ours: &'static str,
    /// What it is compared with: the sum of these.
    pub beside: &'static [&'static str],
    /// What is expected, over TCP and in shared memory.
    pub estimates: [f64; 2],
    /// What its figures are.
    pub measure: Measure,
    /// What ours over that should be, at most, or at least where more is better; of a [`Measure::Rate`] the rates.
    pub goal: Option<f64>,
    /// What ours should be at most, over TCP and in shared memory.
    pub limits: [Option<f64>; 2],
    /// The same with the other libraries: the figure's name there.
    pub others: Option<&'static str>,
}

/// What a figure is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Nanoseconds; less is better.
    Time,
    /// Nanoseconds for a unit, compared as rates: more is better.
    Rate,
    /// A number of something; less is better.
    Count,
    /// How many times as fast; more is better.
    Times,
}

impl Row {
    /// True if this row is asked for by `word`.
    pub fn is_about(&self, word: &str) -> bool {
        self.what.contains(word)
    }

    /// True if it has a figure of this program.
    pub fn needs(&self, program: &str) -> bool {
        let is_of = |figure: &&str| {
            let of = figure.split_once('.').map(|(of, _)| of);
            of == Some(program) || of == Some("mpi") && NAMES.contains(&program)
        };
        is_of(&self.ours)
            || self.beside.iter().any(is_of)
            || self.others.is_some() && NAMES.contains(&program)
    }

    /// The one of the two that holds for a transport; shared memory's for none of both.
    pub fn by_transport<T: Copy>(of_both: [T; 2], transport: Transport) -> T {
        match transport {
            Transport::Tcp => of_both[0],
            Transport::Shm | Transport::Unix => of_both[1],
        }
    }
}

const US: f64 = 1e3;

const PLAIN: Row = Row {
    what: "",
    ours: "",
    beside: &[],
    estimates: [0.0; 2],
    measure: Measure::Time,
    goal: None,
    limits: [None; 2],
    others: None,
};

/// A read miss beside the floor.
const MISS: Row = Row {
    estimates: [13.0 * US, 5.0 * US],
    goal: Some(1.5),
    limits: [Some(13.0 * US), Some(5.0 * US)],
    ..PLAIN
};

const RAW_64: &[&str] = &["raw.rtt_64"];

/// The rows, in the order of the table.
pub const ROWS: &[Row] = &[
    Row {
        what: "local access in a loop / plain gcc -O2",
        ours: "loops.stencil",
        beside: &["plain.stencil"],
        estimates: [0.2; 2],
        goal: Some(1.02),
        ..PLAIN
    },
    Row {
        what: "pointer chase, 1000 objects / plain gcc -O2",
        ours: "loops.pointer_chase",
        beside: &["plain.pointer_chase"],
        estimates: [4.5; 2],
        goal: Some(1.3),
        ..PLAIN
    },
    Row {
        what: "read miss, 64 B / fault and round trip",
        ours: "faults.read_miss_64",
        beside: &["raw.segv_64"],
        ..MISS
    },
    Row {
        what: "read miss, 4 KiB / fault and round trip",
        ours: "faults.read_miss_4096",
        beside: &["raw.segv_4096"],
        others: Some("get_4096"),
        ..MISS
    },
    Row {
        what: "read miss, 4 KiB / userfaultfd and round trip",
        ours: "faults.read_miss_4096",
        beside: &["raw.uffd_4096"],
        estimates: [13.0 * US, 5.0 * US],
        ..PLAIN
    },
    Row {
        what: "read miss, weak, 64 B / fault and round trip",
        ours: "faults.weak_miss_64",
        beside: &["raw.segv_64"],
        ..MISS
    },
    Row {
        what: "read miss, weak, 4 KiB / fault and round trip",
        ours: "faults.weak_miss_4096",
        beside: &["raw.segv_4096"],
        others: Some("get_4096"),
        ..MISS
    },
    Row {
        what: "write upgrade, 64 B / round trip",
        ours: "faults.upgrade_64",
        beside: RAW_64,
        estimates: [13.0 * US, 5.0 * US],
        goal: Some(3.0),
        ..PLAIN
    },
    Row {
        what: "write upgrade, 4 KiB / round trip",
        ours: "faults.upgrade_4096",
        beside: RAW_64,
        estimates: [13.0 * US, 5.0 * US],
        goal: Some(3.0),
        ..PLAIN
    },
    Row {
        what: "ownership move, 64 B / round trip",
        ours: "faults.move_64",
        beside: RAW_64,
        estimates: [13.0 * US, 5.0 * US],
        goal: Some(3.0),
        ..PLAIN
    },
    Row {
        what: "ownership move, 4 KiB / round trip",
        ours: "faults.move_4096",
        beside: &["raw.rtt_4096"],
        estimates: [13.0 * US, 5.0 * US],
        goal: Some(3.0),
        ..PLAIN
    },
    Row {
        what: "mutex hand-over with its object / round trip",
        ours: "locks.hand_over",
        beside: RAW_64,
        estimates: [12.0 * US, 3.0 * US],
        goal: Some(2.0),
        others: Some("window_lock"),
        ..PLAIN
    },
    Row {
        what: "the same, 16384 pages cached / none",
        ours: "cached.hand_over",
        beside: &["locks.hand_over"],
        estimates: [12.0 * US, 3.0 * US],
        goal: Some(1.05),
        ..PLAIN
    },
    Row {
        what: "misses caused by it",
        ours: "cached.caused",
        measure: Measure::Count,
        limits: [Some(0.0); 2],
        ..PLAIN
    },
    Row {
        what: "locked increment, lock and object at hand",
        ours: "locks.increment",
        estimates: [100.0, 100.0],
        limits: [Some(200.0); 2],
        ..PLAIN
    },
    Row {
        what: "locked increment, lock elsewhere / round trip",
        ours: "locks.increment_away",
        beside: RAW_64,
        estimates: [20.0 * US, 5.0 * US],
        ..PLAIN
    },
    Row {
        what: "neighbouring ints / in separate objects",
        ours: "locks.neighbours",
        beside: &["locks.apart"],
        estimates: [20.0 * US, 5.0 * US],
        goal: Some(1.1),
        ..PLAIN
    },
    Row {
        what: "barrier / MPI_Barrier",
        ours: "meet.barrier",
        beside: &["mpi.barrier"],
        estimates: [8.0 * US, 3.0 * US],
        goal: Some(1.5),
        others: Some("barrier"),
        ..PLAIN
    },
    Row {
        what: "barrier, 64 dirty objects / empty",
        ours: "meet.barrier_64",
        beside: &["meet.barrier"],
        estimates: [20.0 * US, 10.0 * US],
        goal: Some(3.0),
        ..PLAIN
    },
    Row {
        what: "sequential read of 16 MiB, a page / MPI's stream",
        ours: "bulk.stream_page",
        beside: &["mpi.stream_page"],
        estimates: [1.2 * US, 0.8 * US],
        measure: Measure::Rate,
        goal: Some(0.5),
        others: Some("stream_page"),
        ..PLAIN
    },
    Row {
        what: "the same, read anew after a change of all of it",
        ours: "bulk.stream_page_warm",
        beside: &["mpi.stream_page"],
        estimates: [1.2 * US, 0.8 * US],
        measure: Measure::Rate,
        goal: Some(0.5),
        ..PLAIN
    },
    Row {
        what: "the first / raw stream",
        ours: "bulk.stream_page",
        beside: &["raw.stream_page"],
        estimates: [1.2 * US, 0.8 * US],
        measure: Measure::Rate,
        ..PLAIN
    },
    Row {
        what: "pipeline, a row: border and flag / MPI",
        ours: "pipeline.edge_flag",
        beside: &["mpi.row"],
        estimates: [4.0 * US, 2.0 * US],
        measure: Measure::Rate,
        goal: Some(0.5),
        others: Some("row"),
        ..PLAIN
    },
    Row {
        what: "pipeline, a row: border and semaphore / MPI",
        ours: "pipeline.edge_semaphore",
        beside: &["mpi.row"],
        estimates: [4.0 * US, 2.0 * US],
        measure: Measure::Rate,
        goal: Some(0.5),
        others: Some("row"),
        ..PLAIN
    },
    Row {
        what: "pipeline, a row: shared grid and flag / MPI",
        ours: "pipeline.grid_flag",
        beside: &["mpi.row"],
        estimates: [8.0 * US, 4.0 * US],
        measure: Measure::Rate,
        goal: Some(0.5),
        others: Some("row"),
        ..PLAIN
    },
    Row {
        what: "pipeline, a row: shared grid and semaphore / MPI",
        ours: "pipeline.grid_semaphore",
        beside: &["mpi.row"],
        estimates: [8.0 * US, 4.0 * US],
        measure: Measure::Rate,
        goal: Some(0.5),
        others: Some("row"),
        ..PLAIN
    },
    Row {
        what: "Jacobi 1024 x 1024, a step on 2 nodes / MPI",
        ours: "jacobi.jacobi_2",
        beside: &["mpi.jacobi_2"],
        estimates: [390.0 * US, 380.0 * US],
        others: Some("jacobi_2"),
        ..PLAIN
    },
    Row {
        what: "its speed-up / MPI's",
        ours: "jacobi.speed_up",
        beside: &["mpi.speed_up"],
        estimates: [1.8; 2],
        measure: Measure::Times,
        goal: Some(0.9),
        others: Some("speed_up"),
        ..PLAIN
    },
    Row {
        what: "mixed program, a round: auto / best protocol",
        ours: "mixed.auto",
        beside: &["mixed.best"],
        estimates: [600.0 * US, 400.0 * US],
        goal: Some(1.15),
        ..PLAIN
    },
    Row {
        what: "mixed program, a round: auto / worst protocol",
        ours: "mixed.auto",
        beside: &["mixed.worst"],
        estimates: [600.0 * US, 400.0 * US],
        measure: Measure::Rate,
        goal: Some(2.0),
        ..PLAIN
    },
    Row {
        what: "1000 small dirty objects, messages",
        ours: "dirty.messages",
        estimates: [2.0; 2],
        measure: Measure::Count,
        limits: [Some(2.0); 2],
        ..PLAIN
    },
    Row {
        what: "1000 small dirty objects, bytes / changed",
        ours: "dirty.bytes",
        beside: &["dirty.payload"],
        estimates: [76e3; 2],
        measure: Measure::Count,
        goal: Some(1.25),
        ..PLAIN
    },
    Row {
        what: "1000 small dirty objects, a round",
        ours: "dirty.round",
        estimates: [500.0 * US, 500.0 * US],
        ..PLAIN
    },
    Row {
        what: "thread creation and join / round trip and local",
        ours: "meet.thread",
        beside: &["raw.rtt_64", "raw.thread"],
        estimates: [30.0 * US, 20.0 * US],
        goal: Some(2.0),
        ..PLAIN
    },
    Row {
        // Both with more nodes than processors.
        what: "start-up and end of 8 nodes / of 4",
        ours: "start.nodes_8",
        beside: &["start.nodes_4"],
        estimates: [0.25e9; 2],
        goal: Some(2.2),
        limits: [Some(0.3e9); 2],
        ..PLAIN
    },
];
