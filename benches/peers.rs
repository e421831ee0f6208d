//! Ours beside what people use today and beside the floor, over one transport, in one run: `cargo xtask bench peers`.
//!
//! Everything that a row compares runs in turns, round by round, in bursts of less than a second on processors of its own
//! at real-time priority (peers/burst.h): whoever else uses the machine hardly shows. A figure is the median over the
//! rounds of each run's median, a ratio the median of the rounds' ratios.
//!
//! Last measured (2 cores of an AMD EPYC in a VM, quiet, 2026-11-22), over TCP: read miss 64 B 15.1 us (1.52 of the floor),
//! 4 KiB 17.2 (1.68); upgrade and move 2.4 to 2.5 round trips, mutex with its object 12.8 us (1.98; MPICH's window lock 23.0),
//! barrier 6.6 us (1.22 of MPICH's), with 64 dirty pages 38.8 us; stream 2.2 us a page, 1.8 anew (MPI 0.38); pipeline's row by
//! flag 2.1 us (MPI 4.6), by semaphore 7.2, of a shared grid 35 to 37; Jacobi's speed-up 1.70 (MPI 1.92); 1000 dirty objects
//! 1.02 bytes for a byte. In shared memory: read miss 6.5 us (64 B) and 8.3 us (4 KiB), barrier 1.4 us. What bounds them: a
//! fault by signal and its answer take 3.5 us here, a page's frame 0.9 to 1.2 us in the kernel, a diff of a page whose every word
//! changed 7 us to apply.
//!
//! [`runs`] starts the programs, [`libraries`] those of others, [`rows`] says what is compared and what is expected, [`table`] prints it.

pub mod libraries;
pub mod rows;
pub mod runs;
pub mod table;

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use clap::ValueEnum;

use crate::Effort;
use crate::programs::{Results, Workshop};
use rows::ROWS;
use runs::Runs;

/// What one round measured, in nanoseconds or whatever the row counts: by "program.figure".
pub type Figures = BTreeMap<String, f64>;

/// What the bytes between two nodes go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// Sockets on the loopback interface.
    Tcp,
    /// Rings in shared memory.
    Shm,
    /// Unix sockets, which MPI doesn't have.
    Unix,
}

impl fmt::Display for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tcp => "tcp",
            Self::Shm => "shm",
            Self::Unix => "unix",
        })
    }
}

/// Measures over one transport: the table. `only`: of the rows that have this in their names.
pub fn table(
    workshop: &Workshop,
    effort: Effort,
    transport: Transport,
    only: &str,
) -> Result<String> {
    let rows: Vec<_> = ROWS.iter().filter(|row| row.is_about(only)).collect();
    let needed = |program: &str| rows.iter().any(|row| row.needs(program));
    let runs = Runs::prepare(workshop, transport, needed)?;
    let mut rounds: Vec<Figures> = Vec::new();
    for _ in 0..effort.peer_rounds {
        rounds.push(runs.round(effort)?);
    }
    let lines = rows.iter().map(|row| table::line(row, transport, &rounds));
    let mut text = format!("over {transport}, {} rounds\n", rounds.len());
    text.push_str(&table::render(lines.collect()));
    for missing in runs.missing() {
        text.push_str(&format!("left out, for it isn't installed: {missing}\n"));
    }
    Ok(text)
}

/// Takes a program's medians among the round's figures.
fn add(figures: &mut Figures, program: &str, results: Results) {
    for (name, sample) in results {
        figures.insert(format!("{program}.{name}"), sample.median);
    }
}
