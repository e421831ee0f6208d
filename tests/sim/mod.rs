//! Seeded simulation: 8 to 12 nodes that run the shipping machine in virtual time.
//!
//! A seed decides everything: cluster, program, delays, and accidents (reclaims, a lost node). Messages
//! of one link arrive in order, those of different links in any. Service threads take time for every
//! effect, and application threads run in between.
//!
//! # How a history is judged
//!
//! An operation takes place at one instant of virtual time, on its node's bytes, if its node's view allows
//! it; [`history::History`] records these instants. The machine is right if all loads could have come
//! from one memory that takes one operation at a time in an order that keeps each thread's own order
//! (sequential consistency, Lamport '79). Finding such an order from the values alone is NP-complete; but
//! the order of instants is a candidate that keeps every thread's order, so replaying it on a map and
//! finding every load explained *proves* the whole history, over all objects, sequentially consistent. The
//! check is stricter than that: it demands linearizability (Herlihy and Wing, TOPLAS '90), which this
//! protocol has, because a store happens only while no other copy can be read. A history it refuses
//! is a fault of the machine even where some other order would explain it.

mod barriers;
mod cluster;
pub mod coverage;
pub mod history;
mod observe;
mod plan;
mod program;
mod random;
mod threads;

pub use cluster::Cluster;
pub use coverage::Coverage;
pub use plan::Plan;
pub use random::Random;

/// Runs one seed. The error says which rule broke.
pub fn run(seed: u64) -> Result<Coverage, String> {
    let mut random = Random::new(seed);
    let plan = Plan::new(&mut random);
    let mut cluster = Cluster::new(plan, random);
    cluster.run()?;
    Ok(cluster.coverage)
}
