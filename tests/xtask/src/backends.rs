//! `cargo xtask backends`: the tests that touch shared memory, on every fault backend that works here, once without
//! privileges, and once where userfaultfd is refused.
//!
//! | setting | what is different |
//! |---|---|
//! | `user-mode`, `device`, `syscall`, `guard`, `mprotect` | `UMBEL_FAULT_BACKEND` forces the backend |
//! | `unprivileged` | the user `nobody`: no real-time priority, no userfaultfd for the kernel's faults |
//! | `refused` | a seccomp filter refuses userfaultfd, as containers do |
//!
//! The tests are compiled once and run as they are, so that a setting needs no cargo.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::step::{output_of, run as call, skip, step};
use crate::workspace::{cargo, heeding_keys, root, target};
use crate::{deps, stage};

/// Every backend, in the order in which a node would choose.
pub const BACKENDS: [&str; 5] = ["user-mode", "device", "syscall", "guard", "mprotect"];

/// What `--quick` runs of the tests, and of each only names that contain one of these words, if there are any. Chosen
/// to have each way in which a backend can differ: rights and faults, system calls, processes, signals, atomic and
/// plain counters, weak copies, evictions. Ten to thirty seconds for a setting.
const QUICK: [(&str, &[&str]); 10] = [
    ("umbel_fault", &[]),
    ("engine", &[]),
    ("cluster_syscalls", &[]),
    ("cluster_processes", &[]),
    ("cluster_signals", &[]),
    ("cluster_pins", &[]),
    ("cluster_counters", &["atomic", "plain"]),
    ("cluster_memory", &["every_size"]),
    ("cluster_units", &[]),
    ("cluster_sync", &[]),
];

/// What one test program may take.
const LIMIT: &str = "1800";

/// The user and the group `nobody`.
const NOBODY: &str = "65534";

/// How the tests are run.
struct Setting {
    name: &'static str,
    backend: Option<&'static str>,
    /// Before the test program and its arguments.
    wrapper: Vec<String>,
}

/// A compiled test program.
struct Test {
    name: String,
    program: PathBuf,
    /// Where cargo would run it.
    folder: PathBuf,
}

/// What came of the tests in one setting.
#[derive(Default)]
struct Tally {
    passed: u32,
    failed: Vec<String>,
    elapsed: Duration,
}

/// Runs the tests. `quick`: a part of them, and not on the backend that `cargo xtask test` takes anyway. `only`: in these
/// settings, if any are named.
pub fn run(quick: bool, only: &[String]) -> Result<()> {
    deps::for_testing()?;
    let prefix = stage::stage()?;
    let logs = target()?.join("backends");
    fs::create_dir_all(&logs)?;
    let tests = step("compile the tests", compile)?;
    let mut rows = Vec::new();
    for setting in settings(&prefix, &logs, quick)? {
        if !only.is_empty() && !only.iter().any(|name| name == setting.name) {
            continue;
        }
        let tally = step(&format!("tests: {}", setting.name), || {
            Ok(run_in(&setting, &tests, &prefix, &logs, quick))
        })?;
        rows.push((setting.name, tally));
    }
    println!(
        "\n{:<14}{:>8}{:>8}{:>9}",
        "setting", "passed", "failed", "seconds"
    );
    for (name, tally) in &rows {
        println!(
            "{name:<14}{:>8}{:>8}{:>9.0}",
            tally.passed,
            tally.failed.len(),
            tally.elapsed.as_secs_f64()
        );
    }
    let failed: usize = rows.iter().map(|(_, tally)| tally.failed.len()).sum();
    match (rows.is_empty(), failed) {
        (true, _) => bail!("no setting was run"),
        (false, 0) => Ok(()),
        (false, _) => {
            for (name, tally) in &rows {
                for test in &tally.failed {
                    println!("failed: {name}: {test}");
                }
            }
            bail!(
                "{failed} tests failed; their output is in {}",
                logs.display()
            )
        }
    }
}

/// The settings that are possible here; says which are not, and why.
fn settings(prefix: &Path, logs: &Path, quick: bool) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    let mut is_default = true;
    for name in BACKENDS {
        match refusal(prefix, name)? {
            Some(reason) => skip(name, &reason),
            None if quick && is_default => {
                is_default = false;
                skip(name, "it is the one that `cargo xtask test` takes");
            }
            None if quick && name == "syscall" => skip(name, "but for its opening it is `device`"),
            None => {
                is_default = false;
                settings.push(Setting {
                    name,
                    backend: Some(name),
                    wrapper: Vec::new(),
                });
            }
        }
    }
    let user = output_of(Command::new("id").arg("-u"))?;
    if user == "0" {
        let mut wrapper = vec!["setpriv".to_owned()];
        wrapper.extend([
            format!("--reuid={NOBODY}"),
            format!("--regid={NOBODY}"),
            "--clear-groups".into(),
            "--no-new-privs".into(),
        ]);
        settings.push(Setting {
            name: "unprivileged",
            backend: None,
            wrapper,
        });
    } else {
        skip("unprivileged", "so are all of the above");
    }
    let deny = logs.join("deny_userfaultfd");
    let source = root()?.join("tests/xtask/deny_userfaultfd.c");
    call(
        Command::new("gcc")
            .args(["-O2", "-Wall", "-o"])
            .arg(&deny)
            .arg(source),
    )?;
    settings.push(Setting {
        name: "refused",
        backend: None,
        wrapper: vec![deny.display().to_string()],
    });
    Ok(settings
        .into_iter()
        .filter(|setting| can_run(setting, prefix))
        .collect())
}

