//! Exhaustive exploration of small clusters that run the shipping machine.
//!
//! A state is everything: machines, outboxes, memory, rights, waiting threads, holds, and the messages
//! on every link. From each state every possible step is taken: a thread faults or stores, a link
//! delivers its oldest message, a hold ends, the home leaves a scope, a node is lost or another learns
//! of it, a driver carries out an effect.
//! Threads may store between any two effects of their own node, so the order revoke, copy, answer is
//! checked too.

pub mod checks;
pub mod explore;
pub mod node;
pub mod world;

pub use explore::{Counterexample, Explored, explore};
pub use node::{HOMES, Node, home_of, object_of};
pub use world::{Broken, Scenario};
