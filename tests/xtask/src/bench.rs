//! `cargo xtask bench`.

use anyhow::Result;

use crate::step::{run as call, skip, step};
use crate::workspace::{cargo, root};
use crate::{deps, stage};

pub fn run(quick: bool) -> Result<()> {
    deps::for_building()?;
    let prefix = stage::stage()?;
    let benches = root()?.join("benches/benches");
    if !benches.is_dir() {
        skip("criterion benches", "benches/benches does not exist");
        return Ok(());
    }
    step("criterion benches", || {
        // Each bench target, but not the library, whose harness knows no --quick.
        let mut bench = cargo(&["bench", "-p", "umbel-benches", "--bench", "*", "--"])?;
        if quick {
            bench.arg("--quick");
        }
        call(bench.env("UMBEL_PREFIX", &prefix))
    })
}
