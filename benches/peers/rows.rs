//! What is compared, with the goal and the estimate of each row. The programs' heads derive the estimates.

use super::Transport;

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
    /// What ours over that should be; for a [`Measure::Rate`] that over ours.
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
    /// A number of something.
    Count,
}

impl Row {
    /// True if this row is asked for by `word`.
    pub fn is_about(&self, word: &str) -> bool {
        self.what.contains(word)
    }

    /// True if it has a figure of this program.
    pub fn needs(&self, program: &str) -> bool {
        let is_of = |figure: &&str| figure.split_once('.').is_some_and(|(of, _)| of == program);
        let is_peer = matches!(program, "openmpi" | "mpich");
        is_of(&self.ours) || self.beside.iter().any(is_of) || self.others.is_some() && is_peer
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

const RAW_64: &[&str] = &["raw.rtt_64"];

/// The rows, in the order of the table.
pub const ROWS: &[Row] = &[
    Row {
        what: "read miss, 64 B / fault and round trip",
        ours: "faults.read_miss_64",
        beside: &["raw.segv_64"],
        estimates: [13.0 * US, 5.0 * US],
        goal: Some(1.5),
        limits: [Some(13.0 * US), Some(5.0 * US)],
        ..PLAIN
    },
    Row {
        what: "read miss, 4 KiB / fault and round trip",
        ours: "faults.read_miss_4096",
        beside: &["raw.segv_4096"],
        estimates: [13.0 * US, 5.0 * US],
        goal: Some(1.5),
        limits: [Some(13.0 * US), Some(5.0 * US)],
        others: Some("get_4096"),
        ..PLAIN
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
        estimates: [13.0 * US, 5.0 * US],
        goal: Some(1.5),
        limits: [Some(13.0 * US), Some(5.0 * US)],
        ..PLAIN
    },
    Row {
        what: "read miss, weak, 4 KiB / fault and round trip",
        ours: "faults.weak_miss_4096",
        beside: &["raw.segv_4096"],
        estimates: [13.0 * US, 5.0 * US],
        goal: Some(1.5),
        limits: [Some(13.0 * US), Some(5.0 * US)],
        others: Some("get_4096"),
        ..PLAIN
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
        what: "thread creation and join / round trip and local",
        ours: "meet.thread",
        beside: &["raw.rtt_64", "raw.thread"],
        estimates: [30.0 * US, 20.0 * US],
        goal: Some(2.0),
        ..PLAIN
    },
];
