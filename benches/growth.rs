//! How a read miss grows: with the nodes of the job, and with the entries of the home's directory.
//!
//! Last measured (`cargo xtask bench`, 2 cores of an AMD EPYC in a VM under load, 2026-11-21): 47.7, 48.6, 47.0 us with 2, 4, 8 nodes,
//! 2 messages each. Objects: benches/machine.rs.

use anyhow::{Context, Result};
use umbel_coherence::{Config, Effect, Homes, Machine};
use umbel_wire::{Access, Coherence, NodeId, ObjectId};

use crate::Effort;
use crate::programs::{On, Workshop, median};
use crate::table::{Goal, Row};

/// The other nodes sleep: as with 2 nodes (52 us), whatever their number.
const READ_MISS_NS: f64 = 52e3;

/// Measures; one row per number of nodes.
pub fn rows(workshop: &Workshop, effort: Effort) -> Result<Vec<Row>> {
    let program = workshop.umbel_cc("dist/objects.c", &["-O2"])?;
    let mut runs = NODES.map(|_| Vec::new());
    for _ in 0..effort.rounds {
        for (count, figures) in NODES.into_iter().zip(&mut runs) {
            let results = workshop.run(&program, On::Nodes(count), &[effort.operations])?;
            figures.push(
                results
                    .get("read_miss_64")
                    .context("objects.c has not measured read_miss_64")?
                    .median,
            );
        }
    }
    let two_nodes = median(runs[0].clone());
    let row = |(count, figures): (usize, Vec<f64>)| {
        let measured_ns = median(figures);
        Row {
            what: format!(
                "read miss, 64 B, {count} nodes, {} messages",
                messages_of_a_read_miss(count as u16)
            ),
            estimate_ns: READ_MISS_NS,
            measured_ns,
            beside: Some(("the same with 2 nodes".into(), two_nodes)),
            ratio: Some(measured_ns / two_nodes),
            goal: Goal::None,
        }
    };
    Ok(NODES.into_iter().zip(runs).map(row).collect())
}

/// What the machines of a job send for the last node's first read of an object at node 0.
fn messages_of_a_read_miss(node_count: u16) -> usize {
    let homes = Homes {
        objects_per_node_log2: 32,
    };
    let machine = |node| {
        Machine::new(Config {
            node: NodeId(node),
            homes,
            node_count,
            minimum_hold: false,
            forwards: false,
        })
    };
    let (mut home, mut reader) = (machine(0), machine(node_count - 1));
    let mut effects: Vec<Effect<()>> = Vec::new();
    reader.on_fault(ObjectId(0), Access::Read, &mut (), &mut effects);
    let get = Coherence::Get {
        object: ObjectId(0),
        access: Access::Read,
        prefetch: false,
    };
    home.on_message(NodeId(node_count - 1), get, &mut (), &mut effects)
        .expect("the home takes a request");
    effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Send { .. }))
        .count()
}

const NODES: [usize; 3] = [2, 4, 8];
