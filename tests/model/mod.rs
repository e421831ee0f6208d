//! Exhaustive exploration of small clusters that run the shipping machine.
//!
//! A state is everything: machines, outboxes, memory, twins, rights, waiting threads, holds, and the
//! messages on every link. From each state every possible step is taken: a thread faults, stores or
//! releases, a link delivers its oldest message, a hold ends, a driver evicts or prefetches, the home
//! leaves a scope or switches its protocol, a node is lost or another learns of it, a driver carries out an
//! effect.
//! Threads may store between any two effects of their own node, so the order revoke, copy, answer is
//! checked too.

pub mod checks;
pub mod data;
pub mod explore;
pub mod knowledge;
pub mod node;
pub mod scenario;
pub mod scenarios;
mod steps;
pub mod world;

pub use data::Cells;
pub use explore::{Counterexample, Explored, explore};
pub use node::{HOMES, Node, home_of, object_of};
pub use scenario::{Budget, Declared, Scenario, Writer};
pub use world::Broken;