/// Why a backend can't be used; none if it can. The launcher looks before it looks for the program.
pub fn refusal(prefix: &Path, backend: &str) -> Result<Option<String>> {
    let mut command = Command::new(prefix.join("bin/umbel"));
    command.args(["run", "--fault-backend", backend, "/no/such/program"]);
    let output = command.output().context("cannot run the staged umbel")?;
    if output.status.code() != Some(USAGE) {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().next().unwrap_or_default();
    let reason = line.split_once(": ").map_or(line, |(_, reason)| reason);
    Ok(Some(reason.to_owned()))
}

/// Whether a backend works in the setting, and its user can reach our files at all; if not, says so.
fn can_run(setting: &Setting, prefix: &Path) -> bool {
    let Some((first, rest)) = setting.wrapper.split_first() else {
        return true;
    };
    let mut command = Command::new(first);
    command
        .args(rest)
        .arg(prefix.join("bin/umbel"))
        .arg("doctor");
    match command.output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let line = text
                .lines()
                .find(|line| line.trim_start().starts_with("no "));
            skip(
                setting.name,
                line.unwrap_or("the staged `umbel doctor` can't be run")
                    .trim(),
            );
            false
        }
        Err(error) => {
            skip(setting.name, &format!("cannot run {first}: {error}"));
            false
        }
    }
}

/// Compiles the tests of the fault machinery, of the engine, and of real programs. The whole workspace, as
/// `cargo xtask test` does: a part of it would be compiled with other features, once more.
fn compile() -> Result<Vec<Test>> {
    let mut build = cargo(&["test", "--workspace", "--no-run", "--message-format=json"])?;
    let output = build.stderr(std::process::Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("the tests don't compile");
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let tests = text.lines().filter_map(test_of).collect::<Vec<_>>();
    Ok(tests
        .into_iter()
        .filter(|test| is_wanted(&test.name))
        .collect())
}

/// A test program that cargo's message tells of.
fn test_of(message: &str) -> Option<Test> {
    let field = |name: &str| {
        let (_, rest) = message.split_once(&format!("\"{name}\":\""))?;
        rest.split('"').next().map(PathBuf::from)
    };
    let program = field("executable")?;
    let file = program.file_name()?.to_str()?;
    let (name, _) = file.rsplit_once('-')?;
    Some(Test {
        name: name.to_owned(),
        folder: field("manifest_path")?.parent()?.to_owned(),
        program,
    })
}

/// Not the tests of the pure machines: no page faults there.
fn is_wanted(name: &str) -> bool {
    name.starts_with("cluster_")
        || ["umbel_fault", "uffd_dsm", "engine", "examples"].contains(&name)
}

fn run_in(setting: &Setting, tests: &[Test], prefix: &Path, logs: &Path, quick: bool) -> Tally {
    let start = Instant::now();
    let mut tally = Tally::default();
    for test in tests {
        let words: &[&str] = match QUICK.iter().find(|(name, _)| *name == test.name) {
            Some((_, words)) if quick => words,
            None if quick => continue,
            Some(_) | None => &[],
        };
        let mut command = heeding_keys("timeout");
        command.arg(LIMIT).args(&setting.wrapper).arg(&test.program);
        command.args(words).current_dir(&test.folder);
        command.env("UMBEL_PREFIX", prefix);
        if let Some(backend) = setting.backend {
            command.env("UMBEL_FAULT_BACKEND", backend);
        }
        if !quick {
            command.arg("--include-ignored");
        }
        let log = logs.join(format!("{}-{}.log", setting.name, test.name));
        run_one(&mut command, &test.name, &log, &mut tally);
    }
    tally.elapsed = start.elapsed();
    tally
}

/// Runs a test program; its output goes to `log`, and what failed is shown.
fn run_one(command: &mut Command, name: &str, log: &Path, tally: &mut Tally) {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => return tally.failed.push(format!("{name}: cannot run it: {error}")),
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    // Nothing depends on it.
    let _ = fs::write(log, format!("{text}{errors}"));
    let before = tally.failed.len();
    for line in text.lines() {
        let Some((test, result)) = line
            .strip_prefix("test ")
            .and_then(|line| line.rsplit_once(" ... "))
        else {
            continue;
        };
        match result {
            "ok" => tally.passed += 1,
            "FAILED" => tally.failed.push(format!("{name}: {test}")),
            _ => {}
        }
    }
    if !output.status.success() && tally.failed.len() == before {
        tally.failed.push(format!("{name}: {}", output.status));
    }
    for failed in &tally.failed[before..] {
        println!("    {failed}: see {}", log.display());
    }
}

/// The launcher's exit status for wrong arguments.
const USAGE: i32 = 2;
