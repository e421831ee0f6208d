//! `cargo xtask bench`: criterion's benches of the pure crates, then the program that measures the
//! rest and prints everything as one table. `cargo xtask bench patterns`: only the patterns of sharing.
//! `cargo xtask bench peers`: only the comparison with others. `cargo xtask bench backends`: the tables of fault backends.
//! `cargo xtask bench trace`: the tracer beside other tracers.

use std::fs;

use anyhow::Result;
use clap::ValueEnum;

use crate::step::{run as call, step};
use crate::workspace::{cargo, target};
use crate::{backend_table, deps, sources, stage};

/// A part that can be measured by itself.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Ways of sharing under each protocol, and whether `auto` finds the best.
    Patterns,
    /// MPI, OpenSHMEM and the floor beside ours, over TCP and in shared memory. What follows -- goes to the
    /// program: --only WORDS, --peers TRANSPORT.
    Peers,
    /// What operations cost with each fault backend, and which system calls work: writes ARCHITECTURE.md's tables.
    Backends,
    /// The tracer beside other tracers, on programs from Debian's sources. What follows -- goes to the program: --only WORDS.
    Trace,
}

pub fn run(part: Option<Part>, quick: bool, options: &[String]) -> Result<()> {
    deps::for_building()?;
    let prefix = stage::stage()?;
    let output = target()?.join("bench-programs");
    fs::create_dir_all(&output)?;
    if part == Some(Part::Backends) {
        return step("fault backends", || {
            backend_table::run(&prefix, &output, quick)
        });
    }
    let quick: &[&str] = match quick {
        true => &["--quick"],
        false => &[],
    };
    let compare = |options: &[&str]| -> Result<()> {
        let mut compare = cargo(&["run", "--release", "-p", "umbel-benches", "--"])?;
        compare.arg("--prefix").arg(&prefix);
        compare.arg("--output").arg(&output);
        call(compare.args(quick).args(options))
    };
    match part {
        Some(Part::Patterns) => step("patterns of sharing", || compare(&["--patterns"])),
        Some(Part::Peers) => {
            if quick.is_empty() {
                deps::for_peers()?;
            }
            let options = options.iter().map(String::as_str);
            let mut options: Vec<&str> = options.collect();
            if !options.iter().any(|option| option.starts_with("--peers")) {
                options.extend(["--peers", "tcp", "--peers", "shm"]);
            }
            step("ours, the others, the floor", || compare(&options))
        }
        Some(Part::Trace) => {
            deps::for_tracers()?;
            let sources = sources::fetch(&TRACED)?.display().to_string();
            let mut all = vec!["--trace", &sources];
            all.extend(options.iter().map(String::as_str));
            step("the tracer, other tracers, nothing", || compare(&all))
        }
        Some(Part::Backends) | None => {
            step("criterion benches", || {
                // Each bench target, but not the library, whose harness has other options.
                let mut bench = cargo(&["bench", "-p", "umbel-benches", "--bench", "*", "--"])?;
                call(bench.args(quick))
            })?;
            let criterion = target()?.join("criterion").display().to_string();
            step("comparison", || compare(&["--criterion", &criterion]))?;
            if quick.is_empty() {
                return Ok(());
            }
            // Without the other libraries, if they aren't installed: only to see that its programs work.
            step("ours, the floor", || compare(&["--peers", "tcp"]))
        }
    }
}

/// Debian's source packages, and the names of their recipes in benches/trace/recipes.
const TRACED: [(&str, &str); 4] = [
    ("sqlite3", "sqlite"),
    ("lua5.4", "lua"),
    ("zlib", "zlib"),
    ("fastjet", "fastjet"),
];
