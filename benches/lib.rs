//! Benches with an estimate before and a comparison beside every figure: `cargo xtask bench`.
//!
//! [`local`]: loops over sharable objects against plain gcc. [`distributed`]: faults, threads and
//! synchronization between nodes against raw ping-pong of the same bytes. [`growth`]: how a read miss
//! grows with nodes and objects. [`patterns`]: ways of sharing under each protocol, and whether `auto` finds the best.
//! [`peers`]: MPI, OpenSHMEM and the floor in one table. [`trace`]: the tracer beside other tracers.
//! `benches/`: the codec and the coherence machine alone, under criterion.

pub mod distributed;
pub mod estimates;
pub mod growth;
pub mod local;
pub mod patterns;
pub mod peers;
pub mod programs;
pub mod raw;
pub mod table;
pub mod trace;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds; each runs everything that is compared once.
    pub rounds: usize,
    /// Samples of a loop in one run of a program.
    pub samples: usize,
    /// Operations of a kind in one run of a distributed program.
    pub operations: usize,
    /// Rounds of a comparison with other systems.
    pub peer_rounds: usize,
    /// Operations of a kind in one run of such a round: in bursts they are steady soon.
    pub peer_operations: usize,
    /// Rounds of a comparison of tracers.
    pub trace_rounds: usize,
}

impl Effort {
    /// Figures to quote: two to three minutes, and one more for criterion.
    pub const FULL: Self = Self {
        rounds: 30,
        samples: 60,
        operations: 400,
        peer_rounds: 7,
        peer_operations: 400,
        trace_rounds: 5,
    };
    /// Shows that everything works: some seconds.
    pub const QUICK: Self = Self {
        rounds: 2,
        samples: 20,
        operations: 40,
        peer_rounds: 1,
        peer_operations: 120,
        trace_rounds: 1,
    };

    /// Whether everything is to be small.
    pub fn is_quick(self) -> bool {
        self.trace_rounds == Self::QUICK.trace_rounds
    }
}
