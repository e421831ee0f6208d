//! Loops over sharable objects, compiled by `umbel cc` and by plain gcc from one source, in turns.
//!
//! The least sample of all rounds counts: both sides run the same few instructions, and everything else
//! that happens on the machine only adds. Loops of one cycle per step also depend on where code and data
//! happen to lie (ASLR), by 30 %: many short runs find the good case of both.
//!
//! Last measured (`cargo xtask bench`, 2 cores of an AMD EPYC in a VM under load, 2026-11-21): every loop within 1 % of plain gcc, but for
//! the array store (0.95 to 1.05 from run to run, though its machine code is the same); chase 1.50 with 2 nodes,
//! 1.00 alone; call 2.14 ns, plain 1.18 ns.

use anyhow::Result;

use crate::Effort;
use crate::programs::{On, Results, Workshop, least};
use crate::table::{Goal, Row};

/// A loop of local/loops.c.
struct Loop {
    name: &'static str,
    title: &'static str,
    estimate_ns: f64,
    goal: Goal,
}

/// Per element, at 3.9 GHz (0.26 ns a cycle), SSE2: 16 bytes in a vector. Plain gcc and `umbel cc` alike,
/// unless said otherwise.
const LOOPS: [Loop; 9] = [
    // One vector of 4 stored per cycle: 0.26 / 4.
    Loop {
        name: "array_store",
        title: "array store",
        estimate_ns: 0.065,
        goal: NEAR,
    },
    // One dependent paddd of 4 per cycle, sum in a register until the end: 0.26 / 4.
    Loop {
        name: "reduction",
        title: "reduction, shared sum",
        estimate_ns: 0.065,
        goal: NEAR,
    },
    // 3 loads, 2 adds, 1 multiplication, 1 store per vector of 2: 1.5 cycles / 2.
    Loop {
        name: "stencil",
        title: "stencil",
        estimate_ns: 0.2,
        goal: NEAR,
    },
    // 5 shuffles and adds per vector of 16: 4 cycles / 16.
    Loop {
        name: "char_array",
        title: "char array",
        estimate_ns: 0.07,
        goal: NEAR,
    },
    // The generator's multiplication and addition: 4 cycles, one after the other.
    Loop {
        name: "random_increments",
        title: "random increments",
        estimate_ns: 1.0,
        goal: NEAR,
    },
    // One load with stride, one multiply-add: 1 cycle.
    Loop {
        name: "matrix_product",
        title: "matrix product",
        estimate_ns: 0.25,
        goal: NEAR,
    },
    // A load from the first or second cache: 4 to 14 cycles.
    Loop {
        name: "chase_in_array",
        title: "pointer chase in an array",
        estimate_ns: 2.0,
        goal: NEAR,
    },
    // The same, and a page of its own for each of 1000 objects: 7 cycles more for the second-level TLB.
    Loop {
        name: "pointer_chase",
        title: "pointer chase, 1000 objects",
        estimate_ns: 4.5,
        goal: Goal::Ratio(1.3),
    },
    // 5 cycles for call, frame and return, and 4 for the mark, the bump and the test at the end.
    Loop {
        name: "call",
        title: "call of a function, 1 object",
        estimate_ns: 2.2,
        goal: Goal::MoreNs(2.0),
    },
];

/// The goal for all loops whose code should be the same.
const NEAR: Goal = Goal::Ratio(1.02);

/// Equal on both sides: loops that differ only in what they straddle would measure the linker.
pub const PLACEMENT: [&str; 2] = ["-falign-functions=64", "-falign-loops=64"];

/// Measures; one row per loop, level and mode.
pub fn rows(workshop: &Workshop, effort: Effort) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for level in ["-O2", "-O3"] {
        let flags = [level, PLACEMENT[0], PLACEMENT[1]];
        let plain = workshop.gcc("local/loops.c", &flags)?;
        let ours = workshop.umbel_cc("local/loops.c", &flags)?;
        let (mut beside, mut nodes, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..effort.rounds {
            beside.push(workshop.run(&plain, On::Alone, &[effort.samples])?);
            nodes.push(workshop.run(&ours, On::NodesFree(2), &[effort.samples])?);
            alone.push(workshop.run(&ours, On::Alone, &[effort.samples])?);
        }
        for (mode, runs) in [("2 nodes", &nodes), ("alone", &alone)] {
            for kind in &LOOPS {
                let measured_ns = least_of(runs, kind.name);
                let plain_ns = least_of(&beside, kind.name);
                rows.push(Row {
                    what: format!("{}, {level}, {mode}", kind.title),
                    estimate_ns: kind.estimate_ns,
                    measured_ns,
                    beside: Some((format!("plain gcc {level}"), plain_ns)),
                    ratio: Some(measured_ns / plain_ns),
                    goal: kind.goal,
                });
            }
        }
    }
    Ok(rows)
}

fn least_of(runs: &[Results], name: &str) -> f64 {
    let figures: Vec<f64> = runs
        .iter()
        .filter_map(|run| run.get(name))
        .map(|sample| sample.min)
        .collect();
    least(&figures)
}
