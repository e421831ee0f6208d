//! Simulator, model checking and tests on real nodes.

pub mod cluster;
pub mod model;
pub mod sim;
pub mod traced;

/// The machine under test: here the shipping one. `tests/mutations.rs` compiles the same harness
/// against mutants.
pub mod subject {
    pub use umbel_coherence::*;
}
