//! Five patterns of sharing, and a program whose phases differ, under each protocol and under `auto`.
//!
//! Messages are counted on 4 nodes and time is taken on 2, which have a processor each. Both are those of a round after
//! the warm-up, in which `auto` finds its protocol: messages as the difference between a long run and a short one. The
//! program with phases is counted as a whole, for to follow it is what it asks.
//!
//! Estimates, messages of a round on 4 nodes (16 items, 3 threads that aren't at home; a barrier is 6 messages,
//! a lock 4 for each of 3 threads):
//!
//! | pattern | best protocol | messages |
//! |---|---|---|
//! | read_mostly | invalidate | 2 barriers and 1/8 of (3 withdrawals + 3 fetches) of 2 messages: 14 |
//! | migratory | migratory | 16 x (12 of the lock + 4 hand-overs of 2 to 4 messages): 350 |
//! | producer_consumer | update | 16 x 3 updates of 2 messages, the flag, a barrier: 120 |
//! | write_shared | update | 16 x (3 flushes + 9 updates) of 2 messages, two barriers: 400 |
//! | counter | remote | 8 x 3 operations of 2 messages: 48 |

use std::fmt::Write;

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

/// Protocols for objects whose source says nothing.
const ALL: [&str; 6] = [
    AUTO,
    "invalidate",
    "migratory",
    "read_only",
    "update",
    "remote",
];

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

/// Measures everything: the table.
pub fn table(workshop: &Workshop, effort: Effort) -> Result<String> {
    let program = workshop.umbel_cc("patterns/patterns.c", &["-O2"])?;
    // Rounds of one run, and runs of each kind.
    let rounds = WARM_UP + 2 * effort.samples;
    let runs = 1 + effort.rounds / 6;
    let mut text = format!("{HEAD}\n{}\n", "-".repeat(HEAD.len()));
    for (pattern, protocols) in PATTERNS {
        let mut figures: Vec<Figure> = Vec::new();
        let mut samples = vec![(Vec::new(), Vec::new()); protocols.len()];
        for _ in 0..runs {
            // All protocols in turn, for the machine is not always equally busy.
            for (protocol, (messages, ns)) in protocols.iter().zip(&mut samples) {
                let figure = measure(workshop, &program, pattern, protocol, rounds);
                let figure = figure.with_context(|| format!("{pattern} under {protocol}"))?;
                messages.push(figure.messages);
                ns.push(figure.ns);
            }
        }
        for (protocol, (messages, ns)) in protocols.iter().zip(samples) {
            figures.push(Figure {
                protocol,
                messages: median(messages),
                ns: median(ns),
            });
        }
        render(pattern, &figures, &mut text);
    }
    Ok(text)
}

/// One round of a pattern under a protocol.
fn measure(
    workshop: &Workshop,
    program: &std::path::Path,
    pattern: &str,
    protocol: &'static str,
    rounds: usize,
) -> Result<Figure> {
    let run = |nodes, rounds: usize, warm_up: usize| {
        let arguments = [pattern, &rounds.to_string(), &warm_up.to_string()];
        let environment = [("UMBEL_PROTOCOL", protocol)];
        workshop.run_counting(program, nodes, &arguments, &environment)
    };
    let (_, long) = run(MESSAGE_NODES, rounds, WARM_UP)?;
    let messages = if pattern == PHASES {
        long as f64 / rounds as f64
    } else {
        let (_, short) = run(MESSAGE_NODES, WARM_UP, WARM_UP / 2)?;
        long.saturating_sub(short) as f64 / (rounds - WARM_UP) as f64
    };
    let (results, _) = run(TIME_NODES, rounds, WARM_UP)?;
    let round = results.get("round").context("the program timed no round")?;
    Ok(Figure {
        protocol,
        messages,
        ns: round.median,
    })
}

/// A line for each protocol, `auto`'s with the comparison.
fn render(pattern: &str, figures: &[Figure], text: &mut String) {
    let fixed = || figures.iter().filter(|figure| figure.protocol != AUTO);
    let best = |value: fn(&Figure) -> f64| fixed().map(value).fold(f64::INFINITY, f64::min);
    let worst = |value: fn(&Figure) -> f64| fixed().map(value).fold(0.0, f64::max);
    let messages = |figure: &Figure| figure.messages;
    let ns = |figure: &Figure| figure.ns;
    for figure in figures {
        let _ = write!(
            text,
            "{pattern:<18} {:<11} {:>9.1} {:>9}",
            figure.protocol,
            figure.messages,
            duration(figure.ns)
        );
        if figure.protocol == AUTO {
            let ratios = [figure.messages / best(messages), figure.ns / best(ns)];
            let met = match ratios.iter().all(|ratio| *ratio <= GOAL) {
                true => "yes",
                false => "NO",
            };
            let _ = write!(
                text,
                " {:>12.2} {:>7.2} {met:>4} {:>13.2} {:>7.2}",
                ratios[0],
                ratios[1],
                worst(messages) / figure.messages,
                worst(ns) / figure.ns
            );
        }
        let _ = writeln!(text);
    }
}

const MESSAGE_NODES: usize = 4;
const TIME_NODES: usize = 2;

const HEAD: &str = "pattern            protocol     messages      time  auto / best:   time  met worst / auto:   time";

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
        assert_eq!(first[5..], ["1.10", "2.00", "NO", "2.00", "2.00"]);
    }
}
