//! `cargo xtask test` and `cargo xtask fuzz`.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::step::{run as call, skip, step};
use crate::workspace::{cargo, root};
use crate::{conformance, deps, oracle, stage, third_party};

/// Every test. Goes on after a failure, so that one run shows all of them.
pub fn run() -> Result<()> {
    deps::for_testing()?;
    let prefix = stage::stage()?;
    let mut failures = Vec::new();
    let mut note = |result: Result<()>| failures.extend(result.err());

    note(step("cargo test", || {
        // The tests of real programs find umbel cc and umbel run through this.
        let mut tests = cargo(&["test", "--workspace", "--no-fail-fast"])?;
        call(tests.env("UMBEL_PREFIX", &prefix))
    }));
    if root()?.join("cc-plugin/test/run.sh").is_file() {
        for gcc in stage::compilers()? {
            note(step(&format!("plugin tests with {gcc}"), || {
                call(stage::make_plugin(&gcc)?.arg("check"))
            }));
        }
    } else {
        skip("plugin tests", "cc-plugin/test/run.sh does not exist");
    }
    note(conformance::quarter(&prefix));
    note(oracle::quick(&prefix));
    note(third_party::run(&prefix, true, None));

    if failures.is_empty() {
        println!("\nAll tests passed.");
        return Ok(());
    }
    println!();
    for failure in &failures {
        println!("failed: {failure:#}");
    }
    anyhow::bail!("{} of the steps above failed", failures.len())
}

/// What is fuzzed, one after the other: packages and test programs of theirs that take their seconds and seed from the environment.
const FUZZED: [(&str, &str, &str); 4] = [
    ("umbel-wire", "fuzz", "the wire decoders"),
    ("umbel-tracer", "fuzz", "the readers of recordings"),
    ("umbel-values", "fuzz", "the readers of values"),
    (
        "umbel-tracer",
        "fuzz_rules",
        "the readers of filters and of the control socket",
    ),
];

/// Fuzzes every decoder of bytes from outside, `seconds` seconds in all.
pub fn fuzz(seconds: u64, seed: Option<u64>) -> Result<()> {
    let seed = match seed {
        Some(seed) => seed,
        None => SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64,
    };
    let each = seconds.div_ceil(FUZZED.len() as u64);
    for (package, test, what) in FUZZED {
        step(
            &format!("fuzz {what} for {each} s with seed {seed}"),
            || {
                let mut fuzz: Command =
                    cargo(&["test", "--release", "-p", package, "--test", test])?;
                fuzz.args(["--", "--nocapture"]);
                fuzz.env("UMBEL_FUZZ_SECONDS", each.to_string());
                call(fuzz.env("UMBEL_FUZZ_SEED", seed.to_string()))
            },
        )?;
    }
    Ok(())
}
