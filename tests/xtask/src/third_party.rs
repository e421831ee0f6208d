//! `cargo xtask trace third-party`: others' programs under the tracer.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::step::{run as call, step};
use crate::workspace::{cargo, target};
use crate::{deps, sources};

/// Runs all of them with the staged tracer, or two small ones.
pub fn run(prefix: &Path, quick: bool, only: Option<&str>) -> Result<()> {
    let packages = match quick {
        true => &PACKAGES[..QUICK],
        false => {
            deps::for_third_party()?;
            &PACKAGES[..]
        }
    };
    let sources = sources::fetch(packages)?;
    let output = target()?.join("bench-programs");
    fs::create_dir_all(&output)?;
    step("others' programs under the tracer", || {
        let mut compare = cargo(&["run", "--release", "-p", "umbel-benches", "--"])?;
        compare.arg("--prefix").arg(prefix);
        compare.arg("--output").arg(&output);
        compare.arg("--third-party").arg(&sources);
        compare.args(quick.then_some("--quick"));
        if let Some(only) = only {
            compare.args(["--only", only]);
        }
        call(&mut compare)
    })
}

/// Those of `--quick` are the first.
const QUICK: usize = 2;

/// Debian's source packages, and the names of their recipes in benches/trace/recipes.
const PACKAGES: [(&str, &str); 8] = [
    ("lua5.4", "lua"),
    ("zlib", "zlib"),
    ("sqlite3", "sqlite"),
    ("fastjet", "fastjet"),
    ("tinyxml2", "tinyxml2"),
    ("dash", "dash"),
    ("hepmc3", "hepmc"),
    ("redis", "redis"),
];
