//! One run of a program in a configuration.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};

/// What a run took.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Processor time of the program's main thread from the begin of main, in nanoseconds.
    pub thread_ns: f64,
    /// Time from there to the program's end.
    pub wall_ns: f64,
    /// Processor time of all processes, with start-up.
    pub all_ns: f64,
    /// Bytes in files at the end.
    pub stored_bytes: f64,
    /// Events lost, as the tracer itself says; none if it doesn't.
    pub lost: Option<f64>,
}

/// Runs a command whose program has hooks/cpu.c in it, its output thrown away.
pub fn run(command: &mut Command, cpu: &Path) -> Result<Outcome> {
    let _ = fs::remove_file(cpu);
    let children = children_ns()?;
    timed(command)?;
    let all_ns = children_ns()? - children;
    let text = fs::read_to_string(cpu)
        .with_context(|| format!("{command:?} has not said what its main thread took"))?;
    let mut figures = text.split_whitespace().map(str::parse::<f64>);
    let (Some(Ok(thread_ns)), Some(Ok(wall_ns))) = (figures.next(), figures.next()) else {
        bail!("{} has no two figures: {text:?}", cpu.display());
    };
    Ok(Outcome {
        thread_ns,
        wall_ns,
        all_ns,
        stored_bytes: 0.0,
        lost: None,
    })
}

/// Runs a command to its good end; the nanoseconds it took.
pub fn timed(command: &mut Command) -> Result<f64> {
    let begin = Instant::now();
    said(command)?;
    Ok(begin.elapsed().as_nanos() as f64)
}

/// Runs a command to its good end, its output thrown away; what it said on stderr.
pub fn said(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        let name = Path::new(command.get_program()).file_name();
        let words: Vec<_> = name.into_iter().chain(command.get_args()).collect();
        let words = words.join(" ".as_ref());
        bail!("{}: {}\n{errors}", words.display(), output.status);
    }
    Ok(errors)
}

/// Bytes of all files in a folder, or of a file.
pub fn bytes_in(path: &Path) -> Result<u64> {
    let about =
        fs::symlink_metadata(path).with_context(|| format!("there is no {}", path.display()))?;
    if !about.is_dir() {
        return Ok(about.len());
    }
    fs::read_dir(path)?
        .map(|entry| bytes_in(&entry?.path()))
        .sum()
}

/// Processor time of all children that have ended, in nanoseconds.
fn children_ns() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let ns =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e9 + time.tv_usec() as f64 * 1e3;
    Ok(ns(usage.user_time()) + ns(usage.system_time()))
}
