//! What the tracer costs, beside its peers and beside nothing: `cargo xtask bench trace`.
//!
//! Each program is built twice from the same source, with and without `-finstrument-functions`, and runs in each
//! configuration once a round, in turn; a figure is the median of the rounds. Processor time is told apart: that of the
//! traced thread from the begin of main ([`hooks/cpu.c`]), and that of all processes that the tracer takes.
//! An event is a call or a return.
//!
//! [`programs`]: what is traced. [`configurations`]: how. [`lttng`]: its daemon. [`measure`]: one run.
//! [`answers`]: start-up, change of a filter, reading. [`values`]: what values cost. [`table`]: the output. [`third_party`]: not how fast, but whether all is
//! right.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use crate::Effort;
use crate::programs::median;

mod answers;
mod configurations;
mod lttng;
mod measure;
mod programs;
mod table;
mod third_party;
mod values;

pub use third_party::run as third_party;

use configurations::{Configuration, Tools};
use measure::Outcome;
use table::{Answer, Line};

/// Measures and renders everything: `sources` has a folder for each program that could be fetched.
pub fn table(
    umbel: &Path,
    sources: &Path,
    output: &Path,
    effort: Effort,
    only: &str,
) -> Result<String> {
    let tools = Tools::make(umbel, output)?;
    let (programs, missing) = programs::build(&tools, sources, effort, only);
    let mut rounds: Vec<BTreeMap<(usize, Configuration), Outcome>> = Vec::new();
    let mut refusals = missing;
    for round in 0..effort.trace_rounds {
        let mut outcomes = BTreeMap::new();
        for (number, program) in programs.iter().enumerate() {
            for configuration in Configuration::ALL {
                match configuration.run(&tools, program) {
                    Ok(outcome) => {
                        outcomes.insert((number, configuration), outcome);
                    }
                    Err(error) if round == 0 => refusals.push(format!(
                        "{}, {}: {error:#}",
                        program.name,
                        configuration.name()
                    )),
                    Err(_) => {}
                }
            }
            eprintln!("round {}: {}", round + 1, program.name);
        }
        rounds.push(outcomes);
    }
    let mut lines = Vec::new();
    for (number, program) in programs.iter().enumerate() {
        let plain = middle(&rounds, number, Configuration::Plain)
            .with_context(|| format!("{} doesn't run", program.name))?;
        for configuration in Configuration::ALL {
            if let Some(outcome) = middle(&rounds, number, configuration) {
                lines.push(Line {
                    program: program.clone(),
                    configuration,
                    plain,
                    outcome,
                });
            }
        }
    }
    let answers: Vec<Answer> = answers::all(&tools, &programs, effort, &mut refusals);
    Ok(table::render(&lines, &answers, &refusals))
}

/// The median of each figure over the rounds.
fn middle(
    rounds: &[BTreeMap<(usize, Configuration), Outcome>],
    program: usize,
    configuration: Configuration,
) -> Option<Outcome> {
    let all: Vec<&Outcome> = rounds
        .iter()
        .filter_map(|round| round.get(&(program, configuration)))
        .collect();
    let of = |figure: fn(&Outcome) -> f64| {
        (!all.is_empty()).then(|| median(all.iter().map(|outcome| figure(outcome)).collect()))
    };
    Some(Outcome {
        thread_ns: of(|outcome| outcome.thread_ns)?,
        wall_ns: of(|outcome| outcome.wall_ns)?,
        all_ns: of(|outcome| outcome.all_ns)?,
        stored_bytes: of(|outcome| outcome.stored_bytes)?,
        // The worst: a loss in one run is a loss.
        lost: all
            .iter()
            .filter_map(|outcome| outcome.lost)
            .max_by(f64::total_cmp),
    })
}
