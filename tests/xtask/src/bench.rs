//! `cargo xtask bench`: the criterion benches, then the table of all figures.

use anyhow::Result;

use crate::step::{run as call, step};
use crate::workspace::{cargo, target};
use crate::{deps, stage};

pub fn run(quick: bool) -> Result<()> {
    deps::for_building()?;
    let prefix = stage::stage()?;
    let flag = if quick { &["--quick"][..] } else { &[] };
    step("build the benches", || {
        call(&mut cargo(&[
            "build",
            "--release",
            "-q",
            "-p",
            "umbel-benches",
        ])?)
    })?;
    step("criterion benches", || {
        let mut bench = cargo(&["bench", "-q", "-p", "umbel-benches", "--benches", "--"])?;
        call(bench.args(["--noplot", "--quiet"]).args(flag))
    })?;
    step("C programs, and the table", || {
        let mut table = cargo(&["run", "--release", "-q", "-p", "umbel-benches", "--"])?;
        table.arg("--prefix").arg(&prefix).args(flag);
        table.arg("--output").arg(target()?.join("benches"));
        call(table.arg("--criterion").arg(target()?.join("criterion")))
    })
}
