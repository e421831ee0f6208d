//! `cargo xtask bench`: criterion's benches of the pure crates, then the program that measures the
//! rest and prints everything as one table.

use std::fs;

use anyhow::Result;

use crate::step::{run as call, step};
use crate::workspace::{cargo, target};
use crate::{deps, stage};

pub fn run(quick: bool) -> Result<()> {
    deps::for_building()?;
    let prefix = stage::stage()?;
    let output = target()?.join("bench-programs");
    fs::create_dir_all(&output)?;
    let quick: &[&str] = match quick {
        true => &["--quick"],
        false => &[],
    };
    step("criterion benches", || {
        // Each bench target, but not the library, whose harness has other options.
        let mut bench = cargo(&["bench", "-p", "umbel-benches", "--bench", "*", "--"])?;
        call(bench.args(quick))
    })?;
    step("comparison", || {
        let mut compare = cargo(&["run", "--release", "-p", "umbel-benches", "--"])?;
        compare.arg("--prefix").arg(&prefix);
        compare.arg("--output").arg(&output);
        compare.arg("--criterion").arg(target()?.join("criterion"));
        call(compare.args(quick))
    })
}
