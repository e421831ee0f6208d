//! GCC's own tests with nested functions, through the plugin.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::deps;
use crate::stage::{self, built_plugin};
use crate::step::{run, skip, step};
use crate::workspace::root;

/// How much of a suite, and how.
struct Round<'a> {
    gcc: &'a str,
    levels: &'a str,
    /// `default`, or `all`: every captured local is made sharable.
    mode: &'a str,
    subset: &'a str,
}

/// A fixed quarter with the default gcc: what CI runs.
pub fn quarter(prefix: &Path) -> Result<()> {
    if !driver()?.is_file() {
        skip("GCC's own tests", "tests/conformance/run does not exist");
        return Ok(());
    }
    deps::for_conformance_quarter()?;
    let compilers = stage::compilers()?;
    for mode in ["default", "all"] {
        round(
            prefix,
            &Round {
                gcc: &compilers[0],
                levels: "-O0 -O2",
                mode,
                subset: "quarter",
            },
        )?;
    }
    Ok(())
}

/// Everything, with every compiler.
pub fn full() -> Result<()> {
    if !driver()?.is_file() {
        bail!("tests/conformance/run does not exist");
    }
    deps::for_conformance()?;
    let prefix = stage::stage()?;
    let mut failures = Vec::new();
    for gcc in stage::compilers()? {
        for mode in ["default", "all"] {
            let result = round(
                &prefix,
                &Round {
                    gcc: &gcc,
                    levels: "-O0 -O1 -O2 -O3\\ -g -Os",
                    mode,
                    subset: "full",
                },
            );
            failures.extend(result.err());
        }
    }
    match failures.as_slice() {
        [] => Ok(()),
        failures => bail!("{} rounds failed, see above", failures.len()),
    }
}

fn round(prefix: &Path, round: &Round<'_>) -> Result<()> {
    let Round {
        gcc,
        levels,
        mode,
        subset,
    } = round;
    let what = format!("GCC's own tests: {subset}, {gcc}, {levels}, {mode}");
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut driver = Command::new(driver()?);
    driver.arg("--plugin").arg(built_plugin(gcc)?);
    driver.arg("--include").arg(prefix.join("include/umbel"));
    driver.arg("--lib").arg(prefix.join("lib/umbel"));
    driver.args([
        "--gcc", gcc, "--levels", levels, "--mode", mode, "--subset", subset,
    ]);
    driver.args(["--jobs", &jobs.to_string()]);
    step(&what, || run(&mut driver))
}

fn driver() -> Result<std::path::PathBuf> {
    Ok(root()?.join("tests/conformance/run"))
}
