//! Steps that are shown as they begin and end.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Runs `work` between two lines of progress.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("==> {what}");
    let start = Instant::now();
    let result = work();
    let seconds = start.elapsed().as_secs_f64();
    match &result {
        Ok(_) => println!("<== {what}: {seconds:.1} s"),
        Err(_) => println!("<== {what}: FAILED after {seconds:.1} s"),
    }
    result
}

/// A step that is not taken, and why: visible, so that nobody takes it for passed.
pub fn skip(what: &str, why: &str) {
    println!("=== SKIPPED {what}: {why}");
}

/// Runs `command`; an error if it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        // cargo names its own folders there, perhaps with a libumbel.so of another day: the staged one is meant.
        .env_remove("LD_LIBRARY_PATH")
        .status()
        .with_context(|| format!("cannot run {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed: {status}", shown(command));
    }
    Ok(())
}

/// What `command` prints, without white space around it.
pub fn output_of(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {}", shown(command)))?;
    if !output.status.success() {
        bail!("{} failed: {}", shown(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().display().to_string()];
    words.extend(command.get_args().map(|word| word.display().to_string()));
    words.join(" ")
}
