//! Five patterns of sharing, and a program whose phases differ, under each protocol and under `auto`.
//!
//! Messages are counted on 4 nodes and time is taken on 2, which have a processor each. Both are those of a round after
//! the warm-up, in which `auto` finds its protocol: messages as the difference between a long run and a short one. The
//! program with phases is counted as a whole, for to follow it is what it asks.
//!
//! Last measured (quiet machine, 2 cores of an AMD EPYC in a VM, 2026-11-22), `auto` over the best fixed protocol, messages and
//! time: read_mostly 1.17 and 1.06, migratory 0.66 and 0.93, producer_consumer 0.96 and 0.93, write_shared 0.98 and 0.98,
//! counter 1.24 and 0.77, phases 0.87 and 0.98. The worst fixed protocol over `auto`, time: 5.9, 1.6, 3.8, 4.4, 1.5, 2.3.
//! The counter ends in `remote`, whose operations are 2 messages each; `migratory` sends fewer where a node adds several times
//! before it loses the counter, and takes longer.
//!
//! Estimates, messages of a round on 4 nodes (16 items, 3 threads that aren't at home; a barrier is 6 messages,
//! a lock 4 for each of 3 threads):
//!
//! | pattern | best protocol | messages |
//! |---|---|---|
//! | read_mostly | invalidate | 2 barriers and 1/8 of (3 withdrawals + 3 fetches) of 2 messages: 14 |
//! | migratory | migratory | 16 x (9 of the lock + 4 hand-overs of 2 to 4 messages), a barrier: 350 |
//! | producer_consumer | update | 16 x 3 updates of 2 messages, the flag, a barrier: 120 |
//! | write_shared | update | 16 x (3 flushes + 9 updates) of 2 messages, two barriers: 400 |
//! | counter | remote | 8 x 3 operations of 2 messages: 48 |

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::Effort;
use crate::programs::{Workshop, median};
use crate::table::duration;

/// What is measured: of the counter, whose object is sequential, without `update`.
const PATTERNS: [(&str, &[&str]); 6] = [
    ("read_mostly", &ALL),
    ("migratory", &ALL),
    ("producer_consumer", &ALL),
    ("write_shared", &ALL),
    (
        "counter",
        &[AUTO, "invalidate", "migratory", "read_only", "remote"],
    ),
    ("phases", &ALL),
];

/// Protocols for plain objects; `remote` needs operations that are compiled as calls.
const ALL: [&str; 5] = [AUTO, "invalidate", "migratory", "read_only", "update"];

const AUTO: &str = "auto";

/// The program with phases.
const PHASES: &str = "phases";

/// Rounds until `auto` has found its protocol, and is measured.
const WARM_UP: usize = 40;

/// What `auto` may cost more than the best fixed protocol.
const GOAL: f64 = 1.15;

/// One pattern under one protocol: of a round.
struct Figure {
    protocol: &'static str,
    messages: f64,
    ns: f64,
}

/// One run of each kind: messages of many rounds and of few, and the time of a round.
#[derive(Clone, Default)]
struct Samples {
    many: Vec<f64>,
    few: Vec<f64>,
    ns: Vec<f64>,
}

/// Measures everything: the table.
pub fn table(workshop: &Workshop, effort: Effort) -> Result<String> {
    let program = workshop.umbel_cc("patterns/patterns.c", &["-O2"])?;
    let rounds = WARM_UP + 2 * effort.samples;
    let runs = 1 + effort.rounds / 6;
    let mut text = format!("{HEAD}\n{}\n", "-".repeat(HEAD.len()));
    for (pattern, protocols) in PATTERNS {
        let mut samples = vec![Samples::default(); protocols.len()];
        for _ in 0..runs {
            // All protocols in turn, for the machine is not always equally busy.
            for (protocol, samples) in protocols.iter().zip(&mut samples) {
                measure(workshop, &program, pattern, protocol, rounds, samples)
                    .with_context(|| format!("{pattern} under {protocol}"))?;
            }
        }
        let figure = |(protocol, samples): (&&'static str, Samples)| Figure {
            protocol,
            messages: match pattern {
                PHASES => median(samples.many) / rounds as f64,
                _ => (median(samples.many) - median(samples.few)) / (rounds - WARM_UP) as f64,
            },
            ns: median(samples.ns),
        };
        let figures: Vec<Figure> = protocols.iter().zip(samples).map(figure).collect();
        render(pattern, &figures, &mut text);
    }
    Ok(text)
}

/// One run of each kind.
fn measure(
    workshop: &Workshop,
    program: &Path,
    pattern: &str,
    protocol: &str,
    rounds: usize,
    samples: &mut Samples,
) -> Result<()> {
    let run = |nodes, rounds: usize, warm_up: usize| {
        let arguments = [pattern, &rounds.to_string(), &warm_up.to_string()];
        let environment = [("UMBEL_PROTOCOL", protocol)];
        workshop.run_counting(program, nodes, &arguments, &environment)
    };
    let (_, many) = run(MESSAGE_NODES, rounds, WARM_UP)?;
    let (_, few) = run(MESSAGE_NODES, WARM_UP, WARM_UP / 2)?;
    let (results, _) = run(TIME_NODES, rounds, WARM_UP)?;
    let round = results.get("round").context("the program timed no round")?;
    samples.many.push(many.messages);
    samples.few.push(few.messages);
    samples.ns.push(round.median);
    Ok(())
}

/// A line for each protocol, `auto`'s with the comparison. The best protocol is the one with the least product of
/// messages and time, the worst the one with the largest.
fn render(pattern: &str, figures: &[Figure], text: &mut String) {
    let cost = |figure: &&Figure| figure.messages * figure.ns;
    let by_cost = |one: &&Figure, other: &&Figure| cost(one).total_cmp(&cost(other));
    let fixed = || figures.iter().filter(|figure| figure.protocol != AUTO);
    let (best, worst) = (fixed().min_by(by_cost), fixed().max_by(by_cost));
    for figure in figures {
        let _ = write!(
            text,
            "{pattern:<18} {:<11} {:>9.1} {:>9}",
            figure.protocol,
            figure.messages,
            duration(figure.ns)
        );
        if let (AUTO, Some(best), Some(worst)) = (figure.protocol, best, worst) {
            let [messages, time] = [figure.messages / best.messages, figure.ns / best.ns];
            let met = match messages <= GOAL && time <= GOAL {
                true => "yes",
                false => "NO",
            };
            let _ = write!(
                text,
                "  {:<11} {messages:>8.2} {time:>5.2} {met:>4}  {:<11} {:>8.2} {:>5.2}",
                best.protocol,
                worst.protocol,
                worst.messages / figure.messages,
                worst.ns / figure.ns
            );
        }
        let _ = writeln!(text);
    }
}

const MESSAGE_NODES: usize = 4;
const TIME_NODES: usize = 2;

const HEAD: &str = "pattern            protocol     messages      time  best: auto/best messages  time  met  worst: worst/auto messages  time";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_compared_with_the_best_and_the_worst_fixed_protocol() {
        let figure = |protocol, messages, ns| Figure {
            protocol,
            messages,
            ns,
        };
        let figures = [
            figure(AUTO, 11.0, 2e3),
            figure("update", 10.0, 4e3),
            figure("remote", 22.0, 1e3),
        ];
        let mut text = String::new();
        render("x", &figures, &mut text);
        let first: Vec<&str> = text
            .lines()
            .next()
            .unwrap_or("")
            .split_whitespace()
            .collect();
        assert_eq!(
            first[5..],
            ["remote", "0.50", "2.00", "NO", "update", "0.91", "2.00"]
        );
    }
}
